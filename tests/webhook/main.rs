//! The receiver through its real door: HTTP against the running server, with a stateful inbox behind it.

#![expect(clippy::unwrap_used, reason = "a test ends where it finds a fault")]

mod deliveries;
mod limits;
mod octokit;
mod pages;
mod place;
