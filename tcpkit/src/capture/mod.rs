//! Where packets come from: the [`Source`] trait and its implementations.

mod attach;
mod bar;
mod clock;
mod early;
mod error;
mod file_error;
mod frame;
mod guardian;
mod input;
pub mod interfaces;
pub mod listening;
mod live;
mod monitor;
mod names;
mod netlink;
mod object;
mod offline;
mod packet_socket;
pub mod programs;
mod promiscuous;
mod record;
pub mod ring;
mod watched;
mod worker;

use std::ops::ControlFlow;

use tcpkit_common::Counters;

pub use self::{
    attach::{AttachMode, Directions, IngressHook},
    bar::Screen,
    clock::{WallClock, monotonic_ns},
    error::CaptureError,
    file_error::FileError,
    frame::{Frame, HookDirection, LinkType, VlanTag},
    live::{LiveConfig, LiveSource},
    names::InterfaceNames,
    offline::OfflineSource,
    packet_socket::PacketSocketSource,
    worker::LiveWorker,
};

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

/// What happened to packets at one hook of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// The interface's number, as in [`Frame::ifindex`].
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The hook.
    pub direction: HookDirection,
    /// What happened there.
    pub counters: Counters,
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

    /// The names of the interfaces; the source goes on to add to them.
    fn interface_names(&self) -> InterfaceNames;

    /// What to add to a frame's time to get nanoseconds since the Unix epoch.
    fn wall_offset_ns(&self) -> i64;

    /// Whether packets come as they pass, so that somebody may wait for what is made of each.
    fn is_live(&self) -> bool {
        true
    }

    /// Whether the source knows of packets that the filter refused. Where it does not, its counters
    /// begin with those that were selected.
    fn counts_refused(&self) -> bool {
        true
    }

    /// The counters of what happened to packets before they were frames, so far; `None` when the
    /// source does not count them.
    ///
    /// # Errors
    /// The kernel's map could not be read.
    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError>;

    /// The same for each interface and hook.
    ///
    /// # Errors
    /// The kernel's map could not be read.
    fn interface_counters(&self) -> Result<Vec<InterfaceCounters>, CaptureError> {
        Ok(Vec::new())
    }
}
