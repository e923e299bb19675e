//! `modelship doctor`: is everything there that this instance needs, and what is to be done where it is not?
//!
//! Only what the settings name is looked at. Nothing is changed, but that folders and tables of the instance are made.

mod docker;
mod machine;
mod models;
mod offers;
mod outside;

use std::path::Path;

use serde::Serialize;

use super::output::{CliError, Output};
use crate::settings::{ExecutorKind, Settings};

/// One part that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    state: State,
    found: String,
    advice: Option<String>,
}

/// Whether a part can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It can.
    Good,
    /// It can, but it is worth a look.
    Look,
    /// It cannot.
    Bad,
}

impl Check {
    fn good(part: &'static str, found: impl Into<String>) -> Self {
        Self { part, state: State::Good, found: found.into(), advice: None }
    }

    fn look(part: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { part, state: State::Look, found: found.into(), advice: Some(advice.into()) }
    }

    fn bad(part: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { part, state: State::Bad, found: found.into(), advice: Some(advice.into()) }
    }

    /// The state as the table shows it. Whoever sees no colour reads it too.
    fn mark(&self) -> &'static str {
        match self.state {
            State::Good => "ok",
            State::Look => "look",
            State::Bad => "BAD",
        }
    }
}

/// Looks at every part and says what to do about what is not as it should be.
pub(crate) async fn doctor(settings: Settings, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let mut checks = vec![machine::git(), machine::runner(&settings), machine::folder("state", &settings.state)];
    checks.push(machine::folder("artifacts", &settings.artifacts));
    checks.push(machine::descriptors(&settings));
    checks.extend(outside::database(&settings).await);
    checks.extend(outside::forge(&settings).await);
    checks.extend(outside::secrets(&settings));
    checks.extend(outside::webhooks(&settings));
    checks.extend(offers::workflows(&settings).await);
    if settings.executor == ExecutorKind::Docker {
        checks.extend(docker::engine(&settings).await);
    }
    checks.extend(models::programs(&settings, cwd));
    if output.is_json() {
        output.json(&checks)?;
    } else {
        let cells = |check: &Check| {
            let advice = check.advice.clone().unwrap_or_default();
            vec![check.part.to_owned(), check.mark().to_owned(), check.found.clone(), advice]
        };
        output.table(&["PART", "STATE", "FOUND", "WHAT TO DO"], &checks.iter().map(cells).collect::<Vec<_>>())?;
    }
    let bad: Vec<_> = checks.iter().filter(|check| check.state == State::Bad).map(|check| check.part).collect();
    if bad.is_empty() {
        output.next_step("modelship build");
        return Ok(());
    }
    output.problem(&format!("{} cannot be used as it is; the table says what to do", bad.join(", ")));
    Err(CliError::Told)
}
