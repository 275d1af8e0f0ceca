//! Requests as clients send them: arrays of bulk strings, one segment or one byte at a time.

use super::{
    building::Building,
    fast,
    inline::{self, MAX_INLINE},
    invalid,
    line::{self, Count},
    link::{Effect, Link},
};
use crate::protocol::{Scratch, Status, Step, cursor::Cursor};

/// The most arguments of a request, its name included (`processMultibulkBuffer` in networking.c).
const MAX_ARGS: u32 = 0x7fff_ffff;

/// Where in a request the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    #[default]
    Start,
    /// At the header of an argument, or behind the last one.
    Length,
    /// In an argument that is not shown yet.
    Body,
    /// In an argument of which all that is wanted was seen.
    Tail,
    /// At the CRLF behind an argument.
    Cr,
    /// At the second half of that CRLF.
    Lf,
    /// In an inline command.
    Inline,
}

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    phase: Phase,
    /// Arguments that are not complete.
    args_left: u32,
    /// Bytes of the argument that were not seen yet; of an inline command, bytes seen so far.
    count: u64,
    /// The request in progress; none at rest.
    partial: Option<Box<Partial>>,
}

/// A request of which not all was seen.
#[derive(Debug)]
struct Partial {
    building: Building,
    /// The beginning of the argument, or of the inline command, that is being received.
    prefix: Vec<u8>,
}

/// Why decoding pauses.
enum Pause {
    /// The request is complete.
    Done,
    /// At least so many bytes more are needed.
    Need(usize),
    /// So many bytes from here on need not be seen.
    Skip(u64),
    /// So many bytes belong to no request.
    Discard(usize),
    Broken(&'static str),
}

impl Requests {
    /// Goes on with the request in progress, or begins one.
    #[inline]
    pub(super) fn decode<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let max_text = scratch.options().max_text;
        if self.partial.is_none()
            && !scratch.options().fields
            && let Some(request) = fast::request(input, max_text, scratch.words())
        {
            return match link.request(Effect::Of(request.command.role), request.args) {
                Ok(correlation) => Step::Consumed {
                    len: request.len,
                    message: Some(scratch.of_words(correlation, request.command.name)),
                },
                Err(reason) => invalid(reason),
            };
        }
        let mut cursor = Cursor::new(input);
        if let Some(mut partial) = self.partial.take() {
            let pause = self.run(&mut partial, &mut cursor);
            return if let Pause::Done = pause {
                self.complete(partial.building, &cursor, link, scratch)
            } else {
                self.partial = Some(partial);
                self.pause(pause, &cursor)
            };
        }
        let args = match self.begin(&mut cursor) {
            Ok(args) => args,
            Err(pause) => return self.pause(pause, &cursor),
        };
        let building = Building::new(scratch.draft(), args);
        // The vector costs nothing before something is put into it.
        let mut partial = Partial { building, prefix: Vec::new() };
        let pause = self.run(&mut partial, &mut cursor);
        if let Pause::Done = pause {
            return self.complete(partial.building, &cursor, link, scratch);
        }
        self.partial = Some(Box::new(partial));
        self.pause(pause, &cursor)
    }

    /// Begins a request; says how many arguments follow its name, if that is announced.
    #[inline]
    fn begin(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<u32>, Pause> {
        let rest = cursor.rest();
        match rest {
            [] => Err(Pause::Need(1)),
            [b'*', ..] => match line::count(rest) {
                // An empty array is no command and gets no answer.
                Count::Is(..=0, len) => Err(Pause::Discard(len)),
                Count::Is(count, len) => {
                    let Some(count) = u32::try_from(count).ok().filter(|&count| count <= MAX_ARGS)
                    else {
                        return Err(Pause::Broken("too many arguments"));
                    };
                    cursor.advance(len);
                    (self.phase, self.args_left) = (Phase::Length, count);
                    Ok(Some(count.saturating_sub(1)))
                }
                Count::Partial => Err(need_line(cursor)),
                Count::Broken => Err(Pause::Broken("bad argument count")),
            },
            // Nor is an empty line a command.
            [b'\r' | b'\n' | b' ' | b'\t', ..] => {
                let end =
                    rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t'));
                Err(Pause::Discard(end.unwrap_or(rest.len())))
            }
            [first, ..] if inline::may_begin(*first) => {
                (self.phase, self.count) = (Phase::Inline, 0);
                Ok(None)
            }
            _ => Err(Pause::Broken("no command")),
        }
    }

    #[inline]
    fn run(&mut self, partial: &mut Partial, cursor: &mut Cursor<'_>) -> Pause {
        loop {
            match self.phase {
                Phase::Start => return Pause::Broken("no request in progress"),
                Phase::Length => {
                    if self.args_left == 0 {
                        return Pause::Done;
                    }
                    match cursor.rest() {
                        [] => return Pause::Need(1),
                        [b'$', ..] => {}
                        _ => return Pause::Broken("an argument is no bulk string"),
                    }
                    match line::count(cursor.rest()) {
                        Count::Is(len, header) => {
                            let Ok(len) = u64::try_from(len) else {
                                return Pause::Broken("negative length");
                            };
                            cursor.advance(header);
                            (self.phase, self.count) = (Phase::Body, len);
                        }
                        Count::Partial => return need_line(cursor),
                        Count::Broken => return Pause::Broken("bad length"),
                    }
                }
                Phase::Body => {
                    if let Some(pause) = self.body(partial, cursor) {
                        return pause;
                    }
                }
                Phase::Tail => {
                    self.phase = Phase::Cr;
                    let hidden = std::mem::take(&mut self.count);
                    if cursor.take(hidden).is_none() {
                        return Pause::Skip(hidden);
                    }
                }
                Phase::Cr => match cursor.rest() {
                    [b'\r', b'\n', ..] => {
                        cursor.advance(2);
                        self.end_argument();
                    }
                    [] => return Pause::Need(1),
                    [b'\r'] => {
                        cursor.advance(1);
                        self.phase = Phase::Lf;
                    }
                    _ => return Pause::Broken("no line end behind an argument"),
                },
                Phase::Lf => match cursor.rest() {
                    [b'\n', ..] => {
                        cursor.advance(1);
                        self.end_argument();
                    }
                    [] => return Pause::Need(1),
                    _ => return Pause::Broken("no line end behind an argument"),
                },
                Phase::Inline => return self.inline(partial, cursor),
            }
        }
    }

    /// Takes what is wanted of an argument, if that is there.
    #[inline]
    fn body(&mut self, partial: &mut Partial, cursor: &mut Cursor<'_>) -> Option<Pause> {
        let building = &mut partial.building;
        if partial.prefix.is_empty()
            && self.count < building.draft.text.room() as u64
            && let Some(value) = cursor.take(self.count)
        {
            // The usual case: all of it is there, and fits.
            building.argument(value, true, None);
            self.phase = Phase::Cr;
            return None;
        }
        let wants = building.wants();
        if partial.prefix.is_empty()
            && let Some(value) = cursor.take(self.count)
        {
            match value.get(..wants) {
                Some(beginning) if beginning.len() < value.len() => {
                    building.argument(beginning, false, None);
                }
                _ => building.argument(value, true, None),
            }
            self.phase = Phase::Cr;
            return None;
        }
        self.split_body(partial, wants, cursor)
    }

    #[cold]
    fn split_body(
        &mut self,
        partial: &mut Partial,
        wants: usize,
        cursor: &mut Cursor<'_>,
    ) -> Option<Pause> {
        let rest = cursor.rest();
        let missing = wants.saturating_sub(partial.prefix.len());
        let visible = usize::try_from(self.count).map_or(rest.len(), |count| count.min(rest.len()));
        let piece = rest.get(..missing.min(visible)).unwrap_or(rest);
        cursor.advance(piece.len());
        self.count = self.count.saturating_sub(piece.len() as u64);
        let whole = self.count == 0;
        if partial.prefix.is_empty() && (piece.len() >= wants || whole) {
            partial.building.argument(piece, whole, None);
        } else {
            partial.prefix.extend_from_slice(piece);
            if partial.prefix.len() < wants && !whole {
                return Some(Pause::Need(1));
            }
            partial.building.argument(&partial.prefix, whole, None);
            partial.prefix.clear();
        }
        self.phase = Phase::Tail;
        None
    }

    fn inline(&mut self, partial: &mut Partial, cursor: &mut Cursor<'_>) -> Pause {
        let rest = cursor.rest();
        let (piece, ended) = match memchr::memchr(b'\n', rest) {
            Some(end) => (rest.get(..end).unwrap_or(rest), true),
            None => (rest, false),
        };
        self.count = self.count.saturating_add(piece.len() as u64);
        if self.count > MAX_INLINE {
            return Pause::Broken("an inline command of more than 64 KiB");
        }
        if !inline::is_text(piece) {
            return Pause::Broken("an inline command with control characters");
        }
        cursor.advance(if ended { piece.len().saturating_add(1) } else { piece.len() });
        let room = inline::prefix_len(&partial.building).saturating_sub(partial.prefix.len());
        partial.prefix.extend_from_slice(piece.get(..room).unwrap_or(piece));
        if !ended {
            return Pause::Need(1);
        }
        let whole = self.count == partial.prefix.len() as u64;
        match inline::arguments(&mut partial.building, &partial.prefix, whole) {
            Ok(()) => Pause::Done,
            Err(reason) => Pause::Broken(reason),
        }
    }

    #[inline]
    fn end_argument(&mut self) {
        self.args_left = self.args_left.saturating_sub(1);
        self.phase = Phase::Length;
    }

    #[inline]
    fn complete<'s>(
        &mut self,
        building: Building,
        cursor: &Cursor<'_>,
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        self.phase = Phase::Start;
        let (draft, effect, args) = building.finish();
        match link.request(effect, args) {
            Ok(correlation) => Step::Consumed {
                len: cursor.consumed(),
                message: Some(scratch.finish(draft, correlation, Status::Ok)),
            },
            Err(reason) => invalid(reason),
        }
    }

    #[inline]
    fn pause<'s>(&mut self, pause: Pause, cursor: &Cursor<'_>) -> Step<'s> {
        let consumed = cursor.consumed();
        match pause {
            Pause::Skip(len) => Step::Skip { len: len.saturating_add(consumed as u64) },
            Pause::Discard(len) => Step::Discard { len },
            Pause::Need(more) if consumed == 0 => {
                Step::NeedMore { at_least: cursor.rest().len().saturating_add(more) }
            }
            Pause::Need(_) => Step::Consumed { len: consumed, message: None },
            Pause::Broken(reason) => {
                self.resync();
                invalid(reason)
            }
            Pause::Done => invalid("no request in progress"),
        }
    }

    /// See [`crate::protocol::Decoder::handle_gap`].
    pub(super) fn handle_gap(&mut self, len: u64) -> u64 {
        let Some(partial) = &mut self.partial else { return 0 };
        let mut left = len;
        if self.phase == Phase::Body {
            // What decides the request's meaning, or whether a secret follows, cannot be done
            // without.
            if partial.prefix.len() < partial.building.needs() {
                return 0;
            }
            partial.building.argument(&partial.prefix, false, None);
            partial.prefix.clear();
            self.phase = Phase::Tail;
        }
        if self.phase == Phase::Tail {
            let hidden = self.count.min(left);
            left = left.saturating_sub(hidden);
            self.count = self.count.saturating_sub(hidden);
            if self.count == 0 {
                self.phase = Phase::Cr;
            }
        }
        if self.phase == Phase::Cr && left > 0 {
            left = left.saturating_sub(1);
            self.phase = Phase::Lf;
        }
        if self.phase == Phase::Lf && left > 0 {
            left = left.saturating_sub(1);
            self.end_argument();
        }
        len.saturating_sub(left)
    }

    /// Forgets the request in progress.
    pub(super) fn resync(&mut self) {
        *self = Self::default();
    }
}

/// What is needed to see the end of a header line.
fn need_line(cursor: &Cursor<'_>) -> Pause {
    // The shortest: type, digit, CRLF.
    Pause::Need(4_usize.saturating_sub(cursor.rest().len()).max(1))
}
