//! Is the fake of GitHub one? Every endpoint that it has is asked through Prism, which knows GitHub's own contract.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod access;
mod client;
mod endpoints;
mod events;
mod faults;
#[path = "../github/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other tests use the rest of it")]
mod github;
mod place;
