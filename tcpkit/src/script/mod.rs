//! Lua scripts: the user's own analysis of packets, transactions and connections (`-S`).
//!
//! A script is a [`Sink`](crate::sink::Sink): it gets what other outputs get, and what it prints is an
//! output. Its language is Lua 5.2, as existing scripts expect. `scripts/library/tcpkit.lua` is what it
//! may use.

mod budget;
mod cache;
mod connections;
mod emit;
mod errors;
mod histogram;
mod metrics;
mod packets;
mod printer;
mod sink;
mod state;
#[cfg(test)]
mod tests;
mod transactions;

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use mlua::{Function, IntoLuaMulti, Lua, Table, chunk::ChunkMode};

use self::{
    budget::Budget,
    errors::{TRACEBACK, describe},
    printer::Printer,
    state::{Exit, Shared},
    transactions::FieldNames,
};
pub use self::{budget::Limits as ScriptLimits, metrics::Metrics, sink::ScriptSink};
use crate::stdout::Stdout;

/// What scripts may use, as an annotated Lua file for people and editors.
pub const API: &str = include_str!("../../../scripts/library/tcpkit.lua");

/// The functions of a script that are called, but `init`.
const CALLBACKS: [&str; 5] = ["process", "transaction", "connection", "tick", "finish"];

/// How a script is run.
#[derive(Clone, Debug)]
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
    /// It wants what nothing was prepared for.
    #[error(
        "the script {} now has the function {function}, which it had not when the agent began: that needs \
         a new start", path.display()
    )]
    WantsMore {
        /// The file.
        path: PathBuf,
        /// The function's name.
        function: &'static str,
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

impl Wants {
    /// What of this costs something to have, and is not among `other`.
    fn beyond(self, other: Self) -> Option<&'static str> {
        let wants = [
            (self.packets && !other.packets, CALLBACKS[0]),
            (self.transactions && !other.transactions, CALLBACKS[1]),
            (self.connections && !other.connections, CALLBACKS[2]),
        ];
        wants.into_iter().find_map(|(wants, name)| wants.then_some(name))
    }
}

impl Script {
    /// Loads a script, and calls its `init`.
    ///
    /// # Errors
    /// It cannot be read or run, or has nothing to call.
    pub fn load(options: ScriptOptions) -> Result<Self, ScriptError> {
        Self::load_with(options, Metrics::default())
    }

    /// Loads the script that is to take this one's place: its numbers are known where this one's were.
    ///
    /// # Errors
    /// As [`Self::load`]; or it wants more than `was`, what was prepared for when the run began.
    fn load_next(&self, options: ScriptOptions, was: Wants) -> Result<Self, ScriptError> {
        let path = options.path.clone();
        let next = Self::load_with(options, self.shared.metrics.clone())?;
        match next.wants.beyond(was) {
            Some(function) => Err(ScriptError::WantsMore { path, function }),
            None => Ok(next),
        }
    }

    fn load_with(options: ScriptOptions, metrics: Metrics) -> Result<Self, ScriptError> {
        let path = options.path.clone();
        let text =
            fs::read(&path).map_err(|source| ScriptError::Read { path: path.clone(), source })?;
        let failed = |message: String| ScriptError::Load { path: path.clone(), message };
        let shared = Shared {
            printer: Printer::new(Box::new(Stdout::default())),
            metrics,
            field_names: Rc::new(RefCell::new(FieldNames::default())),
            stop: Rc::default(),
            exceeded: Rc::default(),
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let (lua, callers) =
            state::prepare(&shared, folder, options.allows_all, options.limits.memory_bytes)
                .map_err(|error| failed(error.to_string()))?;
        let budget = Budget::new(
            &lua,
            options.limits,
            Arc::clone(&options.stop),
            Rc::clone(&shared.exceeded),
        )
        .map_err(|error| failed(error.to_string()))?;
        let mut script = Self { options, lua, callers, budget, shared, wants: Wants::default() };
        script.run(&text).map_err(|message| {
            // What it printed before, perhaps for its user.
            script.shared.printer.flush();
            failed(message)
        })?;
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
        self.call(&init, options).map_err(|message| {
            // error(text, 0): the script tells its user something, and not where it does so.
            let place = format!("{}:", self.options.path.display());
            match message.split_once(TRACEBACK) {
                Some((text, _)) if !text.starts_with(&place) => text.to_owned(),
                _ => message,
            }
        })
    }

    /// Calls a function within the budget.
    fn call(&self, function: &Function, arguments: impl IntoLuaMulti) -> Result<(), String> {
        self.budget.begin();
        let result = function.call::<()>(arguments);
        self.end(result, true).map_or(Ok(()), Err)
    }

    /// What went wrong in a call, if anything; in words only if somebody is to read them.
    fn end(&self, result: mlua::Result<()>, is_shown: bool) -> Option<String> {
        let exceeded = match self.budget.end(&self.lua) {
            Ok(exceeded) => exceeded,
            Err(error) => return Some(error.to_string()),
        };
        match (result, exceeded) {
            (Ok(()), None) => None,
            (Err(error), _) if error.downcast_ref::<Exit>().is_some() => None,
            _ if !is_shown => Some(String::new()),
            (Ok(()), Some(exceeded)) => Some(exceeded.in_words()),
            (Err(error), exceeded) => Some(describe(&error, exceeded, self.options.limits)),
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
}
