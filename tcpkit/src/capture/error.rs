//! Why a source gives no frames: one line each, with what is missing and what to do.

use std::{error::Error, fs, io};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use super::FileError;
use crate::filter::FilterError;

/// Why a source gives no frames.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The user named an interface that is not there.
    #[error("no interface '{name}'; there are: {known}, any")]
    UnknownInterface {
        /// What the user typed.
        name: String,
        /// The interfaces' names, separated by commas.
        known: String,
    },
    /// There is no interface to capture on.
    #[error("no interface to capture on: none has a link type that is understood")]
    NoInterface,
    /// The user named an interface whose packets begin with something unknown.
    #[error(
        "interface '{name}' has link type {hardware}, which is not understood: \
         Ethernet, loopback and IP devices (tun, WireGuard, IP tunnels) are"
    )]
    UnsupportedLink {
        /// The interface.
        name: String,
        /// The kernel's number for the link type (`ARPHRD_*`).
        hardware: u16,
    },
    /// The process may not load or attach eBPF programs.
    #[error(
        "no permission to {action}: {missing}; run it with sudo, or grant it with \
         `setcap cap_bpf,cap_net_admin,cap_perfmon=ep` on the program's file"
    )]
    NoPermission {
        /// What was tried.
        action: &'static str,
        /// The capabilities that the process lacks.
        missing: String,
    },
    /// The kernel is older than the ring buffer.
    #[error("the kernel is {found}, but capturing needs 5.8 or later (eBPF ring buffers)")]
    KernelTooOld {
        /// The running kernel's release.
        found: String,
    },
    /// The kernel has no eBPF.
    #[error(
        "the kernel offers no eBPF: it was built without CONFIG_BPF_SYSCALL, or this container's \
         seccomp profile refuses the bpf system call"
    )]
    NoBpf,
    /// The kernel refused the programs or their maps.
    #[error("the kernel did not take the eBPF programs: {reason}")]
    Load {
        /// The kernel's reason.
        reason: String,
    },
    /// The programs cannot run at XDP.
    #[error("no capture at XDP: {reason}; use --hook tc")]
    NoXdp {
        /// The kernel's reason, or the filter's.
        reason: String,
    },
    /// The programs could not be attached.
    #[error("cannot attach to interface '{interface}': {reason}")]
    Attach {
        /// The interface.
        interface: String,
        /// The kernel's reason.
        reason: String,
    },
    /// An interface takes one XDP program, and there is one.
    #[error("interface '{0}' already has an XDP program, and can have one only: use --hook tc")]
    XdpTaken(String),
    /// A packet socket could not be opened or gave an error.
    #[error("cannot capture on '{interface}' through a packet socket: {reason}")]
    PacketSocket {
        /// The interface, or `any`.
        interface: String,
        /// libpcap's or the kernel's reason.
        reason: String,
    },
    /// libpcap does not take the expression for this kind of packets.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An interface cannot be made to receive what is for others.
    #[error("interface '{0}' cannot be made promiscuous: {1}; it needs CAP_NET_RAW")]
    Promiscuous(String, #[source] io::Error),
    /// The interfaces could not be listed.
    #[error("cannot list the network interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// The ring buffer could not be set up or waited for.
    #[error("the ring buffer failed: {0}")]
    Ring(#[source] io::Error),
    /// The ring buffer's memory contradicts itself.
    #[error("the ring buffer is corrupt: a record claims {claimed} bytes where {there} are")]
    CorruptRing {
        /// What the record's header says.
        claimed: u64,
        /// What is there at most.
        there: u64,
    },
    /// The kernel's counters could not be read.
    #[error("cannot read the kernel's counters: {0}")]
    Counters(#[source] MapError),
    /// A capture file gives no (more) packets.
    #[error("{path}: {why}")]
    File {
        /// The file, as the user named it.
        path: String,
        /// Why not, and where it stopped.
        #[source]
        why: FileError,
    },
}

impl CaptureError {
    /// Whether eBPF is what cannot be had, so that another way of capturing may work.
    #[must_use]
    pub fn is_about_ebpf(&self) -> bool {
        matches!(
            self,
            Self::NoPermission { .. }
                | Self::KernelTooOld { .. }
                | Self::NoBpf
                | Self::Load { .. }
                | Self::Attach { .. }
                | Self::Ring(_)
        )
    }

    /// Whether other interfaces may be captured on all the same.
    pub(super) fn is_of_one_interface(&self) -> bool {
        matches!(self, Self::Attach { .. } | Self::XdpTaken(_))
    }

    pub(super) fn loading(error: &EbpfError) -> Self {
        Self::from_kernel("load eBPF programs", error).unwrap_or_else(|| load(error))
    }

    pub(super) fn program(error: &ProgramError) -> Self {
        Self::from_kernel("load eBPF programs", error).unwrap_or_else(|| load(error))
    }

    pub(super) fn attaching(interface: &str, error: &(dyn Error + 'static)) -> Self {
        Self::from_kernel("attach to an interface", error).unwrap_or_else(|| Self::Attach {
            interface: interface.to_owned(),
            reason: describe(error),
        })
    }

    /// The errors that the kernel's error number alone explains.
    fn from_kernel(action: &'static str, error: &(dyn Error + 'static)) -> Option<Self> {
        match os_error(error)? {
            libc::EPERM | libc::EACCES => {
                let missing = missing_capabilities();
                // With all of them a refusal has another reason, which the verifier's log tells.
                let missing = match missing.as_str() {
                    "" if os_error(error) == Some(libc::EACCES) => return None,
                    "" => "the kernel or a security module forbids it".to_owned(),
                    _ => format!("the process lacks {missing}"),
                };
                Some(Self::NoPermission { action, missing })
            }
            libc::ENOSYS => Some(Self::NoBpf),
            _ => None,
        }
    }
}

fn load(error: &(dyn Error + 'static)) -> CaptureError {
    CaptureError::Load { reason: describe(error) }
}

/// The error and its causes on one line. The verifier's log is many lines: the last ones say why.
fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [first, .., reason, _statistics] => format!("{first} ... {reason}"),
        lines => lines.join(" "),
    }
}

/// The error number at the root of an error.
pub(super) fn os_error(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut error = Some(error);
    while let Some(inner) = error {
        if let Some(number) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        error = inner.source();
    }
    None
}

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The names of the capabilities that capturing needs and the process lacks.
fn missing_capabilities() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing_in(&status)
}

fn missing_in(status: &str) -> String {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    let has = |capability: u32| effective >> capability & 1 == 1;
    let needed =
        [("CAP_BPF", CAP_BPF), ("CAP_NET_ADMIN", CAP_NET_ADMIN), ("CAP_PERFMON", CAP_PERFMON)];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|&(_, bit)| {
            // The other two were parted from this one in 5.8, and are still part of it.
            let included = bit != CAP_NET_ADMIN && has(CAP_SYS_ADMIN);
            !has(bit) && !included
        })
        .map(|(name, _)| name)
        .collect();
    missing.join(", ")
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn lacking_capabilities_are_named() {
        for (bits, expect) in [
            ("0000000000000000", "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON"),
            ("0000000000001000", "CAP_BPF, CAP_PERFMON"),
            ("0000000000201000", ""),
            ("0000000000200000", "CAP_NET_ADMIN"),
            ("000000c000001000", ""),
            ("000001ffffffffff", ""),
        ] {
            let status = format!("Name:\tx\nCapEff:\t{bits}\n");
            assert_eq!(missing_in(&status), expect, "{bits}");
        }
    }

    fn refused(number: i32) -> ProgramError {
        ProgramError::SyscallError(SyscallError {
            call: "bpf",
            io_error: io::Error::from_raw_os_error(number),
        })
    }

    #[test]
    fn the_kernels_refusals_are_explained_in_one_line() {
        let error = CaptureError::program(&refused(libc::ENOSYS));
        assert!(matches!(error, CaptureError::NoBpf), "{error}");
        let error = CaptureError::program(&refused(libc::EPERM));
        assert!(matches!(error, CaptureError::NoPermission { .. }), "{error}");
        let error = CaptureError::attaching("eth0", &refused(libc::ENODEV));
        assert!(error.to_string().contains("eth0") && error.to_string().contains("No such device"));
        assert!(!error.to_string().contains('\n'));
    }
}
