//! What a line of the text protocol asks for.

use super::{
    answer::{Echo, class, fingerprint},
    commands::{self, Command, Shape, UNKNOWN},
    field,
    line::{self, MAX_KEY, Words},
    link::{Asked, Link, Role},
    render,
};
use crate::protocol::scratch::{Draft, MAX_OPERATION};

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
    /// It waits for its response, and nobody knows where the next one begins.
    Doubtful(Asked),
    /// Nor whether it is answered.
    Unknown,
    /// It is answered, with one of these classes, only if it fails.
    Muted(u16),
    /// Nobody answers it.
    OneWay,
}

/// What a line says.
pub(super) struct Parsed {
    pub(super) held: Held,
    /// The length of the value behind the line.
    pub(super) value: Option<u32>,
    /// The value may be a password.
    pub(super) secret: bool,
    /// The command is known.
    pub(super) is_known: bool,
}

/// Whether a line that is no known command cannot be of the text protocol at all.
#[inline]
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < 0x20 && byte != b'\r' && byte != b'\t'))
}

/// What a line announces behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Nothing,
    Bytes(u32),
    /// A value that some servers take for commands, since they refuse its line before they look at the
    /// length, and others read.
    Doubtful,
}

/// What the line of a request announces behind it.
pub(super) fn stored(text: &[u8]) -> Stored {
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
pub(super) fn parse(text: &[u8], link: &Link, mut draft: Box<Draft>) -> Parsed {
    let mut words = line::words(text);
    let name = words.next().unwrap_or_default();
    let command = commands::lookup(name);
    note_command(&mut draft, command, name);
    render::words(&mut draft.text, text);
    let stored = stored_by(command, text, words);
    let mut asked = Asked { classes: command.classes, ..Asked::default() };
    let muted = match command.shape {
        Shape::Get | Shape::Gat => {
            asked.keys = note_keys(&mut draft, command.shape, words);
            None
        }
        Shape::MetaGet | Shape::MetaKey | Shape::MetaStore => {
            let is_quiet = note_meta(&mut draft, command.shape, words, &mut asked.echo);
            if is_quiet && command.shape == Shape::MetaGet {
                asked.quiet = true;
                asked.classes &= !class::META_MISS;
            }
            let is_muted = is_quiet && command.shape != Shape::MetaGet;
            let refused =
                if asked.echo == Echo::default() { class::META_REFUSED } else { class::ECHOED };
            is_muted.then_some(refused | class::ERROR)
        }
        _ => note_classic(&mut draft, command, words),
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
    let fate = match (muted, stored) {
        _ if command.shape == Shape::Quit || link.is_watching() => Fate::OneWay,
        (None, Stored::Doubtful) => Fate::Doubtful(asked),
        (Some(_), Stored::Doubtful) => Fate::Unknown,
        (Some(classes), _) => Fate::Muted(classes),
        (None, _) => Fate::Waits(asked),
    };
    let secret = command.shape == Shape::Store && !link.is_greeted();
    let is_known = !command.name.is_empty();
    Parsed { held: Held { draft, fate }, value, secret, is_known }
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
        draft.fields.wire(field::KEY, render::MAX_FIELD, key);
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

/// Notes a command other than `get` and the meta commands. If it ends with `noreply`, returns what it may
/// be answered with all the same.
#[inline]
fn note_classic(draft: &mut Draft, command: &Command, words: Words<'_>) -> Option<u16> {
    let shape = command.shape;
    let before_noreply = match shape {
        Shape::Key => 1,
        Shape::KeyAndNumber | Shape::KeyAndExptime => 2,
        Shape::Store => 4,
        Shape::Cas => 5,
        _ => usize::MAX,
    };
    let has_key = before_noreply < usize::MAX || shape == Shape::MetaDebug;
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
    let knows_noreply =
        has_key && shape != Shape::MetaDebug || shape == Shape::Admin || command.name.is_empty();
    if last != b"noreply" || !knows_noreply {
        None
    } else if count > before_noreply {
        Some(class::ERROR)
    } else {
        // Some servers see `noreply` wherever it stands, and with every command; others answer.
        Some(command.classes | class::ERROR)
    }
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
                    draft.fields.wire(field::OPAQUE, render::MAX_FIELD, opaque);
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
