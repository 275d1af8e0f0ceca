//! What is counted where packets are read: the latest moments, by server, protocol and operation.
//!
//! The thread that reads packets adds to it; whoever shows statistics takes what was added, and gives
//! back the memory. So nothing is copied or formatted while packets wait.

use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::latency::Latencies;
use crate::{packet::Endpoint, protocol::Status, transaction::Transaction};

/// What operations, and servers, are called that found no place any more.
pub const OTHER: &str = "other";

/// What a series is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who answered; `None` for all servers that found no place.
    pub server: Option<Endpoint>,
    /// The protocol's name.
    pub protocol: &'static str,
    /// What was asked for; [`OTHER`] for all that found no place.
    pub operation: Box<str>,
}

/// What is counted of a series.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Bytes of requests.
    pub request_bytes: u64,
    /// Responses.
    pub responses: u64,
    /// Bytes of responses.
    pub response_bytes: u64,
    /// Responses that say that something failed.
    pub errors: u64,
    /// Responses of which it is not known whether they say that something failed.
    pub unknown: u64,
    /// Requests that the client gave up.
    pub cancelled: u64,
    /// How long the responses took.
    pub latencies: Latencies,
}

impl Counts {
    fn record(&mut self, it: &Transaction<'_>) {
        self.requests += 1;
        self.request_bytes = self.request_bytes.saturating_add(it.request_bytes);
        self.responses += u64::from(!it.cancelled);
        self.response_bytes = self.response_bytes.saturating_add(it.response_bytes);
        match (it.cancelled, it.status) {
            (true, _) => self.cancelled += 1,
            (_, Status::Error) => self.errors += 1,
            (_, Status::Unknown) => self.unknown += 1,
            (_, Status::Ok) => {}
        }
        self.latencies.record(it.timing.latency_ns());
    }

    /// Requests by what became of them; all of them together.
    #[must_use]
    pub fn by_status(&self) -> [(&'static str, u64); 4] {
        let others = [self.errors, self.unknown, self.cancelled];
        let ok = others.iter().fold(self.requests, |ok, other| ok.saturating_sub(*other));
        [
            ("ok", ok),
            ("error", self.errors),
            ("unknown", self.unknown),
            ("cancelled", self.cancelled),
        ]
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.responses = self.responses.saturating_add(other.responses);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.errors = self.errors.saturating_add(other.errors);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.cancelled = self.cancelled.saturating_add(other.cancelled);
        self.latencies.add(&other.latencies);
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.latencies.clear();
        *self = Self { latencies: std::mem::take(&mut self.latencies), ..Self::default() };
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }
}

/// Series by their keys, at most so many.
#[derive(Debug)]
pub struct SeriesMap<T> {
    table: HashTable<(Key, T)>,
    hasher: RandomState,
    max_series: usize,
}

impl<T: Default> SeriesMap<T> {
    /// Holds at most about `max_series` series: further ones are put together as [`OTHER`].
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        // Seeded at random: operations come from whoever can send packets.
        Self { table: HashTable::new(), hasher: RandomState::default(), max_series }
    }

    /// The series of a key, made if there is none. Where no place is left, that of the server's and
    /// protocol's other operations; where even that is new, that of the protocol's other servers.
    pub fn get(
        &mut self,
        server: Option<Endpoint>,
        protocol: &'static str,
        operation: &str,
    ) -> &mut T {
        let Self { table, hasher, max_series } = self;
        let hash = hasher.hash_one((server, operation));
        match table.find_entry(hash, |(key, _)| is(key, server, protocol, operation)) {
            Ok(known) => &mut known.into_mut().1,
            Err(absent) => {
                let key = Key { server, protocol, operation: operation.into() };
                make(absent.into_table(), hasher, *max_series, key)
            }
        }
    }

    /// All series.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.table.iter().map(|(key, series)| (key, series))
    }

    /// All series, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut T)> {
        self.table.iter_mut().map(|(key, series)| (&*key, series))
    }
}

/// The series of a key that is not there, or of what it is put together with.
#[cold]
fn make<'a, T: Default>(
    table: &'a mut HashTable<(Key, T)>,
    hasher: &RandomState,
    max_series: usize,
    key: Key,
) -> &'a mut T {
    let hash = |key: &Key| hasher.hash_one((key.server, &*key.operation));
    let is_it = |one: &Key, key: &Key| is(one, key.server, key.protocol, &key.operation);
    let others = Key { operation: OTHER.into(), ..key.clone() };
    let last = Key { server: None, ..others.clone() };
    // Servers' others have some places of their own.
    let room = [(key, max_series), (others, max_series + max_series / 4)];
    let found = room.into_iter().find(|(key, room)| {
        table.len() < *room || table.find(hash(key), |(one, _)| is_it(one, key)).is_some()
    });
    let key = found.map_or(last, |(key, _)| key);
    let place = table.entry(hash(&key), |(one, _)| is_it(one, &key), |(one, _)| hash(one));
    &mut place.or_insert_with(|| (key.clone(), T::default())).into_mut().1
}

fn is(key: &Key, server: Option<Endpoint>, protocol: &str, operation: &str) -> bool {
    *key.operation == *operation && key.server == server && key.protocol == protocol
}

impl SeriesMap<Counts> {
    /// Forgets what was counted, and the series of which nothing was.
    pub(super) fn clear(&mut self) {
        self.table.retain(|(_, counts)| !counts.is_empty());
        for (_, counts) in self.iter_mut() {
            counts.clear();
        }
    }
}

/// What one worker counted since it was taken last. Clones share it.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<SeriesMap<Counts>>>);

impl Recorder {
    fn new(max_series: usize) -> Self {
        Self(Arc::new(Mutex::new(SeriesMap::new(max_series))))
    }

    /// Counts a transaction.
    pub fn record(&self, it: &Transaction<'_>) {
        self.lock().get(Some(it.server), it.protocol, it.operation).record(it);
    }

    /// Takes what was counted, and leaves `empty` in its place.
    pub(super) fn swap(&self, empty: &mut SeriesMap<Counts>) {
        std::mem::swap(&mut *self.lock(), empty);
    }

    fn lock(&self) -> MutexGuard<'_, SeriesMap<Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recorders of a run, one for each worker. Clones share them.
#[derive(Clone, Debug)]
pub struct Recorders {
    all: Arc<Mutex<Vec<Recorder>>>,
    max_series: usize,
}

impl Recorders {
    /// None yet; each will hold at most about `max_series` series.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self { all: Arc::default(), max_series }
    }

    /// One for a further worker.
    #[must_use]
    pub fn add(&self) -> Recorder {
        let recorder = Recorder::new(self.max_series);
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(recorder.clone());
        recorder
    }

    /// How many series there are at most, about.
    pub(super) fn max_series(&self) -> usize {
        self.max_series
    }

    /// Those that there are by now.
    pub(super) fn all(&self) -> Vec<Recorder> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
