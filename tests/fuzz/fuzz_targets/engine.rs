//! The whole way from packets to transactions, for a protocol of the registry: two ends say anything to
//! each other, and of their packets some are lost, late, cut or seen twice.
//!
//! The input is a program: a byte for what the engine may keep and whether the beginning was seen, then
//! instructions of one byte and what they take. Asserted is that the ledger sums, and that of a
//! transaction every time is that of a packet, no part of it longer than all that was sent, and no text
//! longer than its bound or unprintable.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use tcpkit::{
    capture::{Frame, HookDirection, LinkType},
    config::Limits,
    engine::{Engine, UsualPorts},
    packet::TcpFlags,
    protocol::{DecodeOptions, Direction, fields::FieldValue, scratch::MAX_OPERATION},
    transaction::Transaction,
};
use tcpkit_fuzz::{FUZZED, Said, push_bytes, write_seeds};

/// The client's port; the server has one of the protocol's.
const CLIENT: u16 = 50_000;
/// IPv4 and TCP without options.
const HEADERS: usize = 40;
/// The longest text.
const MAX_TEXT: usize = 128;

/// The options of seeds: the beginning was seen, and everything fits.
const SEED_OPTIONS: u8 = 1;

/// A packet, and then some time.
fn push_packet(program: &mut Vec<u8>, said: &Said) {
    push_bytes(program, said);
    program.push(0xc0 | 16);
}

fuzz_target!(init: write_seeds(SEED_OPTIONS, push_packet), |input: &[u8]| {
    let Some((&first, program)) = input.split_first() else { return };
    let mut limits = Limits::default();
    if first & 2 != 0 {
        limits.max_open = 4;
    }
    if first & 4 != 0 {
        limits.max_held_bytes = 512;
    }
    let mut wire = Wire::new(limits, [usize::MAX, 16, 64, 256][usize::from(first >> 3 & 3)]);
    if first & 1 != 0 {
        wire.handshake();
    }
    wire.run(program);
    wire.finish();
});

/// What becomes of a packet.
#[derive(Clone, Copy, Default)]
enum Fate {
    #[default]
    Seen,
    Lost,
    Twice,
    /// Seen after so many others.
    Late(u8),
    /// Not more than so many bytes of its payload.
    Cut(usize),
}

struct Packet {
    time_ns: u64,
    bytes: Vec<u8>,
    wire_len: u32,
}

/// Two ends, what they sent, and the engine that sees some of it.
struct Wire {
    engine: Engine<UsualPorts>,
    seen: Checks,
    snaplen: usize,
    now_ns: u64,
    next: [u32; 2],
    fates: [Fate; 2],
    late: Vec<(u8, Packet)>,
    packets: u64,
}

/// What has to be true of transactions.
#[derive(Default)]
struct Checks {
    times: BTreeSet<u64>,
    sent: [u64; 2],
}

impl Wire {
    fn new(limits: Limits, snaplen: usize) -> Self {
        let options = DecodeOptions { max_text: MAX_TEXT, ..DecodeOptions::default() };
        Self {
            engine: Engine::new(*FUZZED, limits, options, UsualPorts(*FUZZED)),
            seen: Checks::default(),
            snaplen,
            now_ns: 1_000_000_000,
            next: [u32::MAX - 500, 7_000],
            fates: Default::default(),
            late: Vec::new(),
            packets: 0,
        }
    }

    fn handshake(&mut self) {
        self.send(0, TcpFlags::SYN, &[]);
        self.send(1, TcpFlags::SYN | TcpFlags::ACK, &[]);
        self.send(0, TcpFlags::ACK, &[]);
    }

    /// Two bits of an instruction say what, one the side, five how much.
    fn run(&mut self, mut program: &[u8]) {
        while let Some((&instruction, rest)) = program.split_first() {
            program = rest;
            let side = usize::from(instruction >> 5 & 1);
            let amount = instruction & 0x1f;
            match instruction >> 6 {
                what @ (0 | 1) => {
                    let len = usize::from(amount) * if what == 0 { 1 } else { 32 };
                    let (payload, rest) = program.split_at(len.min(program.len()));
                    program = rest;
                    self.send(side, TcpFlags::ACK, payload);
                }
                2 => {
                    self.fates[side] = match (amount >> 3, amount & 7) {
                        (0, _) => Fate::Lost,
                        (1, _) => Fate::Twice,
                        (2, count) => Fate::Late(count + 1),
                        (_, count) => Fate::Cut(usize::from(count) * 8),
                    };
                }
                _ => match amount {
                    28 => self.send(side, TcpFlags::FIN | TcpFlags::ACK, &[]),
                    29 => self.send(side, TcpFlags::RST, &[]),
                    30 => {
                        self.next[side] = self.next[side].wrapping_add(100_000);
                        self.seen.sent[side] += 100_000;
                    }
                    31 => {
                        self.next = self.next.map(|next| next.wrapping_add(1_000_000));
                        self.handshake();
                    }
                    _ => {
                        self.now_ns += 1 << amount;
                        let Self { engine, seen, now_ns, .. } = self;
                        engine.advance(*now_ns, &mut |transaction| seen.check(transaction));
                    }
                },
            }
        }
    }

    fn send(&mut self, side: usize, flags: TcpFlags, payload: &[u8]) {
        self.now_ns += 1_000;
        let server = FUZZED.ports.first().copied().unwrap_or(1_000);
        let (ends, ports) = ([1, 2], [CLIENT, server]);
        let total = u16::try_from(HEADERS + payload.len()).unwrap();
        let mut bytes = vec![0x45, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, ends[side], 10, 0, 0, ends[1 - side]]);
        bytes.extend(ports[side].to_be_bytes());
        bytes.extend(ports[1 - side].to_be_bytes());
        bytes.extend(self.next[side].to_be_bytes());
        bytes.extend(self.next[1 - side].to_be_bytes());
        bytes.extend([0x50, flags.bits(), 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(payload);
        let control = u32::from(flags.intersects(TcpFlags::SYN | TcpFlags::FIN));
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32 + control);
        self.seen.sent[side] += payload.len() as u64;
        let fate = std::mem::take(&mut self.fates[side]);
        let wire_len = u32::from(total);
        let captured = match fate {
            Fate::Cut(len) => len.min(self.snaplen),
            _ => self.snaplen,
        };
        bytes.truncate(HEADERS.saturating_add(captured));
        let packet = Packet { time_ns: self.now_ns, bytes, wire_len };
        match fate {
            Fate::Lost => {}
            Fate::Late(count) => self.late.push((count, packet)),
            Fate::Twice => {
                self.show(&packet);
                self.show(&packet);
            }
            Fate::Seen | Fate::Cut(_) => self.show(&packet),
        }
        self.show_late(false);
    }

    /// Shows those whose turn has come, or all.
    fn show_late(&mut self, all: bool) {
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .map(|(count, packet)| (count.saturating_sub(1), packet))
            .partition(|(count, _)| all || *count == 0);
        self.late = late;
        let due: Vec<(u8, Packet)> = due;
        for (_, packet) in due {
            self.show(&packet);
        }
    }

    fn show(&mut self, packet: &Packet) {
        let frame = Frame {
            time_ns: packet.time_ns,
            ifindex: 1,
            direction: HookDirection::Unknown,
            link: LinkType::RawIp,
            vlan: None,
            wire_len: packet.wire_len,
            bytes: &packet.bytes,
        };
        self.packets += 1;
        let Self { engine, seen, .. } = self;
        seen.times.insert(packet.time_ns);
        engine.on_frame(&frame, &mut |transaction| seen.check(transaction));
    }

    fn finish(mut self) {
        self.show_late(true);
        let Self { mut engine, mut seen, now_ns, packets, .. } = self;
        engine.advance(now_ns + 1_000_000_000, &mut |transaction| seen.check(transaction));
        engine.finish(&mut |transaction| seen.check(transaction));
        let ledger = engine.ledger();
        assert_eq!(ledger.packets.received, packets);
        for (what, one, other) in ledger.sums() {
            assert_eq!(one, other, "{what} do not sum in\n{ledger}");
        }
    }
}

impl Checks {
    fn check(&mut self, transaction: &Transaction<'_>) {
        let timing = &transaction.timing;
        let mut time_ns = transaction.unix_ns;
        assert!(self.times.contains(&time_ns), "no packet then: {transaction:?}");
        for part_ns in [timing.request_ns, timing.wait_ns, timing.response_ns] {
            time_ns += part_ns;
            assert!(self.times.contains(&time_ns), "no packet then: {transaction:?}");
        }
        if let Some(first_ns) = transaction.first_ns {
            assert!(first_ns <= timing.latency_ns(), "{transaction:?}");
        }
        let (asked, answered) = match transaction.client.port() {
            CLIENT => (Direction::Request, Direction::Response),
            _ => (Direction::Response, Direction::Request),
        };
        assert!(transaction.request_bytes <= self.sent[asked as usize], "{transaction:?}");
        assert!(transaction.response_bytes <= self.sent[answered as usize], "{transaction:?}");
        assert!(transaction.operation.len() <= MAX_OPERATION, "{transaction:?}");
        for text in [transaction.request, transaction.response] {
            assert!(text.len() <= MAX_TEXT, "{transaction:?}");
        }
        for text in [transaction.operation, transaction.request, transaction.response] {
            assert!(!text.chars().any(char::is_control), "{transaction:?}");
        }
        for (_, value) in transaction.request_fields.chain(transaction.response_fields) {
            if let FieldValue::Text(text) = value {
                assert!(!text.chars().any(char::is_control), "{transaction:?}");
            }
        }
    }
}
