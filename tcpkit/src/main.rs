//! The tcpkit command.

fn main() {}
