//! What the engine makes of frames, and whether that is a part of what it makes of all of them.

use std::{cell::RefCell, collections::HashMap, io, rc::Rc};

use tcpkit::{
    capture::Frame,
    config::Limits,
    engine::{Engine, UsualPorts},
    ledger::Ledger,
    protocol::{DecodeOptions, Protocol, Status, fields::FieldValue, secrets::REDACTED},
    sink::{self, Style},
    transaction::{Quality, Transaction},
};

/// A transaction as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) measured: Measured,
    pub(crate) operation: String,
    pub(crate) request: String,
    pub(crate) response: String,
    pub(crate) fields: String,
    pub(crate) first_ns: Option<u64>,
    pub(crate) deadline_ns: Option<u64>,
    pub(crate) quality: Quality,
    pub(crate) status: Status,
}

/// What may not depend on anything that happened to packets: who, when, how long, how much, and how it
/// ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Measured {
    pub(crate) start_ns: u64,
    pub(crate) client: String,
    pub(crate) server: String,
    /// Request, wait and response, in ns.
    pub(crate) parts: [u64; 3],
    /// Of request and response.
    pub(crate) bytes: [u64; 2],
    pub(crate) cancelled: bool,
}

impl Seen {
    fn of(transaction: &Transaction<'_>) -> Self {
        let timing = &transaction.timing;
        let fields = transaction.request_fields.chain(transaction.response_fields);
        let fields = fields.map(|(name, value)| match value {
            FieldValue::Int(value) => format!("{name}={value}"),
            FieldValue::Text(value) => format!("{name}={value:?}"),
        });
        Self {
            measured: Measured {
                start_ns: transaction.unix_ns,
                client: transaction.client.to_string(),
                server: transaction.server.to_string(),
                parts: [timing.request_ns, timing.wait_ns, timing.response_ns],
                bytes: [transaction.request_bytes, transaction.response_bytes],
                cancelled: transaction.cancelled,
            },
            operation: transaction.operation.to_owned(),
            request: transaction.request.to_owned(),
            response: transaction.response.to_owned(),
            fields: fields.collect::<Vec<_>>().join(" "),
            first_ns: transaction.first_ns,
            deadline_ns: transaction.deadline_ns,
            quality: transaction.quality,
            status: transaction.status,
        }
    }

    /// Whether this is `whole`, of which some bytes may not have been captured: then text may end
    /// early, and what stood there may be missing; but nothing may be otherwise.
    fn is_part_of(&self, whole: &Self) -> bool {
        let is_cut = match self.quality {
            Quality::Exact | Quality::Midstream => has_unknowns,
            Quality::Gap | Quality::Truncated => is_cut,
        };
        self.measured == whole.measured
            && (self.status == Status::Unknown || self.status == whole.status)
            && is_cut(&self.operation, &whole.operation)
            && is_cut(&self.request, &whole.request)
            && is_cut(&self.response, &whole.response)
            && (self.first_ns.is_none() || self.first_ns == whole.first_ns)
            && (self.deadline_ns.is_none() || self.deadline_ns == whole.deadline_ns)
    }
}

impl Seen {
    /// Whether this is the answer to a request that by `whole` the client gave up before.
    fn was_given_up(&self, whole: &Self) -> bool {
        let (one, other) = (&self.measured, &whole.measured);
        let asked = |it: &Measured| (it.start_ns, it.parts[0], it.bytes[0]);
        other.cancelled
            && !one.cancelled
            && (&one.client, &one.server) == (&other.client, &other.server)
            && asked(one) == asked(other)
            && is_cut(&self.request, &whole.request)
    }
}

/// Whether `text` is `whole`, up to where it says that something is missing, or hidden because it is not
/// known to be harmless.
fn is_cut(text: &str, whole: &str) -> bool {
    let known = text.split("...").next().and_then(|text| text.split(REDACTED).next());
    // What stood between it and the next piece may be missing with that.
    let known = known.map(|known| known.trim_end_matches([' ', ',']));
    has_unknowns(text, whole) || known.is_some_and(|known| whole.starts_with(known))
}

/// Whether `text` is `whole`, with a `?` in the place of what was said before anybody listened.
fn has_unknowns(text: &str, whole: &str) -> bool {
    let mut pieces = text.split('?');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = whole.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.split_at(at + piece.len()).1;
    }
    true
}

/// What the engine made of frames.
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    /// As `--format json` prints it.
    pub(crate) json: String,
    pub(crate) ledger: Ledger,
}

/// Runs the engine over frames in the order given, as over a file, and checks that its ledger sums.
pub(crate) fn replay<'a>(
    protocol: &'static Protocol,
    frames: impl IntoIterator<Item = Frame<'a>>,
) -> Outcome {
    run(protocol, frames, false)
}

/// The same with the lines that are printed.
pub(crate) fn replay_and_print<'a>(
    protocol: &'static Protocol,
    frames: impl IntoIterator<Item = Frame<'a>>,
) -> Outcome {
    run(protocol, frames, true)
}

fn run<'a>(
    protocol: &'static Protocol,
    frames: impl IntoIterator<Item = Frame<'a>>,
    prints: bool,
) -> Outcome {
    let (limits, options) = (Limits::default(), DecodeOptions::default());
    let mut engine = Engine::new(protocol, limits, options, UsualPorts(protocol));
    let printed = Printed::default();
    let json = sink::by_name("json").expect("it is in the registry");
    let mut printer = (json.make)(Box::new(printed.clone()), Style::default());
    let mut seen = Vec::new();
    let mut emit = |transaction: &Transaction<'_>| {
        seen.push(Seen::of(transaction));
        if prints {
            printer.on_transaction(transaction).expect("memory takes everything");
        }
    };
    for frame in frames {
        engine.on_frame(&frame, &mut emit);
    }
    engine.finish(&mut emit);
    printer.finish().expect("memory takes everything");
    let ledger = engine.ledger().clone();
    for (what, one, other) in ledger.sums() {
        assert_eq!(one, other, "{what} do not sum in\n{ledger}");
    }
    let json = String::from_utf8(printed.0.take()).expect("JSON is UTF-8");
    Outcome { seen, json, ledger }
}

/// The transactions of a connection that was captured whole.
pub(crate) struct Whole {
    pub(crate) seen: Vec<Seen>,
    places: HashMap<Measured, Vec<usize>>,
}

impl Whole {
    pub(crate) fn of(seen: Vec<Seen>) -> Self {
        let mut places = HashMap::<_, Vec<_>>::new();
        for (place, one) in seen.iter().enumerate() {
            places.entry(one.measured.clone()).or_default().push(place);
        }
        Self { seen, places }
    }

    /// What of `seen` is no part of this, or comes more often than here.
    pub(crate) fn strangers<'a>(&self, seen: &'a [Seen]) -> Vec<&'a Seen> {
        let mut taken = vec![false; self.seen.len()];
        let mut strangers: Vec<&Seen> = seen.iter().collect();
        // Those that are the same first, so that a text that was cut does not take another's place.
        for is_same in [Seen::eq as fn(&Seen, &Seen) -> bool, Seen::is_part_of] {
            strangers.retain(|one| {
                let places = self.places.get(&one.measured).into_iter().flatten();
                let mut free = places.filter(|&&place| !taken[place]);
                let place = free.find(|&&place| is_same(one, &self.seen[place])).copied();
                if let Some(place) = place {
                    taken[place] = true;
                }
                place.is_none()
            });
        }
        // The packet in which a client gives up may be lost; then what the server said all the same counts.
        strangers.retain(|one| {
            !self.seen.iter().zip(&mut taken).any(|(whole, taken)| {
                let is_free = !std::mem::replace(taken, *taken || one.was_given_up(whole));
                is_free && one.was_given_up(whole)
            })
        });
        strangers
    }
}

/// The same transactions in an order that does not depend on when each was handed over.
pub(crate) fn sorted(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_by(|a, b| (&a.measured, &a.request).cmp(&(&b.measured, &b.request)));
    seen
}

/// An output in memory.
#[derive(Clone, Default)]
struct Printed(Rc<RefCell<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
