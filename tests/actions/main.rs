//! The steps of GitHub Actions, run for real: each script of each action, with GitHub's files and the built program.

#![expect(clippy::unwrap_used, reason = "a runner that cannot go on says where")]

mod driver;
mod steps;
