//! gRPC calls, by themselves and among other streams.

use super::*;

const STARTED: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];

/// Messages of these lengths behind their prefixes.
fn messages(lengths: &[u8]) -> Vec<u8> {
    let message = |len: &u8| [&[0, 0, 0, 0, *len][..], &vec![7; usize::from(*len)]].concat();
    lengths.iter().flat_map(message).collect()
}

#[test]
fn a_unary_call() {
    let mut talk = Talk::default();
    let call = [CALL, &[("grpc-timeout", "250m"), ("grpc-encoding", "gzip")]].concat();
    let script = [
        (Request, talk.headers(Request, 1, &call, false)),
        (Request, data(1, &messages(&[10]), true)),
        (Response, talk.headers(Response, 1, STARTED, false)),
        (Response, data(1, &messages(&[20]), false)),
        (Response, talk.headers(Response, 1, &[("grpc-status", "0"), ("grpc-message", "")], true)),
    ];
    check_protocol(
        &grpc::PROTOCOL,
        &script,
        &[
            "> /pkg.Service/Method | #1 first | /pkg.Service/Method",
            ">  | #1 last",
            "< ok | #1 first",
            "< ok | #1 middle",
            "< ok | #1 last",
        ],
    );
    let driver = play_all(&grpc::PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(driver.seen[0].deadline_ns, Some(250_000_000));
    assert_eq!(
        driver.seen[0].fields,
        "stream=1 http_method=POST scheme=http request_content_type=application/grpc \
         host=example.com path=/pkg.Service/Method service=pkg.Service method=Method encoding=gzip"
    );
    assert_eq!(
        driver.seen[4].fields,
        "content_type=application/grpc status=200 grpc_status=0 grpc_status_name=OK \
         request_body=15 response_body=25 request_messages=1 response_messages=1 kind=unary"
    );
    assert!(driver.seen[3].completes_first);
    // The same as a request among others.
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(driver.lines()[0], "> POST | #1 first | POST example.com/pkg.Service/Method");
    assert!(driver.seen[0].fields.contains("grpc_service=pkg.Service grpc_method=Method"));
    assert!(driver.seen[4].fields.contains("grpc_status=0"));
}

#[test]
fn the_frame_is_noted_that_completes_the_first_message_streamed() {
    let mut talk = Talk::default();
    let body = messages(&[200, 0, 30]);
    let ask = messages(&[1, 2, 3]);
    let cut = |from: usize, to: usize| data(1, &body[from..to], false);
    let script = [
        (Request, talk.headers(Request, 1, CALL, false)),
        (Request, data(1, &ask[..9], false)),
        (Request, data(1, &ask[9..], true)),
        (Response, talk.headers(Response, 1, STARTED, false)),
        // Prefixes and messages lie across frames.
        (Response, cut(0, 3)),
        (Response, cut(3, 100)),
        (Response, frame(kind::DATA, flag::PADDED, 1, &[&[9], &body[100..208], &[0; 9]].concat())),
        (Response, cut(208, 230)),
        (Response, cut(230, body.len())),
        (Response, talk.headers(Response, 1, &[("grpc-status", "0")], true)),
    ];
    let driver = play_all(&grpc::PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(driver.broken, None);
    let first: Vec<_> =
        (0..driver.seen.len()).filter(|at| driver.seen[*at].completes_first).collect();
    assert_eq!(first, [6]);
    let fields = &driver.seen.last().unwrap().fields;
    assert!(
        fields.ends_with(
            "response_body=245 request_messages=3 response_messages=3 kind=bidi_streaming"
        ),
        "{fields}"
    );
}

#[test]
fn a_call_that_fails_says_why() {
    for (trailers, status, text) in [
        (
            &[("grpc-status", "4"), ("grpc-message", "too%20slow%21")][..],
            Status::Error,
            "DEADLINE_EXCEEDED: too slow!",
        ),
        (&[("grpc-status", "5")], Status::Error, "NOT_FOUND"),
        (&[("grpc-status", "99")], Status::Error, "99"),
        (&[("grpc-status", "x")], Status::Error, "wrong grpc-status"),
        (
            &[("grpc-message", "%1b%5b31m"), ("grpc-status", "2")],
            Status::Error,
            "UNKNOWN: \\x1b[31m",
        ),
        (&[("other", "1")], Status::Error, "no grpc-status"),
        (&[("grpc-status", "0")], Status::Ok, ""),
    ] {
        let mut talk = Talk::default();
        let only = [STARTED, trailers].concat();
        let script = [
            (Request, talk.headers(Request, 1, CALL, true)),
            (Request, talk.headers(Request, 3, CALL, true)),
            (Response, talk.headers(Response, 1, STARTED, false)),
            (Response, talk.headers(Response, 1, trailers, true)),
            (Response, talk.headers(Response, 3, &only, true)),
        ];
        let driver = play_all(&grpc::PROTOCOL, &script, &DecodeOptions::default());
        for at in [3, 4] {
            assert_eq!((driver.seen[at].status, driver.seen[at].text.as_str()), (status, text));
            assert_eq!(driver.seen[at].fields.contains("trailers_only=1"), at == 4);
        }
    }
}

#[test]
fn a_proxy_may_answer_instead() {
    let mut talk = Talk::default();
    let script = [
        (Request, talk.headers(Request, 1, CALL, true)),
        (
            Response,
            talk.headers(Response, 1, &[(":status", "502"), ("content-type", "text/html")], false),
        ),
        (Response, data(1, b"<html>", true)),
    ];
    let expect = [
        "> /pkg.Service/Method | #1 | /pkg.Service/Method",
        "< ok | #1 first",
        "< error | #1 last | 502",
    ];
    check_protocol(&grpc::PROTOCOL, &script, &expect);
}

#[test]
fn other_streams_are_counted_and_not_shown() {
    let mut talk = Talk::default();
    let script = [
        (Request, talk.headers(Request, 1, GET, true)),
        (Request, talk.headers(Request, 3, CALL, true)),
        (Request, talk.headers(Request, 5, &[(":method", "POST"), ("content-type", "a/b")], false)),
        (Request, data(5, b"x", true)),
        (Response, talk.headers(Response, 1, OK, true)),
        (Response, talk.headers(Response, 5, OK, false)),
        (Response, data(5, b"x", true)),
        (Request, talk.headers(Request, 7, GET, true)),
        (Response, frame(kind::RST_STREAM, 0, 7, &[0, 0, 0, 2])),
        (Request, talk.headers(Request, 9, GET, true)),
        (Request, frame(kind::RST_STREAM, 0, 9, &[0, 0, 0, 8])),
    ];
    let driver = play_all(&grpc::PROTOCOL, &script, &DecodeOptions::default());
    for seen in &driver.seen {
        let is_call = seen.correlation == Correlation::Id(3);
        assert_eq!(is_call, !seen.operation.is_empty(), "{}", seen.line());
        assert!(is_call || seen.correlation == Correlation::OneWay);
    }
    assert_eq!(
        driver
            .seen
            .iter()
            .filter(|seen| seen.part == Part::Whole && seen.direction == Response)
            .count(),
        2
    );
}
