//! Lines of packets, of any frame behind any link header, cut anywhere.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use tcpkit::{
    capture::{Frame, HookDirection, InterfaceNames, LinkType, VlanTag},
    sink::{
        Sink,
        packets::{HexDump, PacketLineOptions, PacketLines, PacketTime},
    },
};

/// An output that wants lines that print.
struct Printable;

impl io::Write for Printable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(bytes.iter().all(|it| matches!(it, b' '..=b'~' | b'\n' | b'\t')));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[link, says], bytes)) = input.split_first_chunk() else { return };
    let text = says & 1 != 0;
    let options = PacketLineOptions {
        time: PacketTime::Clock,
        quiet: says & 2 != 0,
        link_header: says & 4 != 0,
        ascii: says & 8 != 0,
        hex: match says >> 6 {
            0 | 1 => HexDump::None,
            2 => HexDump::FromNetwork { text },
            _ => HexDump::FromLink { text },
        },
        interface_column: says & 16 != 0,
    };
    let frame = Frame {
        time_ns: 0,
        ifindex: 1,
        direction: HookDirection::Ingress,
        link: match link % 6 {
            0 => LinkType::Ethernet,
            1 => LinkType::RawIp,
            2 => LinkType::Null,
            3 => LinkType::Loop,
            4 => LinkType::LinuxSll,
            _ => LinkType::LinuxSll2,
        },
        vlan: (says & 32 != 0).then_some(VlanTag { ethertype: 0x8100, tci: 5 }),
        wire_len: u32::try_from(bytes.len()).unwrap() + u32::from(link) * 1000,
        bytes,
    };
    let mut sink = PacketLines::new(Box::new(Printable), options, InterfaceNames::default());
    sink.on_packet(&frame, 1_700_000_000_000_000_000).unwrap();
    sink.flush().unwrap();
});
