//! The local forge as people and the server meet it: real repositories, a real hook, real deliveries.

#![expect(clippy::unwrap_used, reason = "a test ends where it finds a fault")]

mod delivery;
mod place;
mod pulls;
mod pushes;
mod talk;
