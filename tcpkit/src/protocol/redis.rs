//! Redis: RESP2, RESP3 and inline commands.

use super::{Decoder, Probe, Protocol};

/// Redis, and what speaks its protocol (Valkey, KeyDB, Dragonfly).
pub static PROTOCOL: Protocol = Protocol {
    name: "redis",
    summary: "Redis and Valkey: RESP2, RESP3, inline commands",
    ports: &[6379],
    field_names: &[],
    probe: |_| Probe::No,
    decoder: || -> Box<dyn Decoder> { unimplemented!() },
};
