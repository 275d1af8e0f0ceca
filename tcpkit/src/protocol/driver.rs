//! For tests: feeds a decoder as the stream layer does, in pieces of any size and with bytes missing, and
//! checks that both keep the contract.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::num::NonZero;

use super::{
    Correlation, DecodeOptions, Decoder, Direction, Fields, MAX_LOOKAHEAD, Message, Part, Protocol,
    Scratch, Status, Step, fields::FieldValue, scratch::MAX_OPERATION,
};

/// A message as tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) direction: Direction,
    pub(super) correlation: Correlation,
    pub(super) part: Part,
    pub(super) status: Status,
    pub(super) passed_over: u32,
    pub(super) completes_first: bool,
    pub(super) deadline_ns: Option<u64>,
    pub(super) operation: String,
    pub(super) text: String,
    pub(super) fields: String,
}

/// Feeds a decoder as the stream layer does, and checks that both keep the contract.
pub(super) struct Driver {
    protocol: &'static Protocol,
    pub(super) decoder: Box<dyn Decoder>,
    scratch: Scratch,
    pub(super) pending: [Vec<u8>; 2],
    pub(super) skip: [u64; 2],
    options: DecodeOptions,
    pub(super) seen: Vec<Seen>,
    pub(super) broken: Option<&'static str>,
    /// The most bytes that had to be kept for the decoder.
    pub(super) held: usize,
}

impl Driver {
    pub(super) fn new(protocol: &'static Protocol, options: DecodeOptions) -> Self {
        Self {
            protocol,
            decoder: (protocol.decoder)(),
            scratch: Scratch::new(options.clone()),
            pending: Default::default(),
            skip: [0; 2],
            options,
            seen: Vec::new(),
            broken: None,
            held: 0,
        }
    }

    pub(super) fn feed(&mut self, direction: Direction, bytes: &[u8]) {
        let side = side(direction);
        let skipped = bytes.len().min(usize::try_from(self.skip[side]).unwrap_or(usize::MAX));
        self.skip[side] -= skipped as u64;
        if self.skip[side] > 0 {
            return;
        }
        self.pending[side].extend_from_slice(&bytes[skipped..]);
        self.turn(direction);
    }

    /// Lets the decoder go as far as it can.
    pub(super) fn turn(&mut self, direction: Direction) {
        let side = side(direction);
        let mut at = 0;
        while self.broken.is_none() {
            let input = &self.pending[side][at..];
            match self.decoder.decode(direction, input, &mut self.scratch) {
                Step::Consumed { len, message } => {
                    assert!(len <= input.len(), "consumed beyond the input");
                    assert!(len > 0 || message.is_some(), "no progress");
                    if let Some(message) = message {
                        let seen = Seen::new(self.protocol, direction, &message);
                        self.seen.push(seen.checked(&self.options));
                    }
                    at += len;
                }
                Step::Discard { len } => {
                    assert!(len > 0 && len <= input.len());
                    at += len;
                }
                Step::Skip { len } => {
                    assert!(len > 0);
                    let here = (input.len() as u64).min(len);
                    at += usize::try_from(here).unwrap();
                    self.skip[side] = len - here;
                    if self.skip[side] > 0 {
                        break;
                    }
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least > input.len() && at_least <= MAX_LOOKAHEAD, "{at_least}");
                    break;
                }
                Step::Invalid(error) => self.broken = Some(error.reason),
            }
        }
        self.pending[side].drain(..at);
        if self.broken.is_none() {
            self.held = self.held.max(self.pending[side].len());
        }
    }

    /// Loses bytes; says whether the decoder still knows where it is.
    pub(super) fn lose(&mut self, direction: Direction, len: u64) -> bool {
        let side = side(direction);
        let skipped = self.skip[side].min(len);
        self.skip[side] -= skipped;
        let len = len - skipped;
        let mut len = len;
        if len == 0 && self.skip[side] == 0 {
            self.turn(direction);
        }
        while len > 0 && self.broken.is_none() {
            let before = std::mem::take(&mut self.pending[side]);
            let held = before.len() as u64;
            let behind = self.decoder.handle_gap(direction, &before, len);
            assert!(behind <= held + len);
            if behind <= held {
                return false;
            }
            len -= behind - held;
            self.turn(direction);
            let skipped = self.skip[side].min(len);
            self.skip[side] -= skipped;
            len -= skipped;
        }
        self.broken.is_none()
    }

    /// The sender said that nothing more comes.
    pub(super) fn end(&mut self, direction: Direction) {
        if self.broken.is_some() || !self.pending[side(direction)].is_empty() {
            return;
        }
        if let Some(message) = self.decoder.handle_end(direction, &mut self.scratch) {
            let seen = Seen::new(self.protocol, direction, &message);
            self.seen.push(seen.checked(&self.options));
        }
    }

    /// The direction was lost: whether the decoder finds its way back at these bytes, which it then reads.
    pub(super) fn rejoin(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        self.pending[side(direction)].clear();
        self.skip[side(direction)] = 0;
        self.broken = None;
        let found = self.decoder.rejoin(direction, bytes);
        if found {
            self.feed(direction, bytes);
        }
        found
    }

    /// The messages so far, as one line each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen.iter().map(Seen::line).collect()
    }
}

impl Seen {
    fn new(protocol: &Protocol, direction: Direction, message: &Message<'_>) -> Self {
        Self {
            direction,
            correlation: message.correlation,
            part: message.part,
            completes_first: message.completes_first,
            deadline_ns: message.deadline_ns.map(NonZero::get),
            status: message.status,
            passed_over: message.passed_over,
            operation: message.operation.to_owned(),
            text: message.text.to_owned(),
            fields: show(protocol, message.fields),
        }
    }

    /// Checks that it is bounded and printable.
    fn checked(self, options: &DecodeOptions) -> Self {
        assert!(self.text.len() <= options.max_text);
        assert!(self.operation.len() <= MAX_OPERATION);
        for text in [&self.text, &self.operation, &self.fields] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        self
    }

    /// `> SET | ordered | set foo bar`, `< error | #7 last | 404`.
    pub(super) fn line(&self) -> String {
        let way = match self.correlation {
            Correlation::Ordered => "ordered".to_owned(),
            Correlation::OneWay => "one-way".to_owned(),
            Correlation::Id(id) => format!("#{id}"),
            Correlation::Turn => "turn".to_owned(),
        };
        let part = match self.part {
            Part::Whole => "",
            Part::First => " first",
            Part::Middle => " middle",
            Part::Last => " last",
            Part::Void => " void",
            Part::Cancel => " cancel",
        };
        let text = if self.text.is_empty() { String::new() } else { format!(" | {}", self.text) };
        match self.direction {
            Direction::Request => format!("> {} | {way}{part}{text}", self.operation),
            Direction::Response => {
                let passed = match self.passed_over {
                    0 => String::new(),
                    count => format!(" passes {count}"),
                };
                format!("< {} | {way}{part}{passed}{text}", self.status)
            }
        }
    }
}

pub(super) fn side(direction: Direction) -> usize {
    match direction {
        Direction::Request => 0,
        Direction::Response => 1,
    }
}

pub(super) fn show(protocol: &Protocol, fields: &[u8]) -> String {
    let fields = Fields::new(protocol.field_names, fields).map(|(name, value)| match value {
        FieldValue::Int(value) => format!("{name}={value}"),
        FieldValue::Text(value) => format!("{name}={value}"),
    });
    fields.collect::<Vec<_>>().join(" ")
}

/// Decodes bytes cut into pieces of these lengths, the last one again and again.
pub(super) fn decode_cut(
    protocol: &'static Protocol,
    direction: Direction,
    bytes: &[u8],
    cuts: &[usize],
    options: DecodeOptions,
) -> Driver {
    let mut driver = Driver::new(protocol, options);
    let mut rest = bytes;
    let mut cuts = cuts.iter().copied();
    let mut last = rest.len();
    while !rest.is_empty() {
        last = cuts.next().unwrap_or(last).max(1);
        let (piece, behind) = rest.split_at(last.min(rest.len()));
        driver.feed(direction, piece);
        rest = behind;
    }
    driver
}

/// Decodes bytes whole, and checks that cutting them up makes no difference.
pub(super) fn decode_all(
    protocol: &'static Protocol,
    direction: Direction,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Driver {
    let whole = decode_cut(protocol, direction, bytes, &[], options.clone());
    for size in [1, 2, 3, 7, 64] {
        let cut = decode_cut(protocol, direction, bytes, &[size], options.clone());
        assert_eq!(cut.seen, whole.seen, "in pieces of {size}");
        assert_eq!(cut.broken.is_some(), whole.broken.is_some(), "in pieces of {size}");
    }
    if bytes.len() < 4096 {
        for at in 1..bytes.len() {
            let cut = decode_cut(protocol, direction, bytes, &[at, bytes.len()], options.clone());
            assert_eq!(cut.seen, whole.seen, "cut at {at}");
            assert_eq!(cut.broken.is_some(), whole.broken.is_some(), "cut at {at}");
        }
    }
    whole
}
