//! The few netlink requests that attaching on kernels before 6.6 needs beside aya's.
//!
//! Nothing here allocates: the guardian uses it after a fork.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket},
};

use super::programs::Hook;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const TCA_KIND: u16 = 1;
/// The qdisc on whose two parents filters see what comes in and goes out.
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
const INGRESS_PARENT: u32 = 0xffff_fff2;
const EGRESS_PARENT: u32 = 0xffff_fff3;

/// All of a link's protocols, as the kernel stores it in a filter's identity.
const ALL_PROTOCOLS: u16 = 0x0003;

/// A request's length: netlink's header, traffic control's, and one attribute.
pub(super) const REQUEST_LEN: usize = 48;

/// One request to the kernel's traffic control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request([u8; REQUEST_LEN]);

impl Request {
    /// Makes room for filters on an interface, unless it is there.
    pub(super) fn add_clsact(ifindex: u32) -> Self {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        Self::new(RTM_NEWQDISC, flags, ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0, *b"clsact\0\0")
    }

    /// Takes that room away, with all filters that are in it.
    pub(super) fn delete_clsact(ifindex: u32) -> Self {
        let kind = *b"clsact\0\0";
        Self::new(RTM_DELQDISC, NLM_F_ACK, ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0, kind)
    }

    /// Removes one filter.
    pub(super) fn delete_filter(ifindex: u32, hook: Hook, priority: u16, handle: u32) -> Self {
        let identity = u32::from(priority) << 16 | u32::from(ALL_PROTOCOLS.to_be());
        let kind = *b"bpf\0\0\0\0\0";
        Self::new(RTM_DELTFILTER, NLM_F_ACK, ifindex, handle, parent(hook), identity, kind)
    }

    fn dump_filters(ifindex: u32, hook: Hook) -> Self {
        Self::new(RTM_GETTFILTER, NLM_F_DUMP, ifindex, 0, parent(hook), 0, [0; 8])
    }

    fn new(
        kind: u16,
        flags: u16,
        ifindex: u32,
        handle: u32,
        parent: u32,
        info: u32,
        name: [u8; 8],
    ) -> Self {
        let name_len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        // The attribute's own length is without the padding, which the request's includes.
        let attribute = if name_len == 0 { 0 } else { 4 + name_len + 1 };
        let len = if name_len == 0 { REQUEST_LEN - 12 } else { REQUEST_LEN };
        let half = |value: usize| u16::try_from(value).unwrap_or(0).to_ne_bytes();
        let mut bytes = [0; REQUEST_LEN];
        let parts: [(usize, &[u8]); 10] = [
            (0, &u32::try_from(len).unwrap_or(0).to_ne_bytes()),
            (4, &kind.to_ne_bytes()),
            (6, &(flags | NLM_F_REQUEST).to_ne_bytes()),
            (20, &ifindex.to_ne_bytes()),
            (24, &handle.to_ne_bytes()),
            (28, &parent.to_ne_bytes()),
            (32, &info.to_ne_bytes()),
            (36, &half(attribute)),
            (38, &TCA_KIND.to_ne_bytes()),
            (40, &name),
        ];
        for (offset, part) in parts {
            if let Some(to) = bytes.get_mut(offset..offset + part.len()) {
                to.copy_from_slice(part);
            }
        }
        Self(bytes)
    }

    /// The request's bytes, all of which [`Self::from_bytes`] wants back.
    pub(super) fn as_bytes(&self) -> &[u8; REQUEST_LEN] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: [u8; REQUEST_LEN]) -> Self {
        Self(bytes)
    }

    /// The interface whose qdisc this request deletes.
    pub(super) fn deleted_clsact(&self) -> Option<u32> {
        (half(&self.0, 4) == Some(RTM_DELQDISC)).then(|| word(&self.0, 20)).flatten()
    }

    fn len(&self) -> usize {
        word(&self.0, 0).map_or(0, |len| len as usize)
    }
}

fn parent(hook: Hook) -> u32 {
    match hook {
        Hook::Ingress => INGRESS_PARENT,
        Hook::Egress => EGRESS_PARENT,
    }
}

/// A connection to the kernel's traffic control, in the network namespace it was opened in.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    pub(super) fn open() -> Result<Self, Errno> {
        let protocol = SockProtocol::NetlinkRoute;
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self(socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?))
    }

    pub(super) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Sends a request and waits for the kernel's answer.
    pub(super) fn send(&self, request: &Request) -> Result<(), Errno> {
        self.exchange(request, |_kind| ())
    }

    /// Whether any filter is left on an interface.
    pub(super) fn has_filters(&self, ifindex: u32) -> Result<bool, Errno> {
        let mut any = false;
        for hook in [Hook::Ingress, Hook::Egress] {
            let request = Request::dump_filters(ifindex, hook);
            self.exchange(&request, |kind| any |= kind == RTM_NEWTFILTER)?;
        }
        Ok(any)
    }

    /// Sends a request and shows the kinds of all answers until the last one.
    fn exchange(&self, request: &Request, mut on_answer: impl FnMut(u16)) -> Result<(), Errno> {
        let bytes = request.0.get(..request.len()).unwrap_or_default();
        send(self.fd(), bytes, MsgFlags::empty())?;
        let mut buffer = [0; 16 * 1024];
        loop {
            let received = recv(self.fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..received).unwrap_or_default();
            while let (Some(len), Some(kind)) = (word(rest, 0), half(rest, 4)) {
                match kind {
                    // The error number is negative; 0 is the acknowledgement.
                    NLMSG_ERROR => {
                        let number = word(rest, 16).map_or(0, |number| number.cast_signed());
                        return if number == 0 { Ok(()) } else { Err(Errno::from_raw(-number)) };
                    }
                    NLMSG_DONE => return Ok(()),
                    kind => on_answer(kind),
                }
                let whole = (len as usize).next_multiple_of(4).max(16);
                rest = rest.get(whole..).unwrap_or_default();
            }
        }
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_what_they_delete() {
        assert_eq!(Request::delete_clsact(7).deleted_clsact(), Some(7));
        assert_eq!(Request::add_clsact(7).deleted_clsact(), None);
        let filter = Request::delete_filter(7, Hook::Egress, 49_152, 1);
        assert_eq!(filter.deleted_clsact(), None);
        assert_eq!(Request::from_bytes(*filter.as_bytes()), filter);
    }

    #[test]
    fn requests_are_as_long_as_they_say() {
        assert_eq!(Request::add_clsact(1).len(), 48);
        assert_eq!(Request::dump_filters(1, Hook::Ingress).len(), 36);
    }
}
