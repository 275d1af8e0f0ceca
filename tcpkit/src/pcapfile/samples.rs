//! Capture files made by hand, for tests.

/// The order that a file's numbers are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

use Order::{Big, Little};

impl Order {
    pub(crate) const BOTH: [Self; 2] = [Little, Big];

    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        if self == Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        if self == Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }
}

/// The header of a pcap file, version 2.4.
pub(crate) fn pcap(order: Order, nanoseconds: bool, link: u32) -> Vec<u8> {
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = order.u32(magic).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend([0; 8]);
    file.extend(order.u32(262_144));
    file.extend(order.u32(link));
    file
}

/// A packet of a pcap file: seconds, what its unit counts behind them, its length on the wire.
pub(crate) fn pcap_packet(order: Order, time: (u32, u32), wire_len: u32, bytes: &[u8]) -> Vec<u8> {
    let captured = u32::try_from(bytes.len()).unwrap();
    let header = [time.0, time.1, captured, wire_len].map(|number| order.u32(number));
    [&header.concat(), bytes].concat()
}

/// A block of a pcapng file around `body`, which is filled up.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let filled = body.len().next_multiple_of(4);
    let len = order.u32(u32::try_from(filled + 12).unwrap());
    let mut block = [order.u32(kind), len].concat();
    block.extend(body);
    block.resize(8 + filled, 0);
    block.extend(len);
    block
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend([order.u16(1), order.u16(0)].concat());
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An option with its filling.
pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = [order.u16(code), order.u16(u16::try_from(value.len()).unwrap())].concat();
    option.extend(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

pub(crate) fn interface(order: Order, link: u16, snaplen: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [order.u16(link), order.u16(0)].concat();
    body.extend(order.u32(snaplen));
    body.extend(options.concat());
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(order, 1, &body)
}

/// An enhanced packet block.
pub(crate) fn enhanced(
    order: Order,
    interface: u32,
    time: u64,
    wire_len: u32,
    bytes: &[u8],
    options: &[Vec<u8>],
) -> Vec<u8> {
    block(
        order,
        6,
        &[order.u32(interface).to_vec(), rest(order, time, wire_len, bytes, options)].concat(),
    )
}

/// An obsolete packet block.
pub(crate) fn obsolete(
    order: Order,
    interface: u16,
    time: u64,
    wire_len: u32,
    bytes: &[u8],
    options: &[Vec<u8>],
) -> Vec<u8> {
    let front = [order.u16(interface), order.u16(3)].concat();
    block(order, 2, &[front, rest(order, time, wire_len, bytes, options)].concat())
}

fn rest(order: Order, time: u64, wire_len: u32, bytes: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let captured = u32::try_from(bytes.len()).unwrap();
    let fields = [u32::try_from(time >> 32).unwrap(), time as u32, captured, wire_len];
    let mut rest = fields.map(|number| order.u32(number)).concat();
    rest.extend(bytes);
    rest.resize(rest.len().next_multiple_of(4), 0);
    rest.extend(options.concat());
    if !options.is_empty() {
        rest.extend([0; 4]);
    }
    rest
}

/// A simple packet block.
pub(crate) fn simple(order: Order, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(wire_len), bytes].concat())
}
