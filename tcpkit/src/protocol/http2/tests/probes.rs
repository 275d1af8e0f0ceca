//! What first bytes look like.

use super::*;
use crate::protocol::Probe;

fn check_probe(bytes: &[u8], expect: Probe) {
    for protocol in [&PROTOCOL, &grpc::PROTOCOL] {
        assert_eq!((protocol.probe)(bytes), expect, "{bytes:x?}");
        for end in 0..bytes.len() {
            let earlier = (protocol.probe)(&bytes[..end]);
            let agrees = match earlier {
                Probe::Unsure => true,
                Probe::No => expect == Probe::No,
                certain => certain == expect,
            };
            assert!(agrees, "{earlier:?} then {expect:?}: {:x?}", &bytes[..end]);
        }
    }
}

#[test]
fn both_sides_begin_in_a_way_of_their_own() {
    let [(_, client), (_, server)] = opening();
    check_probe(&client, Probe::Request);
    check_probe(&server, Probe::Response);
    check_probe(&client[..24], Probe::Request);
    check_probe(&client[..23], Probe::Unsure);
    check_probe(&frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]), Probe::Response);
    check_probe(&server[..8], Probe::Unsure);
    check_probe(b"", Probe::Unsure);
}

#[test]
fn others_are_refused_as_early_as_can_be() {
    for (bytes, enough) in [
        (&b"GET / HTTP/1.1\r\n"[..], 1),
        (b"POST / HTTP/1.1\r\n", 2),
        (b"PRI * HTTP/1.1\r\n", 12),
        (b"PING\r\n", 2),
        (b"HTTP/1.1 200 OK\r\n", 1),
        (b"*1\r\n$4\r\nPING\r\n", 1),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", 1),
        (b"\x00\x00\x00\x10\x00\x03\x00\x00\x00\x00", 4),
        (b"\x00\x00\x12\x01\x04\x00\x00\x00\x01", 4),
        (&frame(kind::SETTINGS, flag::ACK, 0, &[]), 5),
        (&frame(kind::SETTINGS, 0, 0, &[0; 7]), 3),
    ] {
        assert_eq!((PROTOCOL.probe)(&bytes[..enough]), Probe::No, "{bytes:x?}");
        check_probe(bytes, Probe::No);
    }
}
