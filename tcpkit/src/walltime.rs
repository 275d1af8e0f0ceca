//! From packets' times to wall-clock times that never go backwards within a connection.
//!
//! Somebody may set the wall clock back while packets flow. Then TCP connections that were there
//! before keep the clock they began with, so that their packets stay in order and the differences
//! true; those that begin later follow the new one, as everything else does.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::{
    capture::Frame,
    flow::FlowKey,
    packet::{Decoded, TcpFlags, decode},
};

/// How many connections that began after the clock was set back are remembered. One that is forgotten
/// goes on with the old clock, which is ahead: its time jumps, but not backwards.
const REMEMBERED: usize = 1 << 16;

/// Chooses the clock of each packet.
#[derive(Debug, Default)]
pub struct WallTimes {
    offset_ns: i64,
    /// The largest offset there ever was, if the clock was set back since.
    kept_ns: Option<i64>,
    /// Hashes of connections that began since, each at a place that the hash names.
    since: Vec<u64>,
}

impl WallTimes {
    /// Sets what to add to a frame's time to get nanoseconds since the Unix epoch.
    pub fn set_offset_ns(&mut self, offset_ns: i64) {
        let before = std::mem::replace(&mut self.offset_ns, offset_ns);
        if offset_ns < before && before != 0 {
            log::warn!(
                "the wall clock was set back by {:.6} s: connections that are open keep its time",
                before.saturating_sub(offset_ns) as f64 / 1e9
            );
            self.kept_ns = Some(before.max(self.kept_ns.unwrap_or(before)));
            self.since.clear();
            self.since.resize(REMEMBERED, 0);
        } else if self.kept_ns.is_some_and(|kept_ns| kept_ns <= offset_ns) {
            self.kept_ns = None;
            self.since = Vec::new();
        }
    }

    /// When a frame passed, in ns since the Unix epoch.
    #[inline]
    pub fn unix_ns(&mut self, frame: &Frame<'_>) -> u64 {
        let offset_ns = match self.kept_ns {
            None => self.offset_ns,
            Some(kept_ns) => self.choose(frame, kept_ns),
        };
        frame.time_ns.saturating_add_signed(offset_ns)
    }

    /// The wall-clock time for a time of frames, both in ns.
    #[must_use]
    pub fn now_unix_ns(&self, time_ns: u64) -> u64 {
        time_ns.saturating_add_signed(self.offset_ns)
    }

    #[cold]
    fn choose(&mut self, frame: &Frame<'_>, kept_ns: i64) -> i64 {
        let Decoded::Tcp(segment) = decode(frame) else { return self.offset_ns };
        let flags = segment.tcp.flags;
        let (key, _) = FlowKey::of(&segment.addresses);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        #[expect(clippy::cast_possible_truncation, reason = "any bits choose a place")]
        let Some(place) = self.since.get_mut(hash as usize % REMEMBERED) else { return kept_ns };
        if flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK) {
            *place = hash;
        }
        if *place == hash { self.offset_ns } else { kept_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Limits,
        engine::{Engine, UsualPorts},
        protocol::{DecodeOptions, PROTOCOLS},
        simulation::{Connection, SimFrame},
    };

    const HOUR: i64 = 3600 * 1_000_000_000;

    #[test]
    fn time_goes_backwards_in_no_flow() {
        let mut times = WallTimes::default();
        times.set_offset_ns(100 * HOUR);
        let frames = Connection::open().ask("ping").answer("pong").ask("ping").frames();
        let (before, after) = frames.split_at(4);
        let unix_ns = |frames: &[SimFrame], times: &mut WallTimes| -> Vec<u64> {
            frames.iter().map(|frame| times.unix_ns(&frame.as_frame())).collect()
        };
        let first = unix_ns(before, &mut times);
        times.set_offset_ns(99 * HOUR);
        let second = unix_ns(after, &mut times);
        assert!(first.iter().chain(&second).is_sorted(), "{first:?} {second:?}");
        assert_eq!(second[0] - first[0], after[0].time_ns - before[0].time_ns);
        // A connection that begins later follows the new clock, and so do both of its directions.
        let new = Connection::on_ports(40_001, 6379).handshake().frames();
        for (unix_ns, frame) in unix_ns(&new, &mut times).iter().zip(&new) {
            assert_eq!(*unix_ns, frame.time_ns + 99 * HOUR as u64);
        }
        // Forward, all follow.
        times.set_offset_ns(101 * HOUR);
        let third = unix_ns(after, &mut times);
        assert_eq!(third[0], after[0].time_ns + 101 * HOUR as u64);
    }

    /// The engine does the same for transactions, with what it knows of connections.
    #[test]
    fn nor_in_the_transactions_of_a_connection() {
        let ask = |it: Connection| it.ask("*1\r\n$4\r\nPING\r\n").answer("+PONG\r\n");
        let old = ask(ask(Connection::open())).frames();
        let new = ask(Connection::on_ports(40_001, 6379).handshake()).frames();
        let protocol = PROTOCOLS[0];
        let options = DecodeOptions::default();
        let mut engine = Engine::new(protocol, Limits::default(), options, UsualPorts(protocol));
        let mut began = Vec::new();
        let mut feed = |engine: &mut Engine<_>, frames: &[SimFrame], offset_ns| {
            engine.set_wall_offset_ns(offset_ns);
            for frame in frames {
                engine.on_frame(&frame.as_frame(), &mut |it| began.push(it.unix_ns));
            }
        };
        feed(&mut engine, &old[..5], 100 * HOUR);
        feed(&mut engine, &old[5..], 99 * HOUR);
        feed(&mut engine, &new, 99 * HOUR);
        let at = |frame: &SimFrame, offset: i64| frame.time_ns + offset as u64;
        let expect = [at(&old[3], 100 * HOUR), at(&old[5], 100 * HOUR), at(&new[3], 99 * HOUR)];
        assert_eq!(began, expect);
    }
}
