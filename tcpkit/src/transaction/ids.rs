//! Finds open requests by the numbers that they carry, where there are too many to look through.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The places of open requests by their numbers.
#[derive(Debug, Default)]
pub(super) struct Ids {
    entries: HashTable<Entry>,
    /// Seeded at random: numbers come from whoever can send packets.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    place: u64,
}

impl Ids {
    /// The request at `place` carries `id`.
    pub(super) fn insert(&mut self, id: u64, place: u64) {
        let Self { entries, hasher } = self;
        let hash = |entry: &Entry| hasher.hash_one(entry.id);
        entries.insert_unique(hasher.hash_one(id), Entry { id, place }, hash);
    }

    /// Where the request with this number is; the oldest of several.
    pub(super) fn find(&self, id: u64) -> Option<u64> {
        let entries = self.entries.iter_hash(self.hasher.hash_one(id));
        entries.filter(|entry| entry.id == id).map(|entry| entry.place).min()
    }

    /// The request at `place`, which carries `id`, is open no more.
    pub(super) fn remove(&mut self, id: u64, place: u64) {
        let hash = self.hasher.hash_one(id);
        if let Ok(entry) = self.entries.find_entry(hash, |entry| entry.place == place) {
            entry.remove();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_request_with_a_number_is_found() {
        let mut ids = Ids::default();
        for (id, place) in [(7, 2), (8, 3), (7, 1)] {
            ids.insert(id, place);
        }
        assert_eq!(ids.find(7), Some(1));
        ids.remove(7, 1);
        assert_eq!(ids.find(7), Some(2));
        ids.remove(7, 2);
        assert_eq!(ids.find(7), None);
        assert_eq!(ids.find(8), Some(3));
        ids.clear();
        assert_eq!(ids.find(8), None);
    }
}
