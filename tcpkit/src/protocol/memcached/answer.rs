//! What a response can be the answer to: classes of first words, and what requests have sent back.

use std::hash::Hasher;

/// Sets of classes of responses, one bit each.
pub(super) mod class {
    /// `VALUE` … `END`: `get` and its like found something.
    pub(crate) const VALUES: u16 = 1;
    /// `END` alone.
    pub(crate) const END: u16 = 1 << 1;
    /// Lines up to `END`, such as `STAT`.
    pub(crate) const LIST: u16 = 1 << 2;
    /// `STORED`.
    pub(crate) const STORED: u16 = 1 << 3;
    /// `NOT_STORED`, `EXISTS`.
    pub(crate) const REFUSED: u16 = 1 << 4;
    /// `NOT_FOUND`.
    pub(crate) const NOT_FOUND: u16 = 1 << 5;
    /// `DELETED`.
    pub(crate) const DELETED: u16 = 1 << 6;
    /// `TOUCHED`.
    pub(crate) const TOUCHED: u16 = 1 << 7;
    /// What `incr` and `decr` made of a number.
    pub(crate) const NUMBER: u16 = 1 << 8;
    /// `ERROR`, `CLIENT_ERROR`, `SERVER_ERROR`.
    pub(crate) const ERROR: u16 = 1 << 9;
    /// Any other line, such as `OK`.
    pub(crate) const OTHER: u16 = 1 << 10;
    /// `HD`, and `VA` with its value: a meta command did what it was told.
    pub(crate) const META: u16 = 1 << 11;
    /// `EN`: a meta command found nothing.
    pub(crate) const META_MISS: u16 = 1 << 12;
    /// `NF`, `NS`, `EX`: a meta command was not carried out.
    pub(crate) const META_REFUSED: u16 = 1 << 13;
    /// `MN`.
    pub(crate) const META_NOOP: u16 = 1 << 14;
    /// A packet of the binary protocol.
    pub(crate) const PACKET: u16 = 1 << 15;
}

/// What a response says of the request that it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// One of [`class`].
    pub(super) class: u16,
    /// What it sends back.
    pub(super) echo: Echo,
}

/// What a request wants to have sent back, or a response sends back; 0 where nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Echo {
    /// A fingerprint of the opaque.
    pub(super) opaque: u32,
    /// A fingerprint of the key.
    pub(super) key: u32,
    /// The binary opcode.
    pub(super) opcode: u8,
}

impl Echo {
    /// Whether an answer can be for a request that wanted `wanted` back. Older servers leave it out of what
    /// belongs to a miss, errors never have it, and binary errors have no key: that says nothing.
    pub(super) fn fits(self, class: u16, wanted: Self) -> bool {
        let may_lack = class & (class::ERROR | class::META_MISS | class::PACKET) != 0;
        let fits = |here: u32, wanted: u32| here == wanted || may_lack && here == 0;
        self.opcode == wanted.opcode
            && fits(self.opaque, wanted.opaque)
            && fits(self.key, wanted.key)
    }
}

/// A number by which bytes are known again; never 0. That others have the same makes more requests
/// come into question for a response, never fewer.
pub(super) fn fingerprint(bytes: &[u8]) -> u32 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    u32::try_from(hasher.finish() >> 32).unwrap_or(1).max(1)
}
