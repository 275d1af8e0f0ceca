//! The two views of a packet that hooks give: `__sk_buff` at TC, `xdp_md` at XDP.
//!
//! At TC the kernel keeps the outer VLAN tag beside the bytes. At XDP it still stands among them. It
//! is hidden there, so that packets look the same from both hooks.

#![expect(unsafe_code, reason = "packet memory and kernel helpers")]

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
};
use tcpkit_common::LINK_ETHERNET;

use crate::{filter, flow};

/// The Ethernet addresses, in front of a tag.
const ADDRESSES_LEN: u32 = 12;
const TAG_LEN: u32 = 4;

/// The shortest frame whose tag the kernel takes off: it drops shorter ones with a tag before TC
/// (`skb_vlan_untag` in net/core/skbuff.c).
const SHORTEST_TAGGED: u32 = 20;

/// The kinds of tags that the kernel takes off (`eth_type_vlan` in include/linux/if_vlan.h).
const TAGS_TAKEN_OFF: [u16; 2] = [0x8100, 0x88a8];

/// A packet at a hook, which the filter selected.
pub(crate) trait Context {
    /// What the kernel hands to the program.
    type Raw;

    /// The most bytes that can be copied from a packet.
    const MOST: u32;

    /// The interface's index.
    fn ifindex(raw: *mut Self::Raw) -> u32;

    /// Whether the filter selects the packet.
    fn selects<const LINK: u8, const DIRECTION: u8>(raw: *mut Self::Raw) -> bool;

    /// Which worker follows the packet's connection, where there are several.
    fn worker<const LINK: u8>(raw: *mut Self::Raw) -> u32;

    fn open<const LINK: u8>(raw: *mut Self::Raw) -> Self;

    fn raw(&self) -> *mut Self::Raw;

    /// The whole length in bytes, with what lies outside the linear part, without what is hidden.
    fn len(&self) -> u32;

    /// The outer tag, which is not among the bytes: its TCI and EtherType, or zeroes.
    fn vlan(&self) -> (u16, u16);

    /// How many bytes are hidden behind the Ethernet addresses.
    fn hidden(&self) -> u32;

    /// Where the linear part begins and ends, with what is hidden.
    fn linear(&self) -> (usize, usize);

    /// Copies `len` bytes from `offset`, which counts what is hidden, to `to`; whether they are
    /// there.
    ///
    /// # Safety
    /// `to` must have room for `len` bytes, and `len` must not be 0.
    unsafe fn load(raw: *mut Self::Raw, offset: u32, to: *mut c_void, len: u32) -> bool;

    /// Copies the first `len` bytes, without what is hidden, to `to`.
    ///
    /// # Safety
    /// `to` must have room for `len` bytes and for the Ethernet addresses, and `len` must not be 0.
    #[inline(always)]
    unsafe fn copy(&self, to: *mut u8, len: u32) -> bool {
        // What is behind the hidden bytes comes to its place at once, with bytes in front of it that
        // the addresses then overwrite: so there is no second length for the verifier to follow.
        // SAFETY: the caller vouches for `to`; the helpers check the packet's side.
        unsafe {
            Self::load(self.raw(), self.hidden(), to.cast(), len)
                && (self.hidden() == 0 || Self::load(self.raw(), 0, to.cast(), ADDRESSES_LEN))
        }
    }
}

/// A packet at TC.
pub(crate) struct Skb(*mut __sk_buff);

impl Context for Skb {
    type Raw = __sk_buff;

    const MOST: u32 = u32::MAX;

    #[inline(always)]
    fn ifindex(raw: *mut __sk_buff) -> u32 {
        // SAFETY: the kernel passes a valid context.
        unsafe { (*raw).ifindex }
    }

    #[inline(always)]
    fn selects<const LINK: u8, const DIRECTION: u8>(raw: *mut __sk_buff) -> bool {
        filter::selects_skb::<LINK, DIRECTION>(raw)
    }

    #[inline(always)]
    fn worker<const LINK: u8>(raw: *mut __sk_buff) -> u32 {
        flow::worker_of_skb::<LINK>(raw)
    }

    #[inline(always)]
    fn open<const LINK: u8>(raw: *mut __sk_buff) -> Self {
        Self(raw)
    }

    #[inline(always)]
    fn raw(&self) -> *mut __sk_buff {
        self.0
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: the kernel passes a valid context.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn vlan(&self) -> (u16, u16) {
        // SAFETY: the kernel passes a valid context.
        unsafe {
            if (*self.0).vlan_present == 0 {
                return (0, 0);
            }
            ((*self.0).vlan_tci as u16, u16::from_be((*self.0).vlan_proto as u16))
        }
    }

    #[inline(always)]
    fn hidden(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        // SAFETY: the kernel passes a valid context.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }

    #[inline(always)]
    unsafe fn load(raw: *mut __sk_buff, offset: u32, to: *mut c_void, len: u32) -> bool {
        // SAFETY: the caller vouches for `to`; the helper checks the packet's side.
        unsafe { bpf_skb_load_bytes(raw.cast(), offset, to, len) == 0 }
    }
}

/// A packet at XDP.
pub(crate) struct Xdp {
    raw: *mut xdp_md,
    len: u32,
    hidden: u32,
    vlan: (u16, u16),
}

impl Context for Xdp {
    type Raw = xdp_md;

    /// The helper refuses more.
    const MOST: u32 = 0xffff;

    #[inline(always)]
    fn ifindex(raw: *mut xdp_md) -> u32 {
        // SAFETY: the kernel passes a valid context.
        unsafe { (*raw).ingress_ifindex }
    }

    #[inline(always)]
    fn selects<const LINK: u8, const DIRECTION: u8>(raw: *mut xdp_md) -> bool {
        filter::selects_xdp::<LINK>(raw)
    }

    #[inline(always)]
    fn worker<const LINK: u8>(raw: *mut xdp_md) -> u32 {
        flow::worker_of_xdp::<LINK>(raw)
    }

    #[inline(always)]
    fn open<const LINK: u8>(raw: *mut xdp_md) -> Self {
        // SAFETY: the kernel passes a valid context.
        let len = unsafe { bpf_xdp_get_buff_len(raw) } as u32;
        let plain = Self { raw, len, hidden: 0, vlan: (0, 0) };
        if LINK != LINK_ETHERNET || len < SHORTEST_TAGGED {
            return plain;
        }
        let mut tag = [0_u16; 2];
        // SAFETY: `tag` has that many bytes.
        let there = unsafe { Self::load(raw, ADDRESSES_LEN, (&raw mut tag).cast(), TAG_LEN) };
        let [kind, tci] = tag.map(u16::from_be);
        if !there || !TAGS_TAKEN_OFF.contains(&kind) {
            return plain;
        }
        Self { len: len - TAG_LEN, hidden: TAG_LEN, vlan: (tci, kind), ..plain }
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.raw
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn vlan(&self) -> (u16, u16) {
        self.vlan
    }

    #[inline(always)]
    fn hidden(&self) -> u32 {
        self.hidden
    }

    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        // SAFETY: the kernel passes a valid context.
        unsafe { ((*self.raw).data as usize, (*self.raw).data_end as usize) }
    }

    #[inline(always)]
    unsafe fn load(raw: *mut xdp_md, offset: u32, to: *mut c_void, len: u32) -> bool {
        // SAFETY: the caller vouches for `to`; the helper checks the packet's side.
        unsafe { bpf_xdp_load_bytes(raw, offset, to, len) == 0 }
    }
}
