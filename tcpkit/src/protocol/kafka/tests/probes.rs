//! What first bytes look like.

use super::*;
use crate::protocol::Probe;

/// Checks every prefix; returns how many bytes it took to be certain.
fn check_probe(bytes: &[u8], expect: Probe) -> usize {
    assert_eq!((PROTOCOL.probe)(bytes), expect, "{}", bytes.escape_ascii());
    let mut certain = bytes.len();
    for end in (0..bytes.len()).rev() {
        let earlier = (PROTOCOL.probe)(&bytes[..end]);
        if earlier == expect && certain == end + 1 {
            certain = end;
        }
        // What was certain stays so, and nothing that is Kafka's looked foreign before.
        let agrees = match earlier {
            Probe::Unsure => true,
            Probe::Either => matches!(expect, Probe::Either | Probe::Request | Probe::No),
            certain => certain == expect,
        };
        assert!(agrees, "{earlier:?} at {end} of {}", bytes.escape_ascii());
    }
    certain
}

#[test]
fn requests_are_told_by_their_headers() {
    let api_versions = Wire::flexible().string("java").string("3.7").end();
    let metadata = Wire::plain().count(1).string("orders");
    let produce = Wire::plain().i16(1).i32(1000).count(1).string("a").count(1).i32(0);
    let produce = produce.count(3000).raw(&[0xcc; 3000]);
    for bytes in [
        flexible_request(18, 3, 0, "producer-1", &api_versions.bytes),
        request(18, 0, 1, Some("rdkafka"), &[]),
        request(3, 1, 0xffff_ffff, None, &metadata.bytes),
        request(0, 2, 77, Some("sarama"), &produce.bytes),
        request(17, 1, 2, Some(""), &Wire::plain().string("PLAIN").bytes),
    ] {
        let certain = check_probe(&bytes, Probe::Request);
        assert!(certain <= 40, "{certain}");
    }
}

#[test]
fn responses_may_be_either() {
    let versions = Wire::plain().i16(0).count(1).i16(0).i16(0).i16(9).i32(0);
    let metadata = Wire::flexible().end().i32(0).count(1).i32(1).string("host").i32(9092);
    for bytes in [
        response(0, &versions.bytes),
        response(1, &metadata.bytes),
        response(1, &Wire::plain().i32(0).raw(&[7; 3000]).bytes),
        response(2, &Wire::plain().i16(35).count(0).bytes),
    ] {
        check_probe(&bytes, Probe::Either);
    }
}

#[test]
fn other_protocols_are_told_early() {
    for (bytes, within) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], 1),
        (b"HTTP/1.1 200 OK\r\n\r\n", 1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1),
        (b"*1\r\n$4\r\nPING\r\n", 1),
        (b"+OK\r\n", 1),
        (b"get key\r\n", 1),
        (b"\x80\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00", 1),
        (b"\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00", 1),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 1),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 1),
        // PostgreSQL: an SSL request, a start.
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", 8),
        (b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00", 14),
        // MySQL's greeting, MongoDB's hello.
        (b"\x4a\x00\x00\x00\x0a8.0.36\x00", 1),
        (b"\x3f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", 1),
        (&[0; 30], 4),
        (&[0xff; 30], 1),
    ] {
        let certain = check_probe(bytes, Probe::No);
        assert!(certain <= within, "{certain} of {}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_full_of_zeros_is_no_request() {
    // ZooKeeper's connect: version 0, last transaction 0, timeout, session 0, a password of 16 zeros.
    let connect = Wire::plain().i32(0).i64(0).i32(30_000).i64(0).count(16).raw(&[0; 16]).i8(0);
    let connect = sized(&connect.bytes);
    // A server's settings in HTTP/2.
    let settings =
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x10\x00\x00";
    for bytes in [&connect, &settings[..]] {
        for end in 0..=bytes.len() {
            assert_ne!((PROTOCOL.probe)(&bytes[..end]), Probe::Request);
        }
    }
}
