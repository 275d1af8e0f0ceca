//! Frames of every shape, whole and cut anywhere, in both the fast and the general way.

#![expect(clippy::arithmetic_side_effects, reason = "a test may overflow: then it fails")]

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, TcpHeader as RawTcp,
};
use proptest::prelude::*;

use super::*;
use crate::capture::HookDirection;

const PAYLOAD: &[u8] = b"*1\r\n$4\r\nPING\r\n";

const LINKS: &[LinkType] = &[
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
];

fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time_ns: 0,
        ifindex: 0,
        direction: HookDirection::Unknown,
        link,
        vlan: None,
        wire_len: u32::try_from(bytes.len()).expect("short"),
        bytes,
    }
}

fn segment<'a>(frame: &Frame<'a>) -> Segment<'a> {
    match decode(frame) {
        Decoded::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

/// A TCP header with options and the payload.
fn tcp() -> Vec<u8> {
    let mut header = RawTcp::new(40_000, 6379, 7, 1_000);
    header.ack = true;
    header.acknowledgment_number = 9;
    header.set_options_raw(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).expect("fits");
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(PAYLOAD);
    bytes
}

fn ipv4(options: &[u8], fragment: u16, more: bool) -> Vec<u8> {
    let body = tcp();
    let mut header = Ipv4Header::new(
        u16::try_from(body.len()).expect("short"),
        64,
        IpNumber::TCP,
        [10, 0, 0, 1],
        [10, 0, 0, 2],
    )
    .expect("short");
    header.options = Ipv4Options::try_from(options).expect("a multiple of 4");
    header.total_len = u16::try_from(header.header_len() + body.len()).expect("short");
    header.fragment_offset = IpFragOffset::try_new(fragment).expect("small");
    header.more_fragments = more;
    let mut bytes = Vec::new();
    header.write(&mut bytes).expect("memory takes it");
    bytes.extend(body);
    bytes
}

fn ipv6(extensions: &Ipv6Extensions) -> Vec<u8> {
    let mut extensions = extensions.clone();
    let first = extensions.set_next_headers(IpNumber::TCP);
    let mut rest = Vec::new();
    extensions.write(&mut rest, first).expect("memory takes it");
    rest.extend(tcp());
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(rest.len()).expect("short"),
        next_header: first,
        hop_limit: 64,
        source: [0xfd; 16],
        destination: [0xfe; 16],
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(rest);
    bytes
}

fn ethernet(tags: &[u16], ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    for tag in tags {
        bytes.extend_from_slice(&tag.to_be_bytes());
        bytes.extend_from_slice(&[0, 42]);
    }
    bytes.extend_from_slice(&ethertype.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn extensions() -> Ipv6Extensions {
    let raw = || Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[0; 6]).expect("fits");
    Ipv6Extensions {
        hop_by_hop_options: Some(raw()),
        destination_options: Some(raw()),
        ..Ipv6Extensions::default()
    }
}

fn fragment(offset: u16) -> Ipv6Extensions {
    Ipv6Extensions {
        fragment: Some(Ipv6FragmentHeader::new(
            IpNumber::TCP,
            IpFragOffset::try_new(offset).expect("small"),
            true,
            1,
        )),
        ..Ipv6Extensions::default()
    }
}

/// Every shape that carries the test's segment.
fn shapes() -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let plain4 = ipv4(&[], 0, false);
    let plain6 = ipv6(&Ipv6Extensions::default());
    let behind = |header: &[u8], body: &[u8]| [header, body].concat();
    let sll = |rest: &[u8], body: &[u8]| behind(&[&[0; 14], rest].concat(), body);
    let sll2 = |ethertype: [u8; 2], rest: &[u8], body: &[u8]| {
        behind(&[&ethertype, &[0; 18][..], rest].concat(), body)
    };
    let options4 = ipv4(&[1, 1, 1, 0], 0, false);
    let ethernet4 = |tags: &[u16], body: &[u8]| ethernet(tags, 0x0800, body);
    vec![
        ("IPv4", LinkType::Ethernet, ethernet4(&[], &plain4)),
        ("IPv4 with options", LinkType::Ethernet, ethernet4(&[], &ipv4(&[1, 1, 1, 0], 0, false))),
        ("first fragment", LinkType::Ethernet, ethernet4(&[], &ipv4(&[], 0, true))),
        ("VLAN", LinkType::Ethernet, ethernet4(&[0x8100], &plain4)),
        ("QinQ", LinkType::Ethernet, ethernet4(&[0x88a8, 0x8100], &plain4)),
        ("IPv6", LinkType::Ethernet, ethernet(&[], 0x86dd, &plain6)),
        ("VLAN and IPv6", LinkType::Ethernet, ethernet(&[0x8100], 0x86dd, &plain6)),
        ("IPv6 extensions", LinkType::Ethernet, ethernet(&[], 0x86dd, &ipv6(&extensions()))),
        ("first IPv6 fragment", LinkType::Ethernet, ethernet(&[], 0x86dd, &ipv6(&fragment(0)))),
        ("raw IPv4", LinkType::RawIp, plain4.clone()),
        ("raw IPv6", LinkType::RawIp, plain6.clone()),
        ("raw IPv6 extensions", LinkType::RawIp, ipv6(&extensions())),
        ("null IPv4", LinkType::Null, behind(&[2, 0, 0, 0], &plain4)),
        ("null IPv6", LinkType::Null, behind(&[0, 0, 0, 30], &plain6)),
        ("null IPv6 extensions", LinkType::Null, behind(&[24, 0, 0, 0], &ipv6(&extensions()))),
        ("loop IPv4 with options", LinkType::Loop, behind(&[0, 0, 0, 2], &options4)),
        ("SLL IPv4", LinkType::LinuxSll, sll(&[8, 0], &plain4)),
        ("SLL VLAN and IPv6", LinkType::LinuxSll, sll(&[0x81, 0, 0, 5, 0x86, 0xdd], &plain6)),
        ("SLL2 IPv4 with options", LinkType::LinuxSll2, sll2([8, 0], &[], &options4)),
        ("SLL2 IPv6", LinkType::LinuxSll2, sll2([0x86, 0xdd], &[], &plain6)),
        ("SLL2 VLAN", LinkType::LinuxSll2, sll2([0x81, 0], &[0, 5, 8, 0], &plain4)),
    ]
}

#[test]
fn every_shape_gives_the_same_segment() {
    for (name, link, mut bytes) in shapes() {
        // Ethernet pads short frames: that is no payload.
        bytes.extend_from_slice(&[0; 9]);
        let segment = segment(&frame(link, &bytes));
        assert_eq!(segment.payload, Payload { bytes: PAYLOAD, wire_len: 14 }, "{name}");
        assert_eq!((segment.tcp.seq, segment.tcp.ack, segment.tcp.window), (7, 9, 1_000), "{name}");
        assert_eq!(segment.tcp.flags, crate::packet::TcpFlags::ACK, "{name}");
        let ports = (segment.addresses.source.port(), segment.addresses.destination.port());
        assert_eq!(ports, (40_000, 6379), "{name}");
        let expect = if name.contains("IPv6") { "[fdfd:" } else { "10.0.0.1:" };
        assert!(segment.addresses.source.to_string().starts_with(expect), "{name}");
    }
}

#[test]
fn a_cut_frame_still_says_how_much_it_carried() {
    for (name, link, bytes) in shapes() {
        for captured in 0..bytes.len() {
            let whole = frame(link, &bytes);
            let cut = Frame { bytes: &bytes[..captured], ..whole };
            let options = PAYLOAD.len() + 12;
            let header_ends = bytes.len() - options;
            match decode(&cut) {
                Decoded::Tcp(segment) => {
                    assert!(captured >= header_ends, "{name} at {captured}");
                    let seen = captured.saturating_sub(bytes.len() - PAYLOAD.len());
                    assert_eq!(segment.payload.wire_len, 14, "{name} at {captured}");
                    assert_eq!(segment.payload.bytes, &PAYLOAD[..seen], "{name} at {captured}");
                }
                Decoded::Other(Undecoded::Malformed) => {
                    assert!(captured < header_ends, "{name} at {captured}");
                }
                other => panic!("{name} at {captured}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_carries_no_segment_is_named() {
    let check = |bytes: &[u8], expect| {
        assert_eq!(decode(&frame(LinkType::Ethernet, bytes)), Decoded::Other(expect));
    };
    check(&ethernet(&[], 0x0806, &[0; 28]), Undecoded::NotIp);
    check(&ethernet(&[], 0x0800, &ipv4(&[], 3, true)), Undecoded::Fragment);
    check(&ethernet(&[], 0x86dd, &ipv6(&fragment(3))), Undecoded::Fragment);
    let mut icmp = ipv4(&[], 0, false);
    icmp[9] = 1;
    check(&ethernet(&[], 0x0800, &icmp), Undecoded::OtherTransport);
    let mut short = ipv4(&[], 0, false);
    short[2..4].copy_from_slice(&30_u16.to_be_bytes());
    check(&ethernet(&[], 0x0800, &short), Undecoded::Malformed);
    check(&[], Undecoded::Malformed);
    let check = |link, bytes: &[u8], expect| {
        assert_eq!(decode(&frame(link, bytes)), Decoded::Other(expect), "{link:?}");
    };
    check(LinkType::Null, &[7, 0, 0, 0, 0x45], Undecoded::NotIp);
    check(LinkType::LinuxSll, &[0; 15], Undecoded::Malformed);
    check(LinkType::LinuxSll2, &[8; 30], Undecoded::NotIp);
}

#[test]
fn a_datagram_is_as_long_as_its_header_says() {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1_000, 53);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"query").expect("short");
    bytes.extend_from_slice(&[0; 20]);
    let Decoded::Udp(datagram) = decode(&frame(LinkType::Ethernet, &bytes)) else {
        panic!("a datagram");
    };
    assert_eq!(datagram.payload, Payload { bytes: b"query", wire_len: 5 });
}

#[test]
fn packets_beyond_64_kilobytes_are_as_long_as_their_frame() {
    // BIG TCP: the kernel hands over IPv4 packets whose total length is 0.
    let mut big = ipv4(&[], 0, false);
    big[2..4].copy_from_slice(&[0, 0]);
    let bytes = ethernet(&[], 0x0800, &big);
    let whole = Frame { wire_len: 150_000, ..frame(LinkType::Ethernet, &bytes) };
    let headers = u32::try_from(bytes.len() - PAYLOAD.len()).expect("short");
    assert_eq!(segment(&whole).payload.wire_len, 150_000 - headers);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        link in prop::sample::select(LINKS),
    ) {
        if let Decoded::Tcp(segment) = decode(&frame(link, &bytes)) {
            prop_assert!(segment.payload.bytes.len() <= segment.payload.wire_len as usize);
        }
    }

    #[test]
    fn no_flipped_bits_do_harm(
        shape in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        len in any::<prop::sample::Index>(),
    ) {
        let mut shapes = shapes();
        let (_, link, mut bytes) = shapes.swap_remove(shape.index(shapes.len()));
        let at = at.index(bytes.len());
        bytes[at] = value;
        let len = len.index(bytes.len() + 1);
        match decode(&frame(link, &bytes[..len])) {
            Decoded::Tcp(Segment { payload, .. }) | Decoded::Udp(Datagram { payload, .. }) => {
                prop_assert!(payload.bytes.len() <= payload.wire_len as usize);
            }
            Decoded::Other(_) => {}
        }
    }
}
