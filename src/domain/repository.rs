//! A repository's branches and tags, and what a push to one of them starts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Due};
use super::deployment::DeploymentState;
use super::diagnostic::Diagnostic;
use super::effect::Effect;
use super::event::{BuildOrigin, Event, Key, TouchedModel};
use super::ids::{CommitSha, Repository};
use super::report;
use super::version::Tree;

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryState {
    /// Its branches and tags, by full name: `refs/heads/main`.
    pub references: BTreeMap<String, ReferenceState>,
    /// Deployments that were heard of, the newest 200: each acts once, however often it is told of.
    #[serde(default)]
    pub deployments: BTreeSet<i64>,
}

/// Branches that GitHub makes for a while to try out what a merge queue holds. What passes is pushed to its own branch as the
/// same commit, and built then.
///
/// Source: <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>
const MERGE_QUEUE: &str = "refs/heads/gh-readonly-queue/";

/// Whether a reference is one whose models are built: a branch of somebody's, or a tag.
#[must_use]
pub fn is_followed(reference: &str) -> bool {
    let kinds = ["refs/heads/", "refs/tags/"];
    kinds.iter().any(|kind| reference.starts_with(kind)) && !reference.starts_with(MERGE_QUEUE)
}

/// How many deployments does a repository remember?
const DEPLOYMENTS_KEPT: usize = 200;

impl RepositoryState {
    /// Whether the deployment was heard of, or is older than all that are remembered.
    #[must_use]
    pub fn has_heard(&self, deployment: i64) -> bool {
        let forgets = self.deployments.len() >= DEPLOYMENTS_KEPT;
        let oldest = self.deployments.first().copied().filter(|_| forgets);
        oldest.is_some_and(|oldest| deployment < oldest) || self.deployments.contains(&deployment)
    }
}

/// What is known of a branch or tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceState {
    /// Where it pointed when we last heard of it; none when we have to look again.
    pub heard: Option<CommitSha>,
    /// The commit whose models were asked to be built last. What lies between it and the next one is looked at together.
    pub inspected: Option<CommitSha>,
}

/// Decides what follows from an event about `repository`.
pub(super) fn decide(
    repository: &Repository,
    state: Option<&RepositoryState>,
    event: &Event,
) -> Decision<RepositoryState> {
    let mut next = state.cloned().unwrap_or_default();
    let mut decision = Decision::default();
    match event {
        Event::PushReceived { reference, after: None, .. } => {
            if next.references.remove(reference).is_none() {
                return Decision::ignore(format!("`{reference}` was not known"));
            }
        }
        Event::PushReceived { reference, before, after: Some(after), default_branch, .. } => {
            if origin_of(reference, default_branch).is_none() {
                return Decision::ignore(format!("`{reference}` is nobody's branch or tag"));
            }
            let known = next.references.entry(reference.clone()).or_default();
            if known.heard.as_ref() == Some(after) {
                return Decision::ignore(format!("`{reference}` is known to be at {}", after.short()));
            }
            known.heard = Some(after.clone());
            decision.ask(Due {
                effect: Effect::InspectPush {
                    repository: repository.clone(),
                    reference: reference.clone(),
                    before: known.inspected.clone().or_else(|| before.clone()),
                    after: after.clone(),
                    default_branch: default_branch.clone(),
                },
                not_before: None,
                coalesce: Some(format!("push/{}/{reference}", repository.id)),
            });
        }
        Event::PushInspected { reference, commit, default_branch, models, faults } => {
            let Some(origin) = origin_of(reference, default_branch) else {
                return Decision::ignore(format!("`{reference}` is nobody's branch or tag"));
            };
            let Some(known) = next.references.get_mut(reference) else {
                return Decision::ignore(format!("`{reference}` is gone"));
            };
            if known.inspected.as_ref() == Some(commit) {
                return Decision::ignore(format!("`{reference}` was looked at there already"));
            }
            // What was found is where the reference is now, whatever delivery made us look.
            *known = ReferenceState { heard: Some(commit.clone()), inspected: Some(commit.clone()) };
            for touched in models {
                decision.tell(Key::Model(touched.model.clone()), request(touched, &origin));
            }
            let mut files: BTreeMap<&str, Vec<Diagnostic>> = BTreeMap::new();
            for fault in faults {
                files.entry(&fault.file).or_default().push(fault.clone());
            }
            for (file, faults) in files {
                decision.ask(report::manifest_check(file, &faults).beside(repository, commit));
            }
        }
        // What was told of the repository is heard by the model.
        Event::BuildPressed { model, .. } => decision.tell(Key::Model(model.clone()), event.clone()),
        Event::DeploymentCreated { deployment } => {
            if next.has_heard(deployment.id) {
                return Decision::ignore(format!("deployment {} was heard of already", deployment.id));
            }
            next.deployments.insert(deployment.id);
            while next.deployments.len() > DEPLOYMENTS_KEPT {
                next.deployments.pop_first();
            }
            let repository = repository.clone();
            decision.ask(Effect::CheckDeployment { repository, deployment: deployment.clone() });
        }
        Event::EffectFailed { effect, subject, reason } if effect == "CheckDeployment" => {
            let Ok(id) = subject.parse() else {
                return Decision::ignore(format!("`{effect}` failed: {reason}"));
            };
            decision.ask(Effect::AnswerDeployment {
                repository: repository.clone(),
                id,
                state: DeploymentState::Error,
                description: format!("this is not your fault: {reason}"),
                deployed: None,
            });
        }
        Event::EffectFailed { effect, subject, reason } => {
            // Forgotten, so that the next comparison with the forge looks again.
            let looked_for =
                |known: &&mut ReferenceState| known.heard.as_ref().is_some_and(|at| at.as_str() == subject);
            let mut forgotten = 0;
            if effect == "InspectPush" {
                for known in next.references.values_mut().filter(looked_for) {
                    known.heard = None;
                    forgotten += 1;
                }
            }
            if forgotten == 0 {
                return Decision::ignore(format!("`{effect}` failed: {reason}"));
            }
        }
        other => return Decision::ignore(format!("`{}` is not about a repository", other.name())),
    }
    decision.next = Some(next);
    decision
}

fn request(touched: &TouchedModel, origin: &BuildOrigin) -> Event {
    Event::BuildRequested {
        source: touched.source.clone(),
        tree: Tree::Committed,
        origin: origin.clone(),
        waiter: None,
    }
}

fn origin_of(reference: &str, default_branch: &str) -> Option<BuildOrigin> {
    if !is_followed(reference) {
        return None;
    }
    if let Some(name) = reference.strip_prefix("refs/heads/") {
        let name = name.to_owned();
        return Some(if name == default_branch {
            BuildOrigin::DefaultBranch { name }
        } else {
            BuildOrigin::Branch { name }
        });
    }
    reference.strip_prefix("refs/tags/").map(|name| BuildOrigin::Tag { name: name.to_owned() })
}
