//! Files of both formats, read whole, byte by byte, cut anywhere and broken.

use proptest::prelude::*;

use super::*;
use crate::pcapfile::samples::{
    Order, block, enhanced, interface, obsolete, option, pcap, pcap_packet, section, simple,
};

/// What a test compares: time, interface, direction, link, length on the wire, bytes.
type Seen = (u64, u32, HookDirection, LinkType, u32, Vec<u8>);

/// Reads a file in pieces of the given lengths, repeated.
fn read(file: &[u8], pieces: &[usize]) -> (Vec<Seen>, Result<(), FormatError>, Reader) {
    let mut reader = Reader::new();
    let mut seen = Vec::new();
    let mut rest = file;
    for &piece in pieces.iter().cycle() {
        loop {
            match reader.next_frame() {
                Ok(Some(it)) => seen.push((
                    it.time_ns,
                    it.ifindex,
                    it.direction,
                    it.link,
                    it.wire_len,
                    it.bytes.to_vec(),
                )),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(reader.next_frame().unwrap_err(), error, "says the same again");
                    return (seen, Err(error), reader);
                }
            }
        }
        if rest.is_empty() {
            break;
        }
        let room = reader.room();
        let len = piece.max(1).min(room.len()).min(rest.len());
        room[..len].copy_from_slice(&rest[..len]);
        reader.filled(len);
        rest = &rest[len..];
    }
    let end = reader.finish();
    (seen, end, reader)
}

const WHOLE: &[usize] = &[usize::MAX];
const UNKNOWN: HookDirection = HookDirection::Unknown;

fn seen(time_ns: u64, interface: u32, link: LinkType, wire_len: u32, bytes: &[u8]) -> Seen {
    (time_ns, interface, UNKNOWN, link, wire_len, bytes.to_vec())
}

fn check(file: &[u8], expect: &[Seen]) {
    for pieces in [WHOLE, &[1], &[7, 30, 2]] {
        let (seen, end, _) = read(file, pieces);
        assert_eq!(seen, expect);
        assert_eq!(end, Ok(()));
    }
}

/// What stands before the error is given all the same.
fn check_error(file: &[u8], packets: u64, offset: usize, reason: Reason) {
    for pieces in [WHOLE, &[1]] {
        let (seen, end, _) = read(file, pieces);
        assert_eq!(seen.len() as u64, packets);
        assert_eq!(end, Err(FormatError { packets, offset: offset as u64, reason }));
    }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in Order::BOTH {
        for (nanoseconds, unit) in [(false, 1_000), (true, 1)] {
            let mut file = pcap(order, nanoseconds, 1);
            file.extend(pcap_packet(order, (1_700_000_000, 999_999), 60, b"first"));
            file.extend(pcap_packet(order, (u32::MAX, 7), 0, b""));
            check(
                &file,
                &[
                    seen(
                        1_700_000_000 * SECOND + 999_999 * unit,
                        0,
                        LinkType::Ethernet,
                        60,
                        b"first",
                    ),
                    seen(u64::from(u32::MAX) * SECOND + 7 * unit, 0, LinkType::Ethernet, 0, b""),
                ],
            );
        }
    }
}

#[test]
fn link_types_are_told_apart() {
    for (number, link) in [
        (0, LinkType::Null),
        (1, LinkType::Ethernet),
        (0xf400_0001, LinkType::Ethernet),
        (12, LinkType::RawIp),
        (14, LinkType::RawIp),
        (101, LinkType::RawIp),
        (228, LinkType::RawIp),
        (229, LinkType::RawIp),
        (108, LinkType::Loop),
        (113, LinkType::LinuxSll),
        (276, LinkType::LinuxSll2),
    ] {
        let mut file = pcap(Order::Big, false, number);
        file.extend(pcap_packet(Order::Big, (1, 0), 9, b"x"));
        check(&file, &[seen(SECOND, 0, link, 9, b"x")]);
    }
    check_error(&pcap(Order::Big, false, 105), 0, 0, Reason::Link { number: 105 });
}

#[test]
fn a_packet_is_on_the_wire_at_least_as_long_as_in_the_file() {
    let mut file = pcap(Order::Little, false, 1);
    file.extend(pcap_packet(Order::Little, (0, 0), 2, b"four"));
    check(&file, &[seen(0, 0, LinkType::Ethernet, 4, b"four")]);
}

#[test]
fn before_version_2_3_the_lengths_were_the_other_way_round() {
    let order = Order::Big;
    for (minor, lengths, expect) in
        [(2, (60, 3), 60), (3, (60, 3), 60), (3, (3, 60), 60), (4, (3, 60), 60)]
    {
        let mut file = pcap(order, false, 1);
        file[6..8].copy_from_slice(&order.u16(minor));
        file.extend([0, 0, lengths.0, lengths.1].map(|number| order.u32(number)).concat());
        file.extend(b"abc");
        check(&file, &[seen(0, 0, LinkType::Ethernet, expect, b"abc")]);
    }
}

/// Two sections in both orders with every kind of block.
fn rich() -> (Vec<u8>, Vec<Seen>) {
    let (little, big) = (Order::Little, Order::Big);
    let file = [
        section(little),
        interface(little, 1, 0, &[option(little, 2, b"eth0"), option(little, 9, &[9])]),
        block(little, 0x0bad, b"what nobody knows"),
        enhanced(
            little,
            0,
            5 * SECOND + 1,
            99,
            b"to us",
            &[option(little, 1, b"a comment"), option(little, 2, &[1, 0, 0, 0])],
        ),
        simple(little, 3, b"abc"),
        interface(little, 101, 0, &[]),
        enhanced(little, 1, 6_000_001, 4, b"from", &[option(little, 2, &[2, 0, 0, 0])]),
        section(big),
        interface(
            big,
            276,
            2,
            &[
                option(big, 9, &[0x80 | 10]),
                option(big, 14, &(-2_i64).to_be_bytes()),
                option(big, 2, b"lo\x1b\n"),
            ],
        ),
        obsolete(big, 0, 3 << 10 | 512, 5, b"12345", &[option(big, 2, &[0, 0, 0, 2])]),
        simple(big, 9, b"ab"),
        block(big, 5, &[0; 8]),
    ];
    let (ingress, egress) = (HookDirection::Ingress, HookDirection::Egress);
    let packets = vec![
        (5 * SECOND + 1, 1, ingress, LinkType::Ethernet, 99, b"to us".to_vec()),
        seen(5 * SECOND + 1, 1, LinkType::Ethernet, 3, b"abc"),
        (6 * SECOND + 1_000, 2, egress, LinkType::RawIp, 4, b"from".to_vec()),
        (SECOND + SECOND / 2, 3, egress, LinkType::LinuxSll2, 5, b"12345".to_vec()),
        seen(SECOND + SECOND / 2, 3, LinkType::LinuxSll2, 9, b"ab"),
    ];
    (file.concat(), packets)
}

#[test]
fn pcapng_has_sections_interfaces_and_options() {
    let (file, packets) = rich();
    check(&file, &packets);
    let (_, _, reader) = read(&file, WHOLE);
    let names = [1, 2, 3, 4].map(|number| reader.interface_names().find(number));
    // Without what does not print.
    assert_eq!(names, [Some("eth0".into()), Some("if1".into()), Some("lo".into()), None]);
    assert_eq!((reader.packets(), reader.untimed(), reader.foreign()), (5, 2, 0));
}

#[test]
fn packets_of_unknown_link_types_are_counted() {
    let order = Order::Big;
    let mut file = section(order);
    file.extend(interface(order, 105, 0, &[]));
    file.extend(interface(order, 1, 0, &[]));
    file.extend(enhanced(order, 0, 1, 1, b"x", &[]));
    file.extend(enhanced(order, 1, 1, 1, b"y", &[]));
    check(&file, &[seen(1_000, 2, LinkType::Ethernet, 1, b"y")]);
    let (_, _, reader) = read(&file, WHOLE);
    assert_eq!((reader.packets(), reader.foreign()), (2, 1));
    assert_eq!(reader.interfaces()[0].link(), Err(105));
}

#[test]
fn what_is_no_capture_is_named() {
    check_error(b"", 0, 0, Reason::Empty);
    check_error(b"abc", 0, 0, Reason::NoCapture);
    check_error(b"plain text", 0, 0, Reason::NoCapture);
    let mut file = pcap(Order::Big, true, 1);
    file[5] = 3;
    check_error(&file, 0, 0, Reason::Version { major: 3, minor: 4 });
    let mut file = section(Order::Big);
    file[13] = 9;
    check_error(&file, 0, 0, Reason::Version { major: 9, minor: 0 });
    file[8] = 7;
    check_error(&file, 0, 0, Reason::Order(0x072b_3c4d));
}

#[test]
fn a_cut_file_gives_what_is_whole() {
    let mut file = pcap(Order::Little, false, 1);
    file.extend(pcap_packet(Order::Little, (0, 0), 4, b"four"));
    file.extend(pcap_packet(Order::Little, (0, 0), 2, b"to"));
    let (pcapng, _) = rich();
    for file in [file, pcapng] {
        let (whole, _, _) = read(&file, WHOLE);
        let mut ends = 0;
        for len in 0..file.len() {
            let (seen, end, _) = read(&file[..len], WHOLE);
            assert_eq!(seen, whole[..seen.len()], "{len}");
            match end {
                Ok(()) => ends += 1,
                Err(error) => {
                    let expect = match len {
                        0 => error.reason == Reason::Empty,
                        1..4 => error.reason == Reason::NoCapture,
                        _ => matches!(error.reason, Reason::Cut(_)),
                    };
                    assert!(expect, "{len}: {error}");
                    assert!(error.offset <= len as u64 && error.packets == seen.len() as u64);
                }
            }
        }
        // Between the packets of the first, between the blocks of the second.
        assert_eq!(ends, if file[0] == 0xd4 { 2 } else { 11 });
    }
    let cut = Reason::Cut(Part::Packet);
    let mut file = pcap(Order::Big, false, 1);
    file.extend(pcap_packet(Order::Big, (0, 0), 4, b"four"));
    file.extend(b"some");
    check_error(&file, 1, 44, cut);
}

#[test]
fn corrupt_lengths_are_found() {
    let order = Order::Little;
    let mut start = section(order);
    start.extend(interface(order, 1, 0, &[]));
    let at = start.len();
    let check = |block: &[u8], reason| {
        check_error(&[&start, block].concat(), 0, at, reason);
    };
    let words = |words: &[u32]| words.iter().flat_map(|&it| order.u32(it)).collect::<Vec<_>>();
    check(&words(&[6, 8]), Reason::Length { kind: 6, claimed: 8 });
    check(&words(&[6, 33]), Reason::Length { kind: 6, claimed: 33 });
    check(&words(&[6, 1 << 31]), Reason::Length { kind: 6, claimed: 1 << 31 });
    check(&words(&[6, 12, 16]), Reason::Lengths { front: 12, back: 16 });
    check(&words(&[6, 12, 12]), Reason::Contents { kind: 6 });
    check(&words(&[1, 12, 12]), Reason::Contents { kind: 1 });
    check(&words(&[3, 16, 5, 16]), Reason::Contents { kind: 3 });
    check(&words(&[6, 32, 0, 0, 0, 4, 4, 32]), Reason::Contents { kind: 6 });
    check(&words(&[6, 32, 0, 0, 0, u32::MAX, 4, 32]), Reason::Packet { claimed: u32::MAX });
    check(&words(&[6, 32, 9, 0, 0, 0, 4, 32]), Reason::Interface { number: 9, there: 1 });
    // An unknown block is skipped up to its second length.
    check_error(
        &[&start[..], &words(&[99, 16, 0, 12])].concat(),
        0,
        at + 12,
        Reason::Lengths { front: 16, back: 12 },
    );
    let mut file = pcap(order, false, 1);
    file.extend(words(&[0, 0, 64 * 1024 * 1024 + 1, 9]));
    check_error(&file, 0, 24, Reason::Packet { claimed: 64 * 1024 * 1024 + 1 });
}

#[test]
fn a_section_has_its_own_interfaces() {
    let mut file = section(Order::Big);
    file.extend(interface(Order::Big, 1, 0, &[]));
    file.extend(section(Order::Little));
    let at = file.len();
    file.extend(enhanced(Order::Little, 0, 0, 0, b"", &[]));
    check_error(&file, 0, at, Reason::Interface { number: 0, there: 0 });
}

#[test]
fn room_grows_by_what_comes_and_not_by_what_is_claimed() {
    let mut file = pcap(Order::Big, false, 1);
    file.extend([0, 0, 64 << 20, 64 << 20].map(|number| Order::Big.u32(number)).concat());
    let (_, end, reader) = read(&file, WHOLE);
    assert_eq!(end.unwrap_err().reason, Reason::Cut(Part::Packet));
    assert_eq!(reader.capacity(), 256 * 1024);
    file.resize(file.len() + 300 * 1024, 7);
    let (_, _, reader) = read(&file, WHOLE);
    assert_eq!(reader.capacity(), 512 * 1024);
    let body = vec![7; 3 * 1024 * 1024];
    let mut file = pcap(Order::Big, false, 1);
    file.extend(pcap_packet(Order::Big, (0, 0), 0, &body));
    let (seen, end, _) = read(&file, &[100_000]);
    assert_eq!((seen.len(), seen[0].5.len(), end), (1, body.len(), Ok(())));
}

#[test]
fn interfaces_have_a_bound() {
    let one = interface(Order::Big, 1, 0, &[]);
    let mut file = section(Order::Big);
    let at = file.len() + 65_536 * one.len();
    file.extend(one.repeat(65_537));
    check_error(&file, 0, at, Reason::Interfaces);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        pieces in prop::collection::vec(1_usize..90, 1..9),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        is_pcap: bool,
    ) {
        let mut file = if is_pcap {
            let mut file = pcap(Order::Big, true, 1);
            for len in 0..9 {
                file.extend(pcap_packet(Order::Big, (1, len), 60, &vec![7; len as usize * 9]));
            }
            file
        } else {
            rich().0
        };
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let (seen, end, reader) = read(&file, WHOLE);
        let (in_pieces, end_in_pieces, _) = read(&file, &pieces);
        prop_assert_eq!(&seen, &in_pieces);
        prop_assert_eq!(end, end_in_pieces);
        prop_assert!(reader.capacity() <= 512 * 1024);
        for (_, _, _, _, wire_len, bytes) in seen {
            prop_assert!(bytes.len() <= wire_len as usize);
        }
    }
}
