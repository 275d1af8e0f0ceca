//! The programs on real interfaces: what they see there, and that nobody else notices them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::ControlFlow,
    os::fd::AsFd,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use aya::programs::{SchedClassifier, TcAttachType, links::LinkOrder, tc::TcAttachOptions};
use tcpkit::{
    capture::{
        AttachMode, HookDirection, LinkType, LiveConfig, LiveSource, Source,
        programs::{Hook, Programs, ProgramsConfig},
        ring::{RingLayout, RingMemory, RingReader, present_cpus},
    },
    filter::CaptureFilter,
};
use tcpkit_common::RecordHeader;
use tcpkit_tests::{
    frames::{IPV4, Ipv4Extra, TCP, UDP, VLAN, ethernet, ipv4, tcp, udp, vlan},
    netns::{Netns, eventually},
    raw::{PacketSocket, Tun},
};

/// A frame that outlives its callback.
#[derive(Clone, Debug)]
struct Kept {
    direction: HookDirection,
    link: LinkType,
    wire_len: usize,
    bytes: Vec<u8>,
}

fn filter(text: &str) -> CaptureFilter {
    CaptureFilter::parse(&[text.to_owned()]).unwrap()
}

fn open(interface: &str, filter: &CaptureFilter, attach: AttachMode) -> LiveSource {
    LiveSource::open(&LiveConfig { attach, ..LiveConfig::new(&[interface], filter) }).unwrap()
}

/// Reads until `count` frames are there, in the namespace whose interfaces the source follows.
fn read(netns: &Netns, source: &mut LiveSource, count: usize) -> Vec<Kept> {
    let mut frames = Vec::new();
    eventually(&format!("{count} frames"), || {
        netns.run(|| {
            source
                .read(&mut |frame| {
                    frames.push(Kept {
                        direction: frame.direction,
                        link: frame.link,
                        wire_len: frame.wire_len as usize,
                        bytes: frame.bytes.to_vec(),
                    });
                    ControlFlow::Continue(())
                })
                .unwrap();
        });
        frames.len() >= count
    });
    frames
}

fn seen(source: &LiveSource) -> u64 {
    source.kernel_counters().unwrap().unwrap().seen
}

#[test]
fn large_writes_arrive_whole_and_in_few_records() {
    const LEN: usize = 4 << 20;
    let (client, server) = Netns::pair();
    let sent: Vec<u8> = (0..LEN).map(|at| (at * 31 + at / 251) as u8).collect();
    let filter = filter("tcp port 6379");
    let listener = server.run(|| TcpListener::bind(("10.9.0.2", 6379)).unwrap());
    let receive = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received.len()
    });
    let mut source = client.run(|| open("veth0", &filter, AttachMode::Auto));
    client.run(|| TcpStream::connect(("10.9.0.2", 6379)).unwrap().write_all(&sent).unwrap());
    assert_eq!(receive.join().unwrap(), LEN);
    // By the sequence numbers the payload of each frame is at its place, of whatever size.
    // On a busy machine some of it is sent twice.
    let mut stream = vec![None; LEN];
    let (mut first, mut missing, mut largest) = (None, LEN, 0);
    while missing > 0 {
        for frame in read(&client, &mut source, 1) {
            let tcp = &frame.bytes[34..];
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
            if frame.direction != HookDirection::Egress {
                continue;
            }
            assert_eq!(frame.wire_len, frame.bytes.len());
            largest = largest.max(frame.wire_len);
            let is_syn = tcp[13] & 2 != 0;
            let first = *first.get_or_insert(sequence);
            if !is_syn && !payload.is_empty() {
                let at = sequence.wrapping_sub(first).wrapping_sub(1) as usize;
                for (place, &byte) in stream[at..at + payload.len()].iter_mut().zip(payload) {
                    missing -= usize::from(place.replace(byte).is_none());
                }
            }
        }
    }
    assert!(stream.into_iter().flatten().eq(sent), "the bytes are the same");
    assert!(largest > 10_000, "segments are merged: {largest}");
    let counters = source.kernel_counters().unwrap().unwrap();
    assert_eq!((counters.ring_full, counters.truncated, source.bad_records()), (0, 0, 0));
}

#[test]
fn a_vlan_tag_beside_the_bytes_is_in_the_record() {
    let (left, right) = Netns::pair();
    let filter = filter("udp port 53");
    let rings = RingLayout::new(1 << 20, present_cpus(), 1, u32::MAX);
    let mut programs =
        Programs::open(&ProgramsConfig { rings, wakeup_bytes: 0, filter: &filter, debug: false })
            .unwrap();
    let map = programs.take_rings().unwrap();
    let memory = Arc::new(RingMemory::new(map.fd().as_fd(), rings).unwrap());
    memory.open();
    let mut ring = RingReader::new(&memory, 0);
    right.run(|| {
        let program = programs.program(LinkType::Ethernet, Hook::Ingress).unwrap();
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        program.attach_with_options("veth0", TcAttachType::Ingress, order).unwrap();
    });
    let packet = ipv4(UDP, Ipv4Extra::default(), &udp(1000, 53, b"who?"));
    let frame = ethernet(VLAN, &vlan(0x2abc, IPV4, &packet));
    left.run(|| PacketSocket::open("veth0").send(&frame));
    let mut records = Vec::new();
    eventually("a record", || {
        ring.drain(
            usize::MAX,
            || u64::MAX,
            |record| {
                records.push(record.to_vec());
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        !records.is_empty()
    });
    let record = &records[0];
    assert_eq!(record[24..26], 0x2abc_u16.to_ne_bytes(), "the tag");
    assert_eq!(record[26..28], VLAN.to_ne_bytes(), "its kind");
    let expect = ethernet(IPV4, &packet);
    assert_eq!(record[size_of::<RecordHeader>()..][..expect.len()], expect);
}

#[test]
fn a_tun_device_has_no_link_header() {
    let netns = Netns::new();
    let tun = netns.run(|| Tun::open("tun0"));
    netns.ip("addr add 10.9.0.2/24 dev tun0");
    netns.ip("link set tun0 up");
    let filter = filter("port 6379");
    let mut source = netns.run(|| open("tun0", &filter, AttachMode::Auto));
    let incoming = ipv4(UDP, Ipv4Extra::default(), &udp(7, 6379, b"in"));
    tun.send(&incoming);
    let frames = read(&netns, &mut source, 1);
    assert_eq!((frames[0].direction, frames[0].link), (HookDirection::Ingress, LinkType::RawIp));
    assert_eq!(frames[0].bytes, incoming);
    netns.run(|| {
        let socket = UdpSocket::bind("10.9.0.2:9").unwrap();
        socket.send_to(b"out", SocketAddr::from((Ipv4Addr::new(10, 9, 0, 77), 6379))).unwrap();
    });
    let frames = read(&netns, &mut source, 1);
    assert_eq!((frames[0].direction, frames[0].link), (HookDirection::Egress, LinkType::RawIp));
    assert_eq!(frames[0].bytes[28..], *b"out");
}

#[test]
fn a_loopback_packet_is_captured_once() {
    let netns = Netns::new();
    let filter = filter("udp port 6379");
    let mut source = netns.run(|| open("lo", &filter, AttachMode::Auto));
    netns.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..5 {
            socket.send_to(b"x", "127.0.0.1:6379").unwrap();
        }
    });
    let frames = read(&netns, &mut source, 5);
    assert_eq!(frames.len(), 5);
    assert_eq!(seen(&source), 10, "five datagrams, and five times that nobody listens");
}

/// Sends `count` frames that nobody answers.
fn send(from: &Netns, count: usize) {
    let packet = ipv4(TCP, Ipv4Extra::default(), &tcp(1, 2, &[], b"x"));
    // To an address that is not the other side's: it is seen there, and dropped.
    let mut frame = ethernet(IPV4, &packet);
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    from.run(|| {
        let socket = PacketSocket::open("veth0");
        for _ in 0..count {
            socket.send(&frame);
        }
    });
}

#[test]
fn another_program_on_the_interface_keeps_seeing_every_packet() {
    for (theirs, ours) in [
        (AttachMode::Tcx, AttachMode::Tcx),
        (AttachMode::Netlink, AttachMode::Netlink),
        (AttachMode::Netlink, AttachMode::Tcx),
        (AttachMode::Tcx, AttachMode::Netlink),
    ] {
        let (left, right) = Netns::pair();
        let filter = filter("tcp port 2");
        let mut neighbour = right.run(|| open("veth0", &filter, theirs));
        send(&left, 10);
        assert_eq!(read(&right, &mut neighbour, 10).len(), 10);
        let mut source = right.run(|| open("veth0", &filter, ours));
        send(&left, 20);
        assert_eq!(read(&right, &mut neighbour, 20).len(), 20, "{theirs:?} beside {ours:?}");
        assert_eq!(read(&right, &mut source, 20).len(), 20, "{ours:?} beside {theirs:?}");
        drop(source);
        send(&left, 30);
        assert_eq!(read(&right, &mut neighbour, 30).len(), 30, "{theirs:?} after {ours:?}");
    }
}

fn clsact(netns: &Netns) -> bool {
    netns.tc("qdisc show dev veth0").contains("clsact")
}

fn filters(netns: &Netns) -> usize {
    ["ingress", "egress"]
        .iter()
        .map(|hook| netns.tc(&format!("filter show dev veth0 {hook}")))
        .map(|text| text.lines().filter(|line| line.contains("tcpkit_")).count())
        .sum()
}

#[test]
fn legacy_filters_leave_what_others_use() {
    let (_left, right) = Netns::pair();
    let filter = filter("tcp");
    // Nobody else: the room for filters goes with the last of ours.
    let source = right.run(|| open("veth0", &filter, AttachMode::Netlink));
    assert!(clsact(&right) && filters(&right) == 2);
    drop(source);
    assert!(!clsact(&right) && filters(&right) == 0);
    // Others made the room: it stays.
    right.tc("qdisc add dev veth0 clsact");
    let source = right.run(|| open("veth0", &filter, AttachMode::Netlink));
    assert_eq!(filters(&right), 2);
    drop(source);
    assert!(clsact(&right) && filters(&right) == 0);
    right.tc("qdisc del dev veth0 clsact");
    // We made it, and others moved in: it stays.
    let first = right.run(|| open("veth0", &filter, AttachMode::Netlink));
    let second = right.run(|| open("veth0", &filter, AttachMode::Netlink));
    drop(first);
    assert!(clsact(&right) && filters(&right) == 2);
    drop(second);
    assert_eq!(filters(&right), 0);
}

fn attached(netns: &Netns) -> usize {
    netns.run(|| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .into_iter()
            .map(|hook| SchedClassifier::query_tcx("veth0", hook).unwrap().1.len())
            .sum()
    })
}

#[test]
fn a_killed_agent_leaves_nothing_behind() {
    for mode in ["tcx", "netlink"] {
        let (_left, right) = Netns::pair();
        let mut child = right.run(|| {
            Command::new(env!("CARGO_BIN_EXE_capture_until_killed"))
                .args(["veth0", mode])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let before = attached(&right) + filters(&right);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((line.as_str(), before), ("ready\n", 2), "{mode}");
        eventually("no program is attached", || {
            attached(&right) + filters(&right) == 0 && !clsact(&right)
        });
    }
}

#[test]
fn an_unknown_interface_is_named_beside_the_known() {
    let netns = Netns::new();
    let filter = filter("");
    let error = netns.run(|| {
        let error = LiveSource::open(&LiveConfig::new(&["eth7"], &filter));
        error.err().unwrap().to_string()
    });
    assert!(error.starts_with("no interface 'eth7'; there are: lo"), "{error}");
}

/// Keeps what is logged.
struct Messages(Mutex<Vec<String>>);

impl log::Log for Messages {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn the_programs_debug_messages_come_to_the_log() {
    static MESSAGES: Messages = Messages(Mutex::new(Vec::new()));
    log::set_logger(&MESSAGES).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let (left, right) = Netns::pair();
    let filter = filter("tcp port 2");
    let mut source = right.run(|| {
        let config = LiveConfig::new(&["veth0"], &filter);
        LiveSource::open(&LiveConfig { snaplen: 0, debug: true, ..config }).unwrap()
    });
    send(&left, 1);
    let index = right.run(|| nix::net::if_::if_nametoindex("veth0").unwrap());
    let expect = format!("matched: 55 bytes on interface {index}, payload at 54, cut 1");
    eventually("a debug message", || {
        right.run(|| source.read(&mut |_frame| ControlFlow::Continue(())).unwrap());
        MESSAGES.0.lock().unwrap().contains(&expect)
    });
}

#[test]
fn any_takes_every_interface() {
    let (left, right) = Netns::pair();
    let filter = filter("tcp port 2");
    let mut source = right.run(|| open("any", &filter, AttachMode::Auto));
    let names = source.interfaces();
    assert!(names.contains("lo") && names.contains("veth0"), "{names:?}");
    send(&left, 3);
    assert_eq!(read(&right, &mut source, 3).len(), 3);
}
