//! What one message says of others: order, numbers used twice, missing responses, the old SASL exchange.

use super::*;

/// What a broker answers to SaslHandshake.
fn handshake_answer(id: u32) -> Vec<u8> {
    response(id, &Wire::plain().i16(0).count(1).string("PLAIN").bytes)
}

fn handshake(version: i16, id: u32) -> Vec<u8> {
    request(17, version, id, Some("c"), &Wire::plain().string("PLAIN").bytes)
}

#[test]
fn responses_are_read_as_what_was_asked_under_their_number() {
    let mut driver = new_driver();
    for id in 0..20 {
        // In turns, error codes first and behind the throttle time.
        driver.feed(Request, &request(12, (id % 2) as i16, id, None, &[]));
    }
    for id in 0..20 {
        let body = Wire::plain();
        let body = if id % 2 == 1 { body.i32(0) } else { body };
        driver.feed(Response, &response(id, &body.i16(27).bytes));
    }
    for (id, line) in driver.lines()[20..].iter().enumerate() {
        assert_eq!(*line, format!("< error | #{id} | REBALANCE_IN_PROGRESS"));
    }
}

#[test]
fn a_number_may_come_again_after_its_response() {
    let mut driver = new_driver();
    for _ in 0..3 {
        driver.feed(Request, &request(12, 0, 1, None, &[]));
        driver.feed(Response, &response(1, &[0, 27]));
    }
    assert_eq!(driver.seen.len(), 6);
    assert!(driver.lines().iter().all(|line| line.contains("| #1")));
}

#[test]
fn numbers_used_twice_at_a_time_make_it_silent() {
    let mut driver = new_driver();
    for _ in 0..2 {
        driver.feed(Request, &request(12, 0, 1, None, &[]));
    }
    for _ in 0..2 {
        driver.feed(Response, &response(1, &[0, 27]));
    }
    driver.feed(Request, &request(12, 0, 2, None, &[]));
    driver.feed(Response, &response(2, &[0, 27]));
    let lines = driver.lines();
    assert_eq!(lines[0], "> Heartbeat | #1 | Heartbeat");
    assert!(lines[1..].iter().all(|line| line.contains("one-way")), "{lines:?}");
}

/// `Produce` version 3 whose `acks` are behind what a snaplen shows.
fn produce(id: u32) -> Vec<u8> {
    let body = Wire::plain().null_string().i16(1).i32(1000).count(1).string("a").count(1).i32(0);
    request(0, 3, id, Some("producer"), &body.count(50).raw(&[0; 50]).bytes)
}

fn feed_cut(driver: &mut Driver, bytes: &[u8], len: usize) {
    driver.feed(Request, &bytes[..len]);
    assert!(driver.lose(Request, (bytes.len() - len) as u64));
}

#[test]
fn a_producer_whose_acks_are_cut_off_is_paired_while_it_may_be_answered() {
    let mut driver = new_driver();
    for id in 0..100 {
        feed_cut(&mut driver, &produce(id), 20);
        driver.feed(Response, &response(id, &Wire::plain().count(0).i32(0).bytes));
    }
    for (at, line) in driver.lines().iter().enumerate() {
        let id = at / 2;
        let expect = if at % 2 == 0 {
            format!("> Produce | #{id} | Produce")
        } else {
            format!("< ok | #{id}")
        };
        assert_eq!(*line, expect);
    }
}

#[test]
fn a_producer_that_is_not_answered_is_not_waited_for() {
    let mut driver = new_driver();
    for id in 0..100 {
        feed_cut(&mut driver, &produce(id), 20);
    }
    let waited = driver.lines().iter().filter(|line| line.contains("| #")).count();
    assert_eq!(waited, 16);
    // A later request's answer shows that there will be none.
    let mut driver = new_driver();
    feed_cut(&mut driver, &produce(1), 20);
    driver.feed(Request, &request(12, 0, 2, None, &[]));
    driver.feed(Response, &response(2, &[0, 0]));
    feed_cut(&mut driver, &produce(3), 20);
    assert_eq!(driver.lines().last().unwrap(), "> Produce | one-way | Produce");
}

#[test]
fn tokens_of_the_old_exchange_are_gone_over() {
    // PLAIN, and SCRAM with two tokens each way; a name that begins like a key.
    for tokens in [
        &[(&b"\x00user\x00hunter2"[..], &b""[..])][..],
        &[(b"\x00A\x00\x01", b"")],
        &[(b"n,,n=user,r=abc", b"r=abcdef,s=xyz,i=4096"), (b"c=biws,p=proof", b"v=sig")],
    ] {
        let mut driver = new_driver();
        driver.feed(Request, &handshake(0, 1));
        driver.feed(Response, &handshake_answer(1));
        for (client, server) in tokens {
            driver.feed(Request, &sized(client));
            driver.feed(Response, &sized(server));
        }
        driver.feed(Request, &request(3, 1, 2, Some("c"), &Wire::plain().null_array().bytes));
        driver.feed(Response, &response(2, &Wire::plain().count(0).i32(0).count(0).bytes));
        assert_eq!(driver.broken, None);
        let lines = driver.lines();
        assert_eq!(lines[..2], ["> SaslHandshake | #1 | SaslHandshake PLAIN", "< ok | #1"]);
        let (tokens_seen, rest) = lines[2..].split_at(2 * tokens.len());
        assert!(tokens_seen.iter().all(|line| line.contains("| one-way")), "{tokens_seen:?}");
        assert_eq!(rest, ["> Metadata | #2 | Metadata (all)", "< ok | #2"]);
        assert!(!lines.join("\n").contains("hunter2"));
    }
}

#[test]
fn the_last_token_may_have_no_answer() {
    // Kerberos: the client's last token is answered by silence.
    let mut driver = new_driver();
    driver.feed(Request, &handshake(0, 1));
    driver.feed(Response, &handshake_answer(1));
    driver.feed(Request, &sized(b"\x60\x82\x02\x00ticket"));
    driver.feed(Response, &sized(b"\x60\x30abc"));
    driver.feed(Request, &sized(b"\x05\x04\x04\xff"));
    let heartbeat = Wire::plain().string("g").i32(3).string("m");
    driver.feed(Request, &request(12, 0, 2, Some("c"), &heartbeat.bytes));
    driver.feed(Response, &response(2, &[0, 27]));
    assert_eq!(driver.broken, None);
    assert_eq!(driver.lines().last().unwrap(), "< error | #2 | REBALANCE_IN_PROGRESS");
}

#[test]
fn the_newer_exchange_has_headers() {
    let mut driver = new_driver();
    driver.feed(Request, &handshake(1, 1));
    driver.feed(Response, &handshake_answer(1));
    let token = Wire::plain().count(13).raw(b"\x00user\x00hunter2");
    driver.feed(Request, &request(36, 0, 2, Some("c"), &token.bytes));
    let failed = Wire::plain().i16(58).string("wrong password").count(0);
    driver.feed(Response, &response(2, &failed.bytes));
    assert_eq!(
        driver.lines()[2..],
        [
            "> SaslAuthenticate | #2 | SaslAuthenticate (redacted)",
            "< error | #2 | SASL_AUTHENTICATION_FAILED",
        ]
    );
}
