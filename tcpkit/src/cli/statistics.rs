//! Options of statistics: the summary, and how much is kept.

use clap::Args;

/// What is counted of all requests, printed or not.
#[derive(Debug, Args)]
#[command(next_help_heading = "Statistics")]
pub struct StatisticsArgs {
    /// Print a table at the end: of each server's operations how many there were, how many failed, and
    /// how long they took. On standard output, or on stderr with --format json. It is printed by
    /// default when a file is read (-r) and standard output is a terminal.
    #[arg(long)]
    summary: bool,

    /// Most series, of a server's operation each, to count apart; the rest is counted as `other`.
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(8..=100_000))]
    max_series: u32,
}

impl StatisticsArgs {
    /// Whether somebody asked for the table at the end.
    pub(super) fn summary(&self) -> bool {
        self.summary
    }

    /// How many series are counted apart, about.
    #[must_use]
    pub fn max_series(&self) -> usize {
        usize::try_from(self.max_series).unwrap_or(usize::MAX)
    }
}
