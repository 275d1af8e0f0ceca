//! `--top`: what is counted, on a terminal, live. It can be sorted and searched.
//!
//! A thread of its own draws and takes keys (`view`); it looks at the statistics as everybody else does,
//! and is told by the run's main thread what the ledger is. Nobody ever waits for it or its terminal: that
//! one is written to only when it takes something, and what it does not take is not drawn.

mod draw;
mod keys;
mod look;
mod mailbox;
mod model;
mod pace;
pub mod screen;
mod slow;
mod snapshot;
mod sort;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use ratatui::{buffer::Buffer, crossterm::style::force_color_output};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    task::AbortHandle,
    time::{self, MissedTickBehavior},
};

use self::{
    draw::Palette,
    keys::Decoder,
    model::{About, Model},
    view::Viewer,
};
pub use self::{mailbox::Mailbox, screen::Terminal};
use crate::{ledger::Ledger, messages, pipeline::Control, stats::Statistics};

/// How often the ledger is asked for.
const LEDGER_PERIOD: Duration = Duration::from_secs(1);

/// How long the loop that counts may take to say what it counted.
const LEDGER_TIME: Duration = Duration::from_millis(500);

/// What there is to show, and how.
pub struct Sources {
    /// What was counted of transactions.
    pub statistics: Arc<Statistics>,
    /// Whom to ask for the ledger and for the end.
    pub control: Arc<Control>,
    /// What the view is woken by.
    pub mailbox: Arc<Mailbox>,
    /// What asks for the ledger while the view draws.
    pub runtime: Handle,
    /// What is read, for people.
    pub does: String,
    /// The protocols that are decoded.
    pub protocols: Vec<&'static str>,
    /// It is traffic as it comes, and no file.
    pub is_live: bool,
    /// Whether to use colours.
    pub colour: bool,
}

/// The view while it is on the screen. When it is dropped, the screen is left.
pub struct View {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// How the thread ended, once it has.
    result: io::Result<()>,
    attending: AbortHandle,
}

impl View {
    /// Takes the terminal over, and shows on it; in the background, once it is in front. What is said on
    /// stderr is kept back meanwhile.
    ///
    /// # Errors
    /// The terminal is gone, or there can be no more threads.
    pub fn show(terminal: Terminal, sources: Sources) -> io::Result<Self> {
        let Sources { statistics, control, mailbox, runtime, does, protocols, is_live, colour } =
            sources;
        // What the environment says of colours was asked already.
        force_color_output(colour);
        screen::leave_on_panic();
        let mut viewer = Viewer {
            drawn: Buffer::empty(terminal.area()),
            terminal,
            mailbox: Arc::clone(&mailbox),
            statistics,
            control: Arc::clone(&control),
            model: Model::new(About { does, protocols, is_live }),
            palette: Palette { has_colour: colour },
            pending: Vec::new(),
            keys: Decoder::default(),
            typed_at: None,
            away_until: None,
        };
        let attending = runtime.spawn(attend(Arc::clone(&mailbox), Arc::clone(&control)));
        let attending = attending.abort_handle();
        let mut view = Self { mailbox, thread: None, result: Ok(()), attending };
        viewer.begin()?;
        let thread = thread::Builder::new().name("top".into()).spawn(move || {
            let end = EndOnPanic(&control);
            let result = viewer.run();
            if result.is_err() {
                end.0.stop();
            }
            result
        })?;
        view.thread = Some(thread);
        Ok(view)
    }

    /// Shows what was read of a file, until somebody has seen enough.
    pub fn stay(&mut self, ledger: &Ledger) {
        self.mailbox.leave(|news| news.complete = Some(ledger.clone()));
        self.join();
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// The screen was left before, because a thread panicked.
    pub fn end(mut self) -> io::Result<()> {
        self.close()
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let panicked = || io::Error::other("the thread that draws panicked");
            self.result = thread.join().unwrap_or_else(|_| Err(panicked()));
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.attending.abort();
        self.mailbox.leave(|news| news.ends = true);
        self.join();
        if screen::was_left_by_panic() && self.result.is_ok() {
            self.result = Err(io::Error::other("a thread panicked"));
        }
        screen::leave();
        messages::release();
        std::mem::replace(&mut self.result, Ok(()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Whoever wants to know how it ended has called `end`.
        let _ = self.close();
    }
}

/// Ends the run where a view cannot go on.
struct EndOnPanic<'a>(&'a Control);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Tells the view what it cannot wait for itself. Goes on for ever.
async fn attend(mailbox: Arc<Mailbox>, control: Arc<Control>) {
    let signals =
        (signal(SignalKind::window_change()), signal(SignalKind::from_raw(libc::SIGCONT)));
    let (Ok(mut resized), Ok(mut resumed)) = signals else { return };
    let mut period = time::interval(LEDGER_PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = resized.recv() => mailbox.leave(|news| news.has_resized = true),
            _ = resumed.recv() => mailbox.leave(|news| news.has_resumed = true),
            _ = period.tick() => {
                let ledger = control.counted(LEDGER_TIME).await;
                mailbox.leave(|news| news.ledger = Some(ledger));
            }
        }
    }
}
