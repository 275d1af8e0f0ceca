//! Numbers and endpoints appended to a byte buffer without going through `fmt`, which would take
//! most of the time of a printed line.

use std::{io::Write, net::IpAddr};

use crate::packet::Endpoint;

/// Appends a number in decimal.
pub(super) fn push_u64(buffer: &mut Vec<u8>, number: u64) {
    push_padded(buffer, number, 1);
}

/// Appends a number in decimal, with zeros in front up to `width` digits (at most 20).
pub(super) fn push_padded(buffer: &mut Vec<u8>, mut number: u64, width: usize) {
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
pub(super) fn push_thousandths(buffer: &mut Vec<u8>, ns: u64, unit_ns: u64) {
    push_u64(buffer, ns / unit_ns);
    buffer.push(b'.');
    push_padded(buffer, ns % unit_ns / (unit_ns / 1000), 3);
}

/// Appends `192.168.0.1:6379` or `[::1]:6379`.
pub(super) fn push_endpoint(buffer: &mut Vec<u8>, end: &Endpoint) {
    match end.ip() {
        IpAddr::V4(ip) => {
            for (position, octet) in ip.octets().into_iter().enumerate() {
                if position > 0 {
                    buffer.push(b'.');
                }
                push_u64(buffer, u64::from(octet));
            }
        }
        IpAddr::V6(ip) => {
            // Writing to a vector does not fail.
            let _ = write!(buffer, "[{ip}]");
        }
    }
    buffer.push(b':');
    push_u64(buffer, u64::from(end.port()));
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
        for text in ["10.0.0.255:1", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().expect("an address");
            check(|b| push_endpoint(b, &Endpoint::from(address)), text);
        }
    }
}
