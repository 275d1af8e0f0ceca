//! Lines of hand-made frames, and what holds for the lines of all frames. Whether they are tcpdump's
//! is checked against tcpdump itself, in `tests/tests/lines.rs`.

use proptest::prelude::*;

use super::*;
use crate::{capture::VlanTag, sink::written::Written};

const TIME_NS: u64 = 1_583_695_386_258_761_999;

fn printed(frame: &Frame<'_>, options: PacketLineOptions, names: &InterfaceNames) -> String {
    let output = Written::default();
    let mut sink = PacketLines::new(Box::new(output.clone()), options, names.clone());
    sink.on_packet(frame, TIME_NS).expect("memory takes everything");
    sink.flush().expect("memory takes everything");
    output.text()
}

fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time_ns: 0,
        ifindex: 7,
        direction: HookDirection::Ingress,
        link,
        vlan: None,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// What is printed behind the time of day, whose hour depends on where the test runs.
#[track_caller]
fn check(frame: &Frame<'_>, options: PacketLineOptions, expect: &str) {
    let names = InterfaceNames::default();
    names.insert(7, "veth0");
    names.insert(8, "a\x1b]0;\u{e9}");
    let text = printed(frame, options, &names);
    let (time, rest) = text.split_at("19:23:06".len());
    assert_eq!(time.split(':').count(), 3, "{time}");
    assert_eq!(rest, format!(".258761 {expect}\n"));
}

const NONE: PacketLineOptions = PacketLineOptions {
    time: PacketTime::Clock,
    quiet: false,
    link_header: false,
    ascii: false,
    hex: HexDump::None,
    interface_column: false,
};

/// `PING` from 10.9.0.1 to 10.9.0.2, with timestamps.
fn ping() -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 58, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2];
    packet.extend([0x9c, 0x40, 0x18, 0xeb, 0, 0, 0, 100, 0, 0, 0, 7, 0x80, 0x18, 2, 0]);
    packet.extend([0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    packet.extend(b"PING\r\n");
    packet
}

fn behind_ethernet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(packet);
    bytes
}

const PING: &str = "10.9.0.1.40000 > 10.9.0.2.6379: Flags [P.], seq 100:106, ack 7, win 512, \
                    options [nop,nop,TS val 1 ecr 2], length 6";

#[test]
fn a_segment_has_the_established_form() {
    let bytes = behind_ethernet(0x0800, &ping());
    let packet = frame(LinkType::Ethernet, &bytes);
    check(&packet, NONE, &format!("IP {PING}"));
    check(&frame(LinkType::RawIp, &ping()), NONE, &format!("IP {PING}"));
    let quiet = PacketLineOptions { quiet: true, ..NONE };
    check(&packet, quiet, "IP 10.9.0.1.40000 > 10.9.0.2.6379: tcp 6");
    let link_header = PacketLineOptions { link_header: true, ..NONE };
    check(
        &packet,
        link_header,
        &format!(
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 72: {PING}"
        ),
    );
    let tagged = Frame { vlan: Some(VlanTag { ethertype: 0x8100, tci: 0x6005 }), ..packet };
    check(&tagged, NONE, &format!("IP {PING}"));
    check(
        &tagged,
        link_header,
        &format!(
            "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 76: \
             vlan 5, p 3, ethertype IPv4 (0x0800), {PING}"
        ),
    );
}

#[test]
fn lengths_are_those_on_the_wire() {
    let bytes = behind_ethernet(0x0800, &ping());
    let mut cut = frame(LinkType::Ethernet, &bytes);
    cut.bytes = &bytes[..66];
    check(&cut, NONE, &format!("IP {PING}"));
    cut.bytes = &bytes[..40];
    check(&cut, NONE, "IP 10.9.0.1.40000 > 10.9.0.2.6379:  [|tcp]");
    cut.bytes = &bytes[..20];
    check(&cut, NONE, "IP  [|ip]");
    cut.bytes = &[];
    check(&cut, NONE, " [|ether]");
    // Not yet segmented, or BIG TCP: the IP header's length is 0 and the frame's counts.
    let mut big = ping();
    big[2..4].copy_from_slice(&[0, 0]);
    let mut big = frame(LinkType::RawIp, &big);
    check(&big, NONE, &format!("IP {PING}"));
    big.wire_len = 100_052;
    let line = PING.replace("100:106", "100:100100").replace("length 6", "length 100000");
    check(&big, NONE, &format!("IP {line}"));
}

#[test]
fn times_have_tcpdumps_forms() {
    let bytes = behind_ethernet(0x0800, &ping());
    let packet = frame(LinkType::Ethernet, &bytes);
    let with = |time| {
        let options = PacketLineOptions { time, ..NONE };
        printed(&packet, options, &InterfaceNames::default())
    };
    assert_eq!(with(PacketTime::None), format!("IP {PING}\n"));
    let line = with(PacketTime::Epoch);
    assert_eq!(line, format!("1583695386.258761 IP {PING}\n"));
    let line = with(PacketTime::Date);
    assert_eq!(line.find(" IP "), Some("2020-03-08 19:23:06.258761".len()), "{line}");
}

#[test]
fn the_column_names_interface_and_direction() {
    let column = PacketLineOptions { interface_column: true, ..NONE };
    let mut bytes = behind_ethernet(0x0800, &ping());
    let mut packet = frame(LinkType::Ethernet, &bytes);
    check(&packet, column, &format!("veth0 In  IP {PING}"));
    packet.direction = HookDirection::Egress;
    check(&packet, column, &format!("veth0 Out IP {PING}"));
    packet.direction = HookDirection::Unknown;
    packet.ifindex = 12;
    check(&packet, column, &format!("12    ?   IP {PING}"));
    packet.ifindex = 8;
    check(&packet, column, &format!("a\\x1b]0;\\xc3\\xa9 ?   IP {PING}"));
    bytes[..6].fill(0xff);
    check(&frame(LinkType::Ethernet, &bytes), column, &format!("veth0 B   IP {PING}"));
    bytes[5] = 0;
    check(&frame(LinkType::Ethernet, &bytes), column, &format!("veth0 M   IP {PING}"));
}

#[test]
fn payloads_are_text_and_bytes_are_rows() {
    let ascii = PacketLineOptions { ascii: true, ..NONE };
    let bytes = behind_ethernet(0x0800, &ping());
    let packet = frame(LinkType::Ethernet, &bytes);
    check(&packet, ascii, &format!("IP {PING}\nPING\n"));
    let cut = Frame { bytes: &bytes[..68], ..packet };
    check(&cut, ascii, &format!("IP {PING}\nPI"));
    check(&Frame { bytes: &bytes[..66], ..packet }, ascii, &format!("IP {PING}"));
    let both = PacketLineOptions { hex: HexDump::FromNetwork { text: true }, ..ascii };
    check(
        &packet,
        both,
        &format!(
            "IP {PING}\
             \n\t0x0000:  4500 003a 0007 4000 4006 0000 0a09 0001  E..:..@.@.......\
             \n\t0x0010:  0a09 0002 9c40 18eb 0000 0064 0000 0007  .....@.....d....\
             \n\t0x0020:  8018 0200 0000 0000 0101 080a 0000 0001  ................\
             \n\t0x0030:  0000 0002 5049 4e47 0d0a                 ....PING.."
        ),
    );
}

#[test]
fn what_is_not_known_is_said_in_short() {
    let lldp = behind_ethernet(0x88cc, &[0; 46]);
    check(
        &frame(LinkType::Ethernet, &lldp),
        NONE,
        "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype LLDP (0x88cc), length 60: ",
    );
    let bridge = behind_ethernet(38, &[0x42, 0x42, 3, 0, 0, 0, 0]);
    check(
        &frame(LinkType::Ethernet, &bridge),
        NONE,
        "02:00:00:00:00:01 > 02:00:00:00:00:02, 802.3, length 7: LLC",
    );
    let mut sctp = ping();
    sctp[9] = 132;
    check(&frame(LinkType::RawIp, &sctp), NONE, "IP 10.9.0.1 > 10.9.0.2:  ip-proto-132 38");
    check(&frame(LinkType::RawIp, &[0x10; 20]), NONE, "unknown ip 1");
    // Packets within packets within packets.
    let nested = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2].repeat(3000);
    let addresses = "IP 10.9.0.1 > 10.9.0.2: ".repeat(9);
    check(&frame(LinkType::RawIp, &nested), NONE, &format!("{addresses} ip-proto-4 59820"));
}

fn links() -> impl Strategy<Value = LinkType> {
    prop::sample::select(vec![
        LinkType::Ethernet,
        LinkType::RawIp,
        LinkType::Null,
        LinkType::Loop,
        LinkType::LinuxSll,
        LinkType::LinuxSll2,
    ])
}

/// Bytes that begin like a packet often enough to get far.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let heads = vec![
        vec![],
        behind_ethernet(0x0800, &[0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6]),
        behind_ethernet(0x0800, &[0x46, 0, 0, 90, 0, 0, 0, 0, 64, 17]),
        behind_ethernet(0x0800, &[0x45, 0, 0, 90, 0, 0, 0, 0, 64, 1]),
        behind_ethernet(0x0800, &[0x45, 0, 0, 90, 0, 0, 0, 0, 64, 51]),
        behind_ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]),
        behind_ethernet(0x8100, &[0, 5, 0x86, 0xdd, 0x60]),
        behind_ethernet(0x86dd, &[0x60, 0, 0, 0, 0, 90, 0]),
        behind_ethernet(0x86dd, &[0x60, 0, 0, 0, 0, 90, 43]),
        behind_ethernet(0x86dd, &[0x60, 0, 0, 0, 0, 0, 44]),
        behind_ethernet(0x86dd, &[0x60, 0, 0, 0, 0, 90, 58]),
        vec![0x45, 0, 0, 60, 0, 0, 0, 0, 64, 4],
        vec![0x60, 0, 0, 0, 0, 90, 6],
        vec![2, 0, 0, 0, 0x45],
        ping(),
    ];
    let tail = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..120),
        prop::collection::vec(
            prop::sample::select(vec![0_u8, 1, 2, 4, 5, 8, 30, 60, 0xff]),
            0..120
        ),
    ];
    (prop::sample::select(heads), tail).prop_map(|(head, tail)| [head, tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_frame_has_one_line(
        link in links(),
        bytes in likely_bytes(),
        more in prop_oneof![Just(0_u32), 0..2000_u32, any::<u32>()],
        tag in prop::option::of(any::<(u16, u16)>()),
        (quiet, link_header, interface_column) in any::<(bool, bool, bool)>(),
        dump in 0..6,
    ) {
        let options = PacketLineOptions {
            time: PacketTime::Clock,
            quiet,
            link_header,
            ascii: dump == 1,
            hex: match dump {
                2 => HexDump::FromNetwork { text: false },
                3 => HexDump::FromNetwork { text: true },
                4 => HexDump::FromLink { text: false },
                5 => HexDump::FromLink { text: true },
                _ => HexDump::None,
            },
            interface_column,
        };
        let packet = Frame {
            wire_len: (bytes.len() as u32).saturating_add(more),
            vlan: tag.map(|(ethertype, tci)| VlanTag { ethertype, tci }),
            ..frame(link, &bytes)
        };
        let names = InterfaceNames::default();
        names.insert(7, "\u{1b}[2J\u{202e}\n");
        let text = printed(&packet, options, &names);
        prop_assert!(text.ends_with('\n'));
        if dump == 0 {
            prop_assert_eq!(text.matches('\n').count(), 1, "{}", text);
        }
        let is_shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic() || byte == b'\n';
        let with_tabs = dump > 0;
        prop_assert!(
            text.bytes().all(|byte| is_shown(byte) || (with_tabs && byte == b'\t')),
            "{:?}",
            text
        );
        // A line says something behind its time of day.
        prop_assert!(text.len() > "19:23:06.258761 \n".len(), "{}", text);
    }
}
