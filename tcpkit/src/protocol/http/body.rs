//! A body's framing: what follows a head, skipped without being looked at where its length is known.

use super::{framing::Extent, invalid};
use crate::protocol::{MAX_LOOKAHEAD, Step, cursor::Cursor};

/// The longest line of a chunk's size and extensions, in bytes; common servers allow 4 to 16 KiB.
const MAX_SIZE_LINE: usize = 16 * 1024;

/// The longest field of a trailer section, in bytes.
const MAX_TRAILER: usize = 32 * 1024;

const _: () = assert!(MAX_SIZE_LINE < MAX_LOOKAHEAD && MAX_TRAILER < MAX_LOOKAHEAD);

/// How far a body has come; at rest there is none.
#[derive(Debug, Default)]
pub(super) struct Body {
    place: Place,
    /// Bytes of content so far; all of them where the length was announced.
    size: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A head.
    #[default]
    Head,
    /// So many bytes of content.
    Content(u64),
    /// The line that says how long a chunk is.
    Size,
    /// So many bytes of the CRLF behind a chunk.
    Crlf(u8),
    /// A field behind the last chunk, or the empty line.
    Trailer,
    /// Content up to the end of the connection.
    Unbounded,
}

/// Why reading pauses.
pub(super) enum Pause {
    /// The body is complete, and holds so many bytes.
    Done(u64),
    /// At least so many bytes more are needed.
    Need(usize),
    /// So many bytes from here on need not be seen.
    Skip(u64),
    Broken(&'static str),
}

impl Body {
    /// A body that reaches so far.
    pub(super) fn new(extent: Extent) -> Self {
        let (place, size) = match extent {
            Extent::None => (Place::Content(0), 0),
            Extent::Length(length) => (Place::Content(length), length),
            Extent::Chunks => (Place::Size, 0),
            Extent::Connection => (Place::Unbounded, 0),
        };
        Self { place, size }
    }

    /// Whether a body is in progress.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.place != Place::Head
    }

    /// Goes on with the body. Behind its end a head is expected.
    #[inline]
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>) -> Pause {
        loop {
            match self.place {
                Place::Head => return Pause::Broken("no body in progress"),
                Place::Content(left) => {
                    if cursor.take(left).is_some() {
                        return self.complete();
                    }
                    self.place = Place::Content(0);
                    return Pause::Skip(left);
                }
                Place::Size => match size_line(cursor) {
                    Ok(0) => self.place = Place::Trailer,
                    Ok(length) => {
                        self.size = self.size.saturating_add(length);
                        self.place = Place::Crlf(2);
                        if cursor.take(length).is_none() {
                            return Pause::Skip(length);
                        }
                    }
                    Err(pause) => return pause,
                },
                Place::Crlf(left) => match (left, cursor.rest()) {
                    (0, _) => self.place = Place::Size,
                    (_, []) => return Pause::Need(1),
                    (2, [b'\r', ..]) | (1, [b'\n', ..]) => {
                        cursor.advance(1);
                        self.place = Place::Crlf(left.saturating_sub(1));
                    }
                    _ => return Pause::Broken("a chunk is longer than it says"),
                },
                Place::Trailer => match trailer(cursor) {
                    Ok(true) => return self.complete(),
                    Ok(false) => {}
                    Err(pause) => return pause,
                },
                Place::Unbounded => {
                    let more = u64::try_from(cursor.rest().len()).unwrap_or(u64::MAX);
                    self.size = self.size.saturating_add(more);
                    cursor.advance(cursor.rest().len());
                    return Pause::Need(1);
                }
            }
        }
    }

    fn complete(&mut self) -> Pause {
        self.place = Place::Head;
        Pause::Done(self.size)
    }

    /// The connection ended: how many bytes the body holds, if that is how it ends.
    pub(super) fn end(&mut self) -> Option<u64> {
        if self.place != Place::Unbounded {
            return None;
        }
        self.place = Place::Head;
        Some(self.size)
    }

    /// Takes up to `len` bytes that will never be seen; returns how many it can do without.
    pub(super) fn absorb(&mut self, len: u64) -> u64 {
        match self.place {
            Place::Head | Place::Size | Place::Trailer => 0,
            Place::Content(left) => {
                let hidden = left.min(len);
                self.place = Place::Content(left.saturating_sub(hidden));
                hidden
            }
            Place::Crlf(left) => {
                let hidden = u64::from(left).min(len);
                self.place = Place::Crlf(left.saturating_sub(u8::try_from(hidden).unwrap_or(left)));
                hidden
            }
            Place::Unbounded => {
                self.size = self.size.saturating_add(len);
                len
            }
        }
    }
}

impl Pause {
    /// The step that pauses where the cursor stands; not for a body that is complete.
    pub(super) fn step(self, cursor: &Cursor<'_>) -> Step<'static> {
        let consumed = cursor.consumed();
        match self {
            Self::Skip(len) => Step::Skip { len: len.saturating_add(consumed as u64) },
            Self::Need(more) if consumed == 0 => {
                Step::NeedMore { at_least: cursor.rest().len().saturating_add(more) }
            }
            Self::Need(_) => Step::Consumed { len: consumed, message: None },
            Self::Broken(reason) => invalid(reason),
            Self::Done(_) => invalid("no body in progress"),
        }
    }
}

/// Reads `5;name=value` and its CRLF. A lone LF is refused: where one program ends the line there and the
/// next does not, they see different requests.
fn size_line(cursor: &mut Cursor<'_>) -> Result<u64, Pause> {
    let rest = cursor.rest();
    let mut size = 0_u64;
    let mut digits = 0_usize;
    for &byte in rest {
        let Some(digit) = char::from(byte).to_digit(16) else { break };
        if size >> 60 != 0 {
            return Err(Pause::Broken("a chunk of more than 2^64 bytes"));
        }
        size = size << 4 | u64::from(digit);
        digits = digits.saturating_add(1);
    }
    let behind = rest.get(digits..).unwrap_or_default();
    let len = match behind {
        _ if digits > MAX_SIZE_LINE => return Err(Pause::Broken("a chunk's size is too long")),
        [] => return Err(Pause::Need(2)),
        _ if digits == 0 => return Err(Pause::Broken("no chunk size")),
        [b'\r'] => return Err(Pause::Need(1)),
        [b'\r', b'\n', ..] => 2,
        [b';' | b' ' | b'\t', ..] => match memchr::memchr(b'\n', behind) {
            Some(at) if at.checked_sub(1).and_then(|at| behind.get(at)) == Some(&b'\r') => {
                at.saturating_add(1)
            }
            Some(_) => return Err(Pause::Broken("a chunk's size does not end in CRLF")),
            None if behind.len() > MAX_SIZE_LINE => {
                return Err(Pause::Broken("a chunk's extensions are too long"));
            }
            None => return Err(Pause::Need(1)),
        },
        _ => return Err(Pause::Broken("bad chunk size")),
    };
    cursor.advance(digits.saturating_add(len));
    Ok(size)
}

/// Goes over one line behind the last chunk; says whether it was the empty one.
fn trailer(cursor: &mut Cursor<'_>) -> Result<bool, Pause> {
    let rest = cursor.rest();
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return Err(if rest.len() > MAX_TRAILER {
            Pause::Broken("a trailer field is too long")
        } else {
            Pause::Need(1)
        });
    };
    let line = rest.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.is_empty() && memchr::memchr(b':', line).is_none_or(|at| at == 0) {
        return Err(Pause::Broken("a trailer field has no name"));
    }
    cursor.advance(end.saturating_add(1));
    Ok(line.is_empty())
}
