//! Whether the first bytes of one side of a connection are Redis'.

use super::{
    commands,
    line::{self, Count},
};
use crate::protocol::Probe;

/// Longer lines are not waited for.
const MAX_LINE: usize = 1024;

/// What the first bytes that one side sent look like.
///
/// An array of strings is what a client sends, but also what `LRANGE` returns, whatever its first
/// string says: so it is never more than [`Probe::Either`].
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match bytes {
        [] => Probe::Unsure,
        [b'*', ..] => array(bytes),
        [b'$' | b'=' | b'!' | b'%' | b'~' | b'>' | b'|', rest @ ..] => match line::count(bytes) {
            Count::Is(-1.., _) => Probe::Response,
            Count::Partial => {
                let known = rest
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'?' | b'\r'));
                if known { Probe::Unsure } else { Probe::No }
            }
            Count::Broken if rest.starts_with(b"?\r\n") => Probe::Response,
            Count::Is(..) | Count::Broken => Probe::No,
        },
        [b':', rest @ ..] | [b',', rest @ ..] | [b'(', rest @ ..] => match rest {
            [] => Probe::Unsure,
            [b'0'..=b'9' | b'+' | b'-' | b'.' | b'i' | b'n', ..] => Probe::Response,
            _ => Probe::No,
        },
        [b'_', rest @ ..] => fixed(rest, &[b"\r\n"]),
        [b'#', rest @ ..] => fixed(rest, &[b"t\r\n", b"f\r\n"]),
        // Statuses and errors begin with an upper-case word; MONITOR's lines with a time.
        [b'+' | b'-', rest @ ..] => match rest {
            [] => Probe::Unsure,
            [b'A'..=b'Z', ..] => Probe::Response,
            [b'0'..=b'9', ..] if bytes.first() == Some(&b'+') => Probe::Response,
            _ => Probe::No,
        },
        _ => inline(bytes),
    }
}

fn fixed(rest: &[u8], forms: &[&[u8]]) -> Probe {
    if forms.iter().any(|form| rest.starts_with(form)) {
        Probe::Response
    } else if forms.iter().any(|form| form.starts_with(rest)) {
        Probe::Unsure
    } else {
        Probe::No
    }
}

fn array(bytes: &[u8]) -> Probe {
    let (count, header) = match line::count(bytes) {
        Count::Is(count, header) => (count, header),
        Count::Partial => return if is_count(bytes) { Probe::Unsure } else { Probe::No },
        Count::Broken if bytes.starts_with(b"*?\r\n") => return Probe::Response,
        Count::Broken => return Probe::No,
    };
    if count < -1 {
        return Probe::No;
    }
    if count <= 0 {
        // Allowed to clients as well, but none sends it.
        return Probe::Response;
    }
    match bytes.get(header..).unwrap_or_default() {
        [] => Probe::Either,
        rest @ [b'$', ..] => match line::count(rest) {
            Count::Is(0.., _) | Count::Partial if is_count(rest) => Probe::Either,
            Count::Is(-1, _) => Probe::Response,
            Count::Broken if rest.starts_with(b"$?\r\n") => Probe::Response,
            _ => Probe::No,
        },
        [b'+' | b'-' | b':' | b'*' | b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~', ..] => {
            Probe::Response
        }
        _ => Probe::No,
    }
}

/// Whether the header line that begins here has only what counts are made of, as far as visible.
fn is_count(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .skip(1)
        .take_while(|&&byte| byte != b'\r')
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'?'))
}

/// An inline command: only known words, since any text could be one.
fn inline(bytes: &[u8]) -> Probe {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let start = window.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(line) = start.and_then(|start| window.get(start..)) else {
        return if bytes.len() < MAX_LINE { Probe::Unsure } else { Probe::No };
    };
    let end = line.iter().position(u8::is_ascii_whitespace);
    let word = line.get(..end.unwrap_or(line.len())).unwrap_or(line);
    if end.is_none() {
        return if commands::is_prefix(word) { Probe::Unsure } else { Probe::No };
    }
    if commands::lookup(word).name.is_empty() {
        return Probe::No;
    }
    Probe::Request
}
