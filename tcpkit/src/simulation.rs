//! A simulated connection for tests: frames as two well-behaved ends would send them, and what the
//! engine makes of them after something was done to the frames.

use etherparse::PacketBuilder;

use crate::{
    capture::{Frame, HookDirection, LinkType},
    config::Limits,
    engine::{Engine, UsualPorts},
    ledger::Ledger,
    protocol::{DecodeOptions, PROTOCOLS, Protocol, Selection},
    transaction::Transaction,
};

/// A frame with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SimFrame {
    pub(crate) time_ns: u64,
    pub(crate) ifindex: u32,
    pub(crate) bytes: Vec<u8>,
    /// How many of the bytes are captured.
    pub(crate) captured: usize,
    /// Payload bytes it carries.
    pub(crate) payload_len: usize,
}

impl SimFrame {
    /// As a source hands it over.
    pub(crate) fn as_frame(&self) -> Frame<'_> {
        Frame {
            time_ns: self.time_ns,
            ifindex: self.ifindex,
            direction: HookDirection::Unknown,
            link: LinkType::Ethernet,
            vlan: None,
            wire_len: u32::try_from(self.bytes.len()).expect("short"),
            bytes: &self.bytes[..self.captured],
        }
    }
}

/// Ethernet, IPv4 and TCP without options.
pub(crate) const HEADERS: usize = 14 + 20 + 20;

/// One microsecond, in ns.
pub(crate) const US: u64 = 1_000;
/// One millisecond, in ns.
pub(crate) const MS: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// Two ends that talk.
#[derive(Clone)]
pub(crate) struct Connection {
    ports: [u16; 2],
    next: [u32; 2],
    now_ns: u64,
    /// The most payload bytes of a packet.
    mss: usize,
    frames: Vec<SimFrame>,
}

impl Connection {
    /// A connection to port 6379 whose handshake is over and was captured.
    pub(crate) fn open() -> Self {
        Self::on_ports(40_000, 6379).handshake()
    }

    /// A connection that nobody saw a packet of yet.
    pub(crate) fn on_ports(client: u16, server: u16) -> Self {
        Self {
            ports: [client, server],
            // The first wraps around within a few hundred bytes.
            next: [u32::MAX - 300, 1_000],
            now_ns: 1_000_000_000,
            mss: 60_000,
            frames: Vec::new(),
        }
    }

    pub(crate) fn with_mss(mut self, mss: usize) -> Self {
        self.mss = mss;
        self
    }

    pub(crate) fn handshake(mut self) -> Self {
        self.send(From::Client, "S", &[]);
        self.send(From::Server, "SA", &[]);
        self.send(From::Client, "A", &[]);
        self
    }

    /// Lets time pass.
    pub(crate) fn wait(mut self, ns: u64) -> Self {
        self.now_ns += ns;
        self
    }

    /// The client sends bytes.
    pub(crate) fn ask(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.send_all(From::Client, bytes.as_ref());
        self
    }

    /// The server sends bytes.
    pub(crate) fn answer(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.send_all(From::Server, bytes.as_ref());
        self
    }

    /// The client asks while the server, which has not received that yet, answers something else.
    pub(crate) fn cross(mut self, request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) -> Self {
        let received = self.next[0];
        self.send_all(From::Client, request.as_ref());
        let sent = std::mem::replace(&mut self.next[0], received);
        self.send_all(From::Server, answer.as_ref());
        self.next[0] = sent;
        self
    }

    /// Both ends say goodbye.
    pub(crate) fn close(mut self) -> Self {
        self.send(From::Client, "FA", &[]);
        self.send(From::Server, "FA", &[]);
        self.send(From::Client, "A", &[]);
        self
    }

    /// The server resets the connection.
    pub(crate) fn reset(mut self) -> Self {
        self.send(From::Server, "RA", &[]);
        self
    }

    /// The same ports are used again with other sequence numbers.
    pub(crate) fn reopen(mut self) -> Self {
        self.next = [self.next[0].wrapping_add(900_000), self.next[1].wrapping_add(7_000_000)];
        self.handshake()
    }

    /// Both ends go on with numbers that far on, as after a long time nobody watched.
    pub(crate) fn jump(mut self, by: u32) -> Self {
        self.next = self.next.map(|next| next.wrapping_add(by));
        self
    }

    /// Forgets the frames so far: the capture begins here.
    pub(crate) fn attach_here(mut self) -> Self {
        self.frames.clear();
        self
    }

    pub(crate) fn frames(self) -> Vec<SimFrame> {
        self.frames
    }

    fn send_all(&mut self, from: From, bytes: &[u8]) {
        for part in bytes.chunks(self.mss) {
            self.send(from, "PA", part);
        }
    }

    fn send(&mut self, from: From, flags: &str, payload: &[u8]) {
        self.now_ns += 10 * US;
        let (own, peer) = if from == From::Client { (0, 1) } else { (1, 0) };
        let ips = [[10, 0, 0, 1], [10, 0, 0, 2]];
        let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(ips[own], ips[peer], 64)
            .tcp(self.ports[own], self.ports[peer], self.next[own], 1000);
        for flag in flags.chars() {
            builder = match flag {
                'S' => builder.syn(),
                'F' => builder.fin(),
                'R' => builder.rst(),
                'P' => builder.psh(),
                _ => builder.ack(self.next[peer]),
            };
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).expect("a packet within IPv4's limits");
        let control = u32::from(flags.contains(['S', 'F']));
        let len = u32::try_from(payload.len()).expect("short") + control;
        self.next[own] = self.next[own].wrapping_add(len);
        self.frames.push(SimFrame {
            time_ns: self.now_ns,
            ifindex: 1,
            captured: bytes.len(),
            bytes,
            payload_len: payload.len(),
        });
    }
}

/// Frames of several connections, by time.
pub(crate) fn merge(all: impl IntoIterator<Item = Vec<SimFrame>>) -> Vec<SimFrame> {
    let mut frames: Vec<_> = all.into_iter().flatten().collect();
    frames.sort_by_key(|frame| frame.time_ns);
    frames
}

/// Cuts every frame's payload down to `snaplen` bytes.
pub(crate) fn cut(frames: &[SimFrame], snaplen: usize) -> Vec<SimFrame> {
    frames
        .iter()
        .map(|frame| SimFrame {
            captured: frame.bytes.len().min(HEADERS + snaplen),
            ..frame.clone()
        })
        .collect()
}

/// What tests compare of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) start_ns: u64,
    pub(crate) protocol: String,
    pub(crate) client: String,
    pub(crate) request: String,
    /// Request, wait and response, in ns.
    pub(crate) parts: [u64; 3],
    /// Of request and response.
    pub(crate) bytes: [u64; 2],
    pub(crate) status: String,
    pub(crate) quality: String,
}

impl Seen {
    pub(crate) fn latency_ns(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// Whether `whole` has this transaction, with the same times; where bytes were not captured,
    /// the text may end early.
    pub(crate) fn is_among(&self, whole: &[Self]) -> bool {
        let known: Vec<_> = self.request.split(' ').take(2).collect();
        let known = known.join(" ");
        let known = known.trim_end_matches('.');
        whole.iter().any(|one| {
            let Self { start_ns, protocol, client, request, parts, bytes, status, quality: _ } =
                one;
            (start_ns, protocol, client, parts, bytes, status)
                == (
                    &self.start_ns,
                    &self.protocol,
                    &self.client,
                    &self.parts,
                    &self.bytes,
                    &self.status,
                )
                && request.starts_with(known)
        })
    }

    /// Everything but the quality and the text of values, which depend on what was captured.
    pub(crate) fn measured(&self) -> Self {
        let words: Vec<_> = self.request.split(' ').take(2).collect();
        Self { request: words.join(" "), quality: String::new(), ..self.clone() }
    }
}

/// What the engine made of frames.
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) ledger: Ledger,
}

impl Outcome {
    pub(crate) fn requests(&self) -> Vec<&str> {
        self.seen.iter().map(|seen| seen.request.as_str()).collect()
    }
}

/// Runs the engine over frames, in the order given, and a quiet second after them, and checks that
/// its ledger sums.
pub(crate) fn run(frames: &[SimFrame]) -> Outcome {
    run_with(frames, Limits::default())
}

/// The same within other limits.
pub(crate) fn run_with(frames: &[SimFrame], limits: Limits) -> Outcome {
    run_for(frames, limits, 1_000 * MS)
}

/// The same, ending that long after the last frame.
pub(crate) fn run_for(frames: &[SimFrame], limits: Limits, quiet_ns: u64) -> Outcome {
    run_all(frames, &PROTOCOLS[0].into(), limits, quiet_ns)
}

/// The same as [`run`], of another protocol.
pub(crate) fn run_as(protocol: &'static Protocol, frames: &[SimFrame]) -> Outcome {
    run_reading(frames, &protocol.into())
}

/// The same, of several protocols.
pub(crate) fn run_reading(frames: &[SimFrame], selection: &Selection) -> Outcome {
    run_all(frames, selection, Limits::default(), 1_000 * MS)
}

fn run_all(frames: &[SimFrame], selection: &Selection, limits: Limits, quiet_ns: u64) -> Outcome {
    let hints = UsualPorts(selection.protocol(0));
    let mut engine = Engine::new(selection.clone(), limits, DecodeOptions::default(), hints);
    let mut seen = Vec::new();
    let mut emit = |transaction: &Transaction<'_>| {
        let timing = &transaction.timing;
        seen.push(Seen {
            start_ns: transaction.unix_ns,
            protocol: transaction.protocol.to_owned(),
            client: transaction.client.to_string(),
            request: transaction.request.to_owned(),
            parts: [timing.request_ns, timing.wait_ns, timing.response_ns],
            bytes: [transaction.request_bytes, transaction.response_bytes],
            status: transaction.status.to_string(),
            quality: transaction.quality.to_string(),
        });
    };
    for frame in frames {
        engine.on_frame(&frame.as_frame(), &mut emit);
    }
    engine.advance(engine.now_ns() + quiet_ns, &mut emit);
    engine.finish(&mut emit);
    let ledger = engine.ledger().clone();
    for (what, one, other) in ledger.sums() {
        assert_eq!(one, other, "{what} do not sum in\n{ledger}");
    }
    Outcome { seen, ledger }
}
