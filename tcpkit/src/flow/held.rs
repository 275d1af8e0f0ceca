//! Segments that wait: for bytes before them, or for bytes of the other side that they answer.

use std::collections::VecDeque;

use super::seq::Seq;

/// A segment kept until its turn comes.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: Seq,
    /// Bytes on the wire; more than `bytes` when it was cut.
    pub(super) len: u32,
    pub(super) ack: Option<Seq>,
    pub(super) time_ns: u64,
    pub(super) fin: bool,
    pub(super) bytes: Vec<u8>,
}

impl Held {
    pub(super) fn end(&self) -> Seq {
        self.seq.advance(self.len)
    }

    /// Drops the first `count` bytes, which somebody else carried first.
    pub(super) fn trim_front(&mut self, count: u32) {
        let count = count.min(self.len);
        self.seq = self.seq.advance(count);
        self.len = self.len.saturating_sub(count);
        let captured = usize::try_from(count).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..captured);
    }

    /// Takes over the FIN of a segment that brings nothing else; returns whether it did.
    fn take_fin_of(&mut self, other: &Held) -> bool {
        let brings = other.fin && !self.fin && other.end() == self.end();
        self.fin |= brings;
        brings
    }

    /// Cuts off and returns what lies behind the first `count` bytes.
    fn split_off(&mut self, count: u32) -> Held {
        let captured = usize::try_from(count).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = Held {
            seq: self.seq.advance(count),
            len: self.len.saturating_sub(count),
            ack: self.ack,
            time_ns: self.time_ns,
            fin: self.fin,
            bytes: self.bytes.split_off(captured),
        };
        self.fin = false;
        self.len = count.min(self.len);
        rest
    }
}

/// The waiting segments of one side, by sequence number, without overlaps: of bytes carried twice
/// the first arrival stays.
#[derive(Debug, Default)]
pub(super) struct HeldQueue {
    segments: VecDeque<Held>,
    bytes: usize,
}

/// What a waiting segment costs beside its bytes.
const OVERHEAD: usize = 96;

impl HeldQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Held> {
        self.segments.front()
    }

    pub(super) fn pop_first(&mut self) -> Option<Held> {
        let first = self.segments.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.bytes.len().saturating_add(OVERHEAD));
        Some(first)
    }

    /// Memory in use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    /// Adds what `segment` carries that no waiting segment does. Returns whether that was anything.
    pub(super) fn insert(&mut self, mut segment: Held) -> bool {
        if segment.len == 0 {
            // Only a FIN is worth waiting for without bytes, and only once.
            if !segment.fin || self.segments.iter().any(|held| held.fin) {
                return false;
            }
            self.place(self.segments.len(), segment);
            return true;
        }
        let mut added = false;
        let mut index = self.segments.partition_point(|held| held.seq.is_before(segment.seq));
        if let Some(before) = index.checked_sub(1).and_then(|before| self.segments.get_mut(before))
        {
            let covered = segment.seq.bytes_to(before.end());
            if covered >= segment.len {
                return before.take_fin_of(&segment);
            }
            segment.trim_front(covered);
        }
        loop {
            let Some(next) = self.segments.get_mut(index) else {
                self.place(index, segment);
                return true;
            };
            let free = segment.seq.bytes_to(next.seq);
            if free >= segment.len {
                self.place(index, segment);
                return true;
            }
            let next_end = next.end();
            let rest = segment.split_off(free);
            let covered = rest.seq.bytes_to(next_end);
            let fin_added = covered >= rest.len && next.take_fin_of(&rest);
            if free > 0 {
                self.place(index, segment);
                added = true;
                index = index.saturating_add(1);
            }
            segment = rest;
            if covered >= segment.len {
                return added || fin_added;
            }
            segment.trim_front(covered);
            index = index.saturating_add(1);
        }
    }

    fn place(&mut self, index: usize, mut segment: Held) {
        // What was cut off does not count as memory, so it must not be kept either.
        segment.bytes.shrink_to_fit();
        self.bytes = self.bytes.saturating_add(segment.bytes.len()).saturating_add(OVERHEAD);
        self.segments.insert(index, segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, bytes: &[u8], time_ns: u64) -> Held {
        Held {
            seq: Seq(seq),
            len: u32::try_from(bytes.len()).expect("short"),
            ack: None,
            time_ns,
            fin: false,
            bytes: bytes.to_vec(),
        }
    }

    fn check(inserts: &[(u32, &str)], expect: &[(u32, &str, u64)]) {
        let mut queue = HeldQueue::default();
        for (time, (seq, bytes)) in (0..).zip(inserts) {
            queue.insert(segment(*seq, bytes.as_bytes(), time));
        }
        let mut left = Vec::new();
        while let Some(held) = queue.pop_first() {
            assert_eq!(usize::try_from(held.len).expect("small"), held.bytes.len());
            left.push((held.seq.0, String::from_utf8(held.bytes).expect("text"), held.time_ns));
        }
        let expect: Vec<_> = expect.iter().map(|(a, b, c)| (*a, (*b).to_owned(), *c)).collect();
        assert_eq!(left, expect);
        assert_eq!(queue.memory(), 0);
    }

    #[test]
    fn segments_come_out_in_order() {
        check(&[(20, "cc"), (0, "aa"), (10, "bb")], &[(0, "aa", 1), (10, "bb", 2), (20, "cc", 0)]);
    }

    #[test]
    fn the_first_arrival_of_a_byte_stays() {
        check(&[(5, "HELLO"), (3, "xxHELLOyy")], &[(3, "xx", 1), (5, "HELLO", 0), (10, "yy", 1)]);
        check(&[(5, "HELLO"), (7, "LLO")], &[(5, "HELLO", 0)]);
        check(&[(5, "HELLO"), (7, "LLO!")], &[(5, "HELLO", 0), (10, "!", 1)]);
        check(&[(5, "HELLO"), (3, "xxHE")], &[(3, "xx", 1), (5, "HELLO", 0)]);
        check(
            &[(0, "a"), (2, "c"), (4, "e"), (0, "abcde")],
            &[(0, "a", 0), (1, "b", 3), (2, "c", 1), (3, "d", 3), (4, "e", 2)],
        );
    }

    #[test]
    fn order_survives_the_wrap() {
        check(&[(2, "c"), (u32::MAX, "abc")], &[(u32::MAX, "abc", 1), (2, "c", 0)]);
    }
}
