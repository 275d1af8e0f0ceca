//! From bytes to keys, as terminals send them (ECMA-48, 5.4; xterm's control sequences).

use std::time::Duration;

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Char(char),
    /// A character of a text that was pasted.
    Pasted(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Tab,
    BackTab,
    Backspace,
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
    /// Ctrl-Z.
    Suspend,
    /// A pasted text begins; nobody else is told.
    Paste,
}

const ESC: u8 = 0x1b;

/// No sequence that stands for a key is longer, in bytes.
const MAX_SEQUENCE: usize = 32;

/// What ends a pasted text (xterm's bracketed paste mode).
const PASTE_END: &[u8] = b"\x1b[201~";

/// How long the rest of a key may take to come, over slow lines, too.
const KEY_TIME: Duration = Duration::from_millis(300);

/// How long the rest of a pasted text may take.
const PASTE_TIME: Duration = Duration::from_secs(5);

/// Puts keys together, whatever pieces they come in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    is_pasting: bool,
}

/// What bytes begin with.
enum Step {
    /// So many of them are a key, or nothing that is known.
    Key(usize, Option<Key>),
    /// The beginning of something.
    NeedMore,
}

impl Decoder {
    /// Takes bytes, and hands over the keys that are complete.
    pub(super) fn take(&mut self, bytes: &[u8], mut on_key: impl FnMut(Key)) {
        let begins_none = bytes.first().is_some_and(|it| !matches!(it, b'[' | b'O'));
        if self.pending == [ESC] && begins_none && !self.is_pasting {
            // It came alone, and what comes now was typed after it.
            self.pending.clear();
            on_key(Key::Escape);
        }
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        loop {
            let next = if self.is_pasting { pasted(rest) } else { step(rest) };
            let Step::Key(len, key) = next else { break };
            rest = rest.get(len..).unwrap_or_default();
            match key {
                Some(Key::Paste) => self.is_pasting = !self.is_pasting,
                key => key.into_iter().for_each(&mut on_key),
            }
        }
        self.pending = rest.to_vec();
    }

    /// How long to wait for more before it is known what was typed, if that has to be.
    pub(super) fn waits(&self) -> Option<Duration> {
        match self.is_pasting {
            true => Some(PASTE_TIME),
            false => (!self.pending.is_empty()).then_some(KEY_TIME),
        }
    }

    /// Nothing more came for that time: an escape that stands alone is the key of that name, and a text whose
    /// end was lost has ended.
    pub(super) fn expire(&mut self) -> Option<Key> {
        let is_escape = self.pending == [ESC] && !self.is_pasting;
        self.pending.clear();
        self.is_pasting = false;
        is_escape.then_some(Key::Escape)
    }
}

fn step(bytes: &[u8]) -> Step {
    match bytes {
        [] => Step::NeedMore,
        [ESC, rest @ ..] => escape(rest),
        [byte, ..] if byte.is_ascii_control() => Step::Key(1, control(*byte)),
        [byte, ..] if byte.is_ascii() => Step::Key(1, Some(Key::Char(char::from(*byte)))),
        _ => character(bytes),
    }
}

/// What a pasted text goes on with: characters, of which those that control something are left out.
fn pasted(bytes: &[u8]) -> Step {
    match bytes {
        it if it.starts_with(PASTE_END) => Step::Key(PASTE_END.len(), Some(Key::Paste)),
        it if PASTE_END.starts_with(it) => Step::NeedMore,
        [byte, ..] if byte.is_ascii_control() => Step::Key(1, None),
        _ => match character(bytes) {
            Step::Key(len, Some(Key::Char(it))) => {
                Step::Key(len, (!it.is_control()).then_some(Key::Pasted(it)))
            }
            other => other,
        },
    }
}

fn control(byte: u8) -> Option<Key> {
    match byte {
        0x03 => Some(Key::Interrupt),
        b'\t' => Some(Key::Tab),
        b'\r' | b'\n' => Some(Key::Enter),
        0x0c => Some(Key::Redraw),
        0x1a => Some(Key::Suspend),
        0x08 | 0x7f => Some(Key::Backspace),
        _ => None,
    }
}

/// A character of several bytes (RFC 3629).
fn character(bytes: &[u8]) -> Step {
    let chunk = bytes.utf8_chunks().next();
    match chunk.and_then(|it| it.valid().chars().next()) {
        Some(character) => Step::Key(character.len_utf8(), Some(Key::Char(character))),
        None if std::str::from_utf8(bytes).is_err_and(|it| it.error_len().is_none()) => {
            Step::NeedMore
        }
        None => Step::Key(1, None),
    }
}

/// What stands behind an escape.
fn escape(rest: &[u8]) -> Step {
    match rest {
        [] => Step::NeedMore,
        [ESC, ..] => Step::Key(1, Some(Key::Escape)),
        [b'O'] => Step::NeedMore,
        [b'O', last, ..] => Step::Key(3, cursor_key(*last)),
        // The Linux console's function keys have one more byte.
        [b'[', b'['] => Step::NeedMore,
        [b'[', b'[', ..] => Step::Key(4, None),
        [b'[', sequence @ ..] => match sequence.iter().position(|it| (0x40..=0x7e).contains(it)) {
            Some(end) => {
                let key = sequence.get(..=end).and_then(control_sequence);
                Step::Key(end.saturating_add(3), key)
            }
            None if sequence.len() >= MAX_SEQUENCE => Step::Key(rest.len().saturating_add(1), None),
            None => Step::NeedMore,
        },
        // With Alt.
        _ => Step::Key(2, None),
    }
}

/// Parameters and the byte behind them.
fn control_sequence(sequence: &[u8]) -> Option<Key> {
    let (last, parameters) = sequence.split_last()?;
    if *last != b'~' {
        return cursor_key(*last);
    }
    match parameters.split(|it| *it == b';').next()? {
        b"1" | b"7" => Some(Key::Home),
        b"4" | b"8" => Some(Key::End),
        b"5" => Some(Key::PageUp),
        b"6" => Some(Key::PageDown),
        b"200" => Some(Key::Paste),
        _ => None,
    }
}

fn cursor_key(last: u8) -> Option<Key> {
    match last {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'F' => Some(Key::End),
        b'H' => Some(Key::Home),
        b'Z' => Some(Key::BackTab),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pieces: &[&[u8]]) -> (Vec<Key>, Option<Key>) {
        let (mut decoder, mut keys) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.take(piece, |key| keys.push(key));
        }
        (keys, decoder.expire())
    }

    fn check(bytes: &[u8], expect: &[Key]) {
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [&pieces[..], &[bytes]] {
            assert_eq!(keys(pieces), (expect.to_vec(), None), "{bytes:?}");
        }
    }

    #[test]
    fn keys_are_told_from_what_is_sent_in_whatever_pieces() {
        use Key::*;
        check(b"q\t\r\x7f\x03", &[Char('q'), Tab, Enter, Backspace, Interrupt]);
        check(b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", &[Up, Down, Right, Left]);
        check(b"\x1b[5~\x1b[6;2~\x1b[H\x1b[4~\x1b[Z", &[PageUp, PageDown, Home, End, BackTab]);
        check("é€😀x".as_bytes(), &['é', '€', '😀', 'x'].map(Char));
        // What is not known is no key, and does not hide the next one.
        check(b"\x1b[15~\x1b[<0;1;2mq", &[Char('q')]);
        assert_eq!(keys(&[b"\x1bxq"]), (vec![Char('q')], None));
        check(b"\xff\xc3q\x00\x1b[[Ak", &[Char('q'), Char('k')]);
    }

    #[test]
    fn a_sequence_without_an_end_does_not_grow() {
        let mut decoder = Decoder::default();
        for _ in 0..1000 {
            decoder.take(b"\x1b[1111111111111111", |_| {});
            assert!(decoder.pending.len() < 2 * MAX_SEQUENCE);
        }
    }

    #[test]
    fn what_is_pasted_is_no_key() {
        let text: Vec<_> = "aé[Aqb".chars().map(Key::Pasted).collect();
        let mut expect = text.clone();
        expect.push(Key::Char('q'));
        check("\x1b[200~aé\x03\x1b[A\r\n\u{9b}q\tb\x1b[201~q".as_bytes(), &expect);
        check(b"\x1b[200~\x1b\x1b[201~q", &[Key::Char('q')]);
        // An end that is lost is no end of all keys.
        let mut decoder = Decoder::default();
        decoder.take(b"\x1b[200~", |_| {});
        assert_eq!((decoder.waits(), decoder.expire()), (Some(PASTE_TIME), None));
        assert_eq!(decoder.waits(), None);
        let mut keys = Vec::new();
        decoder.take(b"q", |key| keys.push(key));
        assert_eq!(keys, [Key::Char('q')]);
    }

    #[test]
    fn an_escape_alone_is_a_key_when_nothing_follows() {
        assert_eq!(keys(&[b"\x1b"]), (vec![], Some(Key::Escape)));
        assert_eq!(keys(&[b"\x1b\x1b"]), (vec![Key::Escape], Some(Key::Escape)));
        assert_eq!(keys(&[b"\x1b["]), (vec![], None));
        // What comes apart over a slow line is still one key, and what is typed after an escape another one.
        assert_eq!(keys(&[b"\x1b", b"[A"]), (vec![Key::Up], None));
        assert_eq!(keys(&[b"\x1b", b"q"]), (vec![Key::Escape, Key::Char('q')], None));
        let mut decoder = Decoder::default();
        decoder.take(b"\x1b", |_| {});
        assert!(decoder.waits().is_some_and(|it| it >= Duration::from_millis(250)));
    }
}
