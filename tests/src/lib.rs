//! What the end-to-end tests share.

pub mod frames;
pub mod netns;
pub mod raw;
