//! All connections being followed: bounded, and forgetting those that went quiet.
//!
//! Flows live in a slab; a hash index finds them by key with one look-up a packet. When the table
//! is full the second-chance clock chooses a flow to evict: a hand walks the slab and takes the
//! first flow that had no packet since the hand passed it last.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Assembler, FlowKey, slab::Slab};

/// A flow's place in the table. It is reused after the flow is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowId(u32);

/// One connection, with whatever `T` the caller keeps for it.
#[derive(Debug)]
pub struct Flow<T> {
    /// Its two ends.
    pub key: FlowKey,
    /// Puts its bytes in order.
    pub assembler: Assembler,
    /// When its latest packet was captured, in ns.
    pub last_seen_ns: u64,
    /// The caller's own.
    pub state: T,
    recently_used: bool,
}

/// For how long flows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// How long a flow may be quiet, in ns.
    pub idle_ns: u64,
    /// How long a closed flow is kept, so that its late packets do not look like a new one, in ns.
    pub closed_ns: u64,
}

impl Expiry {
    /// How long this flow may be quiet, in ns.
    #[must_use]
    pub fn limit_ns<T>(&self, flow: &Flow<T>) -> u64 {
        if flow.assembler.is_closed() { self.closed_ns } else { self.idle_ns }
    }
}

/// Every flow being followed, at most as many as it was made for.
#[derive(Debug)]
pub struct FlowTable<T> {
    slab: Slab<Flow<T>>,
    index: HashTable<u32>,
    hasher: RandomState,
    max_flows: usize,
    evict_hand: usize,
    sweep_hand: usize,
}

impl<T> FlowTable<T> {
    /// A table for at most `max_flows` flows (at least 1); its memory grows with what it holds.
    #[must_use]
    pub fn new(max_flows: usize) -> Self {
        Self {
            slab: Slab::new(),
            index: HashTable::new(),
            // Seeded at random: keys come from whoever can send packets.
            hasher: RandomState::default(),
            max_flows: max_flows.clamp(1, u32::MAX as usize / 2),
            evict_hand: 0,
            sweep_hand: 0,
        }
    }

    /// How many flows are being followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no flow is being followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Whether one more flow means evicting another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.index.len() >= self.max_flows
    }

    /// The flow with this key.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowId> {
        let hash = self.hasher.hash_one(key);
        let slab = &self.slab;
        self.index
            .find(hash, |&at| slab.get(at).is_some_and(|it| it.key == *key))
            .map(|&at| FlowId(at))
    }

    /// The flow at this place.
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow<T>> {
        self.slab.get(id.0)
    }

    /// How many places there are to sweep, used or not.
    #[must_use]
    pub fn places(&self) -> usize {
        self.slab.places()
    }

    /// The flow at this place, not noted as in use.
    pub fn look_at(&mut self, id: FlowId) -> Option<&mut Flow<T>> {
        self.slab.get_mut(id.0)
    }

    /// The flow at this place, noted as in use.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<T>> {
        let flow = self.look_at(id)?;
        flow.recently_used = true;
        Some(flow)
    }

    /// Adds a flow that is not there yet. The caller makes room first ([`Self::evict`]); a full
    /// table takes one more all the same.
    pub fn insert(&mut self, key: FlowKey, now_ns: u64, state: T) -> FlowId {
        let flow = Flow {
            key,
            assembler: Assembler::default(),
            last_seen_ns: now_ns,
            state,
            recently_used: true,
        };
        let at = self.slab.insert(flow);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.index.insert_unique(hasher.hash_one(key), at, |&at| {
            slab.get(at).map_or(0, |flow| hasher.hash_one(flow.key))
        });
        FlowId(at)
    }

    /// Removes a flow.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<T>> {
        let hash = self.hasher.hash_one(self.get(id)?.key);
        if let Ok(entry) = self.index.find_entry(hash, |&at| at == id.0) {
            entry.remove();
        }
        self.slab.remove(id.0)
    }

    /// Removes the flow that the clock's hand finds first without a recent packet.
    pub fn evict(&mut self) -> Option<Flow<T>> {
        // Twice around at most: the first round takes every flow's second chance.
        for _ in 0..self.places().saturating_mul(2) {
            let at = step(&mut self.evict_hand, self.slab.places())?;
            let Some(flow) = self.slab.get_mut(at) else { continue };
            if !std::mem::take(&mut flow.recently_used) {
                return self.remove(FlowId(at));
            }
        }
        None
    }

    /// Looks at up to `count` places, and removes the flows there that were quiet for longer than
    /// `limit_ns` allows each, handing them to `removed`.
    pub fn sweep(
        &mut self,
        now_ns: u64,
        count: usize,
        limit_ns: impl Fn(&Flow<T>) -> u64,
        mut removed: impl FnMut(Flow<T>),
    ) {
        for _ in 0..count.min(self.places()) {
            let Some(at) = step(&mut self.sweep_hand, self.slab.places()) else { return };
            let Some(flow) = self.slab.get(at) else { continue };
            let quiet_ns = now_ns.saturating_sub(flow.last_seen_ns);
            if quiet_ns >= limit_ns(flow)
                && let Some(flow) = self.remove(FlowId(at))
            {
                removed(flow);
            }
        }
    }

    /// Removes all flows.
    pub fn drain(&mut self) -> impl Iterator<Item = Flow<T>> + use<T> {
        self.index.clear();
        self.slab.drain()
    }
}

/// Moves a hand that goes around `places` places to the next; returns where it stood.
fn step(hand: &mut usize, places: usize) -> Option<u32> {
    let at = hand.checked_rem(places)?;
    *hand = at.saturating_add(1);
    u32::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Addresses, Endpoint};

    fn key(port: u16) -> FlowKey {
        FlowKey::of(&Addresses {
            source: Endpoint::v4([10, 0, 0, 1], port),
            destination: Endpoint::v4([10, 0, 0, 2], 6379),
        })
        .0
    }

    #[test]
    fn flows_are_found_until_removed_and_places_are_reused() {
        let mut table = FlowTable::new(10);
        let first = table.insert(key(1), 0, "first");
        let second = table.insert(key(2), 0, "second");
        assert_eq!(table.find(&key(1)), Some(first));
        assert_eq!(table.remove(first).map(|flow| flow.state), Some("first"));
        assert_eq!(table.find(&key(1)), None);
        assert!(table.remove(first).is_none());
        let third = table.insert(key(3), 0, "third");
        assert_eq!(third, first);
        assert_eq!(table.find(&key(2)), Some(second));
        assert_eq!(table.get(third).map(|flow| flow.state), Some("third"));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn the_flow_without_recent_packets_is_evicted() {
        let mut table = FlowTable::new(3);
        let ids: Vec<_> = (1..=3).map(|port| table.insert(key(port), 0, port)).collect();
        assert!(table.is_full());
        // The first eviction takes all second chances and the first flow; the next spares the
        // one in use.
        assert_eq!(table.evict().map(|flow| flow.state), Some(1));
        table.insert(key(4), 0, 4);
        table.get_mut(ids[1]);
        assert_eq!(table.evict().map(|flow| flow.state), Some(3));
        assert_eq!(table.len(), 2);
        assert!(table.find(&key(2)).is_some());
    }

    #[test]
    fn a_sweep_removes_only_what_was_quiet_for_long() {
        let mut table = FlowTable::new(10);
        table.insert(key(1), 0, ());
        table.insert(key(2), 90, ());
        let mut removed = Vec::new();
        table.sweep(100, 10, |_| 100, |flow| removed.push(flow.key));
        assert_eq!(removed, [key(1)]);
        assert_eq!(table.drain().count(), 1);
        assert!(table.is_empty());
    }

    #[test]
    fn an_empty_table_evicts_nothing() {
        let mut table = FlowTable::<()>::new(0);
        assert!(table.evict().is_none());
        table.sweep(1, 5, |_| 0, |_| {});
    }
}
