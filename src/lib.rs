//! modelship publishes simulation models from git and runs parameter sweeps of them.
//!
//! `ARCHITECTURE.md` tells how the rooms hang together; the list below is in reading order.

pub mod domain;

pub mod runner;

pub mod analysis;
pub mod edge;
pub mod store;

pub mod engine;

pub mod cli;
pub mod server;

pub mod settings;
pub mod telemetry;
