//! Heads that two programs may read in two ways: read as RFC 9112 says, or not at all.

use super::*;

#[test]
fn a_transfer_coding_wins_over_a_length_and_that_is_noted() {
    for fields in [
        "Content-Length: 4\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 4",
        "Content-Length: 4\nContent-Length: 5\nTransfer-Encoding: chunked",
    ] {
        let bytes = format!(
            "POST /1 HTTP/1.1\nHost: h\n{fields}\n\n5\nhello\n0\n\nGET /2 HTTP/1.1\nHost: h\n\n"
        );
        let expect =
            ["> POST | ordered first | POST h/1", ">  | ordered last", "> GET | ordered | GET h/2"];
        check(Request, &bytes, &expect);
        check_fields(
            Request,
            &bytes,
            "method=POST host=h path=/1 version=1.1 \
             warning=content-length beside transfer-encoding",
        );
    }
}

#[test]
fn what_is_ambiguous_is_not_read() {
    for fields in [
        "Content-Length: 5\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: \x0b5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "A: b\n Content-Length: 5",
        "A: b\n\tc",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\nTransfer-Encoding: cow",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:",
        "Transfer Encoding: chunked",
        ": x",
        "no colon",
    ] {
        check_invalid(Request, &format!("POST / HTTP/1.1\nHost: h\n{fields}\n\n0\n\n"));
    }
    for head in [
        "GET  / HTTP/1.1\n\n",
        "GET / HTTP/1.1 \n\n",
        "GET / a HTTP/1.1\n\n",
        "GET /\n\n",
        "GET / HTTP/1.1\n Host: h\n\n",
        "GET / HTTP/1.1x\n\n",
        "GET / http/1.1\n\n",
        "GET\t/ HTTP/1.1\n\n",
        " GET / HTTP/1.1\n\n",
        "G(T / HTTP/1.1\n\n",
        "PRI * HTTP/2.0\n\nSM\n\n",
        "GET / HTTP/2.0\n\n",
        "POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n0\n\n",
    ] {
        check_invalid(Request, head);
    }
    for head in [
        &b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ] {
        assert!(decode_all(Request, head).broken.is_some(), "{}", head.escape_ascii());
    }
}
