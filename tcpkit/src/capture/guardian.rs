//! Takes filters off interfaces when the agent is gone, however it went.
//!
//! From kernel 6.6 on, filters are held by file descriptors and vanish with the agent. Before, they
//! are the interface's and would outlive a `kill -9`. So a small child process holds the reading
//! end of a pipe into which the agent writes how to undo each step. When the agent is gone, by
//! whatever way, the pipe's other end is closed: the child undoes the steps and leaves.

#![expect(unsafe_code, reason = "fork, and system calls that are safe after it")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::wait::waitpid,
    unistd::{ForkResult, Pid, fork, pipe2, write},
};

use super::netlink::{Netlink, REQUEST_LEN, Request};

/// Room for how to undo the steps: some 20,000, three for each interface. More than this only root may
/// have.
const PIPE_BYTES: i32 = 1 << 20;

/// The child that undoes what the agent did.
#[derive(Debug)]
pub(super) struct Guardian {
    /// Closed by the drop, which tells the child to begin.
    undo_log: Option<OwnedFd>,
    child: Pid,
}

impl Guardian {
    /// Starts the child.
    pub(super) fn start() -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let (log, undo_log) = pipe2(OFlag::O_CLOEXEC)?;
        // The child reads when it begins: until then the pipe holds everything.
        if let Err(error) = fcntl(&undo_log, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)) {
            log::debug!("the guardian's pipe stays small: {error}");
        }
        fcntl(&undo_log, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // Other threads may hold locks at this moment.
        // SAFETY: the child runs only `guard`, which neither allocates nor takes a lock.
        match unsafe { fork() }? {
            ForkResult::Child => guard(log.as_raw_fd(), &netlink),
            ForkResult::Parent { child } => Ok(Self { undo_log: Some(undo_log), child }),
        }
    }

    /// Writes down how to undo a step. Steps are undone in the order in which they are written. Fails
    /// when too many are.
    pub(super) fn remember(&self, undo: &Request) -> io::Result<()> {
        if let Some(log) = &self.undo_log {
            // Shorter than a pipe's atomic unit: written whole.
            write(log, undo.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.undo_log.take());
        // Once it is gone, everything is undone.
        while waitpid(self.child, None) == Err(Errno::EINTR) {}
    }
}

/// What is left to the child of the capabilities (`CAP_NET_ADMIN`, by its bit): what it undoes takes it.
const KEPT: u32 = 1 << 12;

/// The form of [`Capabilities`] with 64 bits (`_LINUX_CAPABILITY_VERSION_3` of the kernel's
/// `linux/capability.h`).
const VERSION: u32 = 0x2008_0522;

/// What capset(2) takes: whose capabilities they are.
#[repr(C)]
struct Header {
    version: u32,
    /// 0 for the caller's own.
    pid: i32,
}

/// What capset(2) takes: the lower, then the upper half of the sets.
#[repr(C)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The child's life.
fn guard(log: RawFd, netlink: &Netlink) -> ! {
    // SAFETY: system calls without memory of ours, on descriptors of this process. Ending it with
    // `_exit` runs no destructor of the agent's.
    unsafe {
        // What ends the agent from a terminal is sent to its whole group.
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_NAME, c"tcpkit-guardian".as_ptr());
        // Root it remains, for who cannot become anybody must still undo. Where this fails it has more.
        let header = Header { version: VERSION, pid: 0 };
        let sets =
            [KEPT, 0].map(|kept| Capabilities { effective: kept, permitted: kept, inheritable: 0 });
        libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr());
        // Above all the pipe's writing end, which would keep the pipe from ending.
        close_all_but(log, netlink.fd());
        // Without events asked for, only the other end's closing wakes.
        let mut wait = libc::pollfd { fd: log, events: 0, revents: 0 };
        while libc::poll(&raw mut wait, 1, -1) < 1 {}
        let mut undo = [0; REQUEST_LEN];
        let whole = REQUEST_LEN.cast_signed();
        while libc::read(log, undo.as_mut_ptr().cast(), REQUEST_LEN) == whole {
            undo_step(netlink, &Request::from_bytes(undo));
        }
        libc::_exit(0)
    }
}

/// Failures are not reported: the interface may be gone, or the agent did it already.
fn undo_step(netlink: &Netlink, undo: &Request) {
    let used = undo.deleted_clsact().is_some_and(|ifindex| {
        // Others may have put filters into what the agent made.
        netlink.has_filters(ifindex).unwrap_or(true)
    });
    if !used {
        let _ignored = netlink.send(undo);
    }
}

/// # Safety
/// Nothing in this process may use the other descriptors any more.
unsafe fn close_all_but(one: RawFd, other: RawFd) {
    let (low, high) = (one.min(other), one.max(other));
    for (first, last) in [(0, low - 1), (low + 1, high - 1), (high + 1, i32::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: as the caller vouches. Kernels before 5.9 lack the first call.
        unsafe {
            if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
                for fd in first..=last.min(4096) {
                    libc::close(fd);
                }
            }
        }
    }
}
