//! Puts a run together: from the command line to the source, the engine and the sinks, with signals.

mod hints;
mod monitoring;
mod reload;
mod screen;
mod service;
mod signals;

use std::{
    fs,
    io::{self, IsTerminal, Write},
    num::NonZero,
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use caps::Capability;
use tokio::{sync::oneshot, time};

use self::{
    hints::RunHints,
    monitoring::Monitoring,
    reload::Reloader,
    signals::{Asked, Signals},
};
use crate::{
    capture::{
        AttachMode, CaptureError, IngressHook, LinkType, LiveConfig, LiveSource, LiveWorker,
        OfflineSource, PacketSocketSource, Progress, Screen, Source, interfaces,
    },
    cli::{Backend, Cli},
    connection::Connections,
    engine::Engine,
    filter::CaptureFilter,
    ledger::Ledger,
    linefile::LineFile,
    messages::say,
    output::{Output, Takes},
    pipeline::{Asked as AskedOfLoop, Control, Pipeline, PipelineError},
    privileges::{self, Privileges},
    protocol::{DecodeOptions, Selection},
    script::{self, Metrics, Script, Wants},
    server,
    sink::{
        SinkError, SinkKind, Style,
        file::{FileLink, FileSink, FileSinkConfig},
        packets::PacketLines,
    },
    stdout::Stdout,
    top,
    workers::Workers,
};

/// How long the last lines may take to be written once a signal asked for the end.
const STOP_TIME: Duration = Duration::from_secs(10);

/// The stack of the thread that captures, in bytes: a script's calls may lie deep in each other.
const CAPTURE_STACK: usize = 16 << 20;

/// A second signal that comes sooner is the first one's twin.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs what the command line says, until it is done or a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting or from going on; each message is one line.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if cli.script.prints_api() {
        return print(script::API).map(|()| ExitCode::SUCCESS);
    }
    if cli.source.list() {
        return print(&interfaces::listing()?).map(|()| ExitCode::SUCCESS);
    }
    let filter = read_filter(&cli)?;
    if cli.source.dump() > 0 {
        return dump(&cli, &filter).map(|()| ExitCode::SUCCESS);
    }
    let cli = Arc::new(cli);
    let who = if cli.script.file().is_some() { "the script or the output" } else { "the output" };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime that waits for signals")?;
    runtime.block_on(async {
        // Before anything is attached, so that no signal finds the process unprepared.
        let mut signals = Signals::new()?;
        let control = Arc::new(Control::default());
        let monitoring = Arc::new(Monitoring::open(&cli, &control).await?);
        let lines = cli.output().map(open_lines).transpose()?;
        let privileges = cli.process.privileges()?;
        let drops = privileges.is_some();
        let (begin, mut begun) = oneshot::channel();
        let (done, mut ended) = oneshot::channel();
        let capture = {
            let (control, monitoring) = (Arc::clone(&control), Arc::clone(&monitoring));
            let (cli, lines) = (Arc::clone(&cli), lines.clone());
            let thread = thread::Builder::new().name("capture".into()).stack_size(CAPTURE_STACK);
            thread.spawn(move || {
                let result = capture(&cli, filter, &control, &monitoring, lines, privileges, begin);
                // The receiver is gone only when the process is about to end.
                let _ = done.send(());
                result
            })?
        };
        let reloader = Arc::new(Reloader {
            cli,
            control: Arc::clone(&control),
            monitoring: Arc::clone(&monitoring),
            lines,
        });
        let mut asked_at = None;
        let mut has_begun = false;
        let mut does: Arc<str> = Arc::default();
        loop {
            let is_stopping = control.is_stopping();
            if is_stopping {
                monitoring.wake();
            }
            tokio::select! {
                _ = &mut ended => break,
                result = &mut begun, if !has_begun => {
                    has_begun = true;
                    if let Ok(said) = result {
                        does = said.into();
                        if drops {
                            privileges::give_up_all()?;
                        }
                        monitoring.serve();
                        service::tell(service::State::Ready(&does));
                        tokio::spawn(service::give_signs_of_life(Arc::clone(&control)));
                    }
                }
                // A worker asked for it.
                () = control.stopped(), if !is_stopping => {}
                () = time::sleep(STOP_TIME), if is_stopping => {
                    top::screen::leave();
                    say(&format!("tcpkit: {who} does not take the last lines; they are lost"));
                    std::process::exit(1);
                }
                signal = signals.next() => match signal {
                    Asked::Report => control.report(),
                    Asked::Reload => {
                        let reloader = Arc::clone(&reloader);
                        let does = Arc::clone(&does);
                        tokio::spawn(async move { reloader.reload(&does).await });
                    }
                    // Once more: the output may be stuck. The kernel takes the programs off.
                    Asked::Stop if asked_at.is_some_and(|at: Instant| at.elapsed() >= AGAIN) => {
                        top::screen::leave();
                        std::process::exit(130)
                    }
                    // A terminal that closes and timeout(1) may say so twice.
                    Asked::Stop => {
                        asked_at.get_or_insert_with(Instant::now);
                        service::tell(service::State::Stopping);
                        control.stop();
                    }
                },
            }
        }
        capture.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the capture thread panicked")))
    })
}

fn open_lines(path: &Path) -> anyhow::Result<LineFile> {
    LineFile::open(path).with_context(|| format!("cannot write to {} (-o)", path.display()))
}

fn read_filter(cli: &Cli) -> anyhow::Result<CaptureFilter> {
    let Some(file) = cli.source.expression_file() else {
        return Ok(CaptureFilter::parse_with(cli.source.expression(), cli.source.optimizes())?);
    };
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the filter from {}", file.display()))?;
    Ok(CaptureFilter::parse_file(&text, cli.source.optimizes())?)
}

/// Prints the compiled filter, for the file that is read or the first interface that is named.
fn dump(cli: &Cli, filter: &CaptureFilter) -> anyhow::Result<()> {
    if let Some(file) = cli.source.read() {
        let all = CaptureFilter::parse(&[])?;
        let source = OfflineSource::open(file, &all, Screen::default())?;
        return print(&filter.list_for_link(first_link(source)?)?);
    }
    let selection = interfaces::Selection::new(cli.source.interfaces())?;
    let link = match selection.is_any() {
        true => LinkType::Ethernet,
        false => selection.present()?.first().map_or(LinkType::Ethernet, |(_, link)| *link),
    };
    if let (LinkType::RawIp, Some(error)) = (link, filter.no_raw_ip()) {
        return Err(error.clone().into());
    }
    if cli.source.dump() > 1 {
        filter.for_kernel()?;
    }
    let xdp = filter.xdp();
    let compiled = match (link, cli.source.hook()) {
        (LinkType::RawIp, IngressHook::Tc) => filter.raw_ip(),
        (_, IngressHook::Tc) => filter.ethernet(),
        (LinkType::RawIp, IngressHook::Xdp) => xdp.as_ref().map_err(Clone::clone)?.raw_ip(),
        (_, IngressHook::Xdp) => xdp.as_ref().map_err(Clone::clone)?.ethernet(),
    };
    print(&if cli.source.dump() == 1 { compiled.list_classic() } else { compiled.list_ebpf() })
}

/// What a file's first packet begins with.
fn first_link(mut file: OfflineSource) -> Result<LinkType, CaptureError> {
    let mut link = None;
    while link.is_none() {
        let progress = file.read(&mut |frame| {
            link = Some(frame.link);
            ControlFlow::Break(())
        })?;
        if progress == Progress::Eof {
            break;
        }
    }
    Ok(link.unwrap_or(LinkType::Ethernet))
}

/// Prints a text as a whole.
fn print(text: &str) -> anyhow::Result<()> {
    match Stdout::default().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn capture(
    cli: &Cli,
    filter: CaptureFilter,
    control: &Control,
    monitoring: &Monitoring,
    lines: Option<LineFile>,
    privileges: Option<Privileges>,
    begin: oneshot::Sender<String>,
) -> anyhow::Result<ExitCode> {
    // Before anything is attached: a script with an error does not get so far.
    let script = cli.script.options(control.stop_flag()).map(Script::load).transpose()?;
    let wants = script.as_ref().map(Script::wants).unwrap_or_default();
    if wants.transactions && !cli.decodes() {
        anyhow::bail!(
            "the script has a function transaction(t), which is called with -p only: add -p"
        );
    }
    let opened = open(cli, &filter, wants)?;
    let packets = &cli.packets;
    let file = packets.write().map(|path| {
        FileSink::create(FileSinkConfig {
            path: path.to_owned(),
            per_packet_flush: packets.is_unbuffered(),
            max_bytes: packets.rotate_bytes(),
            seconds: packets.rotate_seconds(),
            count: packets.rotate_count(),
            start_unix_ns: opened.follows_host.then(unix_now_ns),
            link: opened.link,
            names: opened.source.interface_names(),
        })
    });
    let file = file.transpose()?;
    if let Some(privileges) = &privileges {
        privileges.drop_all_but(&opened.capabilities, |user| {
            file.iter().for_each(|file| file.hand_over(user));
            lines.iter().for_each(|lines| lines.hand_over(user));
        })?;
    }
    // From here on the process is who it stays.
    let mut output = Output::new(cli.count());
    if let Some(file) = file {
        file.check_later_files()?;
        output = output.with_file(Box::new(file));
    }
    let Opened { mut source, workers, several, follows_host, stdout, does, .. } = opened;
    let decoding = match cli.selection() {
        Some(selection) => Some(Decoding {
            cli,
            monitoring,
            lines,
            selection,
            kind: cli.sink()?,
            wants_fields: wants.transactions,
            filter: filter.clone(),
            follows_host,
            workers: workers.len().saturating_add(1),
        }),
        None => None,
    };
    let engine = if let Some(decoding) = &decoding {
        output = decoding.output(output, stdout.clone());
        Some(decoding.engine())
    } else {
        if cli.prints_packets() {
            let options = packets.lines(several);
            let lines =
                PacketLines::new(Box::new(stdout.clone()), options, source.interface_names());
            output = output.with_lines(Box::new(lines));
        }
        None
    };
    let mut metrics = None;
    let mut exit_code = None;
    if let Some(script) = script {
        monitoring.show_script(&script.metrics());
        metrics = Some(script.metrics());
        exit_code = Some(script.exit_code());
        let own = monitoring.address();
        let hints = RunHints::new(filter, cli.selection(), follows_host, own).with_system_ports();
        let connections =
            Connections::new(Box::new(hints), cli.selection(), cli.limits(), wants.connections);
        let sink = script.into_sink(Box::new(stdout), source.interface_names(), connections)?;
        let takes = Takes {
            packets: wants.packets || wants.connections,
            transactions: wants.transactions,
            time: true,
        };
        output = output.with_script(Box::new(sink), takes, cli.threshold_ns());
    }
    if several && follows_host {
        output = output.each_once();
    }
    say(&match monitoring.address() {
        Some(address) => {
            format!("tcpkit: {does}\ntcpkit: statistics on {}", server::url(address))
        }
        None => format!("tcpkit: {does}"),
    });
    // The receiver is there until this thread ends.
    let shown = monitoring.show(&does)?;
    let _ = begin.send(does);
    let drops = privileges.is_some();
    let make = || {
        // What the first worker needs it for is done by the first worker.
        if drops && let Err(error) = privileges::give_up_all() {
            log::warn!("{error}");
        }
        let output = Output::new(cli.count());
        match &decoding {
            Some(it) => (Some(it.engine()), it.output(output, Stdout::default())),
            None => (None, output),
        }
    };
    let (ledger, result) = thread::scope(|scope| {
        let workers = match Workers::start(scope, workers, control, &make) {
            Ok(workers) => workers,
            Err(error) => {
                drop(source);
                return Err(error);
            }
        };
        let pipeline = Pipeline::new(source.as_mut(), engine, output);
        let (mut ledger, result) = pipeline.run(control, |asked, mut ledger| {
            workers.add_to(&mut ledger);
            match asked {
                AskedOfLoop::Report => report(&ledger, metrics.as_ref()),
                AskedOfLoop::Counted => control.answer(ledger),
            }
        });
        // The others end when this one is gone, however it ended.
        drop(source);
        let result = workers.join(&mut ledger, result);
        if matches!(result, Err(PipelineError::Capture(_) | PipelineError::Panicked)) {
            ledger.count_rest_as_unread();
        }
        io::Result::Ok((ledger, result))
    })?;
    let seen = shown.map_or(Ok(()), |it| it.end(result.as_ref().ok().map(|()| &ledger)));
    match result {
        // Whoever closed the output has seen enough.
        Err(PipelineError::Sink(SinkError::Closed)) => return Ok(ExitCode::SUCCESS),
        result => {
            // Of a file that is no capture there is nothing to report.
            if result.is_ok() || ledger.packets.received > 0 {
                monitoring.summarise();
                report(&ledger, metrics.as_ref());
            }
            result?;
        }
    }
    seen.context("--top ended")?;
    match ledger.output.unwritten {
        0 => Ok(exit_code.and_then(|code| code.get()).map_or(ExitCode::SUCCESS, ExitCode::from)),
        count => anyhow::bail!("{count} packets could not be written"),
    }
}

/// How packets become transactions, and where those go; for each worker anew.
struct Decoding<'a> {
    cli: &'a Cli,
    monitoring: &'a Monitoring,
    /// Where transactions go, if not to standard output.
    lines: Option<LineFile>,
    selection: Selection,
    kind: &'static SinkKind,
    /// A script gets fields, whatever is printed.
    wants_fields: bool,
    filter: CaptureFilter,
    follows_host: bool,
    workers: usize,
}

impl Decoding<'_> {
    fn engine(&self) -> Engine<RunHints> {
        let options = DecodeOptions {
            max_text: self.cli.max_text(),
            fields: self.kind.shows_fields || self.wants_fields,
            secrets: self.cli.secrets(),
        };
        let mut limits = self.cli.limits();
        limits.max_flows = limits.max_flows.div_ceil(self.workers);
        let selection = Some(self.selection.clone());
        let hints = RunHints::new(
            self.filter.clone(),
            selection,
            self.follows_host,
            self.monitoring.address(),
        );
        Engine::new(self.selection.clone(), limits, options, hints)
    }

    fn output(&self, mut output: Output, stdout: Stdout) -> Output {
        if let Some(sink) = self.monitoring.sink() {
            output = output.with_statistics(sink);
        }
        if !self.cli.prints_transactions() {
            return output;
        }
        let on_terminal = self.lines.is_none() && io::stdout().is_terminal();
        let style =
            Style { colour: self.cli.colour(on_terminal), protocol: self.selection.is_several() };
        let to: Box<dyn Write> = match &self.lines {
            Some(lines) => Box::new(lines.clone()),
            None => Box::new(stdout),
        };
        let sink = (self.kind.make)(to, style);
        output.with_transactions(sink, self.cli.threshold_ns())
    }
}

/// A source that is ready to be read.
struct Opened {
    source: Box<dyn Source>,
    /// Those of the other workers.
    workers: Vec<LiveWorker>,
    /// What packets begin with in a file of them.
    link: FileLink,
    /// Whether packets come from several interfaces.
    several: bool,
    /// Whether it is this host's traffic, now.
    follows_host: bool,
    /// What it still needs to be read.
    capabilities: Vec<Capability>,
    /// Where lines go.
    stdout: Stdout,
    /// What it does, for the user.
    does: String,
}

fn open(cli: &Cli, filter: &CaptureFilter, wants: Wants) -> anyhow::Result<Opened> {
    if let Some(file) = cli.source.read() {
        return open_file(file, filter, cli.shows_top());
    }
    let config = LiveConfig {
        interfaces: cli.source.interfaces().to_vec(),
        ring_bytes: cli.source.buffer_bytes(),
        workers: cli.workers(thread::available_parallelism().map_or(1, NonZero::get)),
        snaplen: cli.snaplen(wants.packets),
        filter,
        debug: cli.verbosity() >= 3,
        attach: AttachMode::Auto,
        hook: cli.source.hook(),
        directions: cli.source.directions(),
        promiscuous: cli.source.promiscuous(),
    };
    let opened = match cli.source.backend() {
        Backend::Packet => open_sockets(&config)?,
        Backend::Ebpf => open_ebpf(&config)?,
        Backend::Auto => match open_ebpf(&config) {
            Err(error) if error.is_about_ebpf() => {
                // Of the two reasons the first is what helps.
                let opened = open_sockets(&config).map_err(|second| for_both(&error, second))?;
                let hook = match config.hook {
                    IngressHook::Tc => "",
                    IngressHook::Xdp => ", and have no --hook",
                };
                let workers = match cli.source.workers() {
                    Some(2..) => ", and are read by one worker",
                    _ => "",
                };
                log::warn!(
                    "{error}; capturing through packet sockets instead, which cost \
                     more{hook}{workers}"
                );
                opened
            }
            opened => opened?,
        },
    };
    Ok(opened)
}

/// Neither way can be had. A filter that libpcap refuses is wrong whatever the first reason was.
fn for_both(first: &CaptureError, second: CaptureError) -> anyhow::Error {
    match second {
        CaptureError::Filter(error) => error.into(),
        second => anyhow::anyhow!("{first} (nor through packet sockets: {second})"),
    }
}

fn open_ebpf(config: &LiveConfig<'_>) -> Result<Opened, CaptureError> {
    let mut source = LiveSource::open(config)?;
    let (workers, capabilities) = (source.take_workers(), source.capabilities());
    let (link, several, names) = (source.link(), source.is_several(), source.interfaces());
    Ok(Opened { workers, capabilities, ..live(Box::new(source), link, several, &names) })
}

fn open_sockets(config: &LiveConfig<'_>) -> Result<Opened, CaptureError> {
    let source = PacketSocketSource::open(config)?;
    let (link, several, names) = (source.link(), source.is_several(), source.interfaces());
    Ok(live(Box::new(source), link, several, &names))
}

fn live(source: Box<dyn Source>, link: Option<LinkType>, several: bool, names: &str) -> Opened {
    Opened {
        source,
        workers: Vec::new(),
        link: link.map_or(FileLink::Cooked, FileLink::Same),
        several,
        follows_host: true,
        capabilities: Vec::new(),
        stdout: Stdout::default(),
        does: format!("listening on {names}"),
    }
}

fn open_file(file: &Path, filter: &CaptureFilter, shows_top: bool) -> anyhow::Result<Opened> {
    let screen = Screen::new(io::stderr().is_terminal() && !shows_top);
    let source = OfflineSource::open(file, filter, screen.clone())?;
    let on_screen = io::stdout().is_terminal();
    let stdout = if on_screen { Stdout::beside(screen) } else { Stdout::default() };
    Ok(Opened {
        source: Box::new(source),
        workers: Vec::new(),
        link: FileLink::First,
        several: false,
        follows_host: false,
        capabilities: Vec::new(),
        stdout,
        does: format!("reading from {}", file.display()),
    })
}

fn unix_now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes the ledger to stderr, and the numbers that a script made known.
fn report(ledger: &Ledger, metrics: Option<&Metrics>) {
    say(&ledger.to_string());
    if let Some(metrics) = metrics.filter(|metrics| !metrics.is_empty()) {
        say(metrics.to_string().trim_end());
    }
}
