//! The interpreter and libpcap's own say the same of frames of every link type, whole and cut.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use pcap::Capture;
use proptest::prelude::*;

use super::*;
use crate::{
    capture::VlanTag,
    pcapfile::samples::{Order, pcap, pcap_packet},
};

/// A link type, the files' number for it, and a header of it in front of an EtherType's packet.
type Link = (LinkType, u32, fn(u16) -> Vec<u8>);

const LINKS: [Link; 6] = [
    (LinkType::Ethernet, 1, |ethertype| {
        [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes()].concat()
    }),
    (LinkType::RawIp, 101, |_| Vec::new()),
    (LinkType::Null, 0, |ethertype| family_of(ethertype).to_ne_bytes().to_vec()),
    (LinkType::Loop, 108, |ethertype| family_of(ethertype).to_be_bytes().to_vec()),
    (LinkType::LinuxSll, 113, |ethertype| {
        [&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &ethertype.to_be_bytes()[..]].concat()
    }),
    (LinkType::LinuxSll2, 276, |ethertype| {
        let rest = [0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        [&ethertype.to_be_bytes()[..], &rest].concat()
    }),
];

fn family_of(ethertype: u16) -> u32 {
    match ethertype {
        0x0800 => 2,
        // With Linux's own number libpcap does not select packets of files.
        0x86dd => 30,
        other => other.into(),
    }
}

fn ipv4(protocol: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = u16::try_from(header_len + payload.len()).unwrap();
    let mut packet = vec![0x40 | u8::try_from(header_len / 4).unwrap(), 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    packet.extend(options);
    packet.extend(payload);
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(payload);
    packet
}

fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 2, 0, 0, 0, 0, 0]);
    segment.extend(b"*1\r\n$4\r\nPING\r\n");
    segment
}

fn udp() -> Vec<u8> {
    [&[0x9c, 0x40, 0, 53, 0, 13, 0, 0][..], b"query"].concat()
}

/// Packets with their EtherTypes.
fn packets() -> Vec<(u16, Vec<u8>)> {
    let hop_by_hop = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(6379, 40_000, 0x18)].concat();
    let tagged =
        |ethertype: u16, packet: &[u8]| [&[0, 5], &ethertype.to_be_bytes()[..], packet].concat();
    let plain = ipv4(6, &[], 0, &tcp(40_000, 6379, 0x02));
    vec![
        (0x0800, plain.clone()),
        (0x0800, ipv4(6, &[1, 1, 1, 0], 0, &tcp(6379, 40_000, 0x11))),
        (0x0800, ipv4(17, &[], 0, &udp())),
        (0x0800, ipv4(17, &[], 0x2003, &udp())),
        (0x0800, ipv4(6, &[], 0x2000, &tcp(80, 443, 0x10))),
        (0x0800, ipv4(1, &[], 0, &[8, 0, 0, 0, 0, 0, 0, 0])),
        (0x86dd, ipv6(6, &tcp(40_000, 6379, 0x18))),
        (0x86dd, ipv6(17, &udp())),
        (0x86dd, ipv6(0, &hop_by_hop)),
        (0x86dd, ipv6(58, &[128, 0, 0, 0])),
        (0x0806, vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1, 0, 0]),
        (0x8100, tagged(0x0800, &plain)),
        (0x88a8, tagged(0x8100, &tagged(0x86dd, &ipv6(6, &tcp(1, 2, 0))))),
        (0x88cc, vec![2, 7, 4]),
        (38, vec![0x42, 0x42, 3, 0, 0]),
    ]
}

const EXPRESSIONS: &[&str] = &[
    "",
    "tcp",
    "udp",
    "ip",
    "ip6",
    "arp",
    "icmp or icmp6",
    "not ip",
    "port 6379",
    "tcp port 6379",
    "tcp src port 6379",
    "not tcp port 6379",
    "tcp port 6379 or udp port 53",
    "portrange 6370-6389",
    "host 10.9.0.1",
    "src host 10.9.0.2",
    "host fd09::2",
    "net 10.9.0.0/16 and not port 53",
    "net fd09::/64",
    "ip proto 17",
    "ip6 proto 0",
    "vlan",
    "vlan 5",
    "not vlan",
    "vlan 5 and tcp port 6379",
    "vlan and vlan and ip6",
    "tcp port 6379 or vlan",
    "ether host 02:00:00:00:00:01",
    "ether broadcast",
    "ether proto 0x88cc",
    "ether[0] & 1 = 1",
    "link[0:4] != 0",
    "less 60",
    "greater 61",
    "len > 70",
    "len - 40 > 10 and len < 1000",
    "len = 0xffffffff or len / 4 * 4 = len",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[13] = 0x18",
    "tcp[4:4] = 1 and tcp[8:4] = 2",
    "ip[6:2] & 0x1fff = 3",
    "ip[0] & 0xf != 5",
    "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) != 0",
    "ip[ip[0] & 0xf] = 6 or ip[len - 30] = 42",
    "ip6[6] = 6",
    "ip6[40] = 6",
    "udp[4:2] = 13",
    "ip[8] / (ip[9] - 17) > 2",
    "ip[8] % (ip[9] - 6) = 4",
    "ip[8] ^ 0xff | ip[9] = 0xbf",
    "1 << ip[9] = 64",
    "0x80000000 >> ip[8] = 0 and ip",
    "ip[4:4] * 0x10001 > 0x7fffffff",
    "-ip[9] = 0xfffffffa",
    "ip[5000] = 0",
    "ip[0x7ffffff0:4] = 0",
    "icmp[icmptype] = icmp-echo",
    "ip multicast or ether multicast",
    "ip host 10.9.0.1 and (tcp or udp) and not dst port 53",
    "inbound",
    "outbound",
    "ifindex 3",
    "mpls",
    "pppoes",
    "llc",
    "iso",
];

/// Captured bytes and the length on the wire, for every packet, whole and cut in many places.
fn frames(header: fn(u16) -> Vec<u8>) -> Vec<(Vec<u8>, u32)> {
    let mut frames = Vec::new();
    for (ethertype, packet) in packets() {
        let whole = [header(ethertype), packet].concat();
        let wire_len = u32::try_from(whole.len()).unwrap();
        for captured in (0..whole.len()).step_by(3) {
            frames.push((whole[..captured].to_vec(), wire_len));
        }
        frames.push((whole.clone(), wire_len));
        frames.push((whole, 1_500));
    }
    frames
}

/// A file that is nowhere but in memory, and its path.
fn file(content: &[u8]) -> (OwnedFd, String) {
    let file = memfd_create(c"frames", MFdFlags::MFD_CLOEXEC).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::from(file.try_clone().unwrap()).write_all(content).unwrap();
    (file, path)
}

fn frame<'a>(link: LinkType, bytes: &'a [u8], wire_len: u32) -> Frame<'a> {
    Frame {
        time_ns: 0,
        ifindex: 0,
        direction: HookDirection::Unknown,
        link,
        vlan: None::<VlanTag>,
        wire_len,
        bytes,
    }
}

fn filter(expression: &str) -> CaptureFilter {
    CaptureFilter::parse(&[expression.to_owned()]).unwrap()
}

/// What libpcap selects when it reads the file: the frames' numbers, which are their times.
fn libpcap(path: &str, expression: &str) -> Result<Vec<i64>, pcap::Error> {
    let mut capture = Capture::from_file(path)?;
    capture.filter(expression, true)?;
    let mut selected = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        selected.push(packet.header.ts.tv_sec);
    }
    Ok(selected)
}

#[test]
fn verdicts_are_those_of_libpcap() {
    let mut verdicts = [0_u32; 2];
    let mut compared = 0;
    for (link, number, header) in LINKS {
        let frames = frames(header);
        let mut content = pcap(Order::Little, false, number);
        for (at, (bytes, wire_len)) in (0..).zip(&frames) {
            content.extend(pcap_packet(Order::Little, (at, 0), *wire_len, bytes));
        }
        let (_file, path) = file(&content);
        for &expression in EXPRESSIONS {
            // What needs to know the direction or the interface, libpcap refuses for files of most
            // link types at once.
            let Ok(expect) = libpcap(&path, expression) else {
                let beside = ["inbound", "outbound"].contains(&expression);
                let ours = CaptureFilter::parse(&[expression.to_owned()])
                    .and_then(|filter| filter.for_link(link));
                assert!(beside || ours.is_err(), "{link:?}: {expression}");
                continue;
            };
            compared += 1;
            let program = filter(expression).for_link(link).unwrap();
            let mut ours = Vec::new();
            for (at, (bytes, wire_len)) in (0..).zip(&frames) {
                let selects = program.selects(&frame(link, bytes, *wire_len));
                verdicts[usize::from(selects)] += 1;
                if selects {
                    ours.push(at);
                }
            }
            assert_eq!(ours, expect, "{link:?}: {expression}");
        }
    }
    assert!(verdicts.iter().all(|&times| times > 10_000), "{verdicts:?}");
    assert!(compared >= 300, "{compared} programs");
}

#[test]
fn the_direction_comes_from_the_frame() {
    let check = |expression: &str, direction, expect| {
        let program = filter(expression).for_link(LinkType::Ethernet).unwrap();
        let bytes = [0; 60];
        let frame = Frame { direction, ifindex: 3, ..frame(LinkType::Ethernet, &bytes, 60) };
        assert_eq!(program.judge(&frame), expect, "{expression}");
    };
    let (ingress, egress) = (HookDirection::Ingress, HookDirection::Egress);
    check("inbound", ingress, Verdict::Selected);
    check("inbound", egress, Verdict::Refused);
    check("outbound", ingress, Verdict::Refused);
    check("outbound", egress, Verdict::Selected);
    check("outbound", HookDirection::Unknown, Verdict::NoDirection);
    check("tcp and outbound", HookDirection::Unknown, Verdict::Refused);
    // Which index the capturing host had for it no file of Ethernet frames tells.
    let error = filter("ifindex 3").for_link(LinkType::Ethernet).unwrap_err();
    assert!(matches!(error, FilterError::Ancillary { number: 8 }), "{error}");
    assert!(filter("ifindex 3").for_link(LinkType::LinuxSll2).is_ok());
}

#[test]
fn address_families_match_in_both_orders() {
    let packets = [ipv4(6, &[], 0, &tcp(40_000, 6379, 2)), ipv6(6, &tcp(40_000, 6379, 2))];
    let check = |link, family: [u8; 4], expect: [bool; 2]| {
        let program = filter("tcp port 6379").for_link(link).unwrap();
        let selects = packets.each_ref().map(|packet| {
            let bytes = [&family[..], packet].concat();
            program.selects(&frame(link, &bytes, 999))
        });
        assert_eq!(selects, expect, "{link:?} {family:?}");
    };
    for (family, expect) in [
        (2_u32, [true, false]),
        (10, [false, true]),
        (24, [false, true]),
        (28, [false, true]),
        (30, [false, true]),
        (3, [false, false]),
    ] {
        check(LinkType::Null, family.to_le_bytes(), expect);
        check(LinkType::Null, family.to_be_bytes(), expect);
        check(LinkType::Loop, family.to_be_bytes(), expect);
        check(LinkType::Loop, family.to_le_bytes(), [false, false]);
    }
}

#[test]
fn what_no_file_tells_is_refused() {
    let load = |k| {
        let program = [Classic { code: 0x20, jt: 0, jf: 0, k }, Classic::ret(1)];
        FileProgram::new(&program, LinkType::Ethernet)
    };
    assert!(load(ANCILLARY + 4).is_ok());
    assert_eq!(load(ANCILLARY + 20).unwrap_err(), FilterError::Ancillary { number: 20 });
}

proptest! {
    #[test]
    fn no_frame_does_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        wire_len: u32,
        expression in prop::sample::select(EXPRESSIONS),
        link in 0_usize..6,
    ) {
        let (link, _, _) = LINKS[link];
        if let Ok(program) = CaptureFilter::parse(&[expression.to_owned()])
            .and_then(|filter| filter.for_link(link))
        {
            let frame = frame(link, &bytes, wire_len);
            let is_selected = program.judge(&frame) == Verdict::Selected;
            prop_assert_eq!(program.selects(&frame), is_selected);
        }
    }
}
