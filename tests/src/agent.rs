//! The agent as its users have it: started, watched and ended as a process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    ledger::Ledger,
    line::Line,
    netns::{Netns, eventually},
};

/// Where the agent's binary is.
#[must_use]
pub fn binary() -> PathBuf {
    env::var_os("TCPKIT_BIN")
        .expect("TCPKIT_BIN names the agent's binary; `cargo xtask test` builds it and sets this")
        .into()
}

/// A command that runs the agent, with arguments that are separated by spaces.
#[must_use]
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments.split_whitespace()).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// A copy of the agent that anybody may run.
#[derive(Debug)]
pub struct PublicCopy(PathBuf);

impl PublicCopy {
    /// Makes the copy; it is gone when this is dropped.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpkit-test-{}-agent-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::copy(binary(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for PublicCopy {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PublicCopy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a process wrote so far, collected by a thread.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                into.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, thread }
    }

    fn look<T>(&self, at: impl FnOnce(&[u8]) -> T) -> T {
        at(&self.bytes.lock().unwrap())
    }

    fn finish(self) -> Vec<u8> {
        self.thread.join().unwrap();
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

/// A running agent. It is killed when this is dropped.
pub struct Agent {
    child: Child,
    output: Option<(Collected, Collected)>,
}

impl Agent {
    /// Starts an agent that follows Redis and prints JSON, and waits until it captures.
    #[must_use]
    pub fn start(netns: &Netns, arguments: &str) -> Self {
        Self::start_with(netns, &format!("-p redis --format json {arguments}"))
    }

    /// Starts an agent, and waits until it captures.
    #[must_use]
    pub fn start_with(netns: &Netns, arguments: &str) -> Self {
        Self::spawn(netns, command(arguments))
    }

    /// Starts what `command` says is an agent, and waits until it captures.
    #[must_use]
    pub fn spawn(netns: &Netns, command: Command) -> Self {
        Self::begin(netns, command, Stdio::piped())
    }

    /// The same, with a file for what it prints.
    #[must_use]
    pub fn spawn_into(netns: &Netns, command: Command, output: File) -> Self {
        Self::begin(netns, command, output.into())
    }

    fn begin(netns: &Netns, mut command: Command, output: Stdio) -> Self {
        command.stdout(output).stderr(Stdio::piped());
        let mut child = netns.run(|| command.spawn().unwrap());
        let stdout = match child.stdout.take() {
            Some(pipe) => Collected::new(pipe),
            None => Collected::new(io::empty()),
        };
        let stderr = Collected::new(child.stderr.take().unwrap());
        let mut agent = Self { child, output: Some((stdout, stderr)) };
        agent.wait_for_stderr("tcpkit: listening on ", 1);
        agent
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits until it has said something so many times.
    pub fn wait_for_stderr(&mut self, text: &str, count: usize) {
        let Self { child, output } = self;
        let (_, stderr) = output.as_ref().unwrap();
        eventually(&format!("{text:?} on stderr"), || {
            let said = stderr.look(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the agent ended with {ended:?}, saying: {said}");
            said.matches(text).count() >= count
        });
    }

    /// The whole lines printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.output.as_ref().unwrap().0.look(Line::parse_all)
    }

    /// What it has printed so far.
    #[must_use]
    pub fn printed(&self) -> Vec<u8> {
        self.output.as_ref().unwrap().0.look(<[u8]>::to_vec)
    }

    /// Waits until it has printed a text so many times.
    #[track_caller]
    pub fn wait_for_printed(&self, text: &str, count: usize) {
        eventually(&format!("{count} {text:?} printed"), || {
            self.output.as_ref().unwrap().0.look(|bytes| {
                bytes.windows(text.len()).filter(|it| *it == text.as_bytes()).count() >= count
            })
        });
    }

    /// How many lines it has printed so far.
    #[must_use]
    pub fn line_count(&self) -> usize {
        let count = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.output.as_ref().unwrap().0.look(count)
    }

    /// Waits until it has printed so many lines.
    pub fn wait_for_lines(&self, count: usize) {
        eventually(&format!("{count} lines"), || self.line_count() >= count);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Asks for the ledger while the agent goes on, and waits for it.
    #[must_use]
    pub fn report(&self) -> Ledger {
        let reports = || {
            let (_, stderr) = self.output.as_ref().unwrap();
            let said = stderr.look(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let ends = [" printed\n", " written\n", " handed to the script\n"];
            (ends.map(|end| said.matches(end).count()).iter().sum::<usize>(), said)
        };
        let before = reports().0;
        self.signal(Signal::SIGUSR1);
        let mut ledger = None;
        eventually("a report", || {
            let (count, said) = reports();
            if count > before {
                ledger = Some(Ledger::parse(&said));
            }
            ledger.is_some()
        });
        ledger.unwrap()
    }

    /// Interrupts it, and waits for its end, which has to be a good one.
    #[must_use]
    pub fn stop(self) -> Finished {
        self.signal(Signal::SIGINT);
        let finished = self.wait();
        assert!(finished.status.success(), "{}: {}", finished.status, finished.stderr);
        finished.ledger().check_sums();
        finished
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(mut self) -> Finished {
        let mut status = None;
        eventually("the agent ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let (stdout, stderr) = self.output.take().unwrap();
        Finished {
            status: status.unwrap(),
            stdout: stdout.finish(),
            stderr: String::from_utf8(stderr.finish()).unwrap(),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// What an agent left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
}

impl Finished {
    /// The lines of JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        Line::parse_all(&self.stdout)
    }

    /// What it printed, which has to be text.
    #[track_caller]
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The last ledger.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::parse(&self.stderr)
    }
}
