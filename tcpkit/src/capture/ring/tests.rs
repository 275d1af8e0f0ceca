//! The reading end of the rings, beside a writer that does what the kernel programs do.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    thread,
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;

use super::*;

#[test]
fn the_rings_share_the_memory() {
    for (bytes, cpus, workers, len) in [
        // The longest record takes 24 KiB of headers and 100 bytes.
        (0, 1, 1, 32 << 10),
        (32 << 10, 1, 1, 32 << 10),
        ((32 << 10) + 1, 1, 1, 64 << 10),
        (16 << 20, 1, 1, 16 << 20),
        (16 << 20, 2, 1, 8 << 20),
        (16 << 20, 3, 1, 8 << 20),
        (16 << 20, 2, 4, 2 << 20),
        (16 << 20, 0, 0, 16 << 20),
        (u64::MAX, 1, 1, 256 << 20),
        (1 << 20, u32::MAX, u32::MAX, 32 << 10),
    ] {
        let layout = RingLayout::new(bytes, cpus, workers, 100);
        assert_eq!(layout.len, len, "{bytes} {cpus} {workers}");
    }
}

#[test]
fn cpus_are_numbered_with_gaps() {
    for (list, expect) in
        [("0\n", Some(0)), ("0-3,8-11\n", Some(11)), ("5,2", Some(5)), ("", None), ("x", None)]
    {
        assert_eq!(highest(list), expect, "{list:?}");
    }
    assert!(present_cpus() > 0);
}

#[test]
fn old_kernels_take_smaller_rings() {
    for (version, len) in [(Some((5, 15)), 2 << 20), (Some((6, 0)), 8 << 20), (None, 8 << 20)] {
        let layout = RingLayout::new(16 << 20, 2, 1, u32::MAX).for_kernel(version);
        assert_eq!(layout.len, len, "{version:?}");
    }
    let small = RingLayout::new(1 << 20, 2, 1, 100);
    assert_eq!(small.for_kernel(Some((5, 8))), small);
}

/// The writing end, as the kernel's programs are: `emit.rs` of theirs has the rules.
struct Writer {
    control: NonNull<RingControl>,
    len: u64,
}

// SAFETY: one thread writes, and the test keeps the memory.
unsafe impl Send for Writer {}

impl Writer {
    /// Writes a record whose bytes all are `fill`; `false` when the ring is full.
    fn write(&self, time_ns: u64, cap_len: u32, fill: u8) -> bool {
        // SAFETY: the test's own memory, and no other writer.
        unsafe {
            let control = self.control.as_ptr();
            let head = (*control).head;
            // The reader may be on another thread.
            let tail = word(self.control, offset_of!(RingControl, tail)).load(Ordering::Acquire);
            if head == tail && head - (*control).base >= 1024 {
                word(self.control, offset_of!(RingControl, base)).store(head, Ordering::Relaxed);
            }
            let needed = record_len(cap_len.into());
            if head - tail + needed > self.len {
                return false;
            }
            let offset = (head - (*control).base) & (self.len - 1);
            let record = self.control.cast::<u8>().add(RING_DATA + offset as usize);
            record.cast::<RecordHeader>().write(RecordHeader {
                ts_ns: time_ns,
                ifindex: 1,
                wire_len: cap_len,
                cap_len,
                version: tcpkit_common::RECORD_VERSION,
                direction: 0,
                link: 0,
                vlan_tci: 0,
                vlan_proto: 0,
                reserved: 0,
            });
            record.add(HEADER).write_bytes(fill, cap_len as usize);
            word(self.control, offset_of!(RingControl, head))
                .store(head + needed, Ordering::Release);
        }
        true
    }
}

/// Rings in memory that no kernel has.
fn rings(layout: RingLayout) -> (OwnedFd, Arc<RingMemory>) {
    let fd = memfd_create("rings", MFdFlags::empty()).unwrap();
    let file = File::from(fd);
    file.set_len(layout.ring_size() * u64::from(layout.rings())).unwrap();
    let fd = OwnedFd::from(file);
    let memory = RingMemory::new(fd.as_fd(), layout).unwrap();
    (fd, Arc::new(memory))
}

fn writer(memory: &Arc<RingMemory>, at: u32) -> Writer {
    Writer { control: memory.control(at).unwrap(), len: memory.layout.len.into() }
}

/// The times of all records that wait; their bytes are what was written.
fn times(reader: &mut RingReader, max_bytes: usize) -> (Vec<u64>, Drained) {
    let mut times = Vec::new();
    let drained = reader.drain(
        max_bytes,
        || u64::MAX,
        |record| {
            let time = u64::from_ne_bytes(record[..8].try_into().unwrap());
            assert!(record[HEADER..].iter().all(|&byte| byte == time as u8), "bytes of {time}");
            times.push(time);
            ControlFlow::Continue(())
        },
    );
    (times, drained.unwrap())
}

fn layout(cpus: u32, workers: u32) -> RingLayout {
    RingLayout { cpus, workers, len: 4096, snaplen: 2000 }
}

#[test]
fn each_worker_has_its_own_rings() {
    let layout = layout(2, 3);
    let (_fd, memory) = rings(layout);
    for at in 0..layout.rings() {
        assert!(writer(&memory, at).write(at.into(), 1, at as u8));
    }
    for (worker, expect) in [(0, [0, 3]), (1, [1, 4]), (2, [2, 5])] {
        let mut reader = RingReader::new(&memory, worker);
        assert_eq!(times(&mut reader, usize::MAX), (expect.to_vec(), Drained::Empty));
        assert_eq!(times(&mut reader, usize::MAX), (vec![], Drained::Empty));
    }
    assert!(memory.control(layout.rings()).is_none());
}

#[test]
fn a_ring_that_was_empty_begins_anew() {
    let (_fd, memory) = rings(layout(1, 1));
    let (writer, mut reader) = (writer(&memory, 0), RingReader::new(&memory, 0));
    for time in 0..100 {
        assert!(writer.write(time, 300, time as u8));
        assert_eq!(times(&mut reader, usize::MAX).0, [time]);
        // SAFETY: no other thread.
        let used = unsafe {
            let control = writer.control.as_ref();
            control.head - control.base
        };
        assert!(used < 1024 + 400, "it is {used} bytes behind its beginning");
    }
}

#[test]
fn a_length_that_cannot_be_is_an_error() {
    for cap_len in [2001 + LARGEST_HEADERS_AND_SNAPLEN, u32::MAX, 3000] {
        let (_fd, memory) = rings(layout(1, 1));
        let (writer, mut reader) = (writer(&memory, 0), RingReader::new(&memory, 0));
        assert!(writer.write(1, 1000, 1));
        // SAFETY: the test's own memory.
        unsafe {
            let record = writer.control.cast::<u8>().add(RING_DATA).cast::<RecordHeader>();
            (*record.as_ptr()).cap_len = cap_len;
        }
        let result = reader.drain(usize::MAX, || u64::MAX, |_| panic!("it is none"));
        assert!(matches!(result, Err(CaptureError::CorruptRing { .. })));
    }
}

const LARGEST_HEADERS_AND_SNAPLEN: u32 = tcpkit_common::LARGEST_HEADERS;

#[test]
fn what_comes_while_a_round_is_read_waits_for_the_next() {
    let (_fd, memory) = rings(layout(2, 1));
    let (first, second) = (writer(&memory, 0), writer(&memory, 1));
    let mut reader = RingReader::new(&memory, 0);
    assert!(first.write(10, 8, 10) && second.write(20, 8, 20));
    let mut seen = Vec::new();
    let drained = reader.drain(
        usize::MAX,
        || u64::MAX,
        |record| {
            let time = u64::from_ne_bytes(record[..8].try_into().unwrap());
            if time == 10 {
                // Later than what the other ring has, and seen only after it.
                assert!(first.write(30, 8, 30) && second.write(25, 8, 25));
            }
            seen.push(time);
            ControlFlow::Continue(())
        },
    );
    assert_eq!(drained.unwrap(), Drained::Empty);
    assert_eq!(seen, [10, 20, 25, 30]);
}

/// The reader catches up again and again while the writers go on: the rings begin anew under its eyes.
#[test]
fn writers_and_reader_run_at_the_same_time() {
    const RECORDS: u64 = 200_000;
    let (_fd, memory) = rings(layout(2, 1));
    let mut reader = RingReader::new(&memory, 0);
    let writers = [0, 1].map(|at| writer(&memory, at));
    let read = thread::scope(|scope| {
        for (at, writer) in (0_u64..).zip(writers) {
            scope.spawn(move || {
                // Each has times, and so bytes, of its own.
                for number in 0..RECORDS {
                    let time = 2 * number + at;
                    while !writer.write(time, (number * 37 % 700) as u32, time as u8) {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut read = [Vec::new(), Vec::new()];
        while read.iter().map(Vec::len).sum::<usize>() < 2 * RECORDS as usize {
            for time in times(&mut reader, 5000).0 {
                read[(time % 2) as usize].push(time / 2);
            }
            thread::yield_now();
        }
        read
    });
    for read in read {
        assert!(read.into_iter().eq(0..RECORDS));
    }
}

proptest! {
    /// Whatever the sizes, the CPUs and the batches: nothing is lost, changed or out of order.
    #[test]
    fn records_come_whole_and_in_order(
        cpus in 1_u32..4,
        steps in prop::collection::vec((0_u32..4, 0_u32..2000, 1_usize..6000), 1..200),
    ) {
        let (_fd, memory) = rings(layout(cpus, 1));
        let writers: Vec<_> = (0..cpus).map(|at| writer(&memory, at)).collect();
        let mut reader = RingReader::new(&memory, 0);
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for (time, (cpu, cap_len, batch)) in (0_u64..).zip(steps) {
            if writers[(cpu % cpus) as usize].write(time, cap_len, time as u8) {
                written.push(time);
            } else {
                read.extend(times(&mut reader, batch).0);
            }
        }
        loop {
            let (times, drained) = times(&mut reader, 3000);
            read.extend(times);
            if drained == Drained::Empty {
                break;
            }
        }
        prop_assert_eq!(read, written);
    }
}
