//! Comparing what a pull request's own version of a model does with what its base does.
//!
//! A comparison is two plans of one sweep, which differ in nothing but the version. Running them is an ordinary sweep's
//! business; here they are made, and afterwards their tables are compared.

use anyhow::Context as _;

use super::inspect::{SWEEPS, is_sweep};
use super::{Reports, blocking};
use crate::analysis::{Side, compare};
use crate::domain::diagnostic::Faults;
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::{ChannelName, CommitSha, Digest, ModelName, ObjectId, PullRef, SweepName, VersionId};
use crate::domain::manifest::{Manifest, Source as ModelSource, TestKind};
use crate::domain::pull::{Base, ComparisonPlan, Pair, PlannedPair};
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::state::{SweepPhase, SweepReport};
use crate::domain::version::{SourceRef, Version};
use crate::edge::source::{EntryKind, Source};
use crate::engine::planning::FilesAt;
use crate::engine::{Engine, Failure, PlanOrder, keys};
use crate::store::registry::Found;

/// How many sweeps of one model are compared at most, the first ones by path?
const MOST_SWEEPS: usize = 5;

/// How many sweep files are looked at to find them?
const MOST_FILES: usize = 500;

/// A comparison to plan.
pub(super) struct Order<'a> {
    pub(super) pull: &'a PullRef,
    pub(super) head: &'a CommitSha,
    pub(super) model: &'a ModelName,
    pub(super) source: &'a SourceRef,
    pub(super) version: &'a VersionId,
}

/// Finds what the pull request's own version can be compared with, and plans it.
pub(super) async fn plan(engine: &Engine, order: &Order<'_>) -> Reports {
    let result = planned(engine, order).await?.map(Box::new);
    let event = Event::ComparisonPlanned { model: order.model.clone(), head: order.head.clone(), result };
    Ok(vec![Keyed { key: Key::Pull(order.pull.clone()), event }])
}

async fn planned(engine: &Engine, order: &Order<'_>) -> Result<Result<ComparisonPlan, String>, Failure> {
    let Some(forge) = engine.outside().forge() else {
        return Ok(Err("there is no forge here".to_owned()));
    };
    let base_branch = forge.pull(order.pull).await?.base_branch;
    let git_dir = engine.outside().git_dir(&order.pull.repository)?;
    let (head, model, manifest) = (order.head.clone(), order.model.clone(), order.source.manifest.clone());
    let branch = base_branch.clone();
    let found = blocking(move || look(&Source::open(&git_dir)?, &branch, &head, &model, &manifest)).await?;
    let Some(base) = base_version(engine, order.model, found.at_base, &base_branch).await? else {
        return Ok(Err("it has no other version yet".to_owned()));
    };
    if base.version == *order.version {
        return Ok(Err(format!("its version is the same as that of `{}`", base.called)));
    }
    let policy = match engine.policy(&order.pull.repository).await? {
        Ok(policy) => policy,
        Err(faults) => return Ok(Err(format!("the policy on the default branch cannot be read: {faults}"))),
    };
    if found.sweeps.is_empty() {
        return Ok(Err("no sweep file names it without a version, and no test of its manifest runs it".to_owned()));
    }
    let mut sweeps: Vec<PlannedPair> = Vec::new();
    for (name, path) in found.sweeps {
        if sweeps.iter().any(|known| known.name == name) {
            continue;
        }
        let plans = pair(engine, order, &base, &path).await?;
        sweeps.push(PlannedPair { name, plans });
    }
    Ok(Ok(ComparisonPlan {
        head: order.head.clone(),
        version: order.version.clone(),
        base,
        sweeps,
        allowance: policy.comparison_allowance(),
    }))
}

/// Plans one sweep for both versions.
async fn pair(
    engine: &Engine,
    order: &Order<'_>,
    base: &Base,
    path: &str,
) -> Result<Result<Box<Pair<PlanSummary>>, String>, Failure> {
    let side = |version: &VersionId, side: &str, called: String| PlanOrder {
        repository: order.pull.repository.clone(),
        commit: order.head.clone(),
        path: path.to_owned(),
        owner: format!("{}/compare/{side}", Key::Pull(order.pull.clone())),
        own_version: Some(version.clone()),
        compared_as: Some(called),
        head: Some(order.head.clone()),
    };
    let own = side(order.version, "head", ChannelName::pull_request(order.pull.number).to_string());
    let head = match engine.plan(&own).await? {
        Ok(planned) => planned.summary,
        Err(faults) => return Ok(Err(format!("the pull request's version cannot run it: {}", first(&faults)))),
    };
    let base = match engine.plan(&side(&base.version, "base", base.called.clone())).await? {
        Ok(planned) => planned.summary,
        Err(faults) => return Ok(Err(format!("the base's version cannot run it: {}", first(&faults)))),
    };
    Ok(Ok(Box::new(Pair { base, head })))
}

fn first(faults: &Faults) -> String {
    faults.0.first().map_or_else(String::new, |fault| fault.message.clone())
}

/// What the repository says.
struct Looked {
    /// Source folder and manifest of the model where the pull request left its base.
    at_base: Option<(ObjectId, Digest)>,
    /// Sweeps that can be compared, by path.
    sweeps: Vec<(SweepName, String)>,
}

fn look(
    source: &Source,
    base_branch: &str,
    head: &CommitSha,
    model: &ModelName,
    manifest: &str,
) -> anyhow::Result<Looked> {
    let at_base = match source.branch(base_branch)? {
        Some(tip) => source.merge_base(&tip, head)?,
        None => None,
    };
    let at_base = match at_base {
        Some(commit) => content(source, &commit, manifest)?,
        None => None,
    };
    let mut sweeps = sweeps_of(source, head, model)?;
    if sweeps.is_empty()
        && let Ok((parsed, _)) = FilesAt::new(source, head).manifest(manifest)
        && parsed.tests.iter().any(|test| matches!(test.kind, TestKind::Run { .. }))
    {
        sweeps.push((SweepName::parse("tests").context("`tests` is a sweep's name")?, manifest.to_owned()));
    }
    Ok(Looked { at_base, sweeps })
}

/// The source folder and the manifest's hash at `commit`; none when there is no good manifest.
fn content(source: &Source, commit: &CommitSha, manifest: &str) -> anyhow::Result<Option<(ObjectId, Digest)>> {
    let Ok((parsed, text)) = FilesAt::new(source, commit).manifest(manifest) else { return Ok(None) };
    let ModelSource::Path(folder) = &parsed.source else { return Ok(None) };
    match source.tree_of(commit, folder) {
        Ok(tree) => Ok(tree.map(|tree| (tree, Manifest::hash(&text)))),
        Err(error) if error.is_users_fault() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Good sweep files of the model that ask for no version in particular.
fn sweeps_of(source: &Source, head: &CommitSha, model: &ModelName) -> anyhow::Result<Vec<(SweepName, String)>> {
    let files = FilesAt::new(source, head);
    let mut found = Vec::new();
    let mut folders = vec![SWEEPS.to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        let listed = match source.list(head, &folder) {
            Ok(listed) => listed,
            Err(error) if error.is_users_fault() => continue,
            Err(error) => return Err(error.into()),
        };
        for entry in listed {
            looked_at += 1;
            if found.len() == MOST_SWEEPS || looked_at > MOST_FILES {
                return Ok(found);
            }
            let path = format!("{folder}/{}", entry.name);
            if entry.kind == EntryKind::Folder {
                folders.push(path);
            } else if is_sweep(&path)
                && let Ok(spec) = files.sweep(&path)
                && spec.model == *model
                && spec.reference.is_none()
            {
                found.push((spec.name.clone(), path));
            }
        }
    }
    Ok(found)
}

/// The version of the model where the pull request left its base; production where that was never built.
async fn base_version(
    engine: &Engine,
    model: &ModelName,
    at_base: Option<(ObjectId, Digest)>,
    base_branch: &str,
) -> Result<Option<Base>, Failure> {
    let store = engine.store();
    let base = |version: &Version, called: &str| Base {
        version: version.id.clone(),
        commit: version.source.commit.clone(),
        called: called.to_owned(),
    };
    if let Some((tree, manifest)) = at_base {
        let versions = store.versions(model).await?;
        if let Some(same) = versions.iter().find(|known| known.source_tree == tree && known.manifest == manifest) {
            return Ok(Some(base(same, base_branch)));
        }
    }
    Ok(match store.find_version(model, ChannelName::production().as_str()).await? {
        Found::One(version) => Some(base(&version, ChannelName::production().as_str())),
        Found::Many(_) | Found::None => None,
    })
}

/// Compares the tables that both versions left.
pub(super) async fn versions(engine: &Engine, pull: &PullRef, base: &SweepReport, head: &SweepReport) -> Reports {
    let result = tables(engine, base, head).await?;
    let event = Event::VersionsCompared { head: head.plan.id.clone(), result: result.map(Box::new) };
    Ok(vec![Keyed { key: Key::Pull(pull.clone()), event }])
}

async fn tables(
    engine: &Engine,
    base: &SweepReport,
    head: &SweepReport,
) -> Result<Result<crate::domain::sweep::analysis::Comparison, String>, Failure> {
    let artifacts = engine.outside().artifacts.clone();
    let (base, head) = (base.clone(), head.clone());
    let compared = blocking(move || {
        let side = |report: &SweepReport| {
            let (SweepPhase::Succeeded { analysis } | SweepPhase::Incomplete { analysis, .. }) = &report.phase else {
                anyhow::bail!("sweep `{}` has no analysis", report.plan.id);
            };
            let table = fs_err::File::open(artifacts.path(&keys::analysis_csv(&report.plan.id)?))?;
            Ok(Side::new(report.plan.reference.clone(), table, &report.plan, analysis))
        };
        Ok(compare(side(&base)?, side(&head)?))
    })
    .await?;
    Ok(compared.map_err(|error| format!("{error:#}")))
}
