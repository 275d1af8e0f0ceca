//! Lua scripts, live and on files: what they get, what they print, and what happens when they fail.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

#[path = "script/connections.rs"]
mod connections;
#[path = "script/dns.rs"]
mod dns;
#[path = "script/errors.rs"]
mod errors;
#[path = "script/limits.rs"]
mod limits;
#[path = "script/output.rs"]
mod output;
#[path = "script/packets.rs"]
mod packets;
#[path = "script/time.rs"]
mod time;
#[path = "script/transactions.rs"]
mod transactions;
#[path = "script/unsafe_calls.rs"]
mod unsafe_calls;
