//! The user's filter: whether a packet is wanted.
//!
//! The functions here keep a place in the object. The agent overwrites them with the compiled
//! expression before it loads the object.

#![expect(unsafe_code, reason = "symbols that the agent looks for; assembly")]

#[cfg(target_arch = "bpf")]
use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
#[cfg(target_arch = "bpf")]
use tcpkit_common::FILTER_SLOT_LEN;
use tcpkit_common::{DIRECTION_EGRESS, LINK_ETHERNET};

use crate::frame::Packet;

/// Whether the filter selects a packet.
#[inline(always)]
pub(crate) fn selects<const LINK: u8, const DIRECTION: u8>(packet: &Packet) -> bool {
    let egress = u64::from(DIRECTION == DIRECTION_EGRESS);
    let verdict = if LINK == LINK_ETHERNET {
        tcpkit_filter_eth(packet.context(), egress)
    } else {
        tcpkit_filter_ip(packet.context(), egress)
    };
    verdict != 0
}

/// The body of a slot: as many instructions that do nothing as a filter may have, and a verdict that
/// the compiler does not know.
///
/// The verdicts differ, or the compiler would make one function of both.
macro_rules! slot {
    ($skb:ident, $egress:ident, $verdict:literal) => {{
        #[cfg(not(target_arch = "bpf"))]
        let verdict = u64::from(!$skb.is_null()) + $egress;
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
                in("r1") $skb,
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
