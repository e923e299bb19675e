//! Everything that can have happened. Past tense, closed, and nothing but ids and values.
//!
//! An event belongs to one [`Key`]; events of one key are decided one after another, in the order in which they were
//! kept. Whatever the forge, an executor or a person at a terminal does arrives here first.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::check::Press;
use super::command::Command;
use super::deployment::{Asker, DeploymentNotice, Promotion};
use super::diagnostic::{Diagnostic, Faults};
use super::forge::{CommentRef, Given, PullSnapshot, User};
use super::ids::{ChannelName, CommitSha, ModelName, ObjectId, PullNumber, PullRef, Repository, SweepId, VersionId};
use super::image::ImageName;
use super::manifest::BuildBy;
use super::offer::Offer;
use super::pull::ComparisonPlan;
use super::sweep::analysis::{AnalysisSummary, Comparison};
use super::sweep::plan::PlanSummary;
use super::sweep::record::FailureClass;
use super::sweep::state::{JobHandle, Retry, RoundCounts, RunFailure};
use super::version::{BuiltVersion, ChannelMove, SourceRef, Version};

/// What an event is about. Events of one key never overtake one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A repository: its branches.
    Repository(Repository),
    /// A model: its builds.
    Model(ModelName),
    /// A pull request.
    Pull(PullRef),
    /// A sweep.
    Sweep(SweepId),
    /// The whole instance: the periodic tick.
    Instance,
}

impl fmt::Display for Key {
    /// The key as the database spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repository) => write!(f, "repository/{}", repository.id),
            Self::Model(model) => write!(f, "model/{model}"),
            Self::Pull(pull) => write!(f, "pull/{}/{}", pull.repository.id, pull.number),
            Self::Sweep(sweep) => write!(f, "sweep/{sweep}"),
            Self::Instance => f.write_str("instance"),
        }
    }
}

/// A model that a push or a pull request changed: its manifest or its source differs from before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedModel {
    /// The model.
    pub model: ModelName,
    /// Where to build it from.
    pub source: SourceRef,
    /// The git tree of its source folder.
    pub source_tree: ObjectId,
}

/// A sweep file that a pull request adds or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedSweep {
    /// Its path.
    pub path: String,
    /// What it asks for, when it can be read.
    pub request: Result<SweepRequest, Faults>,
}

/// The part of a sweep file that decides what has to be there before it can be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRequest {
    /// The sweep's name.
    pub name: super::ids::SweepName,
    /// The model.
    pub model: ModelName,
    /// What stands after `@`, when anything does.
    pub reference: Option<String>,
}

/// Why somebody wants a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "origin")]
pub enum BuildOrigin {
    /// A branch was pushed.
    Branch {
        /// Its name, without `refs/heads/`.
        name: String,
    },
    /// The branch that merged work lives on was pushed.
    DefaultBranch {
        /// Its name.
        name: String,
    },
    /// A tag was pushed.
    Tag {
        /// Its name, without `refs/tags/`.
        name: String,
    },
    /// A pull request changes the model.
    Pull {
        /// Its number.
        number: PullNumber,
    },
    /// A pull request that changes the model was merged.
    Merge {
        /// Its number.
        number: PullNumber,
    },
    /// A fork's pull request changes the model, and somebody who may write approved that commit.
    Fork {
        /// Its number.
        number: PullNumber,
    },
    /// Somebody asked for it at a terminal.
    Terminal,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildOutcome {
    /// It built and passed its tests, now or at an earlier time with the same content.
    Passed(Box<Version>),
    /// The user's files or the user's model are at fault.
    Failed(BuildFailure),
    /// Nobody wants it any more.
    Cancelled,
}

/// Why a build failed, for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFailure {
    /// The stage: `manifest`, `build`, or a test's name.
    pub stage: String,
    /// One sentence.
    pub message: String,
    /// Faults with their places, when files are at fault.
    pub faults: Vec<Diagnostic>,
    /// The last lines of the log, at most 4 KiB.
    pub log_tail: String,
    /// Where the whole log lies in the artifact store.
    pub log: Option<String>,
}

impl BuildFailure {
    /// A failure of which no log tells.
    #[must_use]
    pub fn without_log(stage: &str, message: impl Into<String>) -> Self {
        Self {
            stage: stage.to_owned(),
            message: message.into(),
            faults: Vec::new(),
            log_tail: String::new(),
            log: None,
        }
    }
}

/// How a pull request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullChange {
    /// Opened or reopened.
    Opened,
    /// Its head moved.
    Pushed,
    /// Its title, base or anything else that is not its head changed.
    Edited,
    /// Closed or merged.
    Closed,
}

/// Which version a promotion asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionTarget {
    /// This version.
    Version(VersionId),
    /// The version that the channel pointed to before its last move.
    Previous,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    // --- a repository -------------------------------------------------------------------------------------------
    /// A branch or tag was moved, made or deleted.
    PushReceived {
        /// The full reference: `refs/heads/main`.
        reference: String,
        /// Where it pointed before; none when it is new.
        before: Option<CommitSha>,
        /// Where it points now; none when it was deleted.
        after: Option<CommitSha>,
        /// The branch that merged work lives on.
        default_branch: String,
        /// Who pushed.
        pusher: String,
    },
    /// The push was looked at.
    PushInspected {
        /// The full reference.
        reference: String,
        /// The new commit.
        commit: CommitSha,
        /// The branch that merged work lives on.
        default_branch: String,
        /// Models that the push touched.
        models: Vec<TouchedModel>,
        /// Manifests that cannot be read.
        faults: Vec<Diagnostic>,
    },
    /// Somebody made a deployment to a channel of a model.
    DeploymentCreated {
        /// The deployment.
        deployment: Box<DeploymentNotice>,
    },

    // --- a model ------------------------------------------------------------------------------------------------
    /// Somebody wants this commit of the model as a version.
    BuildRequested {
        /// What to build.
        source: SourceRef,
        /// Whether the commit is one that others can check out.
        tree: super::version::Tree,
        /// Why; decides which channels move to the version.
        origin: BuildOrigin,
        /// Who waits for the outcome.
        waiter: Option<Key>,
    },
    /// A build ended.
    BuildFinished {
        /// What was built.
        source: SourceRef,
        /// How it ended.
        outcome: BuildOutcome,
    },
    /// The manifest leaves the build to somebody else. Also told to pull requests that wait for it.
    BuildLeft {
        /// The model.
        model: ModelName,
        /// What was to be built.
        source: SourceRef,
        /// Who builds it.
        by: BuildBy,
    },
    /// Somebody else built a version and asks for it to be registered.
    VersionOffered {
        /// The offer.
        offer: Box<Offer>,
    },
    /// An offer was looked at.
    OfferChecked {
        /// Which one.
        offer: String,
        /// The version, or why it is none.
        result: Result<Box<Version>, BuildFailure>,
    },
    /// The registry holds the version now and its channels point to it.
    VersionRegistered {
        /// What was built.
        source: SourceRef,
        /// The version.
        version: Box<Version>,
        /// For each of the channels the move since which it points there, which may be an earlier one.
        #[serde(default)]
        moves: Vec<ChannelMove>,
        /// Whether it was not registered before.
        #[serde(default)]
        is_new: bool,
    },
    /// Somebody wants the build of this commit, which failed, done again.
    BuildPressed {
        /// The model.
        model: ModelName,
        /// The commit.
        commit: CommitSha,
        /// Who.
        author: User,
    },
    /// Whoever wants a build that failed done again may say so.
    RebuildAllowed {
        /// The commit.
        commit: CommitSha,
    },
    /// Somebody wants a channel moved.
    PromotionRequested {
        /// Tells this request from others, so that whoever asked finds the answer.
        request: String,
        /// The channel.
        channel: ChannelName,
        /// Where to.
        target: PromotionTarget,
        /// Who.
        by: String,
        /// Who waits for the answer.
        #[serde(default)]
        asker: Asker,
    },

    /// A requested move of a channel was done or refused.
    PromotionAnswered {
        /// The request.
        request: String,
        /// The channel.
        channel: ChannelName,
        /// Where the channel points now, or why it was not moved.
        result: Result<VersionId, String>,
        /// The move since which it points there, where it does; it may be an earlier one.
        #[serde(default)]
        moved: Option<ChannelMove>,
    },

    // --- a pull request -----------------------------------------------------------------------------------------
    /// The forge told of a pull request.
    PullChanged {
        /// The pull request as it is now.
        snapshot: Box<PullSnapshot>,
        /// What changed.
        change: PullChange,
    },
    /// The pull request's change was looked at.
    PullInspected {
        /// When the forge was asked.
        looked_at: super::ids::Time,
        /// The pull request as the forge had it at that moment.
        snapshot: Box<PullSnapshot>,
        /// Models that the pull request changes.
        models: Vec<TouchedModel>,
        /// Sweep files that it adds or changes.
        sweeps: Vec<ChangedSweep>,
        /// Manifests that cannot be read.
        faults: Vec<Diagnostic>,
    },
    /// A build that this pull request waits for ended.
    BuildSettled {
        /// The model.
        model: ModelName,
        /// The commit.
        commit: CommitSha,
        /// The version, or why there is none.
        result: Result<BuiltVersion, BuildFailure>,
    },
    /// Somebody commented.
    CommentCreated {
        /// The comment.
        comment: CommentRef,
        /// Who wrote it.
        author: User,
        /// Its text.
        body: String,
    },
    /// Somebody pressed a button beside the check of one of its sweeps.
    SweepPressed {
        /// What marks the sweep's file.
        marker: String,
        /// The commit whose check it is.
        commit: CommitSha,
        /// The forge's own number for the check.
        check: i64,
        /// What was pressed.
        press: Press,
        /// Who.
        author: User,
    },
    /// Somebody wants everything that stands beside this commit done again.
    AllPressed {
        /// The commit.
        commit: CommitSha,
        /// The forge's own number for all of its checks together.
        suite: i64,
        /// Who.
        author: User,
    },
    /// A command's author was looked up.
    CommandChecked {
        /// Where it was given, and when.
        given: Given,
        /// Which of the comment's commands it is, from 0.
        nth: u32,
        /// The command.
        command: Command,
        /// Who gave it.
        author: User,
        /// Why it is not allowed; none when it is.
        denied: Option<String>,
    },
    /// A promotion that was asked for here was done or refused.
    PromotionSettled {
        /// Where it was asked for, and when.
        given: Given,
        /// Which of the comment's commands it is, from 0.
        nth: u32,
        /// The model.
        model: ModelName,
        /// The channel.
        channel: ChannelName,
        /// What it did, or why it was refused.
        result: Result<Promotion, String>,
    },
    /// A sweep file was planned.
    SweepPlanned {
        /// The sweep file's path.
        path: String,
        /// The head that it was planned for.
        head: CommitSha,
        /// The plan, or what is wrong.
        result: Result<Box<PlanSummary>, Faults>,
    },
    /// What a pull request's own version of a model can be compared with was found.
    ComparisonPlanned {
        /// The model.
        model: ModelName,
        /// The head that it was planned for.
        head: CommitSha,
        /// The plan, or why there is nothing to compare.
        result: Result<Box<ComparisonPlan>, String>,
    },
    /// What two versions left was compared.
    VersionsCompared {
        /// The sweep of the pull request's own version.
        head: SweepId,
        /// How they differ, or why that cannot be said.
        result: Result<Box<Comparison>, String>,
    },
    /// One of this pull request's sweeps has moved on.
    SweepAdvanced {
        /// The sweep.
        sweep: SweepId,
        /// Its state now, in short.
        report: Box<super::sweep::state::SweepReport>,
    },

    // --- a sweep ------------------------------------------------------------------------------------------------
    /// A planned sweep was told to start.
    SweepStarted {
        /// What it will do.
        plan: Box<PlanSummary>,
        /// The pull request that asked for it; none on a laptop.
        pull: Option<PullRef>,
        /// Who started it.
        by: String,
        /// Who asked for it in the pull request, and must still be allowed to when it begins; none at a terminal, and where
        /// a rule starts it.
        #[serde(default)]
        asker: Option<User>,
        /// Which runs to do again.
        retry: Retry,
    },
    /// The executor has the jobs of a round.
    JobsSubmitted {
        /// The round, from 1.
        round: u32,
        /// The jobs.
        jobs: Vec<JobHandle>,
        /// Runs of this round.
        runs: u64,
        /// Runs of the plan that had succeeded when the round began.
        known: u64,
        /// Runs of the plan that had failed by then and are not done again, by class.
        failed: BTreeMap<FailureClass, u64>,
    },
    /// A round could not be started, by the user's doing or by a rule.
    StartRefused {
        /// The round.
        round: u32,
        /// Why.
        reason: String,
    },
    /// Records came in.
    RunsObserved {
        /// The round.
        round: u32,
        /// All runs of the round so far.
        counts: RoundCounts,
        /// The first failures of the round; at most 50.
        failures: Vec<RunFailure>,
        /// Whether every job of the round has ended.
        ended: bool,
    },
    /// The analysis is written.
    AnalysisWritten {
        /// The round that it was written after.
        round: u32,
        /// The analysis in short.
        summary: Box<AnalysisSummary>,
    },
    /// Somebody wants the sweep stopped.
    CancelRequested {
        /// Who or what.
        by: String,
    },

    // --- the instance -------------------------------------------------------------------------------------------
    /// Time passed: compare what we know with what is.
    Ticked,
    /// A registry told that an image was pushed to it.
    ImagePushed {
        /// Where.
        image: ImageName,
        /// Its tag or digest, as the registry told.
        reference: String,
        /// Tells this push from all others.
        id: String,
    },

    // --- any key ------------------------------------------------------------------------------------------------
    /// An effect failed for good, by our fault; the key must not wait for its answer.
    EffectFailed {
        /// The effect's name and subject, for people.
        effect: String,
        /// Which part of the key's state waited for it: a model's commit, a sweep's path or round.
        subject: String,
        /// What went wrong.
        reason: String,
    },
}

impl Event {
    /// How a build ended, in one word, when that is what the event tells.
    #[must_use]
    pub fn build_outcome(&self) -> Option<&'static str> {
        let Self::BuildFinished { outcome, .. } = self else { return None };
        Some(match outcome {
            BuildOutcome::Passed(_) => "passed",
            BuildOutcome::Failed(_) => "failed",
            BuildOutcome::Cancelled => "cancelled",
        })
    }

    /// The event's name, for logs and the queue table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PushReceived { .. } => "PushReceived",
            Self::PushInspected { .. } => "PushInspected",
            Self::DeploymentCreated { .. } => "DeploymentCreated",
            Self::BuildRequested { .. } => "BuildRequested",
            Self::BuildFinished { .. } => "BuildFinished",
            Self::BuildLeft { .. } => "BuildLeft",
            Self::VersionOffered { .. } => "VersionOffered",
            Self::OfferChecked { .. } => "OfferChecked",
            Self::ImagePushed { .. } => "ImagePushed",
            Self::VersionRegistered { .. } => "VersionRegistered",
            Self::BuildPressed { .. } => "BuildPressed",
            Self::RebuildAllowed { .. } => "RebuildAllowed",
            Self::PromotionRequested { .. } => "PromotionRequested",
            Self::PromotionAnswered { .. } => "PromotionAnswered",
            Self::PullChanged { .. } => "PullChanged",
            Self::PullInspected { .. } => "PullInspected",
            Self::BuildSettled { .. } => "BuildSettled",
            Self::CommentCreated { .. } => "CommentCreated",
            Self::SweepPressed { .. } => "SweepPressed",
            Self::AllPressed { .. } => "AllPressed",
            Self::CommandChecked { .. } => "CommandChecked",
            Self::PromotionSettled { .. } => "PromotionSettled",
            Self::SweepPlanned { .. } => "SweepPlanned",
            Self::ComparisonPlanned { .. } => "ComparisonPlanned",
            Self::VersionsCompared { .. } => "VersionsCompared",
            Self::SweepAdvanced { .. } => "SweepAdvanced",
            Self::SweepStarted { .. } => "SweepStarted",
            Self::JobsSubmitted { .. } => "JobsSubmitted",
            Self::StartRefused { .. } => "StartRefused",
            Self::RunsObserved { .. } => "RunsObserved",
            Self::AnalysisWritten { .. } => "AnalysisWritten",
            Self::CancelRequested { .. } => "CancelRequested",
            Self::Ticked => "Ticked",
            Self::EffectFailed { .. } => "EffectFailed",
        }
    }
}

/// An event for a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyed {
    /// What it is about.
    pub key: Key,
    /// What happened.
    pub event: Event,
}
