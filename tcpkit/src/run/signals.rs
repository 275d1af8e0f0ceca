//! Signals as what they ask of a run.

use std::{
    fs::{self, File},
    io,
};

use anyhow::Context as _;
use nix::{
    sys::{
        signal::{SigSet, Signal as Number},
        signalfd::{SfdFlags, SignalFd, siginfo},
    },
    unistd::getsid,
};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
};

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
    hangup: Option<Hangups>,
    user1: Signal,
}

impl Signals {
    /// To be called in a runtime, before there are other threads.
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(Hangups::new().context("cannot listen for signals")?),
            },
            user1: listen(SignalKind::user_defined1())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            Some(asked) = async { Some(self.hangup.as_ref()?.next().await) } => asked,
            _ = self.user1.recv() => Asked::Report,
        }
    }
}

/// SIGHUP, with who sent it: a terminal that goes away says so in this way, through the kernel or through
/// the shell on it; everybody else wants a reload.
struct Hangups {
    signals: AsyncFd<SignalFd>,
    /// A terminal controlled the process when it began.
    had_terminal: bool,
}

impl Hangups {
    fn new() -> io::Result<Self> {
        let mut hangup = SigSet::empty();
        hangup.add(Number::SIGHUP);
        // Threads that begin later have it from this one.
        hangup.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        #[expect(
            deprecated,
            reason = "what took its place is unsafe; this descriptor stays the same"
        )]
        let signals = AsyncFd::new(SignalFd::with_flags(&hangup, flags)?)?;
        // tty(4)
        Ok(Self { signals, had_terminal: File::open("/dev/tty").is_ok() })
    }

    async fn next(&self) -> Asked {
        loop {
            let Ok(mut ready) = self.signals.readable().await else { std::future::pending().await };
            match self.signals.get_ref().read_signal() {
                Ok(Some(sent)) => return self.asked(&sent),
                Ok(None) | Err(_) => ready.clear_ready(),
            }
        }
    }

    fn asked(&self, sent: &siginfo) -> Asked {
        let leader = getsid(None).map_or(0, |pid| pid.as_raw().cast_unsigned());
        let by_shell = self.had_terminal && leader > 0 && sent.ssi_pid == leader;
        match sent.ssi_code == libc::SI_KERNEL || by_shell {
            true => Asked::Stop,
            false => Asked::Reload,
        }
    }
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
