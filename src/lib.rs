//! modelship publishes simulation models from git and runs parameter sweeps of them.
//!
//! `ARCHITECTURE.md` tells how the rooms hang together; the list below is in reading order.
//!
//! Without the feature `server` there is only what `modelship-runner` needs.

#![cfg_attr(
    not(feature = "server"),
    expect(
        dead_code,
        unused_imports,
        reason = "the runner needs a part of the domain; what serves the rest is idle there"
    )
)]

pub mod domain;

pub mod runner;

#[cfg(feature = "server")]
pub mod analysis;
#[cfg(feature = "server")]
pub mod edge;
#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "server")]
pub mod engine;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod server;

#[cfg(feature = "server")]
pub mod settings;
#[cfg(feature = "server")]
pub mod telemetry;
