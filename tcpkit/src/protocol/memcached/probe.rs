//! Whether the first bytes of one side of a connection are memcached's.

use super::{
    binary,
    commands::{self, Shape},
    line::{self, Line, MAX_LINE, Words},
};
use crate::protocol::Probe;

/// What the first bytes that one side sent look like.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match bytes {
        [] => Probe::Unsure,
        [binary::REQUEST | binary::RESPONSE, ..] => binary::probe(bytes),
        [b'a'..=b'z', ..] => request(bytes),
        _ => response(bytes),
    }
}

/// A request's line. What other protocols' clients send as well is told by the words behind the command.
fn request(bytes: &[u8]) -> Probe {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let end = window.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let Some(end) = end else {
        return if commands::is_prefix(window) { Probe::Unsure } else { lines_of_a_dump(bytes) };
    };
    let name = window.get(..end).unwrap_or_default();
    let command = commands::lookup(name);
    if command.name.is_empty() {
        return lines_of_a_dump(bytes);
    }
    let (text, whole) = match line::line(bytes) {
        Line::Whole(text, _) => (text, true),
        Line::Partial => (window, false),
        Line::TooLong if command.shape == Shape::Get => return Probe::Request,
        Line::TooLong => return Probe::No,
    };
    if !whole && text.get(end..).is_some_and(|rest| rest == b"\r") {
        return Probe::Unsure;
    }
    let mut words = line::words(text);
    words.next();
    arguments(command.shape, words, whole)
}

/// Whether the words behind a command are such as it takes.
fn arguments(shape: Shape, mut words: Words<'_>, whole: bool) -> Probe {
    let numbers: &[usize] = match shape {
        Shape::Store | Shape::Cas => &[1, 2, 3],
        Shape::Gat => &[0],
        Shape::KeyAndNumber | Shape::KeyAndExptime | Shape::MetaStore => &[1],
        _ => &[],
    };
    let (least, most) = match shape {
        Shape::Store => (4, 5),
        Shape::Cas => (5, 6),
        Shape::Get | Shape::MetaGet | Shape::MetaKey => (1, usize::MAX),
        Shape::Gat | Shape::MetaStore => (2, usize::MAX),
        Shape::Key => (1, 2),
        Shape::MetaDebug => (1, 3),
        Shape::KeyAndNumber | Shape::KeyAndExptime => (2, 3),
        Shape::Admin | Shape::Plain | Shape::Quit | Shape::Watch => (0, 8),
    };
    let mut count = 0_usize;
    while let Some(word) = words.next() {
        // The last word may go on.
        let is_whole = whole || !words.rest().is_empty();
        let word = if is_whole { word } else { word.strip_suffix(b"\r").unwrap_or(word) };
        let digits = word.strip_prefix(b"-").unwrap_or(word);
        if numbers.contains(&count)
            && !(line::number(digits).is_some() || !is_whole && digits.is_empty())
        {
            return Probe::No;
        }
        if word.len() > line::MAX_KEY || word.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
            return Probe::No;
        }
        count = count.saturating_add(1);
    }
    if count > most || whole && count < least {
        Probe::No
    } else if !whole {
        Probe::Unsure
    } else {
        Probe::Request
    }
}

/// The first lines of `lru_crawler`'s answer, which are in lower case too.
fn lines_of_a_dump(bytes: &[u8]) -> Probe {
    starts(bytes, b"key=")
}

/// The words that a response begins with, and what follows them.
const RESPONSES: &[&[u8]] = &[
    b"VALUE ",
    b"END\r\n",
    b"STORED\r\n",
    b"NOT_STORED\r\n",
    b"EXISTS\r\n",
    b"NOT_FOUND\r\n",
    b"DELETED\r\n",
    b"TOUCHED\r\n",
    b"OK\r\n",
    b"ERROR\r\n",
    b"ERROR ",
    b"CLIENT_ERROR ",
    b"SERVER_ERROR ",
    b"VERSION ",
    b"STAT ",
    b"ITEM ",
    b"PREFIX ",
    b"RESET\r\n",
    b"HD\r\n",
    b"HD ",
    b"VA ",
    b"EN\r\n",
    b"NF\r\n",
    b"NF ",
    b"NS\r\n",
    b"NS ",
    b"EX\r\n",
    b"EX ",
    b"MN\r\n",
    b"ME ",
    b"BUSY ",
    b"BADCLASS ",
    b"NOSPARE ",
    b"NOTSTARTED ",
    b"SAME ",
];

fn response(bytes: &[u8]) -> Probe {
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return counter(bytes);
    }
    let mut found = Probe::No;
    for word in RESPONSES {
        match starts(bytes, word) {
            Probe::Response => return Probe::Response,
            Probe::Unsure => found = Probe::Unsure,
            _ => {}
        }
    }
    found
}

fn starts(bytes: &[u8], word: &[u8]) -> Probe {
    if bytes.starts_with(word) {
        Probe::Response
    } else if word.starts_with(bytes) {
        Probe::Unsure
    } else {
        Probe::No
    }
}

/// What `incr` returns: digits, and nothing else.
fn counter(bytes: &[u8]) -> Probe {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    if end > 20 {
        return Probe::No;
    }
    starts(bytes.get(end..).unwrap_or_default(), b"\r\n")
}
