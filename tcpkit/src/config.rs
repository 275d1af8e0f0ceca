//! The bounds on everything that grows with traffic.

use crate::flow::table::Expiry;

/// Bounds of one run; each has an option and a counter that tells when it bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections followed at once.
    pub max_flows: usize,
    /// Memory for segments that wait for others, per connection, in bytes.
    pub max_held_bytes: usize,
    /// Requests that may wait for their responses, per connection.
    pub max_open: usize,
    /// When quiet connections are forgotten.
    pub expiry: Expiry,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_flows: 131_072,
            max_held_bytes: 1024 * 1024,
            max_open: 32_768,
            expiry: Expiry { idle_ns: 3_600_000_000_000, closed_ns: 5_000_000_000 },
        }
    }
}
