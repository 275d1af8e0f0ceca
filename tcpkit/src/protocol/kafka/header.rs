//! How a message begins: its size, and of a request what it asks and under which number.

use super::{
    apis::{self, key},
    reader::Reader,
};

/// The size that stands before each message, which does not count itself, in bytes.
pub(super) const SIZE: usize = 4;

/// The largest request, in bytes. Brokers refuse more than 100 MiB unless told otherwise
/// (`socket.request.max.bytes`); one GiB is more than anybody sends.
pub(super) const MAX_REQUEST: i32 = 1 << 30;

/// The largest request that is believed before anything is known of the connection: a broker's usual limit.
pub(super) const USUAL_MAX_REQUEST: i32 = 100 << 20;

/// The smallest request: key, version and number (the header of `ControlledShutdown` version 0).
pub(super) const MIN_REQUEST: i32 = 8;

/// The smallest response: its number.
pub(super) const MIN_RESPONSE: i32 = 4;

/// So many versions beyond the known ones are believed of a call, before anything is known of the
/// connection.
const NEWER: i16 = 4;

/// The longest client's name that is believed before anything is known of the connection, in bytes.
pub(super) const MAX_CLIENT: usize = 512;

/// The size of the message that begins here, if that much is there.
pub(super) fn size(input: &[u8]) -> Option<i32> {
    input.first_chunk().copied().map(i32::from_be_bytes)
}

/// What a request says before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// What is asked.
    pub(super) key: i16,
    /// In which version.
    pub(super) version: i16,
    /// The number that the response will carry.
    pub(super) id: u32,
    /// What the client calls itself; empty also where it is not there or does not say.
    pub(super) client: &'a [u8],
}

/// How much of a request's header is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parsed<'a> {
    /// All, and behind it the body.
    Whole(Header<'a>, Reader<'a>),
    /// All but tagged fields that should be there, and so no body.
    Named(Header<'a>),
    /// Everything up to the client's name.
    Fixed(Header<'a>),
    /// Not even that.
    Short,
    /// It cannot be a header.
    Broken,
}

/// Reads the header with which `message`, what follows the size, begins.
pub(super) fn parse(message: &[u8]) -> Parsed<'_> {
    let mut fixed = Reader::new(message, false);
    let (Some(key), Some(version), Some(id)) = (fixed.i16(), fixed.i16(), fixed.u32()) else {
        return Parsed::Short;
    };
    let header = Header { key, version, id, client: &[] };
    if key < 0 || !(0..=i16::from(u8::MAX)).contains(&version) {
        return Parsed::Broken;
    }
    // Version 0 of the header: no client's name.
    if (key, version) == (key::CONTROLLED_SHUTDOWN, 0) {
        return Parsed::Whole(header, fixed);
    }
    // Its length is never compact.
    let Some(client) = fixed.string() else {
        return if fixed.is_broken() { Parsed::Broken } else { Parsed::Fixed(header) };
    };
    let header = Header { client, ..header };
    let mut body = fixed.flexible(apis::is_flexible(key, version));
    match body.tags() {
        Some(()) => Parsed::Whole(header, body),
        None => Parsed::Named(header),
    }
}

/// Whether this is a call that clients make, as far as can be told without knowing the connection.
pub(super) fn is_known(key: i16, version: i16) -> bool {
    let Some(api) = apis::lookup(key) else { return false };
    (0..=api.highest.saturating_add(NEWER)).contains(&version)
}

/// Whether clients call themselves so, as far as is visible.
pub(super) fn is_client(name: &[u8]) -> bool {
    name.len() <= MAX_CLIENT
        && name.iter().all(|byte| !byte.is_ascii_control())
        && std::str::from_utf8(name).is_ok_and(|name| !name.chars().any(char::is_control))
}
