//! The terminal: taken over, and given back whole, whoever ends the run and however.
//!
//! It is written to without ever waiting for it, through a file description of its own: one that does not
//! block, which the one that was inherited has to go on doing.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, IsTerminal, Read as _, Write as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt as _,
    },
    panic,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use libc::{O_CLOEXEC, O_NOCTTY, O_NONBLOCK};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, SigmaskHow, Signal},
    unistd::{getpgrp, tcgetpgrp},
};
use ratatui::layout::Rect;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::messages;

/// Onto the alternate screen, without a cursor, all clear, and pasted texts are told from keys (xterm's
/// control sequences, DECSET 1049, 25 and 2004).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[0m\x1b[2J\x1b[H";

/// Back again. CAN ends a sequence of which only a part was taken.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l";

/// How long a terminal may take to be left before what it did not take is thrown away.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// The size of a terminal that does not know its own, in columns and rows.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// More is not drawn, whatever a terminal claims.
const LARGEST_SIZE: (u16, u16) = (1000, 500);

/// The terminal while it is taken over.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// A panic has left the screen.
static LEFT_BY_PANIC: AtomicBool = AtomicBool::new(false);

struct Held {
    terminal: Terminal,
    /// How it was.
    before: Termios,
    /// How it is since then, unless somebody else has changed it.
    raw: Termios,
}

/// A terminal to be drawn on. Clones are the same.
#[derive(Clone, Debug)]
pub struct Terminal(Arc<File>);

impl Terminal {
    /// The one that standard output goes to.
    ///
    /// # Errors
    /// Standard input or output is none, or it may not be opened.
    pub fn open() -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let what = "standard input and output have to be one";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let open = |path| {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
            options.open(path)
        };
        // Who became another user may not open it by its name.
        let file = open("/proc/self/fd/1").or_else(|first| open("/dev/tty").map_err(|_| first))?;
        Ok(Self(Arc::new(file)))
    }

    /// Whether whoever sits before it works with this process, or one of its group; else it is not to be
    /// drawn on, nor read from. Where there are no jobs it always is.
    pub(super) fn is_in_front(&self) -> bool {
        tcgetpgrp(&*self.0).map_or(true, |group| group == getpgrp())
    }

    /// What can be drawn on.
    pub(super) fn area(&self) -> Rect {
        let known = tcgetwinsize(&*self.0).ok().filter(|it| it.ws_col > 0 && it.ws_row > 0);
        let (width, height) = known.map_or(USUAL_SIZE, |it| (it.ws_col, it.ws_row));
        Rect::new(0, 0, width.min(LARGEST_SIZE.0), height.min(LARGEST_SIZE.1))
    }

    /// What was typed; `None` where nothing was.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (&*self.0).read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            result => unless_it_waits(result),
        }
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a terminal of this type (`TERM`) can be drawn on.
#[must_use]
pub fn is_drawable(kind: Option<&OsStr>) -> bool {
    kind.is_some_and(|it| !it.is_empty() && it != "dumb")
}

/// `None` for what would have had to wait.
fn unless_it_waits(result: io::Result<usize>) -> io::Result<Option<usize>> {
    use io::ErrorKind::{Interrupted, WouldBlock};
    match result {
        Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => Ok(None),
        result => result.map(Some),
    }
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a terminal over, or once more after somebody else had it. Returns what has to be written first.
///
/// # Errors
/// The terminal is gone.
pub(super) fn enter(terminal: &Terminal) -> io::Result<&'static [u8]> {
    let mut held = held();
    let before = match &*held {
        Some(held) => held.before.clone(),
        None => tcgetattr(&*terminal.0)?,
    };
    let mut raw = before.clone();
    raw.make_raw();
    let _unstoppable = Unstoppable::new();
    tcsetattr(&*terminal.0, OptionalActions::Now, &raw)?;
    *held = Some(Held { terminal: terminal.clone(), before, raw });
    Ok(ENTER)
}

/// Writes some of `bytes` to the screen, as much as it takes at once.
///
/// # Errors
/// The terminal is gone, or the screen was left (`NotConnected`).
pub(super) fn write(bytes: &[u8]) -> io::Result<usize> {
    match &*held() {
        Some(Held { terminal, .. }) => {
            Ok(unless_it_waits((&*terminal.0).write(bytes))?.unwrap_or(0))
        }
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Whether a terminal is taken over.
fn is_held() -> bool {
    held().is_some()
}

/// Whether a panic has left the screen; asked once.
pub(super) fn was_left_by_panic() -> bool {
    LEFT_BY_PANIC.swap(false, Ordering::Relaxed)
}

/// While it lives, what this thread does to a terminal goes through also in the background, where a signal
/// would else stop the process (termios(3), SIGTTOU): a stopped process cannot end.
struct Unstoppable(Option<SigSet>);

impl Unstoppable {
    fn new() -> Self {
        let mut stops = SigSet::empty();
        stops.add(Signal::SIGTTOU);
        // What cannot fail leaves at worst everything as it was.
        Self(stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for Unstoppable {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // As above.
            let _ = before.thread_set_mask();
        }
    }
}

/// Gives the terminal back as it was, if it is taken over; when this returns it was given back, whoever did
/// it. It takes half a second at most.
pub fn leave() {
    let mut held = held();
    // Others have to wait meanwhile: nothing may be drawn any more.
    let Some(Held { terminal, before, raw }) = held.take() else { return };
    let _unstoppable = Unstoppable::new();
    if !write_within(&terminal, LEAVE, LEAVE_TIME) {
        // It takes nothing: what it has not taken until now is lost, and makes room.
        let _ = tcflush(&*terminal.0, QueueSelector::OFlush);
        write_within(&terminal, LEAVE, Duration::ZERO);
    }
    // A shell that came to the front meanwhile has it as it wants it.
    let is_ours = tcgetattr(&*terminal.0).is_ok_and(|it| it.local_modes == raw.local_modes);
    if !is_ours && !terminal.is_in_front() {
        return;
    }
    // It may be gone. Waiting for what was written could take for ever.
    let _ = tcsetattr(&*terminal.0, OptionalActions::Now, &before);
}

/// Whether everything could be written.
fn write_within(terminal: &Terminal, mut bytes: &[u8], time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        match unless_it_waits((&*terminal.0).write(bytes)) {
            Ok(Some(count)) => bytes = bytes.get(count..).unwrap_or_default(),
            Ok(None) => {}
            // Nobody is there to see it.
            Err(_) => return true,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if bytes.is_empty() || left.is_zero() {
            return bytes.is_empty();
        }
        let mut fds = [PollFd::new(terminal.as_fd(), PollFlags::POLLOUT)];
        // A signal in between does no harm.
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
    }
}

/// From now on whoever panics leaves the screen first, so that what he says can be read.
pub(super) fn leave_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_held() {
                LEFT_BY_PANIC.store(true, Ordering::Relaxed);
                leave();
                messages::release();
            }
            usual(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_cannot_move_its_cursor_is_not_drawn_on() {
        for (kind, is_so) in [
            (None, false),
            (Some(""), false),
            (Some("dumb"), false),
            (Some("xterm"), true),
            (Some("linux"), true),
        ] {
            assert_eq!(is_drawable(kind.map(OsStr::new)), is_so, "{kind:?}");
        }
    }
}
