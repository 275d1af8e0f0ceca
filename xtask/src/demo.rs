//! `cargo xtask demo`: the agent at work, between a client and a Redis server that it brings along.
//!
//! Two network namespaces, joined by a cable, stand for two hosts; an agent watches each end.
//! Every piece is removed when its guard is dropped, last made first removed.

mod client;
mod network;
mod process;

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use self::{
    network::{Network, SERVER_ADDRESS, Side},
    process::Process,
};
use crate::{
    agent, host,
    setup::{self, Install, Purpose},
    workspace::Workspace,
};

pub(crate) use self::client::{ClientArgs, run as client};

const EXPLANATION: &str = "\
Two hosts, a client and a Redis server, and an agent at each: the line's first word says whose.
  set, get hello    quick on both sides
  debug sleep       slow on BOTH sides: it is the server that takes its time
  get big           slow at the CLIENT only: the server was quick, the network was not";

/// The port that the demo's server listens on, inside its own namespace.
const PORT: u16 = 6379;

/// How long a process gets to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    install: Install,
    /// How long it takes, in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// The agent to show, instead of building one.
    #[arg(long, hide = true)]
    agent: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, args: &DemoArgs) -> Result<()> {
    let agent = match &args.agent {
        Some(agent) => agent.clone(),
        None => {
            setup::ensure(workspace, Purpose::Demo, args.install)?;
            agent::build(workspace)?
        }
    };
    if !host::is_root() {
        return start_as_root(&agent, args.seconds);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&stop)).context("signals cannot be caught")?;
    }
    show(&agent, Duration::from_secs(args.seconds), &stop)
}

/// Everything was built as the user; only the show itself needs root.
fn start_as_root(agent: &Path, seconds: u64) -> Result<()> {
    if host::find_program("sudo").is_none() {
        bail!("the demo needs root and there is no sudo: type the command again as root");
    }
    let xtask = std::env::current_exe().context("xtask does not know its own path")?;
    let mut command = Command::new("sudo");
    command.arg("env").args(host::kept_environment(&["TZ", "NO_COLOR", "CARGO_MANIFEST_DIR"]));
    command.arg(xtask).args(["demo", "--seconds", &seconds.to_string(), "--agent"]).arg(agent);
    Err(command.exec()).context("sudo cannot be started")
}

fn show(agent: &Path, time: Duration, stop: &AtomicBool) -> Result<()> {
    println!("{EXPLANATION}\n");
    let network = Network::create()?;
    let mut redis = start_redis(&network)?;
    let mut agents =
        [start_agent(agent, &network, Side::Client)?, start_agent(agent, &network, Side::Server)?];
    let mut client = start_client(&network)?;

    let end = Instant::now() + time;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        for watched in &mut agents {
            watched.process.check_alive()?;
        }
        redis.process.check_alive()?;
        client.check_alive()?;
    }

    client.stop(Signal::SIGTERM, PATIENCE);
    for watched in agents {
        watched.finish(Signal::SIGINT);
    }
    redis.finish(Signal::SIGTERM);
    drop(network);
    println!("\nThe demo is over, and everything it made is gone. On your own traffic, type:");
    println!("    cargo xtask run -- -i any tcp port {PORT} -p redis");
    Ok(())
}

/// A process and the threads that print what it says.
struct Watched {
    process: Process,
    readers: Vec<JoinHandle<()>>,
}

impl Watched {
    /// Ends the process, and waits until its last words are printed.
    fn finish(mut self, signal: Signal) {
        self.process.stop(signal, PATIENCE);
        for reader in self.readers {
            // A reader that panicked has nothing more to print.
            let _ = reader.join();
        }
    }
}

fn start_agent(agent: &Path, network: &Network, side: Side) -> Result<Watched> {
    let mut command = network.command(side, agent);
    command.args(["-i", side.interface(), "tcp", "port", &PORT.to_string(), "-p", "redis"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::start("the agent", command)?;
    let label = format!("{:<6} ", side.name());
    let readers = [
        process.child.stdout.take().map(|stdout| print_lines(label.clone(), stdout)),
        process.child.stderr.take().map(|stderr| print_lines(label.clone(), stderr)),
    ];
    Ok(Watched { process, readers: readers.into_iter().flatten().collect() })
}

fn print_lines(label: String, from: impl Read + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Without anybody to read it, the demo still has to clean up.
            let _ = writeln!(std::io::stdout().lock(), "{label}{line}");
        }
    })
}

fn start_redis(network: &Network) -> Result<Watched> {
    let program = host::find_program("redis-server").context("there is no redis-server")?;
    let mut command = network.command(Side::Server, &program);
    command.args(["--bind", SERVER_ADDRESS, "--port", &PORT.to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--dir", "/", "--loglevel", "warning"]);
    // The only way to it is the demo's own cable.
    command.args(["--protected-mode", "no"]);
    if needs_leave_to_debug(&version(&program)) {
        command.args(["--enable-debug-command", "yes"]);
    }
    // Its greetings would stand between the lines; its complaints stay visible.
    command.stdout(Stdio::null());
    let process = Process::start("redis-server", command)?;
    Ok(Watched { process, readers: Vec::new() })
}

fn version(redis: &Path) -> String {
    let output = Command::new(redis).arg("--version").stdin(Stdio::null()).output();
    output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default()
}

/// Whether this Redis refuses `DEBUG` unless it is told otherwise (from version 7); older ones
/// do not know the option.
fn needs_leave_to_debug(version: &str) -> bool {
    let number = version.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let major = number.and_then(|it| it.split('.').next()).and_then(|it| it.parse::<u32>().ok());
    major.is_none_or(|major| major >= 7)
}

fn start_client(network: &Network) -> Result<Process> {
    let xtask = std::env::current_exe().context("xtask does not know its own path")?;
    let mut command = network.command(Side::Client, &xtask);
    command.args(["demo-client", "--server", &format!("{SERVER_ADDRESS}:{PORT}")]);
    Process::start("the client", command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_needs_leave_from_version_seven() {
        assert!(needs_leave_to_debug("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"));
        assert!(needs_leave_to_debug("Redis server v=10.1.0 sha=0"));
        assert!(!needs_leave_to_debug("Redis server v=6.2.1 sha=0"));
        assert!(needs_leave_to_debug("Server of another make"));
    }
}
