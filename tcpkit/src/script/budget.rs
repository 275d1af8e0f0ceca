//! How long a callback may run: so many instructions of the virtual machine, and not on and on once
//! somebody asked for the end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mlua::{Function, HookTriggers, Lua, Table, VmState};

/// So often the virtual machine asks whether it may go on, in instructions: some 50 µs.
const STEP: u32 = 10_000;

/// How long a callback may go on that was running when somebody asked for the end.
const GRACE: Duration = Duration::from_secs(1);

/// What a script may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of the virtual machine in one callback; 0 for any number.
    pub instructions: u64,
    /// Memory of the script's state, in bytes; 0 for any amount.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { instructions: 100_000_000, memory_bytes: 256 << 20 }
    }
}

/// Why a callback was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    #[error(
        "it ran for more than {0} instructions: a loop without end? (--script-budget sets how many)"
    )]
    Instructions(u64),
    #[error("it was still running {} s after somebody asked for the end", GRACE.as_secs())]
    Stopped,
}

struct State {
    limits: Limits,
    used: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
    /// Where it was then.
    trace: RefCell<String>,
    stop: Arc<AtomicBool>,
    /// The callback began before somebody asked for the end.
    began_before_stop: Cell<bool>,
    stop_seen_at: Cell<Option<Instant>>,
}

/// Counts what a callback uses.
#[derive(Clone)]
pub(super) struct Budget(Rc<State>);

impl Budget {
    /// Limits what runs in `lua`, of which the prelude's functions are `callers`; `stop` says that somebody
    /// asked for the end.
    pub(super) fn new(
        lua: &Lua,
        callers: &Table,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> mlua::Result<Self> {
        let budget = Self(Rc::new(State {
            limits,
            used: Cell::new(0),
            exceeded: Cell::new(None),
            trace: RefCell::default(),
            stop,
            began_before_stop: Cell::new(true),
            stop_seen_at: Cell::new(None),
        }));
        let this = budget.clone();
        let is_exceeded = lua.create_function(move |_, ()| Ok(this.is_exceeded()))?;
        callers.get::<Function>("limit")?.call::<()>(is_exceeded)?;
        lua.set_memory_limit(limits.memory_bytes)?;
        budget.watch(lua, STEP)?;
        Ok(budget)
    }

    /// The limits.
    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// A callback begins.
    pub(super) fn begin(&self) {
        self.0.used.set(0);
        self.0.began_before_stop.set(!self.0.stop.load(Ordering::Relaxed));
        self.0.stop_seen_at.set(None);
    }

    /// A callback ended; if it was made to, says why and where it was.
    pub(super) fn end(&self, lua: &Lua) -> mlua::Result<Option<String>> {
        let Some(exceeded) = self.0.exceeded.take() else { return Ok(None) };
        self.watch(lua, STEP)?;
        Ok(Some(format!("{exceeded}\n{}", self.0.trace.take())))
    }

    /// Whether a callback is being ended.
    fn is_exceeded(&self) -> bool {
        self.0.exceeded.get().is_some()
    }

    /// Looks every `step` instructions, in all coroutines (those made before keep the step they had).
    fn watch(&self, lua: &Lua, step: u32) -> mlua::Result<()> {
        let this = self.clone();
        let triggers = HookTriggers::new().every_nth_instruction(step);
        lua.set_global_hook(triggers, move |lua, _| this.look(lua, step))
    }

    fn look(&self, lua: &Lua, step: u32) -> mlua::Result<VmState> {
        let state = &self.0;
        if let Some(exceeded) = state.exceeded.get() {
            return Err(mlua::Error::external(exceeded));
        }
        state.used.set(state.used.get().saturating_add(u64::from(step)));
        let limit = state.limits.instructions;
        let exceeded = if limit > 0 && state.used.get() > limit {
            Exceeded::Instructions(limit)
        } else if state.began_before_stop.get() && state.stop.load(Ordering::Relaxed) {
            let seen_at = state.stop_seen_at.get().unwrap_or_else(Instant::now);
            state.stop_seen_at.set(Some(seen_at));
            if seen_at.elapsed() < GRACE {
                return Ok(VmState::Continue);
            }
            Exceeded::Stopped
        } else {
            return Ok(VmState::Continue);
        };
        state.exceeded.set(Some(exceeded));
        let trace = lua.traceback(None, 0).map(|trace| trace.to_string_lossy());
        state.trace.replace(trace.unwrap_or_default());
        // A script that catches the error gets it again at its next instruction.
        self.watch(lua, 1)?;
        Err(mlua::Error::external(exceeded))
    }
}
