//! Puts a run together: what the command line asks for, the thread that captures, and what signals ask.

mod capturing;
mod dump;
mod hints;
mod monitoring;
mod opening;
mod reload;
mod screen;
mod service;
mod signals;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use self::{
    capturing::{Begin, capture},
    dump::{dump, print},
    monitoring::Monitoring,
    reload::Reloader,
    signals::{Asked, Signals},
};
use crate::{
    capture::interfaces,
    cli::Cli,
    filter::CaptureFilter,
    linefile::LineFile,
    messages::{self, say},
    pipeline::Control,
    privileges, script, top,
};

/// How long the last lines may take to be written once a signal asked for the end.
const STOP_TIME: Duration = Duration::from_secs(10);

/// How long the very last word may take: stderr may be stuck, too.
const LAST_WORD_TIME: Duration = Duration::from_millis(500);

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime that waits for signals")?;
    let result = runtime.block_on(run_to_end(Arc::new(cli), filter));
    // A file that hangs while it is read again is not waited for.
    runtime.shutdown_background();
    result
}

async fn run_to_end(cli: Arc<Cli>, filter: CaptureFilter) -> anyhow::Result<ExitCode> {
    let who = if cli.script.file().is_some() { "the script or the output" } else { "the output" };
    // Before anything is attached, so that no signal finds the process unprepared.
    let mut signals = Signals::new()?;
    let control = Arc::new(Control::default());
    let monitoring = Arc::new(Monitoring::open(&cli, &control).await?);
    let lines = cli.output().map(open_lines).transpose()?;
    let privileges = cli.process.privileges()?;
    let drops = privileges.is_some();
    let (begun, mut has_begun) = oneshot::channel();
    let (done, mut ended) = oneshot::channel();
    let capture = {
        let (control, monitoring) = (Arc::clone(&control), Arc::clone(&monitoring));
        let (cli, lines) = (Arc::clone(&cli), lines.clone());
        let thread = thread::Builder::new().name("capture".into()).stack_size(CAPTURE_STACK);
        thread.spawn(move || {
            let begin = Begin { lines, privileges, begun };
            let result = capture(&cli, filter, &control, &monitoring, begin);
            // The receiver is gone only when the process is about to end.
            let _ = done.send(());
            result
        })?
    };
    // What is asked before there is anything to reload is done then.
    let mut reloads = Reloads::default();
    let mut waits = true;
    let mut stopping: Option<Instant> = None;
    loop {
        if control.is_stopping() {
            stopping.get_or_insert_with(Instant::now);
            monitoring.wake();
        }
        tokio::select! {
            _ = &mut ended => break,
            result = &mut has_begun, if waits => {
                waits = false;
                if let Ok(does) = result {
                    if drops {
                        privileges::give_up_all()?;
                    }
                    monitoring.serve();
                    service::tell(service::State::Ready(&does));
                    tokio::spawn(service::give_signs_of_life(Arc::clone(&control)));
                    reloads.begin(Reloader {
                        cli: Arc::clone(&cli),
                        control: Arc::clone(&control),
                        monitoring: Arc::clone(&monitoring),
                        lines: lines.clone(),
                        does,
                    });
                }
            }
            // A worker asked for it.
            () = control.stopped(), if stopping.is_none() => {}
            () = sleep_until(stopping.unwrap_or_else(Instant::now) + STOP_TIME), if stopping.is_some() => {
                let last = format!("tcpkit: {who} does not take the last lines; they are lost");
                end_now(1, Some(last));
            }
            () = reloads.finished() => {}
            signal = signals.next() => match signal {
                Asked::Report => control.report(),
                Asked::Reload if stopping.is_some() => {}
                Asked::Reload => reloads.ask(),
                // Once more: the output may be stuck. The kernel takes the programs off.
                Asked::Stop if stopping.is_some_and(|at| at.elapsed() >= AGAIN) => end_now(130, None),
                // A terminal that closes and timeout(1) may say so twice.
                Asked::Stop => {
                    service::tell(service::State::Stopping);
                    control.stop();
                }
            },
        }
    }
    capture.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the capture thread panicked")))
}

/// Reloads one after the other, as often as is needed to do what was asked last.
#[derive(Default)]
struct Reloads {
    reloader: Option<Arc<Reloader>>,
    running: Option<JoinHandle<()>>,
    /// Somebody asked, and it was not begun yet.
    is_asked: bool,
}

impl Reloads {
    fn begin(&mut self, reloader: Reloader) {
        self.reloader = Some(Arc::new(reloader));
        self.go_on();
    }

    fn ask(&mut self) {
        self.is_asked = true;
        self.go_on();
    }

    fn go_on(&mut self) {
        if let (Some(reloader), None, true) = (&self.reloader, &self.running, self.is_asked) {
            self.is_asked = false;
            let reloader = Arc::clone(reloader);
            self.running = Some(tokio::spawn(async move { reloader.reload().await }));
        }
    }

    /// Waits until the one that runs is over, and begins the next where one was asked for meanwhile.
    async fn finished(&mut self) {
        match &mut self.running {
            // One that panicked is over, too.
            Some(running) => drop(running.await),
            None => std::future::pending().await,
        }
        self.running = None;
        self.go_on();
    }
}

/// Ends the process whatever hangs; with a last word, if stderr takes it.
fn end_now(code: i32, last: Option<String>) -> ! {
    top::screen::leave();
    if let Some(last) = last {
        let (said, is_said) = mpsc::channel();
        thread::spawn(move || {
            messages::release();
            say(&last);
            // Nobody waits any more if it took too long.
            let _ = said.send(());
        });
        let _ = is_said.recv_timeout(LAST_WORD_TIME);
    }
    std::process::exit(code)
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
