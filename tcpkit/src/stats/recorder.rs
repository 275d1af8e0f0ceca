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
        self.errors += u64::from(it.status == Status::Error);
        self.cancelled += u64::from(it.cancelled);
        self.latencies.record(it.timing.latency_ns());
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.responses = self.responses.saturating_add(other.responses);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.errors = self.errors.saturating_add(other.errors);
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
    ) -> Option<&mut T> {
        let places = [(server, operation), (server, OTHER), (None, OTHER)];
        let found = places.into_iter().find(|&(server, operation)| {
            // Servers' others have some places of their own.
            let room = self.max_series + if operation == OTHER { self.max_series / 4 } else { 0 };
            self.table.len() < room || self.find(server, protocol, operation).is_some()
        });
        let (server, operation) = found.unwrap_or((None, OTHER));
        let hash = self.hash(server, operation);
        if self.find(server, protocol, operation).is_none() {
            let key = Key { server, protocol, operation: operation.into() };
            let hasher = &self.hasher;
            self.table.insert_unique(hash, (key, T::default()), |(key, _)| {
                hasher.hash_one((key.server, &*key.operation))
            });
        }
        let is_it = |(key, _): &(Key, T)| is(key, server, protocol, operation);
        self.table.find_mut(hash, is_it).map(|(_, series)| series)
    }

    fn find(&self, server: Option<Endpoint>, protocol: &str, operation: &str) -> Option<&T> {
        let is_it = |(key, _): &(Key, T)| is(key, server, protocol, operation);
        self.table.find(self.hash(server, operation), is_it).map(|(_, series)| series)
    }

    fn hash(&self, server: Option<Endpoint>, operation: &str) -> u64 {
        self.hasher.hash_one((server, operation))
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
    /// Holds at most about `max_series` series.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self(Arc::new(Mutex::new(SeriesMap::new(max_series))))
    }

    /// Counts a transaction.
    pub fn record(&self, it: &Transaction<'_>) {
        let mut series = self.lock();
        if let Some(counts) = series.get(Some(it.server), it.protocol, it.operation) {
            counts.record(it);
        }
    }

    /// Takes what was counted, and leaves `empty` in its place.
    pub(super) fn swap(&self, empty: &mut SeriesMap<Counts>) {
        std::mem::swap(&mut *self.lock(), empty);
    }

    fn lock(&self) -> MutexGuard<'_, SeriesMap<Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
