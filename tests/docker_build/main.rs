//! Models built as images, on a real Docker engine and with real registries.
//!
//! Everything goes through the real program on a laptop's repository; what it did is looked at with the `docker` program
//! and with the registry's own protocol.

#![expect(clippy::unwrap_used, reason = "a test may stop where something is not as it should be")]

mod engine;
mod environments;
mod examples;
mod images;
mod place;
mod registry;
mod sources;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "stories use the rest of it")]
mod world;
