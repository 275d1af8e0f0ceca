//! HPACK's Huffman code (RFC 7541 §5.2 and Appendix B).
//!
//! The code is canonical: codes grow with their length, and among those of one length with the symbol.
//! So the lengths say everything. Codes of at most eight bits, which are nearly all of what is sent,
//! are found by one look into a table.

/// The string is not what an encoder makes: a code that stands for nothing, or wrong padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Byte values, and the symbol that ends a string but is never sent.
const SYMBOLS: usize = 257;

/// The symbol that ends a string.
const END: u16 = 256;

/// The longest code, in bits.
const LONGEST: usize = 30;

/// The length of each symbol's code, in bits (RFC 7541 Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// What the next bits say.
#[derive(Clone, Copy)]
struct Short {
    symbol: u8,
    /// The code's length in bits; 0 where it is longer than the bits looked at.
    len: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Group {
    /// The first of them.
    first: u32,
    /// What is below this, in the upper bits of 32, begins with one of them or of the shorter ones.
    limit: u64,
    /// Where their symbols begin in [`Code::symbols`].
    at: u16,
}

struct Code {
    short: [Short; 256],
    groups: [Group; LONGEST + 1],
    /// All symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// Each symbol's code, in the lower bits.
    #[cfg(test)]
    codes: [u32; SYMBOLS],
}

static CODE: Code = build();

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it is computed by the compiler, which refuses what overflows"
)]
const fn build() -> Code {
    let mut code = Code {
        short: [Short { symbol: 0, len: 0 }; 256],
        groups: [Group { first: 0, limit: 0, at: 0 }; LONGEST + 1],
        symbols: [0; SYMBOLS],
        #[cfg(test)]
        codes: [0; SYMBOLS],
    };
    let mut next = 0_u32;
    let mut count = 0;
    let mut len = 1;
    while len <= LONGEST {
        next <<= 1;
        code.groups[len].first = next;
        code.groups[len].at = count as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == len {
                if len <= 8 {
                    let mut index = (next << (8 - len)) as usize;
                    let end = ((next + 1) << (8 - len)) as usize;
                    while index < end {
                        code.short[index] = Short { symbol: symbol as u8, len: len as u8 };
                        index += 1;
                    }
                }
                #[cfg(test)]
                {
                    code.codes[symbol] = next;
                }
                code.symbols[count] = symbol as u16;
                count += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.groups[len].limit = (next as u64) << (32 - len);
        len += 1;
    }
    code
}

/// Reads bits from the front of bytes.
struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, the first one at the top.
    held: u64,
    /// How many are held.
    count: u32,
}

impl Bits<'_> {
    /// Holds at least 30 bits, or all that are left.
    #[inline]
    fn fill(&mut self) {
        if self.count > 32 {
            return;
        }
        if let Some((bytes, rest)) = self.rest.split_first_chunk::<4>() {
            let more = u64::from(u32::from_be_bytes(*bytes));
            self.held |= more.wrapping_shl(32_u32.wrapping_sub(self.count));
            self.count = self.count.wrapping_add(32);
            self.rest = rest;
            return;
        }
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.held |= u64::from(byte).wrapping_shl(56_u32.wrapping_sub(self.count));
            self.count = self.count.wrapping_add(8);
            self.rest = rest;
        }
    }

    /// Takes a code of `len` bits away; `None` when that many are not there.
    #[inline]
    fn take(&mut self, len: u32) -> Option<()> {
        self.count = self.count.checked_sub(len)?;
        self.held = self.held.wrapping_shl(len);
        Some(())
    }

    /// Whether nothing is left but padding: fewer than eight bits, all of them set.
    #[inline]
    fn is_done(&self) -> bool {
        let ones = u64::MAX.checked_shr(self.count).map_or(u64::MAX, |below| !below);
        self.count < 8 && self.rest.is_empty() && self.held == ones
    }
}

/// Decodes `bytes` and hands over symbol after symbol.
#[inline(always)]
fn decode_each(bytes: &[u8], mut each: impl FnMut(u8)) -> Result<(), Broken> {
    let mut bits = Bits { rest: bytes, held: 0, count: 0 };
    loop {
        bits.fill();
        // Four short codes at most are held for sure.
        while bits.count >= 8 {
            let index = usize::from(bits.held.to_be_bytes()[0]);
            let Some(&Short { symbol, len }) = CODE.short.get(index) else { return Err(Broken) };
            if len == 0 {
                break;
            }
            each(symbol);
            bits.take(u32::from(len)).ok_or(Broken)?;
        }
        bits.fill();
        if bits.is_done() {
            return Ok(());
        }
        let (symbol, len) = next(bits.held).ok_or(Broken)?;
        bits.take(len).ok_or(Broken)?;
        each(symbol);
    }
}

/// The symbol whose code stands in the upper bits, and the code's length.
fn next(held: u64) -> Option<(u8, u32)> {
    let upper = held >> 32;
    let (len, group) = (5_u32..).zip(CODE.groups.get(5..)?).find(|(_, it)| upper < it.limit)?;
    let code = u32::try_from(upper.wrapping_shr(32_u32.wrapping_sub(len))).ok()?;
    let place = usize::from(group.at).wrapping_add(code.checked_sub(group.first)? as usize);
    let symbol = CODE.symbols.get(place).copied().filter(|symbol| *symbol != END)?;
    Some((u8::try_from(symbol).ok()?, len))
}

/// Appends what `bytes` stand for; at most 8/5 as many.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    out.reserve(bytes.len().saturating_mul(8) / 5);
    decode_each(bytes, |symbol| out.push(symbol))
}

/// How many bytes `bytes` stand for.
pub(super) fn decoded_len(bytes: &[u8]) -> Result<usize, Broken> {
    let mut len = 0_usize;
    decode_each(bytes, |_| len = len.wrapping_add(1))?;
    Ok(len)
}

/// Encodes, for tests of what decodes.
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
pub(in crate::protocol::http2) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits = String::new();
    for &byte in text {
        let (code, len) = (CODE.codes[usize::from(byte)], usize::from(LENGTHS[usize::from(byte)]));
        bits.push_str(&format!("{code:0len$b}"));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let byte = |at: usize| u8::from_str_radix(bits.get(at..at + 8).unwrap(), 2).unwrap();
    (0..bits.len()).step_by(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut out = Vec::new();
        let result = decode(bytes, &mut out);
        assert_eq!(decoded_len(bytes), result.map(|()| out.len()));
        result.map(|()| out)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // The first and the last code of each length (RFC 7541 Appendix B), and some between.
        let codes = [
            (b'0', 0x0),
            (b't', 0x9),
            (b' ', 0x14),
            (b'u', 0x2d),
            (b':', 0x5c),
            (b'z', 0x7b),
            (b'&', 0xf8),
            (b'Z', 0xfd),
            (b'!', 0x3f8),
            (b'?', 0x3fc),
            (b'\'', 0x7fa),
            (b'|', 0x7fc),
            (b'#', 0xffa),
            (b'>', 0xffb),
            (0, 0x1ff8),
            (b'~', 0x1ffd),
            (b'^', 0x3ffc),
            (b'}', 0x3ffd),
            (b'<', 0x7ffc),
            (b'{', 0x7ffe),
            (b'\\', 0x7fff0),
            (208, 0x7fff2),
            (128, 0xfffe6),
            (226, 0xfffed),
            (153, 0x1fffdc),
            (230, 0x1fffe8),
            (129, 0x3f_ffd2),
            (233, 0x3f_ffeb),
            (1, 0x7f_ffd8),
            (239, 0x7f_fff4),
            (9, 0xff_ffea),
            (237, 0xff_fff5),
            (199, 0x1ff_ffec),
            (235, 0x1ff_ffef),
            (192, 0x3ff_ffe0),
            (255, 0x3ff_ffee),
            (203, 0x7ff_ffde),
            (254, 0x7ff_fff0),
            (2, 0xfff_ffe2),
            (249, 0xfff_fffe),
            (10, 0x3fff_fffc),
            (22, 0x3fff_fffe),
            (160, 0x3f_ffda),
            (180, 0x7f_ffed),
            (217, 0x1f_ffe5),
            (225, 0xff_fff3),
            (171, 0xff_fff0),
            (149, 0x7f_ffe1),
            (127, 0xfff_fffc),
        ];
        for (symbol, code) in codes {
            assert_eq!(CODE.codes[usize::from(symbol)], code, "{symbol}");
        }
        assert_eq!(CODE.codes[256], 0x3fff_ffff);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encode(&all)), Ok(all));
        for byte in 0..=255 {
            for count in 1..12 {
                let text = vec![byte; count];
                assert_eq!(decoded(&encode(&text)), Ok(text));
            }
        }
        assert_eq!(decoded(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_no_encoder_makes_is_refused() {
        // Padding of eight bits, of zeros, with a zero in it; the end symbol; half a code.
        for bytes in [
            &[0xff][..],
            &[0x00],
            &[0b0001_1110],
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc, 0xff],
            &[0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(bytes), Err(Broken), "{bytes:x?}");
        }
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
    }
}
