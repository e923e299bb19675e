//! Stories on GitHub: the real server against a fake of GitHub behind Prism, which checks both sides against GitHub's own
//! contract.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod app;
mod attacks;
mod authority;
mod browser;
mod changes;
mod checks;
mod deploy;
mod done;
mod every_step;
mod figures;
#[path = "../github/mod.rs"]
#[expect(dead_code, reason = "the fake can do more than these stories need")]
mod github;
mod hours;
mod hub;
#[path = "../offers/issuer.rs"]
#[expect(dead_code, reason = "the attacks on tokens use the rest of it")]
mod issuer;
mod limits;
mod lost;
mod names;
mod pull;
mod readers;
mod reconcile;
mod register;
#[path = "../offers/registry.rs"]
#[expect(dead_code, reason = "the other offers use the rest of it")]
mod registry;
mod replicas;
mod rights;
mod signin;
mod survives;
mod tokens;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;

// Where the issuer of tokens looks for it.
use github::http;
