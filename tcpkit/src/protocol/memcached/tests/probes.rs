//! What first bytes look like.

use super::{packets::*, *};
use crate::protocol::Probe;

fn check_probe(bytes: &[u8], expect: Probe) {
    assert_eq!((PROTOCOL.probe)(bytes), expect, "{:?}", bytes.escape_ascii().to_string());
    for end in 0..bytes.len() {
        let earlier = (PROTOCOL.probe)(&bytes[..end]);
        // What was certain stays so, and nothing that is memcached's looked foreign before.
        let agrees = match earlier {
            Probe::Unsure => true,
            Probe::No => expect == Probe::No,
            certain => certain == expect,
        };
        let shown = bytes[..end].escape_ascii().to_string();
        assert!(agrees, "{earlier:?} then {expect:?}: {shown:?}");
    }
}

#[test]
fn commands_are_requests() {
    for line in [
        "get a|",
        "gets a b c|",
        "set a 5 0 3|one|",
        "set a 5 -1 3 noreply|",
        "cas a 5 0 3 17|",
        "gat 100 a|",
        "incr a 1|",
        "delete a noreply|",
        "touch a 0|",
        "mg a v|",
        "ms a 3 T0|",
        "md a q|",
        "mn|",
        "version|",
        "stats|",
        "stats items|",
        "flush_all|",
        "flush_all 10 noreply|",
        "quit|",
        "watch fetchers|",
        "lru_crawler metadump all|",
    ] {
        check_probe(&bytes(line), Probe::Request);
        check_probe(line.replace('|', "\n").as_bytes(), Probe::Request);
    }
    let keys: String = (0..3000).map(|key| format!(" key-{key}")).collect();
    check_probe(format!("get{keys}\r\n").as_bytes(), Probe::Request);
}

#[test]
fn what_only_servers_send_is_a_response() {
    for line in [
        "VALUE a 0 1|x|END|",
        "END|",
        "STORED|",
        "NOT_STORED|",
        "NOT_FOUND|",
        "DELETED|",
        "ERROR|",
        "CLIENT_ERROR x|",
        "SERVER_ERROR x|",
        "VERSION 1.6|",
        "STAT pid 1|",
        "HD|",
        "HD O1|",
        "VA 3|one|",
        "EN|",
        "MN|",
        "OK|",
        "17|",
        "key=a exp=-1|",
    ] {
        check_probe(&bytes(line), Probe::Response);
    }
}

#[test]
fn packets_say_who_sends_them() {
    let item = packet(0x81, STAT, 0, 1, [b"", b"pid", b"1"]);
    for request in [
        request(GET, 7, "a"),
        store(SET, 7, "a", b"x"),
        store(SETQ, 7, "a", &[]),
        request(NOOP, 0, ""),
        expires(GAT, 1, "a", 1),
        packet(0x80, APPEND, 0, 8, [b"", b"a", b"+"]),
        packet(0x80, SASL_AUTH, 0, 8, [b"", b"PLAIN", b"\0a\0b"]),
    ] {
        check_probe(&request, Probe::Request);
    }
    for response in
        [hit(GET, 7, "", b"x"), response(SET, 2, 7, b"x"), response(NOOP, 0, 7, b""), item]
    {
        check_probe(&response, Probe::Response);
    }
}

#[test]
fn others_are_not_taken_for_memcached() {
    for line in [
        "GET / HTTP/1.1|",
        "HTTP/1.1 200 OK|",
        "*1|$4|PING|",
        "+OK|",
        "-ERR|",
        ":1|",
        "$3|",
        "PING|",
        "set a b|",
        "set a 0 0 x|",
        "set a b c d|",
        "incr a b|",
        "getx a|",
        "get|",
        "SSH-2.0-x|",
        "220 smtp ready|",
        "EHLO x|",
        "{\"a\":1}|",
        "OKAY|",
        "ENDS|",
        "select 1|",
        "12345678901234567890123|",
    ] {
        check_probe(&bytes(line), Probe::No);
    }
    check_probe(b"get \x01\x02\r\n", Probe::No);
    check_probe(b"\x16\x03\x01\x02\x00\x01\x00", Probe::No);
    check_probe(b"\x00\x00\x00\x12\x04\x00", Probe::No);
    check_probe(&packet(0x80, GET, 0, 1, [b"x", b"a", b""]), Probe::No);
    check_probe(&packet(0x80, GET, 0, 1, [b"", b"a", b"value"]), Probe::No);
    check_probe(&packet(0x80, 0x7f, 0, 1, [b"", b"a", b""]), Probe::No);
    check_probe(&packet(0x81, GET, 0x77, 1, [b"", b"", b""]), Probe::No);
    // SSLv2, and a TLS record of an odd length.
    check_probe(b"\x80\x2e\x01\x00\x02\x00\x15", Probe::No);
    check_probe(&[b'a'; 100], Probe::No);
    check_probe(b"", Probe::Unsure);
}
