//! Which protocol a connection speaks, by the first bytes of both its sides.
//!
//! One side alone is not believed: `get x` is a request in more than one protocol, but what answers it
//! is not.

use super::{
    Detection, Direction, Entry, Probe, Protocol,
    selection::{Candidates, Selection},
};

/// The first bytes that were seen of a connection.
#[derive(Clone, Copy, Debug)]
pub struct FirstBytes<'a> {
    /// Of the client; empty while there are none.
    pub client: &'a [u8],
    /// Of the server.
    pub server: &'a [u8],
    /// Whether the connection began with them.
    pub are_first: bool,
    /// Whether more may come.
    pub are_awaited: bool,
    /// Whether what fits any bytes may be taken.
    pub takes_any: bool,
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The protocol at this position of the selection.
    Found(u8),
    /// More bytes are needed.
    Wait,
    /// None of the candidates.
    Nothing,
}

/// How well bytes fit a protocol and a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Maybe,
    Yes,
}

fn fit(protocol: &Protocol, bytes: &[u8], direction: Direction, are_first: bool) -> Fit {
    if bytes.is_empty() {
        return Fit::Maybe;
    }
    match (protocol.probe)(bytes) {
        Probe::Unsure => Fit::Maybe,
        found if found.may_be(direction) => Fit::Yes,
        // It may begin otherwise than it goes on.
        _ if !are_first && protocol.entry == Entry::Number => {
            if (protocol.decoder)().rejoin(direction, bytes) { Fit::Yes } else { Fit::No }
        }
        _ => Fit::No,
    }
}

/// Which of the candidates fits the first bytes of client and server. Of several that fit, the first;
/// while one before it may still turn out to fit, that is waited for. Where no more bytes are awaited,
/// the only one that is left is taken, if one side fits it.
#[must_use]
pub fn find(selection: &Selection, candidates: Candidates, bytes: &FirstBytes<'_>) -> Finding {
    let &FirstBytes { client, server, are_first, are_awaited: awaited, takes_any } = bytes;
    let mut any = None;
    let mut left = None;
    let mut count = 0_u32;
    for at in candidates.positions() {
        let protocol = selection.protocol(at);
        if protocol.detection == Detection::Last {
            any = any.or(takes_any.then_some(at));
            continue;
        }
        let fits = [
            fit(protocol, client, Direction::Request, are_first),
            fit(protocol, server, Direction::Response, are_first),
        ];
        match (fits.iter().min(), fits.iter().max()) {
            (Some(Fit::No), _) => {}
            (Some(Fit::Yes), _) if count == 0 || !awaited => return Finding::Found(at),
            (_, best) => {
                count = count.saturating_add(1);
                left = left.or_else(|| (best == Some(&Fit::Yes)).then_some(at));
            }
        }
    }
    match (awaited, count, left, any) {
        (true, 1.., ..) => Finding::Wait,
        (false, 1, Some(at), _) => Finding::Found(at),
        (_, 0, _, Some(at)) if !client.is_empty() || !server.is_empty() => Finding::Found(at),
        (false, .., Some(at)) => Finding::Found(at),
        _ => Finding::Nothing,
    }
}
