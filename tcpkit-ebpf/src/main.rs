//! The eBPF programs: one body, entered at TC and XDP, ingress and egress, with and without an
//! Ethernet header.
//!
//! They look and copy, and never change a packet or decide about it.

#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![cfg_attr(not(target_arch = "bpf"), allow(dead_code, reason = "built for lints only"))]

mod context;
mod emit;
mod filter;
mod flow;
mod frame;
mod maps;

use aya_ebpf::{
    EbpfContext,
    bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use tcpkit_common::{DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP};

use crate::{
    context::{Context, Skb, Xdp},
    emit::Outcome,
    frame::Packet,
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

/// Packets that an Ethernet device's driver received. (`frags`: packets of any size.)
#[xdp(frags)]
pub(crate) fn tcpkit_eth_xdp(ctx: XdpContext) -> u32 {
    run_xdp::<LINK_ETHERNET>(&ctx)
}

/// Packets that the driver of a device without a link header received.
#[xdp(frags)]
pub(crate) fn tcpkit_ip_xdp(ctx: XdpContext) -> u32 {
    run_xdp::<LINK_RAW_IP>(&ctx)
}

/// Packets that an Ethernet device received whose driver knows no XDP. Without `frags`, for which the
/// kernel would make a new packet, and forget how long its link header is: TC programs behind this one
/// would then look for the Ethernet header where the IP header is (seen with Linux 6.18).
#[xdp]
pub(crate) fn tcpkit_eth_xdp_skb(ctx: XdpContext) -> u32 {
    run_xdp::<LINK_ETHERNET>(&ctx)
}

/// Packets that a device without a link header received whose driver knows no XDP.
#[xdp]
pub(crate) fn tcpkit_ip_xdp_skb(ctx: XdpContext) -> u32 {
    run_xdp::<LINK_RAW_IP>(&ctx)
}

/// The verdict is always "go on": `TC_ACT_UNSPEC`, which TCX knows as `TCX_NEXT`, lets the programs
/// behind this one run. `TC_ACT_OK` would not.
#[inline(always)]
fn run<const LINK: u8, const DIRECTION: u8>(ctx: &TcContext) -> i32 {
    capture::<Skb, LINK, DIRECTION>(ctx, ctx.skb.skb);
    TC_ACT_UNSPEC
}

/// As for [`run`], "go on".
#[inline(always)]
fn run_xdp<const LINK: u8>(ctx: &XdpContext) -> u32 {
    capture::<Xdp, LINK, DIRECTION_INGRESS>(ctx, ctx.ctx);
    XDP_PASS
}

#[inline(always)]
fn capture<C: Context, const LINK: u8, const DIRECTION: u8>(
    ctx: &impl EbpfContext,
    raw: *mut C::Raw,
) {
    let Some(counters) = maps::counters(C::ifindex(raw), DIRECTION) else { return };
    counters.seen += 1;
    // The filter first: what it refuses costs nothing more.
    if !C::selects::<LINK, DIRECTION>(raw) {
        counters.refused += 1;
        return;
    }
    let packet = Packet { context: C::open::<LINK>(raw) };
    counters.matched += 1;
    counters.matched_bytes += u64::from(packet.context.len());
    let outcome = emit::emit::<C, LINK, DIRECTION>(&packet);
    match outcome {
        Outcome::Captured { cut } => {
            counters.captured += 1;
            if cut > 0 {
                counters.truncated += 1;
                counters.truncated_bytes += cut;
            }
        }
        Outcome::Outside => counters.outside += 1,
        Outcome::RingFull => counters.ring_full += 1,
        Outcome::NoRing => counters.no_ring += 1,
        Outcome::CopyFailed => counters.copy_failed += 1,
    }
    if maps::debug() {
        let cut = if let Outcome::Captured { cut } = outcome { cut } else { 0 };
        debug!(
            ctx,
            "matched: {} bytes on interface {}, payload at {}, cut {}",
            packet.context.len(),
            C::ifindex(raw),
            packet.payload_offset::<LINK>(),
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
