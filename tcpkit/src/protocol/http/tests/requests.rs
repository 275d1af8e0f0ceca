//! Requests: what is shown, and where they end.

use super::*;

#[test]
fn a_request_is_shown_as_method_host_and_target() {
    for (head, expect) in [
        ("GET / HTTP/1.1\nHost: example.com\n\n", "> GET | ordered | GET example.com/"),
        ("GET /a?b=c HTTP/1.1\nhost:h:8080\n\n", "> GET | ordered | GET h:8080/a?b=c"),
        ("DELETE /x HTTP/1.0\n\n", "> DELETE | ordered | DELETE /x"),
        ("GET http://h/a HTTP/1.1\nHost: other\n\n", "> GET | ordered | GET http://h/a"),
        ("OPTIONS * HTTP/1.1\nHost: h\n\n", "> OPTIONS | ordered | OPTIONS *"),
        ("CONNECT h:443 HTTP/1.1\nHost: h:443\n\n", "> CONNECT | ordered | CONNECT h:443"),
        ("HEAD / HTTP/1.1\nHost: [::1]:80\n\n", "> HEAD | ordered | HEAD [::1]:80/"),
        ("BREW /pot HTTP/1.1\nHost: h\nHost: i\n\n", "> BREW | ordered | BREW h/pot"),
        ("POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n", "> POST | ordered | POST h/"),
        ("GET /\u{fc} HTTP/1.1\nHost: h\n\n", "> GET | ordered | GET h/\u{fc}"),
    ] {
        check(Request, head, &[expect]);
    }
}

#[test]
fn a_body_is_the_last_part_of_its_request() {
    for body in [
        "Content-Length: 5\n\nhello",
        "Content-Length: 5\nContent-Length: 5\n\nhello",
        "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n",
        "Transfer-Encoding: gzip, chunked\n\n1;a=\"b\"\nh\n004 \nello\n000\nTrailer: x\nA: b\n\n",
    ] {
        let bytes = format!("POST /a HTTP/1.1\nHost: h\n{body}");
        // The text of bodies is not to be given other line ends.
        let expect = ["> POST | ordered first | POST h/a", ">  | ordered last"];
        check(Request, &bytes, &expect);
        let twice = bytes.repeat(2);
        check(Request, &twice, &[expect, expect].concat());
    }
}

#[test]
fn a_body_that_looks_like_requests_is_none() {
    let body = "GET /fake HTTP/1.1\r\n\r\n";
    let bytes = format!("PUT / HTTP/1.1\nHost: h\nContent-Length: {}\n\n{body}", body.len());
    check(Request, &bytes, &["> PUT | ordered first | PUT h/", ">  | ordered last"]);
}

#[test]
fn pipelined_requests_are_apart() {
    let bytes = "GET /1 HTTP/1.1\n\nPOST /2 HTTP/1.1\nContent-Length: 2\n\nabGET /3 HTTP/1.1\n\n";
    let expect = [
        "> GET | ordered | GET /1",
        "> POST | ordered first | POST /2",
        ">  | ordered last",
        "> GET | ordered | GET /3",
    ];
    check(Request, bytes, &expect);
}

#[test]
fn line_ends_may_be_bare_and_empty_lines_may_come_first() {
    for bytes in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n\r\n",
    ] {
        let driver = decode_all(Request, bytes.as_bytes());
        assert_eq!(driver.broken, None, "{bytes:?}");
        assert_eq!(driver.lines(), ["> GET | ordered | GET h/"], "{bytes:?}");
    }
}

#[test]
fn header_fields_become_details() {
    check_fields(
        Request,
        "POST /a/b?c=d&token=e HTTP/1.1\nHost: u@h\nUser-Agent: curl/8\nuser-agent: second\n\
         CONTENT-TYPE: text/plain\nContent-Length: 3\nX-Request-ID: 7\nTraceparent: 00-1\n\
         Upgrade: h2c\n\nabc",
        "method=POST host=h path=/a/b query=c=d&token=(redacted) version=1.1 user_agent=curl/8 \
         request_type=text/plain x_request_id=7 traceparent=00-1 upgrade=h2c request_body=3",
    );
    check_fields(
        Request,
        "GET http://u:p@h:81/x HTTP/1.0\nHost: i\n\n",
        "method=GET host=h:81 path=/x version=1.0",
    );
    check_fields(Request, "CONNECT h:1 HTTP/1.1\n\n", "method=CONNECT host=h:1 version=1.1");
    check_fields(Request, "OPTIONS * HTTP/1.1\n\n", "method=OPTIONS path=* version=1.1");
}

#[test]
fn secrets_are_nowhere() {
    let bytes = crlf(
        "GET http://alice:hunter2@h/;session=hunter2?to%6ben=hunter2&ticket=hunter2 HTTP/1.1\n\
         Host: alice:hunter2@h\nAuthorization: Bearer hunter2\nCookie: a=hunter2\nCookie: hunter2\n\
         Proxy-Authorization: Basic hunter2\nX-Api-Key: hunter2\n\n",
    );
    let options = DecodeOptions {
        max_text: 1000,
        secrets: SecretNames::with(&["ticket".to_owned()]),
        ..DecodeOptions::default()
    };
    let driver = driver::decode_all(&PROTOCOL, Request, bytes.as_bytes(), &options);
    let [seen] = &driver.seen[..] else { panic!("{:?}", driver.seen) };
    assert!(!format!("{seen:?}").contains("hunter2"), "{seen:?}");
    assert!(seen.fields.contains("authorization=Bearer (redacted)"), "{}", seen.fields);
    assert!(seen.fields.contains("cookie=(redacted)"), "{}", seen.fields);
    for strange in ["hunter2", "  hunter2", "hunter2,x y", "Basic=hunter2 x"] {
        let head = format!("GET / HTTP/1.1\nAuthorization: {strange}\n\n");
        check_fields(Request, &head, "method=GET path=/ version=1.1 authorization=(redacted)");
    }
    check_fields(
        Response,
        "HTTP/1.1 204 No\nSet-Cookie: a=hunter2\nSet-Cookie: b\n\n",
        "status=204 set_cookie=(redacted) response_body=0",
    );
}

#[test]
fn what_drives_a_terminal_is_not_printed() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\x80\r\nUser-Agent: \xe2\x80\xae\xff\r\n\r\n";
    let driver = decode_all(Request, bytes);
    assert_eq!(driver.lines(), ["> GET | ordered | GET h\\x80/"]);
    assert!(driver.seen[0].fields.contains("user_agent=\\xe2\\x80\\xae\\xff"));
}

#[test]
fn long_things_are_shown_in_part() {
    let long = "x".repeat(30_000);
    let less = "x".repeat(15_000);
    let head = format!("GET /{less}?{less} HTTP/1.1\r\nHost: {less}\r\nUser-Agent: {less}\r\n\r\n");
    // A head is let grow to 64 KiB, and no farther.
    let too_long = format!("GET / HTTP/1.1\r\nA: {long}\r\nB: {long}\r\nC: {long}\r\n\r\n");
    for size in [3_000, 1_000_000] {
        let driver =
            decode_cut(&PROTOCOL, Request, head.as_bytes(), &[size], DecodeOptions::default());
        assert_eq!(driver.broken, None);
        let [seen] = &driver.seen[..] else { panic!("{:?}", driver.seen) };
        assert!(seen.text.len() <= 128 && seen.text.ends_with("xxx..."));
        assert!(seen.fields.len() < 5 * 300, "{}", seen.fields.len());
        let driver =
            decode_cut(&PROTOCOL, Request, too_long.as_bytes(), &[size], DecodeOptions::default());
        assert_eq!(driver.broken.is_some(), size < 64 * 1024, "what is there at once is read");
    }
}
