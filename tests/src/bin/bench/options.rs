//! The command line: which rows, on which agents, how long.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use tcpkit_tests::{agent::Agent, netns::Netns};

pub(crate) const USAGE: &str = "\
Usage: bench [ROWS…] --into FOLDER --agent [NAME=]PATH [--quick] [--seconds N]
       bench instructions --into FOLDER --agent PATH --expected FILE --rustc VERSION [--bless]
Rows: traffic, kernel, offline, loss, memory, growth, protocols, scripts; all of them if none is named.
      churn, if it is named: ten minutes, or as many seconds as --seconds says.";

/// An agent that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// How figures name it.
    name: String,
    path: PathBuf,
}

impl Contestant {
    fn parse(text: &str) -> Result<Self> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name, path),
            None => ("tcpkit", text),
        };
        let path = fs::canonicalize(path).with_context(|| format!("the agent {path}"))?;
        Ok(Self { name: name.to_owned(), path })
    }

    /// A command that runs it, with arguments that are separated by spaces.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments.split_whitespace()).env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Starts it in a namespace, and waits until it captures.
    pub(crate) fn start(&self, netns: &Netns, arguments: &str) -> Agent {
        Agent::spawn(netns, self.command(arguments))
    }

    /// How figures name it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    /// The rows to measure, by name; none means all.
    pub(crate) rows: Vec<String>,
    /// The agents, at least one. They alternate, too.
    pub(crate) agents: Vec<Contestant>,
    /// Where files go.
    folder: PathBuf,
    /// Whether it is only tried that everything works.
    pub(crate) quick: bool,
    /// How long the row that takes long takes, in s.
    pub(crate) seconds: Option<u64>,
    /// The file with the instructions that are expected.
    pub(crate) expected: Option<PathBuf>,
    /// The compiler that built the agent.
    pub(crate) rustc: Option<String>,
    /// Whether to write what was counted into that file.
    pub(crate) bless: bool,
    stop: Arc<AtomicBool>,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            rows: Vec::new(),
            agents: Vec::new(),
            folder: PathBuf::new(),
            quick: false,
            seconds: None,
            expected: None,
            rustc: None,
            bless: false,
            stop: Arc::default(),
        };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--agent" => options.agents.push(Contestant::parse(&value()?)?),
                "--into" => options.folder = value()?.into(),
                "--expected" => options.expected = Some(value()?.into()),
                "--rustc" => options.rustc = Some(value()?),
                "--quick" => options.quick = true,
                "--seconds" => {
                    let seconds = value()?.parse().ok().filter(|it| (3..=86_400).contains(it));
                    options.seconds = Some(seconds.context("--seconds is a number from 3 on")?);
                }
                "--bless" => options.bless = true,
                other if other.starts_with('-') => bail!("{other} is no option\n{USAGE}"),
                row => options.rows.push(row.to_owned()),
            }
        }
        ensure!(!options.agents.is_empty(), "--agent is missing\n{USAGE}");
        ensure!(options.folder != Path::new(""), "--into is missing\n{USAGE}");
        let mut names: Vec<&str> = options.agents.iter().map(Contestant::name).collect();
        names.sort_unstable();
        names.dedup();
        ensure!(names.len() == options.agents.len(), "agents need different names: NAME=PATH");
        Ok(options)
    }

    /// One number for a whole measurement, another for a short try.
    pub(crate) fn choose<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// A file that is gone when all is measured.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files().join(name)
    }

    /// Where results are kept.
    pub(crate) fn results(&self) -> PathBuf {
        self.folder.join("results.json")
    }

    /// Makes the folder of files that are needed for a while only.
    pub(crate) fn make_files(&self) -> Result<()> {
        let files = self.files();
        fs::create_dir_all(&files).with_context(|| format!("{}", files.display()))
    }

    /// Removes it, with all that is in it.
    pub(crate) fn remove_files(&self) -> Result<()> {
        let files = self.files();
        fs::remove_dir_all(&files).with_context(|| format!("{}", files.display()))
    }

    fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// What is set when somebody interrupts.
    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether somebody interrupted.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Ends the row when somebody interrupts, so that what it made is removed.
    pub(crate) fn check_stop(&self) {
        assert!(!self.is_stopped(), "interrupted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, expect: Option<(&str, bool)>) {
        let arguments = arguments.split_whitespace().map(str::to_owned);
        let options = Options::parse(arguments).ok();
        let found = options.as_ref().map(|it| (it.rows.join(" "), it.quick));
        assert_eq!(found, expect.map(|(rows, quick)| (rows.to_owned(), quick)));
    }

    #[test]
    fn rows_and_options_come_in_any_order() {
        check("loss --agent /bin/sh --quick kernel --into /tmp", Some(("loss kernel", true)));
        check("--agent old=/bin/sh --agent new=/bin/sh --into /tmp", Some(("", false)));
        check("--agent /bin/sh --agent /bin/sh --into /tmp", None);
        check("--agent /bin/sh", None);
        check("--into /tmp", None);
        check("--agent /bin/sh --into /tmp --what", None);
        check("--agent", None);
        check("churn --agent /bin/sh --into /tmp --seconds 60", Some(("churn", false)));
        check("churn --agent /bin/sh --into /tmp --seconds 0", None);
    }
}
