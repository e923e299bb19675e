//! Stories on GitHub: the real server against a fake of GitHub behind Prism, which checks both sides against GitHub's own
//! contract.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod app;
mod authority;
mod checks;
mod deploy;
#[path = "../github/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the fake can do more than these stories need")]
mod github;
mod hub;
mod lost;
mod pull;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;
