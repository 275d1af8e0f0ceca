//! What is counted in a run, for those who ask, and for the table at its end.

use std::io::{self, IsTerminal, Write as _};

use crate::{
    cli::Cli,
    sink::Sink,
    stats::{Statistics, summary},
    stdout::Stdout,
};

/// Statistics of a run, if anybody looks at them.
pub(super) struct Monitoring {
    statistics: Option<Statistics>,
    summary: Option<Summary>,
}

/// Where the table goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    Stdout { below_lines: bool },
    Stderr,
}

impl Monitoring {
    pub(super) fn start(cli: &Cli) -> anyhow::Result<Self> {
        let below_lines = cli.prints_transactions();
        let summary =
            cli.prints_summary(io::stdout().is_terminal()).then_some(match cli.is_for_programs() {
                true => Summary::Stderr,
                false => Summary::Stdout { below_lines },
            });
        let statistics = summary.map(|_| Statistics::new(cli.statistics.max_series(), None));
        Ok(Self { statistics, summary })
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
            Summary::Stderr => io::stderr().write_all(table.as_bytes()),
        };
    }
}
