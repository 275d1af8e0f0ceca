//! Which of the agent's workers follows a packet's connection.
//!
//! Both directions go to the same one, at every hook: the two ends are mixed apart and added. Who sends
//! packets may choose their ports so that one worker gets them all; that costs him as much as sending
//! them through one connection.

#![expect(unsafe_code, reason = "symbols that the verifier knows")]

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use tcpkit_common::{LINK_ETHERNET, LINK_RAW_IP};

use crate::{
    context::{Context, Skb, Xdp},
    frame::{Headers, Packet},
    maps,
};

/// Where addresses stand in the IP headers.
const IPV4_ADDRESSES: u32 = 12;
const IPV6_ADDRESSES: u32 = 8;

/// The worker for a packet; the first for what has no addresses.
#[inline(always)]
pub(crate) fn worker<C: Context, const LINK: u8>(packet: &Packet<C>) -> u32 {
    if maps::workers() <= 1 {
        return 0;
    }
    C::worker::<LINK>(packet.context.raw())
}

/// The worker for a packet at TC.
#[inline(always)]
pub(crate) fn worker_of_skb<const LINK: u8>(skb: *mut __sk_buff) -> u32 {
    let worker = if LINK == LINK_ETHERNET { tcpkit_worker_eth(skb) } else { tcpkit_worker_ip(skb) };
    worker as u32
}

/// The worker for a packet at XDP.
#[inline(always)]
pub(crate) fn worker_of_xdp<const LINK: u8>(xdp: *mut xdp_md) -> u32 {
    let worker =
        if LINK == LINK_ETHERNET { tcpkit_worker_xdp_eth(xdp) } else { tcpkit_worker_xdp_ip(xdp) };
    worker as u32
}

/// Global functions, as the filters' are: the verifier looks at each for itself, and all that its callers
/// know of the result is that it is a number.
macro_rules! global {
    ($name:ident, $view:ty, $raw:ty, $link:expr) => {
        #[inline(never)]
        #[unsafe(no_mangle)]
        extern "C" fn $name(raw: *mut $raw) -> u64 {
            let packet = Packet { context: <$view>::open::<{ $link }>(raw) };
            u64::from(choose::<$view, { $link }>(&packet))
        }
    };
}

global!(tcpkit_worker_eth, Skb, __sk_buff, LINK_ETHERNET);
global!(tcpkit_worker_ip, Skb, __sk_buff, LINK_RAW_IP);
global!(tcpkit_worker_xdp_eth, Xdp, xdp_md, LINK_ETHERNET);
global!(tcpkit_worker_xdp_ip, Xdp, xdp_md, LINK_RAW_IP);

#[inline(always)]
fn choose<C: Context, const LINK: u8>(packet: &Packet<C>) -> u32 {
    let Some(headers) = packet.parse::<LINK>() else { return 0 };
    let Some((source, destination)) = addresses(packet, &headers) else { return 0 };
    let [source_port, destination_port] = packet.ports(&headers);
    let sum = end(source, source_port).wrapping_add(end(destination, destination_port));
    let mixed = sum.wrapping_mul(0x85eb_ca6b);
    ((u64::from(mixed) * u64::from(maps::workers())) >> 32) as u32
}

/// Both addresses, each folded into one word.
#[inline(always)]
fn addresses<C: Context>(packet: &Packet<C>, headers: &Headers) -> Option<(u32, u32)> {
    if headers.is_ipv4 {
        let [source, destination] = packet.read::<[u32; 2]>(headers.network + IPV4_ADDRESSES)?;
        return Some((source, destination));
    }
    let [s0, s1, s2, s3, d0, d1, d2, d3] =
        packet.read::<[u32; 8]>(headers.network + IPV6_ADDRESSES)?;
    Some((s0 ^ s1 ^ s2 ^ s3, d0 ^ d1 ^ d2 ^ d3))
}

/// One end of a connection, mixed.
#[inline(always)]
fn end(address: u32, port: u16) -> u32 {
    let port = u32::from(port);
    let mixed = (address ^ (port << 16 | port)).wrapping_mul(0x9e37_79b1);
    mixed ^ mixed >> 15
}
