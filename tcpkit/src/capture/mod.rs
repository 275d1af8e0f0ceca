//! Where packets come from: the [`Source`] trait and its implementations.

mod clock;
mod error;
mod guardian;
pub mod interfaces;
pub mod listening;
mod live;
mod netlink;
pub mod programs;
pub mod ring;

use std::ops::ControlFlow;

use tcpkit_common::Counters;

pub use self::{
    clock::{WallClock, monotonic_ns},
    error::CaptureError,
    live::{AttachMode, LiveConfig, LiveSource},
};

/// What a frame's bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header, with or without VLAN tags.
    Ethernet,
    /// An IPv4 or IPv6 header.
    RawIp,
}

/// Which way a frame crossed the interface it was captured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookDirection {
    /// The host received it.
    Ingress,
    /// The host sent it.
    Egress,
    /// The source does not know (a capture file).
    Unknown,
}

/// One captured frame, borrowed from the source for the time of a callback.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the frame passed, in ns on the source's own clock, which never steps; only differences
    /// and the source's [`Source::wall_offset_ns`] give it a meaning.
    pub time_ns: u64,
    /// The interface's index; 0 when the source knows none.
    pub ifindex: u32,
    /// Which way it crossed that interface.
    pub direction: HookDirection,
    /// What `bytes` begin with.
    pub link: LinkType,
    /// The frame's length on the wire, in bytes; at least `bytes.len()`.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// How a call to [`Source::read`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Frames were handed over and more may wait.
    Busy,
    /// Nothing waits for now; `now_ns` is the time on the source's clock, if it has one running.
    Idle {
        /// Now, in ns on the clock of [`Frame::time_ns`].
        now_ns: u64,
    },
    /// No frame will ever come again.
    Eof,
}

/// Something that frames come from. Live capture and capture files look the same from here on.
pub trait Source {
    /// Hands the waiting frames, oldest first, to `on_frame`, which may stop the batch. Blocks for
    /// a few ms at most when none wait.
    ///
    /// # Errors
    /// The source broke and will give no more frames.
    fn read(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, CaptureError>;

    /// Stops capturing: what was captured so far is still read, and then comes [`Progress::Eof`].
    ///
    /// # Errors
    /// The source could not be stopped in an orderly way; it is not read any more.
    fn stop(&mut self) -> Result<(), CaptureError>;

    /// Records that the source could not make sense of.
    fn bad_records(&self) -> u64 {
        0
    }

    /// Frames that were captured while only a part of the traffic could be, at the beginning and the
    /// end, and that were not handed over.
    fn outside(&self) -> u64 {
        0
    }

    /// What to add to a frame's time to get nanoseconds since the Unix epoch.
    fn wall_offset_ns(&self) -> i64;

    /// The kernel's counters so far; `None` when no kernel is involved.
    ///
    /// # Errors
    /// The kernel's map could not be read.
    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError>;
}
