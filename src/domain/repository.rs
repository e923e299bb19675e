//! A repository's branches, and what a push to one of them starts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::effect::Effect;
use super::event::{BuildOrigin, Event, Key};
use super::forge::CommitState;
use super::ids::{CommitSha, Repository};
use super::version::Tree;

/// What is known of a repository: where its references pointed when we last heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryState {
    /// Full reference names with their commits.
    pub references: BTreeMap<String, CommitSha>,
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
        Event::PushReceived { reference, before, after, default_branch, .. } => {
            let Some(after) = after else {
                if next.references.remove(reference).is_none() {
                    return Decision::ignore(format!("`{reference}` was not known"));
                }
                decision.next = Some(next);
                return decision;
            };
            let known = next.references.insert(reference.clone(), after.clone());
            if known.as_ref() == Some(after) {
                return Decision::ignore(format!("`{reference}` is known to be at {}", after.short()));
            }
            if !reference.starts_with("refs/heads/") && !reference.starts_with("refs/tags/") {
                return Decision::ignore(format!("`{reference}` is neither a branch nor a tag"));
            }
            decision.next = Some(next);
            decision.ask(Effect::InspectPush {
                repository: repository.clone(),
                reference: reference.clone(),
                before: known.or_else(|| before.clone()),
                after: after.clone(),
                default_branch: default_branch.clone(),
            });
        }
        Event::PushInspected { reference, commit, default_branch, models, faults } => {
            if next.references.get(reference) != Some(commit) {
                return Decision::ignore(format!("`{reference}` has moved on from {}", commit.short()));
            }
            let Some(origin) = origin_of(reference, default_branch) else {
                return Decision::ignore(format!("`{reference}` is neither a branch nor a tag"));
            };
            for touched in models {
                decision.tell(
                    Key::Model(touched.model.clone()),
                    Event::BuildRequested {
                        source: touched.source.clone(),
                        tree: Tree::Committed,
                        origin: origin.clone(),
                        waiter: None,
                    },
                );
            }
            for fault in faults {
                decision.ask(Effect::SetCommitStatus {
                    repository: repository.clone(),
                    commit: commit.clone(),
                    context: format!("modelship/manifest {}", fault.file),
                    state: CommitState::Failure,
                    description: fault.to_string(),
                });
            }
        }
        Event::EffectFailed { effect, reason, .. } => {
            return Decision::ignore(format!("`{effect}` failed: {reason}"));
        }
        other => return Decision::ignore(format!("`{}` is not about a repository", other.name())),
    }
    decision
}

fn origin_of(reference: &str, default_branch: &str) -> Option<BuildOrigin> {
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
