//! The short way for the messages that make up nearly all traffic.
//!
//! What is whole in the input and has nothing special about it is read here in one pass. Everything
//! else, and whatever looks wrong, is left to the general way, which comes to the same result.

use super::{
    commands::{self, Command, Role, Secret},
    line::{self, Count},
    render,
};
use crate::protocol::cursor::Cursor;

/// The longest text that is put together here.
const MAX_TEXT: usize = 192;

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
    text: [u8; MAX_TEXT],
    text_len: usize,
}

impl Request {
    /// The request as typed.
    pub(super) fn text(&self) -> &str {
        let text = self.text.get(..self.text_len).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The request at the beginning of `input`, if it is whole, known and ordinary, and its text shows
/// as it is in at most `max_text` bytes.
#[inline]
pub(super) fn request(input: &[u8], max_text: usize) -> Option<Request> {
    let [b'*', ..] = input else { return None };
    let Count::Is(count @ 1..=MAX_ARGS, header) = line::count(input) else { return None };
    let mut cursor = Cursor::new(input);
    cursor.advance(header);
    let mut text = [0; MAX_TEXT];
    let mut text_len = 0_usize;
    let mut command = None;
    for _ in 0..count {
        let argument = bulk(&mut cursor)?;
        if !render::is_plain(argument) {
            return None;
        }
        if command.is_none() {
            let found = commands::lookup(argument);
            let ordinary = matches!(found.role, Role::Ordinary | Role::Neutral)
                && found.secret == Secret::None
                && !found.container
                && !found.name.is_empty();
            command = Some(ordinary.then_some(found)?);
        } else {
            *text.get_mut(text_len)? = b' ';
            text_len = text_len.wrapping_add(1);
        }
        let end = text_len.checked_add(argument.len())?;
        text.get_mut(text_len..end)?.copy_from_slice(argument);
        text_len = end;
    }
    if text_len > max_text {
        return None;
    }
    let args = u32::try_from(count).ok()?.saturating_sub(1);
    Some(Request { command: command?, args, len: cursor.consumed(), text, text_len })
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

/// Takes a bulk string with its CRLF.
#[inline]
fn bulk<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let rest = cursor.rest();
    let [b'$', ..] = rest else { return None };
    let Count::Is(len, header) = line::count(rest) else { return None };
    cursor.advance(header);
    let body = cursor.take(u64::try_from(len).ok()?)?;
    let [b'\r', b'\n', ..] = cursor.rest() else { return None };
    cursor.advance(2);
    Some(body)
}
