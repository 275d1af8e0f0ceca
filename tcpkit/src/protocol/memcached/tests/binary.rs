//! The binary protocol.

use super::{packets::*, *};

fn check_binary(dialogue: &[(Direction, Vec<u8>)], expect: &[&str]) {
    let driver = play(dialogue);
    assert_eq!(driver.broken, None, "{:#?}", driver.lines());
    assert_eq!(driver.lines(), expect);
    assert!(driver.pending.iter().all(Vec::is_empty));
}

#[test]
fn requests_are_answered_in_order() {
    let count =
        packet(0x80, INCREMENT, 0, 6, [&[[0; 7].as_slice(), &[5], &[0; 12]].concat(), b"n", b""]);
    check_binary(
        &[
            (Request, request(NOOP, 1, "")),
            (Response, response(NOOP, 0, 1, b"")),
            (Request, store(SET, 2, "a", b"one")),
            (Response, response(SET, 0, 2, b"")),
            (Request, request(GET, 3, "a")),
            (Response, hit(GET, 3, "", b"\x81\x00END\r\n")),
            (Request, request(GET, 0, "b")),
            (Request, store(ADD, 0, "a", b"")),
            (Request, count),
            (Request, request(DELETE, 7, "x y")),
            (Request, packet(0x80, APPEND, 0, 8, [b"", b"a", b"+"])),
            (Response, response(GET, 1, 0, b"Not found")),
            (Response, response(ADD, 2, 0, b"Data exists for key.")),
            (Response, response(INCREMENT, 0, 6, &[0, 0, 0, 0, 0, 0, 0, 15])),
            (Response, response(DELETE, 0, 7, b"")),
            (Response, response(APPEND, 5, 8, b"Not stored.")),
            (Request, expires(TOUCH, 9, "a", 100)),
            (Request, expires(GAT, 10, "a", 100)),
            (Request, request(VERSION, 11, "")),
            (Request, request(0x70, 12, "a")),
            (Request, request(QUIT, 13, "")),
            (Response, hit(TOUCH, 9, "", b"")),
            (Response, hit(GAT, 10, "", b"one")),
            (Response, response(VERSION, 0, 11, b"1.6.18")),
            (Response, response(0x70, 0x81, 12, b"Unknown command")),
            (Response, response(QUIT, 0, 13, b"")),
        ],
        &[
            "> NOOP | ordered | noop",
            "< ok | ordered",
            "> SET | ordered | set a 5 0 3 one",
            "< ok | ordered",
            "> GET | ordered | get a",
            "< ok | ordered",
            "> GET | ordered | get b",
            "> ADD | ordered | add a 5 0 0 \"\"",
            "> INCREMENT | ordered | increment n 5 0",
            "> DELETE | ordered | delete x y",
            "> APPEND | ordered | append a 1 +",
            "< ok | ordered | MISS",
            "< ok | ordered | EXISTS",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered | NOT_STORED",
            "> TOUCH | ordered | touch a 100",
            "> GAT | ordered | gat 100 a",
            "> VERSION | ordered | version",
            "> 0x70 | ordered | 0x70 a",
            "> QUIT | ordered | quit",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< error | ordered | UNKNOWN_COMMAND",
            "< ok | ordered",
        ],
    );
}

#[test]
fn quiet_hits_are_told_by_opaque_and_key() {
    check_binary(
        &[
            (Request, request(GETQ, 1, "a")),
            (Request, request(GETQ, 2, "b")),
            (Request, request(GETKQ, 0, "c")),
            (Request, request(GETKQ, 0, "d")),
            (Request, request(NOOP, 0, "")),
            (Response, hit(GETQ, 2, "", b"x")),
            (Response, hit(GETKQ, 0, "d", b"x")),
            (Response, response(NOOP, 0, 0, b"")),
        ],
        &[
            "> GETQ | ordered | getq a",
            "> GETQ | ordered | getq b",
            "> GETKQ | ordered | getkq c",
            "> GETKQ | ordered | getkq d",
            "> NOOP | ordered | noop",
            "< ok | ordered passes 1",
            "< ok | ordered passes 1",
            "< ok | ordered",
        ],
    );
    // With the same opaque nobody can tell.
    check_binary(
        &[
            (Request, request(GETQ, 0, "a")),
            (Request, request(GETQ, 0, "b")),
            (Request, request(NOOP, 0, "")),
            (Response, hit(GETQ, 0, "", b"x")),
            (Response, response(NOOP, 0, 0, b"")),
        ],
        &[
            "> GETQ | ordered | getq a",
            "> GETQ | ordered | getq b",
            "> NOOP | ordered | noop",
            "< ok | one-way",
            "< ok | ordered passes 2",
        ],
    );
}

#[test]
fn quiet_stores_are_answered_when_they_fail() {
    check_binary(
        &[
            (Request, store(SETQ, 1, "a", b"x")),
            (Request, store(SETQ, 1, "b", b"x")),
            (Request, store(SET, 1, "b", b"x")),
            (Response, response(SETQ, 3, 1, b"Too large.")),
            (Response, response(SET, 0, 1, b"")),
        ],
        &[
            "> SETQ | one-way | setq a 5 0 1 x",
            "> SETQ | one-way | setq b 5 0 1 x",
            "> SET | ordered | set b 5 0 1 x",
            "< error | one-way | TOO_LARGE",
            "< ok | ordered",
        ],
    );
}

#[test]
fn statistics_end_with_a_packet_without_key() {
    let item = |key: &str| packet(0x81, STAT, 0, 1, [b"", key.as_bytes(), &[b'x'; 300]]);
    check_binary(
        &[
            (Request, request(STAT, 1, "items")),
            (Request, request(STAT, 2, "nosuch")),
            (Response, item("a")),
            (Response, item("b")),
            (Response, response(STAT, 0, 1, b"")),
            (Response, response(STAT, 1, 2, b"Not found")),
        ],
        &[
            "> STAT | ordered | stat items",
            "> STAT | ordered | stat nosuch",
            "< ok | ordered",
            "< ok | ordered | NOT_FOUND",
        ],
    );
}

#[test]
fn secrets_are_not_shown() {
    let secret = |opcode, opaque| {
        (Request, packet(0x80, opcode, 0, opaque, [b"", b"PLAIN", b"\0bob\0hunter2"]))
    };
    let driver = play(&[
        (Request, request(SASL_LIST, 1, "")),
        (Response, response(SASL_LIST, 0, 1, b"PLAIN CRAM-MD5")),
        secret(SASL_AUTH, 2),
        (Response, response(SASL_AUTH, 0x21, 2, b"hunter2")),
        secret(SASL_STEP, 3),
        (Response, response(SASL_STEP, 0x20, 3, b"Auth failure.")),
    ]);
    assert_eq!(
        driver.lines(),
        [
            "> SASL_LIST_MECHS | ordered | sasl_list_mechs",
            "< ok | ordered",
            "> SASL_AUTH | ordered | sasl_auth PLAIN (redacted)",
            "< ok | ordered | AUTH_CONTINUE",
            "> SASL_STEP | ordered | sasl_step PLAIN (redacted)",
            "< error | ordered | AUTH_ERROR",
        ],
    );
    assert!(driver.seen.iter().all(|seen| !seen.fields.contains("hunter")));
    assert!(driver.seen[2].fields.contains("mechanism=PLAIN"));
}

#[test]
fn large_values_come_in_parts() {
    check_binary(
        &[
            (Request, store(SET, 1, "a", &[b'x'; 2000])),
            (Response, response(SET, 3, 1, b"Too large.")),
            (Request, request(GET, 2, "a")),
            (Response, hit(GET, 2, "", &[b'x'; 100_000])),
        ],
        &[
            &format!("> SET | ordered first | set a 5 0 2000 {}...", "x".repeat(110)),
            ">  | ordered last",
            "< error | ordered | TOO_LARGE",
            "> GET | ordered | get a",
            "< ok | ordered",
        ],
    );
}

#[test]
fn fields_say_what_was_asked_and_found() {
    let driver = play(&[
        (Request, store(SET, 7, "a", b"one")),
        (Response, response(SET, 0, 7, b"")),
        (Request, request(GETKQ, 8, "a")),
        (Response, hit(GETKQ, 8, "a", b"one")),
    ]);
    let fields: Vec<_> = driver.seen.iter().map(|seen| seen.fields.as_str()).collect();
    assert_eq!(
        fields,
        [
            "command=SET key=a bytes=3 exptime=0 opaque=7",
            "result=STORED",
            "command=GETKQ key=a opaque=8 quiet=1",
            "result=HIT reply_bytes=3",
        ],
    );
}

#[test]
fn what_is_no_packet_ends_the_reading() {
    let mut short = request(GET, 1, "a");
    short[11] = 0;
    for dialogue in [
        vec![(Request, short)],
        vec![(Request, [request(NOOP, 1, ""), b"get a\r\n".to_vec()].concat())],
        vec![(Request, request(GET, 1, "a")), (Response, response(GET, 0, 2, b""))],
        vec![(Request, request(GET, 1, "a")), (Response, response(SET, 0, 1, b""))],
        vec![(Request, request(GET, 1, "a")), (Response, b"END\r\n".to_vec())],
    ] {
        assert!(play(&dialogue).broken.is_some(), "{dialogue:?}");
    }
}
