//! The XDP programs on real interfaces: they see what TC sees there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
};

use aya::programs::{
    ProgramError, TcAttachType, XdpMode, links::LinkOrder, tc::TcAttachOptions, xdp::XdpError,
};
use tcpkit::capture::{
    LinkType,
    programs::{Hook, Programs},
};
use tcpkit_common::{DIRECTION_EGRESS, DIRECTION_INGRESS, counter_slot};
use tcpkit_tests::{
    frames::{
        IPV4, IPV6, Ipv4Extra, QINQ, TCP, UDP, VLAN, authentication, ethernet, extension, fragment,
        ipv4, ipv6, tcp, udp, vlan,
    },
    loaded::{Kernel, Record, at_tc as shown_at_tc},
    netns::{Netns, eventually},
    raw::{PacketSocket, Tun},
};

/// Ethernet's source address in the frames that the tests make.
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn load(filter: &str) -> Kernel {
    Kernel::for_interfaces(filter, u32::MAX, 16 << 20)
}

fn attach_tc(programs: &mut Programs, link: LinkType, hook: Hook, interface: &str) {
    let attach_type = match hook {
        Hook::Ingress => TcAttachType::Ingress,
        Hook::Egress => TcAttachType::Egress,
    };
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let program = programs.program(link, hook).unwrap();
    program.attach_with_options(interface, attach_type, options).unwrap();
}

/// Attaches; the error is the kernel's number.
fn attach(
    programs: &mut Programs,
    link: LinkType,
    mode: XdpMode,
    interface: &str,
) -> Result<(), i32> {
    let attached = programs.xdp_program(link, mode).unwrap().attach(interface, mode);
    attached.map(|_| ()).map_err(|error| match &error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error().unwrap(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error().unwrap(),
        _ => panic!("{error}"),
    })
}

/// Waits for records; those of others' packets are left out.
fn read(kernel: &mut Kernel, count: usize, ours: impl Fn(&Record) -> bool) -> Vec<Record> {
    let mut records = Vec::new();
    eventually(&format!("{count} records"), || {
        records.extend(kernel.records().into_iter().filter(&ours));
        records.len() >= count
    });
    records
}

/// What two hooks have to agree in.
fn contents(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { time_ns: 0, ..record }).collect()
}

/// Frames with every kind of headers, whole and cut.
fn frames() -> Vec<Vec<u8>> {
    let plain = Ipv4Extra::default();
    let segment = tcp(6379, 40_000, &[1; 12], b"+OK\r\n");
    let mut frames = Vec::new();
    for (ethertype, packet) in [
        (IPV4, ipv4(TCP, plain, &segment)),
        (IPV4, ipv4(TCP, Ipv4Extra { options: &[1; 40], ..plain }, &segment)),
        (IPV4, ipv4(TCP, Ipv4Extra { fragment: 0x2001, ..plain }, &segment)),
        (IPV4, ipv4(UDP, plain, &udp(53, 1, &[7; 1200]))),
        (IPV6, ipv6(TCP, &segment)),
        (IPV6, ipv6(0, &extension(60, 3, &extension(TCP, 2, &segment)))),
        (IPV6, ipv6(51, &authentication(TCP, 4, &segment))),
        (IPV6, ipv6(44, &fragment(TCP, 0, true, &segment))),
        (0x0806, vec![0; 28]),
    ] {
        let tagged = vlan(0x2abc, ethertype, &packet);
        let twice = vlan(9, VLAN, &tagged);
        frames.push(ethernet(ethertype, &packet));
        frames.push(ethernet(VLAN, &tagged));
        frames.push(ethernet(QINQ, &tagged));
        frames.push(ethernet(QINQ, &twice));
        frames.push(ethernet(VLAN, &vlan(1, QINQ, &twice)));
        for len in [20, 21, 24, 33, 34, 36, 40, 53, 54, 60, 70] {
            let len = len.min(packet.len());
            frames.push(ethernet(ethertype, &packet)[..len].to_vec());
            frames.push(ethernet(VLAN, &tagged)[..len].to_vec());
        }
    }
    frames
}

#[test]
fn xdp_records_are_those_of_tc() {
    for mode in [XdpMode::Driver, XdpMode::Skb] {
        for filter in ["", "tcp port 6379", "vlan and len > 60", "ether[10:4] = 0x00010800"] {
            let (left, right) = Netns::pair();
            let (mut tc, mut xdp) = (load(filter), load(filter));
            right.run(|| {
                attach_tc(&mut tc.programs, LinkType::Ethernet, Hook::Ingress, "veth0");
                attach(&mut xdp.programs, LinkType::Ethernet, mode, "veth0").unwrap();
            });
            let frames = frames();
            // By its end it is known that all have come.
            let last = ethernet(
                VLAN,
                &vlan(7, IPV4, &ipv4(TCP, Ipv4Extra::default(), &tcp(6379, 1, &[], b"the last"))),
            );
            left.run(|| {
                let socket = PacketSocket::open("veth0");
                frames.iter().chain([&last]).for_each(|frame| socket.send(frame));
            });
            let all = |kernel: &mut Kernel| {
                let mut records = Vec::new();
                eventually("the last frame", || {
                    let ours = |record: &Record| record.bytes[6..12] == OURS;
                    records.extend(kernel.records().into_iter().filter(ours));
                    records.last().is_some_and(|it| it.bytes.ends_with(b"the last"))
                });
                contents(records)
            };
            let (at_tc, at_xdp) = (all(&mut tc), all(&mut xdp));
            assert_eq!(at_tc, at_xdp, "{mode:?}, {filter:?}");
            assert!(at_tc.len() >= 5, "{filter:?}: {} records", at_tc.len());
            if filter.is_empty() {
                let shown: Vec<_> =
                    frames.iter().chain([&last]).map(|frame| shown_at_tc(frame)).collect();
                let found = at_xdp.into_iter().map(|it| (it.bytes, it.vlan));
                assert_eq!(found.collect::<Vec<_>>(), shown);
            }
            assert_eq!((tc.counters().copy_failed, xdp.counters().copy_failed), (0, 0));
        }
    }
}

/// Raises the MTU. At XDP in the driver veths get no packets that are larger, since attaching
/// switches off the segmentation that the other end would leave to the receiver.
fn jumbo(netns: [&Netns; 2]) {
    for netns in netns {
        netns.ip("link set veth0 mtu 20000");
    }
}

fn check_large_packets(mode: XdpMode) {
    const LEN: usize = 200_000;
    let (client, server) = Netns::pair();
    let sent: Vec<u8> = (0..LEN).map(|at| (at * 31 + at / 251) as u8).collect();
    let listener = server.run(|| TcpListener::bind(("10.9.0.2", 6379)).unwrap());
    let receive = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let mut kernel = load("tcp dst port 6379");
    let link = LinkType::Ethernet;
    server.run(|| attach(&mut kernel.programs, link, mode, "veth0").unwrap());
    if mode == XdpMode::Driver {
        jumbo([&server, &client]);
    }
    client.run(|| TcpStream::connect(("10.9.0.2", 6379)).unwrap().write_all(&sent).unwrap());
    assert!(receive.join().unwrap() == sent, "the traffic is not disturbed");
    let (mut stream, mut first) = (vec![None; LEN], None);
    let (mut missing, mut largest) = (LEN, 0);
    while missing > 0 {
        for record in read(&mut kernel, 1, |_| true) {
            let tcp = &record.bytes[34..];
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
            assert_eq!(record.wire_len, record.bytes.len());
            largest = largest.max(record.wire_len);
            let first = *first.get_or_insert(sequence);
            // On a busy machine some of it is sent twice; SYN and FIN have no payload.
            if !payload.is_empty() {
                let at = sequence.wrapping_sub(first).wrapping_sub(1) as usize;
                for (place, &byte) in stream[at..at + payload.len()].iter_mut().zip(payload) {
                    missing -= usize::from(place.replace(byte).is_none());
                }
            }
        }
    }
    assert!(stream.into_iter().flatten().eq(sent), "the bytes are the same");
    assert!(largest > 5000, "{largest}");
    let counters = kernel.counters();
    assert_eq!((counters.ring_full, counters.copy_failed, counters.truncated), (0, 0, 0));
}

#[test]
fn packets_larger_than_a_page_are_captured_whole() {
    check_large_packets(XdpMode::Driver);
    check_large_packets(XdpMode::Skb);
}

#[test]
fn the_filter_reads_bytes_that_are_not_linear() {
    let (client, server) = Netns::pair();
    let listener = server.run(|| TcpListener::bind(("10.9.0.2", 6379)).unwrap());
    let receive = std::thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
    });
    const PAYLOAD: &str = "tcp[((tcp[12] & 0xf0) >> 2) + 4700:4]";
    let filters = [
        format!("tcp port 6379 and tcp[4800:4] = 0xabababab and {PAYLOAD} = 0xabababab"),
        "tcp port 6379 and greater 5000 and not tcp[4900] = 0xab".to_owned(),
        "tcp port 6379 and tcp[2000000] = 0xab".to_owned(),
    ];
    jumbo([&server, &client]);
    // One XDP program is all that an interface takes; so each sees a write of its own.
    let mut stream = client.run(|| TcpStream::connect(("10.9.0.2", 6379)).unwrap());
    let matched = filters.map(|filter| {
        let mut kernel = load(&filter);
        let link = LinkType::Ethernet;
        let mut attach = || attach(&mut kernel.programs, link, XdpMode::Driver, "veth0");
        // The one before is gone when the last copy of its link is, which children may have.
        eventually("the place is free", || server.run(|| attach().is_ok()));
        stream.write_all(&vec![0xab; 200_000]).unwrap();
        eventually("packets pass", || kernel.counters().seen > 3);
        kernel.counters().matched > 0
    });
    drop(stream);
    receive.join().unwrap();
    assert_eq!(matched, [true, false, false]);
}

#[test]
fn loopback_and_tun_have_generic_xdp() {
    let netns = Netns::new();
    let mut kernel = load("udp port 6379");
    netns.run(|| {
        let native = attach(&mut kernel.programs, LinkType::Ethernet, XdpMode::Driver, "lo");
        assert_eq!(native, Err(libc::EOPNOTSUPP));
        attach(&mut kernel.programs, LinkType::Ethernet, XdpMode::Skb, "lo").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..5 {
            socket.send_to(b"to oneself", "127.0.0.1:6379").unwrap();
        }
    });
    let records = read(&mut kernel, 5, |_| true);
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|it| it.ifindex == 1 && it.bytes.ends_with(b"to oneself")));
    let tun = netns.run(|| Tun::open("tun0"));
    netns.ip("link set tun0 up");
    netns.run(|| attach(&mut kernel.programs, LinkType::RawIp, XdpMode::Skb, "tun0").unwrap());
    for packet in [
        ipv4(UDP, Ipv4Extra { options: &[1; 8], ..Ipv4Extra::default() }, &udp(7, 6379, b"in")),
        ipv6(UDP, &udp(7, 6379, &[8; 1000])),
    ] {
        tun.send(&packet);
        let records = read(&mut kernel, 1, |_| true);
        assert_eq!((records.len(), &records[0].bytes), (1, &packet));
        assert_eq!(records[0].link, tcpkit_common::LINK_RAW_IP);
    }
}

#[test]
fn an_interface_takes_one_xdp_program() {
    let (_left, right) = Netns::pair();
    let (mut theirs, mut ours) = (load(""), load(""));
    let link = LinkType::Ethernet;
    for (first, second, expect) in [
        (XdpMode::Driver, XdpMode::Driver, libc::EBUSY),
        (XdpMode::Skb, XdpMode::Skb, libc::EBUSY),
        (XdpMode::Driver, XdpMode::Skb, libc::EEXIST),
        (XdpMode::Skb, XdpMode::Driver, libc::EEXIST),
    ] {
        right.run(|| {
            let program = theirs.programs.xdp_program(link, first).unwrap();
            let id = program.attach("veth0", first).unwrap();
            let refused = attach(&mut ours.programs, link, second, "veth0");
            assert_eq!(refused, Err(expect), "{first:?}, then {second:?}");
            theirs.programs.xdp_program(link, first).unwrap().detach(id).unwrap();
            // It is gone when the last copy of the link is, which other tests' children may have.
            eventually("the place is free", || {
                attach(&mut ours.programs, link, second, "veth0").is_ok()
            });
            ours.programs.xdp_program(link, second).unwrap().unload().unwrap();
            eventually("it is free again", || !right.ip("link show veth0").contains("xdp"));
        });
    }
}

#[test]
fn interfaces_and_hooks_are_counted_apart() {
    let (left, right) = Netns::pair();
    let mut kernel = load("udp port 6379");
    let index = right.run(|| {
        attach_tc(&mut kernel.programs, LinkType::Ethernet, Hook::Ingress, "veth0");
        attach_tc(&mut kernel.programs, LinkType::Ethernet, Hook::Egress, "veth0");
        attach(&mut kernel.programs, LinkType::Ethernet, XdpMode::Skb, "lo").unwrap();
        nix::net::if_::if_nametoindex("veth0").unwrap()
    });
    let send = |from: &Netns, to: &str, count| {
        from.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..count {
                socket.send_to(b"x", to).unwrap();
            }
        });
    };
    // Nobody is to answer that a port is closed.
    let _open = [&left, &right].map(|it| it.run(|| UdpSocket::bind("0.0.0.0:6379").unwrap()));
    send(&left, "10.9.0.2:6379", 3);
    send(&right, "127.0.0.1:6379", 4);
    send(&right, "10.9.0.1:6379", 2);
    for (slot, expect) in [
        (counter_slot(index, DIRECTION_INGRESS), 3),
        (counter_slot(index, DIRECTION_EGRESS), 2),
        (counter_slot(1, DIRECTION_INGRESS), 4),
    ] {
        eventually(&format!("{expect} packets in slot {slot}"), || {
            kernel.programs.slot_counters(slot).unwrap().matched == expect
        });
    }
    assert_eq!(kernel.counters().matched, 9);
}
