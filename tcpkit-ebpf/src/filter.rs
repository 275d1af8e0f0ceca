//! The user's filter: whether a packet is wanted.
//!
//! Its only inputs are the packet and where its headers are, so that a compiled expression can take
//! its place.

use tcpkit_common::{MAX_PORT_RANGES, PORT_FILTER_OFF, TRANSPORT_TCP, TRANSPORT_UDP};

use crate::{
    frame::{IPPROTO_TCP, IPPROTO_UDP, Packet, Parsed},
    maps,
};

/// What the filter says.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// The packet is wanted.
    Pass,
    /// The packet is not wanted.
    Refuse,
    /// The headers that the filter asks for are cut or broken.
    Unparsed,
}

/// Judges a packet as early as its headers allow.
#[inline(always)]
pub(crate) fn judge(packet: &Packet, parsed: &Parsed) -> Verdict {
    let transports = maps::transports();
    if transports == 0 {
        return Verdict::Pass;
    }
    let headers = match parsed {
        Parsed::Ip(headers) => headers,
        Parsed::NotIp => return Verdict::Refuse,
        Parsed::Malformed => return Verdict::Unparsed,
    };
    let transport = match headers.protocol {
        IPPROTO_TCP => TRANSPORT_TCP,
        IPPROTO_UDP => TRANSPORT_UDP,
        _ => 0,
    };
    if transports & transport == 0 {
        return Verdict::Refuse;
    }
    let ranges = maps::port_ranges_len();
    if ranges == PORT_FILTER_OFF as usize {
        return Verdict::Pass;
    }
    if headers.later_fragment {
        return Verdict::Refuse;
    }
    let Some((source, destination)) = packet.ports(headers) else { return Verdict::Unparsed };
    for index in 0..MAX_PORT_RANGES {
        if index >= ranges {
            break;
        }
        let Some(range) = maps::port_range(index) else { break };
        if (range.first <= source && source <= range.last)
            || (range.first <= destination && destination <= range.last)
        {
            return Verdict::Pass;
        }
    }
    Verdict::Refuse
}
