//! No secret is ever shown.

use super::*;

/// The word that stands for every secret in these tests.
const SECRET: &str = "hunter2";

fn check_text(words: &str, expect: &str) {
    for secret in [SECRET.to_owned(), SECRET.repeat(1000)] {
        let typed = words.replace(SECRET, &secret);
        let mut inline = typed.clone().into_bytes();
        inline.extend_from_slice(b"\r\n");
        for bytes in [command(&typed), inline] {
            for max_text in [128, 40] {
                for fields in [true, false] {
                    let options = DecodeOptions { max_text, fields, ..DecodeOptions::default() };
                    let driver = decode_all(Request, &bytes, options);
                    assert_eq!((driver.broken, driver.seen.len()), (None, 1), "{words}");
                    let seen = &driver.seen[0];
                    let shown = format!("{} {} {}", seen.operation, seen.text, seen.fields);
                    assert!(!shown.contains("hunter"), "{shown}");
                    // Of a long line, what follows the secret is out of sight.
                    if max_text == 128 && (secret == SECRET || bytes.starts_with(b"*")) {
                        assert_eq!(seen.text, expect);
                    }
                }
            }
        }
    }
}

#[test]
fn secrets_are_redacted() {
    check_text("AUTH hunter2", "AUTH (redacted)");
    check_text("auth bob hunter2", "auth bob (redacted)");
    check_text("aUtH a hunter2 hunter2", "aUtH (redacted) (redacted) (redacted)");
    check_text(
        "HELLO 3 AUTH bob hunter2 SETNAME x",
        "HELLO 3 AUTH (redacted) (redacted) SETNAME x",
    );
    check_text(
        "hello 3 setname x auth auth hunter2",
        "hello 3 setname x auth (redacted) (redacted)",
    );
    check_text("HELLO 3 AUTH hunter2", "HELLO 3 AUTH (redacted)");
    check_text("CONFIG SET requirepass hunter2", "CONFIG SET requirepass (redacted)");
    check_text(
        "config set maxmemory 1 MasterAuth hunter2 dir /",
        "config set maxmemory 1 MasterAuth (redacted) dir /",
    );
    check_text(
        "config set dir requirepass requirepass hunter2",
        "config set dir requirepass (redacted) (redacted)",
    );
    check_text("config set tls-key-file-pass hunter2", "config set tls-key-file-pass (redacted)");
    check_text(
        "acl setuser bob on >hunter2 <hunter2 #hunter2 !hunter2 ~*",
        "acl setuser bob on (redacted) (redacted) (redacted) (redacted) ~*",
    );
    check_text(
        "MIGRATE h 6379 k 0 1000 COPY AUTH hunter2 KEYS a",
        "MIGRATE h 6379 k 0 1000 COPY AUTH (redacted) KEYS a",
    );
    check_text("migrate h 1 k 0 9 auth2 bob hunter2", "migrate h 1 k 0 9 auth2 bob (redacted)");
    check_text("SENTINEL SET m auth-pass hunter2", "SENTINEL SET m auth-pass (redacted)");
    check_text(
        "sentinel config set sentinel-pass hunter2",
        "sentinel config set sentinel-pass (redacted)",
    );
}

#[test]
fn what_is_no_secret_is_shown() {
    check(Request, &command("get auth"), &["> GET | ordered | get auth"]);
    check(
        Request,
        &command("config get requirepass"),
        &["> CONFIG GET | ordered | config get requirepass"],
    );
    check(Request, &command("acl getuser bob"), &["> ACL GETUSER | ordered | acl getuser bob"]);
}

#[test]
fn quotes_hide_nothing_from_the_redaction() {
    for (line, expect) in [
        (r#""\x41UTH" hunter2"#, r#""\x41UTH" (redacted)"#),
        (r#"auth "hunter2 hunter2"#, "auth (redacted)"),
        (r#"config set 'requirepass' "hunter2 x""#, "config set 'requirepass' (redacted)"),
        (r#"acl setuser x ">hunter2""#, "acl setuser x (redacted)"),
    ] {
        let driver =
            decode_all(Request, format!("{line}\r\n").as_bytes(), DecodeOptions::default());
        assert_eq!(driver.seen[0].text, expect);
    }
}

#[test]
fn a_gap_opens_no_way_to_a_secret() {
    for words in [
        "auth hunter2hunter2",
        "auth bob hunter2hunter2",
        "hello 3 auth bob hunter2hunter2",
        "config set requirepass hunter2hunter2",
        "acl setuser bob >hunter2hunter2",
        "migrate h 1 k 0 9 auth2 bob hunter2hunter2",
    ] {
        let bytes = command(words);
        for from in 0..bytes.len() {
            for to in from + 1..=bytes.len() {
                let mut driver = new_driver(DecodeOptions::default());
                driver.feed(Request, &bytes[..from]);
                if driver.lose(Request, (to - from) as u64) {
                    driver.feed(Request, &bytes[to..]);
                }
                for seen in &driver.seen {
                    let shown = format!("{} {} {}", seen.operation, seen.text, seen.fields);
                    assert!(!shown.contains("unte"), "{shown} without {from}..{to}");
                }
            }
        }
    }
}
