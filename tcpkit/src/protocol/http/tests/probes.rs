//! What first bytes look like.

use super::*;
use crate::protocol::Probe;

fn check_probe(bytes: &[u8], expect: Probe) {
    let probe = PROTOCOL.probe;
    assert_eq!(probe(bytes), expect, "{:?}", bytes.escape_ascii().to_string());
    for end in 0..bytes.len() {
        let earlier = probe(&bytes[..end]);
        // What was certain stays so, and nothing that is HTTP's looked foreign before.
        let agrees = earlier == Probe::Unsure || earlier == expect;
        assert!(
            agrees,
            "{earlier:?}, then {expect:?}: {:?}",
            bytes[..end].escape_ascii().to_string()
        );
    }
}

#[test]
fn request_lines_are_requests() {
    for head in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\n\n",
        "\r\nPOST /a?b=c HTTP/1.1\r\n",
        "HEAD http://h/ HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT h:443 HTTP/1.1\r\n",
        "CONNECT [::1]:443 HTTP/1.1\r\n",
        "M-SEARCH * HTTP/1.1\r\n",
        "VERSION-CONTROL /x HTTP/1.1\r\n",
        "PROPFIND /\u{fc} HTTP/1.1\r\n",
    ] {
        check_probe(head.as_bytes(), Probe::Request);
    }
}

#[test]
fn status_lines_are_responses() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\r\n", "\r\nHTTP/1.1 100 Continue\r\n\r\n"] {
        check_probe(head.as_bytes(), Probe::Response);
    }
}

#[test]
fn other_protocols_are_not_http_1() {
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET foo\r\n",
        b"get foo\r\n",
        b"GET /foo\r\n",
        b"SET foo bar\r\n",
        b"SUBSCRIBE news\r\n",
        b"COPY a b\r\n",
        b"COPY /a b\r\n",
        b"MOVE foo 1\r\n",
        b"OPTIONS rtsp://h/ RTSP/1.0\r\n",
        b"OPTIONS sip:h SIP/2.0\r\n",
        b"REGISTER sip:h SIP/2.0\r\n",
        b"HTTP/2 200\r\n",
        b"HTTP/1.1-200",
        b"HTTP/1.1 x",
        b"ICY 200 OK\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"CONNECT /x HTTP/1.1\r\n",
        b"get / HTTP/1.1\r\n",
        b"GETX / HTTP/1.1\r\n",
        b"VERSION\r\n",
        b"BAN\r\n",
        b"\x00\x00\x00\x1c\x00\x12",
        b"+OK\r\n",
        b"220 mail ESMTP\r\n",
    ] {
        check_probe(bytes, Probe::No);
    }
}

#[test]
fn nobody_is_waited_for_forever() {
    let endless = [b"GET /".to_vec(), vec![b'x'; 17 * 1024]].concat();
    check_probe(&endless[..1024], Probe::Unsure);
    assert_eq!((PROTOCOL.probe)(&endless), Probe::No);
    assert_eq!((PROTOCOL.probe)(&[b'\n'; 17 * 1024]), Probe::No);
}
