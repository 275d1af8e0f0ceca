//! The binary protocol's opcodes and statuses, by name.

use super::super::field;
use crate::protocol::scratch::Draft;

/// What is known of an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opcode {
    code: u8,
    /// Its name in upper case; empty for one that is not known.
    pub(super) name: &'static str,
    /// The same as it is shown.
    shown: &'static str,
    pub(super) kind: Kind,
    /// How many bytes of extras it takes.
    pub(super) extras: &'static [u8],
    /// It is answered only if there is something to say.
    pub(super) quiet: bool,
    /// Its response has the key.
    pub(super) returns_key: bool,
    /// What it did if it did not fail.
    pub(super) done: &'static str,
}

/// How a request is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key.
    Get,
    /// Flags, time of expiry, key, value.
    Store,
    /// Key, value.
    Append,
    /// A key.
    Key,
    /// By how much, from what, time of expiry, key.
    Count,
    /// Time of expiry, key.
    Touch,
    /// A group of statistics; answered by many packets.
    Stat,
    /// A mechanism, and a secret.
    Sasl,
    /// Nothing worth showing.
    Plain,
    /// Nobody knows.
    Unknown,
}

impl Kind {
    /// Whether a value is sent to be stored.
    pub(super) fn stores(self) -> bool {
        matches!(self, Self::Store | Self::Append)
    }
}

const fn opcode(
    code: u8,
    (name, shown): (&'static str, &'static str),
    kind: Kind,
    extras: &'static [u8],
    done: &'static str,
) -> Opcode {
    Opcode { code, name, shown, kind, extras, quiet: false, returns_key: false, done }
}

const fn quiet(of: Opcode) -> Opcode {
    Opcode { quiet: true, ..of }
}

const fn with_key(of: Opcode) -> Opcode {
    Opcode { returns_key: true, ..of }
}

use Kind::{Append, Count, Get, Key, Plain, Sasl, Stat, Store, Touch};

/// All opcodes of memcached 1.6 (protocol_binary.h).
#[rustfmt::skip]
static OPCODES: &[Opcode] = &[
    opcode(0x00, ("GET", "get"), Get, &[0], "HIT"),
    opcode(0x01, ("SET", "set"), Store, &[8], "STORED"),
    opcode(0x02, ("ADD", "add"), Store, &[8], "STORED"),
    opcode(0x03, ("REPLACE", "replace"), Store, &[8], "STORED"),
    opcode(0x04, ("DELETE", "delete"), Key, &[0], "DELETED"),
    opcode(0x05, ("INCREMENT", "increment"), Count, &[20], "OK"),
    opcode(0x06, ("DECREMENT", "decrement"), Count, &[20], "OK"),
    opcode(0x07, ("QUIT", "quit"), Plain, &[0], "OK"),
    opcode(0x08, ("FLUSH", "flush"), Plain, &[0, 4], "OK"),
    quiet(opcode(0x09, ("GETQ", "getq"), Get, &[0], "HIT")),
    opcode(0x0a, ("NOOP", "noop"), Plain, &[0], "OK"),
    opcode(0x0b, ("VERSION", "version"), Plain, &[0], "OK"),
    with_key(opcode(0x0c, ("GETK", "getk"), Get, &[0], "HIT")),
    with_key(quiet(opcode(0x0d, ("GETKQ", "getkq"), Get, &[0], "HIT"))),
    opcode(0x0e, ("APPEND", "append"), Append, &[0], "STORED"),
    opcode(0x0f, ("PREPEND", "prepend"), Append, &[0], "STORED"),
    opcode(0x10, ("STAT", "stat"), Stat, &[0], "OK"),
    quiet(opcode(0x11, ("SETQ", "setq"), Store, &[8], "STORED")),
    quiet(opcode(0x12, ("ADDQ", "addq"), Store, &[8], "STORED")),
    quiet(opcode(0x13, ("REPLACEQ", "replaceq"), Store, &[8], "STORED")),
    quiet(opcode(0x14, ("DELETEQ", "deleteq"), Key, &[0], "DELETED")),
    quiet(opcode(0x15, ("INCREMENTQ", "incrementq"), Count, &[20], "OK")),
    quiet(opcode(0x16, ("DECREMENTQ", "decrementq"), Count, &[20], "OK")),
    quiet(opcode(0x17, ("QUITQ", "quitq"), Plain, &[0], "OK")),
    quiet(opcode(0x18, ("FLUSHQ", "flushq"), Plain, &[0, 4], "OK")),
    quiet(opcode(0x19, ("APPENDQ", "appendq"), Append, &[0], "STORED")),
    quiet(opcode(0x1a, ("PREPENDQ", "prependq"), Append, &[0], "STORED")),
    opcode(0x1b, ("VERBOSITY", "verbosity"), Plain, &[4], "OK"),
    opcode(0x1c, ("TOUCH", "touch"), Touch, &[4], "TOUCHED"),
    opcode(0x1d, ("GAT", "gat"), Touch, &[4], "HIT"),
    quiet(opcode(0x1e, ("GATQ", "gatq"), Touch, &[4], "HIT")),
    opcode(0x20, ("SASL_LIST_MECHS", "sasl_list_mechs"), Plain, &[0], "OK"),
    opcode(0x21, ("SASL_AUTH", "sasl_auth"), Sasl, &[0], "OK"),
    opcode(0x22, ("SASL_STEP", "sasl_step"), Sasl, &[0], "OK"),
    with_key(opcode(0x23, ("GATK", "gatk"), Touch, &[4], "HIT")),
    with_key(quiet(opcode(0x24, ("GATKQ", "gatkq"), Touch, &[4], "HIT"))),
];

/// An opcode that the table does not have.
static UNKNOWN: Opcode = opcode(0xff, ("", ""), Kind::Unknown, &[], "OK");

/// What a status is called that the table does not have.
pub(super) const UNKNOWN_STATUS: &str = "UNKNOWN_STATUS";

/// Statuses other than success: their names, and whether they are errors and not just what became of a
/// request.
const STATUSES: &[(u16, &str, bool)] = &[
    (0x01, "NOT_FOUND", false),
    (0x02, "EXISTS", false),
    (0x03, "TOO_LARGE", true),
    (0x04, "INVALID_ARGUMENTS", true),
    (0x05, "NOT_STORED", false),
    (0x06, "NON_NUMERIC", true),
    (0x07, "WRONG_VBUCKET", true),
    (0x08, "AUTH_ERROR", true),
    (0x09, "AUTH_CONTINUE", false),
    (0x20, "AUTH_ERROR", true),
    (0x21, "AUTH_CONTINUE", false),
    (0x81, "UNKNOWN_COMMAND", true),
    (0x82, "OUT_OF_MEMORY", true),
    (0x83, "NOT_SUPPORTED", true),
    (0x84, "INTERNAL_ERROR", true),
    (0x85, "BUSY", true),
    (0x86, "TEMPORARY_FAILURE", true),
];

/// A status' name, empty for success, and whether it is an error.
pub(super) fn status(status: u16) -> (&'static str, bool) {
    if status == 0 {
        return ("", false);
    }
    let found = STATUSES.iter().find(|(code, ..)| *code == status);
    found.map_or((UNKNOWN_STATUS, true), |(_, name, is_error)| (name, *is_error))
}

impl Opcode {
    /// What is known of an opcode.
    #[inline]
    pub(super) fn of(code: u8) -> &'static Self {
        let place = usize::from(code);
        // They are numbered from 0 on with one left out.
        let near = OPCODES.get(place).filter(|opcode| opcode.code == code);
        near.or_else(|| OPCODES.iter().find(|opcode| opcode.code == code)).unwrap_or(&UNKNOWN)
    }

    /// Writes down what a request with this opcode is.
    pub(super) fn name_to(&self, code: u8, draft: &mut Draft) {
        if self.kind == Kind::Unknown {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit =
                |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('?', |&it| char::from(it));
            for text in [&mut draft.operation, &mut draft.text] {
                text.push_str("0x");
                text.push_char(digit(code >> 4));
                text.push_char(digit(code & 0x0f));
            }
        } else {
            draft.operation.push_str(self.name);
            draft.text.push_str(self.shown);
        }
        let Draft { operation, fields, .. } = draft;
        fields.text(field::COMMAND, operation.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_is_found() {
        for opcode in OPCODES {
            assert_eq!(Opcode::of(opcode.code), opcode);
            assert_eq!(opcode.name.to_ascii_lowercase(), opcode.shown);
            assert_eq!(opcode.quiet, opcode.name.ends_with('Q'), "{}", opcode.name);
        }
        assert_eq!(Opcode::of(0x1f).kind, Kind::Unknown);
        assert_eq!(Opcode::of(0x70).kind, Kind::Unknown);
    }

    #[test]
    fn a_status_says_whether_something_went_wrong() {
        assert_eq!(status(0), ("", false));
        assert_eq!(status(1), ("NOT_FOUND", false));
        assert_eq!(status(0x81), ("UNKNOWN_COMMAND", true));
        assert_eq!(status(0x99), (UNKNOWN_STATUS, true));
    }
}
