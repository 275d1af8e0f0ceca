//! Two ends whose packets an engine sees, one connection after the other.

use tcpkit::{
    capture::{Frame, HookDirection, LinkType},
    config::Limits,
    engine::{Engine, UsualPorts},
    packet::TcpFlags,
    protocol::{DecodeOptions, Protocol},
};

/// How many requests of a connection may wait, so that memory is bounded closely.
const MAX_OPEN: usize = 1024;

/// IPv4 and TCP without options.
const HEADERS: usize = 40;
const UDP_HEADERS: usize = 28;

/// What one end said in one packet.
pub(crate) struct Said {
    pub(crate) by_client: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Wire {
    engine: Engine<UsualPorts>,
    server: u16,
    client: u16,
    next: [u32; 2],
    now_ns: u64,
    packet: Vec<u8>,
    packets: u64,
    /// Payload in segments and in datagrams.
    sent: u64,
    sent_in_datagrams: u64,
    transactions: u64,
}

impl Wire {
    pub(crate) fn new(protocol: &'static Protocol) -> Self {
        let limits = Limits { max_open: MAX_OPEN, ..Limits::default() };
        let options = DecodeOptions::default();
        Self {
            engine: Engine::new(protocol, limits, options, UsualPorts(protocol)),
            server: protocol.ports.first().copied().unwrap_or(1),
            client: 20_000,
            next: [0; 2],
            now_ns: 1_000_000_000,
            packet: Vec::with_capacity(1 << 16),
            packets: 0,
            sent: 0,
            sent_in_datagrams: 0,
            transactions: 0,
        }
    }

    /// Payload bytes that a decoder got so far.
    pub(crate) fn read(&self) -> u64 {
        self.engine.ledger().messages.read_bytes
    }

    /// Payload bytes of connections that were given up.
    pub(crate) fn unread(&self) -> u64 {
        self.engine.ledger().messages.unread_bytes
    }

    /// Another connection.
    pub(crate) fn open(&mut self) {
        self.client = if self.client == u16::MAX { 20_000 } else { self.client + 1 };
        self.next = [u32::MAX - 1_000, 5_000];
        self.segment(0, TcpFlags::SYN, &[]);
        self.segment(1, TcpFlags::SYN | TcpFlags::ACK, &[]);
        self.segment(0, TcpFlags::ACK, &[]);
    }

    pub(crate) fn say(&mut self, by_client: bool, bytes: &[u8]) {
        // A capture may have larger packets than IPv4 has.
        for bytes in bytes.chunks(65_000) {
            self.segment(usize::from(!by_client), TcpFlags::ACK, bytes);
        }
    }

    pub(crate) fn reset(&mut self) {
        self.segment(0, TcpFlags::RST | TcpFlags::ACK, &[]);
    }

    pub(crate) fn datagram(&mut self, by_client: bool, bytes: &[u8]) {
        self.headers(usize::from(!by_client), 17, UDP_HEADERS + bytes.len());
        let len = u16::try_from(8 + bytes.len()).unwrap();
        self.packet.extend(len.to_be_bytes());
        self.packet.extend([0, 0]);
        self.packet.extend_from_slice(bytes);
        self.sent_in_datagrams += bytes.len() as u64;
        self.show();
    }

    /// IPv4 and both ports.
    fn headers(&mut self, side: usize, transport: u8, len: usize) {
        let (ends, ports) = ([1, 2], [self.client, self.server]);
        let packet = &mut self.packet;
        packet.clear();
        packet.extend([0x45, 0]);
        packet.extend(u16::try_from(len).unwrap().to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, transport, 0, 0]);
        packet.extend([10, 0, 0, ends[side], 10, 0, 0, ends[1 - side]]);
        packet.extend(ports[side].to_be_bytes());
        packet.extend(ports[1 - side].to_be_bytes());
    }

    fn segment(&mut self, side: usize, flags: TcpFlags, payload: &[u8]) {
        self.headers(side, 6, HEADERS + payload.len());
        self.packet.extend(self.next[side].to_be_bytes());
        self.packet.extend(self.next[1 - side].to_be_bytes());
        self.packet.extend([0x50, flags.bits(), 0xff, 0xff, 0, 0, 0, 0]);
        self.packet.extend_from_slice(payload);
        let control = u32::from(flags.contains(TcpFlags::SYN));
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32 + control);
        self.sent += payload.len() as u64;
        self.show();
    }

    fn show(&mut self) {
        self.now_ns += 100_000;
        self.packets += 1;
        let Self { engine, packet, now_ns, transactions, .. } = self;
        let frame = Frame {
            time_ns: *now_ns,
            ifindex: 1,
            direction: HookDirection::Unknown,
            link: LinkType::RawIp,
            vlan: None,
            wire_len: u32::try_from(packet.len()).unwrap(),
            bytes: packet,
        };
        engine.on_frame(&frame, &mut |transaction| {
            let latency_ns = transaction.timing.latency_ns();
            assert!(transaction.unix_ns + latency_ns <= *now_ns, "{transaction:?}");
            *transactions += 1;
        });
    }

    /// Everything was counted.
    pub(crate) fn finish(mut self) {
        let transactions = &mut self.transactions;
        self.engine.finish(&mut |_| *transactions += 1);
        let ledger = self.engine.ledger();
        for (what, one, other) in ledger.sums() {
            assert_eq!(one, other, "{what} do not sum in\n{ledger}");
        }
        assert_eq!(ledger.packets.received, self.packets, "{ledger}");
        assert_eq!(ledger.messages.reported, self.transactions, "{ledger}");
        let read = ledger.bytes.request + ledger.bytes.response;
        assert!(read >= self.sent && read <= self.sent + self.sent_in_datagrams, "{ledger}");
        println!("{ledger}");
    }
}
