//! What modelship is about: pure values and decisions.
//!
//! Nothing here reads a file, a clock or a database, waits, or knows a library of the outside. What happens next is
//! chosen here and nowhere else: [`decide::decide`] takes a state and an event and says what follows. What the runner does not need is left out of its own build (feature `server`).

#[cfg(feature = "server")]
pub mod build;
#[cfg(feature = "server")]
pub mod check;
#[cfg(feature = "server")]
pub mod command;
#[cfg(feature = "server")]
pub mod decide;
#[cfg(feature = "server")]
pub mod decision;
#[cfg(feature = "server")]
pub mod deployment;
pub mod diagnostic;
#[cfg(feature = "server")]
pub mod effect;
#[cfg(feature = "server")]
pub mod event;
#[cfg(feature = "server")]
pub mod forge;
pub mod host;
pub mod ids;
pub mod image;
pub mod manifest;
#[cfg(feature = "server")]
pub mod notice;
pub mod offer;
pub mod parameters;
#[cfg(feature = "server")]
pub mod policy;
#[cfg(feature = "server")]
pub mod pull;
#[cfg(feature = "server")]
pub mod report;
#[cfg(feature = "server")]
pub mod repository;
#[cfg(feature = "server")]
pub mod schema;
pub mod sweep;
pub mod version;
pub mod yaml;
