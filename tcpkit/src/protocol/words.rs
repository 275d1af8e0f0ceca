//! Short text made of plain words, put together without an allocation and looked at once.
//!
//! Nearly every request is a few short words. They are copied in steps of a fixed size, which is a few
//! instructions where a copy of any length is a call, and whether all of them are plain is asked of
//! the whole text, not of each.

/// The longest text that is put together here, in bytes.
pub const MAX_WORDS: usize = 192;

/// So many bytes are copied or looked at together.
const STEP: usize = 32;

/// What stands behind the text up to the next whole step: anything plain.
const FILL: [u8; STEP] = [b'x'; STEP];

/// Words with spaces between them.
#[derive(Debug)]
#[repr(align(32))]
pub struct Words {
    bytes: [u8; MAX_WORDS + 2 * STEP],
    /// The words' bytes so far, each word with a space behind it.
    len: usize,
    count: usize,
}

impl Default for Words {
    fn default() -> Self {
        Self { bytes: [0; MAX_WORDS + 2 * STEP], len: 0, count: 0 }
    }
}

impl Words {
    /// Empties the text.
    #[inline]
    pub fn clear(&mut self) {
        (self.len, self.count) = (0, 0);
    }

    /// Appends the word that is the first `len` bytes of `from`; `None` when it is empty or does not
    /// fit.
    #[inline]
    pub fn push(&mut self, from: &[u8], len: usize) -> Option<()> {
        let end = self.len.checked_add(len)?;
        if len == 0 || end > MAX_WORDS {
            return None;
        }
        let room = self.bytes.get_mut(self.len..)?;
        match (from.first_chunk::<STEP>(), room.first_chunk_mut::<STEP>()) {
            // What comes behind the word is overwritten.
            (Some(from), Some(room)) if len <= STEP => *room = *from,
            _ => room.get_mut(..len)?.copy_from_slice(from.get(..len)?),
        }
        *self.bytes.get_mut(end)? = b' ';
        self.len = end.wrapping_add(1);
        self.count = self.count.wrapping_add(1);
        Some(())
    }

    /// The length of the text.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.saturating_sub(1)
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all words show as themselves: printable ASCII without spaces and quotes.
    #[inline]
    pub fn are_plain(&mut self) -> bool {
        let len = self.len();
        let Some(behind) = self.bytes.get_mut(len..).and_then(<[u8]>::first_chunk_mut::<STEP>)
        else {
            return false;
        };
        *behind = FILL;
        let mut spaces = 0_usize;
        let mut strange = 0_u8;
        for step in self.steps().as_chunks::<STEP>().0 {
            let mut here = 0_u8;
            for &byte in step {
                here = here.wrapping_add(u8::from(byte == b' '));
                let is_strange = !(b' '..0x7f).contains(&byte) | (byte == b'"') | (byte == b'\'');
                strange |= u8::from(is_strange);
            }
            spaces = spaces.wrapping_add(usize::from(here));
        }
        strange == 0 && spaces == self.count.saturating_sub(1)
    }

    /// The text, if it is printable.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.steps()).ok().and_then(|text| text.get(..self.len())).unwrap_or("")
    }

    /// The text up to a whole step.
    #[inline]
    fn steps(&self) -> &[u8] {
        self.bytes.get(..self.len().next_multiple_of(STEP)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(words: &[&[u8]]) -> Option<String> {
        let mut text = Words::default();
        for word in words {
            // Once with enough behind it to be copied in one step.
            let mut from = word.to_vec();
            from.extend_from_slice(b"\r\n\xff '\"");
            text.push(&from, word.len())?;
        }
        text.are_plain().then(|| text.as_str().to_owned())
    }

    #[test]
    fn plain_words_are_joined() {
        for words in [&["get"][..], &["set", "a", "b"], &["x"; 60]] {
            let bytes: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(join(&bytes), Some(words.join(" ")));
        }
        for len in 1..=MAX_WORDS {
            let word = "y".repeat(len);
            assert_eq!(join(&[word.as_bytes()]), Some(word));
        }
    }

    #[test]
    fn others_are_refused_wherever_they_stand() {
        assert_eq!(join(&[b"get", b""]), None);
        assert_eq!(join(&[&[b'a'; MAX_WORDS + 1]]), None);
        assert_eq!(join(&[&[b'a'; MAX_WORDS - 2], b"bb"]), None);
        for strange in [b'\'', b'"', b' ', b'\n', 0x7f, 0, 0x80, 0xff] {
            for len in 1..70 {
                for at in 0..len {
                    let mut word = vec![b'a'; len];
                    word[at] = strange;
                    assert_eq!(join(&[b"set", &word, b"c"]), None, "{strange} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn a_text_begins_anew() {
        let mut text = Words::default();
        text.push(b"\xff\xff\xff", 3);
        assert!(!text.are_plain());
        text.clear();
        text.push(b"ok", 2);
        assert!(text.are_plain());
        assert_eq!((text.as_str(), text.len(), text.is_empty()), ("ok", 2, false));
    }
}
