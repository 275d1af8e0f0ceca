//! A process that is ended, by its id, when its guard goes.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{sys::signal, unistd::Pid};
use signal::Signal;

/// Ends the process when dropped.
pub(super) struct Process {
    name: &'static str,
    pub(super) child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches only xtask, which
    /// ends everything in order.
    pub(super) fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child, ended: None })
    }

    /// An error if the process ended although nobody told it to.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.look() {
            bail!("{} ended too early ({status}); see the lines above", self.name);
        }
        Ok(())
    }

    /// Asks the process to end; makes it end when `patience` is over.
    pub(super) fn stop(&mut self, signal: Signal, patience: Duration) {
        let Ok(id) = i32::try_from(self.child.id()) else { return };
        if self.look().is_some() {
            return;
        }
        // A process that is gone by now needs no signal.
        let _ = signal::kill(Pid::from_raw(id), signal);
        let end = Instant::now() + patience;
        while self.look().is_none() {
            if Instant::now() > end {
                eprintln!("{} did not end by itself and was killed", self.name);
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Signal::SIGTERM, Duration::from_secs(2));
    }
}
