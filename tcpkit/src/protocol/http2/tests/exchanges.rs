//! Requests and responses: their parts, what is shown of them, and how they end.

use super::*;

#[test]
fn parts_of_many_streams_take_turns() {
    let mut talk = Talk::default();
    let script = [
        (Request, talk.headers(Request, 1, GET, true)),
        (Request, talk.headers(Request, 3, &[(":method", "PUT"), (":path", "/b")], false)),
        (Request, data(3, b"abc", false)),
        (Response, talk.headers(Response, 1, OK, false)),
        (Request, data(3, b"de", true)),
        (Response, talk.headers(Response, 3, &[(":status", "201")], true)),
        (Response, data(1, &[b'x'; 1000], false)),
        (Response, data(1, b"", true)),
    ];
    check(
        &script,
        &[
            "> GET | #1 | GET example.com/a?x=1",
            "> PUT | #3 first | PUT /b",
            ">  | #3 middle",
            "< ok | #1 first",
            ">  | #3 last",
            "< ok | #3 | 201",
            "< ok | #1 middle",
            "< ok | #1 last | 200",
        ],
    );
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(
        driver.seen[0].fields,
        "stream=1 method=GET scheme=http host=example.com path=/a query=x=1"
    );
    assert_eq!(driver.seen[5].fields, "status=201 request_body=5 response_body=0");
    assert_eq!(
        driver.seen[7].fields,
        "content_type=text/plain status=200 request_body=0 response_body=1000"
    );
    let options = DecodeOptions { fields: false, ..DecodeOptions::default() };
    let driver = play_all(&PROTOCOL, &script, &options);
    assert_eq!(driver.lines().last().unwrap(), "< ok | #1 last | 200");
}

#[test]
fn what_is_said_behind_the_content_ends_it() {
    let mut talk = Talk::default();
    let script = [
        (Request, talk.headers(Request, 1, GET, false)),
        (Request, data(1, b"abc", false)),
        (Request, talk.headers(Request, 1, &[("checksum", "1")], true)),
        (Response, talk.headers(Response, 1, &[(":status", "503")], false)),
        (Response, talk.headers(Response, 1, &[("checksum", "2")], true)),
    ];
    check(
        &script,
        &[
            "> GET | #1 first | GET example.com/a?x=1",
            ">  | #1 middle",
            ">  | #1 last",
            "< ok | #1 first",
            "< error | #1 last | 503",
        ],
    );
}

#[test]
fn interim_responses_answer_nothing() {
    let mut talk = Talk::default();
    let script = [
        (Request, talk.headers(Request, 1, GET, false)),
        (Response, talk.headers(Response, 1, &[(":status", "100")], false)),
        (Request, data(1, b"abc", true)),
        (Response, talk.headers(Response, 1, &[(":status", "103"), ("link", "/x")], false)),
        (Response, talk.headers(Response, 1, &[(":status", "404")], true)),
    ];
    check(
        &script,
        &[
            "> GET | #1 first | GET example.com/a?x=1",
            "< ok | one-way",
            ">  | #1 last",
            "< ok | one-way",
            "< error | #1 | 404",
        ],
    );
}

#[test]
fn what_is_pushed_answers_nothing_and_enters_the_table() {
    let mut talk = Talk::default();
    let mut promise = vec![0, 0, 0, 2];
    promise.extend(talk.block(Response, &[(":method", "GET"), (":path", "/pushed")]));
    let mut script = vec![(Request, talk.headers(Request, 1, GET, true))];
    script.push((Response, frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise)));
    script.push((Response, talk.headers(Response, 1, &[(":status", "418")], true)));
    script.push((Response, talk.headers(Response, 2, &[(":status", "418")], false)));
    script.push((Response, data(2, b"abc", true)));
    script.push((Request, frame(kind::RST_STREAM, 0, 2, &[0, 0, 0, 8])));
    check(
        &script,
        &[
            "> GET | #1 | GET example.com/a?x=1",
            "< ok | one-way middle",
            "< error | #1 | 418",
            "< ok | one-way middle",
            "< ok | one-way last",
        ],
    );
}

#[test]
fn either_side_may_give_up() {
    let mut talk = Talk::default();
    let reset = |stream, code| frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, code]);
    let script = [
        (Request, talk.headers(Request, 1, GET, true)),
        (Request, talk.headers(Request, 3, GET, true)),
        (Request, talk.headers(Request, 5, GET, false)),
        (Request, talk.headers(Request, 7, GET, false)),
        (Response, talk.headers(Response, 1, OK, false)),
        (Request, reset(1, 8)),
        (Response, data(1, b"late", true)),
        (Response, reset(3, 7)),
        (Response, talk.headers(Response, 5, OK, true)),
        // It has said everything, and has no use for the rest of the request.
        (Response, reset(5, 0)),
        (Response, talk.headers(Response, 7, OK, false)),
        (Response, reset(7, 200)),
        (Request, data(7, b"late", true)),
    ];
    check(
        &script,
        &[
            "> GET | #1 | GET example.com/a?x=1",
            "> GET | #3 | GET example.com/a?x=1",
            "> GET | #5 first | GET example.com/a?x=1",
            "> GET | #7 first | GET example.com/a?x=1",
            "< ok | #1 first",
            ">  | #1 cancel | cancelled",
            "< ok | one-way middle",
            "< error | #3 | reset REFUSED_STREAM",
            "< ok | #5 | 200",
            "< ok | #7 first",
            "< error | #7 last | reset 200",
            ">  | one-way middle",
        ],
    );
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(driver.seen[5].status, Status::Error);
    assert_eq!(driver.seen[5].fields, "request_body=0 response_body=0 reset=CANCEL");
}

#[test]
fn secrets_and_terminal_codes_are_not_shown() {
    let mut talk = Talk::default();
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "me:hunter2@example.com"),
        (":path", "/\x1b[31m?token=hunter2&x=1"),
        ("authorization", "Bearer hunter2"),
        ("cookie", "id=hunter2"),
        ("user-agent", "curl\x07"),
    ];
    let script = [(Request, talk.headers(Request, 1, &fields, true))];
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(
        driver.lines(),
        ["> GET | #1 | GET (redacted)@example.com/\\x1b[31m?token=(redacted)&x=1"]
    );
    assert!(driver.seen[0].fields.contains("authorization=Bearer (redacted)"));
    assert!(driver.seen[0].fields.contains("user_agent=curl\\x07"));
    assert!(!driver.seen[0].fields.contains("hunter2"));
}

#[test]
fn requests_of_other_forms_are_shown_too() {
    let mut talk = Talk::default();
    let script = [
        (
            Request,
            talk.headers(Request, 1, &[(":method", "CONNECT"), (":authority", "h:443")], false),
        ),
        (
            Request,
            talk.headers(Request, 3, &[(":method", "GET"), (":path", "/"), ("host", "old")], true),
        ),
    ];
    check(&script, &["> CONNECT | #1 first | CONNECT h:443", "> GET | #3 | GET old/"]);
}

#[test]
fn of_too_many_streams_the_oldest_are_not_shown() {
    let mut talk = Talk::default();
    let count = 5000;
    let mut script = Vec::new();
    for at in 0..count {
        script.push((Request, talk.headers(Request, 2 * at + 1, GET, true)));
    }
    for at in 0..count {
        script.push((Response, talk.headers(Response, 2 * at + 1, OK, true)));
    }
    let driver = play(&PROTOCOL, &script, usize::MAX, &DecodeOptions::default());
    assert_eq!(driver.broken, None);
    let answers = driver.seen.iter().filter(|seen| seen.direction == Response);
    let shown = answers.filter(|seen| seen.correlation != Correlation::OneWay).count();
    assert_eq!(shown, 4096);
}
