//! Bytes that will never be seen.

use super::{packets::*, *};

/// Loses every range of `bytes` in turn. Where the decoder says that it still knows where it is, what
/// follows must be decoded as if nothing were missing.
fn lose_each(
    asked: &[u8],
    direction: Direction,
    bytes: &[u8],
    marker: &[u8],
    must_survive: impl Fn(usize, usize) -> bool,
) {
    let new = || {
        let options = DecodeOptions { max_text: 20, ..DecodeOptions::default() };
        let mut driver = Driver::new(&PROTOCOL, options);
        driver.feed(Request, asked);
        driver
    };
    let marked = [bytes, marker].concat();
    let mut whole = new();
    whole.feed(direction, &marked);
    assert_eq!(whole.broken, None);
    for from in 0..=bytes.len() {
        for to in from + 1..=bytes.len() {
            let mut driver = new();
            driver.feed(direction, &marked[..from]);
            let survived = driver.lose(direction, (to - from) as u64);
            assert!(survived || !must_survive(from, to), "{from}..{to}");
            if !survived {
                continue;
            }
            driver.feed(direction, &marked[to..]);
            assert_eq!(driver.broken, None, "{from}..{to}");
            assert_eq!(driver.seen.len(), whole.seen.len(), "{from}..{to}");
            assert_eq!(driver.seen.last(), whole.seen.last(), "{from}..{to}");
            for (seen, whole) in driver.seen.iter().zip(&whole.seen) {
                assert_eq!(seen.operation, whole.operation, "{from}..{to}");
                assert_eq!(seen.correlation, whole.correlation, "{from}..{to}");
                assert_eq!(seen.status, whole.status, "{from}..{to}");
                assert_eq!(seen.passed_over, whole.passed_over, "{from}..{to}");
                if direction == Response {
                    assert_eq!(seen.text, whole.text, "{from}..{to}");
                }
            }
        }
    }
}

#[test]
fn a_hole_in_a_stored_value_is_skipped() {
    for (line, length) in
        [("set foo 0 0 60", 62), ("ms foo 60 T0", 62), ("set foo 0 0 1 noreply", 3)]
    {
        let request = [bytes(&format!("{line}|")), vec![b'v'; length - 2], bytes("|")].concat();
        let (start, end) = (request.len() - length, request.len());
        lose_each(b"", Request, &request, b"get marker\r\n", |from, to| from >= start && to <= end);
    }
    let request = store(SET, 1, "foo", &[b'v'; 60]);
    lose_each(b"", Request, &request, &request_noop(), |from, _| from >= 24 + 8 + 3);
}

fn request_noop() -> Vec<u8> {
    request(NOOP, 99, "")
}

#[test]
fn a_hole_in_a_returned_value_is_skipped() {
    let asked = bytes("get a b|mg c v|version|");
    let line = "VALUE a 0 40|";
    let value = "x".repeat(40);
    let answer = bytes(&format!("{line}{value}|END|VA 40|{value}|"));
    let first = line.len() + 1;
    let second = first + 42 + 5 + 7;
    lose_each(&asked, Response, &answer, b"VERSION x\r\n", |from, to| {
        from >= first && to <= first + 42 || from >= second
    });
    let asked = [request(GET, 1, "a"), request(GETKQ, 2, "b"), request(NOOP, 3, "")].concat();
    let answer = hit(GET, 1, "", &[b'x'; 40]);
    let all = [answer.clone(), hit(GETKQ, 2, "b", &[b'x'; 40])].concat();
    lose_each(&asked, Response, &all, &response(NOOP, 0, 3, b""), |from, to| {
        from >= 28 && to <= answer.len() || from >= answer.len() + 29
    });
}

#[test]
fn a_hole_in_a_line_or_header_is_never_guessed_over() {
    lose_each(b"", Request, &bytes("get a b c|delete a|mg a v|"), b"get marker\r\n", |_, _| false);
    lose_each(
        &bytes("stats|incr a 1|get a|version|"),
        Response,
        &bytes("STAT a 1|STAT b 2|END|17|CLIENT_ERROR x|"),
        b"VERSION x\r\n",
        |_, _| false,
    );
    let asked = [request(STAT, 1, ""), request(NOOP, 3, "")].concat();
    let item = packet(0x81, STAT, 0, 1, [b"", b"key", b"value"]);
    let answer = [item.clone(), item, response(STAT, 0, 1, b"")].concat();
    lose_each(&asked, Response, &answer, &response(NOOP, 0, 3, b""), |_, _| false);
    lose_each(b"", Request, &request(GET, 1, "key"), &request_noop(), |_, _| false);
    for (visible, hidden) in [("", 1), ("get a", 2), ("set a 0 0 5", 9), ("nosuch", 1)] {
        let mut driver = new_driver();
        driver.feed(Request, visible.as_bytes());
        assert!(!driver.lose(Request, hidden), "{visible:?}");
    }
}

#[test]
fn a_hole_in_a_shown_value_is_marked() {
    let request = bytes("set a 0 0 60|").into_iter().chain([b'v'; 60]).chain(bytes("|"));
    let request: Vec<_> = request.collect();
    let mut driver = new_driver();
    driver.feed(Request, &bytes("version|"));
    driver.feed(Response, &bytes("VERSION 1|"));
    driver.seen.clear();
    driver.feed(Request, &request[..20]);
    assert!(driver.lose(Request, 30));
    driver.feed(Request, &request[50..]);
    assert_eq!(driver.lines(), ["> SET | ordered | set a 0 0 60 vvvvvv..."]);
}

#[test]
fn a_large_value_may_be_lost_as_a_whole() {
    let mut driver = new_driver();
    driver.feed(Request, &bytes("set a 0 0 5000|"));
    assert!(driver.lose(Request, 5002));
    driver.feed(Request, &bytes("set b 0 0 5000|"));
    driver.feed(Request, &[b'x'; 1000]);
    assert!(driver.lose(Request, 3500));
    driver.feed(Request, &[b'x'; 502]);
    driver.feed(Request, &bytes("get c|"));
    let shown = format!("> SET | ordered first | set b 0 0 5000 {}...", "x".repeat(110));
    assert_eq!(
        driver.lines(),
        [
            "> SET | ordered | set a 0 0 5000 ...",
            &shown,
            ">  | ordered last",
            "> GET | ordered | get c"
        ],
    );
}

#[test]
fn a_watchers_lines_need_not_be_seen() {
    let mut driver = new_driver();
    driver.feed(Request, &bytes("watch|"));
    driver.feed(Response, &bytes("OK|ts=1 gid"));
    assert!(driver.lose(Response, 1 << 40));
}

#[test]
fn after_a_resync_both_sides_begin_anew() {
    let mut driver = new_driver();
    driver.feed(Request, &bytes("get a|set a 0 0 500|v"));
    driver.feed(Response, &bytes("VALUE a 0 500|abc"));
    driver.decoder.resync();
    driver.skip = [0; 2];
    driver.pending = Default::default();
    driver.feed(Request, &request(GET, 1, "b"));
    driver.feed(Response, &response(GET, 1, 1, b""));
    let lines = driver.lines();
    assert_eq!(lines.last().map(String::as_str), Some("< ok | ordered | MISS"));
    assert_eq!(driver.broken, None);
}
