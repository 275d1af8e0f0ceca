//! A line under construction: words, numbers and addresses in tcpdump's forms.

use super::super::decimal::{push_padded, push_u64};

/// A line at the end of a buffer, and what its printers have to know of each other.
pub(super) struct Line<'a, 'b> {
    /// The line so far stands at the end.
    pub(super) text: &'b mut Vec<u8>,
    /// `-q`: less of everything.
    pub(super) quiet: bool,
    /// `-e`: the link header stands in front, and what it says is not said again.
    pub(super) link_header: bool,
    /// The header that is being read, for the mark that says where a frame is cut.
    pub(super) header: &'static str,
    /// What follows the last header that was understood.
    pub(super) payload: &'a [u8],
    /// How many IP packets are around this one.
    pub(super) depth: u8,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The digit for the low four bits.
pub(super) fn hex_digit(value: u8) -> u8 {
    HEX.get(usize::from(value & 0xf)).copied().unwrap_or(b'0')
}

impl Line<'_, '_> {
    /// Appends text that is known to be printable.
    pub(super) fn str(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Appends a number in decimal.
    pub(super) fn int(&mut self, number: impl Into<u64>) {
        push_u64(self.text, number.into());
    }

    /// Appends a number in decimal of two digits at least.
    pub(super) fn two_digits(&mut self, number: u32) {
        push_padded(self.text, u64::from(number), 2);
    }

    /// Appends a text and a number in decimal.
    pub(super) fn field(&mut self, name: &str, number: impl Into<u64>) {
        self.str(name);
        self.int(number);
    }

    /// Appends a number in hexadecimal, with zeros in front up to `width` digits.
    pub(super) fn hex(&mut self, number: impl Into<u64>, width: u32) {
        let number = number.into();
        let used = u64::BITS.saturating_sub(number.leading_zeros()).div_ceil(4);
        for place in (0..used.max(width).max(1)).rev() {
            let [.., low] = number.checked_shr(place.saturating_mul(4)).unwrap_or(0).to_be_bytes();
            self.text.push(hex_digit(low));
        }
    }

    /// Appends bytes, two digits each.
    pub(super) fn hex_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.text.extend([hex_digit(byte >> 4), hex_digit(byte)]);
        }
    }

    /// Appends bytes as the addresses of links are written, such as `02:00:00:00:00:01`.
    pub(super) fn link_address(&mut self, bytes: &[u8]) {
        for (position, &byte) in bytes.iter().enumerate() {
            if position > 0 {
                self.text.push(b':');
            }
            self.text.extend([hex_digit(byte >> 4), hex_digit(byte)]);
        }
    }

    /// Appends an IPv4 address.
    pub(super) fn ipv4(&mut self, address: [u8; 4]) {
        for (position, octet) in address.into_iter().enumerate() {
            if position > 0 {
                self.text.push(b'.');
            }
            self.octet(octet);
        }
    }

    fn octet(&mut self, octet: u8) {
        if octet >= 100 {
            self.text.push(hex_digit(octet / 100));
        }
        if octet >= 10 {
            self.text.push(hex_digit(octet / 10 % 10));
        }
        self.text.push(hex_digit(octet % 10));
    }

    /// Appends an IPv6 address as RFC 5952 has it: the first of the longest runs of zeros is `::`,
    /// and what embeds an IPv4 address ends in its form.
    pub(super) fn ipv6(&mut self, address: [u8; 16]) {
        let (pairs, _) = address.as_chunks::<2>();
        let (start, len) = longest_run(pairs);
        let end = start.saturating_add(len);
        let is_mapped = pairs.get(5) == Some(&[0xff, 0xff]);
        let embeds_ipv4 = start == 0 && (len == 6 || (len == 5 && is_mapped));
        for (position, &pair) in pairs.iter().enumerate() {
            if position >= start && position < end {
                if position == start {
                    self.text.push(b':');
                }
                continue;
            }
            if position != 0 {
                self.text.push(b':');
            }
            if position == 6 && embeds_ipv4 {
                let [.., a, b, c, d] = address;
                self.ipv4([a, b, c, d]);
                return;
            }
            self.hex(u16::from_be_bytes(pair), 1);
        }
        if len > 0 && end == pairs.len() {
            self.text.push(b':');
        }
    }

    /// Marks that the header being read is cut off.
    pub(super) fn cut(&mut self) {
        self.str(" [|");
        self.str(self.header);
        self.str("]");
    }

    /// Marks what cannot be.
    pub(super) fn invalid(&mut self) {
        self.str(" (invalid)");
    }
}

/// Where the longest run of zeros begins, and its length; 0 when none is worth an abbreviation.
fn longest_run(pairs: &[[u8; 2]]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0_usize, 0_usize));
    for (position, pair) in pairs.iter().enumerate() {
        run = match (pair, run) {
            ([0, 0], (_, 0)) => (position, 1),
            ([0, 0], (start, len)) => (start, len.saturating_add(1)),
            _ => (0, 0),
        };
        if run.1 > best.1 {
            best = run;
        }
    }
    if best.1 < 2 { (0, 0) } else { best }
}

/// Runs `append` on an empty line and gives its text.
#[cfg(test)]
pub(super) fn written(append: impl FnOnce(&mut Line<'_, '_>)) -> String {
    let mut text = Vec::new();
    append(&mut Line {
        text: &mut text,
        quiet: false,
        link_header: false,
        header: "test",
        payload: &[],
        depth: 0,
    });
    String::from_utf8(text).expect("text")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_the_digits_they_need() {
        assert_eq!(written(|l| l.hex(0_u8, 1)), "0");
        assert_eq!(written(|l| l.hex(0xabc_u16, 4)), "0abc");
        assert_eq!(written(|l| l.hex(0x12345_u32, 4)), "12345");
        assert_eq!(written(|l| l.hex(u64::MAX, 1)), "ffffffffffffffff");
        assert_eq!(written(|l| l.hex_bytes(&[0, 0x1f, 0xff])), "001fff");
        assert_eq!(written(|l| l.link_address(&[2, 0, 0, 0, 0, 0xa1])), "02:00:00:00:00:a1");
    }

    #[test]
    fn ipv6_addresses_are_abbreviated_once() {
        for text in [
            "::",
            "::1",
            "1::",
            "fe80::1",
            "2001:db8:0:1:1:1:1:1",
            "2001:0:0:1::1",
            "1:2:3:4:5:6:7:8",
            "::ffff:10.9.0.1",
            "::10.9.0.1",
            "0:0:0:2::",
            "::ffff:0:0:0",
        ] {
            let address: Ipv6Addr = text.parse().expect("an address");
            assert_eq!(written(|l| l.ipv6(address.octets())), text);
        }
    }

    proptest! {
        #[test]
        fn addresses_read_back(
            octets: [u8; 16],
            holes in proptest::collection::vec(0_usize..16, 0..16),
        ) {
            let mut octets = octets;
            for hole in holes {
                octets[hole] = 0;
            }
            let text = written(|l| l.ipv6(octets));
            prop_assert_eq!(text.parse::<Ipv6Addr>().expect("an address").octets(), octets);
            let [a, b, c, d, ..] = octets;
            let expect = std::net::Ipv4Addr::new(a, b, c, d).to_string();
            prop_assert_eq!(written(|l| l.ipv4([a, b, c, d])), expect);
        }
    }
}
