//! The short way for the messages that make up nearly all traffic.
//!
//! What is whole in the input and has nothing special about it is read here in one pass. Everything
//! else, and whatever looks wrong, is left to the general way, which comes to the same result.

use super::{
    commands::{self, Command, Role, Secret},
    line::{self, Count},
};
use crate::protocol::{cursor::Cursor, words::Words};

/// The most arguments of such a request, its command included.
const MAX_ARGS: i64 = 16;

/// The longest simple string that is looked through here: statuses are short.
const MAX_STATUS: usize = 24;

/// A request that was read whole.
pub(super) struct Request {
    /// Its command.
    pub(super) command: &'static Command,
    /// How many arguments follow the command.
    pub(super) args: u32,
    /// Its bytes.
    pub(super) len: usize,
}

/// The request at the beginning of `input`, if it is whole, known and ordinary, and its text shows
/// as it is in at most `max_text` bytes. The text is then in `words`.
#[inline]
pub(super) fn request(input: &[u8], max_text: usize, words: &mut Words) -> Option<Request> {
    let [b'*', ..] = input else { return None };
    let Count::Is(count @ 1..=MAX_ARGS, header) = line::count(input) else { return None };
    let mut cursor = Cursor::new(input);
    cursor.advance(header);
    words.clear();
    let (from, name) = bulk(&mut cursor)?;
    words.push(from, name.len())?;
    let command = commands::lookup(name);
    let ordinary = matches!(command.role, Role::Ordinary | Role::Neutral)
        && command.secret == Secret::None
        && !command.container
        && !command.name.is_empty();
    if !ordinary {
        return None;
    }
    for _ in 1..count {
        let (from, argument) = bulk(&mut cursor)?;
        words.push(from, argument.len())?;
    }
    if words.len() > max_text || !words.are_plain() {
        return None;
    }
    let args = u32::try_from(count).ok()?.saturating_sub(1);
    Some(Request { command, args, len: cursor.consumed() })
}

/// The length of the reply at the beginning of `input`, if it is whole and a status, an integer or
/// a bulk string.
#[inline]
pub(super) fn reply(input: &[u8]) -> Option<usize> {
    match input {
        [b'+', status @ ..] => {
            let window = status.get(..MAX_STATUS).unwrap_or(status);
            let end = window.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
            matches!(status.get(end..), Some([b'\r', b'\n', ..])).then(|| end.wrapping_add(3))
        }
        [b':', ..] => match line::count(input) {
            Count::Is(_, len) => Some(len),
            Count::Partial | Count::Broken => None,
        },
        [b'$', b'-', b'1', b'\r', b'\n', ..] => Some(5),
        [b'$', ..] => {
            let mut cursor = Cursor::new(input);
            bulk(&mut cursor)?;
            Some(cursor.consumed())
        }
        _ => None,
    }
}

/// Takes a bulk string with its CRLF. Returns what begins with it and goes on behind it, and itself.
#[inline]
fn bulk<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let rest = cursor.rest();
    let [b'$', ..] = rest else { return None };
    let Count::Is(len, header) = line::count(rest) else { return None };
    cursor.advance(header);
    let from = cursor.rest();
    let body = cursor.take(u64::try_from(len).ok()?)?;
    let [b'\r', b'\n', ..] = cursor.rest() else { return None };
    cursor.advance(2);
    Some((from, body))
}
