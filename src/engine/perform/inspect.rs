//! Looking at pushes, pull requests and sweep files.

use std::path::PathBuf;

use anyhow::Context as _;

use super::talk::forge;
use super::{Reports, blocking};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::event::{ChangedSweep, Event, Key, Keyed, SweepRequest, TouchedModel};
use crate::domain::forge::PullStatus;
use crate::domain::ids::{CommitSha, PullRef, Repository, VersionId};
use crate::domain::manifest::{Manifest, Source as ModelSource};
use crate::domain::version::SourceRef;
use crate::edge::source::{Change, Source};
use crate::engine::planning::FilesAt;
use crate::engine::{Engine, PlanOrder};

/// How many sweep files of one pull request are looked at?
const MOST_SWEEPS: usize = 50;

/// Where sweep files lie in a repository.
pub(super) const SWEEPS: &str = "sweeps";

/// A push to look at.
pub(super) struct Push<'a> {
    pub(super) repository: &'a Repository,
    pub(super) reference: &'a str,
    pub(super) before: Option<&'a CommitSha>,
    pub(super) default_branch: &'a str,
}

/// Finds the models that a push touched.
pub(super) async fn push(engine: &Engine, push: Push<'_>) -> Reports {
    if let Some(forge) = engine.outside().forge() {
        forge.fetch(push.repository).await?;
    }
    let git_dir = engine.outside().git_dir(push.repository)?;
    let key = Key::Repository(push.repository.clone());
    // A delivery can be late or told again: what counts is where the reference is now.
    let (dir, reference) = (git_dir.clone(), push.reference.to_owned());
    let live = blocking(move || Ok(Source::open(&dir)?.reference_head(&reference)?)).await?;
    let Some(after) = live else {
        let event = Event::PushReceived {
            reference: push.reference.to_owned(),
            before: None,
            after: None,
            default_branch: push.default_branch.to_owned(),
            pusher: "a look at the repository".to_owned(),
        };
        return Ok(vec![Keyed { key, event }]);
    };
    let (repository, commit) = (push.repository.clone(), after.clone());
    let (before, default_branch) = (push.before.cloned(), push.default_branch.to_owned());
    let branch = push.reference.strip_prefix("refs/heads/");
    let is_new_branch = branch.is_some_and(|branch| branch != push.default_branch);
    // A tag names every model as it is there, whatever was pushed before.
    let before = if branch.is_some() { before } else { None };
    let found = blocking(move || {
        let source = Source::open(&git_dir)?;
        // A new branch is compared with where it left the default branch: what it did not change is built already.
        let before = match before {
            None if is_new_branch => match source.branch(&default_branch)? {
                Some(head) => source.merge_base(&head, &after)?,
                None => None,
            },
            before => before,
        };
        touched(&source, &repository, before.as_ref(), &after)
    })
    .await
    .with_context(|| format!("cannot look at the push to `{}` of `{}`", push.reference, push.repository.name))?;
    let event = Event::PushInspected {
        reference: push.reference.to_owned(),
        commit,
        default_branch: push.default_branch.to_owned(),
        models: found.models,
        faults: found.faults,
    };
    Ok(vec![Keyed { key, event }])
}

/// Finds what a pull request changes, as the forge has it now. `then` is told after that.
pub(super) async fn pull(engine: &Engine, pull: &PullRef, then: Option<&Event>) -> Reports {
    let forge = forge(engine)?;
    let git_dir: PathBuf = engine.outside().git_dir(&pull.repository)?;
    let wanted = pull.clone();
    let looked_at = engine.now();
    let snapshot = forge.pull(pull).await?;
    // After the question: what the pull request has now is there then.
    forge.fetch(&pull.repository).await?;
    let event = blocking(move || {
        let mut found = Changes::default();
        if snapshot.status == PullStatus::Open {
            let source = Source::open(&git_dir)?;
            let base = match source.branch(&snapshot.base_branch)? {
                Some(head) => source.merge_base(&head, &snapshot.head)?,
                None => None,
            };
            found = changes(&source, &wanted.repository, base.as_ref(), &snapshot.head)?;
        }
        // What a merge brought is what it differs by from the branch that it went to.
        if let (PullStatus::Merged, Some(merge)) = (snapshot.status, &snapshot.merge_commit) {
            let source = Source::open(&git_dir)?;
            let before = source.parent(merge)?;
            found = touched(&source, &wanted.repository, before.as_ref(), merge)?;
        }
        let Changes { models, sweeps, faults } = found;
        Ok(Event::PullInspected { looked_at, snapshot: Box::new(snapshot), models, sweeps, faults })
    })
    .await
    .with_context(|| format!("cannot look at pull request {pull}"))?;
    let key = Key::Pull(pull.clone());
    let mut events = vec![Keyed { key: key.clone(), event }];
    events.extend(then.map(|event| Keyed { key, event: event.clone() }));
    Ok(events)
}

/// What a commit changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Models whose manifest or source differs.
    pub models: Vec<TouchedModel>,
    /// Sweep files that are new or differ.
    pub sweeps: Vec<ChangedSweep>,
    /// Manifests that differ and cannot be read.
    pub faults: Vec<Diagnostic>,
}

/// Finds how `head` differs from `base`, or everything that it has where there is no `base`.
///
/// # Errors
/// When git fails.
pub fn changes(
    source: &Source,
    repository: &Repository,
    base: Option<&CommitSha>,
    head: &CommitSha,
) -> anyhow::Result<Changes> {
    let (sweeps, left_out) = changed_sweeps(source, base, head)?;
    let mut found = Changes { sweeps, ..touched(source, repository, base, head)? };
    found.faults.extend(left_out);
    Ok(found)
}

fn touched(
    source: &Source,
    repository: &Repository,
    before: Option<&CommitSha>,
    after: &CommitSha,
) -> anyhow::Result<Changes> {
    let files = FilesAt::new(source, after);
    let source_path = |path: &str, text: &str| match Manifest::parse(path, text, &files).ok()?.source {
        ModelSource::Path(path) => Some(path),
        ModelSource::Repository { .. } => None,
    };
    let mut found = Changes::default();
    for manifest in source.touched(before, after, &source_path)? {
        match files.manifest(&manifest.path) {
            Err(faults) => found.faults.extend(faults.0),
            Ok((parsed, _)) => match manifest.source_tree {
                Some(source_tree) => found.models.push(TouchedModel {
                    model: parsed.model,
                    source: SourceRef {
                        repository: repository.clone(),
                        commit: after.clone(),
                        manifest: manifest.path,
                    },
                    source_tree,
                }),
                None => found.faults.push(Diagnostic::of_file(
                    &manifest.path,
                    "`source` names no folder of this repository",
                    Some("write `source: {path: <folder>}` with a folder that is committed".to_owned()),
                )),
            },
        }
    }
    Ok(found)
}

/// The sweep files that differ, and what is said of those beyond the limit.
fn changed_sweeps(
    source: &Source,
    base: Option<&CommitSha>,
    head: &CommitSha,
) -> anyhow::Result<(Vec<ChangedSweep>, Option<Diagnostic>)> {
    let changed = match base {
        Some(base) => source.changed_files(base, head, SWEEPS)?,
        None => source.files_of(head, 10_000)?,
    };
    let files = FilesAt::new(source, head);
    let sweeps: Vec<String> = changed
        .into_iter()
        .filter(|file| file.change != Change::Deleted && is_sweep(&file.path))
        .map(|file| file.path)
        .collect();
    let count = sweeps.len();
    // The first one beyond the limit speaks for those after it.
    let left_out = sweeps.get(MOST_SWEEPS).map(|path| {
        let message = format!("there are {count} sweep files, of which the first {MOST_SWEEPS} are looked at");
        let hint = "ask for this one and those after it in further pull requests";
        Diagnostic::of_file(path, message, Some(hint.to_owned()))
    });
    let looked_at = sweeps.into_iter().take(MOST_SWEEPS).map(|path| {
        let request = files.sweep(&path).map(|spec| spec.request());
        ChangedSweep { path, request }
    });
    Ok((looked_at.collect(), left_out))
}

pub(super) fn is_sweep(path: &str) -> bool {
    path.strip_prefix(SWEEPS).is_some_and(|rest| rest.starts_with('/'))
        && (path.ends_with(".yaml") || path.ends_with(".yml"))
}

/// A sweep file to plan.
pub(super) struct SweepOrder<'a> {
    pub(super) pull: &'a PullRef,
    pub(super) head: &'a CommitSha,
    pub(super) path: &'a str,
    pub(super) request: &'a SweepRequest,
    pub(super) own_version: Option<&'a VersionId>,
}

/// Plans a sweep file of a pull request.
pub(super) async fn plan_sweep(engine: &Engine, order: SweepOrder<'_>) -> Reports {
    let key = Key::Pull(order.pull.clone());
    let result = engine
        .plan(&PlanOrder {
            repository: order.pull.repository.clone(),
            commit: order.head.clone(),
            path: order.path.to_owned(),
            owner: key.to_string(),
            own_version: order.own_version.cloned(),
            compared_as: None,
            head: Some(order.head.clone()),
        })
        .await
        .with_context(|| format!("cannot plan sweep `{}` of {}", order.request.name, order.pull))?;
    let event = Event::SweepPlanned {
        path: order.path.to_owned(),
        head: order.head.clone(),
        result: result.map(|planned| Box::new(planned.summary)),
    };
    Ok(vec![Keyed { key, event }])
}
