//! The thread that draws and takes keys. It waits for the terminal, for keys and for news at once, so that
//! nothing of these keeps it from the others, and nobody waits for it.

use std::{
    io,
    os::fd::AsFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill, raise},
    unistd::Pid,
};
use ratatui::{
    backend::{Backend as _, CrosstermBackend},
    buffer::Buffer,
};

use super::{
    draw::{Palette, draw},
    keys::{Decoder, Key},
    mailbox::{Mailbox, News},
    model::{Model, Wish},
    screen::{self, Terminal},
};
use crate::{messages, pipeline::Control, stats::Statistics};

/// How often what is shown is renewed.
const RENEWAL: Duration = Duration::from_secs(1);

/// How long it takes a process to stop at most: then nothing has stopped it. So often it is looked, too,
/// whether the process is in front again.
const AWAY_TIME: Duration = Duration::from_millis(300);

/// Everything the thread needs.
pub(super) struct Viewer {
    pub(super) terminal: Terminal,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) control: Arc<Control>,
    pub(super) model: Model,
    pub(super) palette: Palette,
    /// What is on the screen.
    pub(super) drawn: Buffer,
    /// What the terminal has not taken yet.
    pub(super) pending: Vec<u8>,
    /// Keys of which a part came, and when.
    pub(super) keys: Decoder,
    pub(super) typed_at: Option<Instant>,
    /// The screen was left to others; when to look whether it may be had again.
    pub(super) away_until: Option<Instant>,
}

/// What was waited for.
struct Ready {
    input: bool,
    output: bool,
    gone: bool,
}

impl Viewer {
    /// Shows until the end: of the run, of the terminal, or because somebody wants it.
    ///
    /// # Errors
    /// Somebody else left the screen, which only a panic does.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut due = Instant::now();
        let mut has_changed = true;
        loop {
            let news = self.mailbox.take();
            if news.ends || self.model.is_complete && self.control.is_stopping() {
                return Ok(());
            }
            let is_new = news.complete.is_some();
            let is_ending = self.control.is_stopping();
            has_changed |= std::mem::replace(&mut self.model.is_ending, is_ending) != is_ending;
            has_changed |= self.learn(news)?;
            if is_new || Instant::now() >= due {
                due = Instant::now() + RENEWAL;
                self.renew();
                has_changed = true;
            }
            // What is not taken yet would be old by then.
            if has_changed && self.pending.is_empty() && self.away_until.is_none() {
                self.draw()?;
                has_changed = false;
            }
            let until =
                [self.key_time(), self.away_until].into_iter().flatten().fold(due, Instant::min);
            let ready = self.wait(until);
            if ready.gone || ready.output && !self.write()? {
                self.control.stop();
                return Ok(());
            }
            let Ok(keys) = self.typed(ready.input) else {
                self.control.stop();
                return Ok(());
            };
            for key in keys {
                // What was typed for others is not known here.
                if self.away_until.is_none() {
                    self.press(key)?;
                    has_changed = true;
                }
            }
        }
    }

    /// Takes what is new. Returns whether anything of it can be seen.
    fn learn(&mut self, news: News) -> io::Result<bool> {
        let is_seen = news.ledger.is_some() || news.complete.is_some() || news.has_resized;
        if let Some(ledger) = news.ledger.filter(|_| !self.model.is_complete) {
            self.model.ledger = ledger;
        }
        if let Some(ledger) = news.complete {
            self.model.complete(ledger);
        }
        if self.away_until.is_some() {
            self.come_back(news.has_resumed)?;
        } else if news.has_resumed {
            // Whoever stopped it may have had the terminal, and may have it still.
            match self.terminal.is_in_front() {
                true => self.enter()?,
                false => self.go_away(),
            }
        }
        Ok(is_seen)
    }

    /// The keys that were pressed.
    fn typed(&mut self, is_ready: bool) -> io::Result<Vec<Key>> {
        let mut keys = Vec::new();
        if is_ready {
            let mut bytes = [0; 1024];
            let count = self.terminal.read(&mut bytes)?.unwrap_or(0);
            self.keys.take(bytes.get(..count).unwrap_or_default(), |key| keys.push(key));
            self.typed_at = self.keys.waits().map(|_| Instant::now());
        } else if self.key_time().is_some_and(|it| it <= Instant::now()) {
            self.typed_at = None;
            keys.extend(self.keys.expire());
        }
        Ok(keys)
    }

    /// Until when more has to come of what is typed.
    fn key_time(&self) -> Option<Instant> {
        Some(self.typed_at? + self.keys.waits()?)
    }

    fn press(&mut self, key: Key) -> io::Result<()> {
        match self.model.press(key) {
            Wish::Draw => {}
            Wish::Renew => self.renew(),
            Wish::Redraw => self.enter()?,
            Wish::Suspend => self.suspend()?,
            Wish::Quit => self.control.stop(),
            // Whatever it does elsewhere.
            Wish::Interrupt => raise(Signal::SIGINT)?,
        }
        Ok(())
    }

    /// Looks at what was counted.
    fn renew(&mut self) {
        self.model.hear(messages::latest_kept(), self.statistics.elapsed());
        self.model.renew(&self.statistics);
    }

    /// Takes the screen, unless others have it now.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.away_until = Some(Instant::now());
        self.come_back(true)
    }

    /// Takes the screen, all of which has to be drawn then. What is said is kept back from then on.
    fn enter(&mut self) -> io::Result<()> {
        messages::keep();
        self.away_until = None;
        self.pending = screen::enter(&self.terminal)?.to_vec();
        self.drawn = Buffer::empty(self.terminal.area());
        self.append_drawing()
    }

    /// Makes the terminal show what is to be seen.
    fn draw(&mut self) -> io::Result<()> {
        if self.terminal.area() == self.drawn.area {
            self.append_drawing()
        } else {
            // Its size has changed, and what is on it is anything.
            self.enter()
        }
    }

    /// Appends what differs from what is seen.
    fn append_drawing(&mut self) -> io::Result<()> {
        let mut next = Buffer::empty(self.drawn.area);
        draw(&mut next, &mut self.model, self.palette);
        CrosstermBackend::new(&mut self.pending).draw(self.drawn.diff(&next).into_iter())?;
        self.drawn = next;
        Ok(())
    }

    /// Writes what the terminal takes. `false` when there is none any more.
    fn write(&mut self) -> io::Result<bool> {
        match screen::write(&self.pending) {
            Ok(count) => {
                self.pending.drain(..count.min(self.pending.len()));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Waits until something can be done, or for a time.
    fn wait(&self, until: Instant) -> Ready {
        let wants = match (self.away_until, self.pending.is_empty()) {
            // That it is gone is told anyhow.
            (Some(_), _) => PollFlags::empty(),
            (None, true) => PollFlags::POLLIN,
            (None, false) => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        let mut fds = [
            PollFd::new(self.terminal.as_fd(), wants),
            PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN),
        ];
        // One ms more, so that the time has come when it returns.
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        // When a signal comes there is nothing to be seen, and everything is looked at again.
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        let [terminal, _] = fds.map(|it| it.revents().unwrap_or(PollFlags::empty()));
        Ready {
            input: terminal.contains(PollFlags::POLLIN),
            output: terminal.contains(PollFlags::POLLOUT),
            gone: terminal
                .intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL),
        }
    }

    /// Stops the process as Ctrl-Z does elsewhere, with the terminal as it was before.
    fn suspend(&mut self) -> io::Result<()> {
        // It goes on for a moment until it stops. Where nobody could let it go on, it does not stop at all.
        self.go_away();
        self.mailbox.leave(|news| news.has_resumed = false);
        // All of the job, as a terminal does.
        kill(Pid::from_raw(0), Signal::SIGTSTP)?;
        Ok(())
    }

    /// Leaves the screen to others.
    fn go_away(&mut self) {
        screen::leave();
        messages::release();
        self.pending.clear();
        self.away_until = Some(Instant::now() + AWAY_TIME);
    }

    /// Takes the screen again, if it was left, may be had again, and is still wanted.
    fn come_back(&mut self, has_resumed: bool) -> io::Result<()> {
        let Some(until) = self.away_until else { return Ok(()) };
        if !has_resumed && Instant::now() < until {
            return Ok(());
        }
        if !self.control.is_stopping() && self.terminal.is_in_front() {
            return self.enter();
        }
        self.away_until = Some(Instant::now() + AWAY_TIME);
        Ok(())
    }
}
