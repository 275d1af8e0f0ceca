//! Frames of captures: read from files, made by hand, and written to files.

use std::{fs, net::SocketAddr, path::Path};

use etherparse::PacketBuilder;
use tcpkit::{
    packet::{Decoded, Endpoint, TcpFlags, decode},
    pcapfile::Reader,
};

/// A packet of a capture file, as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// Sequence number and flags, of TCP.
    pub(crate) tcp: Option<(u32, TcpFlags)>,
    pub(crate) payload: Vec<u8>,
}

/// All packets of a file.
pub(crate) fn packets(path: &Path) -> Vec<Packet> {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let address = |end: Endpoint| SocketAddr::new(end.ip(), end.port());
    let mut packets = Vec::new();
    let mut reader = Reader::new();
    let mut rest = &file[..];
    loop {
        match reader.next_frame().expect("a whole file") {
            Some(frame) => {
                let (addresses, tcp, payload) = match decode(&frame) {
                    Decoded::Tcp(it) => {
                        (it.addresses, Some((it.tcp.seq, it.tcp.flags)), it.payload.bytes)
                    }
                    Decoded::Udp(it) => (it.addresses, None, it.payload.bytes),
                    Decoded::Other(_) => continue,
                };
                packets.push(Packet {
                    source: address(addresses.source),
                    destination: address(addresses.destination),
                    tcp,
                    payload: payload.to_vec(),
                });
            }
            None if rest.is_empty() => return packets,
            None => {
                let room = reader.room();
                let len = room.len().min(rest.len());
                room[..len].copy_from_slice(&rest[..len]);
                reader.filled(len);
                rest = &rest[len..];
            }
        }
    }
}

/// A capture file in the making: Ethernet, times in ns, a packet each 100 µs.
pub(crate) struct Writer {
    bytes: Vec<u8>,
    now_ns: u64,
    pub(crate) count: usize,
}

/// The client's address and the server's.
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// The server's port.
const DNS: u16 = 53;

impl Writer {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        // The classic format with nanoseconds: magic, version 2.4, zone, accuracy, snaplen, Ethernet.
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Self { bytes, now_ns: 1_800_000_000_000_000_000, count: 0 }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, ns: u64) {
        self.now_ns += ns;
    }

    /// A datagram of the client, or of the server, of which so many bytes of payload were not captured.
    pub(crate) fn udp(&mut self, is_response: bool, port: u16, payload: &[u8], missing: usize) {
        let (ips, ports) = ends(is_response, port);
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(ips[0], ips[1], 64)
            .udp(ports[0], ports[1])
            .write(&mut frame, payload)
            .expect("a packet within IPv4's limits");
        self.push(&frame, missing);
    }

    /// A segment likewise.
    pub(crate) fn tcp(
        &mut self,
        is_response: bool,
        port: u16,
        (seq, is_syn): (u32, bool),
        payload: &[u8],
        missing: usize,
    ) {
        let (ips, ports) = ends(is_response, port);
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(ips[0], ips[1], 64)
            .tcp(ports[0], ports[1], seq, 1000);
        if is_syn {
            builder = builder.syn();
        }
        if is_response || !is_syn {
            builder = builder.ack(1);
        }
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).expect("a packet within IPv4's limits");
        self.push(&frame, missing);
    }

    fn push(&mut self, frame: &[u8], missing: usize) {
        self.now_ns += 100_000;
        self.count += 1;
        let captured = frame.len() - missing;
        let number = |value: u64| u32::try_from(value).expect("a small number").to_le_bytes();
        for value in [
            self.now_ns / 1_000_000_000,
            self.now_ns % 1_000_000_000,
            captured as u64,
            frame.len() as u64,
        ] {
            self.bytes.extend_from_slice(&number(value));
        }
        self.bytes.extend_from_slice(&frame[..captured]);
    }

    pub(crate) fn save(&self, path: &Path) {
        fs::write(path, &self.bytes).expect("a file in the folder for tests");
    }
}

fn ends(is_response: bool, port: u16) -> ([[u8; 4]; 2], [u16; 2]) {
    match is_response {
        true => ([SERVER, CLIENT], [DNS, port]),
        false => ([CLIENT, SERVER], [port, DNS]),
    }
}
