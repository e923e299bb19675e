//! Artifacts: what sweeps leave, by key.

pub mod directory;
