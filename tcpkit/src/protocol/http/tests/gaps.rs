//! Bytes that will never be seen.

use super::*;

/// Loses every range of `bytes` in turn: those within `must_survive` may not matter, and wherever the
/// decoder says that it still knows where it is, what follows is decoded as if nothing were missing.
fn lose_each(direction: Direction, bytes: &str, must_survive: &[(usize, usize)]) {
    let bytes = crlf(bytes);
    let marker = match direction {
        Request => "GET /marker HTTP/1.1\r\n\r\n",
        Response => "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n",
    };
    let marked = format!("{bytes}{marker}").into_bytes();
    let whole = decode_all(direction, &marked);
    assert_eq!(whole.broken, None);
    for from in 0..=bytes.len() {
        for to in from + 1..=bytes.len() {
            let mut driver = new_driver();
            driver.feed(direction, &marked[..from]);
            let survived = driver.lose(direction, (to - from) as u64);
            if must_survive.iter().any(|&(start, end)| start <= from && to <= end) {
                assert!(survived, "{from}..{to}");
            }
            if survived {
                driver.feed(direction, &marked[to..]);
                assert_eq!(driver.broken, None, "{from}..{to}");
                assert_eq!(driver.seen, whole.seen, "{from}..{to}");
            }
        }
    }
}

#[test]
fn a_hole_in_a_body_of_known_length_is_skipped() {
    let head = "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n";
    lose_each(Request, &format!("{head}0123456789"), &[(head.len(), head.len() + 10)]);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    lose_each(Response, &format!("{head}0123456789"), &[(head.len(), head.len() + 10)]);
}

#[test]
fn a_hole_in_a_chunk_is_skipped() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (first, second) = (head.len() + 3, head.len() + 3 + 7 + 3);
    lose_each(
        Response,
        &format!("{head}5\nhello\n3\nabc\n0\nA: b\n\n"),
        &[(first, first + 7), (second, second + 5)],
    );
}

#[test]
fn a_hole_in_a_head_is_never_guessed_over() {
    for (direction, bytes) in [
        (Request, "GET / HTTP/1.1\nHost: h\n\n"),
        (Response, "HTTP/1.1 204 OK\nA: b\n\nHTTP/1.1 100 \n\n"),
    ] {
        lose_each(direction, bytes, &[]);
        let bytes = crlf(bytes);
        for end in 0..bytes.len() {
            let mut driver = new_driver();
            driver.feed(direction, &bytes.as_bytes()[..end]);
            assert!(!driver.lose(direction, 1), "{end} bytes of {bytes:?}");
        }
    }
}

#[test]
fn a_message_that_ends_in_a_hole_is_complete() {
    for (direction, visible, hidden) in [
        (Request, "PUT / HTTP/1.1\nContent-Length: 1000000\n\n", 1_000_000),
        (Request, "PUT / HTTP/1.1\nContent-Length: 1000000\n\nabc", 999_997),
        (Response, "HTTP/1.1 200 OK\nContent-Length: 5\n\nhell", 1),
    ] {
        let mut driver = new_driver();
        driver.feed(direction, crlf(visible).as_bytes());
        let before = driver.seen.len();
        assert!(driver.lose(direction, hidden - 1) || hidden == 1);
        assert_eq!(driver.seen.len(), before);
        assert!(driver.lose(direction, 1));
        assert_eq!(driver.seen.len(), before + 1, "{visible:?}");
    }
}

#[test]
fn a_hole_in_a_body_up_to_the_end_of_the_connection_counts_to_it() {
    for before in ["", "abc"] {
        let mut driver = new_driver();
        driver.feed(Response, format!("HTTP/1.1 200 OK\r\n\r\n{before}").as_bytes());
        assert!(driver.lose(Response, 10));
        driver.feed(Response, b"de");
        driver.end(Response);
        assert_eq!(driver.lines(), ["< ok | ordered | 200"]);
        let size = format!("status=200 response_body={}", before.len() + 12);
        assert_eq!(driver.seen[0].fields, size);
    }
}

#[test]
fn bodies_of_any_claimed_length_cost_nothing() {
    let mut driver = new_driver();
    let head = format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", u64::MAX);
    driver.feed(Request, head.as_bytes());
    for _ in 0..100 {
        driver.feed(Request, &[b'x'; 1000]);
        assert!(driver.lose(Request, 1 << 40));
    }
    assert_eq!(driver.held, 0);
    assert_eq!(driver.seen.len(), 1);
}
