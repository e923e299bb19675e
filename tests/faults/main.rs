//! Bad input and faults, through the real door: the real program, real pushes, real processes, real disks and clocks.
//!
//! Each story breaks something and looks at three things: the right person is told once and clearly, nothing is lost, and
//! nothing is done twice.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod builds;
mod clock;
mod disk;
mod files;
mod kills;
mod models;
mod names;
mod trouble;
mod webhook;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;
