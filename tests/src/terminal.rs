//! A terminal with somebody before it: a pseudo-terminal, what a program shows on it, and what is typed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        signal::{Signal, kill},
        stat::Mode,
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{
    agent,
    netns::{Netns, eventually},
};

/// Rows and columns of a terminal that nobody made larger.
pub const USUAL: (u16, u16) = (24, 80);

/// How often a terminal looks whether it is to go on, in ms.
const LOOK_MS: u16 = 5;

/// What is on the screen, and what came to be there.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program on a terminal of its own. It is killed when this is dropped.
pub struct OnTerminal {
    child: Child,
    /// The side that the program has: how it is set can be read here.
    line: File,
    /// The other side.
    keyboard: Option<File>,
    before: Termios,
    shown: Arc<Mutex<Shown>>,
    is_reading: Arc<AtomicBool>,
    is_there: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl OnTerminal {
    /// Starts an agent, with arguments that are separated by spaces.
    #[must_use]
    pub fn agent(netns: &Netns, size: (u16, u16), arguments: &str) -> Self {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        Self::start(netns, size, &agent::binary(), &arguments)
    }

    /// Starts a program that leads a session on a terminal of so many rows and columns.
    #[must_use]
    pub fn start<T: AsRef<OsStr>>(
        netns: &Netns,
        (rows, columns): (u16, u16),
        program: &Path,
        arguments: &[T],
    ) -> Self {
        let (keyboard, line) = pair();
        tcsetwinsize(&line, size(rows, columns)).unwrap();
        let before = tcgetattr(&line).unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments);
        for variable in ["RUST_LOG", "RUST_BACKTRACE", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.env("TERM", "xterm-256color");
        let end = || Stdio::from(line.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = netns.run(|| command.spawn().unwrap());
        let parser =
            vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 1000);
        let shown = Arc::new(Mutex::new(Shown { parser, bytes: Vec::new() }));
        let (is_reading, is_there) = (Arc::new(true.into()), Arc::new(true.into()));
        let reader = {
            let (shown, is_reading, is_there) =
                (Arc::clone(&shown), Arc::clone(&is_reading), Arc::clone(&is_there));
            let keyboard = keyboard.try_clone().unwrap();
            thread::spawn(move || read(keyboard, &shown, &is_reading, &is_there))
        };
        let (keyboard, reader) = (Some(keyboard), Some(reader));
        Self { child, line, keyboard, before, shown, is_reading, is_there, reader }
    }

    /// The number of the process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Types something.
    pub fn press(&self, keys: impl AsRef<[u8]>) {
        let mut keyboard = self.keyboard.as_ref().unwrap();
        keyboard.write_all(keys.as_ref()).unwrap();
    }

    /// Makes the terminal larger or smaller.
    pub fn resize(&self, rows: u16, columns: u16) {
        let mut shown = self.shown.lock().unwrap();
        let screen = shown.parser.screen_mut();
        screen.set_size(rows.try_into().unwrap(), columns.try_into().unwrap());
        tcsetwinsize(&self.line, size(rows, columns)).unwrap();
    }

    /// Whether the terminal takes what is written to it.
    pub fn set_reading(&self, is_reading: bool) {
        self.is_reading.store(is_reading, Ordering::Relaxed);
    }

    /// The terminal goes away, as when its window is closed.
    pub fn hang_up(&mut self) {
        self.is_there.store(false, Ordering::Relaxed);
        self.reader.take().unwrap().join().unwrap();
        self.keyboard = None;
    }

    /// Looks at the screen.
    pub fn look<T>(&self, at: impl FnOnce(&vt100::Screen) -> T) -> T {
        at(self.shown.lock().unwrap().parser.screen())
    }

    /// The lines of the screen.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.look(|screen| {
            let (_, columns) = screen.size();
            screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect()
        })
    }

    /// The line of the screen that begins with a text; empty if there is none.
    #[must_use]
    pub fn line(&self, begin: &str) -> String {
        self.lines().into_iter().find(|line| line.starts_with(begin)).unwrap_or_default()
    }

    /// All that was written to the terminal so far.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap().bytes).into_owned()
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&[String]) -> bool) {
        let mut lines = Vec::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            eventually(what, || {
                lines = self.lines();
                is_so(&lines)
            });
        }));
        if result.is_err() {
            let ended = self.child.try_wait().unwrap();
            panic!("{what}: not so; ended: {ended:?}; the screen:\n{}", lines.join("\n"));
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |lines| lines.iter().any(|line| line.contains(text)));
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program on the terminal ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Fails unless the terminal is as whoever started the program had it, after it was another for a while.
    #[track_caller]
    pub fn check_whole(&mut self) {
        assert_eq!(tcgetattr(&self.line).unwrap(), self.before, "its modes");
        eventually("the end of what was shown", || {
            self.written().contains("\x1b[?1049l")
                && !self.look(|screen| screen.alternate_screen() || screen.hide_cursor())
        });
        self.look(|screen| {
            assert!(!screen.bracketed_paste() && !screen.application_cursor());
            assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
            assert_eq!(screen.fgcolor(), vt100::Color::Default);
        });
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.is_there.store(false, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// Both sides of a new terminal; no process that is started meanwhile elsewhere gets one of them.
fn pair() -> (File, File) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let keyboard = posix_openpt(flags).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname_r(&keyboard).unwrap();
    let line = nix::fcntl::open(name.as_str(), flags, Mode::empty()).unwrap();
    (OwnedFd::from(keyboard).into(), line.into())
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Reads what is written to the terminal while it takes something.
fn read(mut terminal: File, shown: &Mutex<Shown>, is_reading: &AtomicBool, is_there: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while is_there.load(Ordering::Relaxed) {
        if !is_reading.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(LOOK_MS.into()));
            continue;
        }
        let mut fds = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(LOOK_MS)).is_ok_and(|count| count > 0) {
            let count = terminal.read(&mut bytes).unwrap_or(0);
            let mut shown = shown.lock().unwrap();
            shown.parser.process(&bytes[..count]);
            shown.bytes.extend_from_slice(&bytes[..count]);
        }
    }
}
