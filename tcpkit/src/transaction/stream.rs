//! One direction of a connection: feeds bytes, skips and gaps to the decoder, and times messages.

use crate::{
    flow::{Chunk, GapCause, seq::Seq},
    protocol::{Decoder, Direction, MAX_LOOKAHEAD, Message, Scratch, Step},
};

/// When and how a message crossed the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// When its first byte was captured, in ns.
    pub(super) start_ns: u64,
    /// When the last of its bytes to arrive was captured, in ns.
    pub(super) end_ns: u64,
    /// Payload bytes on the wire.
    pub(super) bytes: u64,
    /// The sequence number behind its last byte.
    pub(super) end_seq: Seq,
    /// What its sender had received when it sent the first byte.
    pub(super) ack: Option<Seq>,
    /// Some of its bytes were cut off by the snaplen.
    pub(super) cut: bool,
    /// Some of its bytes were not captured at all.
    pub(super) lost: bool,
    /// Some of its bytes may have come later than the last one that was captured, so that its times
    /// are not known.
    pub(super) untimed: bool,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The bytes are not what the protocol allows.
    Invalid,
    /// Bytes that the decoder needed are not known.
    Hidden,
    /// Whoever took the messages has no use for more.
    Refused,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Bytes that the decoder could not use yet.
    pending: Vec<u8>,
    /// How long `pending` has to get before the decoder looks again.
    want: usize,
    /// How many bytes need not be seen.
    skip: u64,
    /// The sequence number of the next byte for the decoder.
    position: Seq,
    started: bool,
    span: Span,
}

impl Stream {
    /// Whether no message is in progress.
    pub(super) fn is_at_boundary(&self) -> bool {
        !self.started && self.pending.is_empty() && self.skip == 0
    }

    /// Forgets the message in progress.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Notes `count` bytes of the message in progress.
    fn note(&mut self, count: u64, time_ns: u64, ack: Option<Seq>) {
        if !self.started {
            self.start(time_ns, ack);
        }
        self.span.end_ns = self.span.end_ns.max(time_ns);
        self.span.bytes = self.span.bytes.saturating_add(count);
        self.advance(count);
    }

    fn start(&mut self, time_ns: u64, ack: Option<Seq>) {
        self.started = true;
        self.span = Span { start_ns: time_ns, end_ns: time_ns, ack, ..Span::default() };
    }

    fn advance(&mut self, count: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
        let count = count as u32;
        self.position = self.position.advance(count);
    }

    /// Ends the message in progress.
    fn finish(&mut self) -> Span {
        self.started = false;
        Span { end_seq: self.position, ..self.span }
    }

    /// Feeds bytes to the decoder and hands over the messages they complete.
    pub(super) fn feed(
        &mut self,
        direction: Direction,
        chunk: &Chunk<'_>,
        decoder: &mut dyn Decoder,
        scratch: &mut Scratch,
        on_message: &mut dyn FnMut(Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let mut input = chunk.bytes;
        let mut ask_once = false;
        if self.pending.is_empty() {
            self.position = chunk.seq;
        }
        if self.skip > 0 {
            let skipped = self.skip.min(len_u64(input));
            self.skip = self.skip.saturating_sub(skipped);
            self.note(skipped, chunk.time_ns, chunk.ack);
            input = input.get(usize::try_from(skipped).unwrap_or(usize::MAX)..).unwrap_or(&[]);
            if self.skip > 0 {
                return Ok(());
            }
            ask_once = true;
        }
        if self.pending.is_empty() {
            return self.run(direction, input, chunk, ask_once, decoder, scratch, on_message);
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(input);
        if pending.len() < self.want {
            self.pending = pending;
            return Ok(());
        }
        self.run(direction, &pending, chunk, false, decoder, scratch, on_message)
    }

    #[expect(clippy::too_many_arguments, reason = "borrowed apart from the conversation's fields")]
    fn run(
        &mut self,
        direction: Direction,
        mut input: &[u8],
        chunk: &Chunk<'_>,
        mut ask_once: bool,
        decoder: &mut dyn Decoder,
        scratch: &mut Scratch,
        on_message: &mut dyn FnMut(Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        while !input.is_empty() || ask_once {
            ask_once = false;
            match decoder.decode(direction, input, scratch) {
                Step::Consumed { len, message } => {
                    if (len == 0 && message.is_none()) || len > input.len() {
                        return Err(Loss::Invalid);
                    }
                    if len > 0 {
                        self.note(len_u64_of(len), chunk.time_ns, chunk.ack);
                    }
                    if let Some(message) = message {
                        let span = self.finish();
                        on_message(span, &message)?;
                    }
                    input = input.get(len..).unwrap_or(&[]);
                }
                Step::Discard { len } => {
                    if len == 0 || len > input.len() {
                        return Err(Loss::Invalid);
                    }
                    self.started = false;
                    self.advance(len_u64_of(len));
                    input = input.get(len..).unwrap_or(&[]);
                }
                Step::Skip { len } => {
                    if len == 0 {
                        return Err(Loss::Invalid);
                    }
                    let skipped = len.min(len_u64(input));
                    self.skip = len.saturating_sub(skipped);
                    if skipped > 0 {
                        self.note(skipped, chunk.time_ns, chunk.ack);
                    }
                    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                    input = input.get(skipped..).unwrap_or(&[]);
                    if self.skip > 0 {
                        return Ok(());
                    }
                    ask_once = true;
                }
                Step::NeedMore { at_least } => {
                    if input.is_empty() {
                        return Ok(());
                    }
                    if at_least <= input.len() || at_least > MAX_LOOKAHEAD {
                        return Err(Loss::Invalid);
                    }
                    if !self.started {
                        self.start(chunk.time_ns, chunk.ack);
                    }
                    self.pending = input.to_vec();
                    self.want = at_least;
                    return Ok(());
                }
                Step::Invalid(error) => {
                    log::debug!("{direction:?} bytes cannot be read: {error}");
                    return Err(Loss::Invalid);
                }
            }
        }
        Ok(())
    }

    /// Bytes are not known: they are skipped, or do without, or the stream ends here.
    pub(super) fn gap(
        &mut self,
        direction: Direction,
        mut len: u64,
        cause: GapCause,
        decoder: &mut dyn Decoder,
        scratch: &mut Scratch,
        on_message: &mut dyn FnMut(Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        if !self.pending.is_empty() {
            return Err(Loss::Hidden);
        }
        while len > 0 {
            let mut known = self.skip.min(len);
            self.skip = self.skip.saturating_sub(known);
            if known == 0 {
                known = decoder.handle_gap(direction, len).min(len);
            }
            if known == 0 {
                return Err(Loss::Hidden);
            }
            len = len.saturating_sub(known);
            let time_ns = match cause {
                GapCause::Cut { time_ns } => time_ns,
                GapCause::Lost => self.span.end_ns,
            };
            self.note(known, time_ns, None);
            match cause {
                GapCause::Cut { .. } => self.span.cut = true,
                GapCause::Lost => {
                    self.span.lost = true;
                    self.span.untimed = true;
                }
            }
            if self.skip == 0 {
                let nothing = Chunk {
                    bytes: &[],
                    time_ns,
                    seq: self.position,
                    ack: None,
                    turn: crate::flow::Turn::Running,
                };
                self.run(direction, &[], &nothing, true, decoder, scratch, on_message)?;
            }
        }
        Ok(())
    }
}

fn len_u64(bytes: &[u8]) -> u64 {
    len_u64_of(bytes.len())
}

fn len_u64_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
