//! The workers but the first: each reads the packets of its connections on a thread of its own, with an
//! engine and an output of its own. They share the word to stop and standard output, where each writes
//! whole lines in its turn.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{Builder, Scope, ScopedJoinHandle},
};

use crate::{
    capture::LiveWorker,
    engine::Engine,
    flow::role::Hints,
    ledger::Ledger,
    output::Output,
    pipeline::{Control, Pipeline, PipelineError},
    sink::SinkError,
};

/// What a worker ends with.
type Ended = (Ledger, Result<(), PipelineError>);

/// Workers that are reading.
pub struct Workers<'scope> {
    threads: Vec<ScopedJoinHandle<'scope, Ended>>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
}

impl<'scope> Workers<'scope> {
    /// Starts a thread for each of `sources`; `make` says what it reads with. One that ends for a
    /// reason of its own asks all to stop.
    ///
    /// # Errors
    /// The system has no more threads. All are asked to stop then.
    pub fn start<'env, H: Hints>(
        scope: &'scope Scope<'scope, 'env>,
        sources: Vec<LiveWorker>,
        control: &'scope Control,
        make: &'scope (dyn Fn() -> (Option<Engine<H>>, Output) + Sync),
    ) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::new(), ledgers: Vec::new() };
        for (number, mut source) in (1..).zip(sources) {
            let ledger = Arc::new(Mutex::new(Ledger::default()));
            let published = Arc::clone(&ledger);
            let thread =
                Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, move || {
                    let _stop = StopAtEnd(control);
                    let (engine, output) = make();
                    let pipeline = Pipeline::new(&mut source, engine, output).publish(published);
                    pipeline.run(&control.of_worker(), |_, _| {})
                });
            workers.threads.push(thread.inspect_err(|_| control.stop())?);
            workers.ledgers.push(ledger);
        }
        Ok(workers)
    }

    /// Adds what they counted so far.
    pub fn add_to(&self, ledger: &mut Ledger) {
        for published in &self.ledgers {
            ledger.add_worker(&published.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Waits for them to end, which they do once the first worker's source is read to its end or
    /// dropped, and adds what they counted.
    ///
    /// # Errors
    /// A worker ended badly, the first (`first`) or another: what matters most.
    pub fn join(
        self,
        ledger: &mut Ledger,
        first: Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let mut result = first;
        for thread in self.threads {
            let ended = match thread.join() {
                Ok((counted, ended)) => {
                    ledger.add_worker(&counted);
                    ended
                }
                Err(_) => Err(PipelineError::Panicked),
            };
            if rank(&ended) > rank(&result) {
                result = ended;
            }
        }
        result
    }
}

/// How much a worker's end matters to the user.
fn rank(ended: &Result<(), PipelineError>) -> u8 {
    match ended {
        Ok(()) => 0,
        Err(PipelineError::Sink(SinkError::Closed)) => 1,
        Err(
            PipelineError::Capture(_)
            | PipelineError::Sink(SinkError::Write(_) | SinkError::Script(_)),
        ) => 2,
        Err(PipelineError::Panicked) => 3,
    }
}

/// Asks all to stop when a worker's thread ends, also by a panic.
struct StopAtEnd<'a>(&'a Control);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
