//! Bounded text made from bytes of the wire, safe to print on a terminal.
//!
//! Nothing that could drive a terminal survives: control characters (C0, DEL, C1), invalid UTF-8
//! and the characters that reorder or hide text are written as escapes.

use super::digits::Digits;

/// What ends a text that was longer than its bound.
const CUT: &str = "...";

/// Text under construction; at most as many bytes as it was reset to.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    max: usize,
    cut: bool,
    /// Where the escape begins that has to go as a whole when the text is cut.
    straddling: Option<usize>,
}

impl Text {
    /// Empties the text and sets its bound in bytes.
    pub fn reset(&mut self, max: usize) {
        self.text.clear();
        self.max = max;
        self.cut = false;
        self.straddling = None;
    }

    /// The text so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.cut
    }

    /// How many more bytes fit.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.cut { 0 } else { self.max.saturating_sub(self.text.len()) }
    }

    /// Appends text that is known to be printable.
    pub fn push_str(&mut self, text: &str) {
        if self.cut {
            return;
        }
        if text.len() <= self.room() {
            self.text.push_str(text);
        } else {
            for character in text.chars() {
                self.push_piece(character.encode_utf8(&mut [0; 4]));
            }
        }
    }

    /// Appends bytes of the wire, escaped where they would not print.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        if bytes.len() <= self.room()
            && let Some(plain) = plain(bytes)
        {
            self.text.push_str(plain);
            return;
        }
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if self.cut {
                    return;
                }
                self.push_char(character);
            }
            for &byte in chunk.invalid() {
                self.push_hex(byte);
            }
        }
    }

    /// Appends a number.
    pub fn push_number(&mut self, number: i64) {
        self.push_str(Digits::default().signed(number));
    }

    /// Appends one character, escaped where it would not print.
    pub fn push_char(&mut self, character: char) {
        match character {
            '\n' => self.push_piece("\\n"),
            '\r' => self.push_piece("\\r"),
            '\t' => self.push_piece("\\t"),
            _ if is_harmless(character) => self.push_piece(character.encode_utf8(&mut [0; 4])),
            _ => {
                for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
                    self.push_hex(byte);
                }
            }
        }
    }

    fn push_hex(&mut self, byte: u8) {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
        let mut piece = [0; 4];
        for (slot, character) in
            piece.iter_mut().zip(['\\', 'x', digit(byte >> 4), digit(byte & 0x0f)])
        {
            *slot = u8::try_from(character).unwrap_or(b'?');
        }
        self.push_piece(std::str::from_utf8(&piece).unwrap_or("?"));
    }

    /// Appends an indivisible piece, or ends the text where it does not fit.
    fn push_piece(&mut self, piece: &str) {
        if self.cut {
            return;
        }
        let keep = self.max.checked_sub(CUT.len());
        if piece.len() <= self.room() {
            let begin = self.text.len();
            self.text.push_str(piece);
            if keep.is_some_and(|keep| begin < keep && keep < self.text.len()) {
                self.straddling = Some(begin);
            }
            return;
        }
        self.cut = true;
        if let Some(keep) = keep {
            let keep = self.straddling.unwrap_or(keep);
            while self.text.len() > keep {
                self.text.pop();
            }
            self.text.push_str(CUT);
        }
    }
}

/// Bytes of the wire as text, if all of them are printable ASCII.
#[inline]
#[must_use]
pub fn plain(bytes: &[u8]) -> Option<&str> {
    // Without an end at the first that is not, many are looked at together.
    let is_plain = bytes.iter().fold(true, |so_far, byte| so_far & (0x20..0x7f).contains(byte));
    if is_plain { std::str::from_utf8(bytes).ok() } else { None }
}

/// Whether a character prints as itself and does nothing else.
fn is_harmless(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !matches!(character,
        '\u{80}'..='\u{9f}'                            // C1 controls
        | '\u{ad}' | '\u{61c}' | '\u{180e}'            // soft hyphen, Arabic and Mongolian marks
        | '\u{200b}'..='\u{200f}'                      // zero width, direction marks
        | '\u{2028}'..='\u{202e}'                      // separators, bidi embeddings
        | '\u{2060}'..='\u{206f}'                      // invisible operators, bidi isolates
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'         // byte order mark, annotations
        | '\u{e0000}'..='\u{e0fff}'                    // tags, variation selectors
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: usize, bytes: &[u8], expect: &str) {
        let mut text = Text::default();
        text.reset(max);
        text.push_bytes(bytes);
        assert_eq!(text.as_str(), expect);
        assert!(text.as_str().len() <= max);
    }

    #[test]
    fn printable_bytes_stay() {
        check(128, b"set foo bared", "set foo bared");
        check(128, "naïve Schlüssel 钥匙".as_bytes(), "naïve Schlüssel 钥匙");
    }

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        check(128, b"\x1b]0;owned\x07", "\\x1b]0;owned\\x07");
        check(128, b"a\r\nb\t\x7f\x00", "a\\r\\nb\\t\\x7f\\x00");
        check(128, "\u{9b}31m".as_bytes(), "\\xc2\\x9b31m");
        check(128, "\u{202e}abc".as_bytes(), "\\xe2\\x80\\xaeabc");
        check(128, b"\xff\xfe", "\\xff\\xfe");
    }

    #[test]
    fn too_long_a_text_says_so_within_its_bound() {
        check(5, b"12345", "12345");
        check(5, b"123456", "12...");
        check(6, "ééé€".as_bytes(), "é...");
        check(2, b"123", "12");
        check(0, b"1", "");
        check(8, b"123\x00\x00", "123...");
    }

    #[test]
    fn pushes_join_and_stop_at_the_bound() {
        let mut text = Text::default();
        text.reset(7);
        text.push_str("get ");
        text.push_bytes(b"abc");
        assert!(!text.is_full());
        text.push_str("d");
        text.push_str("e");
        assert!(text.is_full());
        assert_eq!(text.as_str(), "get ...");
    }
}
