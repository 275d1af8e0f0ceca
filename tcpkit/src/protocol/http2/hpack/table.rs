//! The fields that one side said and may refer to by number (RFC 7541 §2.3.2 and §4).
//!
//! Numbers count from the newest field back. So whoever begins to listen in the midst of a connection
//! knows what is said from then on by the right numbers, and that what lies further back is unknown;
//! and to keep a field for longer than its sender does is harmless. Only the values that somebody asks
//! for are kept.

use std::collections::VecDeque;

use super::names::Name;

/// The table's size before anybody says otherwise, in bytes as RFC 7541 §4.1 counts them.
const USUAL_SIZE: u32 = 4096;

/// The most that is kept, in the same bytes. Those who talk may agree on more.
const MOST: u32 = 64 * 1024;

/// What a field costs beyond its bytes (RFC 7541 §4.1).
const OVERHEAD: u32 = 32;

/// A field that was said.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its value begins, counted from the first byte ever kept, modulo 2^32.
    at: u32,
    /// How many bytes of the value are kept.
    kept: u32,
    name_len: u32,
    /// What it counts for in the table.
    size: u32,
    name: Name,
}

/// A field that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) name: Name,
    pub(super) name_len: u32,
    pub(super) value: &'a [u8],
}

/// The fields of one direction.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// The values that are kept, one behind another.
    bytes: Vec<u8>,
    /// The number of the first of these bytes, modulo 2^32.
    first: u32,
    /// What the entries count for.
    size: u32,
    /// What the sender keeps; [`MOST`] where that is not known.
    max: u32,
    /// Whether `max` is known.
    is_sized: bool,
    /// Whether everything that the sender may refer to is here.
    is_complete: bool,
}

impl Default for Table {
    /// The table of a connection that is seen from its beginning.
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            first: 0,
            size: 0,
            max: USUAL_SIZE,
            is_sized: true,
            is_complete: true,
        }
    }
}

impl Table {
    /// Something was not heard: what was said before has numbers that nobody knows.
    pub(super) fn spoil(&mut self) {
        self.clear();
        (self.max, self.is_sized, self.is_complete) = (MOST, false, false);
    }

    /// Whether a number beyond the table's end is an error, and not only unknown.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The field with this number, where 0 is the newest.
    pub(super) fn get(&self, number: usize) -> Option<Found<'_>> {
        let place = self.entries.len().checked_sub(number)?.checked_sub(1)?;
        let entry = self.entries.get(place)?;
        let begin = entry.at.wrapping_sub(self.first) as usize;
        let value = self.bytes.get(begin..)?.get(..entry.kept as usize)?;
        Some(Found { name: entry.name, name_len: entry.name_len, value })
    }

    /// Adds a field whose value is `value_len` bytes long, of which `value` is kept.
    pub(super) fn insert(&mut self, name: Name, name_len: u32, value: &[u8], value_len: u32) {
        let size = name_len.saturating_add(value_len).saturating_add(OVERHEAD);
        if size > self.max.min(MOST) || (!self.is_sized && size > USUAL_SIZE) {
            // It empties the table and is not added (§4.4), or is too long to be kept. Where the sender's
            // size is not known it may be one or the other: what lies behind has no certain number.
            self.is_complete &= self.is_sized && size > self.max;
            self.clear();
            return;
        }
        self.shrink(MOST.min(self.max).saturating_sub(size), size);
        let Ok(kept) = u32::try_from(value.len()) else { return self.clear() };
        let at = self.first.wrapping_add(u32::try_from(self.bytes.len()).unwrap_or(0));
        self.bytes.extend_from_slice(value);
        self.size = self.size.saturating_add(size);
        self.entries.push_back(Entry { at, kept, name_len, size, name });
    }

    /// The sender keeps `max` bytes from now on.
    pub(super) fn resize(&mut self, max: u32) {
        (self.max, self.is_sized) = (max, true);
        self.shrink(max.min(MOST), 0);
        // Nothing fits into so little: the sender has forgotten everything.
        self.is_complete |= max < OVERHEAD;
    }

    /// Drops the oldest until no more than `size` is left, to make room for `more`.
    fn shrink(&mut self, size: u32, more: u32) {
        while self.size > size {
            // What the sender still has is missing here.
            self.is_complete &= self.size.saturating_add(more) > self.max;
            let Some(entry) = self.entries.pop_front() else { break };
            self.size = self.size.saturating_sub(entry.size);
        }
        let Some(oldest) = self.entries.front() else {
            self.first = self.first.wrapping_add(u32::try_from(self.bytes.len()).unwrap_or(0));
            self.bytes.clear();
            return;
        };
        // Moved when there is more that is dead than alive, so each byte is moved once on average.
        let dead = oldest.at.wrapping_sub(self.first);
        if dead as usize > self.bytes.len() / 2 {
            self.bytes.drain(..(dead as usize).min(self.bytes.len()));
            self.first = oldest.at;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        (self.first, self.size) = (0, 0);
    }

    /// What the entries count for, and how many they are.
    #[cfg(test)]
    pub(super) fn extent(&self) -> (u32, usize) {
        (self.size, self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(table: &mut Table, value: &str) {
        let len = u32::try_from(value.len()).unwrap();
        table.insert(Name::Path, 5, value.as_bytes(), len);
    }

    fn values(table: &Table) -> Vec<String> {
        let values = (0..).map_while(|number| table.get(number));
        values.map(|found| String::from_utf8(found.value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_newest_is_the_first_and_the_oldest_go() {
        let mut table = Table::default();
        table.resize(3 * 40);
        for value in ["/aa", "/bb", "/cc"] {
            add(&mut table, value);
        }
        assert_eq!((values(&table), table.extent()), (svec(&["/cc", "/bb", "/aa"]), (120, 3)));
        add(&mut table, "/dddd");
        assert_eq!(values(&table), ["/dddd", "/cc"]);
        assert!(table.is_complete());
        add(&mut table, &"e".repeat(100));
        assert_eq!((values(&table), table.extent()), (Vec::new(), (0, 0)));
        assert!(table.is_complete());
    }

    fn svec(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn what_was_not_heard_stays_unknown() {
        let mut table = Table::default();
        add(&mut table, "/a");
        table.spoil();
        assert!(!table.is_complete() && table.get(0).is_none());
        add(&mut table, "/b");
        assert_eq!(values(&table), ["/b"]);
        // It may or may not be there: what came before has lost its number.
        add(&mut table, &"c".repeat(5000));
        assert_eq!(values(&table), Vec::<String>::new());
        add(&mut table, "/d");
        assert_eq!(values(&table), ["/d"]);
        table.resize(4096);
        assert!(!table.is_complete());
        table.resize(0);
        assert!(table.is_complete());
    }

    #[test]
    fn memory_is_bounded_whatever_is_agreed_on() {
        let mut table = Table::default();
        table.resize(u32::MAX);
        for at in 0..20_000 {
            add(&mut table, &format!("/{at}"));
        }
        assert!(!table.is_complete());
        assert!(table.extent().0 <= MOST && table.bytes.len() <= MOST as usize);
        assert_eq!(table.get(0).unwrap().value, b"/19999");
        assert_eq!(table.get(1000).unwrap().value, b"/18999");
        add(&mut table, &"c".repeat(70_000));
        assert_eq!(table.extent(), (0, 0));
    }

    #[test]
    fn values_stay_right_while_old_ones_go() {
        let mut table = Table::default();
        let mut said = Vec::new();
        for at in 0..5000_usize {
            said.push(format!("/{}", "x".repeat(at % 97)));
            add(&mut table, said.last().unwrap());
            let known = values(&table);
            assert!(known.iter().eq(said.iter().rev().take(known.len())));
            assert!(known.len() > 20 || at < 20);
        }
    }
}
