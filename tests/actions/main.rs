//! The steps of GitHub Actions, run for real: each script of each action, with GitHub's files and the built program. Which
//! jobs they belong to is asked of GitHub's own packages.

#![expect(clippy::unwrap_used, reason = "a runner that cannot go on says where")]

mod driver;
mod events;
#[path = "../github/http.rs"]
#[expect(dead_code, reason = "the fake of GitHub uses the rest of it")]
mod http;
mod images;
#[path = "../offers/issuer.rs"]
#[expect(dead_code, reason = "the stories of offers use the rest of it")]
mod issuer;
mod jobs;
mod layers;
#[path = "../offers/place.rs"]
#[expect(dead_code, reason = "the stories of offers use the rest of it")]
mod place;
#[path = "../offers/registry.rs"]
#[expect(dead_code, reason = "the stories of offers use the rest of it")]
mod registry;
mod release;
mod setup;
mod steps;
mod workflows;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;
