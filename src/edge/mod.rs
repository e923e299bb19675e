//! One file for each outside thing.

pub mod artifacts;
pub mod builder;
pub mod docker;
pub mod executor;
pub mod forge;
pub mod notify;
pub mod source;
