//! Requests of the text protocol: a line, and for stores a value of announced length behind it.

use std::cmp::Ordering;

use super::{
    ask::{self, Fate, Held, Stored},
    commands::{self, Shape, UNKNOWN},
    field, invalid,
    line::{self, Line},
    link::Link,
    render,
};
use crate::protocol::{Correlation, Message, Part, Scratch, Status, Step, scratch::Draft};

/// The server may answer a store of a longer value before it has all of it: it refuses what is too
/// large for it by the line alone. So such requests come in parts.
pub(super) const MAX_WHOLE: u64 = 1024;

/// In a line that is too long to be seen at once, longer keys are not waited for.
const MAX_WORD: usize = 1024;

/// The most bytes of a value that are looked at, whatever `--max-text` says.
const MAX_PREFIX: usize = 16 * 1024;

/// Where in a request the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    #[default]
    Start,
    /// Among the keys of a line that is too long to be seen at once.
    Keys,
    /// In the rest of a request that is handed out when it ended.
    Whole,
    /// In the rest of a request whose beginning was handed out.
    Rest,
    /// In what servers understand differently.
    Lost,
}

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    phase: Phase,
    /// What was handed out in part waits for a response.
    ordered: bool,
    /// Requests do not come in parts.
    undivided: bool,
    /// Bytes of the request that need not be seen.
    left: u64,
    /// The request in progress; none at rest.
    progress: Option<Box<Progress>>,
}

/// What came of a request.
#[derive(Debug)]
enum Progress {
    Held(Held),
    /// Its beginning. Where bytes are lost nothing can be written down yet.
    Cut(Vec<u8>),
}

/// How far a request goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Its head, in bytes: what is handed out first when it comes in parts.
    pub(super) head: usize,
    /// The value behind it, in bytes.
    pub(super) value: u64,
    /// All of it, in bytes.
    pub(super) total: u64,
    /// The value may be seen.
    pub(super) shows: bool,
}

/// How a request fits into a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It fills it.
    Whole,
    /// Its end is not there.
    Cut,
    /// There is more behind it, or it is none.
    Other,
}

impl Fit {
    /// A request of this length in so many bytes.
    pub(super) fn new(total: u64, bytes: usize) -> Self {
        match total.cmp(&(bytes as u64)) {
            Ordering::Equal => Self::Whole,
            Ordering::Greater => Self::Cut,
            Ordering::Less => Self::Other,
        }
    }
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
        if self.phase != Phase::Start {
            if let Some(seen) = self.take_cut()
                && let Line::Whole(text, head) = line::line(&seen)
            {
                let parsed = ask::parse(text, link, scratch.draft());
                let extent = extent(head, parsed.value.unwrap_or_default());
                self.hold_cut(parsed.held, parsed.secret, extent, &seen);
            }
            return self.go_on(input, link, scratch);
        }
        let (text, len) = match line::line(input) {
            Line::Whole(text, len) => (text, len),
            Line::Partial => {
                return Step::NeedMore { at_least: input.len().saturating_add(1) };
            }
            Line::TooLong => return self.begin_keys(input, link, scratch),
        };
        let parsed = ask::parse(text, link, scratch.draft());
        if !parsed.is_known && ask::is_binary(text) {
            scratch.discard(parsed.held.draft);
            return invalid("no command");
        }
        let Some(value) = parsed.value else {
            return self.hand_out(parsed.held, Part::Whole, len, link, scratch);
        };
        self.with_value(parsed.held, parsed.secret, extent(len, value), input, link, scratch)
    }

    /// For requests that come in one piece.
    pub(super) fn undivided() -> Self {
        Self { undivided: true, ..Self::default() }
    }

    /// How the request at the beginning of `bytes` fits into them.
    pub(super) fn fit(bytes: &[u8]) -> Fit {
        let Line::Whole(text, head) = line::line(bytes) else { return Fit::Other };
        match ask::stored(text) {
            Stored::Bytes(value) => Fit::new(extent(head, value).total, bytes.len()),
            Stored::Nothing => Fit::new(head as u64, bytes.len()),
            Stored::Doubtful => Fit::Other,
        }
    }

    /// Hands out a request with a value, as far as it is there.
    #[inline]
    pub(super) fn with_value<'s>(
        &mut self,
        mut held: Held,
        secret: bool,
        extent: Extent,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let Extent { head, value, total, .. } = extent;
        let wants = wants(&held.draft, &extent);
        let visible = input.get(head..).unwrap_or_default();
        let Some(shown) = visible.get(..wants) else {
            scratch.discard(held.draft);
            return Step::NeedMore { at_least: head.saturating_add(wants) };
        };
        show_value(&mut held.draft, shown, &extent, secret);
        if value > MAX_WHOLE && !self.undivided {
            (self.phase, self.left) = (Phase::Rest, total.saturating_sub(head as u64));
            return self.hand_out(held, Part::First, head, link, scratch);
        }
        match usize::try_from(total) {
            Ok(len) if len <= input.len() => self.hand_out(held, Part::Whole, len, link, scratch),
            _ => {
                (self.phase, self.left) = (Phase::Whole, 0);
                self.progress = Some(Box::new(Progress::Held(held)));
                Step::Skip { len: total }
            }
        }
    }

    /// A request begins with `before`, and `len` bytes behind that were not seen. Returns behind how many
    /// of both it stands then.
    pub(super) fn cut(&mut self, before: &[u8], len: u64, total: u64) -> u64 {
        let behind = total.min(len.saturating_add(before.len() as u64));
        (self.phase, self.left) = (Phase::Whole, total.saturating_sub(behind));
        self.progress = Some(Box::new(Progress::Cut(before.to_vec())));
        behind
    }

    /// What was seen of a request before bytes of it were lost, if it was not looked at yet.
    #[inline]
    pub(super) fn take_cut(&mut self) -> Option<Vec<u8>> {
        match self.progress.as_deref_mut() {
            Some(Progress::Cut(bytes)) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }

    /// Keeps a request that was cut until it ends.
    pub(super) fn hold_cut(&mut self, mut held: Held, secret: bool, extent: Extent, seen: &[u8]) {
        let visible = seen.get(extent.head..).unwrap_or_default();
        let wants = wants(&held.draft, &extent);
        let shown = visible.get(..wants).unwrap_or(visible);
        show_value(&mut held.draft, shown, &extent, secret);
        self.progress = Some(Box::new(Progress::Held(held)));
    }

    /// Whether a request is in progress, so that the next byte does not begin one.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Start
    }

    /// Goes on with the request in progress.
    pub(super) fn go_on<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        match self.phase {
            Phase::Keys => return self.keys(input, link, scratch),
            Phase::Lost => {
                return match input.len() {
                    0 => Step::NeedMore { at_least: 1 },
                    len => Step::Discard { len },
                };
            }
            Phase::Start | Phase::Whole | Phase::Rest => {}
        }
        let left = std::mem::take(&mut self.left);
        if left > 0 {
            return Step::Skip { len: left };
        }
        if self.phase == Phase::Whole
            && let Some(Progress::Held(held)) = self.progress.take().map(|progress| *progress)
        {
            self.phase = Phase::Start;
            return self.hand_out(held, Part::Whole, 0, link, scratch);
        }
        self.phase = Phase::Start;
        let correlation = if self.ordered { Correlation::Ordered } else { Correlation::OneWay };
        Step::Consumed { len: 0, message: Some(Message::bare(correlation, Part::Last)) }
    }

    /// A line that is too long to be seen at once: `get` takes any number of keys.
    #[cold]
    fn begin_keys<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let end = input.iter().rposition(|&byte| byte == b' ').unwrap_or_default();
        let line = input.get(..end).unwrap_or_default();
        let end = memchr::memchr(b'\n', line).unwrap_or(end);
        let line = line.get(..end).unwrap_or_default();
        let mut words = line::words(line);
        let command = words.next().map_or(&UNKNOWN, commands::lookup);
        if !matches!(command.shape, Shape::Get | Shape::Gat) {
            return invalid("too long a line");
        }
        let parsed = ask::parse(line, link, scratch.draft());
        self.phase = Phase::Keys;
        self.progress = Some(Box::new(Progress::Held(parsed.held)));
        Step::Consumed { len: end, message: None }
    }

    /// More keys: `input` begins with the space in front of one, or with the line's end.
    fn keys<'s>(&mut self, input: &[u8], link: &mut Link, scratch: &'s mut Scratch) -> Step<'s> {
        let ended = memchr::memchr(b'\n', input);
        let end = match ended {
            Some(end) => end,
            None => input.iter().rposition(|&byte| byte == b' ').unwrap_or_default(),
        };
        let line = input.get(..end).unwrap_or_default();
        let partial = if ended.is_none() { input.len().saturating_sub(end) } else { 0 };
        if partial > MAX_WORD || line::words(line).any(|key| key.len() >= MAX_WORD) {
            return invalid("too long a key");
        }
        if ended.is_none() && end == 0 {
            return Step::NeedMore { at_least: input.len().saturating_add(1) };
        }
        let line = if ended.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let Some(Progress::Held(held)) = self.progress.as_deref_mut() else {
            return invalid("no request in progress");
        };
        render::words(&mut held.draft.text, line);
        if let Fate::Waits(asked) = &mut held.fate {
            let count = line::words(line).count();
            asked.keys = asked.keys.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
        if ended.is_none() {
            return Step::Consumed { len: end, message: None };
        }
        self.phase = Phase::Start;
        let Some(Progress::Held(held)) = self.progress.take().map(|progress| *progress) else {
            return invalid("no request in progress");
        };
        self.hand_out(held, Part::Whole, end.saturating_add(1), link, scratch)
    }

    /// Hands a request out that ends, or has its first part end, `len` bytes on.
    #[inline]
    pub(super) fn hand_out<'s>(
        &mut self,
        held: Held,
        part: Part,
        len: usize,
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let Held { mut draft, fate } = held;
        let correlation = match fate {
            Fate::Waits(asked) | Fate::Doubtful(asked) => {
                if asked.keys > 0 {
                    draft.fields.int(field::KEYS, i64::from(asked.keys));
                }
                if let Err(reason) = link.push(asked) {
                    return invalid(reason);
                }
                Correlation::Ordered
            }
            Fate::Muted(classes) => {
                link.mute(classes);
                Correlation::OneWay
            }
            Fate::OneWay => Correlation::OneWay,
            Fate::Unknown => return invalid("a store that servers understand differently"),
        };
        if matches!(fate, Fate::Doubtful(_)) {
            self.phase = Phase::Lost;
        }
        if matches!(fate, Fate::Muted(_)) || matches!(fate, Fate::Waits(asked) if asked.quiet) {
            draft.fields.int(field::QUIET, 1);
        }
        self.ordered = correlation == Correlation::Ordered;
        let message = scratch.finish(draft, correlation, Status::Ok);
        Step::Consumed { len, message: Some(Message { part, ..message }) }
    }

    /// See [`crate::protocol::Decoder::handle_gap`].
    pub(super) fn handle_gap(&mut self, before: &[u8], len: u64) -> u64 {
        if self.phase != Phase::Start {
            return self.gap_within(before, len);
        }
        let Line::Whole(text, head) = line::line(before) else { return 0 };
        match ask::stored(text) {
            Stored::Bytes(value) => self.cut(before, len, extent(head, value).total),
            Stored::Nothing | Stored::Doubtful => 0,
        }
    }

    /// The same within a request that is in progress.
    pub(super) fn gap_within(&mut self, before: &[u8], len: u64) -> u64 {
        match self.phase {
            Phase::Lost => len.saturating_add(before.len() as u64),
            Phase::Keys | Phase::Start => 0,
            Phase::Whole | Phase::Rest => {
                let known = self.left.min(len);
                self.left = self.left.saturating_sub(known);
                known
            }
        }
    }

    /// Forgets the request in progress.
    pub(super) fn resync(&mut self) {
        *self = Self::default();
    }
}

/// How far a text request goes.
#[inline]
fn extent(head: usize, value: u32) -> Extent {
    let value = u64::from(value);
    let total = (head as u64).saturating_add(value).saturating_add(2);
    Extent { head, value, total, shows: true }
}

/// How many bytes of a value are worth seeing.
#[inline]
fn wants(draft: &Draft, extent: &Extent) -> usize {
    if !extent.shows {
        return 0;
    }
    let value = extent.value;
    // One more than fits tells that it does not.
    let room = match draft.text.room() {
        0 => 0,
        room => room.saturating_add(1).min(MAX_PREFIX),
    };
    usize::try_from(value).map_or(room, |value| value.min(room))
}

/// Appends a value, of which the beginning is visible, to a request's text.
#[inline]
fn show_value(draft: &mut Draft, shown: &[u8], extent: &Extent, secret: bool) {
    if !extent.shows {
        return;
    }
    let whole = shown.len() as u64 == extent.value;
    draft.text.push_str(" ");
    if secret && extent.value <= render::MAX_CREDENTIALS && render::may_be_credentials(shown, whole)
    {
        render::secret(&mut draft.text);
    } else {
        render::value(&mut draft.text, shown, whole);
    }
}
