//! The tcpkit command.

use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;
use tcpkit::{cli::Cli, run::run};

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
            ExitCode::FAILURE
        }
    }
}
