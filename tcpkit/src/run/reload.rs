//! SIGHUP: files are opened anew, and the options that can change while a run goes on are read again.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinError, spawn_blocking};

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
    /// What the run does, in words.
    pub(super) does: String,
}

impl Reloader {
    /// Does all of it, and waits until it is done. What cannot be done is said; all else goes on as before.
    pub(super) async fn reload(&self) {
        service::tell(service::State::Reloading);
        self.read_again().await;
        if !self.control.is_stopping() {
            service::tell(service::State::Ready(&self.does));
        }
    }

    async fn read_again(&self) {
        if let Some(lines) = self.lines.clone() {
            let path = lines.path().display().to_string();
            if let Err(error) =
                beside(move || lines.reopen()).await.unwrap_or_else(|it| Err(it.into()))
            {
                log::error!(
                    "cannot open {path} anew: {error} (see -Z); lines go where they went before"
                );
            }
        }
        let cli = match beside(Cli::again).await {
            Ok(Ok(cli)) => cli,
            Ok(Err(error)) => {
                let message = error.to_string();
                let reason = message.lines().next().unwrap_or("").trim_start_matches("error: ");
                log::error!("{reason}; the options stay as they are");
                return;
            }
            Err(error) => return log::error!("the options stay as they are: {error}"),
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

/// Does what may hang at a file, beside everything else.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    spawn_blocking(work).await
}
