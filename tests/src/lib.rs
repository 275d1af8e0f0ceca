//! What the end-to-end tests and the benchmark share.

pub mod agent;
pub mod classifier;
pub mod expressions;
pub mod folder;
pub mod frames;
pub mod h2;
pub mod ledger;
pub mod line;
pub mod loaded;
pub mod netns;
pub mod peer;
pub mod process;
pub mod program;
pub mod raw;
pub mod redis;
pub mod script;
pub mod servers;
pub mod shapes;
pub mod statistics;
pub mod tcpdump;
pub mod terminal;
pub mod traffic;
