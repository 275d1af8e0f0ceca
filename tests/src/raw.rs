//! Packets sent and received as raw bytes: packet sockets and tun devices.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]
#![expect(unsafe_code, reason = "interfaces of the kernel that have no safe wrapper")]

use std::{
    ffi::CString,
    fs::File,
    io::{self, Write},
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// How many frames the kernel takes at once.
const MAX_AT_ONCE: usize = 1024;

/// Sends whole frames through an interface of this thread's namespace.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on an interface.
    #[must_use]
    pub fn open(interface: &str) -> Self {
        let name = CString::new(interface).unwrap();
        // SAFETY: the socket is new and nobody else's; the address is plain data.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            let fd = OwnedFd::from_raw_fd(fd);
            let mut address: libc::sockaddr_ll = mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()).cast_signed();
            let len = size_of_val(&address) as u32;
            let bound = libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len);
            assert_eq!(bound, 0, "{}", io::Error::last_os_error());
            Self { fd }
        }
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) {
        let sent =
            nix::sys::socket::send(self.fd.as_raw_fd(), frame, nix::sys::socket::MsgFlags::empty());
        assert_eq!(sent, Ok(frame.len()));
    }

    /// Sends many frames with few calls.
    pub fn send_all(&self, frames: &[Vec<u8>]) {
        for frames in frames.chunks(MAX_AT_ONCE) {
            self.send_some(frames);
        }
    }

    fn send_some(&self, frames: &[Vec<u8>]) {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let message = |part: &mut libc::iovec| {
            // SAFETY: plain data, for which zeroes mean "none".
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_iov = ptr::from_mut(part);
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            let fd = self.fd.as_raw_fd();
            // SAFETY: the messages point to `parts`, and those to `frames`; all of them live on.
            let sent = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as u32, 0) };
            assert!(sent > 0, "{}", io::Error::last_os_error());
            rest = &mut rest[sent as usize..];
        }
    }
}

/// The program's end of a tun device: what is sent here comes in there.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

impl Tun {
    /// Creates a device in this thread's namespace; it is gone when this is dropped.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let file = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        // SAFETY: the request is plain data with a terminated name, which the kernel reads.
        unsafe {
            let mut request: libc::ifreq = mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = from.cast_signed();
            }
            request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
            let made = libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request);
            assert_eq!(made, 0, "{}", io::Error::last_os_error());
        }
        Self { file }
    }

    /// Makes a packet come in.
    pub fn send(&self, packet: &[u8]) {
        assert_eq!((&self.file).write(packet).unwrap(), packet.len());
    }
}
