//! Which protocol a connection speaks, by the first bytes of both its sides.
//!
//! One side alone is not believed: `get x` is a request in more than one protocol, but what answers it
//! is not.

use super::{
    Direction, Probe,
    selection::{Candidates, Selection},
};

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

fn fit(probe: fn(&[u8]) -> Probe, bytes: &[u8], direction: Direction) -> Fit {
    if bytes.is_empty() {
        return Fit::Maybe;
    }
    match probe(bytes) {
        Probe::Unsure => Fit::Maybe,
        found if found.may_be(direction) => Fit::Yes,
        _ => Fit::No,
    }
}

/// Which of the candidates fits the first bytes of client and server. Of several that fit, the first;
/// while one before it may still turn out to fit, that is waited for. Where no more bytes will be
/// `awaited`, the only one that is left is taken, if one side fits it.
#[must_use]
pub fn find(
    selection: &Selection,
    candidates: Candidates,
    client: &[u8],
    server: &[u8],
    awaited: bool,
) -> Finding {
    let mut left = None;
    let mut count = 0_u32;
    for at in candidates.positions() {
        let protocol = selection.protocol(at);
        let fits = [
            fit(protocol.probe, client, Direction::Request),
            fit(protocol.probe, server, Direction::Response),
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
    match (awaited, count, left) {
        (_, 0, _) => Finding::Nothing,
        (true, ..) => Finding::Wait,
        (false, 1, Some(at)) => Finding::Found(at),
        (false, ..) => Finding::Nothing,
    }
}
