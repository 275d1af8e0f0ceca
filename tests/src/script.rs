//! Lua scripts as tests have them: each in a folder of its own, run by the agent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    agent::{Agent, Finished, command},
    folder::Folder,
    netns::Netns,
    process::root,
};

/// A script's file, and what lies beside it. It is gone when this is dropped.
#[derive(Debug)]
pub struct Script {
    folder: Folder,
}

impl Script {
    /// A script of this text.
    #[must_use]
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self { folder: Folder::new() }.beside("script.lua", text)
    }

    /// With a further file beside it.
    #[must_use]
    pub fn beside(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.file("script.lua")
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A command that runs it, with further arguments that are separated by spaces.
    #[must_use]
    pub fn command(&self, arguments: &str) -> Command {
        command(&format!("-S {} {arguments}", self.path().display()))
    }

    /// Starts it on live traffic, and waits until the agent captures.
    #[must_use]
    pub fn start(&self, netns: &Netns, arguments: &str) -> Agent {
        Agent::spawn(netns, self.command(arguments))
    }

    /// Runs it to its end, however that is.
    #[must_use]
    pub fn run(&self, arguments: &str) -> Finished {
        finished(self.command(arguments).output().unwrap())
    }

    /// Runs it on a capture file, which has to go well, and gives what it printed.
    #[track_caller]
    #[must_use]
    pub fn read(&self, file: &Path, arguments: &str) -> Finished {
        let finished = self.run(&format!("-r {} {arguments}", file.display()));
        assert!(finished.status.success(), "{}: {}", finished.status, finished.stderr);
        finished.ledger().check_sums();
        finished
    }
}

/// What a process left that ran to its end.
#[must_use]
pub fn finished(output: Output) -> Finished {
    Finished {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Whole lines of JSON, as `tcpkit.emit` prints them.
#[track_caller]
#[must_use]
pub fn emitted(printed: &[u8]) -> Vec<Value> {
    let end = printed.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&printed[..end]).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {line}")))
        .collect()
}

/// A golden capture, such as `redis/commands`.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(format!("{name}.pcap"))
}
