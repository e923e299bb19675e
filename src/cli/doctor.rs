//! `modelship doctor`: is everything there that this instance needs?

use std::path::Path;
use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::output::{CliError, Output};
use crate::engine::Outside;
use crate::settings::{ForgeSettings, Settings};
use crate::store::{Store, StoreError};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    good: bool,
    found: String,
    advice: Option<String>,
}

impl Check {
    fn good(part: &'static str, found: impl Into<String>) -> Self {
        Self { part, good: true, found: found.into(), advice: None }
    }

    fn bad(part: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { part, good: false, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Looks at every outside part and says what to do about what is missing.
pub(crate) async fn doctor(settings: Settings, output: &Output) -> Result<(), CliError> {
    let checks = vec![
        state(&settings.state),
        runner(&settings.process.runner),
        program("git", "git", "install it: `apt-get install git`"),
        program("python", "python3", "models written in Python need it: `apt-get install python3`"),
        program("make", "make", "models built by make need it: `apt-get install make`"),
        database(&settings).await,
        forge(&settings),
        outside(&settings),
    ];
    if output.is_json() {
        output.json(&checks)?;
    } else {
        let rows: Vec<_> = checks
            .iter()
            .map(|check| {
                let mark = if check.good { "ok" } else { "MISSING" };
                vec![check.part.to_owned(), mark.to_owned(), check.found.clone()]
            })
            .collect();
        output.table(&["PART", "STATUS", "FOUND"], &rows)?;
        for check in &checks {
            if let Some(advice) = &check.advice {
                output.problem(&format!("{}: {advice}", check.part));
            }
        }
    }
    if checks.iter().all(|check| check.good) {
        output.next_step("modelship build");
        Ok(())
    } else {
        Err(CliError::Told)
    }
}

fn state(path: &Path) -> Check {
    let test = path.join(".doctor");
    match fs_err::create_dir_all(path)
        .and_then(|()| fs_err::write(&test, "x"))
        .and_then(|()| fs_err::remove_file(&test))
    {
        Ok(()) => Check::good("state", path.display().to_string()),
        Err(error) => {
            Check::bad("state", error.to_string(), "choose a directory that you can write to with `--state DIR`")
        }
    }
}

fn runner(path: &Path) -> Check {
    match Command::new(path).arg("--version").stdin(Stdio::null()).output() {
        Ok(answer) if answer.status.success() => Check::good("runner", path.display().to_string()),
        Ok(_) | Err(_) => Check::bad(
            "runner",
            format!("{} does not answer", path.display()),
            "put `modelship-runner` beside `modelship`, or name it in MODELSHIP_RUNNER",
        ),
    }
}

fn program(part: &'static str, name: &str, advice: &str) -> Check {
    match Command::new(name).arg("--version").stdin(Stdio::null()).output() {
        Ok(answer) if answer.status.success() => {
            let text = String::from_utf8_lossy(&answer.stdout);
            Check::good(part, text.lines().next().unwrap_or(name))
        }
        Ok(_) | Err(_) => Check::bad(part, "not there", advice),
    }
}

async fn database(settings: &Settings) -> Check {
    match Store::open(settings.database.expose_secret()).await {
        Ok(store) => {
            let answer = store.ping().await;
            store.close().await;
            match answer {
                Ok(()) => Check::good("database", store.address()),
                Err(error) => Check::bad("database", reasons(error), "look at its disk and its permissions"),
            }
        }
        Err(error) => Check::bad("database", reasons(error), "look at `database` in the settings"),
    }
}

/// What went wrong, and why.
fn reasons(error: StoreError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

fn forge(settings: &Settings) -> Check {
    match &settings.forge {
        ForgeSettings::Laptop { repository } if repository.join(".git").exists() => {
            Check::good("repository", repository.display().to_string())
        }
        ForgeSettings::Laptop { repository } => Check::bad(
            "repository",
            format!("{} is no git repository", repository.display()),
            "begin with `git init`, or name a forge with `--settings FILE`",
        ),
        ForgeSettings::Local { root } => Check::good("forge", root.display().to_string()),
    }
}

fn outside(settings: &Settings) -> Check {
    match Outside::open(settings) {
        Ok(_) => Check::good("executor", format!("process, {} at once", settings.process.slots)),
        Err(error) => Check::bad("executor", format!("{error:#}"), "mend what the message names"),
    }
}
