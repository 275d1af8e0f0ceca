//! Transactions whose pairing is not certain yet.
//!
//! After attaching to an open connection, or after losing packets of one, requests may be under way
//! that were not seen; their responses would be paired with the wrong requests. So what is paired
//! after such a beginning is held until the connection proved it right. A response that no request
//! waits for proves it wrong, and everything held is dropped: that happens as soon as the server has
//! answered all that was under way. What proves it right is that this could have happened often and
//! did not: the client took many new turns while nothing was open, or the connection was quiet with
//! nothing open, for longer than any request in question took.
//!
//! This biases towards silence. Nothing in TCP makes it certain for a client that does not wait for
//! its responses; it would take a connection that never once is without requests under way at one
//! of those moments, and yet looks at rest at all of them.

use std::collections::VecDeque;

use super::{Quality, Timing, Transaction};
use crate::{
    packet::Endpoint,
    protocol::{Fields, Status},
};

/// How long a quiet time with nothing open has to be at least to prove the pairing, in ns. A request
/// that takes longer, on a client that sent it while another was under way unseen, is mistaken for
/// that other; waiting for longer would keep the first lines of a connection from the user.
const QUIET_NS: u64 = 200_000_000;

/// … and how many times longer than the longest request that is held.
const QUIET_FACTOR: u64 = 2;

/// How many transactions are held at most; the oldest is dropped for one more.
const MAX_HELD: usize = 256;

/// What is held until the pairing is certain.
#[derive(Debug, Default)]
pub(super) struct Probation {
    latest_ns: u64,
    longest_ns: u64,
    held: VecDeque<HeldTransaction>,
}

impl Probation {
    /// Notes that something was captured.
    pub(super) fn note(&mut self, time_ns: u64) {
        self.latest_ns = self.latest_ns.max(time_ns);
    }

    /// Whether the connection was quiet for long enough.
    pub(super) fn is_quiet(&self, now_ns: u64) -> bool {
        let needed_ns = self.longest_ns.saturating_mul(QUIET_FACTOR).max(QUIET_NS);
        now_ns.saturating_sub(self.latest_ns) >= needed_ns
    }

    /// Holds a transaction; returns how many were dropped for it.
    pub(super) fn hold(&mut self, transaction: &Transaction<'_>) -> usize {
        let dropped = usize::from(self.held.len() >= MAX_HELD);
        if dropped > 0 {
            self.held.pop_front();
        }
        self.longest_ns = self.longest_ns.max(transaction.timing.latency_ns());
        self.held.push_back(HeldTransaction::new(transaction));
        dropped
    }

    /// How many transactions are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Hands over what is held, in order.
    pub(super) fn release(self, mut emit: impl FnMut(&Transaction<'_>)) {
        for held in &self.held {
            emit(&held.transaction());
        }
    }
}

/// A transaction with its own copies of everything.
#[derive(Debug)]
struct HeldTransaction {
    unix_ns: u64,
    client: Endpoint,
    server: Endpoint,
    protocol: &'static str,
    operation: Box<str>,
    request: Box<str>,
    response: Box<str>,
    status: Status,
    cancelled: bool,
    timing: Timing,
    first_ns: Option<u64>,
    deadline_ns: Option<u64>,
    request_bytes: u64,
    response_bytes: u64,
    quality: Quality,
    field_names: &'static [&'static str],
    request_fields: Box<[u8]>,
    response_fields: Box<[u8]>,
}

impl HeldTransaction {
    fn new(transaction: &Transaction<'_>) -> Self {
        Self {
            unix_ns: transaction.unix_ns,
            client: transaction.client,
            server: transaction.server,
            protocol: transaction.protocol,
            operation: transaction.operation.into(),
            request: transaction.request.into(),
            response: transaction.response.into(),
            status: transaction.status,
            cancelled: transaction.cancelled,
            timing: transaction.timing,
            first_ns: transaction.first_ns,
            deadline_ns: transaction.deadline_ns,
            request_bytes: transaction.request_bytes,
            response_bytes: transaction.response_bytes,
            quality: transaction.quality,
            field_names: transaction.request_fields.names(),
            request_fields: transaction.request_fields.bytes().into(),
            response_fields: transaction.response_fields.bytes().into(),
        }
    }

    fn transaction(&self) -> Transaction<'_> {
        Transaction {
            unix_ns: self.unix_ns,
            client: self.client,
            server: self.server,
            protocol: self.protocol,
            operation: &self.operation,
            request: &self.request,
            response: &self.response,
            status: self.status,
            cancelled: self.cancelled,
            timing: self.timing,
            first_ns: self.first_ns,
            deadline_ns: self.deadline_ns,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            quality: self.quality,
            request_fields: Fields::new(self.field_names, &self.request_fields),
            response_fields: Fields::new(self.field_names, &self.response_fields),
        }
    }
}
