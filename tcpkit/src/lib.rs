//! tcpkit reads request latencies from the wire.
//!
//! Data flows one straight way, and imports point along it:
//!
//! ```text
//! kernel ─ Record ─▶ Packet ─▶ Flow/Stream ─▶ Message ─▶ Transaction ─▶ Sinks
//!  ebpf    capture    packet      flow        protocol   transaction     sink
//! ```

pub mod capture;
pub mod filter;
pub mod protocol;
