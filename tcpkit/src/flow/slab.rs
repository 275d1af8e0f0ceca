//! Places that never move: a list of blocks, each of a fixed number of places.
//!
//! One vector would copy everything whenever it grows, and hold up to twice the memory that is in
//! use; here a further block is all that growing takes.

/// How many places a block has.
const BLOCK: usize = 256;

/// Values by the numbers of their places. A place is used again after its value was removed.
#[derive(Debug)]
pub(super) struct Slab<V> {
    /// Each full but the last; none grows beyond what it was made for.
    blocks: Vec<Vec<Slot<V>>>,
    /// The first of the free places; each names the next.
    free: Option<u32>,
}

#[derive(Debug)]
enum Slot<V> {
    Used(V),
    Free { next: Option<u32> },
}

impl<V> Slab<V> {
    /// No places yet.
    pub(super) fn new() -> Self {
        Self { blocks: Vec::new(), free: None }
    }

    /// How many places there are, used or not.
    pub(super) fn places(&self) -> usize {
        let last = self.blocks.last().map_or(0, Vec::len);
        self.blocks.len().saturating_sub(1).saturating_mul(BLOCK).saturating_add(last)
    }

    #[inline]
    fn slot(&self, at: u32) -> Option<&Slot<V>> {
        let at = at as usize;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)
    }

    #[inline]
    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot<V>> {
        let at = at as usize;
        self.blocks.get_mut(at / BLOCK)?.get_mut(at % BLOCK)
    }

    /// The value at a place.
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&V> {
        match self.slot(at)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The value at a place.
    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut V> {
        match self.slot_mut(at)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// Puts a value at a free place, and says at which.
    pub(super) fn insert(&mut self, value: V) -> u32 {
        if let Some(at) = self.free
            && let Some(slot) = self.slot_mut(at)
            && let Slot::Free { next } = *slot
        {
            *slot = Slot::Used(value);
            self.free = next;
            return at;
        }
        let at = u32::try_from(self.places()).unwrap_or(u32::MAX);
        let value = Slot::Used(value);
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(value),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(value);
                self.blocks.push(block);
            }
        }
        at
    }

    /// Takes the value from a place.
    pub(super) fn remove(&mut self, at: u32) -> Option<V> {
        let next = self.free;
        let slot = self.slot_mut(at)?;
        if let Slot::Free { .. } = slot {
            return None;
        }
        let Slot::Used(value) = std::mem::replace(slot, Slot::Free { next }) else { return None };
        self.free = Some(at);
        Some(value)
    }

    /// Takes all values.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = V> + use<V> {
        self.free = None;
        std::mem::take(&mut self.blocks).into_iter().flatten().filter_map(|slot| match slot {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_their_values_while_others_come_and_go() {
        let mut slab = Slab::new();
        let count = u32::try_from(3 * BLOCK + 1).expect("small");
        for value in 0..count {
            assert_eq!(slab.insert(value), value);
        }
        for at in (0..count).step_by(2) {
            assert_eq!(slab.remove(at), Some(at));
            assert_eq!(slab.remove(at), None);
        }
        // What was freed last is used first, and nothing new is needed for it.
        assert_eq!(slab.insert(7), count - 1);
        assert_eq!(slab.places(), 3 * BLOCK + 1);
        assert!((1..count).step_by(2).all(|at| slab.get(at) == Some(&at)));
        assert_eq!(slab.get_mut(0), None);
        assert_eq!(slab.get(count), None);
        assert_eq!(slab.drain().count(), 3 * BLOCK / 2 + 1);
        assert_eq!(slab.places(), 0);
    }
}
