//! What makes packets of both directions belong to one flow.

use std::hash::{Hash, Hasher};

use crate::packet::{Addresses, Endpoint};

/// One of the two ends of a flow, by the order of their addresses; says nothing of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end whose address and port compare lower.
    Low,
    /// The other end.
    High,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }

    /// 0 or 1, for what is kept by side.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::High => 1,
        }
    }
}

/// Both ends of a TCP connection, in an order that does not depend on who sent the packet.
///
/// The interface is no part of it: one connection may be seen on several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// The key of a packet's flow, and which side sent the packet.
    #[must_use]
    #[inline]
    pub fn of(addresses: &Addresses) -> (Self, Side) {
        let Addresses { source, destination } = *addresses;
        if !destination.is_before(&source) {
            (Self { low: source, high: destination }, Side::Low)
        } else {
            (Self { low: destination, high: source }, Side::High)
        }
    }

    /// The end on one side.
    #[must_use]
    pub fn endpoint(&self, side: Side) -> &Endpoint {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.low.number());
        state.write_u128(self.high.number());
        state.write_u32(u32::from(self.low.port()) << 16 | u32::from(self.high.port()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        let client = Endpoint::v4([10, 0, 0, 1], 40000);
        let server = Endpoint::v4([10, 0, 0, 2], 6379);
        let (there, sent_by) = FlowKey::of(&Addresses { source: client, destination: server });
        let (back, answered_by) = FlowKey::of(&Addresses { source: server, destination: client });
        assert_eq!(there, back);
        assert_eq!(sent_by, answered_by.peer());
        assert_eq!(*there.endpoint(sent_by), client);
        assert_eq!(*there.endpoint(answered_by), server);
    }
}
