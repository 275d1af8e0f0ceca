//! Options of the process itself: as whom it runs.

use clap::Args;

use crate::privileges::{PrivilegeError, Privileges};

/// How the process runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub struct ProcessArgs {
    /// As whom to go on once packets are captured, with no capabilities but those still needed. By
    /// default, where root starts it, `tcpkit` if there is such a user, else `nobody`. Files are opened
    /// before; those that are begun later (-C, -G, SIGHUP) are that user's.
    #[arg(
        short = 'Z',
        long = "user",
        alias = "relinquish-privileges",
        value_name = "USER",
        conflicts_with = "keep_root"
    )]
    user: Option<String>,

    /// Keep all privileges, as -Z root does.
    #[arg(long)]
    keep_root: bool,
}

impl ProcessArgs {
    /// Whom to become; `None` to remain who one is.
    ///
    /// # Errors
    /// There is no such user, or it cannot be had.
    pub fn privileges(&self) -> Result<Option<Privileges>, PrivilegeError> {
        // tcpdump's users say it so.
        let is_root = matches!(self.user.as_deref(), Some("root" | "0"));
        match self.keep_root || is_root {
            true => Ok(None),
            false => Privileges::find(self.user.as_deref()).map(Some),
        }
    }
}
