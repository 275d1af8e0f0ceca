//! Connections of which it is not known yet what they speak: what comes is kept until their first bytes
//! tell, and is then read as if it came just now, at the times at which it came.

use crate::{
    flow::{Chunk, GapCause, Side, StreamEvent, Turn, seq::Seq},
    protocol::{
        detect::{self, Finding, FirstBytes},
        selection::{Candidates, Selection},
    },
};

/// The most bytes that are kept, and the most events.
const MAX_BYTES: usize = 4 * 1024;
const MAX_EVENTS: usize = 16;

/// How much of either side is looked at.
const MAX_FIRST: usize = 1024;

/// So often it is tried before something is taken that fits any bytes.
const MIN_TRIES: u8 = 4;

/// How often a connection that was joined while it was open is tried again: where it was joined may
/// have been the midst of a message.
const MAX_TRIES: u8 = 64;

/// A connection that waits for its protocol.
#[derive(Debug)]
pub(super) struct Undecided {
    candidates: Candidates,
    /// Whether it is seen from its beginning.
    from_handshake: bool,
    tries: u8,
    events: Vec<(Side, Event)>,
    bytes: usize,
    /// The first bytes of either side, without a gap.
    first: [First; 2],
}

#[derive(Debug, Default)]
struct First {
    bytes: Vec<u8>,
    /// Nothing more can be added.
    closed: bool,
}

/// What happened, with bytes of its own.
#[derive(Debug)]
pub(super) enum Event {
    Data { bytes: Box<[u8]>, time_ns: u64, seq: Seq, ack: Option<Seq>, turn: Turn },
    Gap { len: u64, cause: GapCause },
    End,
    Reset,
}

impl Event {
    fn of(event: &StreamEvent<'_>) -> Self {
        match *event {
            StreamEvent::Data(Chunk { bytes, time_ns, seq, ack, turn }) => {
                Self::Data { bytes: bytes.into(), time_ns, seq, ack, turn }
            }
            StreamEvent::Gap { len, cause } => Self::Gap { len, cause },
            StreamEvent::End => Self::End,
            StreamEvent::Reset => Self::Reset,
        }
    }

    pub(super) fn event(&self) -> StreamEvent<'_> {
        match self {
            &Self::Data { ref bytes, time_ns, seq, ack, turn } => {
                StreamEvent::Data(Chunk { bytes, time_ns, seq, ack, turn })
            }
            &Self::Gap { len, cause } => StreamEvent::Gap { len, cause },
            Self::End => StreamEvent::End,
            Self::Reset => StreamEvent::Reset,
        }
    }
}

/// What is known of an undecided connection's roles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roles {
    /// The client, as far as ports and sockets tell.
    pub(super) likely: Side,
    /// Whether the other side may be it.
    pub(super) certain: bool,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// More has to come.
    Wait,
    /// It speaks the protocol at this position of the selection, and this is the client.
    Speaks { protocol: u8, client: Side },
    /// What came says nothing; what comes may.
    Again,
    /// It speaks none of the protocols.
    Nothing,
}

impl Undecided {
    pub(super) fn new(candidates: Candidates, from_handshake: bool) -> Self {
        Self {
            candidates,
            from_handshake,
            tries: 0,
            events: Vec::new(),
            bytes: 0,
            first: Default::default(),
        }
    }

    pub(super) fn is_from_handshake(&self) -> bool {
        self.from_handshake
    }

    /// Takes what happened on one side, and says how it goes on.
    pub(super) fn take(
        &mut self,
        side: Side,
        event: &StreamEvent<'_>,
        selection: &Selection,
        roles: Roles,
    ) -> Decision {
        let first = self.first.get_mut(side.index());
        match (event, first) {
            (StreamEvent::Data(chunk), Some(first)) if !first.closed => {
                let room = MAX_FIRST.saturating_sub(first.bytes.len());
                let bytes = chunk.bytes.get(..room).unwrap_or(chunk.bytes);
                first.bytes.extend_from_slice(bytes);
                first.closed = first.bytes.len() >= MAX_FIRST;
            }
            (_, Some(first)) => first.closed = true,
            _ => {}
        }
        let kept = Event::of(event);
        if let Event::Data { bytes, .. } = &kept {
            self.bytes = self.bytes.saturating_add(bytes.len());
        }
        self.events.push((side, kept));
        let is_full = self.bytes >= MAX_BYTES || self.events.len() >= MAX_EVENTS;
        self.decide(selection, roles, !is_full)
    }

    /// What it speaks, by what came so far; where no more is `awaited`, as good as that tells.
    pub(super) fn decide(
        &mut self,
        selection: &Selection,
        roles: Roles,
        awaited: bool,
    ) -> Decision {
        // What a connection begins with says all there is to say, if it was seen and is enough.
        let is_blind = self.first.iter().any(|first| first.closed && first.bytes.is_empty());
        let says_all = self.from_handshake && !is_blind && awaited;
        let may_try_again = !says_all && self.tries < MAX_TRIES;
        let takes_any = says_all || self.tries >= MIN_TRIES;
        let find = |client: Side, takes_any: bool| {
            let of = |side: Side| self.first.get(side.index()).map_or(&[][..], |it| &it.bytes);
            let bytes = FirstBytes {
                client: of(client),
                server: of(client.peer()),
                are_first: self.from_handshake,
                are_awaited: awaited,
                takes_any,
            };
            detect::find(selection, self.candidates, &bytes)
        };
        let both = |takes_any| {
            let other = if roles.certain { None } else { Some(roles.likely.peer()) };
            let other = other.map_or(Finding::Nothing, |client| find(client, takes_any));
            (find(roles.likely, takes_any), other)
        };
        let found = match both(false) {
            // What fits anything is taken when nothing else did.
            (Finding::Nothing, Finding::Nothing) if takes_any => both(true),
            found => found,
        };
        match found {
            (Finding::Found(protocol), _) => Decision::Speaks { protocol, client: roles.likely },
            (Finding::Wait, _) | (_, Finding::Wait) if awaited => Decision::Wait,
            (_, Finding::Found(protocol)) => {
                Decision::Speaks { protocol, client: roles.likely.peer() }
            }
            _ if may_try_again => Decision::Again,
            _ => Decision::Nothing,
        }
    }

    /// Begins anew with what comes; returns what came, to be counted.
    pub(super) fn again(&mut self) -> Vec<(Side, Event)> {
        self.from_handshake = false;
        self.tries = self.tries.saturating_add(1);
        self.bytes = 0;
        self.first = Default::default();
        std::mem::take(&mut self.events)
    }

    /// What came, to be read or counted.
    pub(super) fn into_events(self) -> Vec<(Side, Event)> {
        self.events
    }
}
