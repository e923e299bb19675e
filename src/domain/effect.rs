//! Everything that a decision can ask for. Imperative, and safe to do twice.
//!
//! An effect holds no key: while it is under way, events of every key go on being decided. What it finds out comes back
//! as an event to the key of [`Effect::subject`].

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::command::Command;
use super::deployment::{Asker, DeploymentNotice, DeploymentState};
use super::event::{Event, Key, PromotionTarget, SweepRequest};
use super::forge::{Given, HeadOrigin, Reaction, User};
use super::ids::{ChannelName, CommitSha, ModelName, PullRef, Repository, SweepId, VersionId};
use super::image::ImageName;
use super::notice::Notice;
use super::offer::{Offer, OfferedBy};
use super::sweep::plan::PlanSummary;
use super::sweep::state::{Beginning, JobHandle, Scope, SweepReport};
use super::version::{ChannelMove, SourceRef, Tree, Version};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect")]
pub enum Effect {
    /// Find the models that a push touched.
    InspectPush {
        /// The repository.
        repository: Repository,
        /// The full reference.
        reference: String,
        /// Where it pointed before.
        before: Option<CommitSha>,
        /// Where it points now.
        after: CommitSha,
        /// The branch that merged work lives on.
        default_branch: String,
    },
    /// Find the models and sweeps that a pull request changes.
    InspectPull {
        /// The pull request; how it stands is asked of the forge at that moment.
        pull: PullRef,
        /// An event that has to wait until the pull request is known.
        then: Option<Box<Event>>,
    },
    /// Build and test a model at a commit.
    BuildModel {
        /// The model.
        model: ModelName,
        /// What to build.
        source: SourceRef,
        /// Whether the commit is one that others can check out.
        tree: Tree,
        /// Whose code it is.
        #[serde(default)]
        code: HeadOrigin,
    },
    /// Look up whether somebody may have a build that failed done again.
    BuildAgain {
        /// The model.
        model: ModelName,
        /// What to build.
        source: SourceRef,
        /// Who wants it again.
        author: User,
    },
    /// Stop the build of that commit if it is under way.
    CancelBuild {
        /// The model.
        model: ModelName,
        /// What is being built.
        source: SourceRef,
    },
    /// Find out whether what somebody offers is what it claims to be; test it where nobody did.
    CheckOffer {
        /// The offer.
        offer: Box<Offer>,
    },
    /// Find out which model's image was pushed to a registry.
    LookAtImage {
        /// Where it lies.
        image: ImageName,
        /// Its tag or digest.
        reference: String,
        /// Tells this push from all others.
        id: String,
    },
    /// Write the version into the registry and move its channels.
    RegisterVersion {
        /// The version.
        version: Box<Version>,
        /// Channels to move, with the reason.
        channels: Vec<(ChannelName, String)>,
    },
    /// Move a channel.
    MoveChannel {
        /// The request that this answers.
        request: String,
        /// The model.
        model: ModelName,
        /// The channel.
        channel: ChannelName,
        /// Where to.
        target: PromotionTarget,
        /// Why.
        reason: String,
        /// Who asked. What was not asked for at a terminal is looked at more closely.
        #[serde(default)]
        asker: Asker,
    },
    /// Show at the forge where a channel points now.
    RecordDeployment {
        /// The move that brought it there.
        moved: ChannelMove,
    },
    /// Look up what somebody's deployment asks for, and whether he may.
    CheckDeployment {
        /// The repository.
        repository: Repository,
        /// The deployment.
        deployment: Box<DeploymentNotice>,
    },
    /// Say at the forge what became of somebody's deployment.
    AnswerDeployment {
        /// The repository.
        repository: Repository,
        /// The deployment.
        id: i64,
        /// How it fares.
        state: DeploymentState,
        /// One line.
        description: String,
        /// The model whose channel stands as it wanted; none where none does.
        #[serde(default)]
        deployed: Option<ModelName>,
    },
    /// Tell another program what happened.
    Notify {
        /// The target's name in the settings.
        target: String,
        /// What happened.
        notice: Box<Notice>,
    },
    /// Show beside a commit how it fares.
    ShowCheck {
        /// The repository.
        repository: Repository,
        /// The commit.
        commit: CommitSha,
        /// In which respect, and how.
        check: Box<Check>,
    },
    /// Answer a comment with a reaction.
    React {
        /// Where the comment is.
        pull: PullRef,
        /// The comment's number.
        comment: i64,
        /// How.
        reaction: Reaction,
    },
    /// Show in a pull request what a run of one of its sweeps printed.
    QuoteLog {
        /// The pull request.
        pull: PullRef,
        /// What marks the answer.
        marker: String,
        /// The run's id, or its beginning.
        run: String,
    },
    /// Write or rewrite the comment that carries this marker.
    UpsertComment {
        /// Where.
        pull: PullRef,
        /// What the comment is about; one comment for each.
        marker: String,
        /// Its text.
        body: String,
    },
    /// Write a comment once; if one with this marker is there already, leave it.
    PostComment {
        /// Where.
        pull: PullRef,
        /// What the comment is about.
        marker: String,
        /// Its text.
        body: String,
    },
    /// Look up whether the author may give this command now.
    CheckCommand {
        /// Where it was given, and when.
        given: Given,
        /// Which of the comment's commands it is, from 0.
        nth: u32,
        /// In which pull request.
        pull: PullRef,
        /// The command.
        command: Command,
        /// Who gave it.
        author: User,
    },
    /// Plan a sweep file of a pull request.
    PlanSweep {
        /// The pull request.
        pull: PullRef,
        /// The commit whose file is planned.
        head: CommitSha,
        /// The sweep file's path.
        path: String,
        /// What it asks for.
        request: SweepRequest,
        /// The pull request's own version of the model, when it changes the model.
        own_version: Option<VersionId>,
    },
    /// Find what the pull request's own version of a model can be compared with and by which sweeps, and plan them.
    PlanComparison {
        /// The pull request.
        pull: PullRef,
        /// Its head.
        head: CommitSha,
        /// The model.
        model: ModelName,
        /// Where the model's manifest lies at the head.
        source: SourceRef,
        /// The pull request's own version.
        version: VersionId,
    },
    /// Compare what both versions of a comparison left.
    CompareVersions {
        /// The pull request.
        pull: PullRef,
        /// The model.
        model: ModelName,
        /// How the base's sweep ended.
        base: Box<SweepReport>,
        /// How the pull request's own ended.
        head: Box<SweepReport>,
    },
    /// Hand the missing runs to the executor.
    SubmitJobs {
        /// The plan.
        plan: Box<PlanSummary>,
        /// The pull request whose head must still be the plan's.
        pull: Option<PullRef>,
        /// The round, from 1.
        round: u32,
        /// Which runs, and what they are given.
        scope: Scope,
        /// Why the round begins.
        beginning: Beginning,
    },
    /// Read what the jobs have written since last time.
    WatchJobs {
        /// The sweep.
        sweep: SweepId,
        /// The round.
        round: u32,
        /// The jobs.
        jobs: Vec<JobHandle>,
    },
    /// End the jobs.
    CancelJobs {
        /// The sweep.
        sweep: SweepId,
        /// The round.
        round: u32,
        /// The jobs.
        jobs: Vec<JobHandle>,
    },
    /// Join inputs and outputs of every run into the analysis.
    WriteAnalysis {
        /// The plan.
        plan: Box<PlanSummary>,
        /// The round that ended.
        round: u32,
    },
    /// Compare branches and pull requests of every repository with what we know.
    Reconcile,
}

impl Effect {
    /// The effect's name, for logs and the queue table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InspectPush { .. } => "InspectPush",
            Self::InspectPull { .. } => "InspectPull",
            Self::BuildModel { .. } => "BuildModel",
            Self::BuildAgain { .. } => "BuildAgain",
            Self::CancelBuild { .. } => "CancelBuild",
            Self::CheckOffer { .. } => "CheckOffer",
            Self::LookAtImage { .. } => "LookAtImage",
            Self::RegisterVersion { .. } => "RegisterVersion",
            Self::MoveChannel { .. } => "MoveChannel",
            Self::ShowCheck { .. } => "ShowCheck",
            Self::React { .. } => "React",
            Self::QuoteLog { .. } => "QuoteLog",
            Self::RecordDeployment { .. } => "RecordDeployment",
            Self::CheckDeployment { .. } => "CheckDeployment",
            Self::AnswerDeployment { .. } => "AnswerDeployment",
            Self::Notify { .. } => "Notify",
            Self::UpsertComment { .. } => "UpsertComment",
            Self::PostComment { .. } => "PostComment",
            Self::CheckCommand { .. } => "CheckCommand",
            Self::PlanSweep { .. } => "PlanSweep",
            Self::PlanComparison { .. } => "PlanComparison",
            Self::CompareVersions { .. } => "CompareVersions",
            Self::SubmitJobs { .. } => "SubmitJobs",
            Self::WatchJobs { .. } => "WatchJobs",
            Self::CancelJobs { .. } => "CancelJobs",
            Self::WriteAnalysis { .. } => "WriteAnalysis",
            Self::Reconcile => "Reconcile",
        }
    }

    /// The key that waits for this effect's answer, and which part of its state does.
    #[must_use]
    pub fn subject(&self) -> (Key, String) {
        match self {
            Self::InspectPush { repository, after, .. } => (Key::Repository(repository.clone()), after.to_string()),
            Self::InspectPull { pull, .. } => (Key::Pull(pull.clone()), "inspect".to_owned()),
            Self::BuildModel { model, source, .. }
            | Self::BuildAgain { model, source, .. }
            | Self::CancelBuild { model, source } => (Key::Model(model.clone()), source.commit.to_string()),
            Self::CheckOffer { offer } => (Key::Model(offer.model.clone()), offer.id.clone()),
            Self::LookAtImage { id, .. } => (Key::Instance, id.clone()),
            Self::RegisterVersion { version, .. } => {
                (Key::Model(version.model.clone()), version.source.commit.to_string())
            }
            Self::MoveChannel { request, model, .. } => (Key::Model(model.clone()), request.clone()),
            Self::ShowCheck { repository, check, .. } => (Key::Repository(repository.clone()), check.name.clone()),
            Self::React { pull, comment, .. } => (Key::Pull(pull.clone()), comment.to_string()),
            Self::QuoteLog { pull, marker, .. } => (Key::Pull(pull.clone()), marker.clone()),
            Self::RecordDeployment { moved } => {
                (Key::Model(moved.model.clone()), format!("deployment/{}/{}", moved.channel, moved.at.0))
            }
            Self::CheckDeployment { repository, deployment } => {
                (Key::Repository(repository.clone()), deployment.id.to_string())
            }
            Self::AnswerDeployment { repository, id, .. } => (Key::Repository(repository.clone()), id.to_string()),
            Self::Notify { target, notice } => {
                (Key::Model(notice.model().clone()), format!("notice/{target}/{}", notice.id()))
            }
            Self::UpsertComment { pull, marker, .. } | Self::PostComment { pull, marker, .. } => {
                (Key::Pull(pull.clone()), marker.clone())
            }
            Self::CheckCommand { pull, given, nth, .. } => (Key::Pull(pull.clone()), format!("{}/{nth}", given.mark())),
            Self::PlanSweep { pull, head, path, .. } => (Key::Pull(pull.clone()), format!("{path}@{head}")),
            Self::PlanComparison { pull, head, model, .. } => (Key::Pull(pull.clone()), format!("{model}@{head}")),
            Self::CompareVersions { pull, head, .. } => (Key::Pull(pull.clone()), head.plan.id.to_string()),
            Self::SubmitJobs { plan, round, .. } | Self::WriteAnalysis { plan, round } => {
                (Key::Sweep(plan.id.clone()), round.to_string())
            }
            Self::WatchJobs { sweep, round, .. } | Self::CancelJobs { sweep, round, .. } => {
                (Key::Sweep(sweep.clone()), round.to_string())
            }
            Self::Reconcile => (Key::Instance, String::new()),
        }
    }

    /// Whether the effect may take minutes, and so gets a lane where it blocks nobody.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::BuildModel { .. } => Lane::Build,
            Self::Notify { .. } => Lane::Notify,
            Self::CheckOffer { offer } => match offer.by {
                OfferedBy::Actions { .. } => Lane::Quick,
                OfferedBy::Registry => Lane::Build,
            },
            Self::WatchJobs { .. } => Lane::Watch,
            Self::PlanSweep { .. }
            | Self::PlanComparison { .. }
            | Self::CompareVersions { .. }
            | Self::SubmitJobs { .. }
            | Self::WriteAnalysis { .. } => Lane::Bulk,
            Self::InspectPush { .. }
            | Self::InspectPull { .. }
            | Self::BuildAgain { .. }
            | Self::CancelBuild { .. }
            | Self::LookAtImage { .. }
            | Self::RegisterVersion { .. }
            | Self::MoveChannel { .. }
            | Self::ShowCheck { .. }
            | Self::React { .. }
            | Self::QuoteLog { .. }
            | Self::RecordDeployment { .. }
            | Self::CheckDeployment { .. }
            | Self::AnswerDeployment { .. }
            | Self::UpsertComment { .. }
            | Self::PostComment { .. }
            | Self::CheckCommand { .. }
            | Self::CancelJobs { .. }
            | Self::Reconcile => Lane::Quick,
        }
    }
}

/// Effects of one lane share workers, so that slow ones never stand in front of quick ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Milliseconds to seconds.
    Quick,
    /// Builds and tests.
    Build,
    /// Streams over many points.
    Bulk,
    /// Waits for jobs.
    Watch,
    /// Other people's servers, which may answer slowly or not at all.
    Notify,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 5] = [Self::Quick, Self::Build, Self::Bulk, Self::Watch, Self::Notify];

    /// The lane as the database spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Build => "build",
            Self::Bulk => "bulk",
            Self::Watch => "watch",
            Self::Notify => "notify",
        }
    }
}
