//! The agent as a resident process: what it may do, what it takes on while it runs, and whom it tells.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

#[path = "daemon/files.rs"]
mod files;
#[path = "daemon/privileges.rs"]
mod privileges;
#[path = "daemon/reload.rs"]
mod reload;
#[path = "daemon/service.rs"]
mod service;
