//! What a connection costs in memory, counted allocation by allocation: a bound that may not be
//! passed unseen.

#![expect(clippy::expect_used, reason = "a test that fails ends")]

#[path = "../benches/traffic/mod.rs"]
mod traffic;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use tcpkit::{
    config::Limits,
    engine::{Engine, UsualPorts},
    protocol::{self, DecodeOptions},
};
use traffic::{Connection, From, Packet};

/// What an idle connection may cost, in bytes, with the allocator's overhead and its share of all
/// tables, also at the moment in which a table grows.
const IDLE_BYTES: usize = 400;

/// What a connection with one open request may cost.
const OPEN_BYTES: usize = 800;

const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012345\r\n";
const VALUE: &[u8] = b"$3\r\nxxx\r\n";

/// Counts memory as glibc's allocator spends it.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let now = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

/// A chunk has a header of 8 bytes, comes in steps of 16 and has at least 32; large ones are mapped in
/// pages.
fn spent(size: usize) -> usize {
    const MAPPED: usize = 128 * 1024;
    match size {
        MAPPED.. => (size + 16).next_multiple_of(4096),
        _ => (size + 8).next_multiple_of(16).max(32),
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one hands everything on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(spent(layout.size()));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(spent(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How a connection is first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    FromHandshake,
    Midstream,
}

/// Has an engine follow connections, and measures.
struct Run {
    engine: Engine<UsualPorts>,
    now_ns: u64,
    transactions: usize,
}

impl Run {
    fn new() -> Self {
        let protocol = protocol::by_name("redis").expect("it is in the registry");
        let (limits, options) = (Limits::default(), DecodeOptions::default());
        let engine = Engine::new(protocol, limits, options, UsualPorts(protocol));
        Self { engine, now_ns: 1_000_000_000, transactions: 0 }
    }

    fn feed(&mut self, packets: &[Packet]) {
        for packet in packets {
            let count = &mut self.transactions;
            self.engine.on_frame(&packet.frame(), &mut |_| *count += 1);
        }
    }

    /// A connection that says something.
    fn connect(&mut self, number: u32, seen: Seen) -> Connection {
        let mut connection = Connection::new(number);
        self.now_ns += 1_000;
        if seen == Seen::FromHandshake {
            self.feed(&connection.handshake(self.now_ns));
        }
        for _ in 0..4 {
            self.feed(&connection.turn(GET, VALUE, self.now_ns));
        }
        connection
    }

    /// Long enough for everything that waits for time to pass.
    fn rest(&mut self) {
        for _ in 0..400 {
            self.now_ns += 10_000_000;
            let count = &mut self.transactions;
            self.engine.advance(self.now_ns, &mut |_| *count += 1);
        }
    }
}

/// The most that `count` idle connections cost while they came and since, in bytes each.
fn idle(count: u32, seen: Seen) -> usize {
    let mut run = Run::new();
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    for number in 0..count {
        run.connect(number, seen);
        if seen == Seen::Midstream && number % 100 == 0 {
            run.rest();
        }
    }
    run.rest();
    assert_eq!(run.engine.flows(), count as usize);
    assert_eq!(run.transactions, 4 * count as usize);
    (PEAK.load(Ordering::Relaxed) - before) / count as usize
}

/// What `count` connections with a request open each cost, in bytes each.
fn in_flight(count: u32) -> usize {
    let mut run = Run::new();
    let before = IN_USE.load(Ordering::Relaxed);
    for number in 0..count {
        let mut connection = run.connect(number, Seen::FromHandshake);
        let request = connection.segment(From::Client, false, GET, run.now_ns);
        run.feed(&[request]);
    }
    assert_eq!(run.transactions, 4 * count as usize);
    (IN_USE.load(Ordering::Relaxed) - before) / count as usize
}

/// One test, since memory is counted for the whole process.
#[test]
fn a_connection_costs_little() {
    // The index doubles when it holds more than 7/8 of a power of two: 57,345 is the worst moment.
    for (count, seen) in [
        (10_000, Seen::FromHandshake),
        (57_345, Seen::FromHandshake),
        (100_000, Seen::FromHandshake),
        (20_000, Seen::Midstream),
    ] {
        let bytes = idle(count, seen);
        println!("{count} idle, {seen:?}: {bytes} bytes each");
        assert!(bytes <= IDLE_BYTES, "{count} idle, {seen:?}: {bytes} bytes each");
    }
    let bytes = in_flight(10_000);
    println!("10000 with an open request: {bytes} bytes each");
    assert!(bytes <= OPEN_BYTES, "10000 with an open request: {bytes} bytes each");
}
