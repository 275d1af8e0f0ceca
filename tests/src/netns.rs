//! Network namespaces that are gone when a test ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs::File,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

/// A network namespace with a name of its own.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Creates an empty namespace.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpkit-test-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let netns = Self { name };
        netns.ip("link set lo up");
        netns
    }

    /// Two namespaces, each with one end of a cable: `veth0` with 10.9.0.1 and fd09::1 in the first,
    /// with 10.9.0.2 and fd09::2 in the second.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (left, right) = (Self::new(), Self::new());
        left.ip(&format!("link add veth0 type veth peer name veth0 netns {}", right.name));
        for (netns, last) in [(&left, 1), (&right, 2)] {
            netns.ip(&format!("addr add 10.9.0.{last}/24 dev veth0"));
            netns.ip(&format!("addr add fd09::{last}/64 dev veth0 nodad"));
            netns.ip("link set veth0 up");
        }
        (left, right)
    }

    /// The name by which `ip` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on this namespace and gives what it prints.
    pub fn ip(&self, arguments: &str) -> String {
        self.tool("ip", arguments)
    }

    /// Runs `tc` on this namespace and gives what it prints.
    pub fn tc(&self, arguments: &str) -> String {
        self.tool("tc", arguments)
    }

    fn tool(&self, tool: &str, arguments: &str) -> String {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(arguments.split(' ')).collect();
        run(tool, &words)
    }

    /// Runs `work` on a thread inside this namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.name]);
    }
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {}: {error}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something is so, and panics when it is not within ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        thread::sleep(Duration::from_millis(2));
    }
}
