//! `modelship pr open|list|show|comment|close|reopen|merge`: pull requests on a local forge.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::arguments::PrVerb;
use super::output::{CliError, Output};
use super::workspace::from_source;
use crate::domain::forge::{CommitState, PullSnapshot, PullStatus};
use crate::domain::ids::{PullNumber, PullRef, RepositoryName};
use crate::edge::forge::local::{Delivery, DeliveryOutcome, LocalForge, LocalForgeError, NewPull, PullThread};
use crate::edge::source::Source;
use crate::engine::system_time;
use crate::settings::{self, ForgeSettings, Settings};

/// What tells which pull requests are meant.
pub(crate) struct Where<'a> {
    pub(crate) settings: Settings,
    pub(crate) repository: Option<RepositoryName>,
    pub(crate) forge: Option<PathBuf>,
    pub(crate) login: Option<String>,
    pub(crate) cwd: &'a Path,
}

/// A repository on a local forge, and in whose name it is used.
struct Desk {
    forge: LocalForge,
    repository: RepositoryName,
    login: String,
    clone: Option<Source>,
}

/// Does what `verb` says.
pub(crate) async fn pr(there: Where<'_>, verb: PrVerb, output: &Output) -> Result<(), CliError> {
    let desk = Desk::find(there)?;
    let pull = |number: u64| -> Result<PullRef, CliError> {
        let repository = desk.forge.repository(&desk.repository).map_err(from_forge)?;
        Ok(PullRef { repository, number: PullNumber(number) })
    };
    match verb {
        PrVerb::Open { title, head, base } => {
            let head = match head {
                Some(head) => head,
                None => desk.current_branch()?,
            };
            let new = NewPull { repository: desk.repository.clone(), title, head, base, author: desk.login.clone() };
            let (snapshot, deliveries) = desk.forge.open_pull(&new).map_err(from_forge)?;
            send(&desk.forge, deliveries, output).await?;
            told(&snapshot, "opened", output)?;
            output.next_step(&format!("modelship pr show {}", snapshot.pull.number));
            Ok(())
        }
        PrVerb::List { all } => {
            let status = if all { None } else { Some(PullStatus::Open) };
            let pulls = desk.forge.list_pulls(&desk.repository, status).map_err(from_forge)?;
            list(&pulls, output)
        }
        PrVerb::Show { number } => {
            let thread = desk.forge.show(&pull(number)?).map_err(from_forge)?;
            show(&thread, output)
        }
        PrVerb::Comment { number, body } => {
            let (comment, deliveries) = desk.forge.comment(&pull(number)?, &desk.login, &body).map_err(from_forge)?;
            send(&desk.forge, deliveries, output).await?;
            if output.is_json() {
                output.json(&comment)?;
            } else {
                output.line(&format!("commented on #{number} as {}", comment.author.login))?;
            }
            output.next_step(&format!("modelship pr show {number}"));
            Ok(())
        }
        PrVerb::Close { number } => {
            let (snapshot, deliveries) = desk.forge.close(&pull(number)?, &desk.login).map_err(from_forge)?;
            send(&desk.forge, deliveries, output).await?;
            told(&snapshot, "closed", output)
        }
        PrVerb::Reopen { number } => {
            let (snapshot, deliveries) = desk.forge.reopen(&pull(number)?, &desk.login).map_err(from_forge)?;
            send(&desk.forge, deliveries, output).await?;
            told(&snapshot, "reopened", output)
        }
        PrVerb::Merge { number } => {
            let (snapshot, deliveries) = desk.forge.merge(&pull(number)?, &desk.login).map_err(from_forge)?;
            send(&desk.forge, deliveries, output).await?;
            told(&snapshot, "merged", output)
        }
    }
}

/// Sends deliveries. A server that does not answer finds out by itself when it looks; that is said, and no error.
pub(super) async fn send(forge: &LocalForge, deliveries: Vec<Delivery>, output: &Output) -> Result<(), CliError> {
    for result in forge.deliver(&deliveries).await.map_err(from_forge)? {
        match result.outcome {
            DeliveryOutcome::Accepted { .. } => {}
            // What it tells of lies in the forge, and the server compares itself with that.
            DeliveryOutcome::Rejected { status, answer } if status >= 500 => {
                let reason = reason_of(&answer);
                output.note(&format!(
                    "the forge has it, but modelship's server cannot take note of it now ({status}: {reason}); it catches \
                     up by itself"
                ));
                break;
            }
            DeliveryOutcome::Rejected { status, answer } => {
                let answer = reason_of(&answer);
                output.problem(&format!("the server refused the `{}` delivery with {status}: {answer}", result.event));
            }
            DeliveryOutcome::Unanswered { .. } => {
                output.note("modelship's server does not answer; it catches up when it is started");
                break;
            }
        }
    }
    Ok(())
}

/// The reason in a server's answer, which is `{"error": "<reason>"}` when it is modelship's own.
fn reason_of(answer: &str) -> String {
    let reason = serde_json::from_str::<serde_json::Value>(answer).ok();
    let reason = reason.as_ref().and_then(|answer| answer["error"].as_str());
    reason.unwrap_or(answer).to_owned()
}

impl Desk {
    fn find(there: Where<'_>) -> Result<Self, CliError> {
        let clone = Source::discover(there.cwd).ok();
        let origin = clone.as_ref().and_then(Source::origin_path);
        let from_origin = origin.as_deref().and_then(place_on_forge);
        let root = there
            .forge
            .or(match there.settings.forge {
                ForgeSettings::Local { root } => Some(root),
                ForgeSettings::GitHub(_) | ForgeSettings::Laptop { .. } => None,
            })
            .or_else(|| from_origin.as_ref().map(|(root, _)| root.clone()))
            .ok_or_else(|| {
                CliError::User(
                    "cannot tell which forge is meant; give `--forge DIR`, or run this in a clone of one of its repositories"
                        .to_owned(),
                )
            })?;
        let forge = LocalForge::open(&root, system_time).map_err(from_forge)?;
        let repository = match (there.repository, from_origin) {
            (Some(repository), _) => repository,
            (None, Some((_, repository))) => repository,
            (None, None) => only_one(&forge)?,
        };
        let login = there.login.unwrap_or_else(settings::user_name);
        Ok(Self { forge, repository, login, clone })
    }

    fn current_branch(&self) -> Result<String, CliError> {
        let branch = match &self.clone {
            Some(clone) => clone.head_branch().map_err(from_source)?,
            None => None,
        };
        branch
            .ok_or_else(|| CliError::User("there is no current branch here; name one with `--head BRANCH`".to_owned()))
    }
}

fn only_one(forge: &LocalForge) -> Result<RepositoryName, CliError> {
    let repositories = forge.repositories().map_err(from_forge)?;
    match repositories.as_slice() {
        [only] => Ok(only.name.clone()),
        several => Err(CliError::User(format!(
            "the forge has {} repositories; name one with `--repository OWNER/NAME`",
            several.len()
        ))),
    }
}

/// The forge and the repository that the path of a bare repository means: `<root>/<owner>/<name>.git`.
fn place_on_forge(path: &Path) -> Option<(PathBuf, RepositoryName)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".git")?;
    let owner = path.parent()?.file_name()?.to_str()?;
    let root = path.parent()?.parent()?;
    root.join("forge.json").exists().then(|| Some((root.to_path_buf(), RepositoryName::new(owner, name).ok()?)))?
}

fn from_forge(error: LocalForgeError) -> CliError {
    if error.is_users_fault() { CliError::User(error.to_string()) } else { CliError::Ours(error.into()) }
}

fn told(snapshot: &PullSnapshot, what: &str, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(snapshot);
    }
    output.line(&format!("{what} #{}: {}", snapshot.pull.number, snapshot.title))
}

fn list(pulls: &[PullSnapshot], output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(&pulls);
    }
    if pulls.is_empty() {
        output.note("there is no open pull request");
        output.next_step("modelship pr open --title TITLE");
        return Ok(());
    }
    let cells: Vec<_> = pulls
        .iter()
        .map(|pull| {
            vec![
                format!("#{}", pull.pull.number),
                pull.title.clone(),
                format!("{} -> {}", pull.head_branch, pull.base_branch),
                words(pull.status).to_owned(),
                pull.author.login.clone(),
            ]
        })
        .collect();
    output.table(&["PULL", "TITLE", "BRANCHES", "STATUS", "BY"], &cells)
}

fn show(thread: &PullThread, output: &Output) -> Result<(), CliError> {
    if output.is_json() {
        return output.json(&json!(thread));
    }
    let snapshot = &thread.snapshot;
    output.heading(&format!("#{} {}", snapshot.pull.number, snapshot.title))?;
    output.line(&format!(
        "{} wants to merge {} ({}) into {}; {}",
        snapshot.author.login,
        snapshot.head_branch,
        snapshot.head.short(),
        snapshot.base_branch,
        words(snapshot.status)
    ))?;
    for status in &thread.statuses {
        let mark = match status.state {
            CommitState::Pending => "...",
            CommitState::Success => "ok ",
            CommitState::Failure | CommitState::Error => "BAD",
        };
        output.line(&format!("  {mark} {}: {}", status.context, status.description))?;
    }
    for comment in &thread.comments {
        output.line("")?;
        output.heading(&format!("{} at {}", comment.author.login, output.moment(comment.created_at)))?;
        output.markdown(comment.body.split("\n\n<!-- modelship:").next().unwrap_or_default())?;
    }
    Ok(())
}

fn words(status: PullStatus) -> &'static str {
    match status {
        PullStatus::Open => "open",
        PullStatus::Closed => "closed",
        PullStatus::Merged => "merged",
    }
}
