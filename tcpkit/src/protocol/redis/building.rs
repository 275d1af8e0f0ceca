//! A request being put together from its arguments, however they were framed.

use super::{
    commands::{self, Command, Key, Role},
    line,
    link::{Effect, ReplyMode},
    render,
    secrets::{self, Guard},
};
use crate::protocol::{
    scratch::{Draft, MAX_OPERATION},
    text::Text,
};

/// The most bytes of one argument that are looked at, whatever `--max-text` says.
pub(super) const MAX_PREFIX: usize = 16 * 1024;

/// The longest key that the fields show, in bytes.
const MAX_KEY: usize = 128;

/// Positions in [`super::FIELD_NAMES`].
pub(super) mod field {
    pub(crate) const COMMAND: u8 = 0;
    pub(crate) const KEY: u8 = 1;
    pub(crate) const ARGS: u8 = 2;
    pub(crate) const REPLY: u8 = 3;
    pub(crate) const REPLY_LEN: u8 = 4;
    pub(crate) const ERROR: u8 = 5;
}

/// A request of which some arguments are known.
#[derive(Debug)]
pub(super) struct Building {
    pub(super) draft: Box<Draft>,
    command: &'static Command,
    effect: Effect,
    guard: Guard,
    /// How many arguments came, the command included.
    index: u32,
    /// How many arguments follow the command, if that is known.
    args: Option<u32>,
    /// The argument that is the first key; 0 if there is none or it is not known yet.
    key_at: u32,
}

impl Building {
    /// A request whose command `args` arguments follow.
    #[inline]
    pub(super) fn new(draft: Box<Draft>, args: Option<u32>) -> Self {
        Self {
            draft,
            command: &commands::UNKNOWN,
            effect: Effect::Of(Role::Ordinary),
            guard: Guard::new(commands::Secret::None, None),
            index: 0,
            args,
            key_at: 0,
        }
    }

    /// Learns, before the first argument, how many follow the command.
    pub(super) fn announce(&mut self, args: u32) {
        self.args = Some(args);
    }

    /// Whether the number of arguments says how many responses there will be.
    pub(super) fn counts_arguments(&self) -> bool {
        matches!(self.effect, Effect::Of(Role::Subscription(_)))
    }

    /// How many bytes of the next argument decide what the request means.
    #[inline]
    pub(super) fn needs(&self) -> usize {
        let guard = if self.draft.text.is_full() { 0 } else { self.guard.needs() };
        let meaning = match self.index {
            0 => MAX_OPERATION.saturating_add(1),
            1 if self.command.container || self.command.role == Role::Replconf => {
                MAX_OPERATION.saturating_add(1)
            }
            2 if self.effect == Effect::Of(Role::Client) => MAX_OPERATION,
            _ => 0,
        };
        guard.max(meaning)
    }

    /// How many bytes of the next argument are worth seeing.
    #[inline]
    pub(super) fn wants(&self) -> usize {
        let text = if self.draft.text.is_full() || self.guard.is_due() {
            0
        } else {
            // One more than fits tells that it does not.
            self.draft.text.room().saturating_add(1).min(MAX_PREFIX)
        };
        let key = if self.draft.fields.wanted() && self.may_tell_key() {
            MAX_KEY.saturating_add(1)
        } else {
            0
        };
        text.max(key).max(self.needs())
    }

    fn may_tell_key(&self) -> bool {
        if self.index == 0 {
            return false;
        }
        self.key_at == self.index
            || match self.command.key {
                Key::Counted(at) => at == self.index,
                Key::AfterStreams => self.key_at == 0,
                Key::None | Key::At(_) => false,
            }
    }

    /// Adds the next argument, of which `value` is the beginning or, where `whole` says so, all.
    /// `typed` is how it was typed, if that is not the same.
    #[inline]
    pub(super) fn argument(&mut self, value: &[u8], whole: bool, typed: Option<&[u8]>) {
        if self.index == 0 {
            self.begin(value, whole);
        } else {
            self.draft.text.push_str(" ");
            if self.index <= 2 {
                self.refine(value, whole);
            }
        }
        // The command itself is no secret.
        if self.index == 0 || self.guard.admits(value, whole) {
            match typed {
                Some(typed) => {
                    render::raw(&mut self.draft.text, typed);
                    if !whole {
                        self.draft.text.push_str("...");
                    }
                }
                None => render::argument(&mut self.draft.text, value, whole),
            }
            if self.draft.fields.wanted() && self.may_tell_key() {
                self.find_key(value, whole);
            }
        } else {
            self.draft.text.push_str(secrets::REDACTED);
        }
        self.index = self.index.saturating_add(1);
    }

    fn begin(&mut self, name: &[u8], whole: bool) {
        self.command = if whole { commands::lookup(name) } else { &commands::UNKNOWN };
        if self.command.name.is_empty() {
            push_upper(&mut self.draft.operation, name);
        } else {
            self.draft.operation.push_str(self.command.name);
        }
        self.effect = Effect::Of(self.command.role);
        self.guard = Guard::new(self.command.secret, self.args);
        if let Key::At(at) = self.command.key {
            self.key_at = at;
        }
        if !self.command.container {
            self.note_command();
        }
    }

    /// Takes in what the first two arguments say of the operation.
    fn refine(&mut self, value: &[u8], whole: bool) {
        let is = |word: &[u8]| whole && value.eq_ignore_ascii_case(word);
        if self.index == 1 {
            if self.command.container {
                self.draft.operation.push_str(" ");
                push_upper(&mut self.draft.operation, value);
                self.note_command();
            }
            match self.command.role {
                Role::Client if !is(b"REPLY") => self.effect = Effect::Of(Role::Ordinary),
                Role::Replconf if is(b"ACK") => self.effect = Effect::Ack,
                _ => {}
            }
        } else if self.effect == Effect::Of(Role::Client) && self.args == Some(2) {
            for (word, mode) in
                [(&b"ON"[..], ReplyMode::On), (b"OFF", ReplyMode::Off), (b"SKIP", ReplyMode::Skip)]
            {
                if is(word) {
                    self.effect = Effect::Reply(mode);
                }
            }
        }
    }

    fn note_command(&mut self) {
        let draft = &mut *self.draft;
        draft.fields.text(field::COMMAND, draft.operation.as_str());
    }

    fn find_key(&mut self, value: &[u8], whole: bool) {
        if self.key_at == self.index {
            self.note_key(value, whole);
            return;
        }
        let next = self.index.saturating_add(1);
        match self.command.key {
            Key::Counted(_) if whole && line::number(value).is_some_and(|keys| keys > 0) => {
                self.key_at = next;
            }
            Key::AfterStreams if whole && value.eq_ignore_ascii_case(b"STREAMS") => {
                self.key_at = next;
            }
            _ => {}
        }
    }

    fn note_key(&mut self, key: &[u8], whole: bool) {
        let plain = key.iter().all(|byte| (0x20..0x7f).contains(byte));
        if let Ok(text) = std::str::from_utf8(key)
            && plain
            && whole
            && key.len() <= MAX_KEY
        {
            self.draft.fields.text(field::KEY, text);
            return;
        }
        let mut text = Text::default();
        text.reset(MAX_KEY);
        text.push_bytes(key);
        if !whole {
            text.push_str("...");
        }
        self.draft.fields.text(field::KEY, text.as_str());
    }

    /// All arguments are there: the draft, what the request does to the connection, and how many
    /// arguments followed the command.
    #[inline]
    pub(super) fn finish(mut self) -> (Box<Draft>, Effect, u32) {
        let args = self.index.saturating_sub(1);
        if self.draft.fields.wanted() {
            if self.command.container && args == 0 {
                self.note_command();
            }
            self.draft.fields.int(field::ARGS, i64::from(args));
        }
        let effect = match self.effect {
            Effect::Of(Role::Client | Role::Replconf) => Effect::Of(Role::Ordinary),
            effect => effect,
        };
        (self.draft, effect, args)
    }
}

/// Appends a word of the wire in upper case.
fn push_upper(text: &mut Text, word: &[u8]) {
    let mut upper = [0; MAX_OPERATION + 1];
    let word = word.get(..upper.len()).unwrap_or(word);
    if let Some(upper) = upper.get_mut(..word.len()) {
        upper.copy_from_slice(word);
        upper.make_ascii_uppercase();
        text.push_bytes(upper);
    }
}
