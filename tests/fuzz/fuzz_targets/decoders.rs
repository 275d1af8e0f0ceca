//! A decoder of the registry, on any bytes, cut anywhere, with gaps and resyncs between.
//!
//! The input is a program: a byte for the decoder and its options, then instructions of one byte and what
//! they take. Asserted is what the stream layer relies on, and that what a decoder keeps
//! waiting stays small.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpkit::protocol::{
    DecodeOptions, Decoder, Direction, Entry, Fields, MAX_LOOKAHEAD, Protocol, Scratch, Step,
    fields::FieldValue, scratch::MAX_OPERATION,
};
use tcpkit_fuzz::{FUZZED, push_bytes, write_seeds};

/// The options of seeds: text of 128 bytes, and fields.
const SEED_OPTIONS: u8 = 2 << 5;

fuzz_target!(init: write_seeds(SEED_OPTIONS, push_bytes), |input: &[u8]| {
    let Some((&first, program)) = input.split_first() else { return };
    let protocol = *FUZZED;
    let options = DecodeOptions {
        max_text: [0, 3, 128, 5000][usize::from(first >> 5) % 4],
        fields: first & 0x80 == 0,
        ..DecodeOptions::default()
    };
    let _ = (protocol.probe)(program);
    Machine::new(protocol, options, first & 1 != 0).run(program);
});

struct Machine {
    protocol: &'static Protocol,
    decoder: Box<dyn Decoder>,
    /// What is fed is a datagram each time.
    datagrams: bool,
    options: DecodeOptions,
    scratch: Scratch,
    streams: [Stream; 2],
}

#[derive(Default)]
struct Stream {
    pending: Vec<u8>,
    skip: u64,
    want: usize,
    /// It is not read until the decoder finds its way back.
    lost: bool,
}

impl Machine {
    fn new(protocol: &'static Protocol, options: DecodeOptions, datagrams: bool) -> Self {
        let of_datagrams = protocol.datagrams.filter(|_| datagrams);
        Self {
            protocol,
            decoder: of_datagrams.unwrap_or(protocol.decoder)(),
            datagrams: of_datagrams.is_some(),
            scratch: Scratch::new(options.clone()),
            options,
            streams: Default::default(),
        }
    }

    /// Two bits of an instruction say what, one the direction, five how much.
    fn run(&mut self, mut program: &[u8]) {
        while let Some((&instruction, rest)) = program.split_first() {
            program = rest;
            let direction =
                [Direction::Request, Direction::Response][usize::from(instruction >> 5 & 1)];
            let amount = usize::from(instruction & 0x1f);
            let goes_on = match instruction >> 6 {
                0 => {
                    let (bytes, rest) = program.split_at(amount.min(program.len()));
                    program = rest;
                    self.feed(direction, bytes)
                }
                1 => {
                    let (bytes, rest) = program.split_at((amount * 32).min(program.len()));
                    program = rest;
                    self.feed(direction, bytes)
                }
                2 => self.lose(direction, 1 << amount),
                _ => self.lose(direction, amount as u64 + 1),
            };
            if !goes_on {
                match self.protocol.entry {
                    Entry::Turn => {
                        self.decoder.resync();
                        self.streams = Default::default();
                    }
                    Entry::Number | Entry::Datagram => {
                        self.streams[direction as usize] =
                            Stream { lost: true, ..Stream::default() };
                    }
                }
            }
        }
    }

    fn feed(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        let stream = &mut self.streams[direction as usize];
        if self.datagrams {
            *stream = Stream::default();
        }
        if stream.lost {
            stream.lost = !self.decoder.rejoin(direction, bytes);
            if stream.lost {
                return true;
            }
        }
        let skipped =
            usize::try_from(stream.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
        stream.skip -= skipped as u64;
        stream.pending.extend_from_slice(&bytes[skipped..]);
        stream.skip > 0 || stream.pending.len() < stream.want || self.decode(direction)
    }

    fn decode(&mut self, direction: Direction) -> bool {
        let stream = &mut self.streams[direction as usize];
        let mut at = 0;
        let goes_on = loop {
            let input = &stream.pending[at..];
            match self.decoder.decode(direction, input, &mut self.scratch) {
                Step::Consumed { len, message } => {
                    assert!(len <= input.len() && (len > 0 || message.is_some()));
                    at += len;
                    let Some(message) = message else { continue };
                    assert!(message.text.len() <= self.options.max_text);
                    assert!(message.operation.len() <= MAX_OPERATION);
                    check_printable(message.text);
                    check_printable(message.operation);
                    assert!(self.options.fields || message.fields.is_empty());
                    for (_, value) in Fields::new(self.protocol.field_names, message.fields) {
                        if let FieldValue::Text(text) = value {
                            check_printable(text);
                        }
                    }
                }
                Step::Discard { len } => {
                    assert!(len > 0 && len <= input.len());
                    at += len;
                }
                Step::Skip { len } => {
                    assert!(len > 0);
                    let here = len.min(input.len() as u64);
                    at += here as usize;
                    stream.skip = len - here;
                    if stream.skip > 0 {
                        stream.want = 0;
                        break true;
                    }
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least > input.len() && at_least <= MAX_LOOKAHEAD);
                    stream.want = at_least;
                    break true;
                }
                Step::Invalid(_) => break false,
            }
        };
        stream.pending.drain(..at);
        goes_on
    }

    fn lose(&mut self, direction: Direction, len: u64) -> bool {
        let stream = &mut self.streams[direction as usize];
        let skipped = stream.skip.min(len);
        stream.skip -= skipped;
        let mut len = len - skipped;
        if stream.skip > 0 {
            return true;
        }
        while len > 0 {
            let stream = &mut self.streams[direction as usize];
            if stream.lost {
                return true;
            }
            let before = std::mem::take(&mut stream.pending);
            stream.want = 0;
            let behind = self.decoder.handle_gap(direction, &before, len);
            assert!(behind <= before.len() as u64 + len);
            let known = behind.saturating_sub(before.len() as u64);
            if known == 0 || !self.decode(direction) {
                return false;
            }
            len -= known;
            let stream = &mut self.streams[direction as usize];
            let skipped = stream.skip.min(len);
            stream.skip -= skipped;
            len -= skipped;
        }
        true
    }
}

fn check_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
