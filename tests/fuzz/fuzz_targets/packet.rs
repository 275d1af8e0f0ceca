//! The packet decoder, on any frame, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpkit::{
    capture::{Frame, HookDirection, LinkType},
    packet::{Decoded, decode, network},
};

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    let frame = Frame {
        time_ns: 0,
        ifindex: 0,
        direction: HookDirection::Unknown,
        link: match first & 7 {
            0 => LinkType::Null,
            1 => LinkType::Loop,
            2 => LinkType::LinuxSll,
            3 => LinkType::LinuxSll2,
            4 | 5 => LinkType::RawIp,
            _ => LinkType::Ethernet,
        },
        vlan: None,
        wire_len: u32::try_from(bytes.len()).unwrap() + u32::from(first >> 3) * 1000,
        bytes,
    };
    if let Some(network) = network(&frame) {
        assert!(network.offset <= bytes.len());
    }
    let payload = match decode(&frame) {
        Decoded::Tcp(segment) => segment.payload,
        Decoded::Udp(datagram) => datagram.payload,
        Decoded::Other(_) => return,
    };
    assert!(payload.bytes.len() <= bytes.len());
    assert!(u64::try_from(payload.bytes.len()).unwrap() <= u64::from(payload.wire_len));
});
