//! tcpdump as a contestant: it captures and writes to nowhere.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcpkit_tests::netns::Netns;

/// A running tcpdump. It is killed when this is dropped.
pub(crate) struct Tcpdump {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Tcpdump {
    /// Starts it, and waits until it captures.
    pub(crate) fn start(netns: &Netns, interface: &str) -> Self {
        let mut command = Command::new("tcpdump");
        command.args(["-i", interface, "-w", "/dev/null", "tcp", "port", "6379"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = netns.run(|| command.spawn().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            let count = stderr.read_line(&mut said).unwrap();
            assert!(count > 0, "tcpdump ended, saying: {said}");
        }
        Self { child, stderr }
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Interrupts it; gives how many packets it lost.
    pub(crate) fn stop(mut self) -> u64 {
        kill(self.pid(), Signal::SIGINT).unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        let lost = said.lines().find_map(|line| line.strip_suffix(" packets dropped by kernel"));
        lost.and_then(|lost| lost.parse().ok()).unwrap_or_else(|| panic!("tcpdump says: {said}"))
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
