//! Tests of the decoder as a whole, through a driver that does what the stream layer does.

mod gaps;
mod links;
mod probes;
mod properties;
mod replies;
mod requests;
mod secrets;
mod transcripts;

use super::PROTOCOL;
use crate::protocol::{
    Correlation, DecodeOptions, Decoder, Direction, Fields, MAX_LOOKAHEAD, Scratch, Status, Step,
    fields::FieldValue, scratch::MAX_OPERATION,
};

use Direction::{Request, Response};

/// A message as tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    direction: Direction,
    correlation: Correlation,
    status: Status,
    operation: String,
    text: String,
    fields: String,
}

/// Feeds a decoder as the stream layer does, and checks that both keep the contract.
struct Driver {
    decoder: Box<dyn Decoder>,
    scratch: Scratch,
    pending: [Vec<u8>; 2],
    skip: [u64; 2],
    options: DecodeOptions,
    seen: Vec<Seen>,
    broken: Option<&'static str>,
    /// The most bytes that had to be kept for the decoder.
    held: usize,
}

impl Driver {
    fn new(options: DecodeOptions) -> Self {
        Self {
            decoder: (PROTOCOL.decoder)(),
            scratch: Scratch::new(options),
            pending: Default::default(),
            skip: [0; 2],
            options,
            seen: Vec::new(),
            broken: None,
            held: 0,
        }
    }

    fn feed(&mut self, direction: Direction, bytes: &[u8]) {
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
    fn turn(&mut self, direction: Direction) {
        let side = side(direction);
        let mut at = 0;
        while self.broken.is_none() {
            let input = &self.pending[side][at..];
            match self.decoder.decode(direction, input, &mut self.scratch) {
                Step::Consumed { len, message } => {
                    assert!(len <= input.len(), "consumed beyond the input");
                    assert!(len > 0 || message.is_some(), "no progress");
                    if let Some(message) = message {
                        assert!(message.text.len() <= self.options.max_text);
                        assert!(message.operation.len() <= MAX_OPERATION);
                        let seen = Seen {
                            direction,
                            correlation: message.correlation,
                            status: message.status,
                            operation: message.operation.to_owned(),
                            text: message.text.to_owned(),
                            fields: show(message.fields),
                        };
                        for text in [&seen.text, &seen.operation, &seen.fields] {
                            assert!(!text.chars().any(char::is_control), "{text:?}");
                        }
                        self.seen.push(seen);
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
    fn lose(&mut self, direction: Direction, len: u64) -> bool {
        let side = side(direction);
        let skipped = self.skip[side].min(len);
        self.skip[side] -= skipped;
        let len = len - skipped;
        if len > 0 {
            if !self.pending[side].is_empty() {
                return false;
            }
            let absorbed = self.decoder.handle_gap(direction, len);
            assert!(absorbed <= len);
            if absorbed < len {
                return false;
            }
        }
        if self.skip[side] == 0 {
            self.turn(direction);
        }
        self.broken.is_none()
    }

    /// The messages so far, as one line each.
    fn lines(&self) -> Vec<String> {
        self.seen.iter().map(Seen::line).collect()
    }
}

impl Seen {
    /// `> SET ordered "set foo bar"`, `< error one-way`.
    fn line(&self) -> String {
        let way = match self.correlation {
            Correlation::Ordered => "ordered",
            Correlation::OneWay => "one-way",
            Correlation::Id(_) => "id",
        };
        match self.direction {
            Request => format!("> {} | {way} | {}", self.operation, self.text),
            Response => format!("< {} | {way}", self.status),
        }
    }
}

fn side(direction: Direction) -> usize {
    match direction {
        Request => 0,
        Response => 1,
    }
}

fn show(fields: &[u8]) -> String {
    let fields = Fields::new(PROTOCOL.field_names, fields).map(|(name, value)| match value {
        FieldValue::Int(value) => format!("{name}={value}"),
        FieldValue::Text(value) => format!("{name}={value}"),
    });
    fields.collect::<Vec<_>>().join(" ")
}

/// Decodes bytes cut into pieces of these lengths, the last one again and again.
fn decode_cut(
    direction: Direction,
    bytes: &[u8],
    cuts: &[usize],
    options: DecodeOptions,
) -> Driver {
    let mut driver = Driver::new(options);
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
fn decode_all(direction: Direction, bytes: &[u8], options: DecodeOptions) -> Driver {
    let whole = decode_cut(direction, bytes, &[], options);
    for size in [1, 2, 3, 7, 64] {
        let cut = decode_cut(direction, bytes, &[size], options);
        assert_eq!(cut.seen, whole.seen, "in pieces of {size}");
        assert_eq!(cut.broken.is_some(), whole.broken.is_some(), "in pieces of {size}");
    }
    if bytes.len() < 4096 {
        for at in 1..bytes.len() {
            let cut = decode_cut(direction, bytes, &[at, bytes.len()], options);
            assert_eq!(cut.seen, whole.seen, "cut at {at}");
            assert_eq!(cut.broken.is_some(), whole.broken.is_some(), "cut at {at}");
        }
    }
    whole
}

/// A command as clients frame it.
fn multibulk(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The same of words without white space.
fn command(words: &str) -> Vec<u8> {
    let arguments: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    multibulk(&arguments)
}

fn check(direction: Direction, bytes: &[u8], expect: &[&str]) {
    let driver = decode_all(direction, bytes, DecodeOptions::default());
    assert_eq!(driver.broken, None, "{:?}", bytes.escape_ascii().to_string());
    assert_eq!(driver.lines(), expect, "{:?}", bytes.escape_ascii().to_string());
    assert!(driver.pending.iter().all(Vec::is_empty));
}

fn check_invalid(direction: Direction, bytes: &[u8]) {
    let driver = decode_all(direction, bytes, DecodeOptions::default());
    assert!(driver.broken.is_some(), "{:?}", bytes.escape_ascii().to_string());
}
