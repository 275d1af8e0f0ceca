//! RESP's short lines: a type byte, a count or small value, CRLF.

/// The longest header line that is waited for, CRLF included. A type byte, a sign and the nineteen
/// digits of an `i64` are 21; the longest double that Redis prints is under 32.
pub(super) const MAX_HEADER: usize = 64;

/// What stands at the beginning of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line: what is between its type byte and CRLF, and its length with both.
    Whole(&'a [u8], usize),
    /// Its end is not in sight yet.
    Partial,
    /// No header line of RESP.
    Broken,
}

/// The header line at the beginning of `bytes`.
pub(super) fn header(bytes: &[u8]) -> Line<'_> {
    let window = bytes.get(..MAX_HEADER).unwrap_or(bytes);
    let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
        return if bytes.len() < MAX_HEADER { Line::Partial } else { Line::Broken };
    };
    match bytes.get(end..) {
        Some([b'\r', b'\n', ..]) => match window.get(1..end) {
            Some(body) => Line::Whole(body, end.saturating_add(2)),
            None => Line::Broken,
        },
        Some([b'\r']) => Line::Partial,
        _ => Line::Broken,
    }
}

/// The number in a header line and the line's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// A number, and the length of its line.
    Is(i64, usize),
    /// Its end is not in sight yet.
    Partial,
    /// Not a number that fits an `i64`.
    Broken,
}

/// The number after the type byte of the header line at the beginning of `bytes`.
#[inline(always)]
pub(super) fn count(bytes: &[u8]) -> Count {
    // Nearly all lengths have one or two digits.
    match *bytes {
        [_, a @ b'0'..=b'9', b'\r', b'\n', ..] => Count::Is(digit(a), 4),
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Count::Is(digit(a).wrapping_mul(10).wrapping_add(digit(b)), 5)
        }
        _ => long_count(bytes),
    }
}

#[inline(never)]
fn long_count(bytes: &[u8]) -> Count {
    match header(bytes) {
        Line::Whole(body, len) => match number(body) {
            Some(value) => Count::Is(value, len),
            None => Count::Broken,
        },
        Line::Partial => Count::Partial,
        Line::Broken => Count::Broken,
    }
}

fn digit(byte: u8) -> i64 {
    i64::from(byte.wrapping_sub(b'0'))
}

/// A decimal number as strict as Redis reads it (`string2ll` in util.c): no plus sign, no leading
/// zeros, no negative zero, no overflow.
pub(super) fn number(body: &[u8]) -> Option<i64> {
    let (negative, digits) = match body {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value = 0_i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?;
        // Towards the sign, since the smallest number has no positive counterpart.
        value = if negative {
            value.checked_sub(digit(byte))?
        } else {
            value.checked_add(digit(byte))?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        let check = |body: &str, expect| assert_eq!(number(body.as_bytes()), expect, "{body}");
        check("0", Some(0));
        check("-1", Some(-1));
        check("1048577", Some(1_048_577));
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        for broken in [
            "",
            "-",
            "-0",
            "03",
            "+3",
            "3 ",
            " 3",
            "1a",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            check(broken, None);
        }
    }

    #[test]
    fn counts_agree_with_the_long_way_at_every_prefix() {
        for line in
            ["$0\r\nx", "$7\r\n", "$42\r\nab", "$-1\r\n", "*123456\r\n", "$9223372036854775807\r\n"]
        {
            let whole = count(line.as_bytes());
            assert!(matches!(whole, Count::Is(..)), "{line:?}");
            for end in 0..line.len() {
                let part = line.as_bytes().get(..end).unwrap_or_default();
                assert_eq!(count(part), long_count(part), "{part:?}");
                let complete =
                    part.ends_with(b"\r\n") || part.ends_with(b"x") || part.ends_with(b"a");
                assert_eq!(count(part) == Count::Partial, !complete, "{part:?}");
            }
        }
        for broken in ["$00\r\n", "$\r\n", "$1\n", "$1\rx", "$a\r\n", "$+1\r\n"] {
            assert_eq!(count(broken.as_bytes()), Count::Broken, "{broken:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let endless = [b'1'; 100];
        assert_eq!(header(&endless[..63]), Line::Partial);
        assert_eq!(header(&endless[..64]), Line::Broken);
        assert_eq!(header(&endless), Line::Broken);
    }

    #[test]
    fn whether_a_line_is_too_long_does_not_depend_on_what_is_visible() {
        for digits in 55..70 {
            let mut line = vec![b'1'; digits];
            line.extend_from_slice(b"\r\n");
            let whole = header(&line);
            for end in 0..line.len() {
                let part = header(&line[..end]);
                assert!(part == Line::Partial || whole == Line::Broken, "{digits} {end}");
            }
        }
    }
}
