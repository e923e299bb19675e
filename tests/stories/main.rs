//! Stories through the real door: what a person does with git and the terminal, and what they get.
//!
//! Nothing here looks inside: repositories are real, pushes run the real hook, the server is the real program, models are
//! the project's own.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod compare;
mod containers;
mod control;
mod crash;
mod database;
mod elsewhere;
#[path = "../github/http.rs"]
#[expect(dead_code, reason = "the fake of GitHub uses the rest of it")]
mod http;
mod init;
mod laptop;
mod notices;
mod pull;
mod push;
mod replay;
mod tax_calculator;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the fault tests use the rest of it")]
mod world;
