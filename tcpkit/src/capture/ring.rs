//! Reads the kernel's ring buffer in place: records are borrowed from the shared memory, and their
//! room is given back in batches.

#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use super::CaptureError;

/// Bits of a record's length word.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// The length word and the word behind it.
const RECORD_HEADER: usize = 8;

/// After how many bytes their room is given back. Not after each record: the kernel's producers
/// read that position on every reservation, and each change takes it from their caches.
const GIVE_BACK: usize = 64 * 1024;

/// The smallest power of two of whole pages that holds `bytes`, at most 1 GiB: what the kernel
/// takes as a ring's size.
#[must_use]
pub fn round_size(bytes: u64) -> u32 {
    const LARGEST: u32 = 1 << 30;
    let bytes = bytes.max(page_size() as u64).checked_next_power_of_two();
    bytes.and_then(|bytes| u32::try_from(bytes).ok()).map_or(LARGEST, |bytes| bytes.min(LARGEST))
}

/// How reading a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// No more records wait.
    Empty,
    /// The batch is full or was stopped; more may wait.
    More,
}

/// The reading end of a ring buffer.
#[derive(Debug)]
pub struct RingReader {
    consumer: Mapping,
    producer: Mapping,
    /// Where the data begins in `producer`: behind one page with the position.
    data_offset: usize,
    size: usize,
    position: usize,
}

impl RingReader {
    /// Maps the ring buffer of `size` bytes behind `fd`. There must be no other reader.
    ///
    /// # Errors
    /// The kernel did not map it.
    pub fn new(fd: BorrowedFd<'_>, size: u32) -> io::Result<Self> {
        let page = page_size();
        let size = size as usize;
        let consumer = Mapping::new(fd, page, 0, libc::PROT_READ | libc::PROT_WRITE)?;
        // The kernel maps the data twice in a row, so that no record is divided at the end.
        let producer = Mapping::new(fd, page + 2 * size, page, libc::PROT_READ)?;
        let position = consumer.position().load(Ordering::Acquire);
        Ok(Self { consumer, producer, data_offset: page, size, position })
    }

    /// Hands the waiting records to `on_record` until it breaks, `max_bytes` have been read or none
    /// wait.
    ///
    /// # Errors
    /// A record's length contradicts the ring: nothing can be read any more.
    pub fn drain(
        &mut self,
        max_bytes: usize,
        mut on_record: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Drained, CaptureError> {
        let start = self.position;
        let mut given_back = start;
        let outcome = loop {
            let waiting = self.waiting();
            if waiting == 0 {
                break Ok(Drained::Empty);
            }
            let word = self.length_word();
            if word & BUSY != 0 {
                break Ok(Drained::Empty);
            }
            let len = (word & !DISCARDED) as usize;
            let whole = (RECORD_HEADER + len).next_multiple_of(8);
            if whole > waiting || waiting > self.size {
                break Err(CaptureError::CorruptRing { claimed: whole, there: waiting });
            }
            let flow = if word & DISCARDED == 0 {
                on_record(self.record(len))
            } else {
                ControlFlow::Continue(())
            };
            self.position = self.position.wrapping_add(whole);
            if self.position.wrapping_sub(given_back) >= GIVE_BACK {
                self.give_back();
                given_back = self.position;
            }
            if flow.is_break() || self.position.wrapping_sub(start) >= max_bytes {
                break Ok(Drained::More);
            }
        };
        if self.position != given_back {
            self.give_back();
        }
        outcome
    }

    /// How many bytes wait to be read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.producer.position().load(Ordering::Acquire).wrapping_sub(self.position)
    }

    fn give_back(&self) {
        self.consumer.position().store(self.position, Ordering::Release);
    }

    /// The length word of the next record. Acquire: its bytes were written before it.
    fn length_word(&self) -> u32 {
        // SAFETY: the offset is below `size`, and a multiple of 8 as all records' lengths are; the
        // mapping is longer, and the kernel changes the word atomically.
        unsafe { self.data().cast::<AtomicU32>().as_ref() }.load(Ordering::Acquire)
    }

    /// The bytes of the next record; `len` plus the header is at most `size`.
    fn record(&self, len: usize) -> &[u8] {
        // SAFETY: beginning below `size` and at most `size` long, it lies in the doubled mapping.
        // The kernel wrote it before the length word, and writes there again only once the position
        // is given back, which needs `&mut self`.
        unsafe { slice::from_raw_parts(self.data().as_ptr().add(RECORD_HEADER), len) }
    }

    /// Where the next record begins.
    fn data(&self) -> NonNull<u8> {
        // SAFETY: one page of positions is in front of the data, and the offset is below `size`.
        unsafe { self.producer.start.add(self.data_offset + (self.position & (self.size - 1))) }
    }
}

/// A part of the ring buffer in this process's memory.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is reachable from any thread, and it belongs to this value alone.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: usize, offset: usize, protection: i32) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start = unsafe {
            let fd = fd.as_raw_fd();
            libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    /// The position at the mapping's beginning.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: the first word of either mapping is a position, changed atomically only.
        unsafe { self.start.cast::<AtomicUsize>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing borrowed outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

fn page_size() -> usize {
    // SAFETY: a query without arguments that can be wrong.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_of_whole_pages() {
        let page = u32::try_from(page_size()).unwrap();
        for (bytes, expect) in [
            (0, page),
            (1, page),
            (u64::from(page) + 1, 2 * page),
            (16 << 20, 16 << 20),
            ((16 << 20) + 1, 32 << 20),
            (1 << 40, 1 << 30),
            (u64::MAX, 1 << 30),
        ] {
            assert_eq!(round_size(bytes), expect, "{bytes}");
        }
    }
}
