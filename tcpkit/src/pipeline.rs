//! The one loop: frames from a source through the engine to the sinks, until somebody says stop.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    capture::{CaptureError, Frame, Progress, Source},
    engine::Engine,
    flow::role::Hints,
    ledger::Ledger,
    output::Output,
    reload::{Reload, Reloads},
    sink::SinkError,
};

/// How a loop gets on.
#[derive(Debug, Default)]
struct Round {
    /// It went round since somebody looked last.
    went_round: AtomicBool,
    /// How many reloads it goes by.
    reloads: AtomicU64,
}

/// What other threads ask of the loop.
#[derive(Debug, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    /// Tells those who wait that `stop` was set.
    stopped: Arc<Notify>,
    report: AtomicBool,
    /// Whether somebody waits for what was counted so far.
    is_asked: AtomicBool,
    /// What was counted when the loop answered last, and when that was: before there was an answer, when
    /// somebody asked first.
    counted: Mutex<(Option<Instant>, Ledger)>,
    /// Tells those who wait that it was renewed.
    was_counted: Notify,
    /// What is wanted from now on.
    reloads: Reloads,
    /// How this loop gets on.
    round: Arc<Round>,
    /// The same of the workers' loops.
    others: Mutex<Vec<Arc<Round>>>,
    /// Whether the end of this loop is the end of all others.
    ends_all: bool,
}

impl Control {
    /// Asks the loop to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_one();
    }

    /// Whether somebody asked the loop to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Set when somebody asks the loop to end.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Waits until somebody asked the loop to end. One caller may.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// The same for a worker: it is stopped with the others, its own end stops them, and it reports to
    /// nobody.
    #[must_use]
    pub fn of_worker(&self) -> Self {
        let round = Arc::default();
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&round));
        Self {
            round,
            stop: Arc::clone(&self.stop),
            stopped: Arc::clone(&self.stopped),
            reloads: self.reloads.clone(),
            ends_all: true,
            ..Self::default()
        }
    }

    /// Asks the loop what was counted so far, and waits for that, but no longer than `time`: then it is
    /// what was known before. The loop may be stuck at its output, and has ended at the end.
    pub async fn counted(&self, time: Duration) -> Ledger {
        let mut answer = std::pin::pin!(self.was_counted.notified());
        answer.as_mut().enable();
        self.is_asked.store(true, Ordering::Relaxed);
        let is_fresh = tokio::time::timeout(time, answer).await.is_ok();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let at = *counted.0.get_or_insert_with(Instant::now);
        let mut ledger = counted.1.clone();
        ledger.age_s = if is_fresh { 0 } else { at.elapsed().as_secs() };
        ledger
    }

    /// Answers those who asked.
    pub fn answer(&self, ledger: Ledger) {
        let answer = (Some(Instant::now()), ledger);
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        self.was_counted.notify_waiters();
    }

    /// Whether all loops went round since this was asked last: none hangs, or waits for an output.
    #[must_use]
    pub fn all_went_round(&self) -> bool {
        // Each is looked at, also behind one that did not.
        self.of_all(|round| round.went_round.swap(false, Ordering::Relaxed))
    }

    fn of_all(&self, is_so: impl Fn(&Round) -> bool) -> bool {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let all = others.iter().chain([&self.round]);
        all.map(|one| is_so(one)).fold(true, |all, one| all & one)
    }

    /// Tells all loops what is wanted from now on, and waits until they go by it, but no longer than
    /// `time`. Returns whether they do.
    pub async fn reload(&self, reload: Reload, time: Duration) -> bool {
        let count = self.reloads.push(reload);
        let all_do = || self.of_all(|round| round.reloads.load(Ordering::Acquire) >= count);
        let applied = async {
            loop {
                let mut more = std::pin::pin!(self.reloads.applied());
                more.as_mut().enable();
                if all_do() {
                    return;
                }
                more.await;
            }
        };
        tokio::time::timeout(time, applied).await.is_ok()
    }

    /// Asks the loop to report its ledger.
    pub fn report(&self) {
        self.report.store(true, Ordering::Relaxed);
    }
}

/// What somebody asked of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To report its ledger ([`Control::report`]).
    Report,
    /// What it counted ([`Control::counted`]), which [`Control::answer`] takes.
    Counted,
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
    /// A bug: a worker ended in the midst of its work, and what it counted is not known.
    #[error("a worker panicked; what it read is missing")]
    Panicked,
}

/// How long lines may wait in buffers while packets keep coming, in ns of packet time.
const FLUSH_NS: u64 = 10_000_000;

/// How often outputs are told what was counted, in ns.
const LEDGER_NS: u64 = 1_000_000_000;

/// A source, what is made of its frames, and where that goes.
pub struct Pipeline<'a, H> {
    /// Where frames come from.
    pub source: &'a mut dyn Source,
    /// What makes transactions of them; `None` when packets alone are wanted.
    pub engine: Option<Engine<H>>,
    /// Where packets and transactions go.
    pub output: Output,
    /// Frames that came while there was no engine.
    packets: u64,
    /// The latest time that the source told, in ns.
    now_ns: u64,
    flushed_ns: u64,
    told_ns: u64,
    /// Where others find what was counted.
    published: Option<Arc<Mutex<Ledger>>>,
}

impl<'a, H: Hints> Pipeline<'a, H> {
    /// Joins the three.
    pub fn new(source: &'a mut dyn Source, mut engine: Option<Engine<H>>, output: Output) -> Self {
        if let Some(engine) = &mut engine {
            engine.leave_out_below(output.least_ns());
        }
        Self {
            source,
            engine,
            output,
            packets: 0,
            now_ns: 0,
            flushed_ns: 0,
            told_ns: 0,
            published: None,
        }
    }

    /// Writes what was counted to `ledger`, whenever lines are flushed.
    #[must_use]
    pub fn publish(mut self, ledger: Arc<Mutex<Ledger>>) -> Self {
        self.published = Some(ledger);
        self
    }

    /// Runs until the source ends, `control` says stop, or the output is done. `on_asked` gets the
    /// ledger whenever somebody asked for it. Returns the ledger of the whole run, and what ended it
    /// badly: the source broke or an output takes no more; in both cases what was captured before
    /// has been handed to the sinks that still work.
    pub fn run(
        mut self,
        control: &Control,
        mut on_asked: impl FnMut(Asked, Ledger),
    ) -> (Ledger, Result<(), PipelineError>) {
        let mut ending = Ok(());
        let mut reloads = 0;
        while !control.is_stopping() && !self.output.is_done() {
            control.round.went_round.store(true, Ordering::Relaxed);
            if let Some(reload) = control.reloads.unseen(&mut reloads) {
                self.reload(&reload);
                control.round.reloads.store(reloads, Ordering::Release);
                control.reloads.tell_applied();
            }
            for (is_asked, asked) in
                [(&control.report, Asked::Report), (&control.is_asked, Asked::Counted)]
            {
                if is_asked.load(Ordering::Relaxed) {
                    is_asked.store(false, Ordering::Relaxed);
                    on_asked(asked, self.ledger().running());
                }
            }
            match self.step(Some(control)) {
                Ok(Progress::Busy) => {
                    let is_due = self.now_ns.saturating_sub(self.flushed_ns) >= FLUSH_NS;
                    if is_due && self.source.is_live() {
                        self.flush();
                    }
                }
                Ok(Progress::Idle { now_ns }) => {
                    self.now_ns = self.now_ns.max(now_ns);
                    let Self { engine, output, .. } = &mut self;
                    if let Some(engine) = engine {
                        engine.advance(now_ns, &mut |transaction| output.take(transaction));
                    }
                    output.advance(now_ns);
                    self.flush();
                }
                Ok(Progress::Eof) => break,
                Err(error) => {
                    ending = Err(error);
                    break;
                }
            }
        }
        if control.ends_all {
            // Before the rest is read, which ends when the first worker's source has been stopped.
            control.stop();
        }
        let unread = match &ending {
            Ok(()) => self.drain(),
            Err(_) => {
                if let Err(error) = self.source.stop() {
                    log::warn!("{error}");
                }
                0
            }
        };
        let Self { engine, output, .. } = &mut self;
        if let Some(engine) = engine {
            engine.finish(&mut |transaction| output.take(transaction));
        }
        let mut ledger = self.ledger();
        ledger.unread += unread;
        self.output.finish(&ledger);
        self.output.count(&mut ledger);
        let result = match (ending, self.output.take_error()) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(error)) => Err(error.into()),
            (Ok(()), None) => Ok(()),
        };
        (ledger, result)
    }

    #[cold]
    fn reload(&mut self, reload: &Reload) {
        self.output.reload(reload);
        if let Some(engine) = &mut self.engine {
            engine.leave_out_below(self.output.least_ns());
        }
    }

    fn step(&mut self, control: Option<&Control>) -> Result<Progress, CaptureError> {
        let Self { source, engine, output, packets, now_ns, .. } = self;
        let offset_ns = source.wall_offset_ns();
        output.set_wall_offset_ns(offset_ns);
        if let Some(engine) = engine.as_mut() {
            engine.set_wall_offset_ns(offset_ns);
        }
        source.read(&mut |frame: Frame<'_>| {
            *now_ns = frame.time_ns.max(*now_ns);
            output.advance(*now_ns);
            output.take_packet(&frame);
            match engine.as_mut() {
                Some(engine) => {
                    engine.on_frame(&frame, &mut |transaction| output.take(transaction));
                }
                None => *packets += 1,
            }
            if output.is_done() || control.is_some_and(Control::is_stopping) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    }

    /// Stops the source and reads what it had captured until then, as far as the output still takes
    /// it. Returns how many frames were not read.
    fn drain(&mut self) -> u64 {
        let mut unread = 0;
        if let Err(error) = self.source.stop() {
            log::warn!("{error}");
            return 0;
        }
        loop {
            let progress = if self.output.is_done() {
                self.source.read(&mut |_| {
                    unread += 1;
                    ControlFlow::Continue(())
                })
            } else {
                self.step(None)
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

    fn flush(&mut self) {
        self.flushed_ns = self.now_ns;
        if self.output.wants_ledger() && self.now_ns.saturating_sub(self.told_ns) >= LEDGER_NS {
            self.told_ns = self.now_ns;
            let ledger = self.ledger().running();
            self.output.tell(&ledger);
        }
        // Before the lines can be seen: whoever has seen them will find them counted.
        if let Some(published) = &self.published {
            let ledger = self.ledger().running();
            *published.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
        }
        self.output.flush();
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = match &self.engine {
            Some(engine) => engine.ledger().clone(),
            None => Ledger::of_packets(self.packets),
        };
        self.output.count(&mut ledger);
        ledger.bad_records = self.source.bad_records();
        ledger.unread = self.source.outside();
        ledger.knows_refused = self.source.counts_refused();
        match self.source.kernel_counters() {
            Ok(counters) => ledger.kernel = counters,
            Err(error) => log::warn!("the kernel's counters are missing from the ledger: {error}"),
        }
        match self.source.interface_counters() {
            Ok(counters) => ledger.interfaces = counters,
            Err(error) => log::warn!("interfaces are missing from the ledger: {error}"),
        }
        ledger
    }
}
