//! Which arguments nobody may read: the one place where secrets are recognised.

use super::commands::Secret;

pub(super) use crate::protocol::secrets::REDACTED;

/// How many bytes of an argument it may take to tell whether secrets follow.
pub(super) const MAX_WORD: usize = 32;

/// Settings whose value is a secret, in redis.conf, sentinel.conf and valkey.conf.
const SETTINGS: &[&[u8]] = &[
    b"requirepass",
    b"masterauth",
    b"primaryauth",
    b"tls-key-file-pass",
    b"tls-client-key-file-pass",
    b"auth-pass",
    b"sentinel-pass",
];

/// Goes along the arguments of one command and says of each whether it may be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    secret: Secret,
    /// Which of the next arguments are secret whatever they say: bit 0 the next one, and so on.
    due: u8,
    /// All that follows is secret.
    closed: bool,
}

impl Guard {
    /// A guard for a command that `args` arguments follow, if that is known.
    pub(super) fn new(secret: Secret, args: Option<u32>) -> Self {
        // An AUTH of any but the two forms is a mistake, with the password anywhere in it.
        let auth = secret == Secret::Auth;
        let user = auth && args == Some(2);
        Self { secret, due: if user { 0b10 } else { 0 }, closed: auth && !user }
    }

    /// Whether the next argument is a secret whatever it says.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.closed || self.due & 1 != 0
    }

    /// How many of the next argument's bytes it takes to tell what it is.
    pub(super) fn needs(&self) -> usize {
        if matches!(self.secret, Secret::None | Secret::Auth) { 0 } else { MAX_WORD }
    }

    /// Whether the next argument may be shown, of which `bytes` is the beginning or, where `whole`
    /// says so, all.
    #[inline]
    pub(super) fn admits(&mut self, bytes: &[u8], whole: bool) -> bool {
        self.secret == Secret::None || self.judge(bytes, whole)
    }

    fn judge(&mut self, bytes: &[u8], whole: bool) -> bool {
        let due = self.is_due();
        self.due >>= 1;
        let is = |word: &[u8]| whole && bytes.eq_ignore_ascii_case(word);
        // Also a value that reads like one of the words announces a secret: hiding too much when
        // `CONFIG SET dir requirepass` comes by is better than hiding the wrong half of the pairs.
        match self.secret {
            Secret::None | Secret::Auth => {}
            // The user too: where it is forgotten, the password stands in its place.
            Secret::Hello if is(b"AUTH") => self.due |= 0b11,
            Secret::Migrate if is(b"AUTH") => self.due |= 0b1,
            Secret::Migrate if is(b"AUTH2") => self.due |= 0b10,
            Secret::Setting if SETTINGS.iter().any(|setting| is(setting)) => self.due |= 0b1,
            Secret::AclRule if matches!(bytes.first(), Some(b'>' | b'<' | b'#' | b'!')) => {
                return false;
            }
            Secret::Hello | Secret::Migrate | Secret::Setting | Secret::AclRule => {}
        }
        !due
    }
}
