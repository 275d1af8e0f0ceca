//! Frames of all types, and those that break the rules.

use super::*;

#[test]
fn frames_that_belong_to_no_stream_say_nothing() {
    let mut talk = Talk::default();
    let mut script = Vec::new();
    for direction in [Request, Response] {
        let settings = [[0, 3, 0, 0, 0, 100], [0, 5, 0, 1, 0, 0]].concat();
        script.push((direction, frame(kind::SETTINGS, 0, 0, &settings)));
        script.push((direction, frame(kind::SETTINGS, flag::ACK, 0, &[])));
        script.push((direction, frame(kind::PING, 0, 0, &[7; 8])));
        script.push((direction, frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])));
        script.push((direction, frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0])));
        script.push((direction, frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 1, 15])));
        script.push((direction, frame(kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0why?")));
        // Types that nobody knows are to be ignored.
        script.push((direction, frame(0xfa, 0xff, 9, &[1; 100])));
        script.push((direction, frame(0xfb, 0, 0, &[])));
    }
    script.push((Request, talk.headers(Request, 1, GET, true)));
    check(&script, &["> GET | #1 | GET example.com/a?x=1"]);
}

#[test]
fn padding_and_priority_are_no_content() {
    let mut talk = Talk::default();
    let block = talk.block(Request, GET);
    let all = flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    let headers = [&[3][..], &[0x80, 0, 0, 0, 15], &block, &[0; 3]].concat();
    let body = [&[200][..], b"hello", &[0; 200]].concat();
    let answer = talk.headers(Response, 1, &[(":status", "200")], true);
    let script = [
        (Request, frame(kind::HEADERS, all, 1, &headers)),
        (Request, frame(kind::DATA, flag::PADDED, 1, &body)),
        (Request, frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, &[2, 0, 0])),
        (Response, answer),
    ];
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(
        driver.lines(),
        [
            "> GET | #1 first | GET example.com/a?x=1",
            ">  | #1 middle",
            ">  | #1 last",
            "< ok | #1 | 200",
        ]
    );
    assert_eq!(driver.seen[3].fields, "status=200 request_body=5 response_body=0");
}

#[test]
fn header_blocks_may_be_continued() {
    let mut talk = Talk::default();
    for pieces in [1, 2, 5, 20] {
        let block = talk.block(Request, GET);
        let size = block.len().div_ceil(pieces);
        let mut bytes = Vec::new();
        let count = block.chunks(size).count();
        for (at, piece) in block.chunks(size).enumerate() {
            let flags = if at + 1 == count { flag::END_HEADERS } else { 0 };
            let kind = if at == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let flags = if at == 0 { flags | flag::END_STREAM } else { flags };
            bytes.extend(frame(kind, flags, 1, piece));
        }
        check(&[(Request, bytes)], &["> GET | #1 | GET example.com/a?x=1"]);
        talk = Talk::default();
    }
}

#[test]
fn a_header_block_that_is_too_long_is_skipped() {
    let mut talk = Talk::default();
    let long = [(":method", "GET"), ("x-long", &"y".repeat(120_000))];
    let block = talk.block(Request, &long);
    let mut bytes = Vec::new();
    let count = block.chunks(16_000).count();
    for (at, piece) in block.chunks(16_000).enumerate() {
        let last = if at + 1 == count { flag::END_HEADERS } else { 0 };
        let first = (kind::HEADERS, last | flag::END_STREAM);
        let (kind, flags) = if at == 0 { first } else { (kind::CONTINUATION, last) };
        bytes.extend(frame(kind, flags, 1, piece));
    }
    // What was said before and in it is unknown from then on; what is said again is not.
    let mut script = vec![(Request, talk.headers(Request, 3, GET, true))];
    script.insert(0, (Request, bytes));
    script.push((Request, talk.headers(Request, 5, GET, true)));
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!(driver.broken, None);
    assert_eq!(
        driver.lines(),
        [
            "> ? | #1 | ? ?",
            "> GET | #3 | GET example.com/a?x=1",
            "> GET | #5 | GET example.com/a?x=1",
        ]
    );
    assert!(driver.held <= 80_000);
}

#[test]
fn a_flood_of_continuations_is_not_kept() {
    let mut script = vec![(Request, frame(kind::HEADERS, flag::END_STREAM, 1, b"\x82"))];
    for _ in 0..200 {
        script.push((Request, frame(kind::CONTINUATION, 0, 1, b"")));
    }
    script.push((Request, frame(kind::CONTINUATION, flag::END_HEADERS, 1, b"\x87")));
    let driver = play_all(&PROTOCOL, &script, &DecodeOptions::default());
    assert_eq!((driver.broken, driver.lines()), (None, vec!["> ? | #1 | ? ?".to_owned()]));
    assert!(driver.held < 1000);
}

#[test]
fn longer_frames_are_taken_where_the_other_side_allows_them() {
    let mut talk = Talk::default();
    let long = data(1, &[b'x'; 20_000], true);
    let settings = (Request, frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x80, 0]));
    let request = (Request, talk.headers(Request, 1, GET, true));
    let begin = (Response, talk.headers(Response, 1, OK, false));
    let script = [settings, request, begin, (Response, long)];
    let options = DecodeOptions::default();
    let driver = play_all(&PROTOCOL, &script, &options);
    assert_eq!(driver.broken, None);
    assert_eq!(driver.lines().last().unwrap(), "< ok | #1 last | 200");
    assert!(driver.held < 100);
    let driver = play_all(&PROTOCOL, &script[1..], &options);
    assert_eq!(driver.broken, Some("a frame is longer than allowed"));
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let mut talk = Talk::default();
    let block = talk.block(Request, GET);
    let whole = flag::END_HEADERS;
    let continued = frame(kind::HEADERS, 0, 1, &block);
    for (direction, bytes) in [
        (Request, data(0, b"x", false)),
        (Request, frame(kind::HEADERS, whole, 2, &block)),
        (Request, frame(kind::HEADERS, whole, 0, &block)),
        (Request, frame(kind::HEADERS, whole | flag::PADDED, 1, &[200, 0x82])),
        (Request, frame(kind::DATA, flag::PADDED, 1, &[5, 1, 2])),
        (Request, frame(kind::SETTINGS, 0, 1, &[])),
        (Request, frame(kind::SETTINGS, 0, 0, &[1])),
        (Request, frame(kind::SETTINGS, flag::ACK, 0, &[0; 6])),
        (Request, frame(kind::PING, 0, 0, &[0; 7])),
        (Request, frame(kind::RST_STREAM, 0, 1, &[0; 5])),
        (Request, frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3])),
        (Request, frame(kind::GOAWAY, 0, 0, &[0; 7])),
        (Request, frame(kind::PUSH_PROMISE, whole, 1, &[0, 0, 0, 2, 0x82])),
        (Request, frame(kind::CONTINUATION, whole, 1, &block)),
        (Request, [continued.clone(), data(1, b"x", false)].concat()),
        (Request, [continued, frame(kind::CONTINUATION, whole, 3, &[])].concat()),
        (Request, frame(kind::HEADERS, whole, 1, &[0x80])),
    ] {
        assert!(broken(direction, &bytes).is_some(), "{bytes:x?}");
    }
    for (direction, bytes) in [
        (Request, &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..]),
        (Request, b"PRI * HTTP/2.0\r\n\r\nSMOKE"),
        (Request, b"*1\r\n$4\r\nPING\r\n"),
        (Response, b"HTTP/1.1 200 OK\r\n\r\n"),
        (Response, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"),
        (Response, &frame(kind::SETTINGS, flag::ACK, 0, &[])),
    ] {
        let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
        driver.feed(direction, bytes);
        assert!(driver.broken.is_some(), "{bytes:x?}");
    }
}
