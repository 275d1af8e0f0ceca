//! Responses: what is shown, and where they end.

use super::*;

#[test]
fn a_response_is_shown_by_its_status() {
    for (bytes, expect) in [
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "< ok | ordered | 200"),
        ("HTTP/1.1 200\nContent-Length: 3\n\nabc", "< ok | ordered | 200"),
        ("HTTP/1.0 302 Found\nContent-Length: 1\n\nx", "< ok | ordered | 302"),
        ("HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno", "< error | ordered | 404"),
        ("HTTP/1.1 500 \nContent-Length: 2\n\nno", "< error | ordered | 500"),
        ("HTTP/1.1 204 No Content\n\n", "< ok | ordered | 204"),
        ("HTTP/1.1 304 Not Modified\nContent-Length: 1000\n\n", "< ok | ordered | 304"),
        (
            "HTTP/1.1 304 \nContent-Length: x\nTransfer-Encoding: chunked\n\n",
            "< ok | ordered | 304",
        ),
        ("HTTP/1.1 205 \nContent-Length: 0\n\n", "< ok | ordered | 205"),
        ("HTTP/1.1 999 \nContent-Length: 0\n\n", "< error | ordered | 999"),
    ] {
        check(Response, bytes, &[expect]);
        check(Response, &bytes.repeat(3), &[expect, expect, expect]);
    }
}

#[test]
fn chunks_are_read_to_their_end() {
    for chunks in [
        "0\n\n",
        "5\nhello\n0\n\n",
        "A\n0123456789\n0000a;x=y;z=\"w\"\n0123456789\n0\n\n",
        "1 ; x\na\n1\t;y\nb\n0 \nA: b\nC:\n\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{chunks}");
        check(Response, &bytes.repeat(2), &["< ok | ordered | 200", "< ok | ordered | 200"]);
    }
    check_fields(
        Response,
        "HTTP/1.1 200 OK\nContent-Type: text/html; charset=utf-8\nTransfer-Encoding: chunked\n\n\
         3\nabc\n10\n0123456789abcdef\n0\n\n",
        "status=200 content_type=text/html; charset=utf-8 response_body=19",
    );
}

#[test]
fn broken_chunks_are_told() {
    for chunks in [
        "x",
        "\n",
        " 5\nhello\n",
        "5\nhello!\n",
        "5\nhell\r\n\r\n0\n\n",
        "-1\n",
        "5:\nhello\n",
        "+5\n",
        "0x5\n",
        "11111111111111111\n",
        "0\nno name\n\n",
        "0\n: empty\n\n",
    ] {
        check_invalid(
            Response,
            &format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{chunks}"),
        );
    }
    for lone_lf in ["5\nhello\r\n", "5\r\nhello\n0\r\n", "5;a\nhello\r\n", "5\r\nhello\r\r\n"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{lone_lf}");
        assert!(decode_all(Response, bytes.as_bytes()).broken.is_some(), "{lone_lf:?}");
    }
}

#[test]
fn lines_of_chunks_are_bounded() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for line in [
        format!("5;{}", "x".repeat(20_000)),
        format!("{}5", "0".repeat(20_000)),
        format!("0\r\nA: {}", "x".repeat(40_000)),
    ] {
        let bytes = format!("{head}{line}");
        let driver =
            decode_cut(&PROTOCOL, Response, bytes.as_bytes(), &[1000], DecodeOptions::default());
        assert!(driver.broken.is_some());
        assert!(driver.held <= 33 * 1024, "{}", driver.held);
    }
}

#[test]
fn interim_responses_are_not_the_response() {
    let interim = "HTTP/1.1 100 Continue\n\nHTTP/1.1 102 \n\nHTTP/1.1 103 Early Hints\nLink: x\n\n";
    let bytes = format!("{interim}HTTP/1.1 201 Created\nContent-Length: 1\n\nx");
    let one_way = "< ok | one-way";
    check(Response, &bytes, &[one_way, one_way, one_way, "< ok | ordered | 201"]);
    // Whatever it says of its length.
    let odd = "HTTP/1.1 100 Continue\nContent-Length: 5\n\nHTTP/1.1 200 OK\nContent-Length: 0\n\n";
    check(Response, odd, &[one_way, "< ok | ordered | 200"]);
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    for (head, body) in [
        ("HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n", "HTTP/1.1 404 no\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: gzip\r\n\r\n", "\r\n"),
    ] {
        let bytes = format!("{head}{body}");
        for size in [1, 7, 1000] {
            let mut driver = decode_cut(
                &PROTOCOL,
                Response,
                bytes.as_bytes(),
                &[size],
                DecodeOptions::default(),
            );
            assert_eq!(driver.lines(), Vec::<String>::new());
            driver.end(Request);
            driver.end(Response);
            assert_eq!(driver.lines(), ["< ok | ordered | 200"]);
            let size = format!("response_body={}", body.len());
            assert!(driver.seen[0].fields.ends_with(&size), "{}", driver.seen[0].fields);
        }
    }
    // One that is not complete does not end so, and neither does one that has ended.
    for bytes in [
        "",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhell",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n",
        "HTTP/1.1 200 OK\n",
    ] {
        let mut driver = new_driver();
        driver.feed(Response, crlf(bytes).as_bytes());
        driver.end(Response);
        assert_eq!(driver.lines(), Vec::<String>::new(), "{bytes:?}");
    }
}

#[test]
fn other_things_are_no_responses() {
    for bytes in [
        "HTTP/2 200 OK\n\n",
        "HTTP/1.2 200 OK\n\n",
        "HTTP/1.1 20 OK\n\n",
        "HTTP/1.1 099 OK\n\n",
        "HTTP/1.1 2000 OK\n\n",
        "ICY 200 OK\n\n",
        "<html></html>\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 5x\n\nhello",
        "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\nhello",
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked, gzip\n\n0\n\n",
        "HTTP/1.1 200 OK\nA: b\n c\n\n",
        "HTTP/1.1 200 OK\nA : b\n\n",
        "HTTP/1.1 200 OK\nno colon\n\n",
    ] {
        check_invalid(Response, bytes);
    }
}
