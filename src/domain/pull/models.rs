//! The models that a pull request changes: asked to be built, shown, and built again once merged.

use super::talk::Urgency;
use super::{PullBuild, PullModel, Thread};
use crate::domain::event::{BuildFailure, BuildOrigin, Event, Key, TouchedModel};
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{CommitSha, ModelName};
use crate::domain::manifest::BuildBy;
use crate::domain::report;
use crate::domain::version::{BuiltVersion, Tree};

impl Thread<'_> {
    pub(super) fn build_models(&mut self, touched: &[TouchedModel]) {
        let trusted = self.is_trusted();
        self.state.models.clear();
        for model in touched {
            let entry = PullModel { source: model.source.clone(), build: PullBuild::Untrusted };
            self.state.models.insert(model.model.clone(), entry);
            if trusted {
                self.build(&model.model);
            }
        }
    }

    /// Asks for the build of a model that the pull request changes.
    pub(super) fn build(&mut self, model: &ModelName) {
        let number = self.at.pull.number;
        let Some(entry) = self.state.models.get_mut(model) else { return };
        entry.build = PullBuild::Building;
        let origin = match self.state.snapshot.origin {
            HeadOrigin::SameRepository => BuildOrigin::Pull { number },
            HeadOrigin::Fork => BuildOrigin::Fork { number },
        };
        self.decision.tell(
            Key::Model(model.clone()),
            Event::BuildRequested {
                source: entry.source.clone(),
                tree: Tree::Committed,
                origin,
                waiter: Some(Key::Pull(self.at.pull.clone())),
            },
        );
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
        self.edit("models", body, None, Urgency::Now);
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
