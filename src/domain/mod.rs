//! What modelship is about: pure values and decisions.
//!
//! Nothing here reads a file, a clock or a database, waits, or knows a library of the outside. What happens next is
//! chosen here and nowhere else: [`decide::decide`] takes a state and an event and says what follows.

pub mod build;
pub mod command;
pub mod decide;
pub mod decision;
pub mod diagnostic;
pub mod effect;
pub mod event;
pub mod forge;
pub mod ids;
pub mod manifest;
pub mod parameters;
pub mod policy;
pub mod pull;
pub mod report;
pub mod repository;
pub mod schema;
pub mod sweep;
pub mod version;
pub mod yaml;
