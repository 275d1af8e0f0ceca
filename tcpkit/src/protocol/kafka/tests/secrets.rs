//! What nobody may read does not come out.

use super::*;

fn check_hidden(bytes: &[u8]) {
    let driver = decode_all(Request, bytes);
    assert_eq!(driver.broken, None);
    for seen in &driver.seen {
        for text in [&seen.text, &seen.fields, &seen.operation] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn credentials_and_configurations_are_not_shown() {
    let secret = "hunter2";
    // SaslAuthenticate in both forms.
    for version in 0..=1 {
        let token = Wire::plain().count(13).raw(b"\x00user\x00hunter2");
        check_hidden(&request(36, version, 1, Some("c"), &token.bytes));
    }
    let token = Wire::flexible().count(13).raw(b"\x00user\x00hunter2").end();
    check_hidden(&flexible_request(36, 2, 1, "c", &token.bytes));
    // AlterConfigs, IncrementalAlterConfigs, CreateTopics with a configuration.
    let config =
        Wire::plain().count(1).i8(2).string("t").count(1).string("password").string(secret);
    check_hidden(&request(33, 0, 1, Some("c"), &config.i8(0).bytes));
    let config = Wire::plain().count(1).i8(2).string("t").count(1).string("password").i8(0);
    check_hidden(&request(44, 0, 1, Some("c"), &config.string(secret).i8(0).bytes));
    let topic = Wire::plain().count(1).string("t").i32(1).i16(1).count(0).count(1);
    let topic = topic.string("password").string(secret).i32(1000).i8(0);
    check_hidden(&request(19, 2, 1, Some("c"), &topic.bytes));
    // AlterUserScramCredentials: deletions, then user, mechanism, iterations, salt, salted password.
    let scram = Wire::flexible().count(0).count(1).string("user").i8(1).i32(4096);
    let scram = scram.count(4).raw(b"salt").count(7).raw(secret.as_bytes()).end().end();
    check_hidden(&flexible_request(51, 0, 1, "c", &scram.bytes));
    // Delegation tokens: an HMAC that is as good as a password.
    for key in [39, 40] {
        let token = Wire::plain().count(7).raw(secret.as_bytes()).i64(1000);
        check_hidden(&request(key, 1, 1, Some("c"), &token.bytes));
    }
    // A version that is not known.
    check_hidden(&flexible_request(36, 90, 1, "c", b"\x0d\x00user\x00hunter2\x00"));
}

#[test]
fn a_password_in_the_old_exchange_is_not_taken_for_a_request() {
    let handshake = request(17, 0, 1, Some("c"), &Wire::plain().string("PLAIN").bytes);
    // Names that begin with each byte that may be a key.
    for first in 1..=255_u8 {
        let token = [b"\x00", &[first][..], b"\x00hunter2"].concat();
        check_hidden(&[handshake.clone(), sized(&token)].concat());
    }
}
