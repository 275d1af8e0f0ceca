//! A process that runs to its end, and the time that took.
#![expect(unsafe_code, reason = "wait4 has no safe wrapper")]

use std::{
    io,
    mem::MaybeUninit,
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use std::os::unix::process::ExitStatusExt as _;

/// How a process ended and what it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// How long it had a CPU, in user and system mode, start and end included.
    pub(crate) cpu: Duration,
    /// How long it was there.
    pub(crate) wall: Duration,
}

/// Runs a command to its end.
#[expect(clippy::zombie_processes, reason = "it is waited for, in a way that gives its times")]
pub(crate) fn run(command: &mut Command) -> Finished {
    let begin = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = child.id().cast_signed();
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both places are there to be written to. `child` is not waited for, so the process is
    // still ours.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(waited, pid, "{}", io::Error::last_os_error());
    let wall = begin.elapsed();
    // SAFETY: plain data, which was zeroes before the kernel wrote to it.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Finished { status: ExitStatus::from_raw(status), cpu, wall }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_waited_for() {
        let finished = run(Command::new("sh").args(["-c", "exit 3"]));
        assert_eq!(finished.status.code(), Some(3));
        assert!(finished.cpu <= finished.wall * 4);
    }
}
