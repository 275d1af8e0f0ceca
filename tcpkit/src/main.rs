//! The tcpkit command.

use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;
use tcpkit::{cli::Cli, filter::FilterError, run::run};

/// The exit code for a command line that makes no sense; clap's own.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.verbosity() {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tcpkit: {error:#}");
            if error.is::<FilterError>() { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
