//! What is counted in a run, for those who ask, and for the table at its end.

use std::{
    io::{self, IsTerminal, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::Context as _;

use super::screen::{Shown, TopScreen};
use crate::{
    cli::{Cli, Listen},
    messages::say,
    pipeline::Control,
    script::Metrics,
    server::{Server, Sources},
    sink::Sink,
    stats::{SlowLog, Statistics, summary},
    stdout::Stdout,
};

/// Statistics of a run, if anybody looks at them.
pub(super) struct Monitoring {
    statistics: Option<Arc<Statistics>>,
    summary: Option<Summary>,
    script: Arc<OnceLock<Metrics>>,
    address: Option<SocketAddr>,
    /// What begins to answer once the run has begun.
    server: Mutex<Option<(Server, Sources)>>,
    max_clients: usize,
    screen: Option<TopScreen>,
}

/// Where the table goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    Stdout { below_lines: bool },
    Stderr,
}

impl Monitoring {
    /// Opens the port, at which nobody is answered yet.
    pub(super) async fn open(cli: &Cli, control: &Arc<Control>) -> anyhow::Result<Self> {
        let below_lines = cli.prints_transactions() && cli.output().is_none();
        let summary =
            cli.prints_summary(io::stdout().is_terminal()).then_some(match cli.is_for_programs() {
                true => Summary::Stderr,
                false => Summary::Stdout { below_lines },
            });
        let server = match cli.listen() {
            Some(listen) => bind(listen).await?,
            None => None,
        };
        let is_watched = server.is_some() || cli.shows_top();
        let slow = is_watched.then(|| SlowLog::new(cli.slow_ns()));
        let statistics = (summary.is_some() || is_watched)
            .then(|| Arc::new(Statistics::new(cli.statistics.max_series(), slow)));
        let screen = match &statistics {
            Some(it) if cli.shows_top() => Some(TopScreen::open(cli, control, it, names(cli))?),
            _ => None,
        };
        let script = Arc::new(OnceLock::new());
        let address = server.as_ref().map(Server::address);
        let server = server.zip(statistics.as_ref()).map(|(server, statistics)| {
            let sources = Sources {
                statistics: Arc::clone(statistics),
                control: Arc::clone(control),
                script: Arc::clone(&script),
                protocols: names(cli),
            };
            (server, sources)
        });
        let max_clients = cli.statistics.max_clients();
        let server = Mutex::new(server);
        Ok(Self { statistics, summary, script, address, server, max_clients, screen })
    }

    /// Begins to answer, on the runtime that this is called in.
    pub(super) fn serve(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((server, sources)) = server {
            tokio::spawn(server.run(sources, self.max_clients));
        }
    }

    /// How long requests have to take from now on to be kept, in ns.
    pub(super) fn set_slow_ns(&self, slow_ns: u64) {
        if let Some(slow) = self.statistics.as_ref().and_then(|it| it.slow()) {
            slow.set_least_ns(slow_ns);
        }
    }

    /// Shows what is counted on the terminal, if that is wanted, until what this returns is gone.
    pub(super) fn show(&self, does: &str) -> anyhow::Result<Option<Shown>> {
        self.screen.as_ref().map(|screen| screen.show(does)).transpose()
    }

    /// Makes a view notice that the run is to end.
    pub(super) fn wake(&self) {
        if let Some(screen) = &self.screen {
            screen.wake();
        }
    }

    /// Where statistics can be asked for.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Makes known what a script makes known.
    pub(super) fn show_script(&self, metrics: &Metrics) {
        // There is one script.
        let _ = self.script.set(metrics.clone());
    }

    /// What counts a further worker's transactions; `None` where nobody looks at it.
    pub(super) fn sink(&self) -> Option<Box<dyn Sink>> {
        let statistics = self.statistics.as_ref()?;
        Some(Box::new(statistics.sink()))
    }

    /// Prints the table, if it is wanted and there is anything in it.
    pub(super) fn summarise(&self) {
        let (Some(statistics), Some(to)) = (&self.statistics, self.summary) else { return };
        let table = summary::table(&statistics.collected());
        if table.is_empty() {
            return;
        }
        // Nobody is left to be told if the output is gone.
        let _ = match to {
            Summary::Stdout { below_lines: true } => {
                Stdout::default().write_all(format!("\n{table}").as_bytes())
            }
            Summary::Stdout { below_lines: false } => Stdout::default().write_all(table.as_bytes()),
            Summary::Stderr => {
                say(table.trim_end());
                Ok(())
            }
        };
    }
}

/// Opens the port; `None` where it is only usual, and cannot be had.
async fn bind(listen: Listen) -> anyhow::Result<Option<Server>> {
    let address = listen.address;
    match Server::bind(address).await {
        Ok(server) => {
            if !address.ip().is_loopback() {
                log::warn!("whoever reaches {} can read requests there", server.address());
            }
            Ok(Some(server))
        }
        Err(error) if listen.is_explicit => {
            Err(error).with_context(|| format!("cannot listen on {address} (-P)"))
        }
        Err(error) => {
            log::warn!(
                "statistics cannot be asked for: {address}: {error}; -P takes another port, or `off`"
            );
            Ok(None)
        }
    }
}

/// The protocols that are decoded.
fn names(cli: &Cli) -> Vec<&'static str> {
    let selection = cli.selection();
    selection.iter().flat_map(|it| it.protocols()).map(|protocol| protocol.name).collect()
}
