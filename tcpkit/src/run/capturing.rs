//! The thread that captures: opens everything, drops privileges, and runs the loop to its end.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::{
    hints::RunHints,
    monitoring::Monitoring,
    opening::{Opened, open},
};
use crate::{
    cli::Cli,
    connection::Connections,
    engine::Engine,
    filter::CaptureFilter,
    ledger::Ledger,
    linefile::LineFile,
    messages::{say, say_report},
    output::{Output, Takes},
    pipeline::{Asked as AskedOfLoop, Control, Pipeline, PipelineError},
    privileges::{self, Privileges},
    protocol::{DecodeOptions, Selection},
    script::{Metrics, Script},
    server,
    sink::{
        SinkError, SinkKind, Style,
        file::{FileSink, FileSinkConfig},
        packets::PacketLines,
    },
    stdout::Stdout,
    workers::Workers,
};

/// What it begins with.
pub(super) struct Begin {
    /// Where transactions go, if not to standard output.
    pub(super) lines: Option<LineFile>,
    /// Whom to become; `None` to remain who one is.
    pub(super) privileges: Option<Privileges>,
    /// Told what the run does once it does it.
    pub(super) begun: oneshot::Sender<String>,
}

pub(super) fn capture(
    cli: &Cli,
    filter: CaptureFilter,
    control: &Control,
    monitoring: &Monitoring,
    begin: Begin,
) -> anyhow::Result<ExitCode> {
    let Begin { lines, privileges, begun } = begin;
    let lines_seen = lines.clone();
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
    if let Some(lines) = lines.as_ref().filter(|lines| !lines.can_be_reopened()) {
        let (path, user) = (lines.path().display(), privileges::user_name());
        log::info!("{path} is open, but {user} could not open it anew (SIGHUP)");
    }
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
    let shown = monitoring.show(&does)?;
    // The receiver is there until this thread ends.
    let _ = begun.send(does);
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
    let lines_lost = || lines_seen.as_ref().map_or(0, LineFile::lost);
    let (mut ledger, result) = thread::scope(|scope| {
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
            ledger.output.lost_lines = lines_lost();
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
    ledger.output.lost_lines = lines_lost();
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
    match (ledger.output.unwritten, ledger.output.lost_lines) {
        (0, 0) => {
            Ok(exit_code.and_then(|code| code.get()).map_or(ExitCode::SUCCESS, ExitCode::from))
        }
        (0, count) => anyhow::bail!("{count} lines could not be written (-o)"),
        (count, _) => anyhow::bail!("{count} packets could not be written"),
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

fn unix_now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes the ledger to stderr, and the numbers that a script made known.
fn report(ledger: &Ledger, metrics: Option<&Metrics>) {
    say_report(&ledger.to_string(), &ledger.warnings());
    if let Some(metrics) = metrics.filter(|metrics| !metrics.is_empty()) {
        say(metrics.to_string().trim_end());
    }
}
