//! A worker reads the rings that are his: the first one also looks after the programs and interfaces
//! ([`super::LiveSource`]), the others do nothing else.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use tcpkit_common::Counters;

use super::{
    CaptureError, Frame, InterfaceNames, Progress, Source, WallClock,
    early::{Early, Latecomers},
    monotonic_ns, record,
    ring::{Drained, RingMemory, RingReader},
};

/// How long frames wait in a ring at most while fewer than the watermark wait, in ms.
const LONG_PAUSE_MS: u16 = 10;

/// The same while there is traffic. What came in a long pause would take the CPU from somebody for so
/// long that those who wait for him have nothing left to do; what came in a short one is read while
/// they still have. (Each pause costs some µs, so it is not shorter.)
const SHORT_PAUSE_MS: u16 = 2;

/// From so many frames a ms on pauses are short.
const BUSY_FRAMES_A_MS: u64 = 4;

/// The most bytes that one call of [`Source::read`] hands over, so that the caller looks at its
/// clock and its signals under any load.
const BATCH_BYTES: usize = 4 << 20;

/// What one worker reads, and what came of it.
#[derive(Debug)]
pub(super) struct Reading {
    ring: RingReader,
    early: Early,
    pause_ms: u16,
    /// Records read.
    pub(super) records: u64,
    /// Records that contradict themselves.
    pub(super) rejected: u64,
    /// Frames of interfaces that came lately, from before all programs were on them.
    pub(super) outside: u64,
}

impl Reading {
    pub(super) fn new(memory: &Arc<RingMemory>, worker: u32, latecomers: &Arc<Latecomers>) -> Self {
        Self {
            ring: RingReader::new(memory, worker),
            early: Early::new(latecomers),
            pause_ms: LONG_PAUSE_MS,
            records: 0,
            rejected: 0,
            outside: 0,
        }
    }

    /// Hands over a batch of the waiting frames.
    pub(super) fn drain(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Drained, CaptureError> {
        let Self { ring, early, pause_ms, records, rejected, outside } = self;
        let before = *records;
        let drained = ring.drain(BATCH_BYTES, monotonic_ns, |record| {
            *records += 1;
            match record::parse(record) {
                Some(frame) if !early.contains(frame.ifindex, frame.time_ns) => on_frame(frame),
                Some(_) => {
                    *outside += 1;
                    ControlFlow::Continue(())
                }
                None => {
                    *rejected += 1;
                    ControlFlow::Continue(())
                }
            }
        })?;
        if drained == Drained::Empty {
            early.all_read();
        }
        *pause_ms = pause_after(*pause_ms, records.saturating_sub(before));
        Ok(drained)
    }

    /// How long to wait for further frames at most, in ms.
    pub(super) fn pause_ms(&self) -> u16 {
        self.pause_ms
    }
}

/// The pause that follows one of `pause_ms` in which so many frames came.
fn pause_after(pause_ms: u16, frames: u64) -> u16 {
    if frames >= BUSY_FRAMES_A_MS * u64::from(pause_ms) { SHORT_PAUSE_MS } else { LONG_PAUSE_MS }
}

/// What the first worker and the others tell each other.
#[derive(Debug, Default)]
pub(super) struct Team {
    /// Records that the others have read.
    read: AtomicU64,
    /// No record will come any more.
    finished: AtomicBool,
    /// The others' threads, by number, as far as they have begun.
    threads: Mutex<Vec<(u32, Thread)>>,
}

impl Team {
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// The end: whoever finds his rings empty from now on is done.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        for (_, thread) in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            thread.unpark();
        }
    }

    /// Wakes a worker whose ring is filling.
    pub(super) fn wake(&self, worker: u32) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, thread)) = threads.iter().find(|(number, _)| *number == worker) {
            thread.unpark();
        }
    }

    fn enlist(&self, worker: u32) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push((worker, thread::current()));
    }
}

/// Frames of the connections that are one worker's, live. It ends when the first worker's source has
/// been stopped.
pub struct LiveWorker {
    number: u32,
    reading: Reading,
    team: Arc<Team>,
    names: InterfaceNames,
    clock: WallClock,
    drained: bool,
    is_enlisted: bool,
}

impl LiveWorker {
    pub(super) fn new(
        number: u32,
        reading: Reading,
        team: &Arc<Team>,
        names: InterfaceNames,
    ) -> Self {
        Self {
            number,
            reading,
            team: Arc::clone(team),
            names,
            clock: WallClock::new(),
            drained: false,
            is_enlisted: false,
        }
    }
}

impl Source for LiveWorker {
    fn read(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, CaptureError> {
        if !self.is_enlisted {
            self.is_enlisted = true;
            self.team.enlist(self.number);
        }
        // Asked before the rings are: then nothing comes into those that are found empty.
        let is_finished = self.team.finished.load(Ordering::Acquire);
        if self.drained && !is_finished {
            thread::park_timeout(Duration::from_millis(self.reading.pause_ms().into()));
        }
        let before = self.reading.records;
        let drained = self.reading.drain(on_frame)?;
        let read = self.reading.records.saturating_sub(before);
        self.team.read.fetch_add(read, Ordering::Release);
        let now_ns = monotonic_ns();
        self.clock.refresh(now_ns);
        self.drained = drained == Drained::Empty;
        Ok(match (self.drained, is_finished) {
            (false, _) => Progress::Busy,
            (true, true) => Progress::Eof,
            (true, false) => Progress::Idle { now_ns },
        })
    }

    /// The first worker's source stops for all.
    fn stop(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn bad_records(&self) -> u64 {
        self.reading.rejected
    }

    fn outside(&self) -> u64 {
        self.reading.outside
    }

    fn interface_names(&self) -> InterfaceNames {
        self.names.clone()
    }

    fn wall_offset_ns(&self) -> i64 {
        self.clock.offset_ns()
    }

    /// The first worker's source has those of all.
    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_short_while_there_is_traffic() {
        for (pause_ms, frames, expect) in [
            (LONG_PAUSE_MS, 0, LONG_PAUSE_MS),
            (LONG_PAUSE_MS, 39, LONG_PAUSE_MS),
            (LONG_PAUSE_MS, 40, SHORT_PAUSE_MS),
            (SHORT_PAUSE_MS, 8, SHORT_PAUSE_MS),
            (SHORT_PAUSE_MS, u64::MAX, SHORT_PAUSE_MS),
            (SHORT_PAUSE_MS, 7, LONG_PAUSE_MS),
        ] {
            assert_eq!(pause_after(pause_ms, frames), expect, "{frames} in {pause_ms} ms");
        }
    }
}
