//! The one loop: frames from a source through the engine to the sinks, until somebody says stop.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    capture::{CaptureError, Progress, Source},
    engine::Engine,
    flow::role::Hints,
    ledger::Ledger,
    sink::{Sink, SinkError},
    transaction::Transaction,
};

/// What other threads ask of the loop.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    report: AtomicBool,
}

impl Control {
    /// Asks the loop to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked the loop to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks the loop to report its ledger.
    pub fn report(&self) {
        self.report.store(true, Ordering::Relaxed);
    }
}

/// Which transactions are written, and where.
pub struct Output {
    sinks: Vec<Box<dyn Sink>>,
    threshold_ns: u64,
    /// How many more are written; `None` for all.
    left: Option<u64>,
    printed: u64,
    error: Option<SinkError>,
}

impl Output {
    /// Writes transactions of at least `threshold_ns` to all `sinks`, `count` of them at most.
    #[must_use]
    pub fn new(sinks: Vec<Box<dyn Sink>>, threshold_ns: u64, count: Option<u64>) -> Self {
        Self { sinks, threshold_ns, left: count, printed: 0, error: None }
    }

    fn take(&mut self, transaction: &Transaction<'_>) {
        if transaction.timing.latency_ns() < self.threshold_ns || self.is_done() {
            return;
        }
        for sink in &mut self.sinks {
            if let Err(error) = sink.on_transaction(transaction) {
                self.error = Some(error);
            }
        }
        self.printed += 1;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }

    fn is_done(&self) -> bool {
        self.left == Some(0) || self.error.is_some()
    }

    fn flush(&mut self) {
        for sink in &mut self.sinks {
            if let Err(error) = sink.flush() {
                self.error = Some(error);
            }
        }
    }
}

/// Why the loop ended badly.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source broke.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An output takes no more.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// How long lines may wait in buffers while packets keep coming, in ns of packet time.
const FLUSH_NS: u64 = 10_000_000;

/// Runs until the source ends, `control` says stop, or the output is done. `on_report` gets the
/// ledger whenever somebody asked for it. Returns the ledger of the whole run, and what ended it
/// badly: the source broke or an output takes no more; in both cases what was captured before has
/// been handed to the sinks that still work.
pub fn run<H: Hints>(
    source: &mut dyn Source,
    engine: &mut Engine<H>,
    output: &mut Output,
    control: &Control,
    mut on_report: impl FnMut(&Ledger),
) -> (Ledger, Result<(), PipelineError>) {
    let mut flushed_ns = 0;
    let mut ending = Ok(());
    while !control.is_stopping() && !output.is_done() {
        if control.report.swap(false, Ordering::Relaxed) {
            on_report(&ledger(source, engine, output).running());
        }
        match step(source, engine, output, Some(control)) {
            Ok(Progress::Busy) => {
                if engine.now_ns().saturating_sub(flushed_ns) >= FLUSH_NS {
                    flushed_ns = engine.now_ns();
                    output.flush();
                }
            }
            Ok(Progress::Idle { now_ns }) => {
                engine.advance(now_ns, &mut |transaction| output.take(transaction));
                output.flush();
            }
            Ok(Progress::Eof) => break,
            Err(error) => {
                ending = Err(error);
                break;
            }
        }
    }
    let unread = match &ending {
        Ok(()) => drain(source, engine, output),
        Err(_) => 0,
    };
    engine.finish(&mut |transaction| output.take(transaction));
    output.flush();
    let mut ledger = ledger(source, engine, output);
    ledger.unread += unread;
    let result = match (ending, output.error.take()) {
        (Err(error), _) => Err(error.into()),
        (Ok(()), Some(error)) => Err(error.into()),
        (Ok(()), None) => Ok(()),
    };
    (ledger, result)
}

fn step<H: Hints>(
    source: &mut dyn Source,
    engine: &mut Engine<H>,
    output: &mut Output,
    control: Option<&Control>,
) -> Result<Progress, CaptureError> {
    engine.set_wall_offset_ns(source.wall_offset_ns());
    source.read(&mut |frame| {
        engine.on_frame(&frame, &mut |transaction| output.take(transaction));
        if output.is_done() || control.is_some_and(Control::is_stopping) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
}

/// Stops the source and reads what it had captured until then, as far as the output still takes it.
/// Returns how many frames were not read.
fn drain<H: Hints>(source: &mut dyn Source, engine: &mut Engine<H>, output: &mut Output) -> u64 {
    let mut unread = 0;
    if let Err(error) = source.stop() {
        log::warn!("{error}");
        return 0;
    }
    loop {
        let progress = if output.is_done() {
            source.read(&mut |_| {
                unread += 1;
                ControlFlow::Continue(())
            })
        } else {
            step(source, engine, output, None)
        };
        match progress {
            Ok(Progress::Busy | Progress::Idle { .. }) => {}
            Ok(Progress::Eof) => return unread,
            Err(error) => {
                log::warn!("{error}");
                return unread;
            }
        }
    }
}

fn ledger<H: Hints>(source: &dyn Source, engine: &Engine<H>, output: &Output) -> Ledger {
    let mut ledger = engine.ledger().clone();
    ledger.printed = output.printed;
    ledger.bad_records = source.bad_records();
    ledger.unread = source.outside();
    match source.kernel_counters() {
        Ok(counters) => ledger.kernel = counters,
        Err(error) => log::warn!("the kernel's counters are missing from the ledger: {error}"),
    }
    ledger
}
