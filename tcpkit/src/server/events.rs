//! What happens, told once a second to all who listen (server-sent events, WHATWG HTML, 9.2).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time};

use super::{
    State,
    history::History,
    operations::{self, Query},
    unix_now,
};
use crate::ledger::Ledger;

/// How many events may wait for a listener: one that has not taken them after so many seconds is gone.
const MAX_WAITING: usize = 8;

/// How many slow transactions of a second are told.
const MAX_SLOW: usize = 100;

/// Those who listen, and what those who come later have missed.
#[derive(Default)]
pub(super) struct Events(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    listeners: Vec<mpsc::Sender<Bytes>>,
    history: History,
    /// The number of the slow transaction that was told last.
    told_slow: u64,
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A further listener. It is told what was, and from now on what is.
    pub(super) fn subscribe(&self, state: &State) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let hello = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started_unix": state.started_unix,
            "protocols": state.sources.protocols,
        });
        let mut inner = self.lock();
        for (name, data) in [("hello", hello), ("history", inner.history.json())] {
            // There is room for both.
            let _ = sender.try_send(event(name, &data));
        }
        inner.listeners.push(sender);
        receiver
    }

    fn has_listeners(&self) -> bool {
        !self.lock().listeners.is_empty()
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// Tells, whenever a second of the clock begins, what the last one brought. Goes on for ever.
pub(super) async fn tick_every_second(state: &State) {
    loop {
        let into_second = Duration::from_nanos(u64::from(unix_now().subsec_nanos()));
        time::sleep(Duration::from_secs(1).saturating_sub(into_second)).await;
        tick(state).await;
    }
}

async fn tick(state: &State) {
    // Nobody is asked for what nobody listens to.
    let ledger = match state.events.has_listeners() {
        true => Some(state.ledger().await),
        false => None,
    };
    let statistics = &state.sources.statistics;
    let mut collector = statistics.collected();
    let latest = collector.take_latest();
    let list = || operations::list(&collector, statistics.second(), &Query::default());
    let operations = ledger.as_ref().map(|_| list());
    drop(collector);
    let unix = unix_now().as_secs();
    let inner = &mut *state.events.lock();
    let servers = inner.history.add(unix, latest);
    inner.listeners.retain(|listener| !listener.is_closed());
    let slow = slow(state, &mut inner.told_slow);
    let (Some(ledger), Some(operations)) = (ledger, operations) else { return };
    let mut data = json!({
        "t": unix,
        "servers": servers,
        "operations": operations,
        "ledger": told_ledger(&ledger),
    })
    .to_string();
    // The objects are JSON already.
    data.truncate(data.len().saturating_sub(1));
    let told: Bytes = format!("event: tick\ndata: {data},\"slow\":[{slow}]}}\n\n").into();
    inner.listeners.retain(|listener| listener.try_send(told.clone()).is_ok());
}

/// The slow transactions that came since, as a list of objects; newest first.
fn slow(state: &State, told: &mut u64) -> String {
    let Some(slow) = state.sources.statistics.slow() else { return String::new() };
    let latest = slow.latest(0, *told, MAX_SLOW);
    *told = latest.first().map_or(*told, |newest| newest.number);
    let objects: Vec<&str> = latest.iter().map(|it| &*it.object).collect();
    objects.join(",")
}

fn told_ledger(ledger: &Ledger) -> Value {
    json!({
        "lost": ledger.lost_packets(),
        "missing_bytes": ledger.bytes.lost,
        "unread_bytes": ledger.messages.unread_bytes,
        "is_stale": ledger.is_stale(),
        "script_errors": ledger.output.script.errors,
        "lines": ledger.warnings(),
    })
}
