//! tcpkit reads request latencies from the wire.
//!
//! Data flows one straight way, and imports point along it:
//!
//! ```text
//! kernel ─ Record ─▶ Packet ─▶ Flow/Stream ─▶ Message ─▶ Transaction ─▶ Sinks
//!  ebpf    capture    packet      flow        protocol   transaction     sink
//! ```

pub mod capture;
pub mod cli;
pub mod config;
pub mod connection;
pub mod engine;
mod exposition;
pub mod filter;
pub mod flow;
pub mod ledger;
pub mod linefile;
pub mod messages;
pub mod openfile;
pub mod output;
pub mod packet;
pub mod pcapfile;
pub mod pipeline;
pub mod privileges;
pub mod protocol;
pub mod reload;
pub mod run;
pub mod script;
pub mod server;
#[cfg(test)]
mod simulation;
pub mod sink;
pub mod stats;
pub mod stdout;
pub mod top;
pub mod transaction;
pub mod walltime;
mod wholewrite;
pub mod workers;
