//! Where a head ends, and its parts. httparse knows the grammar; here is how much is waited for.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::protocol::{Direction, MAX_LOOKAHEAD};

/// So many header fields are read without asking for memory.
const FIELDS: usize = 128;

/// The most header fields of a head; common servers allow 100 to 2000.
const MAX_FIELDS: usize = 4096;

/// How far the end of the head in progress was looked for; at rest nowhere.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// So many bytes hold no end.
    searched: u32,
}

/// A whole head.
#[derive(Debug)]
pub(super) struct Head<'h, 'b> {
    pub(super) line: Line<'b>,
    pub(super) headers: &'h [Header<'b>],
    /// Its length in bytes, with the empty line.
    pub(super) len: usize,
}

/// What a head begins with. Versions are HTTP's minor one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<'b> {
    Request { method: &'b str, target: &'b str, version: u8 },
    Response { status: u16, version: u8 },
}

/// Why there is no head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has to get at least so long.
    Need(usize),
    Broken(&'static str),
}

impl Search {
    /// Hands the head that `input` begins with to `read`.
    ///
    /// A head that comes byte by byte is parsed when its end is there, and not again with each byte.
    #[inline]
    pub(super) fn find<R>(
        &mut self,
        direction: Direction,
        input: &[u8],
        read: impl FnOnce(&Head<'_, '_>) -> R,
    ) -> Result<R, Stop> {
        if self.searched > 0 && !self.has_end(input) {
            return Err(self.wait(input));
        }
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let found = match parse(direction, input, &mut fields) {
            Err(httparse::Error::TooManyHeaders) => {
                let mut fields = vec![MaybeUninit::uninit(); MAX_FIELDS];
                parse(direction, input, &mut fields).map(|head| head.map(|head| read(&head)))
            }
            found => found.map(|head| head.map(|head| read(&head))),
        };
        match found {
            Ok(Some(result)) => {
                self.searched = 0;
                Ok(result)
            }
            Ok(None) if self.searched > 0 => Err(Stop::Broken("a head goes on behind its end")),
            Ok(None) => Err(self.wait(input)),
            Err(error) => Err(Stop::Broken(reason(error))),
        }
    }

    /// Whether an empty line came since the last look.
    fn has_end(&self, input: &[u8]) -> bool {
        // The end may have begun in what was looked at: `\n\r` before the last `\n`.
        let from = usize::try_from(self.searched).unwrap_or(usize::MAX).saturating_sub(2);
        let new = input.get(from..).unwrap_or_default();
        memchr::memchr_iter(b'\n', new).any(|at| {
            let behind = new.get(at.saturating_add(1)..).unwrap_or_default();
            matches!(behind, [b'\n', ..] | [b'\r', b'\n', ..])
        })
    }

    #[cold]
    fn wait(&mut self, input: &[u8]) -> Stop {
        if input.len() >= MAX_LOOKAHEAD {
            return Stop::Broken("a head is too long");
        }
        self.searched = u32::try_from(input.len()).unwrap_or(0);
        Stop::Need(input.len().saturating_add(1))
    }
}

/// Parses a head; `None` when it is not complete.
#[inline]
fn parse<'h, 'b>(
    direction: Direction,
    input: &'b [u8],
    fields: &'h mut [MaybeUninit<Header<'b>>],
) -> Result<Option<Head<'h, 'b>>, httparse::Error> {
    let config = httparse::ParserConfig::default();
    let (line, headers, status) = match direction {
        Direction::Request => {
            let mut request = httparse::Request::new(&mut []);
            let status = config.parse_request_with_uninit_headers(&mut request, input, fields)?;
            let line = (|| {
                Some(Line::Request {
                    method: request.method?,
                    target: request.path?,
                    version: request.version?,
                })
            })();
            (line, request.headers, status)
        }
        Direction::Response => {
            let mut response = httparse::Response::new(&mut []);
            let status = config.parse_response_with_uninit_headers(&mut response, input, fields)?;
            let line =
                (|| Some(Line::Response { status: response.code?, version: response.version? }))();
            (line, response.headers, status)
        }
    };
    Ok(match (status, line) {
        (httparse::Status::Complete(len), Some(line)) => Some(Head { line, headers, len }),
        _ => None,
    })
}

/// Which rule a head breaks.
#[cold]
fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "bad header name",
        httparse::Error::HeaderValue => "bad header value",
        httparse::Error::NewLine => "bad line end",
        httparse::Error::Status => "bad status",
        httparse::Error::Token => "bad request line",
        httparse::Error::TooManyHeaders => "too many header fields",
        httparse::Error::Version => "neither HTTP/1.0 nor HTTP/1.1",
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;

    /// The length of the head that comes in pieces of `size` bytes, and how many fields it has.
    fn find(input: &[u8], size: usize) -> Result<(usize, usize), Stop> {
        let mut search = Search::default();
        let mut shown = 0;
        loop {
            shown = input.len().min(shown + size);
            let found = search
                .find(Direction::Request, &input[..shown], |head| (head.len, head.headers.len()));
            match found {
                Err(Stop::Need(more)) if shown < input.len() => assert_eq!(more, shown + 1),
                Ok(found) => {
                    assert_eq!(search.searched, 0, "at rest there is nothing to know");
                    return Ok(found);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_comes() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n",
            "GET / HTTP/1.1\nA: 1\n\n",
            "GET / HTTP/1.1\r\nA: 1\n\r\n",
            "GET / HTTP/1.1\nA: 1\r\n\n",
            "GET / HTTP/1.0\r\nEmpty:\r\n\r\n",
        ] {
            let input = format!("{head}\n\nbody");
            for size in 1..input.len() {
                assert_eq!(find(input.as_bytes(), size).unwrap().0, head.len(), "{head:?} {size}");
            }
        }
    }

    #[test]
    fn many_fields_are_read_and_too_many_refused() {
        for (count, is_read) in
            [(FIELDS, true), (FIELDS + 1, true), (MAX_FIELDS, true), (MAX_FIELDS + 1, false)]
        {
            let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
            for size in [head.len(), 4000] {
                let found = find(head.as_bytes(), size).map(|(_, fields)| fields);
                assert_eq!(found.ok(), is_read.then_some(count), "{count}");
            }
        }
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let head = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MAX_LOOKAHEAD));
        let mut search = Search::default();
        let none = |search: &mut Search, len: usize| {
            search.find(Direction::Request, &head.as_bytes()[..len], |_| ()).unwrap_err()
        };
        assert_eq!(none(&mut search, MAX_LOOKAHEAD - 1), Stop::Need(MAX_LOOKAHEAD));
        assert!(matches!(none(&mut search, MAX_LOOKAHEAD), Stop::Broken(_)));
    }
}
