//! The eBPF programs on hand-made frames: what they select, copy and count.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use aya::programs::TestRunOptions;
use tcpkit::capture::{LinkType, monotonic_ns};
use tcpkit_common::{
    Counters, DIRECTION_EGRESS, DIRECTION_INGRESS, LINK_ETHERNET, LINK_RAW_IP, RecordHeader,
    counter_slot,
};
use tcpkit_tests::{
    frames::{
        IPV4, IPV6, Ipv4Extra, QINQ, TCP, UDP, VLAN, authentication, ethernet, extension, fragment,
        ipv4, ipv6, tcp, udp, vlan,
    },
    loaded::{
        Entry::{self, Egress, Ingress, Xdp},
        Kernel, at_tc, check_sums,
    },
};

const HEADER: usize = size_of::<RecordHeader>();

/// What a filter makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Captured,
    Refused,
}
use Fate::{Captured, Refused};

/// Runs one frame; what is captured must be what TC sees of it.
fn fate(kernel: &mut Kernel, link: LinkType, at: Entry, frame: &[u8]) -> Fate {
    let before = kernel.counters();
    let records = kernel.run(link, at, frame);
    let after = kernel.counters();
    assert_eq!(after.seen, before.seen + 1);
    assert_eq!(after.captured - before.captured, records.len() as u64);
    let expect = match (link, at) {
        (LinkType::Ethernet, Xdp) => at_tc(frame),
        _ => (frame.to_vec(), (0, 0)),
    };
    for record in records {
        assert_eq!(record.wire_len, expect.0.len());
        assert_eq!((record.bytes, record.vlan), expect);
    }
    if after.captured > before.captured { Captured } else { Refused }
}

const FILTERS: [&str; 6] =
    ["", "tcp", "udp", "port 6379", "tcp port 80 or tcp port 6379", "udp portrange 6370-6380"];

/// Whether each of [`FILTERS`] selects a packet.
type Wanted = [bool; FILTERS.len()];

const TCP_PORTS: Wanted = [true, true, false, true, true, false];
const TCP_OTHER_PORTS: Wanted = [true, true, false, false, false, false];
const UDP_PORTS: Wanted = [true, false, true, true, false, true];
const NEITHER: Wanted = [true, false, false, false, false, false];

/// As many bytes of options as fit a header; each is a "no operation".
const OPTIONS: &[u8] = &[1; 40];

/// One kernel for each of [`FILTERS`].
fn kernels() -> Vec<Kernel> {
    FILTERS.iter().map(|filter| Kernel::new(filter, u32::MAX)).collect()
}

/// What the filters make of one IP packet, behind every link header, at TC and XDP. Behind VLAN tags
/// an expression without `vlan` finds no IP; at XDP the outer tag does not count, as it does not at
/// TC on real devices.
#[track_caller]
fn check(kernels: &mut [Kernel], ethertype: u16, packet: &[u8], expect: Wanted) {
    let tagged = vlan(5, ethertype, packet);
    let header_len = if ethertype == IPV4 { 20 } else { 40 };
    for (name, link, frame) in [
        ("Ethernet", LinkType::Ethernet, ethernet(ethertype, packet)),
        ("VLAN", LinkType::Ethernet, ethernet(VLAN, &tagged)),
        ("QinQ", LinkType::Ethernet, ethernet(QINQ, &vlan(9, VLAN, &tagged))),
        ("raw IP", LinkType::RawIp, packet.to_vec()),
    ] {
        for at in [Ingress, Xdp] {
            // Such frames exist, but test runs refuse them.
            if name == "Ethernet" && at == Ingress && packet.len() < header_len {
                continue;
            }
            let shown = if at == Xdp && name != "raw IP" { at_tc(&frame).0 } else { frame.clone() };
            let has_tag = [VLAN, QINQ].iter().any(|kind| shown[12..14] == kind.to_be_bytes());
            for ((kernel, filter), expect) in kernels.iter_mut().zip(FILTERS).zip(expect) {
                let wanted = if has_tag { filter.is_empty() } else { expect };
                let expect = if wanted { Captured } else { Refused };
                let fate = fate(kernel, link, at, &frame);
                assert_eq!(fate, expect, "{name} at {at:?}, {filter:?}: {frame:02x?}");
            }
        }
    }
}

#[test]
fn ports_of_ipv4_packets() {
    let kernels = &mut kernels();
    let plain = Ipv4Extra::default();
    let with_options = Ipv4Extra { options: OPTIONS, ..plain };
    for extra in [plain, with_options] {
        check(kernels, IPV4, &ipv4(TCP, extra, &tcp(6379, 40_000, &[], b"+OK\r\n")), TCP_PORTS);
        check(kernels, IPV4, &ipv4(TCP, extra, &tcp(40_000, 6379, OPTIONS, b"GET")), TCP_PORTS);
        check(kernels, IPV4, &ipv4(TCP, extra, &tcp(6381, 6378, &[], b"")), TCP_OTHER_PORTS);
        check(kernels, IPV4, &ipv4(UDP, extra, &udp(6379, 6, b"x")), UDP_PORTS);
        check(kernels, IPV4, &ipv4(1, extra, &udp(6379, 6379, b"ping")), NEITHER);
    }
}

#[test]
fn the_length_in_the_ipv4_header_does_not_matter() {
    // 0 is how packets larger than 64 KB say it.
    let kernels = &mut kernels();
    for total_len in [0, 20, 40, u16::MAX] {
        let extra = Ipv4Extra { total_len: Some(total_len), ..Ipv4Extra::default() };
        check(kernels, IPV4, &ipv4(TCP, extra, &tcp(6379, 40_000, &[], b"+OK\r\n")), TCP_PORTS);
    }
}

#[test]
fn fragments_of_ipv4_packets() {
    let kernels = &mut kernels();
    let segment = tcp(6379, 40_000, &[], b"+OK\r\n");
    for (fragment, expect) in [
        (0x4000, TCP_PORTS),       // "do not fragment"
        (0x2000, TCP_PORTS),       // the first of several
        (0x2001, TCP_OTHER_PORTS), // a middle one: the bytes are no ports
        (0x0200, TCP_OTHER_PORTS), // the last
    ] {
        let extra = Ipv4Extra { fragment, ..Ipv4Extra::default() };
        check(kernels, IPV4, &ipv4(TCP, extra, &segment), expect);
    }
}

#[test]
fn ports_of_ipv6_packets() {
    let kernels = &mut kernels();
    check(kernels, IPV6, &ipv6(TCP, &tcp(6379, 40_000, &[], b"+OK\r\n")), TCP_PORTS);
    check(kernels, IPV6, &ipv6(TCP, &tcp(1, 2, &[], b"+OK\r\n")), TCP_OTHER_PORTS);
    check(kernels, IPV6, &ipv6(UDP, &udp(7, 6379, b"x")), UDP_PORTS);
    check(kernels, IPV6, &ipv6(58, &udp(6379, 6379, b"ping")), NEITHER);
    check(kernels, IPV6, &ipv6(59, &tcp(6379, 6379, &[], b"no next header")), NEITHER);
}

/// libpcap's expressions look behind no extension header but the fragment's (for the protocol).
#[test]
fn extension_headers_of_ipv6_packets() {
    const HOP: u8 = 0;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    let kernels = &mut kernels();
    let segment = tcp(40_000, 6379, &[], b"PING\r\n");
    check(kernels, IPV6, &ipv6(HOP, &extension(TCP, 1, &segment)), NEITHER);
    check(kernels, IPV6, &ipv6(AUTHENTICATION, &authentication(TCP, 4, &segment)), NEITHER);
    for (offset, more) in [(0, true), (1, true), (9, false)] {
        let inner = fragment(TCP, offset, more, &segment);
        check(kernels, IPV6, &ipv6(FRAGMENT, &inner), TCP_OTHER_PORTS);
    }
}

#[test]
fn cut_and_broken_headers() {
    let kernels = &mut kernels();
    let whole = ipv4(TCP, Ipv4Extra::default(), &tcp(6379, 40_000, &[], b"+OK\r\n"));
    // The ports are there as soon as their four bytes are; what is too short for an expression is
    // refused.
    check(kernels, IPV4, &whole[..24], TCP_PORTS);
    check(kernels, IPV4, &whole[..20], TCP_OTHER_PORTS);
    let mut short_header = whole;
    short_header[0] = 0x44;
    // Whoever wants everything gets this as well. Its ports would be in the IP header.
    check(kernels, IPV4, &short_header, TCP_OTHER_PORTS);
    let whole = ipv6(TCP, &tcp(6379, 40_000, &[], b"+OK\r\n"));
    check(kernels, IPV6, &whole[..44], TCP_PORTS);
    check(kernels, IPV6, &whole[..40], TCP_OTHER_PORTS);
    let many = (0..9).fold(Vec::new(), |inner, _| extension(60, 1, &inner));
    check(kernels, IPV6, &ipv6(60, &many), NEITHER);
}

#[test]
fn what_is_not_ip_passes_only_without_a_filter() {
    let packet = ipv4(TCP, Ipv4Extra::default(), &tcp(6379, 1, &[], b""));
    let three_tags = vlan(1, VLAN, &vlan(2, VLAN, &vlan(3, IPV4, &packet)));
    for (mut kernel, filter) in kernels().into_iter().zip(FILTERS) {
        let expect = if filter.is_empty() { Captured } else { Refused };
        for frame in [
            ethernet(0x0806, &[0; 28]),
            ethernet(0x88cc, &[]),
            ethernet(VLAN, &[0, 1]),
            ethernet(VLAN, &three_tags),
            ethernet(VLAN, &vlan(1, VLAN, &three_tags)),
            // It says that it is IP, and is not. One that short with a tag never comes to TC.
            ethernet(VLAN, &vlan(1, IPV4, &[])),
            ethernet(VLAN, &vlan(1, IPV4, &[0x45, 0])),
        ] {
            for at in [Ingress, Egress, Xdp] {
                let fate = fate(&mut kernel, LinkType::Ethernet, at, &frame);
                assert_eq!(fate, expect, "{at:?}, {filter:?}: {frame:02x?}");
            }
        }
        for at in [Ingress, Egress, Xdp] {
            let fate = fate(&mut kernel, LinkType::RawIp, at, &[0x20; 40]);
            assert_eq!(fate, expect, "{at:?}, {filter:?}");
        }
    }
}

#[test]
fn a_record_is_what_it_says() {
    use tcpkit::capture::LinkType::{Ethernet, RawIp};
    let packet = ipv4(TCP, Ipv4Extra::default(), &tcp(40_000, 6379, &[], b"PING\r\n"));
    let framed = ethernet(IPV4, &packet);
    let tagged = ethernet(VLAN, &vlan(0x2abc, IPV4, &packet));
    let service = ethernet(QINQ, &vlan(0x2abc, IPV4, &packet));
    for (link, at, frame, shown, vlan, link_byte, direction) in [
        (Ethernet, Ingress, &framed, &framed, (0, 0), LINK_ETHERNET, DIRECTION_INGRESS),
        (Ethernet, Egress, &framed, &framed, (0, 0), LINK_ETHERNET, DIRECTION_EGRESS),
        (Ethernet, Xdp, &framed, &framed, (0, 0), LINK_ETHERNET, DIRECTION_INGRESS),
        (Ethernet, Xdp, &tagged, &framed, (0x2abc, VLAN), LINK_ETHERNET, DIRECTION_INGRESS),
        (Ethernet, Xdp, &service, &framed, (0x2abc, QINQ), LINK_ETHERNET, DIRECTION_INGRESS),
        (RawIp, Ingress, &packet, &packet, (0, 0), LINK_RAW_IP, DIRECTION_INGRESS),
        (RawIp, Egress, &packet, &packet, (0, 0), LINK_RAW_IP, DIRECTION_EGRESS),
        (RawIp, Xdp, &packet, &packet, (0, 0), LINK_RAW_IP, DIRECTION_INGRESS),
    ] {
        let mut kernel = Kernel::new("tcp port 6379", u32::MAX);
        let before = monotonic_ns();
        let records = kernel.run(link, at, frame);
        let after = monotonic_ns();
        let [record] = records.as_slice() else { panic!("one record: {records:?}") };
        assert!(before <= record.time_ns && record.time_ns <= after);
        assert_eq!(record.ifindex, 1, "test runs happen on the loopback");
        assert_eq!((record.direction, record.link), (direction, link_byte));
        assert_eq!((record.wire_len, record.vlan), (shown.len(), vlan));
        assert_eq!(&record.bytes, shown);
        let expect = Counters {
            seen: 1,
            matched: 1,
            captured: 1,
            matched_bytes: shown.len() as u64,
            ..Counters::default()
        };
        assert_eq!(kernel.counters(), expect);
    }
}

/// Runs one frame and checks how much of it is captured.
#[track_caller]
fn check_cut(kernel: &mut Kernel, at: Entry, frame: &[u8], expect: usize) {
    let shown = if at == Xdp { at_tc(frame).0 } else { frame.to_vec() };
    let before = kernel.counters();
    let records = kernel.run(LinkType::Ethernet, at, frame);
    let [record] = records.as_slice() else { panic!("one record: {records:?}") };
    assert_eq!((record.wire_len, record.bytes.len()), (shown.len(), expect), "{at:?}");
    assert_eq!(record.bytes, shown[..expect]);
    let after = kernel.counters();
    let cut = shown.len() - expect;
    assert_eq!(after.truncated - before.truncated, u64::from(cut > 0));
    assert_eq!(after.truncated_bytes - before.truncated_bytes, cut as u64);
}

#[test]
fn the_snaplen_cuts_payload_and_never_headers() {
    let payload: Vec<u8> = (0..1000u32).map(|number| number as u8).collect();
    let plain = Ipv4Extra::default();
    let with_options = Ipv4Extra { options: OPTIONS, ..plain };
    let fragment = Ipv4Extra { fragment: 0x0010, ..plain };
    let segment = tcp(6379, 1, &[], &payload);
    let long_segment = tcp(6379, 1, OPTIONS, &payload);
    for snaplen in [0, 1, 10, 128, 500, 900, 4096, u32::MAX] {
        let kernel = &mut Kernel::new("", snaplen);
        for (frame, headers) in [
            (ethernet(IPV4, &ipv4(TCP, plain, &segment)), 54),
            (ethernet(IPV4, &ipv4(TCP, plain, &long_segment)), 94),
            (ethernet(IPV4, &ipv4(TCP, with_options, &long_segment)), 134),
            (ethernet(VLAN, &vlan(1, IPV4, &ipv4(TCP, plain, &segment))), 58),
            (ethernet(VLAN, &vlan(1, IPV6, &ipv6(0, &extension(TCP, 3, &segment)))), 102),
            (ethernet(IPV4, &ipv4(UDP, plain, &udp(6379, 1, &payload))), 42),
            (ethernet(IPV6, &ipv6(TCP, &segment)), 74),
            (ethernet(IPV6, &ipv6(0, &extension(TCP, 3, &segment))), 98),
            (ethernet(IPV4, &ipv4(TCP, fragment, &payload)), 34),
            (ethernet(0x0806, &payload), 64),
            (ethernet(IPV4, &ipv4(1, plain, &payload)), 98),
        ] {
            for at in [Ingress, Xdp] {
                let tag = if at == Xdp { frame.len() - at_tc(&frame).0.len() } else { 0 };
                let expect = (frame.len() - tag).min(headers - tag + snaplen as usize);
                check_cut(kernel, at, &frame, expect);
            }
        }
    }
}

#[test]
fn the_verifier_takes_the_programs_with_every_setting() {
    let frame = ethernet(IPV4, &ipv4(TCP, Ipv4Extra::default(), &tcp(6379, 2, &[], b"+OK\r\n")));
    for snaplen in [0, 1, 2, 3, 7, 10, 41, 128, 255, 256, 1399, 4096, 16_384, 65_535, 200_001] {
        for (filter, workers) in [("", 1), ("tcp port 6379", 1), ("tcp port 6379", 3)] {
            let mut kernel = Kernel::with_workers(filter, snaplen, 1 << 20, workers);
            for at in [Ingress, Egress, Xdp] {
                let (ethernet, raw_ip) = (LinkType::Ethernet, LinkType::RawIp);
                let loaded = [(ethernet, &frame[..]), (raw_ip, &frame[14..])]
                    .map(|(link, frame)| kernel.run(link, at, frame).len());
                assert_eq!(loaded, [1, 1], "snaplen {snaplen}, {filter:?} at {at:?}");
            }
        }
    }
}

#[test]
fn every_size_fits_its_record() {
    let mut kernel = Kernel::new("", u32::MAX);
    let borders = [92, 156, 252, 508, 1020, 1532, 2204].into_iter().flat_map(|at| [at, at + 1]);
    // At XDP test runs take larger frames: most of their bytes are not linear.
    let large = [4252, 4253, 8348, 8349, 16_540, 16_541, 32_924, 32_925, 65_534, 65_535];
    let sizes = (14..3400).step_by(7).chain(borders).chain(large);
    for len in sizes {
        let frame: Vec<u8> = (0..len).map(|number| (number % 251) as u8).collect();
        for at in [Ingress, Xdp] {
            if at == Ingress && len > 3400 {
                continue;
            }
            let records = kernel.run(LinkType::Ethernet, at, &frame);
            let [record] = records.as_slice() else { panic!("one record for {len}") };
            assert_eq!(record.bytes, frame);
            let size = record.size;
            assert!(size <= HEADER + 16 + 2 * len.max(48), "{size} for {len} at {at:?}");
        }
    }
    assert_eq!(kernel.counters().truncated, 0);
}

#[test]
fn at_xdp_no_more_than_64_kib_can_be_copied() {
    let mut kernel = Kernel::new("", u32::MAX);
    let payload: Vec<u8> = (0..70_000_u32).map(|number| (number % 251) as u8).collect();
    for (frame, expect) in [
        (ethernet(0x88b5, &payload[..65_521]), 65_535),
        (ethernet(0x88b5, &payload[..65_522]), 65_535),
        (ethernet(0x88b5, &payload), 65_535),
        (ethernet(VLAN, &vlan(7, 0x88b5, &payload[..65_521])), 65_535),
        (ethernet(VLAN, &vlan(7, 0x88b5, &payload)), 65_535),
    ] {
        check_cut(&mut kernel, Xdp, &frame, expect);
    }
}

#[test]
fn a_full_ring_is_counted_and_recovers() {
    let frame = ethernet(IPV4, &ipv4(TCP, Ipv4Extra::default(), &tcp(1, 2, &[], &[7; 1000])));
    for at in [Ingress, Xdp] {
        // 32 KiB: no more than the largest headers with so much payload need.
        let mut kernel = Kernel::with_ring("", 2000, 4096);
        let options =
            TestRunOptions { data_in: Some(&frame), repeat: 40, ..TestRunOptions::default() };
        assert!(kernel.test(LinkType::Ethernet, at, options).is_some());
        let counters = kernel.counters();
        assert_eq!((counters.matched, counters.captured, counters.ring_full), (40, 30, 10));
        assert_eq!(kernel.records().len(), 30);
        assert_eq!(kernel.run(LinkType::Ethernet, at, &frame).len(), 1);
        assert_eq!(kernel.counters().ring_full, 10);
    }
}

#[test]
fn each_hook_counts_for_itself() {
    for (ifindex, direction, slot) in [
        (1, DIRECTION_INGRESS, 2),
        (1, DIRECTION_EGRESS, 3),
        (255, DIRECTION_EGRESS, 511),
        (256, DIRECTION_INGRESS, 0),
        (257, DIRECTION_INGRESS, 2),
        (u32::MAX, DIRECTION_EGRESS, 511),
    ] {
        assert_eq!(counter_slot(ifindex, direction), slot, "{ifindex} {direction}");
    }
    let mut kernel = Kernel::for_interfaces("", u32::MAX, 1 << 20);
    // Test runs happen on the loopback, whose index is 1.
    for (at, times) in [(Ingress, 2), (Egress, 5), (Xdp, 11)] {
        for _ in 0..times {
            kernel.run(LinkType::Ethernet, at, &ethernet(0x88b5, &[0; 50]));
        }
    }
    let seen = |kernel: &Kernel, slot| {
        let counters = kernel.programs.slot_counters(slot).unwrap();
        check_sums(counters);
        (counters.seen, counters.captured)
    };
    assert_eq!((seen(&kernel, 2), seen(&kernel, 3)), ((13, 13), (5, 5)));
    assert_eq!(seen(&kernel, 511), (0, 0));
    assert!(kernel.programs.slot_counters(512).is_err());
    assert_eq!(kernel.counters().seen, 18, "all, while none is watched");
    kernel.programs.watch_slot(3);
    assert_eq!(kernel.counters().seen, 5);
    kernel.programs.watch_slot(3);
    kernel.programs.watch_slot(2);
    assert_eq!(kernel.counters().seen, 18);
}

/// Far more than the ring holds, read now and then.
#[test]
fn the_ring_goes_round() {
    for at in [Ingress, Egress, Xdp] {
        // 32 KiB: no more than the largest headers with so much payload need.
        let mut kernel = Kernel::with_ring("", 2000, 4096);
        let mut expect = Vec::new();
        let mut records = Vec::new();
        for number in 0..500_usize {
            let len = 40 + number * 37 % 900;
            let frame = ethernet(0x88b5, &vec![number as u8; len]);
            // Sometimes the ring is emptied first, sometimes it has to go round its end.
            if number % 3 > 0 {
                records.extend(kernel.records());
            }
            let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
            assert!(kernel.test(LinkType::Ethernet, at, options).is_some());
            expect.push(frame);
        }
        records.extend(kernel.records());
        let bytes: Vec<_> = records.into_iter().map(|record| record.bytes).collect();
        assert!(bytes == expect, "{at:?}");
        assert_eq!(kernel.counters().captured, 500);
    }
}

/// What would have to write while this CPU's ring is being written to, is lost and counted; what comes
/// before the agent is ready is counted, too.
#[test]
fn a_ring_that_is_not_free_is_left_alone() {
    let frame = ethernet(0x88b5, &[7; 100]);
    let mut kernel = Kernel::new("", u32::MAX);
    kernel.change_rings(|ring| ring.writing = 1);
    assert_eq!(kernel.run(LinkType::Ethernet, Ingress, &frame), []);
    kernel.change_rings(|ring| (ring.writing, ring.closed) = (0, 1));
    assert_eq!(kernel.run(LinkType::Ethernet, Ingress, &frame), []);
    kernel.change_rings(|ring| ring.closed = 0);
    assert_eq!(kernel.run(LinkType::Ethernet, Ingress, &frame).len(), 1);
    let expect = Counters {
        seen: 3,
        matched: 3,
        outside: 1,
        captured: 1,
        no_ring: 1,
        matched_bytes: 342,
        ..Counters::default()
    };
    assert_eq!(kernel.counters(), expect);
}

/// The worker that a frame's record went to.
#[track_caller]
fn worker_of(kernel: &mut Kernel, link: LinkType, at: Entry, frame: &[u8]) -> usize {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
    assert!(kernel.test(link, at, options).is_some());
    let records = kernel.records_by_worker();
    assert_eq!(records.iter().map(Vec::len).sum::<usize>(), 1);
    records.iter().position(|records| !records.is_empty()).unwrap()
}

/// An IPv4 or IPv6 packet between two ends, each a last byte of an address and a port.
fn between(is_v4: bool, source: (u8, u16), destination: (u8, u16)) -> (u16, Vec<u8>) {
    let segment = tcp(source.1, destination.1, OPTIONS, b"PING\r\n");
    let (ethertype, mut packet, addresses, len) = if is_v4 {
        (IPV4, ipv4(TCP, Ipv4Extra { options: OPTIONS, ..Ipv4Extra::default() }, &segment), 12, 4)
    } else {
        (IPV6, ipv6(0, &extension(TCP, 2, &segment)), 8, 16)
    };
    packet[addresses + len - 1] = source.0;
    packet[addresses + 2 * len - 1] = destination.0;
    (ethertype, packet)
}

#[test]
fn both_directions_of_a_connection_have_one_worker() {
    const WORKERS: usize = 3;
    let mut kernel = Kernel::with_workers("", u32::MAX, 1 << 20, WORKERS as u32);
    let mut had = [0; WORKERS];
    for client in 0..60_u16 {
        for is_v4 in [true, false] {
            let ends = ((client as u8, 40_000 + 7 * client), (200, 6379));
            let mut workers = Vec::new();
            for (source, destination) in [ends, (ends.1, ends.0)] {
                let (ethertype, packet) = between(is_v4, source, destination);
                let plain = ethernet(ethertype, &packet);
                let tagged = ethernet(VLAN, &vlan(7, ethertype, &packet));
                for at in [Ingress, Egress, Xdp] {
                    for (link, frame) in [
                        (LinkType::Ethernet, &plain),
                        (LinkType::Ethernet, &tagged),
                        (LinkType::RawIp, &packet),
                    ] {
                        workers.push(worker_of(&mut kernel, link, at, frame));
                    }
                }
            }
            workers.dedup();
            let [worker] = workers[..] else { panic!("{client}, {is_v4}: {workers:?}") };
            had[worker] += 1;
        }
    }
    // 40 each, if it were even.
    assert!(had.iter().all(|&count| count > 20), "{had:?}");
    let arp = ethernet(0x0806, &[0; 28]);
    assert_eq!(worker_of(&mut kernel, LinkType::Ethernet, Ingress, &arp), 0);
}
