//! Versions that somebody else built: offered by a workflow with a token that an issuer signed, or by a registry's webhook.
//!
//! The server is the real one on a local forge, and so is the registry (Debian's `docker-registry`). The issuer is a small
//! stand-in for GitHub's, with real keys: it signs whatever a test wants signed.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod action;
mod docker_hub;
#[path = "../actions/driver.rs"]
#[expect(dead_code, reason = "other actions need the rest of it")]
mod driver;
#[path = "../github/http.rs"]
#[expect(dead_code, reason = "the fake of GitHub uses the rest of it")]
mod http;
mod images;
mod issuer;
mod place;
mod registry;
mod told;
mod verifier;
mod webhook;
mod workflow;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;
