//! A gigabyte of bytes that mean harm, for every protocol of the registry: nothing panics, everything is
//! counted, and memory stays where it was, whatever lengths are claimed.
//!
//! No protocol is named here. A connection begins like a golden capture's, up to some packet, and then
//! one end says nothing but one of the [`PATTERNS`], some of which are made of that capture's own bytes:
//! so claims, openings and numbers stand where the protocol has them. Which connection, where it turns,
//! who turns and what comes is drawn from a generator with a fixed seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails ends"
)]

#[allow(dead_code, reason = "the golden tests need more of it")]
#[path = "golden/capture.rs"]
mod capture;
#[path = "hostile/patterns.rs"]
mod patterns;
#[path = "hostile/wire.rs"]
mod wire;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
    thread,
};

use tcpkit::{
    packet::{Decoded, TcpFlags, decode},
    protocol::{PROTOCOLS, Protocol},
};

use self::{
    patterns::{PATTERNS, Random},
    wire::{Said, Wire},
};

/// A folder for each protocol, by its name.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// How many bytes each protocol's decoders get to read. What comes when a connection is given up, since
/// its bytes made no sense, does not count; another one is opened then.
const TOTAL: u64 = 1_000_000_000;

/// What is said at once, in bytes: the most that an IPv4 packet carries, and a little less.
const BLOCK: usize = 65_000;

/// How many blocks an end says before the connection is reset, at most.
const MAX_BLOCKS: usize = 40;

/// How much memory may be used beyond what was before the first packet, in bytes. A connection may keep
/// 64 KiB of each direction for its decoder, requests that wait (see `wire.rs` for their bound) with up to
/// 4 MiB of their texts, what a decoder notes of each of up to 64 Ki of them, and, where datagrams are read,
/// a table of 8 MiB is on top that knows them again.
const MAX_MEMORY: usize = 16 << 20;

/// Counts the memory of each thread by itself: an engine does all its work on one.
struct Counting;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one hands everything on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.get().wrapping_add(layout.size());
        IN_USE.set(now);
        // Freed on another thread than allocated on, it may be below zero.
        if now as isize > PEAK.get() as isize {
            PEAK.set(now);
        }
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn bytes_that_mean_harm_do_none() {
    // Each on a thread of its own, as many at a time as there are CPUs.
    let count = thread::available_parallelism().map_or(1, usize::from);
    for some in PROTOCOLS.chunks(count) {
        thread::scope(|scope| {
            for protocol in some {
                scope.spawn(|| attack(protocol));
            }
        });
    }
}

/// Says on a panic what was going on.
struct Doing(String);

impl Drop for Doing {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("while: {}", self.0);
        }
    }
}

fn attack(protocol: &'static Protocol) {
    let conversations = conversations(protocol);
    let mut block = Vec::with_capacity(2 * BLOCK);
    let mut random = Random::new(1);
    let mut wire = Wire::new(protocol);
    let mut doing = Doing(String::with_capacity(256));
    let before = IN_USE.get();
    let mut most = (0, String::new());
    for turn in 0.. {
        if wire.read() >= TOTAL {
            break;
        }
        let conversation = &conversations[random.below(conversations.len())];
        let place = random.below(conversation.len() + 1);
        let by_client = random.below(2) == 0;
        let (name, fill) = PATTERNS[turn % PATTERNS.len()];
        let blocks = 1 + random.below(MAX_BLOCKS);
        let who = if by_client { "client" } else { "server" };
        doing.0.clear();
        doing.0 += &format!("{}, turn {turn}: {blocks} times {name} by the {who}", protocol.name);
        // The pattern may take what this end says in the capture.
        let own = conversation.iter().filter(|said| said.by_client == by_client);
        let own: Vec<&[u8]> = own.map(|said| &said.bytes[..]).collect();
        PEAK.set(IN_USE.get());
        if protocol.datagrams.is_some() && random.below(8) == 0 {
            for _ in 0..blocks {
                block.clear();
                fill(&mut random, &own, BLOCK, &mut block);
                wire.datagram(by_client, &block[..BLOCK]);
            }
        } else {
            wire.open();
            for said in &conversation[..place] {
                wire.say(said.by_client, &said.bytes);
            }
            let unread = wire.unread();
            for _ in 0..blocks {
                if wire.unread() > unread {
                    break;
                }
                let len = [300, 3_000, BLOCK][random.below(3)];
                block.clear();
                fill(&mut random, &own, len, &mut block);
                wire.say(by_client, &block[..len]);
            }
            wire.reset();
        }
        let peak = PEAK.get().saturating_sub(before);
        if peak > most.0 {
            most = (peak, doing.0.clone());
        }
        assert!(peak <= MAX_MEMORY, "{peak} bytes of memory in use");
    }
    wire.finish();
    println!("{}: at most {} bytes of memory, while: {}", protocol.name, most.0, most.1);
}

/// What the ends of each captured connection say, packet by packet.
fn conversations(protocol: &'static Protocol) -> Vec<Vec<Said>> {
    let mut all = Vec::new();
    for capture in capture::captures_of(protocol, Path::new(FIXTURES)) {
        for frames in capture.connections() {
            let mut client = None;
            let mut conversation = Vec::new();
            for frame in &frames {
                let (addresses, payload, opens) = match decode(frame) {
                    Decoded::Tcp(it) => {
                        let opens = it.tcp.flags.contains(TcpFlags::SYN)
                            && !it.tcp.flags.contains(TcpFlags::ACK);
                        (it.addresses, it.payload, opens)
                    }
                    Decoded::Udp(it) => (it.addresses, it.payload, false),
                    Decoded::Other(_) => continue,
                };
                let asks = opens || protocol.ports.contains(&addresses.destination.port());
                let first = if asks { addresses.source } else { addresses.destination };
                let by_client = addresses.source == *client.get_or_insert(first);
                if !payload.bytes.is_empty() {
                    conversation.push(Said { by_client, bytes: payload.bytes.to_vec() });
                }
            }
            all.push(conversation);
        }
    }
    assert!(!all.is_empty(), "no captures in {FIXTURES}/{}", protocol.name);
    all
}
