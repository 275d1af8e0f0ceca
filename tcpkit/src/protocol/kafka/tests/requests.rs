//! What requests read as.

use super::*;

/// Hand-encoded: ApiVersions version 3 as a Java client sends it first.
#[test]
fn api_versions() {
    let bytes = b"\x00\x00\x00\x2a\x00\x12\x00\x03\x00\x00\x00\x00\x00\x0aproducer-1\x00\
        \x12apache-kafka-java\x063.7.0\x00";
    let mut bytes = bytes.to_vec();
    bytes[3] = (bytes.len() - 4) as u8;
    check_requests(&bytes, &["> ApiVersions | #0 | ApiVersions"]);
    let driver = decode_all(Request, &bytes);
    assert_eq!(
        driver.seen[0].fields,
        "api=ApiVersions api_key=18 version=3 client_id=producer-1 correlation_id=0"
    );
}

/// Hand-encoded: Metadata version 1 for one topic.
#[test]
fn metadata() {
    let bytes = b"\x00\x00\x00\x1b\x00\x03\x00\x01\x00\x00\x00\x05\x00\x03abc\
        \x00\x00\x00\x01\x00\x06orders\x00\x00";
    let mut bytes = bytes[..bytes.len() - 2].to_vec();
    bytes[3] = (bytes.len() - 4) as u8;
    check_requests(&bytes, &["> Metadata | #5 | Metadata orders"]);
    let all = request(3, 1, 6, None, &Wire::plain().null_array().bytes);
    check_requests(&all, &["> Metadata | #6 | Metadata (all)"]);
    let all = request(3, 0, 6, None, &Wire::plain().count(0).bytes);
    check_requests(&all, &["> Metadata | #6 | Metadata (all)"]);
    let none = request(3, 4, 6, None, &Wire::plain().count(0).i8(1).bytes);
    check_requests(&none, &["> Metadata | #6 | Metadata"]);
    let by_id = Wire::flexible().count(2).raw(&[7; 16]).null_string().end();
    let by_id = by_id.raw(&[0; 16]).string("pay").end().i8(1).i8(0).end();
    check_requests(
        &flexible_request(3, 12, 7, "c", &by_id.bytes),
        &["> Metadata | #7 | Metadata BwcHBwcHBwcHBwcHBwcHBw,pay"],
    );
}

/// `Produce` of one batch to each of these partitions.
fn produce(version: i16, acks: i16, topics: &[(&str, &[i32])], batch: &[u8]) -> Vec<u8> {
    let flexible = version >= 9;
    let mut body = if flexible { Wire::flexible().end() } else { Wire::plain() };
    if version >= 3 {
        body = body.null_string();
    }
    body = body.i16(acks).i32(30_000).count(topics.len());
    for (topic, partitions) in topics {
        body = if version >= 13 { body.raw(&[1; 16]) } else { body.string(topic) };
        body = body.count(partitions.len());
        for partition in *partitions {
            body = body.i32(*partition).count(batch.len()).raw(batch).end();
        }
        body = body.end();
    }
    request(0, version, 9, Some("p"), &body.end().bytes)
}

#[test]
fn producers_say_where_and_how_surely() {
    for version in 0..=12 {
        check_requests(
            &produce(version, -1, &[("orders", &[0])], b"batch"),
            &["> Produce | #9 | Produce orders[0] acks=all"],
        );
        check_requests(
            &produce(version, 1, &[("a", &[3, 4]), ("b", &[0])], &[0xff; 30]),
            &["> Produce | #9 | Produce a[3,4] b[0] acks=1"],
        );
        // Nobody answers it.
        check_requests(
            &produce(version, 0, &[("orders", &[0])], b""),
            &["> Produce | one-way | Produce orders[0] acks=0"],
        );
    }
    check_requests(
        &produce(13, -1, &[("orders", &[0])], b"batch"),
        &["> Produce | #9 | Produce AQEBAQEBAQEBAQEBAQEBAQ[0] acks=all"],
    );
    let driver = decode_all(Request, &produce(9, -1, &[("a", &[3, 4]), ("b", &[0])], b"x"));
    assert_eq!(
        driver.seen[0].fields,
        "api=Produce api_key=0 version=9 client_id=p correlation_id=9 acks=-1 timeout_ms=30000 \
         topics=a,b partitions=a-3,a-4,b-0"
    );
}

#[test]
fn what_lies_behind_the_records_is_not_looked_at() {
    for version in [3, 9] {
        let bytes = produce(version, -1, &[("a", &[3, 4]), ("b", &[0])], &[0xab; 3000]);
        check_requests(&bytes, &["> Produce | #9 | Produce a[3,...] acks=all"]);
        let bytes = produce(version, -1, &[("a", &[3]), ("b", &[0])], &[0xab; 3000]);
        check_requests(&bytes, &["> Produce | #9 | Produce a[3,...] acks=all"]);
        // One partition is the rule; nothing is missing then.
        let bytes = produce(version, -1, &[("a", &[3])], &[0xab; 3000]);
        check_requests(&bytes, &["> Produce | #9 | Produce a[3] acks=all"]);
        let driver = decode_all(Request, &bytes);
        assert!(driver.held <= crate::protocol::kafka::PREFIX, "{}", driver.held);
    }
}

fn fetch(version: i16, session: i32, topics: &[(&str, &[i32])]) -> Vec<u8> {
    let mut body = if version >= 12 { Wire::flexible().end() } else { Wire::plain() };
    if version <= 14 {
        body = body.i32(-1);
    }
    body = body.i32(500).i32(1);
    if version >= 3 {
        body = body.i32(1 << 20);
    }
    if version >= 4 {
        body = body.i8(0);
    }
    if version >= 7 {
        body = body.i32(session).i32(1);
    }
    body = body.count(topics.len());
    for (topic, partitions) in topics {
        body = if version >= 13 { body.raw(&[2; 16]) } else { body.string(topic) };
        body = body.count(partitions.len());
        for partition in *partitions {
            body = body.i32(*partition);
            body = if version >= 9 { body.i32(-1) } else { body };
            body = body.i64(77);
            body = if version >= 12 { body.i32(-1) } else { body };
            body = if version >= 5 { body.i64(-1) } else { body };
            body = body.i32(1 << 20).end();
        }
        body = body.end();
    }
    body = if version >= 7 { body.count(0) } else { body };
    body = if version >= 11 { body.string("rack") } else { body };
    request(1, version, 4, Some("f"), &body.end().bytes)
}

#[test]
fn fetches_say_what_and_for_how_long_they_wait() {
    for version in 0..=12 {
        check_requests(
            &fetch(version, 0, &[("orders", &[0, 1]), ("payments", &[3])]),
            &["> Fetch | #4 | Fetch orders[0,1] payments[3] max_wait=500ms"],
        );
    }
    for version in 13..=18 {
        check_requests(
            &fetch(version, 0, &[("orders", &[0])]),
            &["> Fetch | #4 | Fetch AgICAgICAgICAgICAgICAg[0] max_wait=500ms"],
        );
    }
    // What a session fetches was said before.
    check_requests(&fetch(11, 1234, &[]), &["> Fetch | #4 | Fetch session=1234 max_wait=500ms"]);
    let driver = decode_all(Request, &fetch(11, 0, &[("orders", &[0])]));
    assert_eq!(
        driver.seen[0].fields,
        "api=Fetch api_key=1 version=11 client_id=f correlation_id=4 max_wait_ms=500 min_bytes=1 \
         topics=orders partitions=orders-0"
    );
}

#[test]
fn long_lists_are_cut_and_leave_room() {
    let names: Vec<_> = (0..60).map(|at| format!("topic-{at}")).collect();
    let topics: Vec<_> = names.iter().map(|name| (name.as_str(), &[0_i32, 1][..])).collect();
    let driver = decode_all(Request, &fetch(4, 0, &topics));
    let text = &driver.seen[0].text;
    assert!(text.starts_with("Fetch topic-0[0,1] topic-1[0,1]"), "{text}");
    assert!(text.ends_with(" ... max_wait=500ms"), "{text}");
    let long = "x".repeat(249);
    let driver = decode_all(Request, &fetch(4, 0, &[(&long, &[0])]));
    let text = &driver.seen[0].text;
    assert!(text.ends_with("xxx...[0] max_wait=500ms"), "{text}");
    assert!(driver.seen[0].fields.contains(&long));
    for max_text in 0..60 {
        let options = DecodeOptions { max_text, ..DecodeOptions::default() };
        let mut driver = Driver::new(&PROTOCOL, options);
        driver.feed(Request, &fetch(4, 0, &topics));
        assert_eq!(driver.seen.len(), 1);
    }
}

#[test]
fn groups_are_named() {
    let join = Wire::plain().string("g").i32(10_000).i32(60_000).string("m").string("consumer");
    for (key, version, body, expect) in [
        (11, 2, join, "JoinGroup group=g"),
        (12, 0, Wire::plain().string("g").i32(3).string("m"), "Heartbeat group=g"),
        (13, 0, Wire::plain().string("g").string("m"), "LeaveGroup group=g"),
        (14, 0, Wire::plain().string("g").i32(3).string("m").count(0), "SyncGroup group=g"),
        (10, 0, Wire::plain().string("g"), "FindCoordinator group=g"),
        (10, 1, Wire::plain().string("t").i8(1), "FindCoordinator transaction=t"),
        (
            9,
            1,
            Wire::plain().string("g").count(1).string("o").count(2).i32(0).i32(1),
            "OffsetFetch group=g o[0,1]",
        ),
        (9, 2, Wire::plain().string("g").null_array(), "OffsetFetch group=g"),
        (15, 0, Wire::plain().count(2).string("a").string("b"), "DescribeGroups group=a group=b"),
    ] {
        let line = format!("> {} | #1 | {expect}", expect.split(' ').next().unwrap());
        check_requests(&request(key, version, 1, Some("c"), &body.bytes), &[&line]);
    }
    let v5 = Wire::plain().string("g").i32(3).string("m").count(1).string("orders").count(1);
    let v5 = v5.i32(0).i64(99).string("meta");
    check_requests(
        &request(8, 5, 1, Some("c"), &v5.bytes),
        &["> OffsetCommit | #1 | OffsetCommit group=g orders[0]"],
    );
    let v9 = Wire::flexible().count(2).string("g").string("m").i32(4).null_array().end();
    let v9 = v9.string("h").null_string().i32(-1).count(1).string("o").count(1).i32(5).end().end();
    check_requests(
        &flexible_request(9, 9, 1, "c", &v9.i8(0).end().bytes),
        &["> OffsetFetch | #1 | OffsetFetch group=g group=h o[5]"],
    );
}

#[test]
fn topics_are_made_and_dropped() {
    let create = Wire::plain().count(2);
    let create = create.string("a").i32(3).i16(1).count(1).i32(0).count(2).i32(1).i32(2);
    let create = create.count(1).string("retention.ms").string("1000");
    let create = create.string("b").i32(1).i16(1).count(0).count(0).i32(5000).i8(0);
    check_requests(
        &request(19, 2, 1, Some("c"), &create.bytes),
        &["> CreateTopics | #1 | CreateTopics a,b"],
    );
    let drop = Wire::plain().count(2).string("a").string("b").i32(5000);
    check_requests(
        &request(20, 1, 1, Some("c"), &drop.bytes),
        &["> DeleteTopics | #1 | DeleteTopics a,b"],
    );
    let drop = Wire::flexible().count(2).string("a").raw(&[0; 16]).end();
    let drop = drop.null_string().raw(&[1; 16]).end().i32(5000).end();
    check_requests(
        &flexible_request(20, 6, 1, "c", &drop.bytes),
        &["> DeleteTopics | #1 | DeleteTopics a,AQEBAQEBAQEBAQEBAQEBAQ"],
    );
}

#[test]
fn what_is_not_known_is_named_by_number() {
    check_requests(
        &request(1234, 5, 1, Some("c"), b"\x00whatever"),
        &["> ApiKey(1234) | #1 | ApiKey(1234) v5"],
    );
    check_requests(
        &request(0, 99, 1, Some("c"), b"\x00whatever"),
        &["> Produce | #1 | Produce v99"],
    );
}

#[test]
fn controlled_shutdown_had_no_client() {
    check_requests(
        b"\x00\x00\x00\x0c\x00\x07\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01",
        &["> ControlledShutdown | #5 | ControlledShutdown"],
    );
}

#[test]
fn requests_follow_one_another() {
    let bytes = [
        produce(9, -1, &[("a", &[0])], &[1; 2000]),
        request(18, 0, 10, None, &[]),
        produce(9, 0, &[("b", &[0])], &[1; 10]),
    ];
    check_requests(
        &bytes.concat(),
        &[
            "> Produce | #9 | Produce a[0] acks=all",
            "> ApiVersions | #10 | ApiVersions",
            "> Produce | one-way | Produce b[0] acks=0",
        ],
    );
}

#[test]
fn what_is_no_request_is_invalid() {
    for bytes in [
        &b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n",
        // A key below 0.
        b"\x00\x00\x00\x0a\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00",
        // A client's name that is longer than its request.
        b"\x00\x00\x00\x0b\x00\x03\x00\x00\x00\x00\x00\x00\x00\x09a",
        b"\x00\x00\x00\x0b\x00\x03\x00\x00\x00\x00\x00\x00\xff\xf9a",
    ] {
        let driver = decode_all(Request, bytes);
        assert!(driver.broken.is_some(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_would_drive_a_terminal_is_escaped() {
    let body = Wire::plain().count(1).string("a\x1b[2Jb");
    let driver = decode_all(Request, &request(3, 1, 1, Some("c\x07\n"), &body.bytes));
    assert_eq!(driver.seen[0].text, "Metadata a\\x1b[2Jb");
    assert!(driver.seen[0].fields.contains("client_id=c\\x07\\n"), "{}", driver.seen[0].fields);
}
