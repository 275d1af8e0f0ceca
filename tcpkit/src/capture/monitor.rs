//! Tells when network interfaces come, go or change (rtnetlink(7), `RTMGRP_LINK`).
//!
//! What the messages say is not looked at: messages may be lost when many come at once, so whoever
//! is told asks the kernel for the list.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    },
};

/// The group of messages about interfaces.
const RTMGRP_LINK: u32 = 1;

/// Messages for the network namespace in which it was opened.
#[derive(Debug)]
pub(super) struct LinkMonitor(OwnedFd);

impl LinkMonitor {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_LINK))?;
        Ok(Self(socket))
    }

    /// Whether anything changed since the last call.
    pub(super) fn take_changed(&self) -> bool {
        let mut buffer = [0; 8 * 1024];
        let mut changed = false;
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(1..) | Err(Errno::ENOBUFS) => changed = true,
                Err(Errno::EINTR) => {}
                // Nothing waits; or the socket is broken, and there is nothing to be told.
                Ok(0) | Err(_) => return changed,
            }
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
