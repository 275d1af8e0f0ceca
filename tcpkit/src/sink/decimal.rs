//! Numbers and endpoints appended to a byte buffer without going through `fmt`, which would take
//! most of the time of a printed line.

use std::{io::Write, net::IpAddr};

use crate::packet::Endpoint;

/// From here on numbers have more than eight digits.
const NINE_DIGITS: u64 = 100_000_000;

/// Appends a number in decimal.
#[inline]
pub(super) fn push_u64(buffer: &mut Vec<u8>, number: u64) {
    push_padded(buffer, number, 1);
}

/// Appends a number in decimal, with zeros in front up to `width` digits (at most 20).
#[inline]
pub(super) fn push_padded(buffer: &mut Vec<u8>, number: u64, width: usize) {
    if number >= NINE_DIGITS || width > 8 {
        return push_long(buffer, number, width);
    }
    let digits = eight_digits(number);
    let zeros = (digits.trailing_zeros() / 8) as usize;
    let zeros = zeros.min(8 - width.max(1));
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
    // Eight bytes are appended, which is one store, and those that are no digits taken off again.
    let end = buffer.len() + 8 - zeros;
    buffer.extend_from_slice(&text.to_le_bytes());
    buffer.truncate(end);
}

/// The eight decimal digits of a number below [`NINE_DIGITS`], the first in the lowest byte. Two, four
/// and at last eight of them are computed at once, each in its own part of the word.
#[inline]
fn eight_digits(number: u64) -> u64 {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // A hundredth, for up to 9999, and a tenth, for up to 99.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[cold]
fn push_long(buffer: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut used: usize = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && used >= width {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
    }
    buffer.extend_from_slice(digits.get(digits.len() - used..).unwrap_or(&[]));
}

/// Appends ns as a number of larger units with three decimals, rounded down: 1102345 ns is
/// `1.102` ms (`unit_ns` 1,000,000) or `1102.345` µs (1,000).
#[inline(always)]
pub(super) fn push_thousandths(buffer: &mut Vec<u8>, ns: u64, unit_ns: u64) {
    // The unit is known where this is called, so that no division is left.
    push_u64(buffer, ns / unit_ns);
    buffer.push(b'.');
    push_padded(buffer, ns % unit_ns / (unit_ns / 1000), 3);
}

/// Appends `192.168.0.1:6379` or `[::1]:6379`.
pub(super) fn push_endpoint(buffer: &mut Vec<u8>, end: &Endpoint) {
    match end.ip() {
        IpAddr::V4(ip) => push_v4(buffer, ip.octets()),
        IpAddr::V6(ip) => {
            // Writing to a vector does not fail.
            let _ = write!(buffer, "[{ip}]");
        }
    }
    buffer.push(b':');
    push_u64(buffer, u64::from(end.port()));
}

/// The digits of each octet with a dot behind them, and how many bytes that is.
static OCTETS: [([u8; 4], u8); 256] = octets();

const fn octets() -> [([u8; 4], u8); 256] {
    let mut octets = [([0; 4], 0); 256];
    let mut rest: &mut [_] = &mut octets;
    let mut number = 0;
    while let [first, others @ ..] = rest {
        let [hundreds, tens, ones] = [number / 100, number / 10 % 10, number % 10];
        let [a, b, c] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        *first = match number {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            _ => ([a, b, c, b'.'], 4),
        };
        number += 1;
        rest = others;
    }
    octets
}

/// Appends an IPv4 address.
#[inline]
fn push_v4(buffer: &mut Vec<u8>, address: [u8; 4]) {
    let mut text = [0; 16];
    let mut len = 0;
    for octet in address {
        let Some(&(digits, used)) = OCTETS.get(usize::from(octet)) else { return };
        if let Some(room) = text.get_mut(len..).and_then(<[u8]>::first_chunk_mut) {
            *room = digits;
        }
        len += usize::from(used);
    }
    // All of it is appended, which is one store; what is behind the last digit is taken off again.
    let end = buffer.len() + len.saturating_sub(1);
    buffer.extend_from_slice(&text);
    buffer.truncate(end);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn check(append: impl FnOnce(&mut Vec<u8>), expect: &str) {
        let mut buffer = Vec::new();
        append(&mut buffer);
        assert_eq!(String::from_utf8(buffer).expect("text"), expect);
    }

    #[test]
    fn numbers_are_decimal() {
        check(|b| push_u64(b, 0), "0");
        check(|b| push_u64(b, 907), "907");
        check(|b| push_u64(b, u64::MAX), "18446744073709551615");
        check(|b| push_padded(b, 42, 6), "000042");
        check(|b| push_padded(b, 1_234_567, 6), "1234567");
        check(|b| push_padded(b, 0, 8), "00000000");
        check(|b| push_padded(b, 12, 9), "000000012");
    }

    #[test]
    fn every_number_of_digits_is_as_fmt_has_it() {
        let mut number = 1_u64;
        while number < u64::MAX / 3 {
            for near in [number - 1, number, number + 1, number * 2 - 1] {
                for width in [1, 3, 6, 8, 9] {
                    let expect = format!("{near:0width$}");
                    check(|b| push_padded(b, near, width), &expect);
                }
            }
            number = number * 3 / 2 + 1;
        }
        (0..100_000).for_each(|number| check(|b| push_u64(b, number), &number.to_string()));
    }

    #[test]
    fn times_have_three_decimals() {
        check(|b| push_thousandths(b, 1_102_345, 1_000_000), "1.102");
        check(|b| push_thousandths(b, 999, 1_000_000), "0.000");
        check(|b| push_thousandths(b, 1_102_345, 1_000), "1102.345");
        check(|b| push_thousandths(b, 7, 1_000), "0.007");
    }

    #[test]
    fn endpoints_look_like_socket_addresses() {
        for text in [
            "10.0.0.255:1",
            "1.22.100.9:443",
            "255.255.255.255:65535",
            "0.0.0.0:0",
            "[2001:db8::1]:65535",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            check(|b| push_endpoint(b, &Endpoint::from(address)), text);
        }
    }
}
