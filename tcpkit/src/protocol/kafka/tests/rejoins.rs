//! Finding the way back after bytes were lost, and where a connection is met in its midst.

use super::*;

fn heartbeat(id: u32) -> Vec<u8> {
    let body = Wire::plain().string("group").i32(3).string("member");
    request(12, 0, id, Some("consumer-1"), &body.bytes)
}

fn produce(id: u32, records: usize) -> Vec<u8> {
    let body = Wire::plain().null_string().i16(-1).i32(1000).count(1).string("orders").count(1);
    let body = body.i32(0).count(records).raw(&vec![0xab; records]);
    request(0, 7, id, Some("producer-1"), &body.bytes)
}

#[test]
fn a_packet_that_begins_with_requests_is_read() {
    for packet in [
        heartbeat(5),
        produce(5, 20),
        [heartbeat(5), heartbeat(6)].concat(),
        [heartbeat(5), heartbeat(6)[..30].to_vec()].concat(),
        [produce(5, 20), heartbeat(6)[..9].to_vec()].concat(),
        produce(5, 5000)[..1448].to_vec(),
        produce(5, 5000)[..300].to_vec(),
    ] {
        let mut driver = new_driver();
        assert!(!driver.lose(Request, 10));
        assert!(driver.rejoin(Request, &packet));
        assert_eq!(driver.broken, None);
    }
    let mut driver = new_driver();
    assert!(driver.rejoin(Request, &heartbeat(5)));
    assert!(driver.rejoin(Response, &response(5, &[0, 27])));
    assert_eq!(
        driver.lines(),
        ["> Heartbeat | #5 | Heartbeat group=group", "< error | #5 | REBALANCE_IN_PROGRESS"]
    );
}

#[test]
fn the_midst_of_a_request_is_not_its_beginning() {
    let mut bytes = [heartbeat(5), produce(6, 100), heartbeat(7)].concat();
    let starts = [0, heartbeat(5).len(), heartbeat(5).len() + produce(6, 100).len()];
    for at in 0..bytes.len() - 8 {
        let mut driver = new_driver();
        assert_eq!(driver.decoder.rejoin(Request, &bytes[at..]), starts.contains(&at), "{at}");
    }
    // Followed by something else.
    bytes.truncate(heartbeat(5).len());
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert!(!new_driver().decoder.rejoin(Request, &bytes));
}

#[test]
fn a_response_is_found_by_a_number_that_is_under_way() {
    let asked = [heartbeat(5), produce(6, 10), heartbeat(7)].concat();
    let produced = Wire::plain().count(1).string("orders").count(1).i32(0).i16(0).i64(9);
    let produced = produced.i64(-1).i64(0).i32(0);
    let bytes =
        [response(5, &[0, 0]), response(6, &produced.bytes), response(7, &[0, 27])].concat();
    for at in 0..bytes.len() {
        let mut driver = new_driver();
        driver.feed(Request, &asked);
        let begins = [0, 10, 10 + 8 + produced.bytes.len()].contains(&at);
        assert_eq!(driver.decoder.rejoin(Response, &bytes[at..]), begins, "{at}");
    }
    // Not under way, or not followed by what is.
    for packet in [response(8, &[0, 0]), [response(5, &[0, 0]), response(8, &[0, 0])].concat()] {
        let mut driver = new_driver();
        driver.feed(Request, &asked);
        assert!(!driver.decoder.rejoin(Response, &packet));
    }
}

#[test]
fn a_long_response_is_found_by_how_it_begins() {
    let fetch = Wire::plain().i32(-1).i32(500).i32(1).i32(9).i8(0).count(0);
    let fetch = request(1, 4, 3, Some("c"), &fetch.bytes);
    let fetched = Wire::plain().i32(0).count(1).string("orders").count(1).i32(0).i16(0).i64(5);
    let fetched = fetched.i64(5).null_array().count(9000).raw(&[0xcd; 9000]);
    let bytes = response(3, &fetched.bytes);
    let mut driver = new_driver();
    driver.feed(Request, &fetch);
    assert!(driver.rejoin(Response, &bytes[..1448]));
    driver.feed(Response, &bytes[1448..]);
    assert_eq!(driver.lines()[1], "< ok | #3");
    // Small numbers alone are no response: this one would hold its client back for days.
    let mut driver = new_driver();
    driver.feed(Request, &fetch);
    let numbers = [0, 0, 1, 0, 0, 0, 0, 3, 0x7f, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0];
    assert!(!driver.decoder.rejoin(Response, &numbers));
}

#[test]
fn random_bytes_are_never_a_beginning() {
    let mut driver = new_driver();
    for id in 0..5 {
        driver.feed(Request, &heartbeat(id));
    }
    let mut chances = 0;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u32
    };
    for at in 0..300_000 {
        // Anything, and small numbers, of which structures are full.
        let bytes: Vec<u8> = (0..8)
            .map(|_| if at % 2 == 0 { random() } else { random() % 100 })
            .flat_map(u32::to_be_bytes)
            .collect();
        assert!(!driver.decoder.rejoin(Request, &bytes), "{bytes:?}");
        if driver.decoder.rejoin(Response, &bytes) {
            assert!(at % 2 == 1, "{bytes:?}");
            chances += 1;
        }
    }
    // The packet's own length and one of the five numbers under way, or two such pairs.
    assert!(chances < 300, "{chances} of 150000");
}
