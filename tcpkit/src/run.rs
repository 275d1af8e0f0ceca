//! Puts a run together: from the command line to the source, the engine and the sinks, with signals.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time,
};

use crate::{
    capture::{
        AttachMode, LinkType, LiveConfig, LiveSource, interfaces, listening::ListeningPorts,
    },
    cli::Cli,
    engine::Engine,
    filter::CaptureFilter,
    flow::role::Hints,
    ledger::Ledger,
    packet::Endpoint,
    pipeline::{self, Control, Output, PipelineError},
    protocol::{DecodeOptions, Protocol},
    sink::SinkError,
};

/// How long the last lines may take to be written once a signal asked for the end.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Runs what the command line says, until it is done or a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting or from going on; each message is one line.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    let filter = read_filter(&cli)?;
    if cli.dump() > 0 {
        return dump(&cli, &filter);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime that waits for signals")?;
    runtime.block_on(async {
        // Before anything is attached, so that no signal finds the process unprepared.
        let mut signals = Signals::new()?;
        let control = Arc::new(Control::default());
        let (done, mut ended) = oneshot::channel();
        let capture = {
            let control = Arc::clone(&control);
            thread::Builder::new().name("capture".into()).spawn(move || {
                let result = capture(&cli, filter, &control);
                // The receiver is gone only when the process is about to end.
                let _ = done.send(());
                result
            })?
        };
        loop {
            let is_stopping = control.is_stopping();
            tokio::select! {
                _ = &mut ended => break,
                () = time::sleep(STOP_TIME), if is_stopping => {
                    say("tcpkit: the output does not take the last lines; they are lost");
                    std::process::exit(1);
                }
                signal = signals.next() => match signal {
                    Asked::Report => control.report(),
                    // A second signal: the output may be stuck. The kernel takes the programs off.
                    Asked::Stop if control.is_stopping() => std::process::exit(130),
                    Asked::Stop => control.stop(),
                },
            }
        }
        capture.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the capture thread panicked")))
    })
}

fn read_filter(cli: &Cli) -> anyhow::Result<CaptureFilter> {
    let Some(file) = cli.expression_file() else {
        return Ok(CaptureFilter::parse(cli.expression())?);
    };
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the filter from {}", file.display()))?;
    Ok(CaptureFilter::parse_file(&text)?)
}

/// Prints the compiled filter, for the first interface that is named.
fn dump(cli: &Cli, filter: &CaptureFilter) -> anyhow::Result<()> {
    let link = match cli.interfaces() {
        [] => None,
        names => interfaces::select(names)?.first().map(|(_, link)| *link),
    };
    let compiled = match (link, filter.no_raw_ip()) {
        (Some(LinkType::RawIp), Some(error)) => return Err(error.clone().into()),
        (Some(LinkType::RawIp), None) => filter.raw_ip(),
        _ => filter.ethernet(),
    };
    let text = if cli.dump() == 1 { compiled.list_classic() } else { compiled.list_ebpf() };
    match Unbuffered(io::stdout()).write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn capture(cli: &Cli, filter: CaptureFilter, control: &Control) -> anyhow::Result<()> {
    let protocol = cli.protocol()?;
    let kind = cli.sink()?;
    let mut source = LiveSource::open(&LiveConfig {
        interfaces: cli.interfaces().to_vec(),
        ring_bytes: u64::from(cli.buffer_bytes()),
        snaplen: cli.snaplen(),
        filter: &filter,
        debug: cli.verbosity() >= 3,
        attach: AttachMode::Auto,
    })?;
    let names: Vec<_> = source.interfaces().iter().map(|one| one.name.as_str()).collect();
    say(&format!("tcpkit: listening on {}", names.join(", ")));
    let options = DecodeOptions { max_text: cli.max_text(), fields: kind.shows_fields };
    let hints = LiveHints { filter, protocol, listening: ListeningPorts::new() };
    let mut engine = Engine::new(protocol, cli.limits(), options, hints);
    let stdout = io::stdout();
    let colour = cli.colour(stdout.is_terminal());
    // The sinks buffer by themselves.
    let sinks = vec![(kind.make)(Box::new(Unbuffered(stdout)), colour)];
    let mut output = Output::new(sinks, cli.threshold_ns(), cli.count());
    let (ledger, result) = pipeline::run(&mut source, &mut engine, &mut output, control, report);
    match result {
        // Whoever closed the output has seen enough.
        Err(PipelineError::Sink(SinkError::Closed)) => Ok(()),
        result => {
            report(&ledger);
            Ok(result?)
        }
    }
}

/// Writes the ledger to stderr.
fn report(ledger: &Ledger) {
    say(&ledger.to_string());
}

/// Writes lines to stderr, in one piece.
fn say(lines: &str) {
    // Nobody is left to be told if stderr is gone.
    let _ = io::stderr().lock().write_all(format!("{lines}\n").as_bytes());
}

/// Standard output without the line buffer of [`io::Stdout`], which would write each line apart.
struct Unbuffered(io::Stdout);

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::write(&self.0, bytes) {
                // Somebody made the terminal or pipe non-blocking; the lines wait all the same.
                Err(Errno::EAGAIN) => {
                    poll(
                        &mut [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)],
                        PollTimeout::NONE,
                    )?;
                }
                result => return result.map_err(io::Error::from),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is known of roles on a live host.
struct LiveHints {
    filter: CaptureFilter,
    protocol: &'static Protocol,
    listening: ListeningPorts,
}

impl Hints for LiveHints {
    fn is_named(&self, port: u16) -> bool {
        self.filter.server_port(port)
    }

    fn is_listening(&self, end: &Endpoint) -> bool {
        self.listening.contains(end)
    }

    fn is_usual(&self, port: u16) -> bool {
        self.protocol.ports.contains(&port)
    }
}

enum Asked {
    Stop,
    Report,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Stop,
            _ = self.user1.recv() => Asked::Report,
        }
    }
}
