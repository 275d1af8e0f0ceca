//! Requests of the text protocol: a line, and for stores a value of announced length behind it.

use std::cmp::Ordering;

use super::{
    answer::{Echo, class, fingerprint},
    commands::{self, Command, Shape, UNKNOWN},
    field, invalid,
    line::{self, Line, MAX_KEY, Words},
    link::{Asked, Link, Role},
    render,
};
use crate::protocol::{
    Correlation, Message, Part, Scratch, Status, Step,
    scratch::{Draft, MAX_OPERATION},
};

/// The server may answer a store of a longer value before it has all of it: it refuses what is too
/// large for it by the line alone. So such requests come in parts.
pub(super) const MAX_WHOLE: u64 = 1024;

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

/// A request that is not handed out yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) draft: Box<Draft>,
    pub(super) fate: Fate,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for its response.
    Waits(Asked),
    /// It is answered, with one of these classes, only if it fails.
    Muted(u16),
    /// Nobody answers it.
    OneWay,
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

/// What a line says.
struct Parsed {
    held: Held,
    /// The length of the value behind the line.
    value: Option<u32>,
    /// The value may be a password.
    secret: bool,
    /// The command is known.
    is_known: bool,
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
                let parsed = parse(text, link, scratch.draft());
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
        let parsed = parse(text, link, scratch.draft());
        if !parsed.is_known && is_binary(text) {
            scratch.discard(parsed.held.draft);
            return invalid("no command");
        }
        let Some(value) = parsed.value else {
            if is_doubtful(&parsed.held.fate) {
                self.phase = Phase::Lost;
            }
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
        match stored(text) {
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
        let parsed = parse(line, link, scratch.draft());
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
        if ended.is_none() && input.len().saturating_sub(end) > line::MAX_LINE {
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
            Fate::Waits(asked) => {
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
        };
        if !matches!(fate, Fate::Waits(asked) if !asked.quiet) {
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
        match stored(text) {
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

/// Whether a line that is no known command cannot be of the text protocol at all.
#[inline]
fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < 0x20 && byte != b'\r' && byte != b'\t'))
}

fn is_doubtful(fate: &Fate) -> bool {
    matches!(fate, Fate::Waits(asked) if asked.role == Role::Doubtful)
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
    if secret && render::may_be_credentials(shown, whole) {
        render::secret(&mut draft.text);
    } else {
        render::value(&mut draft.text, shown, whole);
    }
}

/// What a line announces behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Nothing,
    Bytes(u32),
    /// A value that some servers take for commands, since they refuse its line before they look at the
    /// length, and others read.
    Doubtful,
}

/// What the line of a request announces behind it.
fn stored(text: &[u8]) -> Stored {
    let mut words = line::words(text);
    let command = words.next().map_or(&UNKNOWN, commands::lookup);
    stored_by(command, text, words)
}

/// The same, for who knows the command, and the words behind it.
#[inline]
fn stored_by(command: &Command, text: &[u8], mut words: Words<'_>) -> Stored {
    let is_cas = command.shape == Shape::Cas;
    let (key, length, is_sound) = match command.shape {
        Shape::Store | Shape::Cas => {
            let (Some(key), Some(flags), Some(exptime), Some(length)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Stored::Nothing;
            };
            let numbers = line::number(flags).is_some() && line::signed(exptime).is_some();
            let cas = !is_cas || words.next().is_some_and(|cas| line::number(cas).is_some());
            let end = matches!(words.next(), None | Some(b"noreply")) && words.next().is_none();
            (key, length, numbers && cas && end)
        }
        Shape::MetaStore => {
            let (Some(key), Some(length)) = (words.next(), words.next()) else {
                return Stored::Nothing;
            };
            // Before 1.6.9 the length was a flag.
            if let [b'S', digits @ ..] = length
                && line::length(digits).is_some()
            {
                return Stored::Doubtful;
            }
            (key, length, true)
        }
        _ => return Stored::Nothing,
    };
    let Some(length) = line::length(length) else { return Stored::Nothing };
    if is_sound && key.len() <= MAX_KEY && text.first() != Some(&b' ') {
        Stored::Bytes(length)
    } else {
        Stored::Doubtful
    }
}

/// Reads a line.
#[inline]
fn parse(text: &[u8], link: &Link, mut draft: Box<Draft>) -> Parsed {
    let mut words = line::words(text);
    let name = words.next().unwrap_or_default();
    let command = commands::lookup(name);
    note_command(&mut draft, command, name);
    render::words(&mut draft.text, text);
    let stored = stored_by(command, text, words);
    let mut asked = Asked { classes: command.classes, ..Asked::default() };
    let is_muted = match command.shape {
        Shape::Get | Shape::Gat => {
            asked.keys = note_keys(&mut draft, command.shape, words);
            false
        }
        Shape::MetaGet | Shape::MetaKey | Shape::MetaStore => {
            let is_quiet = note_meta(&mut draft, command.shape, words, &mut asked.echo);
            if is_quiet && command.shape == Shape::MetaGet {
                asked.quiet = true;
                asked.classes &= !class::META_MISS;
            }
            is_quiet && command.shape != Shape::MetaGet
        }
        shape => note_classic(&mut draft, shape, words),
    };
    let value = match stored {
        Stored::Bytes(value) => Some(value),
        Stored::Doubtful => {
            asked.role = Role::Doubtful;
            None
        }
        Stored::Nothing => None,
    };
    if let Some(value) = value {
        draft.fields.int(field::BYTES, i64::from(value));
    }
    if command.shape == Shape::Watch {
        asked.role = Role::Watch;
    }
    let fate = if command.shape == Shape::Quit || link.is_watching() {
        Fate::OneWay
    } else if is_muted && stored != Stored::Doubtful {
        Fate::Muted(muted_classes(command))
    } else {
        Fate::Waits(asked)
    };
    let secret = command.shape == Shape::Store && !link.is_greeted();
    Parsed { held: Held { draft, fate }, value, secret, is_known: !command.name.is_empty() }
}

/// What a muted command may be answered with all the same.
fn muted_classes(command: &Command) -> u16 {
    match command.shape {
        Shape::MetaKey | Shape::MetaStore => class::META_REFUSED | class::ERROR,
        // Older servers do not know it of all of these.
        Shape::Admin => command.classes,
        _ => class::ERROR,
    }
}

#[inline]
fn note_command(draft: &mut Draft, command: &Command, name: &[u8]) {
    if command.name.is_empty() {
        let mut upper = [0; MAX_OPERATION + 1];
        let name = name.get(..upper.len()).unwrap_or(name);
        if let Some(upper) = upper.get_mut(..name.len()) {
            upper.copy_from_slice(name);
            upper.make_ascii_uppercase();
            draft.operation.push_bytes(upper);
        }
        if name.is_empty() {
            draft.operation.push_str("EMPTY");
        }
    } else {
        draft.operation.push_str(command.name);
    }
    let Draft { operation, fields, .. } = draft;
    fields.text(field::COMMAND, operation.as_str());
}

/// Notes the first key.
#[inline]
pub(super) fn note_key(draft: &mut Draft, key: &[u8]) {
    if draft.fields.wanted() {
        render::field(key, |key| draft.fields.text(field::KEY, key));
    }
}

/// Notes what `get` and its like ask for, and counts the keys.
#[inline]
fn note_keys(draft: &mut Draft, shape: Shape, mut words: Words<'_>) -> u32 {
    let exptime = if shape == Shape::Gat { words.next() } else { None };
    let Some(key) = words.next() else { return 0 };
    note_key(draft, key);
    if let Some(exptime) = exptime.and_then(line::signed) {
        draft.fields.int(field::EXPTIME, exptime);
    }
    u32::try_from(words.count()).unwrap_or(u32::MAX).saturating_add(1)
}

/// Notes a classic command other than `get`; returns whether it ends with `noreply`.
#[inline]
fn note_classic(draft: &mut Draft, shape: Shape, mut words: Words<'_>) -> bool {
    let before_noreply = match shape {
        Shape::Key => 1,
        Shape::KeyAndNumber | Shape::KeyAndExptime => 2,
        Shape::Store => 4,
        Shape::Cas => 5,
        Shape::Admin => 0,
        Shape::MetaDebug => {
            if let Some(key) = words.next() {
                note_key(draft, key);
            }
            return false;
        }
        _ => return false,
    };
    let has_key = shape != Shape::Admin;
    let exptime_at = match shape {
        Shape::KeyAndExptime => 1,
        Shape::Store | Shape::Cas => 2,
        _ => usize::MAX,
    };
    let mut last: &[u8] = b"";
    let mut count = 0_usize;
    for word in words {
        if count == 0 && has_key {
            note_key(draft, word);
        } else if count == exptime_at
            && draft.fields.wanted()
            && let Some(exptime) = line::signed(word)
        {
            draft.fields.int(field::EXPTIME, exptime);
        }
        last = word;
        count = count.saturating_add(1);
    }
    count > before_noreply && last == b"noreply"
}

/// Notes a meta command; returns whether it is quiet.
fn note_meta(draft: &mut Draft, shape: Shape, mut words: Words<'_>, echo: &mut Echo) -> bool {
    let key = words.next().unwrap_or_default();
    note_key(draft, key);
    if shape == Shape::MetaStore {
        words.next();
    }
    let mut is_quiet = false;
    for flag in words {
        match flag {
            [b'q', ..] => is_quiet = true,
            [b'k', ..] => echo.key = fingerprint(key),
            [b'O', opaque @ ..] => {
                echo.opaque = fingerprint(opaque);
                if draft.fields.wanted() {
                    render::field(opaque, |opaque| draft.fields.text(field::OPAQUE, opaque));
                }
            }
            [b'T', exptime @ ..] => {
                if let Some(exptime) = line::signed(exptime) {
                    draft.fields.int(field::EXPTIME, exptime);
                }
            }
            _ => {}
        }
    }
    is_quiet
}
