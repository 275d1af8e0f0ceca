//! What somebody may send who wants a decoder to stop, to loop or to grow.

/// xorshift64*, so that every run is the same.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end.max(1)
    }

    fn printable(&mut self) -> u8 {
        b' ' + self.below(95) as u8
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Appends at least so many bytes; `own` is what this end says in a capture.
type Fill = fn(&mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>);

/// Each with what it is, for messages.
pub(crate) const PATTERNS: &[(&str, Fill)] = &[
    ("large numbers in digits, behind a letter", claims_in_digits),
    ("large numbers in binary", claims_in_binary),
    ("one byte without an end", one_byte),
    ("headers without an end", headers),
    ("openings of something in something", openings),
    ("random bytes", random_bytes),
    ("random lines", random_lines),
    ("the beginnings of messages", beginnings),
    ("messages with some bytes at their largest", largest_bytes),
    ("messages with some digits at their largest", largest_digits),
    ("messages with ever new numbers", new_numbers),
    ("messages again and again", again),
];

/// Lengths that overflow something: a sign, a word, an addition.
const CLAIMS: [u64; 12] = [
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_fffe,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX - 1,
    u64::MAX,
    999_999_999,
];

fn claims_in_digits(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let letter = random.printable();
    let sign = random.one_of(&["", "-", "+", "0", " "]);
    let end = random.one_of(&["\r\n", "\n", "\r\n\r\n", " ", "\r\nx\r\n"]);
    while into.len() < len {
        into.push(letter);
        into.extend(format!("{sign}{}{end}", random.one_of(&CLAIMS)).bytes());
    }
}

fn claims_in_binary(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let between = random.below(12);
    let width = random.one_of(&[2, 3, 4, 8]);
    let filler = random.next() as u8;
    let is_big = random.below(2) == 0;
    while into.len() < len {
        let claim = random.one_of(&CLAIMS);
        let (big, little) = (claim.to_be_bytes(), claim.to_le_bytes());
        into.extend_from_slice(if is_big { &big[8 - width..] } else { &little[..width] });
        into.resize(into.len() + between, filler);
    }
}

fn one_byte(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let byte = random.next() as u8;
    into.resize(into.len() + len, random.one_of(&[byte, 0, 0xff, b' ', b'0', b'9', b'\r', b'\n']));
}

fn headers(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    // Behind the first line of what is usually said, if that is a line.
    let said = own.first().copied().unwrap_or_default();
    let line = said.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if random.below(4) == 0 {
        into.extend_from_slice(&said[..line]);
    }
    while into.len() < len {
        into.extend(format!("name-{}: value\r\n", random.next()).bytes());
    }
}

fn openings(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let count = random.below(9) + 1;
    let opening = match random.below(3) {
        0 => format!("{}{count}\r\n", char::from(random.printable())).into_bytes(),
        1 => vec![random.printable()],
        _ => vec![0, 0, 0, count as u8, random.next() as u8],
    };
    while into.len() < len {
        into.extend_from_slice(&opening);
    }
}

fn random_bytes(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    while into.len() < len {
        into.extend(random.next().to_le_bytes());
    }
}

fn random_lines(random: &mut Random, _: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    while into.len() < len {
        for _ in 0..random.below(40) {
            into.push(random.printable());
        }
        into.extend_from_slice(random.one_of(&["\r\n", "\n", " ", ": "]).as_bytes());
    }
}

/// All that this end says, from some packet on.
fn from_somewhere<'a>(random: &mut Random, own: &'a [&'a [u8]]) -> &'a [&'a [u8]] {
    &own[random.below(own.len()).min(own.len())..]
}

fn beginnings(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let Some(said) = from_somewhere(random, own).first() else {
        return random_bytes(random, own, len, into);
    };
    let end = 1 + random.below(said.len().min(400));
    while into.len() < len {
        into.extend_from_slice(&said[..end]);
    }
}

/// Writes messages behind each other, and lets `change` change each packet's bytes.
fn changed(
    random: &mut Random,
    own: &[&[u8]],
    len: usize,
    into: &mut Vec<u8>,
    mut change: impl FnMut(&mut Random, &mut [u8]),
) {
    while into.len() < len {
        let before = into.len();
        for said in from_somewhere(random, own) {
            let begin = into.len();
            let said = &said[..said.len().min(len)];
            into.extend_from_slice(said);
            change(random, &mut into[begin..]);
            if into.len() >= len {
                return;
            }
        }
        if into.len() == before {
            return random_bytes(random, own, len, into);
        }
    }
}

fn largest_bytes(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let width = random.one_of(&[1, 2, 3, 4, 8]);
    let value = random.one_of(&[0xff, 0x7f, 0x80]);
    changed(random, own, len, into, |random, bytes| {
        // What a message claims stands near its beginning.
        let near = bytes.len().min(random.one_of(&[8, 32, 256, 65_536]));
        let at = random.below(near);
        let end = (at + width).min(bytes.len());
        bytes[at..end].fill(0xff);
        bytes[at] = value;
    });
}

fn largest_digits(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let one_in = 1 + random.below(4);
    changed(random, own, len, into, |random, bytes| {
        for byte in bytes.iter_mut().take(512).filter(|byte| byte.is_ascii_digit()) {
            if random.below(one_in) == 0 {
                *byte = b'9';
            }
        }
    });
}

fn new_numbers(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    let at = random.below(24);
    let is_big = random.below(2) == 0;
    let mut number = random.next() as u32 & 0x7fff_fff0;
    changed(random, own, len, into, |_, bytes| {
        number = number.wrapping_add(2);
        let number = if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&number);
        }
    });
}

fn again(random: &mut Random, own: &[&[u8]], len: usize, into: &mut Vec<u8>) {
    changed(random, own, len, into, |_, _| {});
}
