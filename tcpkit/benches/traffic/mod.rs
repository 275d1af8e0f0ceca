//! Frames of simulated connections to a Redis server, for measurements of the engine.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a measurement that fails ends")]

use etherparse::PacketBuilder;
use tcpkit::capture::{Frame, HookDirection, LinkType};

/// A segment as it lies in a capture: Ethernet, IPv4, TCP.
pub(crate) struct Packet {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// When it passed, in ns.
    pub(crate) time_ns: u64,
}

impl Packet {
    /// As a source hands it over.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            time_ns: self.time_ns,
            ifindex: 1,
            direction: HookDirection::Ingress,
            link: LinkType::Ethernet,
            vlan: None,
            wire_len: self.bytes.len() as u32,
            bytes: &self.bytes,
        }
    }
}

/// Who sends a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Server,
}

/// Two ends that talk.
pub(crate) struct Connection {
    client: ([u8; 4], u16),
    /// The next sequence numbers of client and server.
    next: [u32; 2],
}

const SERVER: ([u8; 4], u16) = ([10, 200, 0, 1], 6379);
const WINDOW: u16 = 512;

impl Connection {
    /// The connection of the client with this number.
    pub(crate) fn new(number: u32) -> Self {
        let [_, a, b, c] = (number / 20_000).to_be_bytes();
        let port = 30_000 + (number % 20_000) as u16;
        Self { client: ([10, a, b, c + 1], port), next: [1_000, 2_000] }
    }

    /// A segment of one side, which has received all that the other sent.
    pub(crate) fn segment(
        &mut self,
        from: From,
        syn: bool,
        payload: &[u8],
        time_ns: u64,
    ) -> Packet {
        let ((source, source_port), (destination, destination_port), [seq, ack]) = match from {
            From::Client => (self.client, SERVER, self.next),
            From::Server => (SERVER, self.client, [self.next[1], self.next[0]]),
        };
        let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(source, destination, 64)
            .tcp(source_port, destination_port, seq, WINDOW);
        if syn {
            builder = builder.syn();
        }
        if !syn || from == From::Server {
            builder = builder.ack(ack);
        }
        let mut bytes = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut bytes, payload).expect("a vector takes everything");
        let sent = payload.len() as u32 + u32::from(syn);
        let next = &mut self.next[usize::from(from == From::Server)];
        *next = next.wrapping_add(sent);
        Packet { bytes, time_ns }
    }

    /// The three segments that open it.
    pub(crate) fn handshake(&mut self, time_ns: u64) -> [Packet; 3] {
        [
            self.segment(From::Client, true, b"", time_ns),
            self.segment(From::Server, true, b"", time_ns),
            self.segment(From::Client, false, b"", time_ns),
        ]
    }

    /// A request and its response.
    pub(crate) fn turn(&mut self, request: &[u8], response: &[u8], time_ns: u64) -> [Packet; 2] {
        [
            self.segment(From::Client, false, request, time_ns),
            self.segment(From::Server, false, response, time_ns + 50_000),
        ]
    }
}
