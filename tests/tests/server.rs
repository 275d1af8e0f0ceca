//! The port that answers: what it says is what clients did, whoever asks, and however badly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

#[path = "server/counts.rs"]
mod counts;
#[path = "server/events.rs"]
mod events;
#[path = "server/hostile.rs"]
mod hostile;
#[path = "server/operations.rs"]
mod operations;
#[path = "server/ports.rs"]
mod ports;
#[path = "server/routes.rs"]
mod routes;
#[path = "server/summary.rs"]
mod summary;
