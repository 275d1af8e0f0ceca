//! The user's filter: whether a packet is wanted.
//!
//! The functions here keep a place in the object. The agent overwrites them with the compiled
//! expression before it loads the object.

#![expect(unsafe_code, reason = "symbols that the agent looks for; assembly")]

#[cfg(target_arch = "bpf")]
use core::arch::asm;

use aya_ebpf::bindings::{__sk_buff, xdp_md};
#[cfg(target_arch = "bpf")]
use tcpkit_common::FILTER_SLOT_LEN;
use tcpkit_common::{DIRECTION_EGRESS, LINK_ETHERNET};

/// Whether the filter selects a packet at TC.
#[inline(always)]
pub(crate) fn selects_skb<const LINK: u8, const DIRECTION: u8>(skb: *mut __sk_buff) -> bool {
    let egress = u64::from(DIRECTION == DIRECTION_EGRESS);
    let verdict = if LINK == LINK_ETHERNET {
        tcpkit_filter_eth(skb, egress)
    } else {
        tcpkit_filter_ip(skb, egress)
    };
    verdict != 0
}

/// Whether the filter selects a packet at XDP, where all come in.
#[inline(always)]
pub(crate) fn selects_xdp<const LINK: u8>(xdp: *mut xdp_md) -> bool {
    let verdict =
        if LINK == LINK_ETHERNET { tcpkit_filter_xdp_eth(xdp) } else { tcpkit_filter_xdp_ip(xdp) };
    verdict != 0
}

/// The body of a slot: as many instructions that do nothing as a filter may have, and a verdict that
/// the compiler does not know.
///
/// The verdicts differ, or the compiler would make one function of both.
macro_rules! slot {
    ($packet:ident, $egress:expr, $verdict:literal) => {{
        #[cfg(not(target_arch = "bpf"))]
        let verdict = u64::from(!$packet.is_null()) + $egress;
        #[cfg(target_arch = "bpf")]
        let verdict: u64;
        #[cfg(target_arch = "bpf")]
        // SAFETY: it does nothing but set a register.
        unsafe {
            asm!(
                ".rept {len}",
                "goto +0",
                ".endr",
                $verdict,
                len = const FILTER_SLOT_LEN,
                in("r1") $packet,
                in("r2") $egress,
                lateout("r0") verdict,
            );
        }
        verdict
    }};
}

/// For packets with an Ethernet header. The argument's type is what the verifier knows it by.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tcpkit_filter_eth(skb: *mut __sk_buff, egress: u64) -> u64 {
    slot!(skb, egress, "r0 = 1")
}

/// For packets that begin with an IP header.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tcpkit_filter_ip(skb: *mut __sk_buff, egress: u64) -> u64 {
    slot!(skb, egress, "r0 = 2")
}

/// The same at XDP.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tcpkit_filter_xdp_eth(xdp: *mut xdp_md) -> u64 {
    slot!(xdp, 0_u64, "r0 = 3")
}

/// The same at XDP.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tcpkit_filter_xdp_ip(xdp: *mut xdp_md) -> u64 {
    slot!(xdp, 0_u64, "r0 = 4")
}
