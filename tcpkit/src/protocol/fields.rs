//! Named details of a message, packed into bytes so that keeping them costs one copy.
//!
//! Each field is its name's position in [`super::Protocol::field_names`] (one byte), a tag (one
//! byte), and its value: eight bytes for numbers, a two-byte length and UTF-8 for text.

use super::text::{Text, plain};

const TAG_INT: u8 = 0;
const TAG_TEXT: u8 = 1;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A whole number.
    Int(i64),
    /// Printable text.
    Text(&'a str),
}

/// Collects the fields of a message under construction.
#[derive(Debug, Default)]
pub struct FieldWriter {
    bytes: Vec<u8>,
    wanted: bool,
    /// For a value that has to be put together.
    text: Text,
}

/// The most bytes that one message's fields take; later ones are left out.
const MAX_BYTES: usize = 4096;

impl FieldWriter {
    pub(super) fn reset(&mut self, wanted: bool) {
        self.bytes.clear();
        self.wanted = wanted;
    }

    /// Whether anybody will read the fields: making a costly value can be spared if not.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wanted
    }

    /// Adds a number under the name at position `name`.
    pub fn int(&mut self, name: u8, value: i64) {
        if self.wanted && self.bytes.len() < MAX_BYTES {
            self.bytes.extend_from_slice(&[name, TAG_INT]);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Adds printable text under the name at position `name`.
    pub fn text(&mut self, name: u8, value: &str) {
        let Ok(len) = u16::try_from(value.len()) else { return };
        if self.wanted && self.bytes.len() < MAX_BYTES {
            self.bytes.extend_from_slice(&[name, TAG_TEXT]);
            self.bytes.extend_from_slice(&len.to_le_bytes());
            self.bytes.extend_from_slice(value.as_bytes());
        }
    }

    /// Adds fields that were packed before.
    pub fn copy(&mut self, packed: &[u8]) {
        if self.wanted && self.bytes.len() < MAX_BYTES {
            self.bytes.extend_from_slice(packed);
        }
    }

    /// Adds the text of at most `max` bytes that `push` puts together, under the name at position
    /// `name`.
    pub fn text_with(&mut self, name: u8, max: usize, push: impl FnOnce(&mut Text)) {
        if !self.wanted {
            return;
        }
        let mut text = std::mem::take(&mut self.text);
        text.reset(max);
        push(&mut text);
        self.text(name, text.as_str());
        self.text = text;
    }

    /// Adds at most `max` bytes of text made of bytes of the wire, which nearly always print as they are.
    #[inline]
    pub fn wire(&mut self, name: u8, max: usize, value: &[u8]) {
        if !self.wanted {
            return;
        }
        match plain(value) {
            Some(value) if value.len() <= max => self.text(name, value),
            _ => self.text_with(name, max, |text| text.push_bytes(value)),
        }
    }

    /// The packed fields, for [`Fields::new`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads packed fields.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    names: &'static [&'static str],
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Fields that a decoder of the protocol with these `names` packed.
    #[must_use]
    pub fn new(names: &'static [&'static str], bytes: &'a [u8]) -> Self {
        Self { names, bytes }
    }

    /// The names that the bytes refer to.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// The packed fields that were not read yet.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'static str, FieldValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[name, tag], rest) = self.bytes.split_first_chunk::<2>()?;
        let name = self.names.get(usize::from(name)).copied()?;
        let (value, rest) = match tag {
            TAG_INT => {
                let (value, rest) = rest.split_first_chunk::<8>()?;
                (FieldValue::Int(i64::from_le_bytes(*value)), rest)
            }
            TAG_TEXT => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
                (FieldValue::Text(std::str::from_utf8(text).ok()?), rest)
            }
            _ => return None,
        };
        self.bytes = rest;
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_order() {
        let mut writer = FieldWriter::default();
        writer.reset(true);
        writer.text(1, "set");
        writer.int(0, -3);
        writer.text(1, "");
        let read: Vec<_> = Fields::new(&["args", "command"], writer.bytes()).collect();
        assert_eq!(
            read,
            [
                ("command", FieldValue::Text("set")),
                ("args", FieldValue::Int(-3)),
                ("command", FieldValue::Text("")),
            ]
        );
    }

    #[test]
    fn unwanted_fields_cost_nothing() {
        let mut writer = FieldWriter::default();
        writer.reset(false);
        writer.text(0, "set");
        writer.int(0, 1);
        assert!(writer.bytes().is_empty());
    }

    #[test]
    fn broken_bytes_end_the_list() {
        for bytes in [&[0][..], &[0, 9, 1], &[7, 0, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 1, 5, 0, b'x']] {
            assert_eq!(Fields::new(&["a"], bytes).count(), 0, "{bytes:?}");
        }
    }
}
