//! Replies of RESP2 and RESP3, however deep: only their extent and their outermost type matter.
//!
//! Nesting needs no stack: one number counts the elements still to come, and an aggregate adds
//! its own. Only streamed aggregates, whose end is a mark, put what is outside of them aside.

use super::{
    fast, invalid,
    line::{self, Count, Line},
    link::{Link, Reply, Shape},
    outline::{self, Outline},
    shape::{self, Element, Tracker},
};
use crate::protocol::{Scratch, Status, Step, cursor::Cursor};

/// How deep streamed aggregates may nest. Redis sends none; parsers of clients stop at 7 to 9.
const MAX_STREAMED: usize = 32;

/// Where in a reply the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Between replies.
    #[default]
    Start,
    /// At an element, or behind the last one.
    Element,
    /// In a line of any length.
    Line,
    /// At the last byte of such a line.
    LineEnd,
    /// At the CRLF behind a string.
    Cr,
    /// At the second half of that CRLF.
    Lf,
    /// At a piece of a streamed string.
    Chunk,
}

/// The server's side of a connection.
#[derive(Debug, Default)]
pub(super) struct Replies {
    phase: Phase,
    /// The type byte of the outermost element; 0 until it is seen (attributes come before it).
    kind: u8,
    /// In a streamed string.
    chunked: bool,
    tracker: Tracker,
    /// Elements still to come; inside a streamed aggregate, up to the next place where it may end.
    pending: u64,
    details: Option<Box<Details>>,
}

/// What only replies that come in pieces or in streamed aggregates need.
#[derive(Debug, Default)]
struct Details {
    outline: Outline,
    /// What is pending outside of each streamed aggregate.
    streamed: Vec<u64>,
}

/// Why decoding pauses.
enum Pause {
    /// The reply is complete.
    Done,
    /// At least so many bytes more are needed.
    Need(usize),
    /// So many bytes from here on need not be seen.
    Skip(u64),
    Broken(&'static str),
}

/// What decoding an element works with.
struct Work<'w, 'a> {
    cursor: Cursor<'a>,
    outline: Outline,
    link: &'w Link,
    scratch: &'w mut Scratch,
}

impl Replies {
    /// Goes on with the reply in progress, or begins one.
    #[inline]
    pub(super) fn decode<'s>(
        &mut self,
        input: &[u8],
        link: &mut Link,
        scratch: &'s mut Scratch,
    ) -> Step<'s> {
        if self.phase == Phase::Start {
            if !link.is_watchful()
                && !scratch.options().fields
                && let Some(len) = fast::reply(input)
            {
                let message = scratch.bare(link.ordinary_reply(), Status::Ok);
                return Step::Consumed { len, message: Some(message) };
            }
            match input.first() {
                None => return Step::NeedMore { at_least: 1 },
                // The response to SYNC has no line of its own: newlines while the master is busy,
                // then the length of the RDB file, or the mark that will end it.
                Some(b'\n') if link.awaits_sync() => {
                    return Step::Discard { len: 1 };
                }
                Some(b'$') if link.awaits_sync() => {
                    let reply = Reply { kind: b'$', shape: Shape::Other, remaining: 0 };
                    let message = scratch.bare(link.reply(&reply), Status::Ok);
                    return Step::Consumed { len: 1, message: Some(message) };
                }
                Some(_) => {}
            }
            (self.phase, self.pending) = (Phase::Element, 1);
        }
        let outline = match &mut self.details {
            Some(details) => std::mem::take(&mut details.outline),
            None => Outline::default(),
        };
        let mut work = Work { cursor: Cursor::new(input), outline, link, scratch };
        let pause = self.run(&mut work);
        let Work { cursor, outline, .. } = work;
        let consumed = cursor.consumed();
        match pause {
            Pause::Done => {
                let (shape, remaining) = self.tracker.verdict();
                let reply = Reply { kind: self.kind, shape, remaining };
                self.resync();
                let correlation = link.reply(&reply);
                let status =
                    if matches!(reply.kind, b'-' | b'!') { Status::Error } else { Status::Ok };
                let message = outline.finish(scratch, correlation, status);
                Step::Consumed { len: consumed, message: Some(message) }
            }
            Pause::Broken(reason) => {
                self.resync();
                invalid(reason)
            }
            Pause::Need(_) | Pause::Skip(_) => {
                if outline.is_begun() {
                    self.details.get_or_insert_default().outline = outline;
                }
                match pause {
                    Pause::Skip(len) => Step::Skip { len: len.saturating_add(consumed as u64) },
                    Pause::Need(more) if consumed == 0 => {
                        Step::NeedMore { at_least: input.len().saturating_add(more) }
                    }
                    _ => Step::Consumed { len: consumed, message: None },
                }
            }
        }
    }

    #[inline]
    fn run(&mut self, work: &mut Work<'_, '_>) -> Pause {
        loop {
            let pause = match self.phase {
                Phase::Start | Phase::Element => {
                    if self.pending == 0 && !self.is_streamed() {
                        return Pause::Done;
                    }
                    self.element(work)
                }
                Phase::Line => self.line(work),
                Phase::LineEnd | Phase::Lf => match work.cursor.rest() {
                    [] => Some(Pause::Need(1)),
                    [b'\n', ..] => {
                        work.cursor.advance(1);
                        self.end_element();
                        None
                    }
                    _ => Some(Pause::Broken("a bare carriage return")),
                },
                Phase::Cr => match work.cursor.rest() {
                    [] => Some(Pause::Need(1)),
                    [b'\r', b'\n', ..] => {
                        work.cursor.advance(2);
                        self.end_element();
                        None
                    }
                    [b'\r'] => {
                        work.cursor.advance(1);
                        self.phase = Phase::Lf;
                        None
                    }
                    _ => Some(Pause::Broken("no line end behind a string")),
                },
                Phase::Chunk => self.chunk(work),
            };
            if let Some(pause) = pause {
                return pause;
            }
        }
    }

    /// Takes the header of an element, and the element if it is short.
    #[inline]
    fn element(&mut self, work: &mut Work<'_, '_>) -> Option<Pause> {
        let Some(&kind) = work.cursor.rest().first() else { return Some(Pause::Need(1)) };
        if self.pending == 0 {
            if kind == b'.' {
                return self.end_streamed(work);
            }
            // One more element before the streamed aggregate may end.
            self.pending = 1;
        }
        match kind {
            b'+' | b'-' | b'(' => self.simple(kind, work),
            b'$' | b'=' | b'!' => self.string(kind, work),
            b':' | b',' | b'#' | b'_' => self.scalar(kind, work),
            b'*' | b'%' | b'~' | b'>' | b'|' => self.aggregate(kind, work),
            _ => Some(Pause::Broken("no type of RESP")),
        }
    }

    /// Counts in an element that begins here.
    #[inline]
    fn begin(&mut self, kind: u8, len: Option<i64>, work: &mut Work<'_, '_>) {
        if self.is_outermost() {
            self.kind = kind;
            if work.scratch.options().fields {
                work.outline.begin(kind, len, work.scratch);
            }
        }
        self.pending = self.pending.saturating_sub(1);
    }

    /// Whether the element that begins here is the reply itself, not a part or an attribute of it.
    #[inline]
    fn is_outermost(&self) -> bool {
        self.kind == 0 && self.pending == 1 && !self.is_streamed()
    }

    #[inline]
    fn simple(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        let reports = kind == b'-' && work.scratch.options().fields;
        let head = if self.is_outermost() && (reports || kind == b'+' && work.link.is_watchful()) {
            match outline::head(rest) {
                Some(head) => head,
                None => return Some(Pause::Need(1)),
            }
        } else {
            &[]
        };
        if self.is_outermost() && kind == b'+' {
            self.tracker.line(head);
        } else {
            self.tracker.element(Element::Other);
        }
        let reports = reports && self.is_outermost();
        self.begin(kind, None, work);
        if reports {
            work.outline.error(head);
        }
        work.cursor.advance(1);
        self.phase = Phase::Line;
        None
    }

    /// Goes on to the end of a line, which is not kept.
    #[inline]
    fn line(&mut self, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
            work.cursor.advance(rest.len());
            return Some(Pause::Need(1));
        };
        if rest.get(end) == Some(&b'\n') {
            return Some(Pause::Broken("a bare line feed"));
        }
        work.cursor.advance(end.saturating_add(1));
        self.phase = Phase::LineEnd;
        None
    }

    #[inline]
    fn string(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        let (len, header) = match line::count(rest) {
            Count::Is(len, header) => (len, header),
            Count::Partial => return Some(need_line(rest)),
            Count::Broken => return self.streamed_string(kind, work),
        };
        let Ok(body) = u64::try_from(len) else {
            if kind != b'$' || len != -1 {
                return Some(Pause::Broken("negative length"));
            }
            self.tracker.element(Element::Null);
            self.begin(b'_', None, work);
            work.cursor.advance(header);
            return None;
        };
        let reports = kind == b'!' && self.is_outermost() && work.scratch.options().fields;
        if self.tracker.is_following() || reports {
            // The few bytes to wait for, since they say what the reply is.
            let head = match (self.tracker.awaits_name(), reports) {
                (true, _) if body <= shape::MAX_NAME => body,
                (false, true) => body.min(outline::MAX_HEAD as u64),
                _ => 0,
            };
            let end = header.saturating_add(usize::try_from(head).unwrap_or(0));
            let Some(head) = rest.get(header..end) else {
                return Some(Pause::Need(end.saturating_sub(rest.len())));
            };
            self.tracker.element(Element::Text(head));
            self.begin(kind, Some(len), work);
            if reports {
                work.outline.error(head);
            }
        } else {
            self.begin(kind, Some(len), work);
        }
        work.cursor.advance(header);
        self.phase = Phase::Cr;
        if work.cursor.take(body).is_none() {
            return Some(Pause::Skip(body));
        }
        None
    }

    #[cold]
    fn streamed_string(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let Line::Whole(b"?", header) = line::header(work.cursor.rest()) else {
            return Some(Pause::Broken("bad length"));
        };
        if kind != b'$' {
            return Some(Pause::Broken("only strings can be streamed"));
        }
        self.tracker.element(Element::Other);
        self.begin(kind, None, work);
        work.cursor.advance(header);
        (self.chunked, self.phase) = (true, Phase::Chunk);
        None
    }

    fn chunk(&mut self, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        match rest.first() {
            None => return Some(Pause::Need(1)),
            Some(b';') => {}
            Some(_) => return Some(Pause::Broken("no piece of a streamed string")),
        }
        match line::count(rest) {
            Count::Partial => Some(need_line(rest)),
            Count::Is(0, header) => {
                work.cursor.advance(header);
                (self.chunked, self.phase) = (false, Phase::Element);
                None
            }
            Count::Is(len, header) if len > 0 => {
                work.cursor.advance(header);
                self.phase = Phase::Cr;
                let len = len.unsigned_abs();
                work.cursor.take(len).is_none().then_some(Pause::Skip(len))
            }
            Count::Is(..) | Count::Broken => Some(Pause::Broken("bad length of a piece")),
        }
    }

    #[inline]
    fn scalar(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        let (body, len) = match line::header(rest) {
            Line::Whole(body, len) => (body, len),
            Line::Partial => return Some(need_line(rest)),
            Line::Broken => return Some(Pause::Broken("bad line")),
        };
        if !is_scalar(kind, body) {
            return Some(Pause::Broken("bad value"));
        }
        if self.tracker.is_following() {
            self.tracker.element(match kind {
                b':' => Element::Number(line::number(body).unwrap_or(0)),
                b'_' => Element::Null,
                _ => Element::Other,
            });
        }
        self.begin(kind, None, work);
        work.cursor.advance(len);
        None
    }

    fn aggregate(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let rest = work.cursor.rest();
        let (count, header) = match line::count(rest) {
            Count::Is(count, header) => (count, header),
            Count::Partial => return Some(need_line(rest)),
            Count::Broken => return self.streamed_aggregate(kind, work),
        };
        let Ok(elements) = u64::try_from(count) else {
            if kind != b'*' || count != -1 {
                return Some(Pause::Broken("negative count"));
            }
            self.tracker.element(Element::Null);
            self.begin(b'_', None, work);
            work.cursor.advance(header);
            return None;
        };
        let pairs = matches!(kind, b'%' | b'|');
        let elements = if pairs { elements.checked_mul(2) } else { Some(elements) };
        // What was subscribed to inside MULTI makes EXEC's array longer than it says.
        let further =
            if kind == b'*' && self.is_outermost() { work.link.further_elements() } else { 0 };
        let Some(pending) = elements
            .and_then(|elements| elements.checked_add(u64::from(further)))
            .and_then(|elements| elements.checked_add(self.pending))
        else {
            return Some(Pause::Broken("too many elements"));
        };
        if self.is_outermost() && matches!(kind, b'*' | b'>') && work.link.is_watchful() {
            self.tracker.follow(count);
        } else {
            self.tracker.element(Element::Other);
        }
        work.cursor.advance(header);
        if kind == b'|' {
            // An attribute comes before the element that it belongs to, and is none itself.
            self.pending = pending;
        } else {
            self.begin(kind, Some(count), work);
            self.pending = pending.saturating_sub(1);
        }
        None
    }

    #[cold]
    fn streamed_aggregate(&mut self, kind: u8, work: &mut Work<'_, '_>) -> Option<Pause> {
        let Line::Whole(b"?", header) = line::header(work.cursor.rest()) else {
            return Some(Pause::Broken("bad count"));
        };
        self.tracker.element(Element::Other);
        if kind != b'|' {
            self.begin(kind, None, work);
        }
        let streamed = &mut self.details.get_or_insert_default().streamed;
        if streamed.len() >= MAX_STREAMED {
            return Some(Pause::Broken("streamed aggregates nested too deep"));
        }
        streamed.push(std::mem::take(&mut self.pending));
        work.cursor.advance(header);
        None
    }

    fn end_streamed(&mut self, work: &mut Work<'_, '_>) -> Option<Pause> {
        match work.cursor.rest() {
            [_, b'\r', b'\n', ..] => {}
            [_] | [_, b'\r'] => return Some(Pause::Need(1)),
            _ => return Some(Pause::Broken("bad end of a streamed aggregate")),
        }
        work.cursor.advance(3);
        let outside = self.details.as_mut().and_then(|details| details.streamed.pop());
        self.pending = outside.unwrap_or(0);
        None
    }

    #[inline]
    fn is_streamed(&self) -> bool {
        self.details.as_ref().is_some_and(|details| !details.streamed.is_empty())
    }

    /// A string or line is complete.
    #[inline]
    fn end_element(&mut self) {
        self.phase = if self.chunked { Phase::Chunk } else { Phase::Element };
    }

    /// See [`crate::protocol::Decoder::handle_gap`].
    pub(super) fn handle_gap(&mut self, len: u64) -> u64 {
        let mut left = len;
        if self.phase == Phase::Cr && left > 0 {
            left = left.saturating_sub(1);
            self.phase = Phase::Lf;
        }
        if matches!(self.phase, Phase::Lf | Phase::LineEnd) && left > 0 {
            left = left.saturating_sub(1);
            self.end_element();
        }
        len.saturating_sub(left)
    }

    /// Forgets the reply in progress.
    #[inline]
    pub(super) fn resync(&mut self) {
        *self = Self::default();
    }
}

/// Whether what follows the type byte is a value of that type.
fn is_scalar(kind: u8, body: &[u8]) -> bool {
    match kind {
        b':' => {
            let unsigned = body.strip_prefix(b"+").unwrap_or(body);
            line::number(unsigned).is_some()
        }
        b'_' => body.is_empty(),
        b'#' => matches!(body, b"t" | b"f"),
        // Numbers, exponents, inf and nan.
        _ => {
            !body.is_empty()
                && body.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        }
    }
}

/// What is needed to see the end of a header line.
fn need_line(rest: &[u8]) -> Pause {
    // The shortest: type, digit, CRLF; a null has no digit.
    Pause::Need(3_usize.saturating_sub(rest.len()).max(1))
}
