//! Signals as what they ask of a run.

use std::fs::{self, File};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
pub(super) enum Asked {
    Stop,
    Reload,
    Report,
}

/// The signals that a run listens for.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Not where it was ignored when the agent was started (nohup).
    hangup: Option<Signal>,
    /// There was a terminal to control the process when it began.
    had_terminal: bool,
    user1: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
            had_terminal: has_terminal(),
            user1: listen(SignalKind::user_defined1())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            Some(()) = async { self.hangup.as_mut()?.recv().await } => {
                // A terminal that closes says so in this way; else it is somebody who wants a reload.
                if self.had_terminal && !has_terminal() { Asked::Stop } else { Asked::Reload }
            }
            _ = self.user1.recv() => Asked::Report,
        }
    }
}

/// Whether a terminal controls the process (tty(4)).
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether a signal is ignored, as whoever started the agent wanted it.
fn is_ignored(signal: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    ignored >> (signal.as_raw_value() - 1) & 1 == 1
}
