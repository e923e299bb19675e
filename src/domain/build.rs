//! A model's builds: who asked for which commit, and what happens when a build ends.

mod again;
mod offers;
mod promotion;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Rules};
use super::deployment::Asker;
use super::effect::Effect;
use super::event::{BuildFailure, BuildOrigin, BuildOutcome, Event, Key};
use super::forge::HeadOrigin;
use super::ids::{ChannelName, CommitSha, ModelName, Repository, Time, VersionId};
use super::manifest::BuildBy;
use super::offer::OfferState;
use super::report::{self, BuildStanding};
use super::version::{BuiltVersion, SourceRef, Tree, Version};
use promotion::Wish;

/// What is known of a model's builds. Only builds under way are kept; ended ones live in the registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// Builds under way, by commit.
    pub builds: BTreeMap<CommitSha, BuildState>,
    /// The repository that the registry knows the model from; a model belongs to the one that registered it first.
    pub repository: Option<i64>,
    /// Where `production` points, as far as the registry has answered.
    pub production: Option<VersionId>,
    /// The answer to the last promotion that was asked for.
    pub promotion: Option<PromotionAnswer>,
    /// Promotions that are under way, and who waits for the answer.
    #[serde(default)]
    pub promotions: BTreeMap<String, AwaitedPromotion>,
    /// When the newest move of a channel was that others were told of.
    #[serde(default)]
    pub told: BTreeMap<ChannelName, Time>,
    /// The newest deployment of the forge that asked for a channel to move.
    #[serde(default)]
    pub deployed: BTreeMap<ChannelName, i64>,
    /// How the last build of each commit that failed ended; the newest 20.
    pub failures: Vec<FailedBuild>,
    /// Versions that somebody else built and offered; the newest 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<OfferState>,
}

/// One build under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildState {
    /// What is built.
    pub source: SourceRef,
    /// Whether others can check that commit out.
    pub tree: Tree,
    /// Who wants it; empty once nobody does.
    pub requests: Vec<BuildRequest>,
    /// Where it stands.
    pub phase: BuildPhase,
}

/// Somebody's wish for a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// Why.
    pub origin: BuildOrigin,
    /// Who waits for the outcome.
    pub waiter: Option<Key>,
}

/// Where a build stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum BuildPhase {
    /// It builds and tests.
    Building,
    /// It was told to stop.
    Stopping,
    /// Somebody else builds it, and will offer what came of it.
    Waiting {
        /// Who.
        by: BuildBy,
        /// The order in which commits began to wait.
        turn: u64,
    },
    /// It passed and waits its turn: one version of a model is registered at a time, so that channels move in order.
    Passed {
        /// The version.
        version: Box<Version>,
    },
    /// The registry is being told.
    Registering {
        /// The version.
        version: Box<Version>,
        /// Whose wishes this answers; who came later waits in the build's `requests`.
        covered: Vec<BuildRequest>,
        /// The channels that it moves.
        channels: Vec<ChannelName>,
    },
}

impl BuildPhase {
    /// Whether an effect builds it.
    fn is_at_work(&self) -> bool {
        matches!(self, Self::Building | Self::Stopping)
    }
}

/// The answer to a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionAnswer {
    /// The request.
    pub request: String,
    /// Where the channel points now, or why it was not moved.
    pub result: Result<VersionId, String>,
}

/// A promotion that is under way, for whoever waits elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedPromotion {
    /// The channel.
    pub channel: ChannelName,
    /// Who waits.
    pub asker: Asker,
}

/// A build that failed, for `modelship build` and the lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBuild {
    /// What was built.
    pub source: SourceRef,
    /// Whether others can check that commit out.
    pub tree: Tree,
    /// Who wanted it, and wants nothing newer in its place.
    pub requests: Vec<BuildRequest>,
    /// Why it failed.
    pub failure: BuildFailure,
}

/// How many failed builds of a model are remembered?
const FAILURES_KEPT: usize = 20;

/// Decides what follows from an event about `model`.
pub(super) fn decide(
    model: &ModelName,
    state: Option<&ModelState>,
    event: &Event,
    rules: &Rules,
) -> Decision<ModelState> {
    let mut build = Builds { model, rules, state: state.cloned().unwrap_or_default(), decision: Decision::default() };
    let ignored = match event {
        Event::BuildRequested { source, tree, origin, waiter } => {
            let request = BuildRequest { origin: origin.clone(), waiter: waiter.clone() };
            build.requested(source, *tree, request);
            None
        }
        Event::BuildFinished { source, outcome } => build.finished(source, outcome),
        Event::BuildLeft { source, by, .. } => build.left(source, *by),
        Event::VersionOffered { offer } => build.offered(offer),
        Event::OfferChecked { offer, result } => build.offer_checked(offer, result),
        Event::BuildPressed { commit, author, .. } => build.pressed(commit, author),
        Event::RebuildAllowed { commit } => build.rebuild(commit),
        Event::VersionRegistered { source, version, moves, is_new } => {
            build.tell_of_version(version, moves, *is_new);
            build.registered(source, version)
        }
        Event::PromotionRequested { request, channel, target, by, asker } => {
            build.promotion_requested(&Wish { request, channel, target, by, asker });
            None
        }
        Event::PromotionAnswered { request, channel, result, moved } => {
            build.promotion_answered(request, channel, result, moved.as_ref());
            None
        }
        Event::EffectFailed { effect, subject, reason } => build.effect_failed(effect, subject, reason),
        other => Some(format!("`{}` is not about a model", other.name())),
    };
    match ignored {
        Some(reason) => Decision::ignore(reason),
        None => Decision { next: Some(build.state), ..build.decision },
    }
}

struct Builds<'a> {
    model: &'a ModelName,
    rules: &'a Rules,
    state: ModelState,
    decision: Decision<ModelState>,
}

impl Builds<'_> {
    fn requested(&mut self, source: &SourceRef, tree: Tree, request: BuildRequest) {
        if let Some(reason) = self.foreign(source) {
            let failure = BuildFailure::without_log("registry", reason);
            self.show(source, BuildStanding::Failed(&failure));
            self.settle(&request, source, Err(failure));
            return;
        }
        self.supersede(source, &request.origin);
        self.state.failures.retain(|failed| failed.source.commit != source.commit);
        if let Some(build) = self.state.builds.get_mut(&source.commit) {
            if let (BuildPhase::Waiting { by, .. }, Some(waiter)) = (&build.phase, &request.waiter) {
                let left = Event::BuildLeft { model: self.model.clone(), source: source.clone(), by: *by };
                self.decision.tell(waiter.clone(), left);
            }
            if !build.requests.contains(&request) {
                build.requests.push(request);
            }
            return;
        }
        let build = BuildState { source: source.clone(), tree, requests: vec![request], phase: BuildPhase::Building };
        let code = build.code();
        self.state.builds.insert(source.commit.clone(), build);
        self.start(source, tree, code);
    }

    /// Why a source may not be built as this model: its name belongs to another repository or to another manifest.
    fn foreign(&self, source: &SourceRef) -> Option<String> {
        if let Some(reason) = self.belongs_elsewhere(&source.repository) {
            return Some(reason);
        }
        let other = &self.state.builds.get(&source.commit)?.source.manifest;
        (*other != source.manifest)
            .then(|| format!("`{other}` and `{}` both are manifests of `{}`", source.manifest, self.model))
    }

    /// Why the model's name is not this repository's.
    fn belongs_elsewhere(&self, repository: &Repository) -> Option<String> {
        let known = self.state.repository.is_some_and(|id| id != repository.id);
        let under_way = self.state.builds.values().any(|build| build.source.repository.id != repository.id);
        (known || under_way)
            .then(|| format!("model `{}` belongs to another repository; choose another owner or title", self.model))
    }

    fn start(&mut self, source: &SourceRef, tree: Tree, code: HeadOrigin) {
        self.show(source, BuildStanding::Building);
        self.decision.ask(Effect::BuildModel { model: self.model.clone(), source: source.clone(), tree, code });
    }

    /// A newer commit of the same branch or pull request, and whatever newer moves `production`, take the place of older
    /// ones that nobody else waits for.
    fn supersede(&mut self, source: &SourceRef, origin: &BuildOrigin) {
        let (rules, mut unwanted) = (self.rules, Vec::new());
        for (commit, build) in &mut self.state.builds {
            if *commit == source.commit {
                continue;
            }
            build.requests.retain(|request| !takes_the_place_of(origin, &request.origin, rules));
            match build.phase {
                BuildPhase::Building if build.requests.is_empty() => {
                    build.phase = BuildPhase::Stopping;
                    self.decision.ask(Effect::CancelBuild { model: self.model.clone(), source: build.source.clone() });
                }
                BuildPhase::Waiting { .. } if build.requests.is_empty() => unwanted.push(build.source.clone()),
                _ => {}
            }
        }
        // What failed is done again for those only who would not rather have the newer one.
        for failed in self.state.failures.iter_mut().filter(|failed| failed.source.commit != source.commit) {
            failed.requests.retain(|request| !takes_the_place_of(origin, &request.origin, rules));
        }
        for source in unwanted {
            self.state.builds.remove(&source.commit);
            self.show(&source, BuildStanding::Superseded);
        }
    }

    fn finished(&mut self, source: &SourceRef, outcome: &BuildOutcome) -> Option<String> {
        let Some(build) = self.state.builds.get_mut(&source.commit) else {
            return Some(format!("no build of {} is under way", source.commit.short()));
        };
        let at_work = build.phase.is_at_work();
        match outcome {
            BuildOutcome::Passed(_) | BuildOutcome::Cancelled if !at_work => {
                return Some(format!("the build of {} has ended already", source.commit.short()));
            }
            BuildOutcome::Passed(version) => {
                build.phase = BuildPhase::Passed { version: version.clone() };
                self.register_next();
            }
            BuildOutcome::Failed(failure) => self.failed(source, failure.clone(), Fault::Users),
            BuildOutcome::Cancelled if build.requests.is_empty() => {
                self.state.builds.remove(&source.commit);
                self.show(source, BuildStanding::Superseded);
            }
            BuildOutcome::Cancelled => {
                // Somebody asked for this commit again while it was being stopped.
                build.phase = BuildPhase::Building;
                let (tree, code) = (build.tree, build.code());
                self.start(source, tree, code);
            }
        }
        None
    }

    /// Tells the registry of the next version that passed, unless it is being told of one.
    fn register_next(&mut self) {
        if self.state.builds.values().any(|build| matches!(build.phase, BuildPhase::Registering { .. })) {
            return;
        }
        let next = self.state.builds.iter().find_map(|(commit, build)| match &build.phase {
            BuildPhase::Passed { version } => Some((commit.clone(), version.clone())),
            BuildPhase::Building
            | BuildPhase::Stopping
            | BuildPhase::Waiting { .. }
            | BuildPhase::Registering { .. } => None,
        });
        let Some((commit, version)) = next else { return };
        let covered = self.state.builds.get_mut(&commit).map(|build| std::mem::take(&mut build.requests));
        let covered = covered.unwrap_or_default();
        let mut moves: Vec<(ChannelName, String)> = Vec::new();
        for request in &covered {
            for (channel, reason) in self.channels(&request.origin, &version) {
                if !moves.iter().any(|(name, _)| *name == channel) {
                    moves.push((channel, reason));
                }
            }
        }
        let channels = moves.iter().map(|(name, _)| name.clone()).collect();
        self.decision.ask(Effect::RegisterVersion { version: version.clone(), channels: moves });
        if let Some(build) = self.state.builds.get_mut(&commit) {
            build.phase = BuildPhase::Registering { version, covered, channels };
        }
    }

    /// The channels that a version built for `origin` moves.
    fn channels(&self, origin: &BuildOrigin, version: &Version) -> Vec<(ChannelName, String)> {
        if version.tree == Tree::Dirty {
            return Vec::new();
        }
        let named = |name: &str| ChannelName::parse(name).ok().filter(|channel| !channel.is_reserved());
        let (channel, reason) = match origin {
            BuildOrigin::Branch { name } | BuildOrigin::DefaultBranch { name } => {
                (named(name), format!("push to {name}"))
            }
            BuildOrigin::Tag { name } => (named(name), format!("tag {name}")),
            BuildOrigin::Pull { number } | BuildOrigin::Fork { number } => {
                (Some(ChannelName::pull_request(*number)), format!("push to #{number}"))
            }
            BuildOrigin::Merge { number } => (Some(ChannelName::production()), format!("merge of #{number}")),
            BuildOrigin::Terminal => (None, String::new()),
        };
        let mut channels: Vec<_> = channel.into_iter().map(|channel| (channel, reason.clone())).collect();
        match origin {
            BuildOrigin::Pull { .. } => channels.push((ChannelName::staging(), reason)),
            BuildOrigin::DefaultBranch { .. } => {
                if self.rules.promote_direct_pushes {
                    channels.push((ChannelName::production(), reason));
                } else if self.state.production.is_none() {
                    channels.push((ChannelName::production(), format!("first version, {reason}")));
                }
            }
            BuildOrigin::Branch { .. }
            | BuildOrigin::Tag { .. }
            | BuildOrigin::Merge { .. }
            // Nobody who may write here has taken it in.
            | BuildOrigin::Fork { .. }
            | BuildOrigin::Terminal => {}
        }
        channels
    }

    fn registered(&mut self, source: &SourceRef, version: &Version) -> Option<String> {
        let Some(build) = self.state.builds.get_mut(&source.commit) else {
            return Some(format!("no build of {} is under way", source.commit.short()));
        };
        let BuildPhase::Registering { version: awaited, covered, channels } = &build.phase else {
            return Some(format!("version {} is not being registered", version.id));
        };
        if awaited.id != version.id {
            return Some(format!("version {} is not being registered", version.id));
        }
        let covered = covered.clone();
        if channels.contains(&ChannelName::production()) {
            self.state.production = Some(version.id.clone());
        }
        self.state.repository = Some(source.repository.id);
        if build.requests.is_empty() {
            self.state.builds.remove(&source.commit);
        } else {
            // Whoever asked meanwhile wants channels of their own moved.
            build.phase = BuildPhase::Passed { version: Box::new(version.clone()) };
        }
        self.settle_offers(&source.commit, Ok(&version.id));
        for request in &covered {
            self.settle(request, source, Ok(version.into()));
        }
        self.show(source, BuildStanding::Passed(version));
        self.register_next();
        None
    }

    fn failed(&mut self, source: &SourceRef, failure: BuildFailure, fault: Fault) {
        let Some(build) = self.state.builds.remove(&source.commit) else { return };
        let mut requests = match build.phase {
            BuildPhase::Registering { covered, .. } => covered,
            BuildPhase::Building | BuildPhase::Stopping | BuildPhase::Waiting { .. } | BuildPhase::Passed { .. } => {
                Vec::new()
            }
        };
        requests.extend(build.requests);
        self.settle_offers(&source.commit, Err(&failure));
        for request in &requests {
            self.settle(request, source, Err(failure.clone()));
        }
        self.show(
            source,
            match fault {
                Fault::Users => BuildStanding::Failed(&failure),
                Fault::Ours => BuildStanding::Broken(&failure),
            },
        );
        requests.retain(|request| !self.is_outrun(request));
        self.state.failures.push(FailedBuild { source: source.clone(), tree: build.tree, requests, failure });
        let surplus = self.state.failures.len().saturating_sub(FAILURES_KEPT);
        self.state.failures.drain(..surplus);
        self.register_next();
    }

    fn effect_failed(&mut self, effect: &str, subject: &str, reason: &str) -> Option<String> {
        if effect == "MoveChannel" {
            self.promotion_failed(subject, reason);
            return None;
        }
        if effect == "CheckOffer" {
            return self.offer_failed(subject, reason);
        }
        let awaited = self.state.builds.values().find(|build| {
            let waits = match &build.phase {
                BuildPhase::Building | BuildPhase::Stopping => effect == "BuildModel",
                BuildPhase::Registering { .. } => effect == "RegisterVersion",
                BuildPhase::Waiting { .. } | BuildPhase::Passed { .. } => false,
            };
            waits && build.source.commit.as_str() == subject
        });
        let Some(source) = awaited.map(|build| build.source.clone()) else {
            return Some(format!("`{effect}` failed, but nobody waits for it: {reason}"));
        };
        let failure = BuildFailure::without_log("modelship", format!("this is not the model's fault: {reason}"));
        self.failed(&source, failure, Fault::Ours);
        None
    }

    fn settle(&mut self, request: &BuildRequest, source: &SourceRef, result: Result<BuiltVersion, BuildFailure>) {
        if let Some(waiter) = &request.waiter {
            self.decision.tell(
                waiter.clone(),
                Event::BuildSettled { model: self.model.clone(), commit: source.commit.clone(), result },
            );
        }
    }

    /// Shows beside the commit how it fares.
    fn show(&mut self, source: &SourceRef, standing: BuildStanding<'_>) {
        self.decision.ask(report::build_check(self.model, standing).beside(&source.repository, &source.commit));
    }
}

/// By whose fault a build failed.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The user's files or the user's model.
    Users,
    /// Ours.
    Ours,
}

impl BuildState {
    /// Whose code it is: a fork's when nobody else asked for it.
    fn code(&self) -> HeadOrigin {
        let from_fork = |request: &BuildRequest| matches!(request.origin, BuildOrigin::Fork { .. });
        if !self.requests.is_empty() && self.requests.iter().all(from_fork) {
            return HeadOrigin::Fork;
        }
        HeadOrigin::SameRepository
    }
}

/// Whether a wish of origin `newer` makes one of origin `older`, for another commit, pointless.
fn takes_the_place_of(newer: &BuildOrigin, older: &BuildOrigin, rules: &Rules) -> bool {
    match (newer, older) {
        (
            BuildOrigin::Branch { name } | BuildOrigin::DefaultBranch { name },
            BuildOrigin::Branch { name: other } | BuildOrigin::DefaultBranch { name: other },
        )
        | (BuildOrigin::Tag { name }, BuildOrigin::Tag { name: other }) => name == other,
        (BuildOrigin::Pull { number }, BuildOrigin::Pull { number: other })
        | (BuildOrigin::Fork { number }, BuildOrigin::Fork { number: other }) => number == other,
        (BuildOrigin::Merge { .. }, BuildOrigin::Merge { .. }) => true,
        // Both move `production`.
        (BuildOrigin::DefaultBranch { .. }, BuildOrigin::Merge { .. }) => rules.promote_direct_pushes,
        (
            BuildOrigin::Branch { .. }
            | BuildOrigin::DefaultBranch { .. }
            | BuildOrigin::Pull { .. }
            | BuildOrigin::Merge { .. }
            | BuildOrigin::Tag { .. }
            | BuildOrigin::Fork { .. }
            | BuildOrigin::Terminal,
            _,
        ) => false,
    }
}
