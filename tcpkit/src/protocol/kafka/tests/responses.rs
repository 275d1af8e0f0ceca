//! What responses read as.

use super::*;

#[test]
fn success_says_nothing() {
    for version in 0..=4 {
        let body = Wire::plain().i16(0).count(0).i32(0);
        check_response(18, version, &body.bytes, "< ok | #7");
    }
    let produced = Wire::plain().count(1).string("orders").count(1).i32(0).i16(0).i64(42);
    check_response(0, 0, &produced.bytes, "< ok | #7");
}

#[test]
fn an_error_of_the_whole_is_named() {
    // A broker that does not know the client's version answers in its own.
    check_response(
        18,
        4,
        &Wire::plain().i16(35).count(0).bytes,
        "< error | #7 | UNSUPPORTED_VERSION",
    );
    check_response(12, 0, &Wire::plain().i16(27).bytes, "< error | #7 | REBALANCE_IN_PROGRESS");
    check_response(
        12,
        3,
        &Wire::plain().i32(0).i16(27).bytes,
        "< error | #7 | REBALANCE_IN_PROGRESS",
    );
    check_response(
        12,
        4,
        &Wire::flexible().end().i32(0).i16(25).end().bytes,
        "< error | #7 | UNKNOWN_MEMBER_ID",
    );
    check_response(
        17,
        0,
        &Wire::plain().i16(33).count(0).bytes,
        "< error | #7 | UNSUPPORTED_SASL_MECHANISM",
    );
    check_response(12, 0, &Wire::plain().i16(250).bytes, "< error | #7 | error 250");
}

#[test]
fn the_first_error_of_a_partition_is_named() {
    let produced = Wire::plain().count(2).string("a").count(2).i32(0).i16(0).i64(42);
    let produced = produced.i32(1).i16(6).i64(-1).string("b").count(1).i32(0).i16(3).i64(-1);
    check_response(0, 0, &produced.bytes, "< error | #7 | NOT_LEADER_OR_FOLLOWER");
    let fetched = Wire::plain().i32(0).i16(0).i32(9).count(1).string("a").count(2);
    let fetched = fetched.i32(0).i16(0).i64(5).i64(5).i64(0).null_array().count(3).raw(b"abc");
    let fetched = fetched.i32(1).i16(1).i64(-1).i64(-1).i64(-1).null_array().null_array();
    check_response(1, 7, &fetched.bytes, "< error | #7 | OFFSET_OUT_OF_RANGE");
    let metadata = Wire::plain().count(1).i32(1).string("host").i32(9092);
    let metadata = metadata.count(1).i16(3).string("gone").count(0);
    check_response(3, 0, &metadata.bytes, "< error | #7 | UNKNOWN_TOPIC_OR_PARTITION");
}

#[test]
fn being_held_back_is_a_field() {
    let mut driver = new_driver();
    driver.feed(Request, &request(12, 1, 7, None, &[]));
    driver.feed(Response, &response(7, &Wire::plain().i32(150).i16(0).bytes));
    assert_eq!(driver.seen[1].fields, "throttle_ms=150");
    assert_eq!(driver.lines()[1], "< ok | #7");
    driver.feed(Request, &request(12, 1, 8, None, &[]));
    driver.feed(Response, &response(8, &Wire::plain().i32(150).i16(79).bytes));
    assert_eq!(driver.seen[3].fields, "error=MEMBER_ID_REQUIRED error_code=79 throttle_ms=150");
}

#[test]
fn what_is_not_known_is_not_read() {
    check_response(1234, 0, &Wire::plain().i16(35).bytes, "< unknown | #7");
    check_response(12, 77, &Wire::plain().i32(0).i16(27).bytes, "< unknown | #7");
}

#[test]
fn long_responses_are_skipped() {
    let records = vec![0xee; 100_000];
    let fetched = Wire::plain().count(1).string("a").count(1).i32(0).i16(0).i64(5);
    let fetched = fetched.count(records.len()).raw(&records);
    let bytes = response(7, &fetched.bytes);
    for size in [1, 100, 1460, 200_000] {
        let mut driver = new_driver();
        driver.feed(Request, &request(1, 0, 7, Some("c"), &[]));
        for piece in bytes.chunks(size) {
            driver.feed(Response, piece);
        }
        driver.feed(Request, &request(18, 0, 8, Some("c"), &[]));
        driver.feed(Response, &response(8, &[0; 6]));
        assert_eq!(driver.lines()[1], "< ok | #7");
        assert_eq!(driver.lines()[3], "< ok | #8");
        assert!(driver.held <= crate::protocol::kafka::PREFIX);
    }
}

#[test]
fn a_response_nobody_asked_for_carries_its_number() {
    let driver = decode_all(Response, &response(99, b"\x00\x1b"));
    assert_eq!(driver.lines(), ["< unknown | #99"]);
}

#[test]
fn what_is_no_response_is_invalid() {
    for bytes in [&b"\x00\x00\x00\x03abc"[..], b"\x80\x00\x00\x00", b"\x00\x00\x00\x00"] {
        assert!(decode_all(Response, bytes).broken.is_some());
    }
}
