//! The kernel programs, loaded but attached to nothing, and the records that they leave.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    ops::ControlFlow,
    os::fd::{AsFd, AsRawFd},
    ptr,
    sync::Arc,
};

use aya::{
    maps::MapData,
    programs::{TestRun, TestRunOptions, TestRunResult, XdpMode},
};
use tcpkit::{
    capture::{
        LinkType,
        programs::{Hook, Programs, ProgramsConfig},
        ring::{Drained, RingLayout, RingMemory, RingReader, present_cpus},
    },
    filter::CaptureFilter,
};
use tcpkit_common::{
    Counters, DIRECTION_EGRESS, DIRECTION_INGRESS, RECORD_VERSION, RecordHeader, RingControl,
    counter_slot,
};

use crate::frames::VLAN_TAG_LEN;

const HEADER: usize = size_of::<RecordHeader>();

/// The verdicts that let a packet go on: `TC_ACT_UNSPEC` and `XDP_PASS`.
const TC_NEXT: u32 = u32::MAX;
const XDP_PASS: u32 = 2;

/// The loopback's index.
const LOOPBACK: u32 = 1;

/// Where a program is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// TC, packets that come in.
    Ingress,
    /// TC, packets that go out.
    Egress,
    /// XDP.
    Xdp,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `CLOCK_MONOTONIC`, in ns.
    pub time_ns: u64,
    /// The interface.
    pub ifindex: u32,
    /// The packet's length.
    pub wire_len: usize,
    /// As in [`RecordHeader::direction`].
    pub direction: u8,
    /// As in [`RecordHeader::link`].
    pub link: u8,
    /// The outer tag's TCI and EtherType, or zeroes.
    pub vlan: (u16, u16),
    /// What was copied.
    pub bytes: Vec<u8>,
    /// How much of the ring it takes.
    pub size: usize,
}

impl Record {
    fn read(record: &[u8]) -> Self {
        let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_ne_bytes(record[at..at + 2].try_into().unwrap());
        assert_eq!(half(20), RECORD_VERSION);
        assert_eq!(word(28), 0, "what is reserved");
        Self {
            time_ns: u64::from_ne_bytes(record[..8].try_into().unwrap()),
            ifindex: word(8),
            wire_len: word(12) as usize,
            direction: record[22],
            link: record[23],
            vlan: (half(24), half(26)),
            bytes: record[HEADER..HEADER + word(16) as usize].to_vec(),
            size: record.len(),
        }
    }
}

/// The programs, loaded but attached to nothing.
pub struct Kernel {
    /// The programs.
    pub programs: Programs,
    /// One for each worker.
    readers: Vec<RingReader>,
    map: MapData,
    layout: RingLayout,
}

impl Kernel {
    /// Loads them with a ring of 1 MiB, for test runs.
    #[must_use]
    pub fn new(filter: &str, snaplen: u32) -> Self {
        Self::with_ring(filter, snaplen, 1 << 20)
    }

    /// Loads them for test runs.
    #[must_use]
    pub fn with_ring(filter: &str, snaplen: u32, ring_bytes: u32) -> Self {
        Self::with_workers(filter, snaplen, ring_bytes, 1)
    }

    /// The same, for several workers.
    #[must_use]
    pub fn with_workers(filter: &str, snaplen: u32, ring_bytes: u32, workers: u32) -> Self {
        let mut kernel = Self::load(filter, snaplen, ring_bytes, workers);
        // Test runs happen on the loopback; to read the counters of all hooks takes longer.
        for direction in [DIRECTION_INGRESS, DIRECTION_EGRESS] {
            kernel.programs.watch_slot(counter_slot(LOOPBACK, direction));
        }
        kernel
    }

    /// Loads them to be attached; every hook is counted.
    #[must_use]
    pub fn for_interfaces(filter: &str, snaplen: u32, ring_bytes: u32) -> Self {
        Self::load(filter, snaplen, ring_bytes, 1)
    }

    fn load(filter: &str, snaplen: u32, ring_bytes: u32, workers: u32) -> Self {
        let filter = CaptureFilter::parse(&[filter.to_owned()]).unwrap();
        let rings = RingLayout::new(ring_bytes.into(), present_cpus(), workers, snaplen);
        let mut programs = Programs::open(&ProgramsConfig {
            rings,
            wakeup_bytes: ring_bytes / 16,
            filter: &filter,
            debug: false,
        })
        .unwrap();
        let map = programs.take_rings().unwrap();
        let memory = RingMemory::new(map.fd().as_fd(), rings).unwrap();
        memory.open();
        let memory = Arc::new(memory);
        let readers = (0..workers).map(|worker| RingReader::new(&memory, worker)).collect();
        Self { programs, readers, map, layout: rings }
    }

    /// Runs a program on one frame; `None` when the kernel runs no tests on such.
    pub fn try_run(&mut self, link: LinkType, at: Entry, frame: &[u8]) -> Option<Vec<Record>> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let result = self.test(link, at, options)?;
        let expect = if at == Entry::Xdp { XDP_PASS } else { TC_NEXT };
        assert_eq!(result.return_value, expect);
        Some(self.records())
    }

    /// Runs a program on one frame and gives the records that it left.
    #[track_caller]
    pub fn run(&mut self, link: LinkType, at: Entry, frame: &[u8]) -> Vec<Record> {
        let records = self.try_run(link, at, frame);
        records.unwrap_or_else(|| panic!("no test runs on {} bytes at {at:?}", frame.len()))
    }

    /// Runs a program; `None` when the kernel refuses the test.
    pub fn test(
        &mut self,
        link: LinkType,
        at: Entry,
        options: TestRunOptions<'_>,
    ) -> Option<TestRunResult> {
        let programs = &mut self.programs;
        match at {
            Entry::Ingress => programs.program(link, Hook::Ingress).unwrap().test_run(options).ok(),
            Entry::Egress => programs.program(link, Hook::Egress).unwrap().test_run(options).ok(),
            Entry::Xdp => {
                programs.xdp_program(link, XdpMode::Driver).unwrap().test_run(options).ok()
            }
        }
    }

    /// The records that wait.
    pub fn records(&mut self) -> Vec<Record> {
        self.records_by_worker().into_iter().flatten().collect()
    }

    /// The same, for each worker.
    pub fn records_by_worker(&mut self) -> Vec<Vec<Record>> {
        let read = |reader: &mut RingReader| {
            let mut records = Vec::new();
            let drained = reader.drain(
                usize::MAX,
                || u64::MAX,
                |record| {
                    records.push(Record::read(record));
                    ControlFlow::Continue(())
                },
            );
            assert_eq!(drained.unwrap(), Drained::Empty);
            records
        };
        self.readers.iter_mut().map(read).collect()
    }

    /// Changes the control of all CPUs' rings.
    #[expect(unsafe_code, reason = "memory shared with the kernel")]
    pub fn change_rings(&self, change: impl Fn(&mut RingControl)) {
        let size = usize::try_from(self.layout.ring_size()).unwrap();
        let rings = self.layout.rings() as usize;
        // SAFETY: a new mapping, used and removed here; no program is running.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let fd = self.map.fd().as_fd().as_raw_fd();
            let len = size * rings;
            let start = libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, 0);
            assert_ne!(start, libc::MAP_FAILED);
            for ring in 0..rings {
                let control = start.byte_add(ring * size).cast::<RingControl>();
                change(&mut *control);
            }
            assert_eq!(libc::munmap(start, len), 0);
        }
    }

    /// The counters; their sums are right.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counters = self.programs.counters().unwrap();
        check_sums(counters);
        counters
    }
}

/// Checks that counters add up.
pub fn check_sums(counters: Counters) {
    assert_eq!(counters.seen, counters.refused + counters.matched);
    assert_eq!(counters.matched, counters.outside + counters.captured + counters.lost());
}

/// What TC sees of a frame on the wire, and the outer tag's TCI and EtherType, which the kernel then
/// keeps beside the bytes. (It drops frames with a tag that are shorter than 20 bytes before.)
#[must_use]
pub fn at_tc(frame: &[u8]) -> (Vec<u8>, (u16, u16)) {
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if frame.len() < 20 || !matches!(half(12), 0x8100 | 0x88a8) {
        return (frame.to_vec(), (0, 0));
    }
    ([&frame[..12], &frame[12 + VLAN_TAG_LEN..]].concat(), (half(14), half(12)))
}
