//! Lua scripts: the user's own analysis of packets, transactions and connections (`-S`).
//!
//! A script is a [`Sink`]: it gets what other outputs get, and what it prints is an output. Its language
//! is Lua 5.2, as existing scripts expect. `scripts/library/tcpkit.lua` is what it may use.

mod budget;
mod cache;
mod connections;
mod emit;
mod errors;
mod histogram;
mod metrics;
mod packets;
mod printer;
mod state;
#[cfg(test)]
mod tests;
mod transactions;

use std::{
    cell::{Cell, RefCell},
    fs,
    io::Write,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use mlua::{Function, IntoLuaMulti, Lua, Table, chunk::ChunkMode};

use self::{
    budget::Budget,
    connections::ConnectionCalls,
    errors::{Errors, describe},
    packets::Packets,
    printer::Printer,
    state::{Exit, Shared},
    transactions::{Ends, FieldNames, Transactions},
};
pub use self::{budget::Limits as ScriptLimits, metrics::Metrics};
use crate::{
    capture::{Frame, InterfaceNames},
    connection::{Connection, Connections},
    packet::{Decoded, decode},
    sink::{Sink, SinkError},
    stdout::Stdout,
    transaction::Transaction,
};

/// What scripts may use, as an annotated Lua file for people and editors.
pub const API: &str = include_str!("../../../scripts/library/tcpkit.lua");

/// The functions of a script that are called, but `init`.
const CALLBACKS: [&str; 5] = ["process", "transaction", "connection", "tick", "finish"];

/// How a script is run.
#[derive(Debug)]
pub struct ScriptOptions {
    /// The file it is in.
    pub path: PathBuf,
    /// What its `init` gets.
    pub arguments: Vec<String>,
    /// What it may use.
    pub limits: ScriptLimits,
    /// Its first error ends the run.
    pub is_strict: bool,
    /// It may open files and run programs.
    pub allows_all: bool,
    /// Set when somebody asks for the end.
    pub stop: Arc<AtomicBool>,
}

/// Why a script cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Its file cannot be read.
    #[error("cannot read the script {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not Lua, or failed while it was loaded.
    #[error("the script {} cannot be run: {message}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// File, line and reason.
        message: String,
    },
    /// It has nothing that could be called.
    #[error(
        "the script {} has none of the functions that are called: {}(packet), {}(t), {}(c), {}(now) and \
         {}() (see --script-api)",
        path.display(), CALLBACKS[0], CALLBACKS[1], CALLBACKS[2], CALLBACKS[3], CALLBACKS[4]
    )]
    NoCallbacks {
        /// The file.
        path: PathBuf,
    },
}

/// A script that was loaded.
pub struct Script {
    options: ScriptOptions,
    lua: Lua,
    callers: Table,
    budget: Budget,
    shared: Shared,
    wants: Wants,
}

/// Which of its functions a script has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// `process`: packets.
    pub packets: bool,
    /// `transaction`: requests with their responses.
    pub transactions: bool,
    /// `connection`: what happens to connections.
    pub connections: bool,
    /// `tick`: to be called once a second.
    pub ticks: bool,
    /// `finish`: to be called at the end.
    pub finish: bool,
}

/// Whether a message begins with file and line.
fn is_placed(message: &str) -> bool {
    let first = message.lines().next().unwrap_or_default();
    let after_colons = first.split(':').skip(1);
    after_colons
        .into_iter()
        .any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Script {
    /// Loads a script, and calls its `init`.
    ///
    /// # Errors
    /// It cannot be read or run, or has nothing to call.
    pub fn load(options: ScriptOptions) -> Result<Self, ScriptError> {
        let path = options.path.clone();
        let text =
            fs::read(&path).map_err(|source| ScriptError::Read { path: path.clone(), source })?;
        let failed = |message: String| ScriptError::Load { path: path.clone(), message };
        let shared = Shared {
            printer: Printer::new(Box::new(Stdout::default())),
            metrics: Metrics::default(),
            field_names: Rc::new(RefCell::new(FieldNames::default())),
            stop: Rc::default(),
            exceeded: Rc::default(),
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let (lua, callers) = state::prepare(&shared, folder, options.allows_all)
            .map_err(|error| failed(error.to_string()))?;
        let budget = Budget::new(
            &lua,
            options.limits,
            Arc::clone(&options.stop),
            Rc::clone(&shared.exceeded),
        )
        .map_err(|error| failed(error.to_string()))?;
        let mut script = Self { options, lua, callers, budget, shared, wants: Wants::default() };
        script.run(&text).map_err(failed)?;
        script.wants = script.look();
        // One that asked for the end did what it was for.
        if script.wants == Wants::default() && script.shared.stop.get().is_none() {
            return Err(ScriptError::NoCallbacks { path });
        }
        Ok(script)
    }

    /// Runs the file itself, then its `init`.
    fn run(&self, text: &[u8]) -> Result<(), String> {
        let chunk = self
            .lua
            .load(state::without_shebang(text))
            .set_name(format!("@{}", self.options.path.display()))
            .set_mode(ChunkMode::Text)
            .into_function()
            .map_err(|error| describe(&error, None, self.options.limits))?;
        self.call(&chunk, ())?;
        if !self.has("init") {
            return Ok(());
        }
        let options = self.arguments().map_err(|error| error.to_string())?;
        let init: Function = self.callers.get("init").map_err(|error| error.to_string())?;
        self.call(&init, options).map_err(|message| match is_placed(&message) {
            true => message,
            // The script tells its user, and not where it did so: error(text, 0).
            false => message.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// Calls a function within the budget.
    fn call(&self, function: &Function, arguments: impl IntoLuaMulti) -> Result<(), String> {
        self.budget.begin();
        let result = function.call::<()>(arguments);
        self.end(result).map_or(Ok(()), Err)
    }

    /// What went wrong in a call, if anything.
    fn end(&self, result: mlua::Result<()>) -> Option<String> {
        let exceeded = match self.budget.end(&self.lua) {
            Ok(exceeded) => exceeded,
            Err(error) => return Some(error.to_string()),
        };
        match result {
            Ok(()) => None,
            Err(error) if error.downcast_ref::<Exit>().is_some() => None,
            Err(error) => Some(describe(&error, exceeded, self.budget.limits())),
        }
    }

    /// The words behind `--`, and by name those of the form `name=value`.
    fn arguments(&self) -> mlua::Result<Table> {
        let options =
            self.lua.create_sequence_from(self.options.arguments.iter().map(String::as_str))?;
        for word in &self.options.arguments {
            if let Some((name, value)) = word.trim_start_matches('-').split_once('=') {
                options.set(name, value)?;
            }
        }
        Ok(options)
    }

    fn has(&self, name: &str) -> bool {
        matches!(self.lua.globals().raw_get::<mlua::Value>(name), Ok(mlua::Value::Function(_)))
    }

    fn look(&self) -> Wants {
        let [packets, transactions, connections, ticks, finish] =
            CALLBACKS.map(|name| self.has(name));
        Wants { packets, transactions, connections, ticks, finish }
    }

    /// Which of its functions it has.
    #[must_use]
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// The numbers that it makes known.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.clone()
    }

    /// What the agent is to exit with, once the script said so.
    #[must_use]
    pub fn exit_code(&self) -> Rc<Cell<Option<u8>>> {
        Rc::clone(&self.shared.stop)
    }

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
        let failed = |error: mlua::Error| ScriptError::Load {
            path: self.options.path.clone(),
            message: error.to_string(),
        };
        Ok(ScriptSink {
            packets: Packets::new(&self.lua, &self.callers, names.clone()).map_err(failed)?,
            transactions: Transactions::new(&self.lua, &self.callers).map_err(failed)?,
            connection_calls: ConnectionCalls::new(&self.callers, names).map_err(failed)?,
            ends: Ends::new(&self.callers).map_err(failed)?,
            tick: self.callers.get("tick").map_err(failed)?,
            finish: self.callers.get("finish").map_err(failed)?,
            connections,
            told: Vec::new(),
            errors: Errors::default(),
            is_broken: false,
            script: self,
        })
    }
}

/// A script as an output.
pub struct ScriptSink {
    script: Script,
    packets: Packets,
    transactions: Transactions,
    connection_calls: ConnectionCalls,
    ends: Ends,
    tick: Function,
    finish: Function,
    connections: Connections,
    /// What happened to connections and was not handed over yet.
    told: Vec<Connection>,
    errors: Errors,
    /// An error was to end the run: nothing is called any more.
    is_broken: bool,
}

impl ScriptSink {
    /// What to do about the result of a callback.
    #[inline]
    fn after(&mut self, callback: &str, result: mlua::Result<()>) -> Result<(), SinkError> {
        if result.is_err() {
            self.failed(callback, result)?;
        }
        Ok(())
    }

    #[cold]
    fn failed(&mut self, callback: &str, result: mlua::Result<()>) -> Result<(), SinkError> {
        // First, since nothing runs on within a budget that is used up.
        let error = self.script.end(result);
        let left = self.packets.leave();
        let error = error.or_else(|| left.err().map(|error| error.to_string()));
        let Some(error) = error else { return Ok(()) };
        let text = format!("{callback}: {error}");
        if self.script.options.is_strict {
            self.is_broken = true;
            self.errors.count_only();
            return Err(SinkError::Script(format!("the script failed in {text}")));
        }
        self.errors.add(&format!("the script failed in {text}"));
        Ok(())
    }

    fn tell_connections(&mut self) -> Result<(), SinkError> {
        for it in std::mem::take(&mut self.told) {
            if self.is_over() {
                break;
            }
            self.script.budget.begin();
            let result = self.connection_calls.call(&self.script.lua, &it, &mut self.ends);
            self.after("connection", result)?;
        }
        Ok(())
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
        if !self.told.is_empty() {
            self.tell_connections()?;
        }
        if !self.script.wants.packets || self.is_over() {
            return Ok(());
        }
        self.script.budget.begin();
        let lua = &self.script.lua;
        let result = self.packets.process(lua, frame, &packet, direction, unix_ns);
        self.after("process", result)
    }

    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        if self.is_over() {
            return Ok(());
        }
        self.script.budget.begin();
        let Script { lua, shared, .. } = &self.script;
        let names = &shared.field_names;
        let result = self.transactions.call(lua, transaction, &mut self.ends, names);
        self.after("transaction", result)
    }

    fn on_time(&mut self, unix_ns: u64) -> Result<(), SinkError> {
        self.packets.forget_names();
        let told = &mut self.told;
        self.connections.sweep(unix_ns, &mut |it| told.push(*it));
        self.tell_connections()?;
        if self.script.wants.ticks && !self.is_over() {
            self.script.budget.begin();
            let result = self.tick.call(unix_ns / 1_000_000_000);
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
        let mut result = self.tell_connections();
        // A script that asked for the end has its last word all the same.
        if self.script.wants.finish && !self.is_broken {
            self.script.budget.begin();
            let finished = self.finish.call(());
            result = self.after("finish", finished);
        }
        // What was printed before an error is printed.
        let flushed = self.flush();
        result.and(flushed)
    }

    fn is_done(&self) -> bool {
        self.is_over()
    }

    fn errors(&self) -> u64 {
        self.errors.count()
    }
}
