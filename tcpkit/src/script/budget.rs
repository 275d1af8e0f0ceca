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

use mlua::{HookTriggers, Lua, VmState, debug::Debug};

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

/// A callback was ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub(super) struct Exceeded {
    /// File and line where it was.
    at: String,
    why: Why,
    /// By which calls it came there.
    trace: String,
}

impl Exceeded {
    /// Where it was, why it was ended, and by which calls it came there.
    pub(super) fn in_words(&self) -> String {
        format!("{self}\n{}", self.trace)
    }
}

/// Why a callback was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
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
    exceeded: Rc<RefCell<Option<Exceeded>>>,
    stop: Arc<AtomicBool>,
    /// The callback began before somebody asked for the end.
    began_before_stop: Cell<bool>,
    stop_seen_at: Cell<Option<Instant>>,
}

/// Counts what a callback uses.
#[derive(Clone)]
pub(super) struct Budget(Rc<State>);

impl Budget {
    /// Limits what runs in `lua`; `stop` says that somebody asked for the end, `exceeded` is set when a
    /// call did too much.
    pub(super) fn new(
        lua: &Lua,
        limits: Limits,
        stop: Arc<AtomicBool>,
        exceeded: Rc<RefCell<Option<Exceeded>>>,
    ) -> mlua::Result<Self> {
        let budget = Self(Rc::new(State {
            limits,
            used: Cell::new(0),
            exceeded,
            stop,
            began_before_stop: Cell::new(true),
            stop_seen_at: Cell::new(None),
        }));
        lua.set_memory_limit(limits.memory_bytes)?;
        budget.watch(lua, STEP)?;
        Ok(budget)
    }

    /// A callback begins.
    pub(super) fn begin(&self) {
        self.0.used.set(0);
        self.0.began_before_stop.set(!self.0.stop.load(Ordering::Relaxed));
        self.0.stop_seen_at.set(None);
    }

    /// Whether the running callback did too much.
    #[inline]
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.exceeded.borrow().is_some()
    }

    /// A callback ended; says whether it was made to.
    pub(super) fn end(&self, lua: &Lua) -> mlua::Result<Option<Exceeded>> {
        let exceeded = self.0.exceeded.take();
        if exceeded.is_some() {
            self.watch(lua, STEP)?;
        }
        Ok(exceeded)
    }

    /// Looks every `step` instructions, in all coroutines (those made before keep the step they had).
    fn watch(&self, lua: &Lua, step: u32) -> mlua::Result<()> {
        let this = self.clone();
        let triggers = HookTriggers::new().every_nth_instruction(step);
        lua.set_global_hook(triggers, move |lua, debug| this.look(lua, debug, step))
    }

    fn look(&self, lua: &Lua, debug: &Debug<'_>, step: u32) -> mlua::Result<VmState> {
        let state = &self.0;
        if let Some(exceeded) = &*state.exceeded.borrow() {
            return Err(mlua::Error::external(exceeded.clone()));
        }
        state.used.set(state.used.get().saturating_add(u64::from(step)));
        let Some(why) = self.why() else { return Ok(VmState::Continue) };
        let source = debug.source();
        let file = source.short_src.as_deref().unwrap_or("?");
        let line = debug.current_line().unwrap_or(0);
        let trace = lua.traceback(None, 0).map(|trace| trace.to_string_lossy()).unwrap_or_default();
        let exceeded = Exceeded { at: format!("{file}:{line}"), why, trace };
        state.exceeded.replace(Some(exceeded.clone()));
        // A script that catches the error gets it again at its next instruction; in another coroutine by
        // the prelude's pcall and resume.
        self.watch(lua, 1)?;
        Err(mlua::Error::external(exceeded))
    }

    /// Why the callback may not go on, if it may not.
    fn why(&self) -> Option<Why> {
        let state = &self.0;
        let limit = state.limits.instructions;
        if limit > 0 && state.used.get() > limit {
            return Some(Why::Instructions(limit));
        }
        if !state.began_before_stop.get() || !state.stop.load(Ordering::Relaxed) {
            return None;
        }
        let seen_at = state.stop_seen_at.get().unwrap_or_else(Instant::now);
        state.stop_seen_at.set(Some(seen_at));
        (seen_at.elapsed() >= GRACE).then_some(Why::Stopped)
    }
}
