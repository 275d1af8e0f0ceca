//! Who is the server of a connection.
//!
//! The SYN says it; else the port that the filter names; else what the first bytes look like; else
//! a listening socket on this host; else the protocol's usual port; else the lower port. Everything
//! but the SYN is a guess, which bytes that contradict it correct.

use super::key::{FlowKey, Side};

/// How sure the role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Nothing but the order of the ports says it.
    Order,
    /// A guess that the stream's bytes may correct.
    Guess,
    /// The user named the server's port.
    Named,
    /// The handshake was seen.
    Handshake,
}

/// Which side the client is on, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The client's side.
    pub client: Side,
    /// How sure that is.
    pub certainty: Certainty,
}

/// What is known beyond the connection's own packets.
pub trait Hints {
    /// Whether the user's filter names this port.
    fn is_named(&self, port: u16) -> bool;
    /// Whether a socket on this host listens at this end.
    fn is_listening(&self, end: &crate::packet::Endpoint) -> bool;
    /// Whether servers of the protocol usually have this port.
    fn is_usual(&self, port: u16) -> bool;
    /// Whether this end is the agent's own, so that connections to it are not what the run is about.
    fn is_own(&self, end: &crate::packet::Endpoint) -> bool {
        let _ = end;
        false
    }
}

/// What the first bytes say of who sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Only a client would send them.
    FromClient(Side),
    /// Only a server would send them.
    FromServer(Side),
    /// They say nothing.
    None,
}

/// The most likely roles of a connection whose handshake was not seen.
#[must_use]
pub fn infer(key: &FlowKey, evidence: Evidence, hints: &(impl Hints + ?Sized)) -> Role {
    let server_by = |holds: &dyn Fn(Side) -> bool| match (holds(Side::Low), holds(Side::High)) {
        (true, false) => Some(Side::Low),
        (false, true) => Some(Side::High),
        _ => None,
    };
    let port = |side: Side| key.endpoint(side).port();
    if let Some(server) = server_by(&|side| hints.is_named(port(side))) {
        return Role { client: server.peer(), certainty: Certainty::Named };
    }
    let known = match evidence {
        Evidence::FromClient(side) => Some(side.peer()),
        Evidence::FromServer(side) => Some(side),
        Evidence::None => server_by(&|side| hints.is_listening(key.endpoint(side)))
            .or_else(|| server_by(&|side| hints.is_usual(port(side)))),
    };
    if let Some(server) = known {
        return Role { client: server.peer(), certainty: Certainty::Guess };
    }
    let server = if port(Side::Low) <= port(Side::High) { Side::Low } else { Side::High };
    Role { client: server.peer(), certainty: Certainty::Order }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Addresses, Endpoint};

    struct Known {
        named: u16,
        listening: u16,
        usual: u16,
    }

    impl Hints for Known {
        fn is_named(&self, port: u16) -> bool {
            port == self.named
        }
        fn is_listening(&self, end: &Endpoint) -> bool {
            end.port() == self.listening
        }
        fn is_usual(&self, port: u16) -> bool {
            port == self.usual
        }
    }

    fn check(ports: (u16, u16), known: &Known, evidence: fn(Side) -> Evidence, server: u16) {
        let source = Endpoint::v4([10, 0, 0, 1], ports.0);
        let destination = Endpoint::v4([10, 0, 0, 2], ports.1);
        let (key, sender) = FlowKey::of(&Addresses { source, destination });
        let role = infer(&key, evidence(sender), known);
        assert_eq!(key.endpoint(role.client.peer()).port(), server);
    }

    #[test]
    fn the_stronger_sign_wins() {
        let none = |_| Evidence::None;
        let all = Known { named: 7000, listening: 8000, usual: 9000 };
        check((7000, 8000), &all, none, 7000);
        check((7000, 8000), &all, Evidence::FromClient, 7000);
        check((9000, 8000), &all, none, 8000);
        check((9000, 8000), &all, Evidence::FromServer, 9000);
        check((9000, 8000), &all, Evidence::FromClient, 8000);
        check((9000, 5000), &all, none, 9000);
        check((40000, 5000), &all, none, 5000);
        // Both ports are named: that says nothing.
        check((7000, 7000), &all, Evidence::FromClient, 7000);
    }
}
