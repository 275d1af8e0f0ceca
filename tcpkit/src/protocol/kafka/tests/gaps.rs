//! Bytes that will never be seen.

use super::*;

/// A request of each shape: short, longer than what is looked at, with records.
fn messages() -> Vec<Vec<u8>> {
    let fetch = Wire::plain().i32(-1).i32(500).i32(1).count(1).string("orders").count(2);
    let fetch = fetch.i32(0).i64(5).i32(100).i32(1).i64(5).i32(100);
    let batch = [0xee; 1500];
    let produce = Wire::flexible().end().null_string().i16(1).i32(1000).count(1).string("orders");
    let produce = produce.count(1).i32(0).count(batch.len()).raw(&batch).end().end().end();
    vec![
        request(18, 0, 3, None, &[]),
        request(1, 0, 3, Some("client"), &fetch.bytes),
        request(0, 9, 3, Some("client"), &produce.bytes),
    ]
}

/// Loses every range of a request. What follows is read as if nothing were missing, if the size was seen.
#[test]
fn a_request_is_skipped_by_its_size() {
    let marker = request(12, 0, 9, Some("marker"), &Wire::plain().string("g").bytes);
    for message in messages() {
        let whole = decode_all(Request, &message);
        let step = message.len() / 60 + 1;
        for from in 0..message.len() {
            for to in (from + 1..=message.len()).step_by(step) {
                let mut driver = new_driver();
                driver.feed(Request, &message[..from]);
                let known = driver.lose(Request, (to - from) as u64);
                assert_eq!(known, from >= 4, "{from}..{to}");
                if !known {
                    continue;
                }
                driver.feed(Request, &message[to..]);
                driver.feed(Request, &marker);
                assert_eq!(driver.broken, None, "{from}..{to}");
                let lines = driver.lines();
                assert_eq!(lines.len(), 2, "{from}..{to}");
                assert_eq!(lines[1], "> Heartbeat | #9 | Heartbeat group=g");
                // Its number is known from the twelfth byte on, its text as far as it goes.
                if from < 12 {
                    assert_eq!(lines[0], ">  | one-way");
                } else {
                    assert_eq!(driver.seen[0].operation, whole.seen[0].operation);
                    assert_eq!(driver.seen[0].correlation, whole.seen[0].correlation);
                    let shown = driver.seen[0].text.split(' ').next();
                    assert_eq!(shown, whole.seen[0].text.split(' ').next());
                }
                if from >= super::super::PREFIX {
                    assert_eq!(driver.seen[0], whole.seen[0]);
                }
            }
        }
    }
}

#[test]
fn what_a_cut_request_shows_is_marked() {
    let message = &messages()[1];
    let mut texts = Vec::new();
    for from in 12..message.len() {
        let mut driver = new_driver();
        driver.feed(Request, &message[..from]);
        assert!(driver.lose(Request, (message.len() - from) as u64));
        texts.push(driver.seen[0].text.clone());
    }
    texts.dedup();
    assert_eq!(
        texts,
        [
            "Fetch",
            "Fetch max_wait=500ms",
            "Fetch ... max_wait=500ms",
            "Fetch orders ... max_wait=500ms",
            "Fetch orders[0,...] max_wait=500ms",
            "Fetch orders[0,1] max_wait=500ms",
        ]
    );
}

#[test]
fn a_response_is_skipped_by_its_size() {
    let body = Wire::plain().i32(0).i16(27).raw(&[0; 2000]);
    let message = response(7, &body.bytes);
    for from in 0..message.len() {
        for to in [from + 1, from + 30, message.len()] {
            if to > message.len() {
                continue;
            }
            let mut driver = new_driver();
            driver.feed(Request, &request(12, 3, 7, Some("c"), &[]));
            driver.feed(Request, &request(12, 0, 8, Some("c"), &[]));
            driver.feed(Response, &message[..from]);
            let known = driver.lose(Response, (to - from) as u64);
            assert_eq!(known, from >= 4, "{from}..{to}");
            if !known {
                continue;
            }
            driver.feed(Response, &message[to..]);
            driver.feed(Response, &response(8, &[0, 27]));
            let lines = driver.lines();
            let first = match from {
                ..8 => "< ok | one-way",
                8..14 => "< unknown | #7",
                _ => "< error | #7 | REBALANCE_IN_PROGRESS",
            };
            assert_eq!(lines[2..], [first, "< error | #8 | REBALANCE_IN_PROGRESS"], "{from}..{to}");
        }
    }
}

#[test]
fn a_hole_over_two_messages_is_not_guessed_over() {
    let message = &messages()[1];
    let mut driver = new_driver();
    driver.feed(Request, &message[..20]);
    assert!(!driver.lose(Request, message.len() as u64));
    let mut driver = new_driver();
    assert!(!driver.lose(Request, 1));
    assert!(!driver.lose(Response, 1));
}
