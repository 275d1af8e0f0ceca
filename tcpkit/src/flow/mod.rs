//! Connections: which packets belong together, in which order their bytes were sent, and who is
//! the server.

#![deny(clippy::arithmetic_side_effects)]

pub mod assembler;
pub mod held;
pub mod key;
pub mod role;
pub mod seq;
mod slab;
pub mod table;

pub use assembler::{Assembler, Chunk, GapCause, StreamEvent, Turn, Verdict};
pub use key::{FlowKey, Side};
pub use table::{Flow, FlowId, FlowTable};
