//! A frame's bytes below its line: in hexadecimal (`-x`, `-X`), or the payload as text (`-A`).

use super::line::hex_digit;

const ROW: usize = 16;

/// Appends rows of 16 bytes, each behind a newline and its offset; with `text` also as text, where
/// a point stands for what does not print.
pub(super) fn push_hex(buffer: &mut Vec<u8>, mut bytes: impl Iterator<Item = u8>, text: bool) {
    let mut row = [0; ROW];
    let mut offset: usize = 0;
    loop {
        let mut used: usize = 0;
        for (slot, byte) in row.iter_mut().zip(&mut bytes) {
            *slot = byte;
            used = used.saturating_add(1);
        }
        let Some(filled) = row.get(..used).filter(|filled| !filled.is_empty()) else { return };
        push_row(buffer, offset, filled, text);
        if used < ROW {
            return;
        }
        offset = offset.saturating_add(ROW);
    }
}

fn push_row(buffer: &mut Vec<u8>, offset: usize, row: &[u8], text: bool) {
    buffer.extend_from_slice(b"\n\t0x");
    let [.., c, d] = offset.to_be_bytes();
    if offset > 0xffff {
        // Five digits are enough: no frame is longer than 1 MiB.
        let [.., b, _, _] = offset.to_be_bytes();
        buffer.push(hex_digit(b));
    }
    buffer.extend([hex_digit(c >> 4), hex_digit(c), hex_digit(d >> 4), hex_digit(d)]);
    buffer.extend_from_slice(b": ");
    for pair in row.chunks(2) {
        buffer.push(b' ');
        for &byte in pair {
            buffer.extend([hex_digit(byte >> 4), hex_digit(byte)]);
        }
    }
    if text {
        // The text begins in the same column in every row: a full row has eight words of five.
        for missing in row.len()..ROW {
            buffer.extend_from_slice(if missing % 2 == 0 { b"   " } else { b"  " });
        }
        buffer.extend_from_slice(b"  ");
        buffer.extend(row.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'.' }));
    }
}

/// Appends a payload as text behind a newline. Lines and tabs stay, as does all that prints in
/// ASCII; a carriage return at a line's end goes; the rest, such as what would drive a terminal, is
/// written as `\x1b`.
pub(super) fn push_text(buffer: &mut Vec<u8>, payload: &[u8]) {
    if payload.is_empty() {
        return;
    }
    buffer.push(b'\n');
    let mut rest = payload.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\n' | b'\t' => buffer.push(byte),
            b'\r' if rest.peek() == Some(&b'\n') => {}
            _ => push_escaped(buffer, byte),
        }
    }
}

/// Appends one character, as an escape if it does not print.
pub(super) fn push_escaped(buffer: &mut Vec<u8>, byte: u8) {
    if byte == b' ' || byte.is_ascii_graphic() {
        buffer.push(byte);
    } else {
        buffer.extend([b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], text: bool, expect: &str) {
        let mut buffer = Vec::new();
        push_hex(&mut buffer, bytes.iter().copied(), text);
        assert_eq!(String::from_utf8(buffer).expect("text"), expect);
    }

    #[test]
    fn rows_have_tcpdumps_columns() {
        check(b"", true, "");
        check(b"E\x00\x00", false, "\n\t0x0000:  4500 00");
        check(b"E", true, "\n\t0x0000:  45                                       E");
        check(
            b"0123456789abcdefXY",
            true,
            "\n\t0x0000:  3031 3233 3435 3637 3839 6162 6364 6566  0123456789abcdef\
             \n\t0x0010:  5859                                     XY",
        );
        check(
            b"0123456789abcdef",
            true,
            "\n\t0x0000:  3031 3233 3435 3637 3839 6162 6364 6566  0123456789abcdef",
        );
        check(
            b"\x1b \x7f~\xc3",
            true,
            "\n\t0x0000:  1b20 7f7e c3                             ...~.",
        );
    }

    #[test]
    fn large_offsets_grow() {
        let mut buffer = Vec::new();
        push_hex(&mut buffer, std::iter::repeat_n(0, 0x1_0001), false);
        let text = String::from_utf8(buffer).expect("text");
        assert!(text.ends_with("\n\t0x10000:  00"), "{text}");
    }

    #[test]
    fn text_keeps_lines_and_escapes_what_drives_a_terminal() {
        let text = |payload: &[u8]| {
            let mut buffer = Vec::new();
            push_text(&mut buffer, payload);
            String::from_utf8(buffer).expect("text")
        };
        assert_eq!(text(b""), "");
        assert_eq!(text(b"GET /\r\nHost: a\t1\r\n"), "\nGET /\nHost: a\t1\n");
        assert_eq!(text(b"a\rb\x1b[2J\x00\xff\r"), "\na\\x0db\\x1b[2J\\x00\\xff\\x0d");
    }

    proptest! {
        #[test]
        fn every_byte_is_shown(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut buffer = Vec::new();
            push_hex(&mut buffer, bytes.iter().copied(), false);
            let shown: Vec<u8> = String::from_utf8(buffer)
                .expect("text")
                .lines()
                .skip(1)
                .flat_map(|line| line.split_once(":  ").expect("an offset").1.chars())
                .filter(|digit| *digit != ' ')
                .map(|digit| digit.to_digit(16).expect("a digit") as u8)
                .collect();
            let expect: Vec<u8> = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
            prop_assert_eq!(shown, expect);
        }
    }
}
