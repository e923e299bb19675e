//! The models that a pull request changes: asked to be built, shown, and built again once merged.

use super::{PullBuild, PullModel, Thread};
use crate::domain::decision::Due;
use crate::domain::effect::Effect;
use crate::domain::event::{BuildFailure, BuildOrigin, Event, Key, TouchedModel};
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{CommitSha, ModelName};
use crate::domain::manifest::BuildBy;
use crate::domain::report;
use crate::domain::version::{BuiltVersion, Tree};

impl Thread<'_> {
    pub(super) fn build_models(&mut self, touched: &[TouchedModel]) {
        let untrusted = self.state.snapshot.origin == HeadOrigin::Fork;
        self.state.models.clear();
        for model in touched {
            let build = if untrusted { PullBuild::Untrusted } else { PullBuild::Building };
            self.state.models.insert(model.model.clone(), PullModel { source: model.source.clone(), build });
            if !untrusted {
                self.decision.tell(
                    Key::Model(model.model.clone()),
                    Event::BuildRequested {
                        source: model.source.clone(),
                        tree: Tree::Committed,
                        origin: BuildOrigin::Pull { number: self.at.pull.number },
                        waiter: Some(Key::Pull(self.at.pull.clone())),
                    },
                );
            }
        }
    }

    pub(super) fn build_settled(
        &mut self,
        model: &ModelName,
        commit: &CommitSha,
        result: &Result<BuiltVersion, BuildFailure>,
    ) -> Option<String> {
        let Some(entry) = self.state.models.get_mut(model).filter(|entry| entry.source.commit == *commit) else {
            return Some(format!("the pull request does not wait for {model} at {}", commit.short()));
        };
        entry.build = match result {
            Ok(version) => PullBuild::Ready { version: version.clone() },
            Err(failure) => PullBuild::Failed { failure: failure.clone() },
        };
        self.show_builds();
        let waiting: Vec<_> = self
            .state
            .sweeps
            .iter()
            .filter(|(_, sweep)| {
                sweep.request.as_ref().is_some_and(|wanted| wanted.model == *model && wanted.reference.is_none())
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in waiting {
            self.plan(&path);
        }
        self.plan_comparison(model);
        None
    }

    /// Somebody else builds a model of this pull request.
    pub(super) fn build_left(&mut self, model: &ModelName, commit: &CommitSha, by: BuildBy) -> Option<String> {
        let awaited = |entry: &&mut PullModel| entry.source.commit == *commit && entry.build == PullBuild::Building;
        let Some(entry) = self.state.models.get_mut(model).filter(awaited) else {
            return Some(format!("the pull request does not wait for {model} at {}", commit.short()));
        };
        entry.build = PullBuild::Left { by };
        self.show_builds();
        None
    }

    /// One comment tells of every model that the pull request builds.
    pub(super) fn show_builds(&mut self) {
        if self.state.models.is_empty() && self.state.faults.is_empty() {
            return;
        }
        let body = report::models_comment(&self.state);
        self.decision.ask(Due {
            effect: Effect::UpsertComment { pull: self.at.pull.clone(), marker: "models".to_owned(), body },
            not_before: None,
            coalesce: Some(format!("comment/{}/{}/models", self.at.pull.repository.id, self.at.pull.number)),
        });
    }

    /// Builds what the merge brought and makes it `production`.
    pub(super) fn merged(&mut self, touched: &[TouchedModel]) {
        for model in touched {
            self.decision.tell(
                Key::Model(model.model.clone()),
                Event::BuildRequested {
                    source: model.source.clone(),
                    tree: Tree::Committed,
                    origin: BuildOrigin::Merge { number: self.at.pull.number },
                    waiter: None,
                },
            );
        }
    }
}
