//! TCP connections that exist only as frames: what a client and a server would have sent.

use std::net::Ipv4Addr;

/// The server's port.
pub(crate) const PORT: u16 = 6379;

/// What a segment with a full load carries over Ethernet, with time stamps.
pub(crate) const SEGMENT_BYTES: usize = 1448;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const TCP_LEN: usize = 32;

/// Everything in front of the payload.
const HEADERS_LEN: usize = ETHERNET_LEN + IPV4_LEN + TCP_LEN;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x08;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// Clients have addresses from here on.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

/// … and so many ports each, from the first one on.
const CLIENT_PORTS: usize = 40_000;
const FIRST_CLIENT_PORT: u16 = 20_000;

/// Who sends a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// One connection, and how far both sides are.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    client: (Ipv4Addr, u16),
    client_next: u32,
    server_next: u32,
}

impl Connection {
    /// The connection of a number; no two have the same addresses and ports.
    pub(crate) fn new(number: usize) -> Self {
        let host = u32::from(FIRST_CLIENT) + (number / CLIENT_PORTS) as u32;
        let port = FIRST_CLIENT_PORT + (number % CLIENT_PORTS) as u16;
        let first = (number as u32).wrapping_mul(0x9e37_79b9);
        Self {
            client: (Ipv4Addr::from(host), port),
            client_next: first,
            server_next: first.wrapping_add(0x1000_0000),
        }
    }

    /// All of a number of connections.
    pub(crate) fn many(count: usize) -> Vec<Self> {
        (0..count).map(Self::new).collect()
    }

    /// Writes the next of the three segments that open it; `step` counts them from 0.
    pub(crate) fn open(&mut self, step: usize, frame: &mut Vec<u8>) {
        match step {
            0 => self.segment(Sender::Client, SYN, &[], frame),
            1 => self.segment(Sender::Server, SYN | ACK, &[], frame),
            _ => self.segment(Sender::Client, ACK, &[], frame),
        }
    }

    /// Writes the next segment with a payload.
    pub(crate) fn send(&mut self, from: Sender, payload: &[u8], frame: &mut Vec<u8>) {
        self.segment(from, PUSH | ACK, payload, frame);
    }

    fn segment(&mut self, from: Sender, flags: u8, payload: &[u8], frame: &mut Vec<u8>) {
        let (client, server) = (self.client, (SERVER, PORT));
        let (source, target, seq, ack) = match from {
            Sender::Client => (client, server, self.client_next, self.server_next),
            Sender::Server => (server, client, self.server_next, self.client_next),
        };
        let ack = if flags & ACK == 0 { 0 } else { ack };
        frame.clear();
        frame.reserve(HEADERS_LEN + payload.len());
        // To a host that is not there: whoever receives it has nothing to answer.
        frame.extend([2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 1, 8, 0]);
        let total = (IPV4_LEN + TCP_LEN + payload.len()) as u16;
        let mut ip = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[12..16].copy_from_slice(&source.0.octets());
        ip[16..20].copy_from_slice(&target.0.octets());
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(ip);
        frame.extend(source.1.to_be_bytes());
        frame.extend(target.1.to_be_bytes());
        frame.extend(seq.to_be_bytes());
        frame.extend(ack.to_be_bytes());
        // Nobody checks the TCP checksum of what is captured: network cards fill it in later.
        frame.extend([(TCP_LEN as u8 / 4) << 4, flags, 0x01, 0xf5, 0, 0, 0, 0]);
        frame.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
        frame.extend(payload);
        let len = payload.len() as u32 + u32::from(flags & SYN != 0);
        match from {
            Sender::Client => self.client_next = self.client_next.wrapping_add(len),
            Sender::Server => self.server_next = self.server_next.wrapping_add(len),
        }
    }
}

/// IPv4's, of a header that has zeroes in its place.
fn checksum(header: &[u8]) -> u16 {
    let pairs = header.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let sum: u32 = pairs.map(u32::from).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(frame: &[u8]) -> (u32, u32) {
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        (word(38), word(42))
    }

    #[test]
    fn each_side_acknowledges_what_the_other_sent() {
        let mut connection = Connection::new(70_000);
        let mut frame = Vec::new();
        connection.open(0, &mut frame);
        let (client, _) = words(&frame);
        connection.open(1, &mut frame);
        let (server, ack) = words(&frame);
        assert_eq!(ack, client.wrapping_add(1));
        connection.open(2, &mut frame);
        assert_eq!(words(&frame), (client.wrapping_add(1), server.wrapping_add(1)));
        connection.send(Sender::Client, b"PING\r\n", &mut frame);
        assert_eq!(words(&frame), (client.wrapping_add(1), server.wrapping_add(1)));
        assert_eq!(frame.len(), HEADERS_LEN + 6);
        connection.send(Sender::Server, b"+PONG\r\n", &mut frame);
        assert_eq!(words(&frame), (server.wrapping_add(1), client.wrapping_add(7)));
    }

    #[test]
    fn no_two_connections_are_one() {
        let mut ends: Vec<_> = Connection::many(100_000).iter().map(|it| it.client).collect();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), 100_000);
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let mut frame = Vec::new();
        Connection::new(3).open(0, &mut frame);
        assert_eq!(checksum(&frame[ETHERNET_LEN..ETHERNET_LEN + IPV4_LEN]), 0);
    }
}
