//! Finds the transport header of a frame: directly in the plain case, through etherparse in all
//! others (VLAN tags, IP options, extension headers, fragments). Link headers that only files have are
//! left to `link`.

use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket, err::Layer};

use super::{Addresses, Datagram, Endpoint, Payload, Segment, network, tcp};
use crate::capture::{Frame, LinkType};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// Neither.
    Other(Undecoded),
}

/// Why a frame gives no segment or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecoded {
    /// Neither IPv4 nor IPv6 (ARP, LLDP …).
    NotIp,
    /// IP, but neither TCP nor UDP.
    OtherTransport,
    /// A later fragment, which carries no ports.
    Fragment,
    /// Headers that are cut off or contradict themselves.
    Malformed,
}

const ETHERNET_LEN: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Takes a frame's headers apart.
#[must_use]
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    let offset = match frame.link {
        LinkType::Ethernet | LinkType::RawIp => plain_ip_offset(frame),
        LinkType::Null | LinkType::Loop | LinkType::LinuxSll | LinkType::LinuxSll2 => {
            ip_offset(frame).ok()
        }
    };
    offset.and_then(|offset| decode_plain(frame, offset)).unwrap_or_else(|| decode_any(frame))
}

/// The segment of a frame of the plainest kind, which nearly all are: Ethernet or raw IP, then IPv4 or
/// IPv6 without more headers than these. `None` for all others, which [`decode`] takes apart; this alone
/// is worth being in its caller's registers.
#[inline(always)]
pub(crate) fn plain_segment<'a>(frame: &Frame<'a>) -> Option<Segment<'a>> {
    match decode_plain(frame, plain_ip_offset(frame)?)? {
        Decoded::Tcp(segment) => Some(segment),
        _ => None,
    }
}

/// Where the IP header begins behind an Ethernet header without tags, or none at all.
#[inline(always)]
fn plain_ip_offset(frame: &Frame<'_>) -> Option<usize> {
    match (frame.link, frame.bytes) {
        (
            LinkType::Ethernet,
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, ..]
            | [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ..],
        ) => Some(ETHERNET_LEN),
        (LinkType::RawIp, _) => Some(0),
        _ => None,
    }
}

/// Where the IP header begins behind another link header than Ethernet's.
fn ip_offset(frame: &Frame<'_>) -> Result<usize, Undecoded> {
    let network = network(frame).ok_or(Undecoded::Malformed)?;
    match network.ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Ok(network.offset),
        _ => Err(Undecoded::NotIp),
    }
}

/// Where a transport header lies, and where by the IP header's word the packet ends.
struct Located {
    transport: u8,
    source: [u8; 16],
    destination: [u8; 16],
    is_v4: bool,
    offset: usize,
    end: usize,
}

/// IPv4 without options and fragmentation, IPv6 without extension headers; `None` for the rest.
#[inline(always)]
fn decode_plain<'a>(frame: &Frame<'a>, ip_offset: usize) -> Option<Decoded<'a>> {
    let ip = frame.bytes.get(ip_offset..)?;
    match ip.first()? {
        0x45 => {
            let header = ip.first_chunk::<IPV4_LEN>()?;
            let &[_, _, l0, l1, _, _, f0, f1, _, transport, _, _, s @ .., d0, d1, d2, d3] = header;
            if (f0 & 0x3f) | f1 != 0 {
                return None;
            }
            let end = ip_end(frame, ip_offset, usize::from(u16::from_be_bytes([l0, l1])))?;
            let start = ip_offset.checked_add(IPV4_LEN)?;
            transport_at(frame, transport, start, end, |sport, dport| Addresses {
                source: Endpoint::v4(s, sport),
                destination: Endpoint::v4([d0, d1, d2, d3], dport),
            })
        }
        first if first >> 4 == 6 => {
            let (header, _) = ip.split_first_chunk::<IPV6_LEN>()?;
            let &[_, _, _, _, l0, l1, transport, _, ref addresses @ ..] = header;
            let payload_len = usize::from(u16::from_be_bytes([l0, l1]));
            if payload_len == 0 {
                return None;
            }
            let (source, destination) = addresses.split_first_chunk::<16>()?;
            let destination = destination.first_chunk::<16>()?;
            let start = ip_offset.checked_add(IPV6_LEN)?;
            let end = start.checked_add(payload_len)?;
            transport_at(frame, transport, start, end, |sport, dport| Addresses {
                source: Endpoint::v6(*source, sport),
                destination: Endpoint::v6(*destination, dport),
            })
        }
        _ => None,
    }
}

/// Where the IP packet ends in the frame. A total length of 0 is a packet beyond 64 KB (BIG TCP):
/// then the frame's own length says it.
fn ip_end(frame: &Frame<'_>, ip_offset: usize, total_len: usize) -> Option<usize> {
    if total_len == 0 {
        usize::try_from(frame.wire_len).ok()
    } else {
        ip_offset.checked_add(total_len)
    }
}

#[inline(always)]
fn transport_at<'a>(
    frame: &Frame<'a>,
    transport: u8,
    start: usize,
    end: usize,
    addresses: impl FnOnce(u16, u16) -> Addresses,
) -> Option<Decoded<'a>> {
    // A header that claims more than the frame has does not make the stream longer.
    let end = end.min(usize::try_from(frame.wire_len).unwrap_or(usize::MAX));
    let captured_end = end.min(frame.bytes.len());
    let bytes = frame.bytes.get(start..captured_end)?;
    match transport {
        TCP => {
            let parsed = tcp::parse(bytes)?;
            let wire_len = end.checked_sub(start)?.checked_sub(parsed.len)?;
            Some(Decoded::Tcp(Segment {
                addresses: addresses(parsed.source_port, parsed.destination_port),
                tcp: parsed.header,
                payload: Payload {
                    bytes: bytes.get(parsed.len..).unwrap_or(&[]),
                    wire_len: u32::try_from(wire_len).ok()?,
                },
            }))
        }
        UDP => {
            let (&[s0, s1, d0, d1, l0, l1, _, _], rest) = bytes.split_first_chunk::<UDP_LEN>()?;
            let announced = usize::from(u16::from_be_bytes([l0, l1]));
            let carried = end.checked_sub(start)?;
            // 0 is a UDP packet beyond 64 KB (a jumbogram, or one not yet segmented).
            let len = if announced == 0 { carried } else { announced.min(carried) };
            let wire_len = len.checked_sub(UDP_LEN)?;
            Some(Decoded::Udp(Datagram {
                addresses: addresses(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])),
                payload: Payload {
                    bytes: rest.get(..wire_len).unwrap_or(rest),
                    wire_len: u32::try_from(wire_len).ok()?,
                },
            }))
        }
        _ => None,
    }
}

/// Every other shape.
#[cold]
#[inline(never)]
fn decode_any<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    let sliced = match frame.link {
        LinkType::Ethernet => LaxSlicedPacket::from_ethernet(frame.bytes).ok(),
        LinkType::RawIp => LaxSlicedPacket::from_ip(frame.bytes).ok(),
        LinkType::Null | LinkType::Loop | LinkType::LinuxSll | LinkType::LinuxSll2 => {
            match ip_offset(frame) {
                Ok(offset) => {
                    frame.bytes.get(offset..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok())
                }
                Err(undecoded) => return Decoded::Other(undecoded),
            }
        }
    };
    let Some(sliced) = sliced else { return Decoded::Other(Undecoded::Malformed) };
    match locate(frame, &sliced) {
        Ok(located) => {
            let addresses = |sport, dport| {
                if located.is_v4 {
                    Addresses {
                        source: Endpoint::v4(low_four(located.source), sport),
                        destination: Endpoint::v4(low_four(located.destination), dport),
                    }
                } else {
                    Addresses {
                        source: Endpoint::v6(located.source, sport),
                        destination: Endpoint::v6(located.destination, dport),
                    }
                }
            };
            transport_at(frame, located.transport, located.offset, located.end, addresses)
                .unwrap_or(Decoded::Other(Undecoded::Malformed))
        }
        Err(undecoded) => Decoded::Other(undecoded),
    }
}

fn low_four(address: [u8; 16]) -> [u8; 4] {
    let [a, b, c, d, ..] = address;
    [a, b, c, d]
}

fn high_four(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn locate(frame: &Frame<'_>, sliced: &LaxSlicedPacket<'_>) -> Result<Located, Undecoded> {
    // A frame that ends inside its network headers must not be looked into any further: in
    // etherparse 0.21 walking over extension headers that are cut reads behind the slice.
    let is_cut = sliced.stop_err.as_ref().is_some_and(|(_, layer)| {
        !matches!(layer, Layer::TcpHeader | Layer::UdpHeader | Layer::UdpPayload)
    });
    if is_cut {
        return Err(Undecoded::Malformed);
    }
    let (payload, is_v4, source, destination, fragment_offset) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let (source, destination) = (header.source(), header.destination());
            let offset = header.fragments_offset().value();
            (ip.payload(), true, high_four(source), high_four(destination), offset)
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let offset = ip
                .extensions()
                .clone()
                .into_iter()
                .find_map(|extension| match extension {
                    etherparse::Ipv6ExtensionSlice::Fragment(fragment) => {
                        Some(fragment.fragment_offset().value())
                    }
                    _ => None,
                })
                .unwrap_or(0);
            (ip.payload(), false, header.source(), header.destination(), offset)
        }
        _ => return Err(Undecoded::NotIp),
    };
    if fragment_offset != 0 {
        return Err(Undecoded::Fragment);
    }
    let transport = match payload.ip_number {
        IpNumber::TCP => TCP,
        IpNumber::UDP => UDP,
        _ => return Err(Undecoded::OtherTransport),
    };
    let frame_start = frame.bytes.as_ptr().addr();
    let offset = payload
        .payload
        .as_ptr()
        .addr()
        .checked_sub(frame_start)
        .filter(|&offset| offset <= frame.bytes.len())
        .ok_or(Undecoded::Malformed)?;
    let end = announced_end(frame, sliced, frame_start).ok_or(Undecoded::Malformed)?;
    Ok(Located { transport, source, destination, is_v4, offset, end })
}

/// Where the IP packet ends in the frame, by its own header.
fn announced_end(
    frame: &Frame<'_>,
    sliced: &LaxSlicedPacket<'_>,
    frame_start: usize,
) -> Option<usize> {
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let start = ip.header().slice().as_ptr().addr().checked_sub(frame_start)?;
            ip_end(frame, start, usize::from(ip.header().total_len()))
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let start = ip.header().slice().as_ptr().addr().checked_sub(frame_start)?;
            match usize::from(ip.header().payload_length()) {
                0 => usize::try_from(frame.wire_len).ok(),
                len => start.checked_add(IPV6_LEN)?.checked_add(len),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
