//! The view on the terminal (`--top`) within a run: asked for early, shown once capture has begun, gone
//! before anything is printed.

use std::{env, io, sync::Arc};

use anyhow::{Context as _, ensure};
use tokio::runtime::Handle;

use crate::{
    cli::Cli,
    ledger::Ledger,
    pipeline::Control,
    stats::Statistics,
    top::{Mailbox, Sources, Terminal, View, screen},
};

/// A terminal that a view is wanted on.
pub(super) struct TopScreen {
    terminal: Terminal,
    mailbox: Arc<Mailbox>,
    runtime: Handle,
    control: Arc<Control>,
    statistics: Arc<Statistics>,
    protocols: Vec<&'static str>,
    is_live: bool,
    colour: bool,
}

impl TopScreen {
    /// Makes sure that there is a terminal, before anything is attached. To be called in a runtime.
    pub(super) fn open(
        cli: &Cli,
        control: &Arc<Control>,
        statistics: &Arc<Statistics>,
        protocols: Vec<&'static str>,
    ) -> anyhow::Result<Self> {
        let is_drawable = screen::is_drawable(env::var_os("TERM").as_deref());
        ensure!(is_drawable, "--top needs a terminal that can be drawn on (TERM)");
        Ok(Self {
            terminal: Terminal::open().context("--top needs a terminal")?,
            mailbox: Arc::new(Mailbox::new().context("--top has no way to be woken")?),
            runtime: Handle::current(),
            control: Arc::clone(control),
            statistics: Arc::clone(statistics),
            protocols,
            is_live: cli.source.read().is_none(),
            colour: cli.colour(true),
        })
    }

    /// Makes it notice that the run is to end.
    pub(super) fn wake(&self) {
        self.mailbox.wake();
    }

    /// Takes the terminal over.
    pub(super) fn show(&self, does: &str) -> anyhow::Result<Shown> {
        let sources = Sources {
            statistics: Arc::clone(&self.statistics),
            control: Arc::clone(&self.control),
            mailbox: Arc::clone(&self.mailbox),
            runtime: self.runtime.clone(),
            does: does.to_owned(),
            protocols: self.protocols.clone(),
            is_live: self.is_live,
            colour: self.colour,
        };
        let view = View::show(self.terminal.clone(), sources).context("--top has no terminal")?;
        Ok(Shown { view, stays: !self.is_live })
    }
}

/// The view on the screen; dropped, it is gone.
pub(super) struct Shown {
    view: View,
    /// What was read of a file stays to be looked at.
    stays: bool,
}

impl Shown {
    /// Gives the terminal back: once somebody has seen enough of a file of which this is the `whole` ledger,
    /// else at once.
    pub(super) fn end(mut self, whole: Option<&Ledger>) -> io::Result<()> {
        if let Some(ledger) = whole.filter(|_| self.stays) {
            self.view.stay(ledger);
        }
        self.view.end()
    }
}
