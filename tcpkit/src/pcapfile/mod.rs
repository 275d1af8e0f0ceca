//! The formats of capture files: bytes to packets and back, without IO.

pub mod write;
