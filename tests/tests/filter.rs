//! The filter in the kernel against libpcap's own interpreter: the same verdict on every packet.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    ops::ControlFlow,
    process::Command,
};

use pcap::{BpfProgram, Capture, Linktype};
use tcpkit::{
    capture::{LinkType, LiveConfig, LiveSource, Source as _},
    filter::{CaptureFilter, Classic, Compiled, FilterError, View},
};
use tcpkit_tests::{
    classifier::Classifier,
    expressions::EXPRESSIONS,
    frames::{
        IPV4, IPV6, Ipv4Extra, QINQ, TCP, UDP, VLAN, authentication, ethernet, extension, fragment,
        ipv4, ipv6, tcp, udp, vlan,
    },
    loaded::{
        Entry::{Egress, Ingress, Xdp},
        Kernel, at_tc,
    },
    netns::{Netns, eventually},
    raw::PacketSocket,
    traffic,
};

const ETHERNET: Linktype = Linktype(1);
const RAW_IP: Linktype = Linktype(12);

fn filter(text: &str) -> CaptureFilter {
    CaptureFilter::parse(&[text.to_owned()]).unwrap_or_else(|error| panic!("{error}"))
}

fn reference(link: Linktype, text: &str) -> Option<BpfProgram> {
    Capture::dead(link).unwrap().compile(text, true).ok()
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// IP packets of every shape, with their EtherType.
fn packets() -> Vec<(u16, Vec<u8>)> {
    let plain = Ipv4Extra::default();
    let mut transports = Vec::new();
    for (source, destination) in
        [(6379, 40_000), (40_000, 6379), (80, 443), (53, 53), (6380, 1), (6369, 6390), (0, 65_535)]
    {
        for payload in [&b""[..], b"+OK\r\n", b"GET /", b"PING\r\n", &[7; 300]] {
            transports.push((TCP, tcp(source, destination, &[], payload)));
        }
        transports.push((TCP, tcp(source, destination, &[1; 12], b"GET key")));
        for flags in [0x02, 0x12, 0x11, 0x04, 0xff] {
            let mut segment = tcp(source, destination, &[], b"");
            segment[13] = flags;
            transports.push((TCP, segment));
        }
        transports.push((UDP, udp(source, destination, b"xx")));
        transports.push((UDP, udp(source, destination, &[0x78; 1200])));
        transports.push((132, tcp(source, destination, &[], b"chunk")));
    }
    for kind in [0, 8, 128, 129, 3] {
        transports.push((1, vec![kind, 0, 0, 0, 1, 2, 3, 4, 5, 6]));
        transports.push((58, vec![kind, 0, 0, 0, 1, 2, 3, 4, 5, 6]));
    }
    for protocol in [2, 50, 51, 103, 112, 4, 47] {
        transports.push((protocol, vec![protocol; 24]));
    }
    let mut all = Vec::new();
    for (at, (protocol, segment)) in transports.iter().enumerate() {
        all.push((IPV4, ipv4(*protocol, plain, segment)));
        all.push((IPV6, ipv6(*protocol, segment)));
        if at % 4 == 0 {
            let extra = Ipv4Extra { options: &[1; 40], ..plain };
            all.push((IPV4, ipv4(*protocol, extra, segment)));
            for fragment in [0x4000, 0x2000, 0x2001, 0x0010] {
                all.push((IPV4, ipv4(*protocol, Ipv4Extra { fragment, ..plain }, segment)));
            }
            for kind in [0, 43, 60] {
                all.push((IPV6, ipv6(kind, &extension(*protocol, 2, segment))));
            }
            all.push((IPV6, ipv6(44, &fragment(*protocol, 0, true, segment))));
            all.push((IPV6, ipv6(44, &fragment(*protocol, 5, false, segment))));
            all.push((IPV6, ipv6(51, &authentication(*protocol, 4, segment))));
        }
    }
    all
}

/// Frames of every shape, whole, cut and damaged.
fn frames() -> Vec<Vec<u8>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut frames = Vec::new();
    for (at, (ethertype, packet)) in packets().into_iter().enumerate() {
        frames.push(ethernet(ethertype, &packet));
        let tagged = vlan(5, ethertype, &packet);
        match at % 5 {
            0 => frames.push(ethernet(VLAN, &tagged)),
            1 => frames.push(ethernet(QINQ, &vlan(9, VLAN, &tagged))),
            2 => frames.push(ethernet(VLAN, &vlan(9 | 0xe000, VLAN, &tagged))),
            3 => {
                let mut label = vec![0, 6, 0x41, 64]; // 100, bottom of the stack
                label.extend(&packet);
                frames.push(ethernet(0x8847, &label));
            }
            _ => {
                let mut session =
                    vec![0x11, 0, 0, 7, 0, 9, 0, if ethertype == IPV4 { 0x21 } else { 0x57 }];
                session.extend(&packet);
                frames.push(ethernet(0x8864, &session));
            }
        }
    }
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 9, 0, 1];
    arp.extend([0, 0, 0, 0, 0, 0, 10, 9, 0, 2]);
    for ethertype in [0x0806, 0x8035, 0x88cc, 0x8863, 0x8847, 0x0026, 0x9100] {
        frames.push(ethernet(ethertype, &arp));
    }
    frames.push(ethernet(0x88cc, &[]));
    let whole = frames.clone();
    for frame in &whole {
        // Behind every border of headers, and anywhere.
        let mut cut = frame.clone();
        cut.truncate(14 + random.below(frame.len().saturating_sub(14).clamp(1, 90)));
        frames.push(cut);
        for changes in [1, 3, 9] {
            let mut damaged = frame.clone();
            for _ in 0..changes {
                let at = random.below(damaged.len().min(80));
                damaged[at] = random.next() as u8;
            }
            frames.push(damaged);
        }
    }
    for len in 14..80 {
        frames.push((0..len).map(|_| random.next() as u8).collect());
    }
    frames
}

/// How many verdicts were compared, and how many of them were "yes".
#[derive(Clone, Copy, Default)]
struct Compared {
    all: usize,
    yes: usize,
}

/// Runs one expression's program over all frames. `shown` is what libpcap's interpreter gets to see
/// of a frame.
fn compare(
    (text, link): (&str, Linktype),
    classifier: &Classifier,
    frames: &[Vec<u8>],
    shown: impl Fn(&[u8]) -> Vec<u8>,
) -> Compared {
    let Some(reference) = reference(link, text) else { return Compared::default() };
    let mut compared = Compared::default();
    for frame in frames {
        let expect = reference.filter(&shown(frame));
        let Some(verdict) = classifier.run(frame) else { continue };
        assert_eq!(verdict, expect, "{text:?} on {frame:02x?}");
        compared.all += 1;
        compared.yes += usize::from(verdict);
    }
    compared
}

/// What libpcap's interpreter has to see of a frame for XDP's verdict: the bytes as they are if the
/// expression speaks of tags, else without the outer tag, as TC and a live tcpdump have them.
fn shown_at_xdp(text: &str) -> impl Fn(&[u8]) -> Vec<u8> {
    let with_tag = text.contains("vlan");
    move |frame| if with_tag { frame.to_vec() } else { at_tc(frame).0 }
}

/// The kernel runs no tests at TC on frames that claim to be IP and have no room for its header, nor
/// on what does not fit into a page.
fn runs_at_tc(frame: &[u8]) -> bool {
    let needed = match frame[12..14] {
        [0x08, 0x00] => 34,
        [0x86, 0xdd] => 54,
        _ => 14,
    };
    (needed..3400).contains(&frame.len())
}

/// Runs every expression over the frames at both hooks; how many verdicts there were, and the
/// expressions that have only one verdict.
fn compare_all(frames: &[Vec<u8>], raw: &[Vec<u8>]) -> (usize, Vec<&'static str>) {
    let at_tc = frames.iter().filter(|frame| runs_at_tc(frame)).count();
    let raw_at_tc = raw.iter().filter(|packet| packet.len() < 3400).count();
    let (mut verdicts, mut one_verdict) = (0, Vec::new());
    for text in EXPRESSIONS {
        let (filter, xdp) = (filter(text), filter(text).xdp().unwrap());
        let classifier = Classifier::load(filter.ethernet().instructions());
        let tc = compare((text, ETHERNET), &classifier, frames, <[u8]>::to_vec);
        assert_eq!(tc.all, at_tc, "{text}");
        let classifier = Classifier::load_xdp(xdp.ethernet().instructions());
        let compared = compare((text, ETHERNET), &classifier, frames, shown_at_xdp(text));
        assert_eq!(compared.all, frames.len(), "{text}");
        if tc.yes == 0 || tc.yes == tc.all {
            one_verdict.push(*text);
        }
        verdicts += tc.all + compared.all;
        if filter.no_raw_ip().is_some() {
            continue;
        }
        let classifier = Classifier::load(filter.raw_ip().instructions());
        let tc = compare((text, RAW_IP), &classifier, raw, <[u8]>::to_vec);
        let classifier = Classifier::load_xdp(xdp.raw_ip().instructions());
        let compared = compare((text, RAW_IP), &classifier, raw, <[u8]>::to_vec);
        assert_eq!((tc.all, compared.all), (raw_at_tc, raw.len()), "{text}");
        verdicts += tc.all + compared.all;
    }
    (verdicts, one_verdict)
}

#[test]
fn every_verdict_is_libpcaps() {
    let frames = frames();
    let raw: Vec<Vec<u8>> = packets().into_iter().map(|(_, packet)| packet).collect();
    assert!(EXPRESSIONS.len() >= 150 && frames.len() >= 2000, "{} frames", frames.len());
    let (verdicts, one_verdict) = compare_all(&frames, &raw);
    // Nearly every expression has frames that it selects and frames that it does not.
    eprintln!("{} expressions, {} frames, {verdicts} verdicts", EXPRESSIONS.len(), frames.len());
    eprintln!("one verdict only: {one_verdict:?}");
    assert!(one_verdict.len() < EXPRESSIONS.len() / 6, "{one_verdict:?}");
}

#[test]
fn not_optimized_the_verdicts_are_the_same() {
    let frames: Vec<Vec<u8>> = frames().into_iter().step_by(7).collect();
    let (mut verdicts, mut longer) = (0, 0);
    for text in EXPRESSIONS.iter().step_by(3) {
        let plain = CaptureFilter::parse_with(&[(*text).to_owned()], false).unwrap();
        let classifier = Classifier::load(plain.ethernet().instructions());
        verdicts += compare((text, ETHERNET), &classifier, &frames, <[u8]>::to_vec).all;
        let optimized = filter(text).ethernet().instructions().len();
        longer += usize::from(plain.ethernet().instructions().len() > optimized);
    }
    assert!(verdicts > 50_000 && longer > 30, "{verdicts} verdicts, {longer} longer programs");
}

#[test]
fn every_verdict_on_real_traffic_is_libpcaps() {
    let mut frames = traffic::record();
    let is_ip = |frame: &&Vec<u8>| matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]);
    let raw: Vec<Vec<u8>> = frames.iter().filter(is_ip).map(|it| it[14..].to_vec()).collect();
    // The same traffic in a VLAN, which devices here cannot make.
    let tag = |frame: &Vec<u8>| [&frame[..12], &[0x81, 0, 0x20, 5], &frame[12..]].concat();
    let tagged: Vec<Vec<u8>> = frames.iter().step_by(3).map(tag).collect();
    frames.extend(tagged);
    assert!(frames.len() > 500, "{} frames", frames.len());
    let (verdicts, one_verdict) = compare_all(&frames, &raw);
    eprintln!("{} frames, {verdicts} verdicts, one only: {one_verdict:?}", frames.len());
}

#[test]
fn at_xdp_bytes_that_are_not_linear_are_found() {
    let frames: Vec<Vec<u8>> = frames().into_iter().step_by(17).collect();
    let mut verdicts = 0;
    for text in EXPRESSIONS {
        let xdp = filter(text).xdp().unwrap();
        let classifier = Classifier::load_xdp(xdp.ethernet().instructions());
        let (reference, shown) = (reference(ETHERNET, text).unwrap(), shown_at_xdp(text));
        for frame in &frames {
            for linear in [14, 15, 17, 18, 20, 24, 37, 60] {
                if linear >= frame.len() {
                    continue;
                }
                let expect = Some(reference.filter(&shown(frame)));
                let verdict = classifier.run_split(frame, linear);
                assert_eq!(verdict, expect, "{text:?}, {linear} of {frame:02x?}");
                verdicts += 1;
            }
        }
    }
    eprintln!("{verdicts} verdicts");
    assert!(verdicts > 100_000, "{verdicts}");
}

#[test]
fn what_no_expression_makes_is_translated_too() {
    // Programs by hand: instructions that libpcap's compiler knows and hardly uses.
    let it = |code, jt, jf, k| Classic { code, jt, jf, k };
    let ret_a = it(0x16, 0, 0, 0);
    for (program, expect) in [
        (vec![it(0x00, 0, 0, 7), it(0x84, 0, 0, 0), ret_a], true), // neg
        (vec![it(0x00, 0, 0, 0), it(0x84, 0, 0, 0), ret_a], false),
        (vec![it(0x81, 0, 0, 0), it(0x87, 0, 0, 0), ret_a], true), // len to x, txa
        (
            vec![
                it(0x80, 0, 0, 0),
                it(0x02, 0, 0, 15),
                it(0x61, 0, 0, 15),
                it(0x87, 0, 0, 0),
                ret_a,
            ],
            true,
        ),
        (vec![it(0x60, 0, 0, 3), ret_a], false), // memory never written
        (vec![it(0x00, 0, 0, 1), it(0x64, 0, 0, 32), ret_a], false), // shift by 32
        (vec![it(0x00, 0, 0, 1), it(0x64, 0, 0, 31), ret_a], true),
        (vec![it(0x00, 0, 0, 9), it(0x34, 0, 0, 0), Classic::ret(1)], false), // division by 0
        (vec![it(0x00, 0, 0, 9), it(0x3c, 0, 0, 0), Classic::ret(1)], false),
        (vec![it(0x00, 0, 0, 9), it(0x9c, 0, 0, 0), Classic::ret(1)], false),
        (vec![it(0x20, 0, 0, 0x8000_0000), Classic::ret(1)], false), // far away
        (vec![it(0x20, 0, 0, 0x7fff_ffff), Classic::ret(1)], false),
        (vec![it(0x01, 0, 0, u32::MAX), it(0x50, 0, 0, 2), Classic::ret(1)], false),
        (vec![it(0x05, 0, 0, 1), Classic::ret(0), Classic::ret(1)], true), // what is jumped over
    ] {
        for view in [View::Tc, View::TcTagged, View::Xdp, View::XdpUntagged] {
            let compiled = Compiled::translate(program.clone(), view).unwrap();
            let load = if view.is_xdp() { Classifier::load_xdp } else { Classifier::load };
            let verdict = load(compiled.instructions()).run(&[0; 60]);
            assert_eq!(verdict, Some(expect), "{view:?}: {}", compiled.list_classic());
        }
    }
    for program in [
        vec![],
        vec![it(0x20, 0, 0, 0)],
        vec![it(0x15, 1, 0, 0), Classic::ret(1)],
        vec![it(0x02, 0, 0, 16), Classic::ret(1)],
        vec![it(0x05, 0, 0, 7), Classic::ret(1)],
        vec![it(0x20, 0, 0, 0xffff_f00c), Classic::ret(1)],
    ] {
        assert!(Compiled::translate(program.clone(), View::Tc).is_err(), "{program:?}");
    }
}

#[test]
fn what_is_known_beside_the_packet_depends_on_the_hook() {
    // By the kernel's numbers: protocol, type, interface, mark, queue, hash, CPU, the three of tags.
    for (number, at_xdp) in [
        (0, false),
        (4, true),
        (8, true),
        (20, false),
        (24, true),
        (32, false),
        (36, true),
        (44, false),
        (48, false),
        (60, false),
    ] {
        let load = Classic { code: 0x20, jt: 0, jf: 0, k: 0xffff_f000 + number };
        let program = vec![load, Classic::ret(1)];
        let compiled = Compiled::translate(program.clone(), View::Tc).unwrap();
        assert_eq!(Classifier::load(compiled.instructions()).run(&[0; 60]), Some(true));
        for view in [View::Xdp, View::XdpUntagged] {
            match Compiled::translate(program.clone(), view) {
                Ok(compiled) => {
                    assert!(at_xdp, "{number}");
                    let classifier = Classifier::load_xdp(compiled.instructions());
                    assert_eq!(classifier.run(&[0; 60]), Some(true), "{number}");
                }
                Err(error) => {
                    assert!(!at_xdp, "{number}");
                    assert_eq!(error, FilterError::Ancillary { number });
                }
            }
        }
    }
}

#[test]
fn in_its_place_the_filter_says_the_same() {
    let frames = frames();
    for text in [
        "",
        "tcp port 6379",
        "vlan 5 and tcp",
        "len > 100",
        "ip[2:2] / (ip[8] - 64) = 0 or icmp",
        "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
        "inbound",
        "outbound",
        // Test runs happen on the loopback.
        "ifindex 1",
        "ifindex 2",
    ] {
        let mut kernel = Kernel::with_ring(text, 0, 4096);
        let reference = reference(ETHERNET, text).unwrap();
        let shown = shown_at_xdp(text);
        for at in [Ingress, Egress, Xdp] {
            let expect = |frame: &[u8]| match text {
                "inbound" => at != Egress,
                "outbound" => at == Egress,
                "ifindex 1" => true,
                "ifindex 2" => false,
                _ if at == Xdp => reference.filter(&shown(frame)),
                _ => reference.filter(frame),
            };
            for frame in frames.iter().step_by(5) {
                let before = kernel.counters();
                let ran = kernel.try_run(LinkType::Ethernet, at, frame).is_some();
                assert_eq!(ran, at == Xdp || runs_at_tc(frame), "{at:?}: {frame:02x?}");
                let after = kernel.counters();
                assert_eq!(after.seen, before.seen + u64::from(ran));
                let matched = after.matched > before.matched;
                assert_eq!(matched, ran && expect(frame), "{text:?} at {at:?} on {frame:02x?}");
            }
        }
    }
}

fn open(interface: &str, filter: &CaptureFilter) -> LiveSource {
    let config = LiveConfig::new(&[interface], filter);
    LiveSource::open(&LiveConfig { ring_bytes: 1 << 20, ..config }).unwrap()
}

#[test]
fn tags_beside_the_bytes_are_seen_as_on_the_wire() {
    let (left, right) = Netns::pair();
    let packet = ipv4(UDP, Ipv4Extra::default(), &udp(1000, 53, b"who?"));
    let single = ethernet(VLAN, &vlan(0x2abc, IPV4, &packet));
    let double = ethernet(QINQ, &vlan(9, VLAN, &vlan(5, IPV4, &packet)));
    let socket = left.run(|| PacketSocket::open("veth0"));
    for (text, expect) in [
        ("vlan", [true, true]),
        ("vlan 0xabc", [true, false]),
        ("vlan 9 and vlan 5 and udp port 53", [false, true]),
        ("vlan and udp port 53", [true, false]),
        ("vlan and udp port 54", [false, false]),
        ("vlan and ip[20:2] = 1000 and ip[(ip[0] & 0xf) * 4 + 2:2] = 53", [true, false]),
        ("vlan and len = 50", [true, false]),
        ("vlan and len = 54", [false, true]),
        ("vlan and ether[12:4] = 0x81002abc", [true, false]),
        ("vlan and ether[13:2] = 0x002a and ether[15] = 0xbc", [true, false]),
        ("vlan and ether[11:4] = 0x0181002a and ether[15:4] = 0xbc080045", [true, false]),
        ("vlan and ether[(ether[14] & 0xf) + 2:4] = 0x81002abc", [true, false]),
        ("vlan and ether[49] = 0x3f and not ether[50] = 0", [false, false]),
        // Without `vlan`, what is left without the tag, as in tcpdump's live captures.
        ("udp port 53", [true, false]),
        ("ether proto 0x8100", [false, true]),
    ] {
        let filter = filter(text);
        let source = right.run(|| open("veth0", &filter));
        for (frame, expect) in [&single, &double].into_iter().zip(expect) {
            let before = source.kernel_counters().unwrap().unwrap();
            socket.send(frame);
            eventually("the frame arrives", || {
                source.kernel_counters().unwrap().unwrap().seen > before.seen
            });
            let after = source.kernel_counters().unwrap().unwrap();
            // Others may send, but no VLAN frames, and nothing to port 53.
            assert_eq!(after.matched > before.matched, expect, "{text:?} on {frame:02x?}");
        }
    }
}

#[test]
fn bytes_that_are_not_linear_are_found() {
    let (client, server) = Netns::pair();
    let listener = server.run(|| TcpListener::bind(("10.9.0.2", 6379)).unwrap());
    let receive = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    });
    const PAYLOAD: &str = "tcp[((tcp[12] & 0xf0) >> 2) + 700:4]";
    let here = format!("tcp port 6379 and tcp[800:4] = 0xabababab and {PAYLOAD} = 0xabababab");
    let there = "tcp port 6379 and greater 1000 and not tcp[900] = 0xab".to_owned();
    let beyond = "tcp port 6379 and tcp[2000000] = 0xab".to_owned();
    let filters: Vec<_> = [here, there, beyond].iter().map(|text| filter(text)).collect();
    let mut sources: Vec<_> =
        client.run(|| filters.iter().map(|filter| open("veth0", filter)).collect());
    client.run(|| {
        let mut stream = TcpStream::connect(("10.9.0.2", 6379)).unwrap();
        stream.write_all(&vec![0xab; 200_000]).unwrap();
    });
    receive.join().unwrap();
    let mut largest = 0;
    client.run(|| {
        sources[0]
            .read(&mut |frame| {
                largest = largest.max(frame.bytes.len());
                ControlFlow::Continue(())
            })
            .unwrap();
    });
    let matched: Vec<_> =
        sources.iter().map(|it| it.kernel_counters().unwrap().unwrap().matched).collect();
    assert!(matched[0] > 0 && matched[1..] == [0, 0], "{matched:?}");
    assert!(largest > 5000, "{largest}");
}

#[test]
fn listings_are_tcpdumps() {
    for text in EXPRESSIONS {
        let tcpdump =
            Command::new("tcpdump").args(["-y", "EN10MB", "-d", "--", text]).output().unwrap();
        // On this machine's interfaces tcpdump knows of tags beside the bytes.
        if !tcpdump.status.success() || text.contains("vlan") {
            continue;
        }
        let plain = |listing: &str| -> Vec<String> {
            let lines = listing.lines().map(|line| line.trim_end().to_owned());
            lines.collect()
        };
        let theirs = plain(&String::from_utf8(tcpdump.stdout).unwrap());
        assert_eq!(plain(&filter(text).ethernet().list_classic()), theirs, "{text}");
    }
}
