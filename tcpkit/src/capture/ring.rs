//! Reads the rings of all CPUs in place, merged by time: records are borrowed from the memory that is
//! shared with the kernel, and their room is given back in batches.

#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    io,
    mem::offset_of,
    ops::ControlFlow,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::unistd::{SysconfVar, sysconf};
use tcpkit_common::{
    RECORD_ALIGN, RING_DATA, RecordHeader, RingControl, largest_copy, record_len, ring_size,
};

use super::CaptureError;

/// After how many bytes their room is given back, or an eighth of the ring. Not after each record: the
/// kernel's programs read that position for every packet, and each change takes it from their caches.
const GIVE_BACK: u64 = 64 * 1024;

const HEADER: usize = size_of::<RecordHeader>();

/// The longest ring: the verifier follows offsets up to twice as far.
const LONGEST: u64 = 1 << 28;

/// Before Linux 6.0 no value of an array may be larger (`KMALLOC_MAX_SIZE`).
const LARGEST_OLD_VALUE: u64 = 4 << 20;

/// How many rings there are, and how they lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// How many CPUs write.
    pub cpus: u32,
    /// How many workers read; each CPU has a ring for each of them.
    pub workers: u32,
    /// The length of each ring in bytes, a power of two.
    pub len: u32,
    /// The most payload bytes of a record; `u32::MAX` for all.
    pub snaplen: u32,
}

impl RingLayout {
    /// Divides `bytes` among all rings: each has the smallest power of two that is no less than its
    /// share, at least as much as the longest record takes, at most 256 MiB.
    #[must_use]
    pub fn new(bytes: u64, cpus: u32, workers: u32, snaplen: u32) -> Self {
        let (cpus, workers) = (cpus.max(1), workers.max(1));
        let rings = u64::from(cpus).saturating_mul(workers.into());
        let shortest = record_len(largest_copy(snaplen).into());
        let share = bytes.div_ceil(rings).clamp(shortest, LONGEST).next_power_of_two();
        let len = u32::try_from(share).unwrap_or(u32::MAX / 2 + 1);
        Self { cpus, workers, len, snaplen }
    }

    /// The same, as far as a kernel of this version takes it.
    #[must_use]
    pub fn for_kernel(mut self, version: Option<(u32, u32)>) -> Self {
        if version.is_some_and(|version| version < (6, 0)) {
            while self.ring_size() > LARGEST_OLD_VALUE {
                self.len /= 2;
            }
        }
        self
    }

    /// How many rings there are. That of a CPU and a worker is at `cpu * workers + worker`.
    #[must_use]
    pub fn rings(&self) -> u32 {
        self.cpus.saturating_mul(self.workers)
    }

    /// How much memory each takes, in bytes.
    #[must_use]
    pub fn ring_size(&self) -> u64 {
        ring_size(self.len, self.snaplen)
    }
}

/// How reading a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// No more records wait.
    Empty,
    /// The batch is full or was stopped; more may wait.
    More,
}

/// The reading end of some rings.
#[derive(Debug)]
pub struct RingReader {
    rings: Vec<Ring>,
    /// The longest record.
    longest: u64,
    _mapping: Arc<RingMemory>,
}

/// One CPU's ring, as its reader sees it.
#[derive(Debug)]
struct Ring {
    control: NonNull<RingControl>,
    mask: u64,
    /// Up to where records were handed over.
    position: u64,
    /// Up to where room was given back.
    given_back: u64,
    /// Up to where records are known to be whole.
    end: u64,
    /// The position that lies at the beginning of the memory, for records up to `end`.
    base: u64,
}

// SAFETY: the memory is reachable from any thread, the mapping lives as long as the reader, and each
// ring has one reader only.
unsafe impl Send for Ring {}

/// What is next in a ring.
struct Next<'a> {
    time_ns: u64,
    record: &'a [u8],
}

impl RingReader {
    /// Those of `mapping`'s rings that `worker` reads. There must be no other reader of them.
    #[must_use]
    pub fn new(mapping: &Arc<RingMemory>, worker: u32) -> Self {
        let layout = &mapping.layout;
        let rings = (0..layout.cpus).filter_map(|cpu| {
            let at = cpu.checked_mul(layout.workers)?.checked_add(worker)?;
            Some(Ring::new(mapping.control(at)?, layout.len))
        });
        let longest = record_len(largest_copy(layout.snaplen).into());
        Self { rings: rings.collect(), longest, _mapping: Arc::clone(mapping) }
    }

    /// Hands the waiting records to `on_record`, oldest first, until it breaks, `max_bytes` have been
    /// read or none wait. `now_ns` is the clock of the records.
    ///
    /// # Errors
    /// A record's length contradicts its ring: nothing can be read any more.
    pub fn drain(
        &mut self,
        max_bytes: usize,
        now_ns: impl Fn() -> u64,
        mut on_record: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Drained, CaptureError> {
        let mut left = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        let outcome = loop {
            // What is later than this is left for the next round: of another ring, which was looked at
            // before, something earlier may be missing.
            let until_ns = now_ns();
            let mut waits = false;
            for ring in &mut self.rings {
                waits |= ring.look();
            }
            if !waits {
                break Ok(Drained::Empty);
            }
            match self.merge(until_ns, &mut left, &mut on_record) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break Ok(Drained::More),
                Err(error) => break Err(error),
            }
        };
        for ring in &mut self.rings {
            ring.give_back();
        }
        outcome
    }

    /// Hands over what [`Ring::look`] saw, up to a time.
    fn merge(
        &mut self,
        end_ns: u64,
        left: &mut u64,
        on_record: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, CaptureError> {
        loop {
            let Some((first, until_ns)) = self.first(end_ns)? else {
                return Ok(ControlFlow::Continue(()));
            };
            let longest = self.longest;
            let Some(ring) = self.rings.get_mut(first) else {
                return Ok(ControlFlow::Continue(()));
            };
            while let Some(next) = ring.next(longest)? {
                if next.time_ns > until_ns {
                    break;
                }
                let flow = on_record(next.record);
                let taken = record_len(next.record.len().saturating_sub(HEADER) as u64);
                ring.taken(taken);
                *left = left.saturating_sub(taken);
                if flow.is_break() || *left == 0 {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }

    /// The ring with the oldest record up to `end_ns`, and until when no other ring has one.
    fn first(&self, end_ns: u64) -> Result<Option<(usize, u64)>, CaptureError> {
        let mut first = None;
        let (mut first_ns, mut second_ns) = (u64::MAX, end_ns);
        for (at, ring) in self.rings.iter().enumerate() {
            let Some(next) = ring.next(self.longest)?.filter(|next| next.time_ns <= end_ns) else {
                continue;
            };
            if first.is_none() || next.time_ns < first_ns {
                second_ns = second_ns.min(first_ns);
                (first, first_ns) = (Some(at), next.time_ns);
            } else {
                second_ns = second_ns.min(next.time_ns);
            }
        }
        Ok(first.map(|at| (at, second_ns)))
    }
}

impl Drop for RingReader {
    fn drop(&mut self) {
        for ring in &mut self.rings {
            ring.give_back();
        }
    }
}

impl Ring {
    fn new(control: NonNull<RingControl>, len: u32) -> Self {
        let mut ring = Self {
            control,
            mask: u64::from(len).saturating_sub(1),
            position: 0,
            given_back: 0,
            end: 0,
            base: 0,
        };
        let tail = ring.tail().load(Ordering::Acquire);
        (ring.position, ring.given_back, ring.end) = (tail, tail, tail);
        ring
    }

    /// Sees which records are whole; whether any wait.
    fn look(&mut self) -> bool {
        // Acquire: records, and the base, were written before it.
        let head = word(self.control, offset_of!(RingControl, head)).load(Ordering::Acquire);
        if head == self.position {
            self.give_back();
            return false;
        }
        // It changes only while the ring is empty, all given back: not now.
        self.base = word(self.control, offset_of!(RingControl, base)).load(Ordering::Relaxed);
        self.end = head;
        true
    }

    /// The next record of those that are whole.
    fn next(&self, longest: u64) -> Result<Option<Next<'_>>, CaptureError> {
        let there = self.end.wrapping_sub(self.position);
        if there == 0 {
            return Ok(None);
        }
        let offset = self.position.wrapping_sub(self.base) & self.mask;
        let offset = usize::try_from(offset).unwrap_or(0);
        // SAFETY: the offset is below the ring's length, and a multiple of 8 as all records' lengths
        // are; behind the ring is room for the longest record. The kernel wrote the record before
        // `end`, and writes there again only once the position is given back.
        let record = unsafe { self.control.cast::<u8>().add(RING_DATA + offset) };
        debug_assert!(offset.is_multiple_of(RECORD_ALIGN));
        // SAFETY: as above.
        let (time_ns, cap_len) = unsafe {
            let header = record.cast::<RecordHeader>().as_ptr();
            ((&raw const (*header).ts_ns).read(), (&raw const (*header).cap_len).read())
        };
        let whole = record_len(cap_len.into());
        if whole > there || whole > longest || there > self.mask.wrapping_add(1) {
            return Err(CaptureError::CorruptRing { claimed: whole, there });
        }
        let len = HEADER + cap_len as usize;
        // SAFETY: as above; the length was checked against what is there.
        let record = unsafe { slice::from_raw_parts(record.as_ptr(), len) };
        Ok(Some(Next { time_ns, record }))
    }

    /// The next record was handed over.
    fn taken(&mut self, len: u64) {
        self.position = self.position.wrapping_add(len);
        if self.position.wrapping_sub(self.given_back) >= GIVE_BACK.min(self.mask / 8) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if self.position != self.given_back {
            self.given_back = self.position;
            self.tail().store(self.position, Ordering::Release);
        }
    }

    fn tail(&self) -> &AtomicU64 {
        word(self.control, offset_of!(RingControl, tail))
    }
}

/// The word at an offset in a ring's control.
fn word<'a>(control: NonNull<RingControl>, offset: usize) -> &'a AtomicU64 {
    // SAFETY: whoever has a control keeps its mapping; its words are changed atomically only.
    unsafe { control.byte_add(offset).cast::<AtomicU64>().as_ref() }
}

/// All rings, in this process's memory.
#[derive(Debug)]
pub struct RingMemory {
    start: NonNull<u8>,
    len: usize,
    layout: RingLayout,
}

// SAFETY: the mapping is reachable from any thread, and what is in it is read through rings only.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// Maps the rings behind `fd`, an array map laid out like this, and closes them.
    ///
    /// # Errors
    /// The kernel did not map them.
    pub fn new(fd: BorrowedFd<'_>, layout: RingLayout) -> io::Result<Self> {
        let len = layout.ring_size().checked_mul(layout.rings().into());
        let len = len.and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or_else(|| io::Error::other("too large"))?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let memory = Self { start, len, layout };
        memory.close();
        Ok(memory)
    }

    /// Lets the programs write.
    pub fn open(&self) {
        self.set_closed(0);
    }

    /// Lets the programs write no more. One may just be writing its last record.
    pub fn close(&self) {
        self.set_closed(1);
    }

    fn set_closed(&self, closed: u64) {
        for control in (0..self.layout.rings()).filter_map(|at| self.control(at)) {
            word(control, offset_of!(RingControl, closed)).store(closed, Ordering::Release);
        }
    }

    /// The beginning of the ring at this place.
    fn control(&self, at: u32) -> Option<NonNull<RingControl>> {
        let size = usize::try_from(self.layout.ring_size()).ok()?;
        let offset = size.checked_mul(usize::try_from(at).ok()?)?;
        // SAFETY: a whole ring is behind the offset, inside the mapping.
        let has_room = offset.checked_add(size).is_some_and(|end| end <= self.len);
        has_room.then(|| unsafe { self.start.add(offset) }.cast())
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and readers of it keep `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// How many CPUs there may be that run programs: the highest number of one that is present, and 1.
#[must_use]
pub fn present_cpus() -> u32 {
    let present = std::fs::read_to_string("/sys/devices/system/cpu/present").unwrap_or_default();
    highest(&present).map_or_else(
        || {
            let configured = sysconf(SysconfVar::_NPROCESSORS_CONF).ok().flatten();
            configured.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
        },
        |highest| highest.saturating_add(1),
    )
}

/// The highest number in a list such as `0-3,8`.
fn highest(list: &str) -> Option<u32> {
    list.trim().split([',', '-']).filter_map(|number| number.parse().ok()).max()
}

#[cfg(test)]
mod tests;
