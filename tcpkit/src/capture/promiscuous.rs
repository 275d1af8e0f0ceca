//! Makes an interface receive what is for others (packet(7), `PACKET_MR_PROMISC`): on a mirror port
//! that is everything there is to see.

#![expect(unsafe_code, reason = "a socket option that has no safe wrapper")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Until this is dropped, however the process ends, the interface receives everything.
#[derive(Debug)]
pub(super) struct Promiscuous(#[expect(dead_code, reason = "held open")] OwnedFd);

impl Promiscuous {
    pub(super) fn on(ifindex: u32) -> io::Result<Self> {
        // Without a protocol it gets no packets itself.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        let request = libc::packet_mreq {
            mr_ifindex: ifindex.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: the kernel reads the structure, whose size is given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const request).cast(),
                size_of_val(&request) as libc::socklen_t,
            )
        };
        if result == 0 { Ok(Self(socket)) } else { Err(io::Error::last_os_error()) }
    }
}
