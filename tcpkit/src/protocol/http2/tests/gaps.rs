//! Bytes that will never be seen.

use super::*;

/// A client's or server's frames of which each is cut off after so many bytes, as by a snaplen.
fn cut_off(script: &[(Direction, Vec<u8>)], seen: usize) -> Driver {
    let mut driver = play(&PROTOCOL, &[], usize::MAX, &DecodeOptions::default());
    for (direction, bytes) in script {
        let (visible, hidden) = bytes.split_at(seen.min(bytes.len()));
        driver.feed(*direction, visible);
        if !hidden.is_empty() {
            assert!(driver.lose(*direction, hidden.len() as u64), "{seen}");
        }
        assert_eq!(driver.broken, None, "{seen}");
    }
    driver
}

#[test]
fn frames_that_are_cut_off_end_where_they_say() {
    let mut talk = Talk::default();
    let post = [(":method", "POST"), (":path", "/b"), ("x-long", &"y".repeat(100))];
    let script = [
        (Request, talk.headers(Request, 1, GET, true)),
        (Request, talk.headers(Request, 3, &post, false)),
        (Request, data(3, &[b'x'; 1000], false)),
        (Request, frame(kind::DATA, flag::PADDED | flag::END_STREAM, 3, &[9; 100])),
        (Request, frame(kind::PING, 0, 0, &[0; 8])),
        (Request, frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9, 0, 4, 0, 0, 0, 9])),
        (Response, talk.headers(Response, 1, OK, false)),
        (Response, data(1, &[b'x'; 1000], true)),
        (Response, frame(0xfa, 0, 0, &[0; 500])),
        (Response, talk.headers(Response, 3, &[(":status", "404")], true)),
        (Request, talk.headers(Request, 5, &[(":method", "PUT"), (":path", "/c")], true)),
        (Request, frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 8])),
    ];
    let whole = cut_off(&script, usize::MAX);
    // From the status on: without it a header block may be an interim response's.
    for seen in 10..60 {
        let driver = cut_off(&script, seen);
        let mut at = 0;
        for expect in &whole.seen {
            // What only says that nothing was there is not compared.
            while driver.seen[at].correlation == Correlation::OneWay {
                at += 1;
            }
            let found = &driver.seen[at];
            assert_eq!(
                (found.correlation, found.part),
                (expect.correlation, expect.part),
                "{seen}"
            );
            assert_eq!(found.direction, expect.direction);
            // A text that is shown is right, or says what is not known.
            let reset = ["cancelled", "reset ?"].contains(&found.text.as_str());
            let is_right = found.text == expect.text || (reset && expect.text == "cancelled");
            assert!(is_right || found.text.contains('?'), "{seen}: {}", found.line());
            let is_whole = found.fields == expect.fields || found.fields.is_empty();
            assert!(seen < 59 || is_whole || found.text != expect.text, "{seen}: {}", found.fields);
            at += 1;
        }
        assert!(driver.seen[at..].iter().all(|it| it.correlation == Correlation::OneWay));
    }
}

#[test]
fn of_a_cut_header_block_its_beginning_is_shown() {
    let mut talk = Talk::default();
    let bytes = talk.headers(Request, 1, GET, true);
    // Method and scheme take a byte each, authority 13.
    let mut lines = Vec::new();
    for seen in 9..bytes.len() {
        let driver = cut_off(&[(Request, bytes.clone())], seen);
        assert_eq!(driver.seen.len(), 1);
        let line = driver.lines().remove(0);
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    assert_eq!(lines, ["> ? | #1 | ? ?", "> GET | #1 | GET ?", "> GET | #1 | GET example.com?"]);
}

#[test]
fn what_was_said_before_a_cut_is_unknown_behind_it() {
    let mut talk = Talk::default();
    let first = talk.headers(Request, 1, GET, true);
    let second =
        talk.headers(Request, 3, &[(":method", "GET"), (":path", "/new"), ("a", "b")], true);
    let third = talk.headers(Request, 5, &[(":method", "GET"), (":path", "/new")], true);
    let fourth = talk.headers(Request, 7, &[(":method", "GET"), (":path", "/own")], true);
    let fifth = talk.headers(Request, 9, &[(":method", "GET"), (":path", "/own")], true);
    let mut driver = cut_off(&[(Request, first)], usize::MAX);
    driver.feed(Request, &second[..second.len() - 1]);
    assert!(driver.lose(Request, 1));
    for bytes in [third, fourth, fifth] {
        driver.feed(Request, &bytes);
    }
    assert_eq!(
        driver.lines(),
        [
            "> GET | #1 | GET example.com/a?x=1",
            "> GET | #3 | GET ?/new",
            "> GET | #5 | GET ?",
            "> GET | #7 | GET /own",
            "> GET | #9 | GET /own",
        ]
    );
}

#[test]
fn a_continuation_may_be_cut_off_too() {
    let mut talk = Talk::default();
    let block = talk.block(Request, GET);
    let first = frame(kind::HEADERS, flag::END_STREAM, 1, &block[..1]);
    let second = frame(kind::CONTINUATION, 0, 1, &block[1..20]);
    let third = frame(kind::CONTINUATION, flag::END_HEADERS, 1, &block[20..]);
    let bytes = [first.clone(), second.clone(), third].concat();
    let begin = first.len();
    for seen in begin + 9..begin + second.len() {
        let mut driver = cut_off(&[], 0);
        driver.feed(Request, &bytes[..seen]);
        let hidden = begin + second.len() - seen;
        assert!(driver.lose(Request, hidden as u64));
        driver.feed(Request, &bytes[seen + hidden..]);
        assert_eq!(driver.broken, None);
        assert!(driver.lines()[0].starts_with("> GET | #1 | GET "), "{:?}", driver.lines());
        assert!(driver.lines()[0].ends_with('?'));
    }
    // Where the next frame begins is not known.
    for seen in [begin, begin + 1, begin + 8] {
        let mut driver = cut_off(&[], 0);
        driver.feed(Request, &bytes[..seen]);
        assert!(!driver.lose(Request, 1));
    }
}

#[test]
fn without_a_header_the_framing_is_lost() {
    let mut talk = Talk::default();
    let bytes = talk.headers(Request, 1, GET, true);
    for seen in 0..9 {
        let mut driver = cut_off(&[], 0);
        driver.feed(Request, &bytes[..seen]);
        assert!(!driver.lose(Request, 1), "{seen}");
    }
    let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
    driver.feed(Request, &PREFACE[..10]);
    assert!(!driver.lose(Request, 1));
}

#[test]
fn messages_whose_beginning_is_hidden_are_not_counted() {
    let mut talk = Talk::default();
    let body = [&[0, 0, 0, 0, 100][..], &[7; 100], &[0, 0, 0, 0, 1, 7]].concat();
    let start = [
        (Request, talk.headers(Request, 1, CALL, true)),
        (Response, talk.headers(Response, 1, &[(":status", "200")], false)),
    ];
    let body = data(1, &body, false);
    let end = talk.headers(Response, 1, &[("grpc-status", "0")], true);
    for from in 9..body.len() {
        for to in from + 1..=body.len() {
            let mut driver = play(&grpc::PROTOCOL, &start, usize::MAX, &DecodeOptions::default());
            driver.feed(Response, &body[..from]);
            assert!(driver.lose(Response, (to - from) as u64));
            driver.feed(Response, &body[to..]);
            driver.feed(Response, &end);
            assert_eq!(driver.broken, None);
            let last = driver.seen.last().unwrap();
            let is_inside = |from, to, begin, end| from >= begin && to <= end;
            let is_known = is_inside(from, to, 14, 114) || is_inside(from, to, 119, 120);
            assert_eq!(last.fields.contains("response_messages=2"), is_known, "{from}..{to}");
            assert_eq!(last.fields.contains("response_messages"), is_known, "{from}..{to}");
            let first = driver.seen.iter().any(|seen| seen.completes_first);
            assert!(first || !is_known);
        }
    }
}

#[test]
fn a_status_whose_message_is_cut_off_says_so() {
    let mut talk = Talk::default();
    let request = (Request, talk.headers(Request, 1, CALL, true));
    let start = [(":status", "200"), ("content-type", "application/grpc")];
    let fields = [&start[..], &[("grpc-status", "13"), ("grpc-message", "broken")]].concat();
    let answer = talk.headers(Response, 1, &fields, true);
    let mut driver = play(&grpc::PROTOCOL, &[request], usize::MAX, &DecodeOptions::default());
    driver.feed(Response, &answer[..answer.len() - 2]);
    assert!(driver.lose(Response, 2));
    assert_eq!(driver.lines()[1], "< error | #1 | INTERNAL: ?");
}
