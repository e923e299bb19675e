//! Buttons that somebody pressed beside a check of ours.

use serde::Deserialize;

use super::{Account, RepositoryBody, Result, commit, ignore, parsed, shown};
use crate::domain::check::{Button, CheckSubject, Press};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::forge::User;
use crate::domain::ids::{PullNumber, PullRef};

/// What a body of the kind `event` says was pressed; none when that is not what it tells.
///
/// # Errors
/// The reason, when nothing follows from it.
pub(super) fn read(event: &str, body: &[u8]) -> Result<Option<Vec<Keyed>>> {
    match event {
        "check_run" => {
            let told: CheckRunBody = parsed(event, body)?;
            let press = match (told.action.as_str(), &told.requested_action) {
                ("rerequested", _) => Press::Again,
                ("requested_action", Some(requested)) => match Button::parse(&requested.identifier) {
                    Some(button) => Press::Button { button },
                    None => return ignore(format!("there is no button `{}`", shown(&requested.identifier))),
                },
                _ => return Ok(None),
            };
            of_check(told, press).map(|keyed| Some(vec![keyed]))
        }
        "check_suite" => {
            let told: CheckSuiteBody = parsed(event, body)?;
            if told.action == "rerequested" { of_suite(told).map(Some) } else { Ok(None) }
        }
        _ => Ok(None),
    }
}

fn of_check(told: CheckRunBody, press: Press) -> Result<Keyed> {
    let repository = told.repository.check()?;
    let author = person(told.sender)?;
    let commit = commit(&told.check_run.head_sha)?;
    match CheckSubject::parse(told.check_run.external_id.as_deref().unwrap_or_default()) {
        Some(CheckSubject::Sweep { pull, marker }) => Ok(Keyed {
            key: Key::Pull(PullRef { repository, number: pull }),
            event: Event::SweepPressed { marker, commit, check: told.check_run.id, press, author },
        }),
        Some(CheckSubject::Build { model }) if press == Press::Again => {
            Ok(Keyed { key: Key::Repository(repository), event: Event::BuildPressed { model, commit, author } })
        }
        Some(CheckSubject::Build { .. }) => ignore("a build has no such button"),
        Some(CheckSubject::Manifest) => ignore("a manifest is read again when it changes"),
        None => ignore("the check is none of ours"),
    }
}

fn of_suite(told: CheckSuiteBody) -> Result<Vec<Keyed>> {
    let repository = told.repository.check()?;
    let author = person(told.sender)?;
    let commit = commit(&told.check_suite.head_sha)?;
    let pulls = told.check_suite.pull_requests.iter().filter(|pull| {
        // A commit can be the head of pull requests elsewhere too.
        pull.base.repo.as_ref().is_none_or(|base| base.id == repository.id)
    });
    let events: Vec<Keyed> = pulls
        .map(|pull| Keyed {
            key: Key::Pull(PullRef { repository: repository.clone(), number: PullNumber(pull.number) }),
            event: Event::AllPressed { commit: commit.clone(), suite: told.check_suite.id, author: author.clone() },
        })
        .collect();
    if events.is_empty() { ignore("no pull request has that commit as its head") } else { Ok(events) }
}

fn person(sender: Option<Account>) -> Result<User> {
    match sender {
        Some(sender) if !sender.is_program() => Ok(sender.into()),
        Some(_) => ignore("the button was pressed by a program"),
        None => ignore("nobody is named who pressed the button"),
    }
}

#[derive(Deserialize)]
struct CheckRunBody {
    action: String,
    check_run: CheckRun,
    requested_action: Option<RequestedAction>,
    sender: Option<Account>,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct CheckRun {
    id: i64,
    head_sha: String,
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct RequestedAction {
    identifier: String,
}

#[derive(Deserialize)]
struct CheckSuiteBody {
    action: String,
    check_suite: CheckSuite,
    sender: Option<Account>,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct CheckSuite {
    id: i64,
    head_sha: String,
    #[serde(default)]
    pull_requests: Vec<SuitePull>,
}

#[derive(Deserialize)]
struct SuitePull {
    number: u64,
    base: SuiteBase,
}

#[derive(Deserialize)]
struct SuiteBase {
    repo: Option<super::BranchRepository>,
}
