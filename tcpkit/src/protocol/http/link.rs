//! What one direction has to know of the other: which method a response answers, whether a refused
//! body still comes, and when the connection stops being HTTP.

use std::collections::VecDeque;

/// The most requests under way with methods that change what their responses look like.
const MAX_AWAITED: usize = 4096;

/// What a request's method makes of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing special.
    Ordinary,
    /// It has no body, whatever it says of one (`HEAD`, RFC 9110 §9.3.2).
    Head,
    /// If it reports success, the connection is a tunnel from its end on (`CONNECT`, RFC 9110 §9.3.6).
    Connect,
}

/// The body of a request that asked for leave to send it (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leave {
    /// Nothing is asked, or the body comes in any case.
    #[default]
    None,
    /// The client waits for a `100`, for as long as it likes.
    Asked,
    /// The request was answered before any of the body came. A good client sends it nonetheless or
    /// closes the connection; others go on with another request.
    Refused,
}

/// Requests that are not ordinary, in order, with their numbers.
#[derive(Debug, Default)]
struct Awaited(VecDeque<(u32, Kind)>);

/// What both directions of a connection know of each other.
#[derive(Debug, Default)]
pub(super) struct Link {
    requests: u32,
    replies: u32,
    /// Requests under way that are not ordinary, with their numbers; few connections have any.
    awaited: Option<Box<Awaited>>,
    leave: Leave,
    tunnel: bool,
    /// A `CONNECT` is the last request and has no answer.
    connecting: bool,
    /// The client sent something behind such a request, and it is not known what.
    blind: bool,
}

impl Link {
    /// Whether the connection carries something other than HTTP by now.
    #[inline]
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// Notes a request; its body, if one follows, may wait for leave.
    #[inline]
    pub(super) fn request(&mut self, kind: Kind, asks_leave: bool) -> Result<(), &'static str> {
        if kind != Kind::Ordinary {
            let Awaited(awaited) = self.awaited.get_or_insert_default().as_mut();
            if awaited.len() >= MAX_AWAITED {
                return Err("too many special requests under way");
            }
            awaited.push_back((self.requests, kind));
            self.connecting = kind == Kind::Connect;
        }
        self.leave = if asks_leave { Leave::Asked } else { Leave::None };
        self.requests = self.requests.wrapping_add(1);
        Ok(())
    }

    /// Whether what the client sends next may be for the tunnel that it asked for.
    #[inline]
    pub(super) fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Something came that is either a request or for a tunnel.
    pub(super) fn go_blind(&mut self) {
        self.blind = true;
    }

    /// Whether requests were passed over, so that nothing of them is known.
    #[inline]
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Whether nothing came yet of a body for which leave was asked.
    #[inline]
    pub(super) fn is_undecided(&self) -> bool {
        self.leave != Leave::None
    }

    /// Whether it is not certain that the body announced last will come.
    #[inline]
    pub(super) fn is_refused(&self) -> bool {
        self.leave == Leave::Refused
    }

    /// Notes that the body comes.
    #[inline]
    pub(super) fn body_comes(&mut self) {
        self.leave = Leave::None;
    }

    /// What kind of request the next response answers.
    #[inline]
    pub(super) fn turn(&self) -> Kind {
        let front = self.awaited.as_ref().and_then(|awaited| awaited.0.front());
        match front {
            Some(&(number, kind)) if number == self.replies => kind,
            _ => Kind::Ordinary,
        }
    }

    /// Notes the head of a response that is not an interim one.
    #[inline]
    pub(super) fn answered(&mut self) {
        if self.turn() != Kind::Ordinary
            && let Some(awaited) = &mut self.awaited
        {
            awaited.0.pop_front();
            if awaited.0.is_empty() {
                self.awaited = None;
            }
        }
        if self.requests != self.replies {
            self.replies = self.replies.wrapping_add(1);
        }
        if self.requests == self.replies {
            self.connecting = false;
            if self.leave == Leave::Asked {
                self.leave = Leave::Refused;
            }
        }
    }

    /// Notes a `100`.
    pub(super) fn leave_given(&mut self) {
        if self.leave == Leave::Asked {
            self.leave = Leave::None;
        }
    }

    /// Notes that no more HTTP comes.
    pub(super) fn leave_http(&mut self) {
        self.tunnel = true;
        self.awaited = None;
    }
}
