//! Connections that are joined late, and directions that were lost.

use super::*;

/// Joins a connection behind its beginning.
fn join(script: &[(Direction, Vec<u8>)]) -> Driver {
    let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
    let mut joined = [false; 2];
    for (direction, bytes) in script {
        let is_joined = &mut joined[usize::from(*direction == Response)];
        if *is_joined {
            driver.feed(*direction, bytes);
        } else {
            *is_joined = driver.rejoin(*direction, bytes);
        }
        assert_eq!(driver.broken, None);
    }
    driver
}

#[test]
fn what_is_said_from_then_on_is_known() {
    let mut talk = Talk::default();
    talk.headers(Request, 1, GET, true);
    talk.headers(Response, 1, &[(":status", "403")], true);
    let put =
        [(":method", "PUT"), (":scheme", "http"), (":path", "/new"), (":authority", "example.com")];
    let script = [
        (Request, talk.headers(Request, 3, GET, true)),
        (Response, talk.headers(Response, 3, &[(":status", "403"), ("date", "now")], true)),
        (Request, talk.headers(Request, 5, &put, true)),
        (Response, talk.headers(Response, 5, &[(":status", "404")], true)),
        (Request, talk.headers(Request, 7, &put, true)),
        (Response, talk.headers(Response, 7, &[(":status", "201")], true)),
        (Request, talk.headers(Request, 9, GET, true)),
        (Response, talk.headers(Response, 9, &[(":status", "403")], true)),
    ];
    assert_eq!(
        join(&script).lines(),
        [
            "> GET | #3 | GET ?",
            // It may be the end of a response that began before.
            "< ok | #3 void",
            "> PUT | #5 | PUT ?/new",
            "< error | #5 | 404",
            "> PUT | #7 | PUT ?/new",
            "< ok | #7 | 201",
            "> GET | #9 | GET ?",
            "< unknown | #9 | ?",
        ]
    );
}

#[test]
fn a_client_that_begins_anew_is_known_from_its_preface() {
    let mut talk = Talk::default();
    let [(_, client), (_, server)] = opening();
    let script = [
        (Request, [client, talk.headers(Request, 1, GET, true)].concat()),
        (Response, server),
        (Response, talk.headers(Response, 1, OK, true)),
    ];
    assert_eq!(join(&script).lines(), ["> GET | #1 | GET example.com/a?x=1", "< ok | #1 | 200"]);
}

#[test]
fn the_end_of_a_response_whose_beginning_was_not_seen_answers_nothing() {
    let mut talk = Talk::default();
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let request = talk.headers(Request, 1, GET, false);
    let behind = talk.headers(Request, 1, &[("checksum", "1")], true);
    let start = talk.headers(Response, 1, OK, false);
    let end = talk.headers(Response, 1, &[("checksum", "2")], true);
    // The response's beginning is lost while the request is read.
    let mut driver =
        play(&PROTOCOL, &[(Request, request.clone())], usize::MAX, &DecodeOptions::default());
    assert!(!driver.lose(Response, start.len() as u64));
    driver.feed(Request, &behind);
    driver.feed(Request, &talk.headers(Request, 3, GET, true));
    driver.seen.clear();
    assert!(driver.rejoin(Response, &[ping.clone(), data(1, b"abc", false), end.clone()].concat()));
    driver.feed(Response, &talk.headers(Response, 3, &[(":status", "204")], true));
    let lines = driver.lines();
    assert!(lines.iter().all(|line| !line.contains("#1")), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "< ok | #3 | 204");
    // The request's beginning is: what comes behind its content is no request.
    let mut driver = play(&PROTOCOL, &[], usize::MAX, &DecodeOptions::default());
    assert!(!driver.lose(Request, request.len() as u64));
    assert!(driver.rejoin(Request, &[ping, data(1, b"abc", false), behind].concat()));
    assert_eq!(driver.lines(), [">  | one-way middle", ">  | one-way middle"]);
}

#[test]
fn while_the_server_is_not_heard_nothing_is_cancelled() {
    let mut talk = Talk::default();
    let mut driver = play(&PROTOCOL, &[], usize::MAX, &DecodeOptions::default());
    assert!(!driver.lose(Response, 100));
    driver.feed(Request, &talk.headers(Request, 1, GET, true));
    driver.feed(Request, &frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(driver.lines(), ["> GET | #1 | GET example.com/a?x=1"]);
}

#[test]
fn a_status_that_is_not_known_may_be_an_interim_one() {
    let mut talk = Talk::default();
    talk.headers(Response, 1, &[(":status", "103"), (":status", "202"), ("date", "x")], true);
    let script = [
        (Request, talk.headers(Request, 3, GET, true)),
        (Response, talk.headers(Response, 3, &[(":status", "103")], false)),
        (Response, talk.headers(Response, 3, &[(":status", "200")], true)),
        (Request, talk.headers(Request, 5, GET, true)),
        (
            Response,
            talk.headers(Response, 5, &[(":status", "202"), ("content-length", "1")], false),
        ),
        (Response, data(5, b"x", true)),
        (Request, talk.headers(Request, 7, GET, true)),
        (Response, talk.headers(Response, 7, &[(":status", "202"), ("date", "x")], false)),
        (Response, data(7, b"x", true)),
    ];
    let driver = join(&script);
    let lines = driver.lines();
    let of = |id: &str| -> Vec<&str> {
        let answers = lines.iter().map(String::as_str).filter(|line| line.starts_with('<'));
        answers.filter(|line| line.contains(id)).collect()
    };
    assert_eq!(of("#3"), ["< ok | #3 | 200"]);
    assert_eq!(of("#5"), ["< ok | #5 first", "< unknown | #5 last | ?"]);
    assert_eq!(of("#7"), ["< ok | #7 void"]);
}

#[test]
fn packets_that_begin_with_a_frame_are_found() {
    let mut talk = Talk::default();
    let headers = talk.headers(Request, 1, GET, true);
    let answer = talk.headers(Response, 1, OK, false);
    let ping = frame(kind::PING, flag::ACK, 0, &[0; 8]);
    for (direction, bytes, expect) in [
        (Request, headers.clone(), true),
        (Request, [headers.clone(), ping.clone()].concat(), true),
        (Request, [headers.clone(), ping[..9].to_vec()].concat(), true),
        (Response, [answer.clone(), data(1, &[7; 5000], true)[..100].to_vec()].concat(), true),
        (Request, data(1, b"abc", true), true),
        (Request, PREFACE.to_vec(), true),
        // Not known to lead anywhere.
        (Response, data(1, &[7; 5000], true)[..100].to_vec(), false),
        (Request, headers[..headers.len() - 1].to_vec(), false),
        (Request, [headers.clone(), ping[..8].to_vec()].concat(), false),
        // In the midst.
        (Request, headers[1..].to_vec(), false),
        (Response, data(1, &[7; 500], true)[3..].to_vec(), false),
        (Request, frame(kind::CONTINUATION, flag::END_HEADERS, 1, b"\x82"), false),
        // What nobody would send.
        (Request, data(2, b"abc", true), false),
        (Request, data(0, b"abc", true), false),
        (Request, frame(kind::PING, 0x80, 0, &[0; 8]), false),
        (Request, frame(0xfa, 0, 1, &[0; 8]), false),
        (Request, [headers.clone(), vec![0; 18]].concat(), false),
        (Response, frame(kind::SETTINGS, 0, 0, &[0; 7]), false),
        (Response, vec![0; 1000], false),
        (Response, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(), false),
        (Response, vec![], false),
    ] {
        let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
        assert_eq!(driver.rejoin(direction, &bytes), expect, "{bytes:x?}");
    }
}
