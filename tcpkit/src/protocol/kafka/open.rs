//! The requests that are under way, as far as it takes to read their responses.
//!
//! A response says nothing but its number, so the decoder keeps what was asked under it. Brokers answer
//! the requests of a connection in their order (protocol guide, "Network"). That is relied on only
//! where nothing else tells: for tokens of the old SASL exchange, which carry no number, and to learn that
//! nobody answers what a producer sends.

use std::collections::VecDeque;

/// A request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Its number.
    pub(super) id: u32,
    /// Its call's key.
    pub(super) key: i16,
    /// Its call's version.
    pub(super) version: u8,
    /// What else is to be known of it.
    pub(super) kind: Kind,
}

/// What is to be known of a request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is answered under its number.
    Ordinary,
    /// What a producer sent; whether it waits for a response was cut off.
    Uncertain,
    /// A token of the old SASL exchange: neither it nor its response has a number.
    Token,
}

/// So many requests are kept without further memory: a Java client sends at most five at a time.
const NEAR: usize = 5;

/// The most requests that are kept.
const MAX: usize = 4096;

/// Older requests than the answered one are not waited for when there are more than this.
const MAX_PASSED: usize = 64;

/// The requests of one connection that are under way, in their order.
#[derive(Debug, Default)]
pub(super) struct Open {
    near: [Option<Asked>; NEAR],
    /// Those behind; only where there are as many.
    #[expect(clippy::box_collection, reason = "a connection at rest is to cost little")]
    far: Option<Box<VecDeque<Asked>>>,
}

/// A request that was under way, and what that it was answered says of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) asked: Asked,
    /// An older [`Kind::Uncertain`] one was not answered, so it will not be.
    pub(super) passed_uncertain: bool,
}

impl Open {
    fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.near.iter().flatten().chain(self.far.iter().flat_map(|far| far.iter()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.near.first().is_none_or(Option::is_none)
    }

    /// Whether a request with this number is under way.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.iter().any(|asked| asked.id == id && asked.kind != Kind::Token)
    }

    /// The request with this number.
    pub(super) fn get(&self, id: u32) -> Option<Asked> {
        self.iter().find(|asked| asked.id == id && asked.kind != Kind::Token).copied()
    }

    /// How many are [`Kind::Uncertain`].
    pub(super) fn uncertain(&self) -> usize {
        self.iter().filter(|asked| asked.kind == Kind::Uncertain).count()
    }

    /// Whether a token waits for its response.
    pub(super) fn has_token(&self) -> bool {
        self.iter().any(|asked| asked.kind == Kind::Token)
    }

    /// Whether the oldest is a token.
    pub(super) fn first_is_token(&self) -> bool {
        self.iter().next().is_some_and(|asked| asked.kind == Kind::Token)
    }

    /// Keeps a request; not if there are too many.
    pub(super) fn push(&mut self, asked: Asked) -> bool {
        if self.far.as_ref().is_none_or(|far| far.is_empty())
            && let Some(free) = self.near.iter_mut().find(|place| place.is_none())
        {
            *free = Some(asked);
            return true;
        }
        let far = self.far.get_or_insert_default();
        if far.len() >= MAX {
            return false;
        }
        far.push_back(asked);
        true
    }

    /// Takes out the request with this number, the oldest of several.
    pub(super) fn take(&mut self, id: u32) -> Option<Found> {
        let mut passed_uncertain = false;
        let mut at = 0_usize;
        let mut found = None;
        for asked in self.iter() {
            if asked.id == id && asked.kind != Kind::Token {
                found = Some(*asked);
                break;
            }
            passed_uncertain |= asked.kind == Kind::Uncertain;
            at = at.saturating_add(1);
        }
        let asked = found?;
        self.remove(at);
        if at > MAX_PASSED {
            self.drop_first(at);
        }
        Some(Found { asked, passed_uncertain })
    }

    /// Takes out the oldest token.
    pub(super) fn take_token(&mut self) -> bool {
        let at = self.iter().position(|asked| asked.kind == Kind::Token);
        at.is_some_and(|at| self.remove(at))
    }

    /// Takes out all tokens.
    pub(super) fn drop_tokens(&mut self) {
        while self.take_token() {}
    }

    fn remove(&mut self, at: usize) -> bool {
        if let Some(behind) = at.checked_sub(NEAR) {
            return self.far.as_mut().is_some_and(|far| far.remove(behind).is_some());
        }
        if let Some(rest) = self.near.get_mut(at..) {
            rest.rotate_left(1);
        }
        let next = self.far.as_mut().and_then(|far| far.pop_front());
        if let Some(last) = self.near.last_mut() {
            *last = next;
        }
        if self.is_empty() {
            self.far = None;
        }
        true
    }

    fn drop_first(&mut self, count: usize) {
        for _ in 0..count {
            self.remove(0);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(id: u32, kind: Kind) -> Asked {
        Asked { id, key: 0, version: 0, kind }
    }

    #[test]
    fn requests_are_found_wherever_they_stand() {
        for count in [1, NEAR, NEAR + 1, 40] {
            for take in 0..count {
                let mut open = Open::default();
                for id in 0..count {
                    assert!(open.push(asked(id as u32, Kind::Ordinary)));
                }
                assert_eq!(open.take(take as u32).unwrap().asked.id, take as u32);
                assert_eq!(open.take(take as u32), None);
                let left: Vec<_> = open.iter().map(|asked| asked.id as usize).collect();
                let expect: Vec<_> = (0..count).filter(|id| *id != take).collect();
                assert_eq!(left, expect);
                open.push(asked(99, Kind::Ordinary));
                assert_eq!(open.iter().last().map(|asked| asked.id), Some(99));
            }
        }
    }

    #[test]
    fn there_is_a_bound() {
        let mut open = Open::default();
        let kept = (0..10_000).filter(|id| open.push(asked(*id, Kind::Ordinary))).count();
        assert_eq!(kept, MAX + NEAR);
        // What is older than an answered one is not waited for for ever.
        assert!(open.take(4000).is_some());
        assert_eq!(open.iter().count(), kept - 4001);
        assert_eq!(open.iter().next().map(|asked| asked.id), Some(4001));
        for id in 4001..10_000 {
            open.take(id);
        }
        assert!(open.is_empty() && open.far.is_none());
    }

    #[test]
    fn tokens_have_no_number() {
        let mut open = Open::default();
        open.push(asked(7, Kind::Token));
        open.push(asked(8, Kind::Uncertain));
        open.push(asked(9, Kind::Ordinary));
        assert!(!open.contains(7) && open.contains(8) && open.has_token());
        assert_eq!(open.take(9).map(|found| found.passed_uncertain), Some(true));
        assert!(open.take_token() && !open.take_token());
        assert_eq!(open.uncertain(), 1);
    }
}
