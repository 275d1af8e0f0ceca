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

impl Span {
    /// Takes in a further part of the same message.
    pub(super) fn extend(&mut self, part: &Span) {
        self.end_ns = self.end_ns.max(part.end_ns);
        self.bytes = self.bytes.saturating_add(part.bytes);
        self.cut |= part.cut;
        self.lost |= part.lost;
        self.untimed |= part.untimed;
    }
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
    /// What came of a message so far; none at rest, so that a connection at rest costs little, and
    /// none for messages that come whole.
    partial: Option<Box<Partial>>,
    /// The sequence number of the next byte for the decoder.
    position: Seq,
}

/// A message in progress.
#[derive(Debug, Default)]
struct Partial {
    span: Span,
    /// Bytes that the decoder could not use yet.
    pending: Vec<u8>,
    /// How long `pending` has to get before the decoder looks again.
    want: usize,
    /// How many bytes need not be seen.
    skip: u64,
    /// Whether the message's first byte came.
    started: bool,
}

impl Partial {
    fn is_nothing(&self) -> bool {
        !self.started && self.pending.is_empty() && self.skip == 0
    }

    fn start(&mut self, time_ns: u64, ack: Option<Seq>) {
        self.started = true;
        self.span = Span { start_ns: time_ns, end_ns: time_ns, ack, ..Span::default() };
    }

    /// Notes `count` bytes of the message.
    #[inline]
    fn note(&mut self, count: u64, time_ns: u64, ack: Option<Seq>) {
        if !self.started {
            self.start(time_ns, ack);
        }
        self.span.end_ns = self.span.end_ns.max(time_ns);
        self.span.bytes = self.span.bytes.saturating_add(count);
    }
}

/// What a stream is read with.
pub(super) struct Reading<'r> {
    pub(super) direction: Direction,
    pub(super) decoder: &'r mut dyn Decoder,
    pub(super) scratch: &'r mut Scratch,
}

/// When and where in the stream bytes came.
#[derive(Clone, Copy)]
struct Origin {
    time_ns: u64,
    ack: Option<Seq>,
}

impl Stream {
    /// Whether no message is in progress.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.partial.is_none()
    }

    /// Forgets the message in progress.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[inline]
    fn advance(&mut self, count: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
        let count = count as u32;
        self.position = self.position.advance(count);
    }

    /// Feeds bytes to the decoder and hands over the messages they complete. After an error the
    /// message in progress is forgotten.
    #[inline]
    pub(super) fn feed(
        &mut self,
        chunk: &Chunk<'_>,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        if self.partial.is_some() {
            return self.feed_on(chunk, reading, on_message);
        }
        self.position = chunk.seq;
        let mut partial = Partial::default();
        let origin = Origin { time_ns: chunk.time_ns, ack: chunk.ack };
        self.run(&mut partial, chunk.bytes, origin, false, reading, on_message)?;
        if !partial.is_nothing() {
            self.partial = Some(Box::new(partial));
        }
        Ok(())
    }

    /// Hands a datagram to the decoder of which `len` bytes were cut off.
    #[inline(never)]
    pub(super) fn feed_cut(
        &mut self,
        chunk: &Chunk<'_>,
        len: u64,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let total = len_u64(chunk.bytes).saturating_add(len);
        if reading.decoder.handle_gap(reading.direction, chunk.bytes, len) < total {
            return Err(Loss::Hidden);
        }
        let mut partial = Partial::default();
        partial.note(total, chunk.time_ns, chunk.ack);
        partial.span.cut = true;
        let origin = Origin { time_ns: chunk.time_ns, ack: chunk.ack };
        self.run_on(&mut partial, &[], origin, true, reading, on_message)
    }

    /// Goes on with a message of which a part came before.
    #[inline(never)]
    fn feed_on(
        &mut self,
        chunk: &Chunk<'_>,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let Some(mut partial) = self.partial.take() else { return Ok(()) };
        let mut input = chunk.bytes;
        let mut ask_once = false;
        let origin = Origin { time_ns: chunk.time_ns, ack: chunk.ack };
        if partial.pending.is_empty() {
            self.position = chunk.seq;
        }
        if partial.skip > 0 {
            let skipped = partial.skip.min(len_u64(input));
            partial.skip = partial.skip.saturating_sub(skipped);
            partial.note(skipped, origin.time_ns, origin.ack);
            self.advance(skipped);
            input = input.get(usize::try_from(skipped).unwrap_or(usize::MAX)..).unwrap_or(&[]);
            if partial.skip > 0 {
                self.partial = Some(partial);
                return Ok(());
            }
            ask_once = true;
        }
        if partial.pending.is_empty() {
            self.run_on(&mut partial, input, origin, ask_once, reading, on_message)?;
        } else {
            let mut pending = std::mem::take(&mut partial.pending);
            pending.extend_from_slice(input);
            if pending.len() < partial.want {
                partial.pending = pending;
            } else {
                self.run_on(&mut partial, &pending, origin, false, reading, on_message)?;
            }
        }
        if !partial.is_nothing() {
            self.partial = Some(partial);
        }
        Ok(())
    }

    /// The same as [`Self::run`], which is compiled once more for messages that come whole.
    #[inline(never)]
    fn run_on(
        &mut self,
        partial: &mut Partial,
        input: &[u8],
        origin: Origin,
        ask_once: bool,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        self.run(partial, input, origin, ask_once, reading, on_message)
    }

    #[inline(always)]
    fn run(
        &mut self,
        partial: &mut Partial,
        mut input: &[u8],
        origin: Origin,
        mut ask_once: bool,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let Origin { time_ns, ack } = origin;
        while !input.is_empty() || ask_once {
            ask_once = false;
            // Looked at where it is: to move a message costs more than to decode a short one.
            match &reading.decoder.decode(reading.direction, input, reading.scratch) {
                &Step::Consumed { len, ref message } => {
                    if (len == 0 && message.is_none()) || len > input.len() {
                        return Err(Loss::Invalid);
                    }
                    if len > 0 {
                        partial.note(len_u64_of(len), time_ns, ack);
                        self.advance(len_u64_of(len));
                    }
                    if let Some(message) = message {
                        partial.started = false;
                        partial.span.end_seq = self.position;
                        on_message(&partial.span, message)?;
                    }
                    input = input.get(len..).unwrap_or(&[]);
                }
                &Step::Discard { len } => {
                    if len == 0 || len > input.len() {
                        return Err(Loss::Invalid);
                    }
                    partial.started = false;
                    self.advance(len_u64_of(len));
                    input = input.get(len..).unwrap_or(&[]);
                }
                &Step::Skip { len } => {
                    if len == 0 {
                        return Err(Loss::Invalid);
                    }
                    let skipped = len.min(len_u64(input));
                    partial.skip = len.saturating_sub(skipped);
                    if skipped > 0 {
                        partial.note(skipped, time_ns, ack);
                        self.advance(skipped);
                    }
                    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                    input = input.get(skipped..).unwrap_or(&[]);
                    if partial.skip > 0 {
                        return Ok(());
                    }
                    ask_once = true;
                }
                &Step::NeedMore { at_least } => {
                    if input.is_empty() {
                        return Ok(());
                    }
                    if at_least <= input.len() || at_least > MAX_LOOKAHEAD {
                        return Err(Loss::Invalid);
                    }
                    if !partial.started {
                        partial.start(time_ns, ack);
                    }
                    partial.pending = input.to_vec();
                    partial.want = at_least;
                    return Ok(());
                }
                Step::Invalid(error) => {
                    log::debug!("{:?} bytes cannot be read: {error}", reading.direction);
                    return Err(Loss::Invalid);
                }
            }
        }
        Ok(())
    }

    /// Nothing more comes, and its sender said so: that may be what completes the message in progress,
    /// which ends with the last byte that came.
    #[inline(never)]
    pub(super) fn end(
        &mut self,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let Some(partial) = self.partial.as_mut().filter(|partial| partial.pending.is_empty())
        else {
            return Ok(());
        };
        let Some(message) = reading.decoder.handle_end(reading.direction, reading.scratch) else {
            return Ok(());
        };
        partial.span.end_seq = self.position;
        let span = partial.span;
        self.partial = None;
        on_message(&span, &message)
    }

    /// Bytes are not known: they are skipped, or done without, or the stream ends here. After an
    /// error the message in progress is forgotten.
    pub(super) fn gap(
        &mut self,
        mut len: u64,
        cause: GapCause,
        reading: &mut Reading<'_>,
        on_message: &mut impl FnMut(&Span, &Message<'_>) -> Result<(), Loss>,
    ) -> Result<(), Loss> {
        let mut partial = self.partial.take().unwrap_or_default();
        while len > 0 {
            let mut known = partial.skip.min(len);
            partial.skip = partial.skip.saturating_sub(known);
            if known == 0 {
                let before = std::mem::take(&mut partial.pending);
                let behind = reading.decoder.handle_gap(reading.direction, &before, len);
                known = behind.saturating_sub(len_u64(&before)).min(len);
                if known > 0 && !before.is_empty() {
                    // They came with the message's first byte, whose time is noted.
                    let (start_ns, ack) = (partial.span.end_ns, partial.span.ack);
                    partial.note(len_u64(&before), start_ns, ack);
                    self.advance(len_u64(&before));
                }
            }
            if known == 0 {
                return Err(Loss::Hidden);
            }
            len = len.saturating_sub(known);
            let time_ns = match cause {
                GapCause::Cut { time_ns } => time_ns,
                GapCause::Lost => partial.span.end_ns,
            };
            partial.note(known, time_ns, None);
            self.advance(known);
            match cause {
                GapCause::Cut { .. } => partial.span.cut = true,
                GapCause::Lost => {
                    partial.span.lost = true;
                    partial.span.untimed = true;
                }
            }
            if partial.skip == 0 {
                let origin = Origin { time_ns, ack: None };
                self.run_on(&mut partial, &[], origin, true, reading, on_message)?;
            }
        }
        if !partial.is_nothing() {
            self.partial = Some(partial);
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
