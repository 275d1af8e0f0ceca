//! Where the headers of a packet are: link, network, transport.
//!
//! Headers are read straight from the packet where they are linear, and through a helper where they
//! are not; the packet itself is never made linear, for that would change it.

#![expect(unsafe_code, reason = "packet memory and kernel helpers")]

use core::mem::{MaybeUninit, size_of};

use tcpkit_common::LINK_ETHERNET;

use crate::context::Context;

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

const IPPROTO_HOP_BY_HOP: u8 = 0;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AUTHENTICATION: u8 = 51;
const IPPROTO_DESTINATION: u8 = 60;
const IPPROTO_MOBILITY: u8 = 135;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

const ETHERNET_LEN: u32 = 14;
const VLAN_LEN: u32 = 4;
const IPV6_LEN: u32 = 40;
const UDP_LEN: u32 = 8;
const TCP_LEN: u32 = 20;

/// How many tags in front of the IP header are looked behind.
const MAX_VLAN_TAGS: u32 = 2;
/// How many IPv6 extension headers are looked behind.
const MAX_EXTENSIONS: u32 = 8;
/// No transport header lies further behind than this: eight extensions of 2 KiB each would fit.
const MAX_HEADERS: u32 = 0x5fff;
/// How much of a packet without a transport header counts as headers.
const OTHER_HEADERS: u32 = 64;

/// The fields of an IPv4 header up to the protocol; all of them must be there.
#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    total_len: u16,
    id: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    checksum: u16,
    source: [u16; 2],
    destination: [u16; 2],
}

/// The fields of an IPv6 header in front of the addresses.
#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv6 {
    version: u8,
    class_flow: [u8; 3],
    payload_len: u16,
    next: u8,
    hop_limit: u8,
}

/// What a network header says.
pub(crate) struct Headers {
    pub(crate) is_ipv4: bool,
    /// Where the IP header begins.
    pub(crate) network: u32,
    /// The IP protocol behind all extension headers.
    protocol: u8,
    /// A fragment that is not the first: no transport header.
    later_fragment: bool,
    /// Where the IP payload begins.
    transport: u32,
}

/// A packet as a hook shows it.
pub(crate) struct Packet<C> {
    /// The hook's view of it.
    pub(crate) context: C,
}

impl<C: Context> Packet<C> {
    /// Finds the headers; `None` for what is not IP, or whose header is cut or breaks the rules.
    #[inline(always)]
    pub(crate) fn parse<const LINK: u8>(&self) -> Option<Headers> {
        let (ethertype, network) = if LINK == LINK_ETHERNET {
            self.behind_ethernet()?
        } else {
            match self.read::<[u8; 2]>(0) {
                Some([version, _]) if version >> 4 == 4 => (ETHERTYPE_IPV4, 0),
                Some([version, _]) if version >> 4 == 6 => (ETHERTYPE_IPV6, 0),
                _ => (0, 0),
            }
        };
        match ethertype {
            ETHERTYPE_IPV4 => self.parse_ipv4(network),
            ETHERTYPE_IPV6 => self.parse_ipv6(network),
            _ => None,
        }
    }

    /// The EtherType behind the tags, and where what it names begins.
    #[inline(always)]
    fn behind_ethernet(&self) -> Option<(u16, u32)> {
        let mut ethertype = u16::from_be(self.read(ETHERNET_LEN - 2)?);
        let mut network = ETHERNET_LEN;
        for _ in 0..MAX_VLAN_TAGS {
            if !ETHERTYPES_VLAN.contains(&ethertype) {
                break;
            }
            ethertype = u16::from_be(self.read(network + 2)?);
            network += VLAN_LEN;
        }
        Some((ethertype, network))
    }

    #[inline(always)]
    fn parse_ipv4(&self, network: u32) -> Option<Headers> {
        let ip = self.read::<Ipv4>(network)?;
        let header_len = u32::from(ip.version_ihl & 0x0f) * 4;
        if ip.version_ihl >> 4 != 4 || header_len < 20 {
            return None;
        }
        // The total length is not asked: it is 0 in packets larger than it can say, and the kernel
        // knows the length anyway.
        Some(Headers {
            is_ipv4: true,
            network,
            protocol: ip.protocol,
            later_fragment: u16::from_be(ip.fragment) & 0x1fff != 0,
            transport: network + header_len,
        })
    }

    #[inline(always)]
    fn parse_ipv6(&self, network: u32) -> Option<Headers> {
        let ip = self.read::<Ipv6>(network)?;
        if ip.version >> 4 != 6 {
            return None;
        }
        let transport = network + IPV6_LEN;
        if ip.next == IPPROTO_TCP || ip.next == IPPROTO_UDP {
            return Some(Headers {
                is_ipv4: false,
                network,
                protocol: ip.next,
                later_fragment: false,
                transport,
            });
        }
        let walked = walk_extensions::<C>(
            self.context.raw(),
            transport + self.context.hidden(),
            ip.next.into(),
        );
        if walked == MALFORMED {
            return None;
        }
        let transport = ((walked >> 16) as u32).wrapping_sub(self.context.hidden());
        if transport > MAX_HEADERS {
            return None;
        }
        Some(Headers {
            is_ipv4: false,
            network,
            protocol: walked as u8,
            later_fragment: walked & LATER_FRAGMENT != 0,
            transport,
        })
    }

    /// Where the bytes begin that the snaplen limits.
    #[inline(always)]
    pub(crate) fn payload_offset<const LINK: u8>(&self) -> u32 {
        let Some(headers) = self.parse::<LINK>() else { return OTHER_HEADERS };
        match headers.protocol {
            _ if headers.later_fragment => headers.transport,
            IPPROTO_UDP => headers.transport + UDP_LEN,
            IPPROTO_TCP => {
                let words = self.read::<[u8; 2]>(headers.transport + 12);
                let len = words.map_or(0, |[len, _flags]| len >> 4);
                // A length below the smallest header is a lie; take the smallest.
                headers.transport + (u32::from(len) * 4).max(TCP_LEN)
            }
            _ => headers.transport + OTHER_HEADERS,
        }
    }

    /// The ports of the sender and the receiver; zeroes where there are none.
    #[inline(always)]
    pub(crate) fn ports(&self, headers: &Headers) -> [u16; 2] {
        let has_ports = matches!(headers.protocol, IPPROTO_TCP | IPPROTO_UDP);
        if !has_ports || headers.later_fragment {
            return [0, 0];
        }
        self.read(headers.transport).unwrap_or([0, 0])
    }

    /// Reads a value at an offset; `None` behind the packet's end. Of at least two bytes: for one,
    /// the compiler writes a comparison from which the verifier learns nothing. And behind Ethernet's
    /// addresses, since what is hidden stands there.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(&self, offset: u32) -> Option<T> {
        let offset = offset + self.context.hidden();
        let (data, end) = self.context.linear();
        let start = data + offset as usize;
        if start + size_of::<T>() <= end {
            // SAFETY: the comparison above, which the verifier asks for, keeps it in the packet.
            // The verifier also checks the alignment on machines that need one.
            return Some(unsafe { (start as *const T).read() });
        }
        load::<C, T>(self.context.raw(), offset)
    }
}

/// Reads a value that is not in the linear part.
#[inline(always)]
fn load<C: Context, T: Copy>(raw: *mut C::Raw, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes the whole of `value` or fails.
    unsafe {
        let read = C::load(raw, offset, value.as_mut_ptr().cast(), size_of::<T>() as u32);
        read.then(|| value.assume_init())
    }
}

/// [`walk_extensions`] found a header that is cut, or too many.
const MALFORMED: u64 = u64::MAX;
/// Bit in the result of [`walk_extensions`].
const LATER_FRAGMENT: u64 = 1 << 8;

/// Walks over IPv6's extension headers. The result has the protocol in its lowest byte,
/// [`LATER_FRAGMENT`], and from bit 16 where the payload begins.
///
/// A function of its own that reads through the helper alone: rare, so its speed does not matter,
/// and the verifier need not follow every offset that eight headers can add up to.
#[inline(never)]
fn walk_extensions<C: Context>(raw: *mut C::Raw, start: u32, first: u64) -> u64 {
    let mut offset = start;
    let mut next = first as u8;
    for _ in 0..MAX_EXTENSIONS {
        let unit = match next {
            IPPROTO_HOP_BY_HOP | IPPROTO_ROUTING | IPPROTO_DESTINATION | IPPROTO_MOBILITY => 8,
            IPPROTO_AUTHENTICATION => 4,
            IPPROTO_FRAGMENT => {
                let Some([head, fragment]) = load::<C, [u16; 2]>(raw, offset) else {
                    return MALFORMED;
                };
                offset += 8;
                next = head.to_ne_bytes()[0];
                if u16::from_be(fragment) & 0xfff8 != 0 {
                    return u64::from(offset) << 16 | LATER_FRAGMENT | u64::from(next);
                }
                continue;
            }
            _ => return u64::from(offset) << 16 | u64::from(next),
        };
        let Some([following, len]) = load::<C, [u8; 2]>(raw, offset) else { return MALFORMED };
        // The length leaves out the first eight bytes, which are two of the authentication's units.
        offset += 8 + u32::from(len) * unit;
        next = following;
    }
    MALFORMED
}
