//! Writes down what a request says: its text, and beside it the fields.

use super::{fields as field, reader::Reader};
use crate::protocol::{digits::Digits, fields::FieldWriter, scratch::Draft};

/// At most so many bytes of the text are kept for what comes behind topics.
const MAX_RESERVE: usize = 40;

/// The longest name in the fields, in bytes.
const MAX_FIELD: usize = 128;

/// The longest list in the fields, in bytes; a topic's name has at most 249.
const MAX_LIST: usize = 256;

/// What stands for the elements of a list that are not there or do not fit.
const MORE: &str = "...";

/// How a call names topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By name.
    Name,
    /// By the number that a topic got when it was made (KIP-516).
    Id,
}

impl Naming {
    /// By name, and from version `since` on by number.
    pub(super) fn of(version: i16, since: i16) -> Self {
        if version >= since { Self::Id } else { Self::Name }
    }
}

/// A request that is being written down.
pub(super) struct Saying<'d> {
    draft: &'d mut Draft,
    topics: List,
    partitions: List,
    /// How many bytes of the text are kept for what comes behind topics.
    reserve: usize,
    /// The fields that are there: bit 0 for the first of the names, and so on.
    written: u32,
    /// How many topics and partitions were written into the list that is open.
    listed: usize,
    /// Topics or partitions are expected still.
    expects: bool,
    /// A topic's partitions are being written.
    is_open: bool,
    /// There is no room for more of a list.
    is_full: bool,
}

impl<'d> Saying<'d> {
    /// A request that begins with its call's name, which the draft has already.
    pub(super) fn new(draft: &'d mut Draft) -> Self {
        let reserve = MAX_RESERVE.min(draft.text.room() / 3);
        Self {
            draft,
            reserve,
            written: 0,
            topics: List::default(),
            partitions: List::default(),
            listed: 0,
            expects: false,
            is_open: false,
            is_full: false,
        }
    }

    /// ` name=value`, and a field.
    pub(super) fn word(&mut self, field: u8, name: &str, value: &[u8]) {
        self.name(name);
        self.push_within(value);
        self.field(field, value);
    }

    /// ` value`, and a field.
    pub(super) fn bare(&mut self, field: u8, value: &[u8]) {
        self.draft.text.push_str(" ");
        self.push_within(value);
        self.field(field, value);
    }

    /// ` name=value`, where `value` is known to be printable.
    pub(super) fn plain(&mut self, name: &str, value: &str) {
        self.name(name);
        self.draft.text.push_str(value);
    }

    /// ` name=value unit`.
    pub(super) fn number(&mut self, name: &str, value: i64, unit: &str) {
        self.name(name);
        self.draft.text.push_number(value);
        self.draft.text.push_str(unit);
    }

    /// ` words`.
    pub(super) fn words(&mut self, words: &str) {
        self.draft.text.push_str(" ");
        self.draft.text.push_str(words);
    }

    fn name(&mut self, name: &str) {
        self.draft.text.push_str(" ");
        self.draft.text.push_str(name);
        self.draft.text.push_str("=");
    }

    /// A field that the text does not show; the first of several with its name.
    pub(super) fn field(&mut self, field: u8, value: &[u8]) {
        let bit = 1_u32.checked_shl(u32::from(field)).unwrap_or(0);
        if self.written & bit == 0 {
            self.written |= bit;
            push_field(&mut self.draft.fields, field, value);
        }
    }

    /// A number that the text does not show.
    pub(super) fn int(&mut self, field: u8, value: i64) {
        self.draft.fields.int(field, value);
    }

    /// A value of which so much is shown that what comes behind it has room.
    fn push_within(&mut self, value: &[u8]) {
        let text = &mut self.draft.text;
        let room = text.room();
        let room = room.saturating_sub(self.reserve);
        match value.get(..room) {
            Some(shown) if value.len() > room => {
                text.push_bytes(shown);
                text.push_str(MORE);
            }
            _ => text.push_bytes(value),
        }
    }

    /// Whether so many bytes more of a list have room; where not, the text says so once.
    fn has_room(&mut self, len: usize) -> bool {
        if !self.is_full && self.draft.text.room() <= self.reserve.saturating_add(len) {
            self.is_full = true;
            self.draft.text.push_str(if self.is_open { ",..." } else { " ..." });
        }
        !self.is_full
    }

    /// The next topic; others follow where `expects` says so.
    fn topic(&mut self, name: &[u8], separator: &str) {
        // Of the first at least the beginning is shown.
        let len = if self.listed == 0 { 0 } else { name.len() };
        if self.has_room(len) {
            self.draft.text.push_str(separator);
            self.push_within(name);
        }
        if self.draft.fields.wanted() {
            self.topics.push(name);
        }
        self.listed = self.listed.saturating_add(1);
    }

    fn partition(&mut self, topic: &[u8], partition: i32) {
        if self.is_open || !self.is_full {
            let is_first = !self.is_open;
            if is_first {
                self.draft.text.push_str("[");
                self.is_open = true;
            }
            if is_first || self.has_room(0) {
                self.draft.text.push_str(if is_first { "" } else { "," });
                self.draft.text.push_number(i64::from(partition));
            }
        }
        if self.draft.fields.wanted() {
            self.partitions.push_partition(topic, partition);
        }
    }

    fn end_topic(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.draft.text.push_str("]");
        }
    }

    /// Names without partitions, ` a,b`; `next` reads one, `rest` goes over
    /// what follows it.
    pub(super) fn names<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        count: usize,
        mut next: impl FnMut(&mut Reader<'a>) -> Option<Topic<'a>>,
        mut rest: impl FnMut(&mut Reader<'a>) -> Option<()>,
    ) -> Option<()> {
        for left in (0..count).rev() {
            self.expects = true;
            let separator = if self.listed == 0 { " " } else { "," };
            match next(reader)? {
                Topic::Name(name) => self.topic(name, separator),
                Topic::Id(id) => self.topic(&base64(id), separator),
            }
            self.expects = left > 0;
            rest(reader)?;
        }
        Some(())
    }

    /// Topics with partitions, ` a[0,1] b[2]`. `rest` goes over what follows a partition's number.
    pub(super) fn topics<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        naming: Naming,
        mut rest: impl FnMut(&mut Reader<'a>) -> Option<()>,
    ) -> Option<usize> {
        let count = reader.array()?;
        for topics_left in (0..count).rev() {
            self.expects = true;
            let id;
            let name = match naming {
                Naming::Name => reader.string()?,
                Naming::Id => {
                    id = base64(reader.uuid()?);
                    &id
                }
            };
            self.topic(name, " ");
            for left in (0..reader.array()?).rev() {
                let partition = reader.i32()?;
                self.partition(name, partition);
                self.expects = left > 0 || topics_left > 0;
                rest(reader)?;
            }
            self.end_topic();
            reader.tags()?;
        }
        Some(count)
    }

    /// No more of a list can be read: what was not listed is marked.
    pub(super) fn end_list(&mut self) {
        if std::mem::take(&mut self.expects) {
            if !self.is_full {
                self.draft.text.push_str(if self.is_open { ",..." } else { " ..." });
            }
            self.topics.is_cut = true;
            self.partitions.is_cut |= self.partitions.len > 0;
        }
        self.end_topic();
    }

    /// All was said: the lists become fields.
    pub(super) fn finish(self) {
        let Self { draft, mut topics, mut partitions, .. } = self;
        for (field, list) in [(field::TOPICS, &mut topics), (field::PARTITIONS, &mut partitions)] {
            if list.len > 0 {
                draft.fields.text(field, list.finish());
            }
        }
    }
}

/// A topic where partitions do not follow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic<'a> {
    Name(&'a [u8]),
    Id([u8; 16]),
}

/// A field made of bytes of the wire, if there are any.
pub(super) fn push_field(fields: &mut FieldWriter, field: u8, value: &[u8]) {
    if !value.is_empty() {
        fields.wire(field, MAX_FIELD, value);
    }
}

/// A list with commas, for a field. It has no memory of its own to be taken and given back.
#[derive(Debug)]
struct List {
    bytes: [u8; MAX_LIST],
    len: usize,
    is_cut: bool,
}

impl Default for List {
    fn default() -> Self {
        Self { bytes: [0; MAX_LIST], len: 0, is_cut: false }
    }
}

impl List {
    /// So much is kept for saying that there is more.
    const ROOM: usize = MAX_LIST - MORE.len() - 1;

    fn push(&mut self, item: &[u8]) {
        self.push_pieces(&[item]);
    }

    /// As Kafka writes a partition: `topic-0`.
    fn push_partition(&mut self, topic: &[u8], partition: i32) {
        let mut digits = Digits::default();
        self.push_pieces(&[topic, b"-", digits.signed(i64::from(partition)).as_bytes()]);
    }

    fn push_pieces(&mut self, pieces: &[&[u8]]) {
        let begin = self.len;
        let comma: &[u8] = if begin == 0 { b"" } else { b"," };
        for piece in std::iter::once(&comma).chain(pieces) {
            let end = self.len.saturating_add(piece.len());
            let room =
                self.bytes.get_mut(self.len..end).filter(|_| end <= Self::ROOM && !self.is_cut);
            let Some(room) = room else {
                self.is_cut = true;
                self.len = begin;
                return;
            };
            // Kafka allows letters, digits, `.`, `_` and `-` in names.
            for (to, from) in room.iter_mut().zip(*piece) {
                *to = if from.is_ascii_graphic() { *from } else { b'?' };
            }
            self.len = end;
        }
    }

    fn finish(&mut self) -> &str {
        if std::mem::take(&mut self.is_cut) {
            let end = self.len.saturating_add(MORE.len()).saturating_add(1);
            if let Some(room) = self.bytes.get_mut(self.len..end) {
                room.copy_from_slice(b",...");
                self.len = end;
            }
        }
        std::str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }
}

/// A topic's number as Kafka writes it: base64 for URLs, without padding.
fn base64(id: [u8; 16]) -> [u8; 22] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = u128::from_be_bytes(id);
    let mut text = [b'A'; 22];
    // The last digit stands for the last two bits and four more, which are 0.
    for (at, digit) in text.iter_mut().enumerate().rev() {
        let is_last = at == 21;
        let (value, shift) = if is_last { ((bits & 0b11) << 4, 2) } else { (bits & 0x3f, 6) };
        *digit = usize::try_from(value)
            .ok()
            .and_then(|value| DIGITS.get(value))
            .copied()
            .unwrap_or(b'A');
        bits >>= shift;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::text::Text;

    #[test]
    fn topic_numbers_look_as_kafka_writes_them() {
        assert_eq!(&base64([0; 16]), b"AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(&base64([0xff; 16]), b"_____________________w");
        let id = *b"0123456789abcdef";
        assert_eq!(&base64(id), b"MDEyMzQ1Njc4OWFiY2RlZg");
    }

    #[test]
    fn numbers_are_written_out() {
        for value in [0, 7, -1, 10, -120, 999, i64::from(i32::MIN), i64::MAX, i64::MIN] {
            let mut text = Text::default();
            text.reset(100);
            text.push_number(value);
            assert_eq!(text.as_str(), value.to_string());
        }
    }

    #[test]
    fn lists_end_where_the_next_does_not_fit() {
        let mut list = List::default();
        list.push(b"orders");
        list.push(b"pay\x1bments");
        assert_eq!(list.finish(), "orders,pay?ments");
        let mut list = List::default();
        for _ in 0..100 {
            list.push(b"orders");
        }
        assert!(list.finish().len() <= MAX_LIST);
        assert!(list.finish().ends_with("orders,..."), "{}", list.finish());
    }
}
