//! Responses of the text protocol: lines, and values of announced length behind some of them.

use super::{
    answer::{Answer, Echo, class, fingerprint},
    field, invalid,
    line::{self, Line, Words},
    link::{For, Link},
    render,
};
use crate::protocol::{
    Correlation, Message, Part, Scratch, Status, Step, digits::Digits, scratch::Draft,
};

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// What the response in progress is by the lines that came; 0 if none did.
    class: u16,
    /// Values in the response so far.
    hits: u32,
    /// Their bytes.
    bytes: u64,
    /// Bytes that need not be seen, where a gap left some.
    left: u64,
    /// What is handed out when the value behind it has passed; none at rest.
    held: Option<Box<Held>>,
}

/// A response of which all that matters was seen.
#[derive(Debug)]
pub(super) enum Held {
    /// A meta command's value follows.
    Value(Answer),
    /// A binary packet's rest follows.
    Packet(Report, Option<Box<Draft>>),
    /// A binary packet's beginning. Where bytes are lost nothing can be written down yet.
    Cut(Vec<u8>),
}

/// How a response is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) correlation: Correlation,
    pub(super) status: Status,
    pub(super) passed_over: u32,
}

/// What a line says.
enum Said<'a> {
    /// A value of so many bytes follows, and then more lines.
    Value(u64),
    /// More lines follow.
    Item,
    /// A value of so many bytes follows, and that is all.
    MetaValue(u64, Echo),
    /// That is all.
    Word(u16, Words<'a>),
    /// It breaks the rules.
    Nothing,
}

impl Responses {
    /// Goes on with the response in progress, or begins one.
    #[inline]
    pub(super) fn decode<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if let Some(done) = self.resume() {
            return self.finish(done, 0, link, scratch);
        }
        let mut at = 0_usize;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let (text, len) = match line::line(rest) {
                Line::Whole(text, len) => (text, len),
                Line::Partial if at > 0 => return Step::Consumed { len: at, message: None },
                Line::Partial => {
                    return Step::NeedMore { at_least: rest.len().saturating_add(1) };
                }
                Line::TooLong if link.is_watching() => return Step::Discard { len: rest.len() },
                Line::TooLong => return invalid("too long a line"),
            };
            at = at.saturating_add(len);
            if link.is_watching() {
                let message = Message::bare(Correlation::OneWay, Part::Whole);
                return Step::Consumed { len: at, message: Some(message) };
            }
            match read(text) {
                Said::Word(class, _) if !self.may_end_with(class) => break,
                Said::Word(class, flags) => {
                    let echo =
                        if class & (class::META_MISS | class::META_REFUSED | class::META) != 0 {
                            echo(flags)
                        } else {
                            Echo::default()
                        };
                    let class = if class & (class::END | class::META_MISS) != 0 && self.class != 0 {
                        self.class
                    } else {
                        class
                    };
                    return self.finish((Answer { class, echo }, text), at, link, scratch);
                }
                Said::Item if matches!(self.class, 0 | class::LIST) => self.class = class::LIST,
                Said::Value(bytes) if matches!(self.class, 0 | class::VALUES) => {
                    self.class = class::VALUES;
                    self.note_value(bytes);
                    let end = (at as u64).saturating_add(bytes).saturating_add(2);
                    match usize::try_from(end) {
                        Ok(end) if end <= input.len() => at = end,
                        _ => return Step::Skip { len: end },
                    }
                }
                Said::MetaValue(bytes, echo) if self.class == 0 => {
                    self.note_value(bytes);
                    let answer = Answer { class: class::META, echo };
                    let end = (at as u64).saturating_add(bytes).saturating_add(2);
                    match usize::try_from(end) {
                        Ok(end) if end <= input.len() => {
                            return self.finish((answer, b"VA"), end, link, scratch);
                        }
                        _ => {
                            self.held = Some(Box::new(Held::Value(answer)));
                            return Step::Skip { len: end };
                        }
                    }
                }
                _ => break,
            }
        }
        invalid("no response")
    }

    fn note_value(&mut self, bytes: u64) {
        self.hits = self.hits.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether the response in progress may end with a line of this class.
    #[inline]
    fn may_end_with(&self, class: u16) -> bool {
        match self.class {
            class::VALUES => class & (class::END | class::ERROR) != 0,
            class::LIST => class & (class::END | class::META_MISS | class::ERROR) != 0,
            _ => true,
        }
    }

    /// A value has passed: what it belongs to, if that is all of it.
    #[inline]
    fn resume(&mut self) -> Option<(Answer, &'static [u8])> {
        match self.held.take().map(|held| *held) {
            Some(Held::Value(answer)) => Some((answer, b"VA")),
            _ => None,
        }
    }

    /// Keeps a packet until it ends.
    pub(super) fn hold(&mut self, report: Report, draft: Option<Box<Draft>>) {
        self.held = Some(Box::new(Held::Packet(report, draft)));
    }

    /// Whether a packet is in progress.
    #[inline]
    pub(super) fn is_busy(&self) -> bool {
        self.held.is_some() || self.left > 0
    }

    /// The packet that is kept has ended, or goes on.
    pub(super) fn go_on<'s>(&mut self, scratch: &'s mut Scratch) -> Step<'s> {
        let left = std::mem::take(&mut self.left);
        if left > 0 {
            return Step::Skip { len: left };
        }
        match self.held.take().map(|held| *held) {
            Some(Held::Packet(report, draft)) => hand_out(report, draft, 0, scratch),
            _ => invalid("no packet in progress"),
        }
    }

    /// A packet begins with `before`, and `len` bytes behind that were not seen. Returns behind how many
    /// of both it stands then.
    pub(super) fn cut(&mut self, before: &[u8], len: u64, total: u64) -> u64 {
        let behind = total.min(len.saturating_add(before.len() as u64));
        self.left = total.saturating_sub(behind);
        self.held = Some(Box::new(Held::Cut(before.to_vec())));
        behind
    }

    /// What was seen of a packet before bytes of it were lost, if it was not looked at yet.
    #[inline]
    pub(super) fn take_cut(&mut self) -> Option<Vec<u8>> {
        match self.held.as_deref_mut() {
            Some(Held::Cut(bytes)) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }

    /// Bytes of a packet that need not be seen were not.
    pub(super) fn gap_within(&mut self, len: u64) -> u64 {
        let known = self.left.min(len);
        self.left = self.left.saturating_sub(known);
        known
    }

    /// The response is complete, `len` bytes on.
    #[inline]
    fn finish<'s>(
        &mut self,
        (answer, text): (Answer, &[u8]),
        len: usize,
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        let (hits, bytes) = (self.hits, self.bytes);
        (self.class, self.hits, self.bytes) = (0, 0, 0);
        let found = match link.answer(answer) {
            Ok(found) => found,
            Err(reason) => return invalid(reason),
        };
        let (correlation, passed_over, keys) = match found {
            For::Request(asked, passed_over) => (Correlation::Ordered, passed_over, asked.keys),
            For::Unpaired => (Correlation::OneWay, 0, 0),
            For::Nobody => (Correlation::Ordered, 0, 0),
        };
        let is_meta_get = matches!(found, For::Request(asked, _) if asked.classes & class::END == 0
            && asked.classes & class::META != 0 && asked.classes & class::META_REFUSED == 0);
        let status = if answer.class == class::ERROR { Status::Error } else { Status::Ok };
        let outcome = Outcome { class: answer.class, line: text, keys, hits, bytes, is_meta_get };
        let message = if scratch.options().fields || outcome.has_word() {
            let mut draft = scratch.draft();
            outcome.note(&mut draft);
            scratch.finish(draft, correlation, status)
        } else {
            scratch.bare(correlation, status)
        };
        Step::Consumed { len, message: Some(Message { passed_over, ..message }) }
    }

    /// Forgets the response in progress.
    pub(super) fn resync(&mut self) {
        *self = Self::default();
    }
}

/// Hands out a packet's message.
#[inline]
pub(super) fn hand_out<'s>(
    report: Report,
    draft: Option<Box<Draft>>,
    len: usize,
    scratch: &'s mut Scratch,
) -> Step<'s> {
    let Report { correlation, status, passed_over } = report;
    let message = match draft {
        Some(draft) => scratch.finish(draft, correlation, status),
        None => scratch.bare(correlation, status),
    };
    Step::Consumed { len, message: Some(Message { passed_over, ..message }) }
}

/// What became of a request.
struct Outcome<'a> {
    class: u16,
    line: &'a [u8],
    keys: u32,
    hits: u32,
    bytes: u64,
    is_meta_get: bool,
}

impl Outcome<'_> {
    /// Whether there is something to say behind the request.
    #[inline]
    fn has_word(&self) -> bool {
        match self.class {
            class::STORED
            | class::DELETED
            | class::TOUCHED
            | class::NUMBER
            | class::META
            | class::META_NOOP
            | class::LIST => false,
            class::VALUES => self.hits < self.keys,
            class::OTHER => !self.is_usual(),
            _ => true,
        }
    }

    /// Whether another line is one that is expected.
    fn is_usual(&self) -> bool {
        [&b"OK"[..], b"RESET", b"VERSION ", b"ME "].iter().any(|usual| self.line.starts_with(usual))
    }

    fn note(&self, draft: &mut Draft) {
        let first = line::words(self.line).next().unwrap_or_default();
        let misses = self.keys.saturating_sub(self.hits);
        let name = match (self.class, first) {
            (class::VALUES, _) if misses == 0 => "HIT",
            (class::VALUES, _) => "PARTIAL",
            (class::END, _) if self.keys > 0 => "MISS",
            (class::META, _) if self.is_meta_get => "HIT",
            (class::META, _) => "OK",
            (class::META_MISS, _) => "MISS",
            (class::META_REFUSED, b"NF") => "NOT_FOUND",
            (class::META_REFUSED, b"NS") => "NOT_STORED",
            (class::META_REFUSED, _) => "EXISTS",
            _ => "",
        };
        if self.has_word() {
            self.word(draft, name);
        }
        if !draft.fields.wanted() {
            return;
        }
        if name.is_empty() {
            draft.fields.wire(field::RESULT, render::MAX_FIELD, first);
        } else {
            draft.fields.text(field::RESULT, name);
        }
        if self.class & (class::VALUES | class::END) != 0 && self.keys > 0 {
            draft.fields.int(field::HITS, i64::from(self.hits));
            draft.fields.int(field::MISSES, i64::from(misses));
        }
        if self.hits > 0 {
            draft.fields.int(field::REPLY_BYTES, i64::try_from(self.bytes).unwrap_or(i64::MAX));
        }
        if self.class == class::ERROR {
            draft.fields.wire(field::ERROR, render::MAX_FIELD, self.line);
        }
    }

    fn word(&self, draft: &mut Draft, name: &str) {
        if self.class == class::VALUES {
            let mut digits = Digits::default();
            draft.text.push_str(digits.unsigned(u64::from(self.hits)));
            draft.text.push_str(" of ");
            draft.text.push_str(digits.unsigned(u64::from(self.keys)));
        } else if !name.is_empty() {
            draft.text.push_str(name);
        } else if self.class != class::END {
            render::words(&mut draft.text, self.line);
        }
    }
}

/// Reads a line.
#[inline]
fn read(text: &[u8]) -> Said<'_> {
    let mut words = line::words(text);
    let first = match text.first() {
        Some(b' ') | None => return Said::Nothing,
        Some(_) => words.next().unwrap_or_default(),
    };
    let class = match first {
        b"VALUE" => {
            let (Some(_key), Some(_flags), Some(bytes)) =
                (words.next(), words.next(), words.next())
            else {
                return Said::Nothing;
            };
            return line::length(bytes)
                .map_or(Said::Nothing, |bytes| Said::Value(u64::from(bytes)));
        }
        b"VA" => {
            let Some(bytes) = words.next().and_then(line::length) else { return Said::Nothing };
            return Said::MetaValue(u64::from(bytes), echo(words));
        }
        b"STAT" | b"ITEM" | b"PREFIX" | b"mg" => return Said::Item,
        b"END" => class::END,
        b"STORED" => class::STORED,
        b"NOT_STORED" | b"EXISTS" => class::REFUSED,
        b"NOT_FOUND" => class::NOT_FOUND,
        b"DELETED" => class::DELETED,
        b"TOUCHED" => class::TOUCHED,
        b"HD" => class::META,
        b"EN" => class::META_MISS,
        b"NF" | b"NS" | b"EX" => class::META_REFUSED,
        b"MN" => class::META_NOOP,
        _ if first.starts_with(b"key=") => return Said::Item,
        _ if first.starts_with(b"ERROR")
            || first.starts_with(b"CLIENT_ERROR")
            || first.starts_with(b"SERVER_ERROR")
            || first.starts_with(b"WATCHER_") =>
        {
            class::ERROR
        }
        // Some servers write spaces behind it, where the number got shorter.
        _ if line::number(first).is_some() && words.next().is_none() => class::NUMBER,
        _ if first.iter().all(|byte| (0x21..0x7f).contains(byte)) => class::OTHER,
        _ => return Said::Nothing,
    };
    Said::Word(class, words)
}

/// What a meta command's answer sends back.
fn echo(flags: Words<'_>) -> Echo {
    let mut echo = Echo::default();
    for flag in flags {
        match flag {
            [b'O', opaque @ ..] => echo.opaque = fingerprint(opaque),
            [b'k', key @ ..] => echo.key = fingerprint(key),
            _ => {}
        }
    }
    echo
}
