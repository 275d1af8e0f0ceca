//! The tcpkit command.

use std::process::ExitCode;

use log::{Level, LevelFilter};
use tcpkit::{capture::CaptureError, cli::Cli, filter::FilterError, messages, run::run};

/// The exit code for a command line that makes no sense; clap's own.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::from_arguments();
    let level = match cli.verbosity() {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    messages::open_log(level);
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            messages::say_at(Level::Error, &format!("tcpkit: {}", in_one_line(&error)));
            if is_usage(&error) { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether it is the filter that is wrong, wherever that was noticed.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<FilterError>()
        || matches!(error.downcast_ref::<CaptureError>(), Some(CaptureError::Filter(_)))
}

/// The error and its causes, those left out that the text in front of them has already.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
