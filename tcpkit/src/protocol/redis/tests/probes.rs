//! What first bytes look like.

use super::*;
use crate::protocol::Probe;

fn check_probe(bytes: &[u8], expect: Probe) {
    assert_eq!((PROTOCOL.probe)(bytes), expect, "{:?}", bytes.escape_ascii().to_string());
    for end in 0..bytes.len() {
        let earlier = (PROTOCOL.probe)(&bytes[..end]);
        // What was certain stays so, and nothing that is Redis' looked foreign before.
        let agrees = match earlier {
            Probe::Unsure => true,
            Probe::Either => expect != Probe::Unsure,
            Probe::No => expect == Probe::No,
            certain => certain == expect,
        };
        assert!(
            agrees,
            "{earlier:?} then {expect:?}: {:?}",
            bytes[..end].escape_ascii().to_string()
        );
    }
}

#[test]
fn arrays_of_strings_may_be_either() {
    check_probe(b"*1\r\n$4", Probe::Either);
    check_probe(&command("get foo"), Probe::Either);
    check_probe(&command("GET"), Probe::Either);
    check_probe(b"*1000000\r\n$0\r\n\r\n", Probe::Either);
}

#[test]
fn known_words_are_requests() {
    for line in [
        "PING\r\n",
        "get foo\r\n",
        "  set a b\n",
        "\r\nping\n",
        "GET /x\r\n",
        // Nobody but its answer tells this from another protocol's.
        "GET /x HTTP/1.1\r\n",
    ] {
        check_probe(line.as_bytes(), Probe::Request);
    }
}

#[test]
fn what_only_servers_send_is_a_response() {
    for reply in [
        "+OK\r\n",
        "-ERR x\r\n",
        ":1\r\n",
        ":-1\r\n",
        "$3\r\nfoo\r\n",
        "$-1\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12\r\n",
        "!3\r\nERR\r\n",
        "=7\r\ntxt:foo\r\n",
        "%1\r\n",
        "~1\r\n",
        ">3\r\n",
        "|1\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*2\r\n:1\r\n",
        "*2\r\n*1\r\n",
        "*1\r\n$-1\r\n",
        "*?\r\n:1\r\n.\r\n",
        "$?\r\n;1\r\n",
        "+1795336510.794225 [0 lua]",
    ] {
        check_probe(reply.as_bytes(), Probe::Response);
    }
}

#[test]
fn other_protocols_are_not_redis() {
    for bytes in [
        &b"POST / HTTP/1.1\r\n"[..],
        b"HTTP/1.1 200 OK\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\x00\x00\x00\x1c\x00\x12",
        b"SSH-2.0-OpenSSH\r\n",
        b"*x\r\n",
        b"*1\r\nfoo",
        b"$x",
        b"+ok",
        b"getx y\r\n",
    ] {
        check_probe(bytes, Probe::No);
    }
}
