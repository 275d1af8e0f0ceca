//! HPACK (RFC 7541): header blocks to the few fields that are of interest.
//!
//! Every field that enters the dynamic table is followed, whatever its name, since the numbers of the
//! others depend on it. A decoder that has missed something goes on: what was said since is known by
//! its number, and what was said before is unknown, never guessed.

mod huffman;
mod names;
mod table;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
pub(super) mod tests;

use self::{
    names::{INTERESTING, STATIC_LEN, static_field},
    table::Table,
};
use crate::protocol::secrets::scheme;
pub(super) use names::Name;

/// The block is not what an encoder makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// How much of a header block is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Its beginning.
    Beginning,
}

/// The fields of one header block that are of interest.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// Their values, one behind another.
    bytes: Vec<u8>,
    /// Where each begins and ends, by name; the end is 0 where there is none.
    places: [(u32, u32); INTERESTING],
    /// Some field's name or value is not known, so that what is missing may be there.
    hidden: bool,
}

impl Headers {
    /// No fields; `bytes` is memory to work in.
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        // So that no value ends at 0.
        bytes.push(0);
        Self { bytes, ..Self::default() }
    }

    /// Gives the memory back.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The value of the first field with this name.
    pub(super) fn get(&self, name: Name) -> Option<&[u8]> {
        let &(begin, end) = self.places.get(name as usize)?;
        if end == 0 {
            return None;
        }
        self.bytes.get(begin as usize..end as usize)
    }

    /// Whether a field with this name is there.
    pub(super) fn has(&self, name: Name) -> bool {
        self.places.get(name as usize).is_some_and(|(_, end)| *end != 0)
    }

    /// Whether fields that [`Self::get`] does not find may be there all the same.
    pub(super) fn hides_some(&self) -> bool {
        self.hidden
    }

    /// Adds a field, unless there is one with this name.
    pub(super) fn add(&mut self, name: Name, value: &[u8]) {
        if !self.has(name) && (name as usize) < INTERESTING {
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(value);
            self.note(name, begin);
        }
    }

    /// The field's value begins at `begin` and goes to the end of the bytes.
    fn note(&mut self, name: Name, begin: usize) {
        let end = self.bytes.len();
        if let (Some(place), Ok(begin), Ok(end)) =
            (self.places.get_mut(name as usize), u32::try_from(begin), u32::try_from(end))
        {
            *place = (begin, end);
        }
    }
}

/// What one side said so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    table: Table,
}

impl Decoder {
    /// Something was not heard.
    pub(super) fn spoil(&mut self) {
        self.table.spoil();
    }

    /// Takes a header block apart. Of a block that is not whole, what is there; then everything said
    /// so far is unknown from here on.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        extent: Extent,
        headers: &mut Headers,
    ) -> Result<(), Broken> {
        let mut reader = Reader { rest: block };
        let mut result = Ok(());
        while !reader.rest.is_empty() {
            match self.decode_field(&mut reader, headers) {
                Ok(()) => {}
                Err(Stop::Broken) => return Err(Broken),
                Err(Stop::Short) => {
                    result = Err(Broken);
                    break;
                }
            }
        }
        if extent == Extent::Whole {
            return result;
        }
        headers.hidden = true;
        self.spoil();
        Ok(())
    }

    /// One representation of a field, or a new size of the table (RFC 7541 §6).
    #[inline]
    fn decode_field(&mut self, reader: &mut Reader<'_>, headers: &mut Headers) -> Result<(), Stop> {
        let first = reader.rest.first().copied().ok_or(Stop::Short)?;
        if first & 0x80 != 0 {
            let index = reader.integer(0x7f)?;
            return self.indexed(index, headers);
        }
        if first & 0xe0 == 0x20 {
            let size = reader.integer(0x1f)?;
            self.table.resize(u32::try_from(size).unwrap_or(u32::MAX));
            return Ok(());
        }
        let is_kept = first & 0x40 != 0;
        let index = reader.integer(if is_kept { 0x3f } else { 0x0f })?;
        let (name, name_len) = match index {
            0 => written_name(reader.string()?, is_kept, &mut headers.bytes)?,
            _ => self.name(index)?,
        };
        let value = reader.string()?;
        self.literal(name, name_len, value, is_kept, headers)
    }

    fn indexed(&mut self, index: usize, headers: &mut Headers) -> Result<(), Stop> {
        if index <= STATIC_LEN {
            let field = static_field(index).ok_or(Stop::Broken)?;
            headers.add(field.name, field.value);
            return Ok(());
        }
        match self.table.get(dynamic(index)) {
            Some(found) if found.name != Name::Unknown => headers.add(found.name, found.value),
            None if self.table.is_complete() => return Err(Stop::Broken),
            Some(_) | None => headers.hidden = true,
        }
        Ok(())
    }

    /// The name with this index, and its length.
    fn name(&self, index: usize) -> Result<(Name, u32), Stop> {
        if index <= STATIC_LEN {
            let field = static_field(index).ok_or(Stop::Broken)?;
            return Ok((field.name, field.name_len));
        }
        match self.table.get(dynamic(index)) {
            Some(found) => Ok((found.name, found.name_len)),
            None if self.table.is_complete() => Err(Stop::Broken),
            None => Ok((Name::Unknown, 0)),
        }
    }

    fn literal(
        &mut self,
        name: Name,
        name_len: u32,
        value: Written<'_>,
        is_kept: bool,
        headers: &mut Headers,
    ) -> Result<(), Stop> {
        headers.hidden |= name == Name::Unknown;
        if !name.has_value() {
            headers.add(name, b"");
            if is_kept {
                self.table.insert(name, name_len, b"", length(value.len()?)?);
            }
            return Ok(());
        }
        if headers.has(name) && !is_kept {
            return Ok(());
        }
        let begin = headers.bytes.len();
        value.decode(&mut headers.bytes)?;
        let value_len = length(headers.bytes.len().saturating_sub(begin))?;
        if name == Name::Authorization {
            let kept = headers.bytes.get(begin..).map_or(0, |value| scheme(value).len());
            headers.bytes.truncate(begin.saturating_add(kept));
        }
        if is_kept {
            let kept = headers.bytes.get(begin..).unwrap_or_default();
            self.table.insert(name, name_len, kept, value_len);
        }
        if headers.has(name) {
            headers.bytes.truncate(begin);
        } else {
            headers.note(name, begin);
        }
        Ok(())
    }

    /// What the table holds: bytes as the RFC counts them, and how many fields.
    #[cfg(test)]
    fn extent(&self) -> (u32, usize) {
        self.table.extent()
    }
}

/// The number in the dynamic table of what has this index.
fn dynamic(index: usize) -> usize {
    index.saturating_sub(STATIC_LEN).saturating_sub(1)
}

/// Lengths in a table are small: a header block is at most 64 KiB long.
fn length(len: usize) -> Result<u32, Stop> {
    u32::try_from(len).map_err(|_| Stop::Broken)
}

/// The name that is written out, and its length where the field is kept.
fn written_name(
    name: Written<'_>,
    is_kept: bool,
    bytes: &mut Vec<u8>,
) -> Result<(Name, u32), Stop> {
    if name.bytes.len() > names::LONGEST {
        let len = if is_kept { length(name.len()?)? } else { 0 };
        return Ok((Name::Other, len));
    }
    if !name.is_huffman {
        return Ok((Name::of(name.bytes), length(name.bytes.len())?));
    }
    let begin = bytes.len();
    name.decode(bytes)?;
    let written = bytes.get(begin..).unwrap_or_default();
    let named = (Name::of(written), length(written.len())?);
    bytes.truncate(begin);
    Ok(named)
}

/// Why a block is not read on.
enum Stop {
    Broken,
    /// It ends here, within a field.
    Short,
}

impl From<huffman::Broken> for Stop {
    fn from(_: huffman::Broken) -> Self {
        Self::Broken
    }
}

/// A string literal (RFC 7541 §5.2).
#[derive(Clone, Copy)]
struct Written<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl Written<'_> {
    /// How many bytes it stands for.
    fn len(self) -> Result<usize, Stop> {
        if self.is_huffman { Ok(huffman::decoded_len(self.bytes)?) } else { Ok(self.bytes.len()) }
    }

    /// Appends what it stands for.
    fn decode(self, out: &mut Vec<u8>) -> Result<(), Stop> {
        if self.is_huffman {
            huffman::decode(self.bytes, out)?;
        } else {
            out.extend_from_slice(self.bytes);
        }
        Ok(())
    }
}

/// Reads a block from the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Stop> {
        let (byte, rest) = self.rest.split_first().ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// An integer whose beginning stands in the bits of `prefix` (RFC 7541 §5.1).
    #[inline]
    fn integer(&mut self, prefix: u8) -> Result<usize, Stop> {
        let begin = self.byte()? & prefix;
        if begin < prefix {
            return Ok(usize::from(begin));
        }
        let mut value = u32::from(prefix);
        // Nothing here is as large as 2^28: five bytes are longer than any number makes sense.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value = value.saturating_add(u32::from(byte & 0x7f).wrapping_shl(shift));
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        // A table's size may be; what it is does not matter beyond that.
        match self.byte()? {
            0..=0x0f => Ok(u32::MAX as usize),
            _ => Err(Stop::Broken),
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Written<'a>, Stop> {
        let is_huffman = self.rest.first().ok_or(Stop::Short)? & 0x80 != 0;
        let len = self.integer(0x7f)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(Written { bytes, is_huffman })
    }
}
