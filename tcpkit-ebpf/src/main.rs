//! The eBPF programs: one body, entered at ingress and egress, with and without an Ethernet header.
//!
//! They look and copy, and never change a packet or decide about it.

#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![cfg_attr(not(target_arch = "bpf"), allow(dead_code, reason = "built for lints only"))]

mod emit;
mod filter;
mod frame;
mod maps;

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use aya_log_ebpf::debug;
use tcpkit_common::{DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP};

use crate::{
    emit::Outcome,
    frame::{Packet, Parsed},
};

/// Packets that an Ethernet device received.
#[classifier]
pub(crate) fn tcpkit_eth_in(ctx: TcContext) -> i32 {
    run::<LINK_ETHERNET, DIRECTION_INGRESS>(&ctx)
}

/// Packets that an Ethernet device sends.
#[classifier]
pub(crate) fn tcpkit_eth_out(ctx: TcContext) -> i32 {
    run::<LINK_ETHERNET, DIRECTION_EGRESS>(&ctx)
}

/// Packets that a device without a link header received.
#[classifier]
pub(crate) fn tcpkit_ip_in(ctx: TcContext) -> i32 {
    run::<LINK_RAW_IP, DIRECTION_INGRESS>(&ctx)
}

/// Packets that a device without a link header sends.
#[classifier]
pub(crate) fn tcpkit_ip_out(ctx: TcContext) -> i32 {
    run::<LINK_RAW_IP, DIRECTION_EGRESS>(&ctx)
}

/// The verdict is always "go on": `TC_ACT_UNSPEC`, which TCX knows as `TCX_NEXT`, lets the programs
/// behind this one run. `TC_ACT_OK` would not.
#[inline(always)]
fn run<const LINK: u8, const DIRECTION: u8>(ctx: &TcContext) -> i32 {
    capture::<LINK, DIRECTION>(ctx);
    TC_ACT_UNSPEC
}

#[inline(always)]
fn capture<const LINK: u8, const DIRECTION: u8>(ctx: &TcContext) {
    let Some(counters) = maps::counters() else { return };
    counters.seen += 1;
    let packet = Packet::new(ctx.skb.skb);
    // The filter first: what it refuses costs nothing more.
    if !filter::selects::<LINK, DIRECTION>(&packet) {
        counters.refused += 1;
        return;
    }
    counters.matched += 1;
    counters.matched_bytes += u64::from(packet.len());
    let parsed = packet.parse::<LINK>();
    if matches!(parsed, Parsed::Malformed) {
        counters.unparsed += 1;
    }
    let payload = packet.payload_offset(&parsed);
    let (outcome, cut) = emit::emit::<LINK, DIRECTION>(&packet, payload);
    match outcome {
        Outcome::Captured => {
            counters.captured += 1;
            if cut > 0 {
                counters.truncated += 1;
                counters.truncated_bytes += cut;
            }
        }
        Outcome::RingFull => counters.ring_full += 1,
        Outcome::CopyFailed => counters.copy_failed += 1,
    }
    if maps::debug() {
        debug!(
            ctx,
            "matched: {} bytes on interface {}, payload at {}, cut {}",
            packet.len(),
            packet.ifindex(),
            payload,
            cut
        );
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics: the linker would keep this loop, and the verifier would refuse it.
    loop {}
}

/// The kernel lends its GPL-only helpers (the clock) to programs under a compatible licence.
#[expect(unsafe_code, reason = "the loader looks for a section of this name")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
