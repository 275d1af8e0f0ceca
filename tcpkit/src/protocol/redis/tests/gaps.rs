//! Bytes that will never be seen.

use super::*;

/// Loses every range of `bytes` in turn. Where the decoder says that it still knows where it is,
/// what follows must be decoded as if nothing were missing.
fn lose_each(direction: Direction, bytes: &[u8], must_survive: impl Fn(usize, usize) -> bool) {
    let options = DecodeOptions { max_text: 20, fields: true, ..DecodeOptions::default() };
    let mut marked = bytes.to_vec();
    let marker = match direction {
        Request => command("echo marker"),
        Response => b"-MARKER\r\n".to_vec(),
    };
    marked.extend_from_slice(&marker);
    let whole = decode_all(direction, &marked, options.clone());
    for from in 0..=bytes.len() {
        for to in from + 1..=bytes.len() {
            let mut driver = new_driver(options.clone());
            driver.feed(direction, &marked[..from]);
            let survived = driver.lose(direction, (to - from) as u64);
            if must_survive(from, to) {
                assert!(survived, "{from}..{to}");
            }
            if survived {
                driver.feed(direction, &marked[to..]);
                assert_eq!(driver.broken, None, "{from}..{to}");
                assert_eq!(driver.seen.len(), whole.seen.len(), "{from}..{to}");
                assert_eq!(driver.seen.last(), whole.seen.last(), "{from}..{to}");
                for (seen, whole) in driver.seen.iter().zip(&whole.seen) {
                    assert_eq!(seen.operation, whole.operation);
                    assert_eq!(seen.correlation, whole.correlation);
                }
            }
        }
    }
}

#[test]
fn a_hole_in_a_value_is_skipped() {
    // `*3 $3 set $3 foo $60 `: the value begins at 27.
    let bytes = multibulk(&[b"set", b"foo", &[b'v'; 60]]);
    let (start, end) = (bytes.len() - 62, bytes.len());
    lose_each(Request, &bytes, |from, to| from >= start && to <= end);
}

#[test]
fn a_hole_in_a_shown_value_is_marked() {
    let bytes = multibulk(&[b"mset", b"a", &[b'v'; 60], b"b", b"2"]);
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Request, &bytes[..32]);
    assert!(driver.lose(Request, 50));
    driver.feed(Request, &bytes[82..]);
    assert_eq!(driver.lines(), ["> MSET | ordered | mset a vvvvvv... b 2"]);
}

#[test]
fn a_message_that_ends_in_a_hole_is_complete() {
    let bytes = command("set foo bar");
    for hidden in 1..=2 {
        let mut driver = new_driver(DecodeOptions::default());
        driver.feed(Request, &bytes[..bytes.len() - hidden]);
        assert!(driver.seen.is_empty());
        assert!(driver.lose(Request, hidden as u64));
        assert_eq!(driver.lines(), ["> SET | ordered | set foo bar"]);
    }
    for (visible, hidden) in [("$3\r\nfoo", 2), ("$3\r\nfoo\r", 1), ("$3\r\nf", 4), ("+OK\r", 1)] {
        let mut driver = new_driver(DecodeOptions::default());
        driver.feed(Response, visible.as_bytes());
        assert!(driver.seen.is_empty());
        assert!(driver.lose(Response, hidden), "{visible:?}");
        assert_eq!(driver.lines(), ["< ok | ordered"]);
    }
}

#[test]
fn a_hole_in_framing_is_never_guessed_over() {
    lose_each(Request, &command("mget a b c"), |_, _| false);
    lose_each(Request, b"get foo\r\n", |_, _| false);
    lose_each(
        Response,
        b"*3\r\n$3\r\nfoo\r\n:12\r\n$40\r\n0123456789012345678901234567890123456789\r\n",
        |_, _| false,
    );
    lose_each(Response, b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", |_, _| false);
    for (visible, hidden) in
        [("", 1), ("*2\r\n$3\r\nget\r\n", 3), ("*2\r\n$3\r\nge", 1), ("get fo", 1)]
    {
        let mut driver = new_driver(DecodeOptions::default());
        driver.feed(Request, visible.as_bytes());
        assert!(!driver.lose(Request, hidden), "{visible:?}");
    }
}

#[test]
fn a_hole_in_a_reply_string_is_skipped() {
    let bytes = b"*2\r\n$20\r\n01234567890123456789\r\n:1\r\n";
    lose_each(Response, bytes, |from, to| from >= 9 && to <= 31);
}

#[test]
fn after_a_resync_both_sides_begin_anew() {
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Request, b"*3\r\n$3\r\nset\r\n$3\r\nf");
    driver.feed(Response, b"*2\r\n$100\r\nabc");
    driver.decoder.resync();
    driver.skip = [0; 2];
    driver.feed(Request, &command("get foo"));
    driver.feed(Response, b"$3\r\nbar\r\n");
    assert_eq!(driver.lines(), ["> GET | ordered | get foo", "< ok | ordered"]);
}
