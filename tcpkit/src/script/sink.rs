//! A script as an output: which of its functions is called when, and what becomes of it when they fail.

use std::{
    cell::Cell,
    io::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use mlua::Function;

use super::{
    Script, ScriptError, Wants,
    connections::ConnectionCalls,
    errors::Errors,
    packets::Packets,
    transactions::{Ends, Transactions},
};
use crate::{
    capture::{Frame, InterfaceNames},
    connection::{Connection, Connections},
    ledger::ScriptCounts,
    packet::{Decoded, decode},
    reload::Reload,
    sink::{Sink, SinkError},
    transaction::Transaction,
};

/// So often the script's memory is looked at, in calls.
const CALLS_PER_LOOK: u32 = 1024;

/// At least so long lies between two collections that the agent asks for: each takes a part of a second
/// where much is kept.
const BETWEEN_COLLECTIONS: Duration = Duration::from_secs(1);

impl Script {
    /// The output that runs it: prints to `output`, knows interfaces by `names`, and connections by
    /// `connections`.
    ///
    /// # Errors
    /// It needs more memory than it may use.
    pub fn into_sink(
        self,
        output: Box<dyn Write>,
        names: InterfaceNames,
        connections: Connections,
    ) -> Result<ScriptSink, ScriptError> {
        self.shared.printer.redirect(output);
        Ok(ScriptSink {
            calls: Calls::new(&self, &names)?,
            names,
            connections,
            told: Vec::new(),
            counts: ScriptCounts { runs: true, ..ScriptCounts::default() },
            errors: Errors::default(),
            is_broken: false,
            calls_to_look: CALLS_PER_LOOK,
            collected_at: None,
            wants_at_start: self.wants,
            exit_code: self.exit_code(),
            script: self,
        })
    }
}

/// The script's functions, and what is handed to them.
struct Calls {
    packets: Packets,
    transactions: Transactions,
    connections: ConnectionCalls,
    ends: Ends,
    tick: Function,
    finish: Function,
}

impl Calls {
    fn new(script: &Script, names: &InterfaceNames) -> Result<Self, ScriptError> {
        let Script { lua, callers, options, .. } = script;
        let make = || {
            Ok(Self {
                packets: Packets::new(lua, callers, names.clone())?,
                transactions: Transactions::new(lua, callers)?,
                connections: ConnectionCalls::new(callers, names.clone())?,
                ends: Ends::new(callers)?,
                tick: callers.get("tick")?,
                finish: callers.get("finish")?,
            })
        };
        make().map_err(|error: mlua::Error| ScriptError::Load {
            path: options.path.clone(),
            message: error.to_string(),
        })
    }
}

/// A script as an output.
pub struct ScriptSink {
    script: Script,
    calls: Calls,
    /// What was prepared for when the run began.
    wants_at_start: Wants,
    /// Where the run looks for what to exit with: the first script's.
    exit_code: Rc<Cell<Option<u8>>>,
    names: InterfaceNames,
    connections: Connections,
    /// What happened to connections and was not handed over yet.
    told: Vec<Connection>,
    counts: ScriptCounts,
    errors: Errors,
    /// Nothing is called any more: an error was to end the run, or the script keeps too much.
    is_broken: bool,
    calls_to_look: u32,
    /// When the agent last asked the script's state to give back what nobody keeps.
    collected_at: Option<Instant>,
}

impl ScriptSink {
    /// What to do about the result of a callback.
    #[inline]
    fn after(&mut self, callback: &str, result: mlua::Result<()>) -> Result<(), SinkError> {
        // A script may catch the error that ends a call, and go on to its end.
        if result.is_err() || self.script.budget.is_exceeded() {
            self.failed(callback, result)?;
        }
        self.calls_to_look = self.calls_to_look.saturating_sub(1);
        if self.calls_to_look == 0 {
            self.calls_to_look = CALLS_PER_LOOK;
            self.look_at_memory(false)?;
        }
        if self.script.shared.printer.has_failed() { self.check_output() } else { Ok(()) }
    }

    #[cold]
    fn failed(&mut self, callback: &str, result: mlua::Result<()>) -> Result<(), SinkError> {
        let is_strict = self.script.options.is_strict;
        let wants_memory = result.as_ref().is_err_and(super::errors::is_memory);
        let is_shown = is_strict || wants_memory || self.errors.is_due();
        // First, since nothing runs on within a budget that is used up.
        let error = self.script.end(result, is_shown);
        let left = self.calls.packets.leave();
        let error = error.or_else(|| left.err().map(|error| error.to_string()));
        let Some(error) = error else { return Ok(()) };
        self.errors.count_one();
        let text = format!("the script failed in {callback}: {error}");
        if is_strict {
            self.is_broken = true;
            return Err(SinkError::Script(text));
        }
        self.errors.show(&text);
        if wants_memory { self.look_at_memory(true) } else { Ok(()) }
    }

    /// Sees to it that a script that keeps nearly all it may does not take all time for looking for more:
    /// then every few allocations are a collection of everything.
    fn look_at_memory(&mut self, now: bool) -> Result<(), SinkError> {
        let limit = self.script.options.limits.memory_bytes;
        let is_full = |script: &Script| limit > 0 && script.lua.used_memory() > limit / 10 * 9;
        let is_early = self.collected_at.is_some_and(|at| at.elapsed() < BETWEEN_COLLECTIONS);
        if !is_full(&self.script) || is_early && !now {
            return Ok(());
        }
        let collected = self.script.lua.gc_collect();
        self.collected_at = Some(Instant::now());
        if collected.is_ok() && !is_full(&self.script) {
            return Ok(());
        }
        self.is_broken = true;
        self.counts.gave_up = true;
        let text = format!(
            "the script keeps nearly all of the {} MiB that it may use (--script-budget): it is not called \
             any more",
            limit >> 20
        );
        if self.script.options.is_strict {
            return Err(SinkError::Script(text));
        }
        log::error!("{text}");
        Ok(())
    }

    /// Lets the script have its last word, also one that asked for the end.
    fn end(&mut self) -> Result<(), SinkError> {
        let mut result = Ok(());
        if self.script.wants.finish && !self.is_broken {
            self.script.budget.begin();
            let finished = self.calls.finish.call(());
            result = self.after("finish", finished);
        }
        // What was printed before an error is printed.
        let flushed = self.flush();
        result.and(flushed)
    }

    fn tell_connections(&mut self) -> Result<(), SinkError> {
        if self.told.is_empty() {
            return Ok(());
        }
        let mut told = std::mem::take(&mut self.told);
        let result = told.iter().try_for_each(|it| self.tell(it));
        told.clear();
        self.told = told;
        result
    }

    fn tell(&mut self, it: &Connection) -> Result<(), SinkError> {
        if !self.script.wants.connections || self.is_over() {
            return Ok(());
        }
        self.counts.events += 1;
        self.script.budget.begin();
        let Calls { connections, ends, .. } = &mut self.calls;
        let result = connections.call(&self.script.lua, it, ends);
        self.after("connection", result)
    }

    /// Whether the script is not to be called any more.
    fn is_over(&self) -> bool {
        self.is_broken || self.script.shared.stop.get().is_some()
    }

    fn check_output(&self) -> Result<(), SinkError> {
        self.script.shared.printer.take_error().map_or(Ok(()), Err)
    }
}

impl Sink for ScriptSink {
    fn on_packet(&mut self, frame: &Frame<'_>, unix_ns: u64) -> Result<(), SinkError> {
        let packet = decode(frame);
        let told = &mut self.told;
        let direction = match &packet {
            Decoded::Tcp(segment) => {
                self.connections.on_segment(frame, segment, unix_ns, &mut |it| told.push(*it))
            }
            Decoded::Udp(datagram) => self.connections.on_datagram(datagram),
            Decoded::Other(_) => return Ok(()),
        };
        self.tell_connections()?;
        if !self.script.wants.packets || self.is_over() {
            return Ok(());
        }
        self.counts.packets += 1;
        self.script.budget.begin();
        let lua = &self.script.lua;
        let result = self.calls.packets.process(lua, frame, &packet, direction, unix_ns);
        self.after("process", result)
    }

    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        if !self.script.wants.transactions || self.is_over() {
            return Ok(());
        }
        self.counts.transactions += 1;
        self.script.budget.begin();
        let Script { lua, shared, .. } = &self.script;
        let names = &shared.field_names;
        let Calls { transactions, ends, .. } = &mut self.calls;
        let result = transactions.call(lua, transaction, ends, names);
        self.after("transaction", result)
    }

    fn on_time(&mut self, unix_ns: u64, now_ns: u64) -> Result<(), SinkError> {
        self.calls.packets.forget_names();
        let told = &mut self.told;
        self.connections.sweep(now_ns, unix_ns, &mut |it| told.push(*it));
        self.tell_connections()?;
        if self.script.wants.ticks && !self.is_over() {
            self.script.budget.begin();
            let result = self.calls.tick.call(unix_ns / 1_000_000_000);
            self.after("tick", result)?;
        }
        self.check_output()
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.script.shared.printer.flush();
        self.check_output()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let told = &mut self.told;
        self.connections.finish(&mut |it| told.push(*it));
        let told = self.tell_connections();
        told.and(self.end())
    }

    fn on_reload(&mut self, reload: &Reload) -> Result<(), SinkError> {
        let Some(options) = &reload.script else { return Ok(()) };
        let before = self.script.metrics().take();
        let next = self.script.load_next(options.clone(), self.wants_at_start);
        let next = next.and_then(|next| Calls::new(&next, &self.names).map(|calls| (next, calls)));
        let made = self.script.metrics().replace(before);
        match next {
            Ok((next, calls)) => {
                let ended = self.end();
                (self.script, self.calls, self.is_broken) = (next, calls, false);
                self.script.metrics().replace(made);
                self.counts.gave_up = false;
                self.calls_to_look = CALLS_PER_LOOK;
                log::info!("the script {} was loaded anew", options.path.display());
                ended
            }
            Err(error) => {
                log::error!("{error}; the script that was loaded before goes on");
                Ok(())
            }
        }
    }

    fn is_done(&self) -> bool {
        let asked = self.script.shared.stop.get();
        if asked.is_some() {
            self.exit_code.set(asked);
        }
        asked.is_some()
    }

    fn script(&self) -> ScriptCounts {
        ScriptCounts { errors: self.errors.count(), ..self.counts }
    }
}
