//! Servers and clients as processes in a namespace: started, waited for and ended.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    folder::Folder,
    netns::{Netns, eventually},
};

/// The project's folder.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A command that runs a Python file of the project, with the packages that tests need.
#[must_use]
pub fn python(file: &str) -> Command {
    let mut command = Command::new(root().join("target/python/bin/python3"));
    // Many at the same time would write the same files.
    command.arg("-B").arg(root().join("tests").join(file));
    command
}

/// A running server. It is gone when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: Folder,
}

impl Server {
    /// Starts a server, with a folder of its own to be in, and waits until it listens on a TCP port.
    #[must_use]
    pub fn start(netns: &Netns, port: u16, make: impl FnOnce(&Path) -> Command) -> Self {
        let folder = Folder::new();
        let mut command = make(folder.path());
        let said = folder.file("stderr");
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).unwrap());
        let child = netns.run(|| command.spawn().unwrap_or_else(|it| panic!("{command:?}: {it}")));
        let mut server = Self { child, folder };
        eventually(&format!("{command:?} listens on port {port}"), || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {}", fs::read_to_string(&said).unwrap());
            server.listens(port)
        });
        server
    }

    /// Whether anything in its namespace listens on a TCP port.
    fn listens(&self, port: u16) -> bool {
        let port = format!(":{port:04X}");
        ["tcp", "tcp6"].iter().any(|table| {
            let path = format!("/proc/{}/net/{table}", self.child.id());
            fs::read_to_string(path).unwrap().lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words[1].ends_with(&port) && words[3] == "0A"
            })
        })
    }

    /// A file in its folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// A command that goes on beside the test until this is dropped.
#[derive(Debug)]
pub struct Background(Child);

impl Background {
    /// Starts it. What it prints is not looked at.
    #[must_use]
    pub fn start(netns: &Netns, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(netns.run(|| command.spawn().unwrap_or_else(|it| panic!("{command:?}: {it}"))))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

/// Runs a client to its end, which has to be a good one, and gives what it printed.
#[track_caller]
pub fn run(netns: &Netns, command: &mut Command) -> String {
    command.stdin(Stdio::null());
    let output = netns.run(|| command.output().unwrap_or_else(|it| panic!("{command:?}: {it}")));
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{said}", output.status);
    printed
}

/// A client that does one step after another when it is told to.
#[derive(Debug)]
pub struct Stepwise {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Stepwise {
    /// Starts it.
    #[must_use]
    pub fn start(netns: &Netns, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = netns.run(|| command.spawn().unwrap());
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Waits for a line from it.
    #[must_use]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended");
        line.trim_end().to_owned()
    }

    /// Writes a line to it.
    pub fn tell(&mut self, line: &str) {
        use std::io::Write as _;
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// Waits for its end, which has to be a good one.
    pub fn finish(mut self) {
        self.input = None;
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Stepwise {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
