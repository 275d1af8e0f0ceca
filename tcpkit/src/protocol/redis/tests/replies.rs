//! What servers send.

use super::*;

fn check_one(bytes: &[u8], fields: &str) {
    let mut twice = bytes.to_vec();
    twice.extend_from_slice(bytes);
    let driver = decode_all(Response, &twice, DecodeOptions::default());
    let shown = bytes.escape_ascii().to_string();
    assert_eq!(driver.broken, None, "{shown}");
    assert_eq!(driver.seen.len(), 2, "{shown}");
    for seen in &driver.seen {
        assert_eq!(seen.fields, fields, "{shown}");
        let error = fields.starts_with("reply=error") || fields.starts_with("reply=bulk_error");
        assert_eq!(seen.status == Status::Error, error, "{shown}");
    }
    let bare = decode_all(
        Response,
        &twice,
        DecodeOptions { max_text: 128, fields: false, ..DecodeOptions::default() },
    );
    assert_eq!(bare.seen.len(), 2, "{shown}");
}

#[test]
fn every_type_is_one_reply() {
    for (bytes, fields) in [
        ("+OK\r\n", "reply=simple"),
        ("+\r\n", "reply=simple"),
        ("-ERR unknown command\r\n", "reply=error error=ERR unknown command"),
        (":0\r\n", "reply=integer"),
        (":-9223372036854775808\r\n", "reply=integer"),
        (":+7\r\n", "reply=integer"),
        ("$0\r\n\r\n", "reply=bulk reply_len=0"),
        ("$5\r\na\r\nbc\r\n", "reply=bulk reply_len=5"),
        ("$-1\r\n", "reply=null"),
        ("*-1\r\n", "reply=null"),
        ("_\r\n", "reply=null"),
        ("#t\r\n", "reply=boolean"),
        (",3.14\r\n", "reply=double"),
        (",-inf\r\n", "reply=double"),
        (",1e-5\r\n", "reply=double"),
        ("(3492890328409238509324850943850943825024385\r\n", "reply=big_number"),
        ("!5\r\nERR x\r\n", "reply=bulk_error reply_len=5 error=ERR x"),
        ("=8\r\ntxt:abcd\r\n", "reply=verbatim reply_len=8"),
        ("*0\r\n", "reply=array reply_len=0"),
        ("*2\r\n$1\r\na\r\n:1\r\n", "reply=array reply_len=2"),
        ("*2\r\n*2\r\n*0\r\n+a\r\n*1\r\n$-1\r\n", "reply=array reply_len=2"),
        ("%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n~1\r\n#f\r\n", "reply=map reply_len=2"),
        ("~3\r\n+a\r\n+b\r\n+c\r\n", "reply=set reply_len=3"),
        (">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n", "reply=push reply_len=2"),
        ("|1\r\n+ttl\r\n:3600\r\n+OK\r\n", "reply=simple"),
        (
            "|1\r\n+k\r\n%1\r\n+a\r\n+b\r\n*2\r\n|1\r\n+x\r\n+y\r\n:1\r\n:2\r\n",
            "reply=array reply_len=2",
        ),
        ("$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", "reply=bulk"),
        ("*?\r\n:1\r\n*2\r\n+a\r\n*?\r\n.\r\n$?\r\n;1\r\nx\r\n;0\r\n.\r\n", "reply=array"),
        ("%?\r\n+a\r\n:1\r\n|1\r\n+x\r\n+y\r\n+b\r\n:2\r\n.\r\n", "reply=map"),
    ] {
        check_one(bytes.as_bytes(), fields);
    }
}

#[test]
fn an_array_that_says_get_is_a_reply() {
    check(Response, &command("GET foo"), &["< ok | ordered"]);
    check(Response, &command("SUBSCRIBE a"), &["< ok | ordered"]);
}

#[test]
fn an_error_inside_an_array_is_no_error() {
    check(Response, b"*2\r\n-ERR x\r\n+OK\r\n", &["< ok | ordered"]);
    check(Response, b"-WRONGTYPE Operation\r\n", &["< error | ordered"]);
}

#[test]
fn error_texts_are_bounded_and_harmless() {
    let mut bytes = b"-ERR \x1b[2J".to_vec();
    bytes.extend_from_slice(&[b'x'; 5000]);
    bytes.extend_from_slice(b"\r\n");
    let driver = decode_all(Response, &bytes, DecodeOptions::default());
    let fields = &driver.seen[0].fields;
    assert!(fields.starts_with("reply=error error=ERR \\x1b[2Jxxx"), "{fields}");
    assert!(fields.len() <= "reply=error error=".len() + 128);
    assert!(driver.held <= 128);
}

#[test]
fn what_breaks_resp_is_invalid() {
    for bytes in [
        &b"hello\r\n"[..],
        b"+a\nb\r\n",
        b"+a\rb\r\n",
        b":\r\n",
        b":1x\r\n",
        b":99999999999999999999\r\n",
        b"$-2\r\n",
        b"$3\r\nabcd\r\n",
        b"$x\r\n",
        b"*-2\r\n",
        b"%-1\r\n",
        b"*9223372036854775808\r\n",
        b"*9223372036854775807\r\n%9223372036854775807\r\n",
        b"#x\r\n",
        b"_1\r\n",
        b".\r\n",
        b";1\r\nx\r\n",
        b"=?\r\n",
        b"$?\r\n:1\r\n",
        b"$?\r\n;-1\r\n",
        b"*1\r\n.\r\n",
        b"*?\r\n|1\r\n+a\r\n+b\r\n.\r\n",
    ] {
        check_invalid(Response, bytes);
    }
}

#[test]
fn depth_costs_nothing() {
    let deep = b"*1\r\n".repeat(200_000);
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Response, &deep);
    driver.feed(Response, b":1\r\n");
    assert_eq!((driver.broken, driver.held, driver.seen.len()), (None, 0, 1));
    check_invalid(Response, &b"*?\r\n".repeat(40));
    let mut streams = b"*?\r\n".repeat(30);
    streams.extend(b".\r\n".repeat(30));
    check(Response, &streams, &["< ok | ordered"]);
}

#[test]
fn claims_are_not_believed() {
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Response, b"*9223372036854775807\r\n");
    for _ in 0..1000 {
        driver.feed(Response, b"$-1\r\n");
    }
    assert_eq!((driver.broken, driver.held, driver.seen.len()), (None, 0, 0));
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Response, b"$9223372036854775807\r\nabc");
    assert_eq!((driver.broken, driver.held), (None, 0));
    assert_eq!(driver.skip[1], 9_223_372_036_854_775_807 - 3);
}

#[test]
fn endless_lines_are_not_kept() {
    for kind in [b'+', b'-', b'('] {
        let mut driver = new_driver(DecodeOptions::default());
        driver.feed(Response, &[kind]);
        for _ in 0..1000 {
            driver.feed(Response, &[b'X'; 1000]);
        }
        assert_eq!(driver.broken, None);
        assert!(driver.held <= 1);
    }
}
