//! A deployment that somebody made: which channel of which model it goes to, and in whose name.

use serde::Deserialize;

use super::{Account, Moment, RepositoryBody, Result, commit, ignore, moment, shown};
use crate::domain::deployment::{DeploymentNotice, Payload};
use crate::domain::event::{Event, Key, Keyed};

#[derive(Deserialize)]
pub(super) struct DeploymentBody {
    action: Option<String>,
    deployment: Deployment,
    workflow_run: Option<WorkflowRun>,
    repository: RepositoryBody,
}

#[derive(Deserialize)]
struct Deployment {
    id: i64,
    sha: String,
    task: Option<String>,
    environment: String,
    #[serde(default)]
    payload: Payload,
    creator: Option<Account>,
    created_at: Option<String>,
}

/// The run of a workflow that made it. GitHub says who started that run, and the signature is GitHub's.
#[derive(Deserialize)]
struct WorkflowRun {
    triggering_actor: Option<Account>,
    actor: Option<Account>,
}

pub(super) fn created(body: DeploymentBody) -> Result<(Keyed, Option<Moment>)> {
    let repository = body.repository.check()?;
    if body.action.as_deref().is_some_and(|action| action != "created") {
        return ignore("nothing follows from a deployment but that it was made");
    }
    let Deployment { id, sha, task, environment, payload, creator, created_at } = body.deployment;
    let Some(destination) = payload.destination(&environment) else {
        return ignore(format!("deployment {id} to `{}` names no model and channel", shown(&environment)));
    };
    if task.as_deref().is_some_and(|task| task != "deploy") {
        return ignore(format!("deployment {id} is for another task than `deploy`"));
    }
    let Some(creator) = creator else { return ignore("nobody is named as the deployment's creator") };
    // Behind a program stands whoever started it, where GitHub says who that was.
    let started = body.workflow_run.and_then(|run| run.triggering_actor.or(run.actor));
    let actor = started.filter(|started| creator.is_program() && !started.is_program());
    let notice = DeploymentNotice {
        id,
        environment: destination,
        commit: commit(&sha)?,
        created_at: moment(created_at.as_deref()),
        is_marked: payload.mark().is_some(),
        creator: creator.into(),
        actor: actor.map(Into::into),
    };
    let event = Event::DeploymentCreated { deployment: Box::new(notice) };
    // Its number tells it from all others.
    Ok((Keyed { key: Key::Repository(repository), event }, created_at.map(Moment::Date)))
}
