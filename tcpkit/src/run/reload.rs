//! SIGHUP: files are opened anew, and the options that can change while a run goes on are read again.

use std::{sync::Arc, time::Duration};

use super::{monitoring::Monitoring, service};
use crate::{cli::Cli, linefile::LineFile, messages::say, pipeline::Control, reload::Reload};

/// How long the loops may take to go by it, such as to load a script; then they are not waited for any more.
const APPLY_TIME: Duration = Duration::from_secs(10);

/// What a reload concerns.
pub(super) struct Reloader {
    /// The options that count now.
    pub(super) cli: Arc<Cli>,
    pub(super) control: Arc<Control>,
    pub(super) monitoring: Arc<Monitoring>,
    pub(super) lines: Option<LineFile>,
}

impl Reloader {
    /// Does all of it, and waits until it is done. What cannot be done is said; all else goes on as before.
    pub(super) async fn reload(&self, does: &str) {
        service::tell(service::State::Reloading);
        self.read_again().await;
        service::tell(service::State::Ready(does));
    }

    async fn read_again(&self) {
        if let Some(lines) = &self.lines
            && let Err(error) = lines.reopen()
        {
            let path = lines.path().display();
            log::error!(
                "cannot open {path} anew: {error} (see -Z); lines go where they went before"
            );
        }
        let cli = match Cli::again() {
            Ok(cli) => cli,
            Err(error) => {
                let message = error.to_string();
                let reason = message.lines().next().unwrap_or("").trim_start_matches("error: ");
                log::error!("{reason}; the options stay as they are");
                return;
            }
        };
        let fixed = self.cli.fixed_changes(&cli);
        if !fixed.is_empty() {
            let options = fixed.join(", ");
            log::warn!("a change of these options needs a new start: {options}");
        }
        self.monitoring.set_slow_ns(cli.slow_ns());
        let reload = Reload {
            threshold_ns: cli.threshold_ns(),
            script: match self.cli.script.file() {
                Some(_) => cli.script.options(self.control.stop_flag()),
                None => None,
            },
        };
        match self.control.reload(reload, APPLY_TIME).await {
            true => say("tcpkit: options were read again (SIGHUP)"),
            false => log::warn!("not all threads go by the options that were read again, yet"),
        }
    }
}
