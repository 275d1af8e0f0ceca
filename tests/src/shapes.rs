//! Packets of every shape that lines know, behind every link header.

#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

use tcpkit::capture::LinkType;

use crate::frames::{
    IPV4, IPV6, Ipv4Extra, QINQ, TCP, UDP, VLAN, authentication, ethernet, extension, fragment,
    ipv4, ipv6, tcp, udp, vlan,
};

/// The interface in headers of Linux's second cooked form: one that no machine has.
pub const SLL2_IFINDEX: u32 = 0x7fff_fff0;

/// A segment with these control bits.
fn flagged(flags: u8, reserved: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = tcp(40_000, 6400, &[], payload);
    segment[4..8].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
    segment[12] |= reserved;
    segment[13] = flags;
    segment[18..20].copy_from_slice(&77_u16.to_be_bytes());
    segment
}

/// A segment with these options, filled up with ends.
fn optioned(flags: u8, options: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    let mut segment = tcp(40_000, 6400, &options, b"abcd");
    segment[13] = flags;
    segment
}

/// Segments with every control bit and every option, right and wrong.
#[must_use]
pub fn segments() -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for flags in 0..=255 {
        segments.push(flagged(flags, (flags & 1) * 0xf, b""));
        segments.push(flagged(flags, 0, b"abcd"));
    }
    let timestamp: &[u8] = &[1, 1, 8, 10, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2];
    for option in [
        timestamp,
        &[2, 4, 5, 0xb4],
        &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7],
        &[1, 1, 5, 10, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        &[1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4],
        &[5, 2],
        &[5, 9, 0, 0, 0, 0, 0, 0, 0],
        &[6, 6, 0, 0, 0, 9],
        &[7, 6, 0, 0, 0, 9],
        &[11, 6, 1, 0, 0, 9],
        &[12, 6, 0, 0, 0, 9],
        &[13, 6, 0, 0, 0, 9],
        &[19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        &[20, 4, 0x0a, 3],
        &[28, 4, 0x80, 0x07],
        &[28, 4, 0x00, 0x08],
        &[29, 4, 1, 2],
        &[29, 8, 1, 2, 0xaa, 0xbb, 0xcc, 0xdd],
        &[29, 3, 1],
        &[29, 2],
        &[34, 2],
        &[34, 6, 1, 2, 3, 4],
        &[34, 5, 1, 2, 3],
        &[34, 4, 1, 2],
        &[254, 4, 0xf9, 0x89],
        &[254, 8, 0xf9, 0x89, 1, 2, 3, 4],
        &[254, 6, 0x12, 0x34, 1, 2],
        &[254, 3, 1],
        &[254, 2],
        &[99, 2],
        &[99, 5, 1, 2, 3],
        // Lengths that lie.
        &[99, 0],
        &[99, 1],
        &[99, 40],
        &[1, 99, 40],
        &[2, 3, 5],
        &[2, 6, 5, 0xb4, 1, 1],
        &[2, 2],
        &[3, 2],
        &[3, 4, 7, 9],
        &[4, 3, 1],
        &[8, 4, 1, 2],
        &[8, 12, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1],
        &[1, 1, 1, 8],
        &[1, 1, 1, 99],
        &[0, 1, 1, 1],
    ] {
        segments.push(optioned(0x18, option));
        segments.push(optioned(0x02, option));
    }
    // Multipath TCP, every subtype with every length.
    for subtype in 0..=9_u8 {
        for says in [0x00, 0x01, 0x81, 0x04, 0x05, 0x0f, 0x1d, 0x1f] {
            for len in 2..=30_u8 {
                let mut option = vec![30, len, subtype << 4 | says & 1, says];
                option.extend(0..30);
                option.truncate(usize::from(len));
                segments.push(optioned([0x02, 0x12, 0x10][usize::from(len) % 3], &option));
                segments.push(optioned(0x10, &option));
            }
        }
    }
    // Header lengths that lie.
    for words in 0..16 {
        let mut segment = tcp(40_000, 6400, &[], b"abcdefgh");
        segment[12] = words << 4;
        segments.push(segment);
    }
    segments
}

/// Datagrams with lengths right and wrong.
#[must_use]
pub fn datagrams() -> Vec<Vec<u8>> {
    let mut datagrams = vec![udp(40_000, 6400, b""), udp(40_000, 6400, b"abcd")];
    for len in [0_u16, 7, 8, 9, 500, 0xffff] {
        let mut datagram = udp(40_000, 6400, b"abcd");
        datagram[4..6].copy_from_slice(&len.to_be_bytes());
        datagrams.push(datagram);
    }
    datagrams
}

/// ICMP messages of every type, about a UDP datagram or a TCP segment.
fn messages(version: u8) -> Vec<Vec<u8>> {
    let about = |transport: u8| match version {
        4 => ipv4(transport, Ipv4Extra::default(), &udp(1, 40_000, b"abcd")),
        _ => ipv6(transport, &udp(1, 40_000, b"abcd")),
    };
    let types: Vec<u8> = match version {
        4 => (0..20).chain([200]).collect(),
        // Without RPL, renumbering and questions for names, of which tcpdump says more.
        _ => [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 141, 142, 143, 144]
            .into_iter()
            .chain([145, 146, 147, 200, 201])
            .collect(),
    };
    let mut messages = Vec::new();
    for kind in types {
        for code in 0..18 {
            let is_unknown = version == 6 && kind == 1 && code > 4;
            for transport in [TCP, UDP, 50] {
                if is_unknown || (version == 6 && transport == 50 && kind == 1 && code == 4) {
                    continue;
                }
                let mut message = vec![kind, code, 0, 0, 0, 2, 5, 0xdc];
                message.extend(about(transport));
                messages.push(message);
            }
        }
    }
    messages
}

fn arps() -> Vec<Vec<u8>> {
    let mut arps = Vec::new();
    for operation in [1, 2, 3, 4, 8, 9] {
        for target in [0, 9] {
            for (protocol, len) in [(0x0800_u16, 4), (0x86dd, 4), (0x0800, 3), (0x1234, 4)] {
                let mut arp = vec![0, 1];
                arp.extend(protocol.to_be_bytes());
                arp.extend([6, len, 0, operation, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1]);
                arp.extend([target, 0, 0, 0, 0, target, 10, 9, 0, 2, 0, 0]);
                arps.push(arp);
            }
        }
    }
    arps
}

/// IP packets of every shape, and what else has an EtherType.
#[must_use]
pub fn packets() -> Vec<(u16, Vec<u8>)> {
    let plain = Ipv4Extra::default();
    let mut packets = Vec::new();
    for (transport, bytes) in segments()
        .into_iter()
        .map(|it| (TCP, it))
        .chain(datagrams().into_iter().map(|it| (UDP, it)))
    {
        packets.push((IPV4, ipv4(transport, plain, &bytes)));
        packets.push((IPV6, ipv6(transport, &bytes)));
    }
    packets.extend(messages(4).iter().map(|it| (IPV4, ipv4(1, plain, it))));
    packets.extend(messages(6).iter().map(|it| (IPV6, ipv6(58, it))));
    packets.extend(arps().into_iter().map(|it| (0x0806, it)));
    packets.extend(shapes());
    packets
}

/// What can be around a segment or datagram in a packet.
fn shapes() -> Vec<(u16, Vec<u8>)> {
    let segment = optioned(0x18, &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    let datagram = udp(40_000, 6400, b"abcd");
    let mut packets = Vec::new();
    for (transport, bytes) in [(TCP, &segment), (UDP, &datagram)] {
        let mut v4 = |extra| packets.push((IPV4, ipv4(transport, extra, bytes)));
        v4(Ipv4Extra { options: &[1, 1, 1, 0], ..Ipv4Extra::default() });
        v4(Ipv4Extra { options: &[1; 40], ..Ipv4Extra::default() });
        for fragment in [0x2000, 0x2001, 0x0010, 0x4000, 0x8000] {
            v4(Ipv4Extra { fragment, ..Ipv4Extra::default() });
        }
        for total_len in [19, 20, 21, 27, 28, 40, 41, 500] {
            v4(Ipv4Extra { total_len: Some(total_len), ..Ipv4Extra::default() });
        }
        let mut v6 = |next, payload: &[u8]| packets.push((IPV6, ipv6(next, payload)));
        v6(0, &hop_by_hop(transport, bytes));
        v6(60, &extension(transport, 1, bytes));
        v6(60, &extension(60, 2, &extension(transport, 3, bytes)));
        v6(0, &hop_by_hop(60, &extension(transport, 2, bytes)));
        v6(43, &extension(transport, 3, bytes));
        v6(43, &extension(transport, 2, bytes));
        let mut segment_routing = extension(transport, 5, bytes);
        segment_routing[2] = 4;
        segment_routing[5] = 0x80;
        v6(43, &segment_routing);
        segment_routing[2] = 9;
        v6(43, &segment_routing);
        v6(44, &fragment(transport, 0, true, bytes));
        v6(44, &fragment(transport, 10, false, bytes));
        v6(51, &authentication(transport, 6, bytes));
        v6(59, bytes);
        v6(0, &hop_by_hop(0, bytes));
        v6(60, &extension(0, 1, bytes));
        for len in [0_u16, 1, 500] {
            let mut packet = ipv6(transport, bytes);
            packet[4..6].copy_from_slice(&len.to_be_bytes());
            packets.push((IPV6, packet));
        }
        let inner = ipv4(transport, Ipv4Extra::default(), bytes);
        packets.push((IPV4, ipv4(4, Ipv4Extra::default(), &inner)));
        packets.push((IPV6, ipv6(4, &inner)));
        packets.push((IPV4, ipv4(41, Ipv4Extra::default(), &ipv6(transport, bytes))));
        packets.push((IPV4, ipv4(51, Ipv4Extra::default(), &authentication(transport, 6, bytes))));
        // The wrong version for its EtherType.
        packets.push((IPV6, inner));
        packets.push((IPV4, ipv6(transport, bytes)));
    }
    for protocol in [50, 59, 200, 253] {
        packets.push((IPV4, ipv4(protocol, Ipv4Extra::default(), &segment)));
        packets.push((IPV6, ipv6(protocol, &segment)));
    }
    for version_and_len in [0x05, 0x44, 0x40, 0x4f, 0x55, 0xf5] {
        let mut packet = ipv4(TCP, Ipv4Extra::default(), &segment);
        packet[0] = version_and_len;
        packets.push((IPV4, packet));
    }
    for address in [
        [0_u8; 16],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1],
        [0xfe, 0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut packet = ipv6(TCP, &segment);
        packet[8..24].copy_from_slice(&address);
        packets.push((IPV6, packet));
    }
    packets
}

/// A header of hop-by-hop options that holds padding.
fn hop_by_hop(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = extension(next, 1, payload);
    header[2..8].copy_from_slice(&[1, 4, 0, 0, 0, 0]);
    header
}

/// A packet behind a link header.
#[must_use]
pub fn behind(link: LinkType, ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let family: u32 = if ethertype == IPV6 { 30 } else { 2 };
    let header = match link {
        LinkType::Ethernet => return ethernet(ethertype, packet),
        LinkType::RawIp => Vec::new(),
        LinkType::Null => family.to_le_bytes().to_vec(),
        LinkType::Loop => family.to_be_bytes().to_vec(),
        LinkType::LinuxSll => {
            let mut header = vec![0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
            header.extend(ethertype.to_be_bytes());
            header
        }
        LinkType::LinuxSll2 => {
            let mut header = ethertype.to_be_bytes().to_vec();
            header.extend([0, 0]);
            header.extend(SLL2_IFINDEX.to_be_bytes());
            header.extend([0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
            header
        }
    };
    [header, packet.to_vec()].concat()
}

/// Whether a link header can announce this.
#[must_use]
pub fn carries(link: LinkType, ethertype: u16) -> bool {
    let is_ip = matches!(ethertype, IPV4 | IPV6);
    is_ip || !matches!(link, LinkType::RawIp | LinkType::Null | LinkType::Loop)
}

/// Frames with tags, as they are on the wire.
#[must_use]
pub fn tagged() -> Vec<Vec<u8>> {
    let segment = ipv4(TCP, Ipv4Extra::default(), &tcp(40_000, 6400, &[], b"abcd"));
    let datagram = ipv6(UDP, &udp(40_000, 6400, b"abcd"));
    let mut frames = Vec::new();
    for (ethertype, packet) in [(IPV4, &segment), (IPV6, &datagram), (0x88b5, &segment)] {
        for tci in [5, 0x1005, 0xe005, 0xffff] {
            let inner = vlan(tci, ethertype, packet);
            frames.push(ethernet(VLAN, &inner));
            frames.push(ethernet(QINQ, &vlan(7, VLAN, &inner)));
            frames.push(ethernet(0x9100, &vlan(7, 0x9200, &inner)));
        }
    }
    frames
}
