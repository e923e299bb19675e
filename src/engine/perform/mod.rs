//! Effects done. One file for each family; each is safe to do twice.

mod analyse;
pub(super) mod build;
mod compare;
mod deploy;
pub(super) mod inspect;
mod jobs;
pub(super) mod members;
mod notify;
mod offer;
pub(super) mod reconcile;
mod registry;
pub(super) mod sources;
mod talk;

use tokio_util::sync::CancellationToken;

use super::{Engine, Failure};
use crate::domain::effect::Effect;
use crate::domain::event::Keyed;

/// What an effect reports.
type Reports = Result<Vec<Keyed>, Failure>;

/// Does `effect` and reports what came of it.
pub(super) async fn perform(engine: &Engine, effect: &Effect, cancel: &CancellationToken) -> Reports {
    match effect {
        Effect::InspectPush { repository, reference, before, default_branch, .. } => {
            let push = inspect::Push { repository, reference, before: before.as_ref(), default_branch };
            inspect::push(engine, push).await
        }
        Effect::InspectPull { pull, then } => inspect::pull(engine, pull, then.as_deref()).await,
        Effect::BuildModel { model, source, tree, code } => {
            build::model(engine, model, source, (*tree, *code), cancel).await
        }
        Effect::BuildAgain { model, source, author } => build::again(engine, model, source, author).await,
        Effect::CancelBuild { model, source } => build::cancel(engine, model, source).await,
        Effect::CheckOffer { offer } => offer::check(engine, offer, cancel).await,
        Effect::LookAtImage { image, reference, id } => offer::look(engine, image, reference, id).await,
        Effect::RegisterVersion { version, channels } => registry::register(engine, version, channels).await,
        Effect::MoveChannel { request, model, channel, target, reason, asker } => {
            registry::move_channel(engine, registry::Move { request, model, channel, target, reason, asker }).await
        }
        Effect::ShowCheck { repository, commit, check } => talk::show_check(engine, repository, commit, check).await,
        Effect::React { pull, comment, reaction } => talk::react(engine, pull, *comment, *reaction).await,
        Effect::QuoteLog { pull, marker, run } => talk::quote_log(engine, pull, marker, run).await,
        Effect::RecordDeployment { moved } => deploy::record(engine, moved).await,
        Effect::CheckDeployment { repository, deployment } => deploy::check(engine, repository, deployment).await,
        Effect::AnswerDeployment { repository, id, state, description, deployed } => {
            deploy::answer(engine, repository, *id, (*state, description), deployed.as_ref()).await
        }
        Effect::Notify { target, notice } => notify::send(engine, target, notice).await,
        Effect::UpsertComment { pull, marker, body } => talk::upsert_comment(engine, pull, marker, body).await,
        Effect::PostComment { pull, marker, body } => talk::post_comment(engine, pull, marker, body).await,
        Effect::CheckCommand { given, nth, pull, command, author } => {
            talk::check_command(engine, &talk::Order { given, nth: *nth, pull, command, author }).await
        }
        Effect::PlanSweep { pull, head, path, request, own_version } => {
            let order = inspect::SweepOrder { pull, head, path, request, own_version: own_version.as_ref() };
            inspect::plan_sweep(engine, order).await
        }
        Effect::PlanComparison { pull, head, model, source, version } => {
            compare::plan(engine, &compare::Order { pull, head, model, source, version }).await
        }
        Effect::CompareVersions { pull, base, head, .. } => compare::versions(engine, pull, base, head).await,
        Effect::SubmitJobs { plan, pull, round, scope, beginning } => {
            let order = jobs::Order { plan, pull: pull.as_ref(), round: *round, scope };
            jobs::submit(engine, &order, beginning).await
        }
        Effect::WatchJobs { sweep, round, jobs } => jobs::watch(engine, sweep, *round, jobs).await,
        Effect::CancelJobs { sweep, round, jobs } => jobs::cancel(engine, sweep, *round, jobs).await,
        Effect::WriteAnalysis { plan, round } => analyse::write(engine, plan, *round).await,
        Effect::Reconcile => reconcile::compare(engine).await,
    }
}

/// Runs something that blocks (git, files) where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(anyhow::Error::new(error).context("a blocking piece of work panicked")),
    }
}
