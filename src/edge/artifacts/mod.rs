//! Artifacts: what sweeps leave, by key.

pub mod content;
pub mod directory;
