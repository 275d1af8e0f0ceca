//! What Linux's cooked link headers say of interface and direction
//! (`LINKTYPE_LINUX_SLL` and `LINKTYPE_LINUX_SLL2`).

use crate::capture::{Frame, HookDirection, LinkType};

/// The type of packets that the host sends (`PACKET_OUTGOING` of the kernel's `if_packet.h`); smaller
/// ones arrive, and larger ones are the kernel's own.
const OUTGOING: u16 = 4;

/// What a cooked header says beside the network header's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooked {
    /// The interface's index on the host that captured, where the header has it.
    pub ifindex: Option<u32>,
    /// Which way the packet crossed it.
    pub direction: HookDirection,
}

/// Reads a frame's cooked header; `None` when it has none, or a cut one.
#[must_use]
#[inline]
pub fn cooked(frame: &Frame<'_>) -> Option<Cooked> {
    let (ifindex, kind) = match (frame.link, frame.bytes) {
        (LinkType::LinuxSll, &[a, b, ..]) => (None, u16::from_be_bytes([a, b])),
        (LinkType::LinuxSll2, &[_, _, _, _, a, b, c, d, _, _, kind, ..]) => {
            (Some(u32::from_be_bytes([a, b, c, d])), kind.into())
        }
        _ => return None,
    };
    let direction = match kind {
        OUTGOING => HookDirection::Egress,
        0..OUTGOING => HookDirection::Ingress,
        _ => HookDirection::Unknown,
    };
    Some(Cooked { ifindex, direction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_and_interface_are_read() {
        let check = |link, bytes: &[u8], expect: Option<(Option<u32>, HookDirection)>| {
            let frame = Frame {
                time_ns: 0,
                ifindex: 9,
                direction: HookDirection::Unknown,
                link,
                vlan: None,
                wire_len: 100,
                bytes,
            };
            let found = cooked(&frame).map(|it| (it.ifindex, it.direction));
            assert_eq!(found, expect, "{bytes:?}");
        };
        let sll2 = |kind| [8, 0, 0, 0, 0, 0, 1, 2, 0, 1, kind, 6];
        check(LinkType::LinuxSll2, &sll2(0), Some((Some(258), HookDirection::Ingress)));
        check(LinkType::LinuxSll2, &sll2(4), Some((Some(258), HookDirection::Egress)));
        check(LinkType::LinuxSll2, &sll2(5), Some((Some(258), HookDirection::Unknown)));
        check(LinkType::LinuxSll2, &sll2(4)[..10], None);
        check(LinkType::LinuxSll, &[0, 4, 0, 1], Some((None, HookDirection::Egress)));
        check(LinkType::LinuxSll, &[0, 3, 0, 1], Some((None, HookDirection::Ingress)));
        check(LinkType::LinuxSll, &[1, 4, 0, 1], Some((None, HookDirection::Unknown)));
        check(LinkType::LinuxSll, &[0], None);
        check(LinkType::Ethernet, &[0, 4, 0, 1], None);
    }
}
