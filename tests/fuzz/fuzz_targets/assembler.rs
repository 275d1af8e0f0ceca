//! The assembler, on any packets of one connection: lost, reordered, overlapping, cut, made up.
//!
//! Each packet is eight bytes of the input. Asserted is that every byte of a direction comes at most
//! once and in order, that what is delivered and what is missing sums, that a packet's verdict fits
//! what it brought, and that what waits stays within its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpkit::{
    flow::{Assembler, Side, StreamEvent, Verdict, assembler::Arrival, seq::Seq},
    packet::{Payload, TcpFlags, TcpHeader},
};

/// Memory that waiting segments may take; small, so that the bound is met often.
const MAX_HELD: usize = 4096;

/// Every direction's bytes: the byte at a sequence number is always the same.
static BYTES: [u8; 256] = [0x5a; 256];

fuzz_target!(|input: &[u8]| {
    let mut assembler = Assembler::default();
    let mut ends = [End::default(), End::default()];
    let mut now_ns = 1_u64;
    for packet in input.chunks_exact(8).take(2_000) {
        let &[what, seq0, seq1, ack0, ack1, len, cut, wait] = packet else { return };
        now_ns += u64::from(wait) << (what >> 6 << 3);
        let side = if what & 1 == 0 { Side::Low } else { Side::High };
        // Numbers near the wrap, mostly close together.
        let near = |low: u8, high: u8| {
            u32::MAX.wrapping_sub(300).wrapping_add(u32::from(low) | u32::from(high & 0x83) << 8)
        };
        let wire_len = if what & 2 == 0 { u32::from(len) } else { 0 };
        let captured = usize::from(len).min(if cut < 200 { 256 } else { usize::from(cut) - 200 });
        let arrival = Arrival {
            side,
            time_ns: now_ns,
            carrier: u32::from(what >> 2 & 1),
            tcp: TcpHeader {
                seq: near(seq0, seq1),
                ack: near(ack0, ack1),
                flags: TcpFlags::from(flags(what >> 3 & 7)),
                window: 0,
            },
            payload: Payload {
                bytes: if wire_len == 0 { &[] } else { &BYTES[..captured] },
                wire_len,
            },
        };
        if assembler.is_reuse(side, &arrival.tcp) {
            assembler = Assembler::default();
            ends = [End::default(), End::default()];
        }
        let before = ends[side as usize].bytes;
        let verdict = assembler.push(&arrival, MAX_HELD, &mut |side, event| {
            ends[side as usize].take(event);
        });
        match verdict {
            Verdict::Delivered => assert!(ends[side as usize].bytes > before),
            Verdict::Empty => {}
            Verdict::Retransmit | Verdict::Duplicate | Verdict::OutOfWindow | Verdict::Held => {}
        }
        assembler.expire(now_ns, MAX_HELD, &mut |side, event| ends[side as usize].take(event));
    }
    assembler.finish(&mut |side, event| ends[side as usize].take(event));
    assert!(!assembler.is_waiting(), "everything is settled at the end");
});

fn flags(kind: u8) -> u8 {
    match kind {
        0..=4 => TcpFlags::ACK.bits(),
        5 => TcpFlags::SYN.bits(),
        6 => TcpFlags::FIN.bits() | TcpFlags::ACK.bits(),
        _ => TcpFlags::RST.bits(),
    }
}

/// What came of one direction.
#[derive(Default)]
struct End {
    next: Option<Seq>,
    bytes: u64,
    ended: bool,
}

impl End {
    fn take(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Data(chunk) => {
                assert!(!self.ended && !chunk.bytes.is_empty());
                assert!(self.next.is_none_or(|next| next == chunk.seq), "in order, once");
                let len = u32::try_from(chunk.bytes.len()).unwrap();
                self.next = Some(chunk.seq.advance(len));
                self.bytes += u64::from(len);
            }
            StreamEvent::Gap { len, .. } => {
                assert!(!self.ended && len > 0);
                let len32 = u32::try_from(len).unwrap();
                self.next = self.next.map(|next| next.advance(len32));
                self.bytes += len;
            }
            StreamEvent::End | StreamEvent::Reset => {
                assert!(!self.ended, "a direction ends once");
                self.ended = true;
            }
        }
    }
}
