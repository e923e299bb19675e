//! Deployments and what became of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::routes::{Answer, Need, Place, access, author, page, refusal};
use super::state::{Deployment, Repository, State, now};
use super::{Shared, checks, git, hooks, shapes};

pub(crate) fn route(
    world: &Shared,
    state: &mut State,
    request: &Request,
    place: &Place<'_>,
    method: &str,
    rest: &[&str],
) -> Option<Answer> {
    Some(match (method, rest) {
        ("GET", ["deployments"]) => list(state, request, place),
        ("POST", ["deployments"]) => create(world, state, request, place),
        ("GET", ["deployments", id]) => show(state, request, place, id),
        ("GET", ["deployments", id, "statuses"]) => statuses(state, request, place, id),
        ("POST", ["deployments", id, "statuses"]) => set_status(state, request, place, id),
        _ => return None,
    })
}

fn list(state: &State, request: &Request, place: &Place<'_>) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("deployments"))?;
    let wanted: Vec<_> = ["sha", "ref", "task", "environment"]
        .into_iter()
        .filter_map(|field| request.query(field).map(|value| (field, value)))
        .collect();
    let fits = |deployment: &&Deployment| wanted.iter().all(|(field, value)| deployment.shown[field] == value.as_str());
    let found = state.repositories[&id].deployments.values().rev().filter(fits);
    let rows: Vec<_> = found.map(|deployment| deployment.shown.clone()).collect();
    Ok(page(state, request, &rows, 30))
}

fn create(world: &Shared, state: &mut State, request: &Request, place: &Place<'_>) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Write("deployments"))?;
    let asked = request.json();
    let reference = asked["ref"].as_str().unwrap_or_default().to_owned();
    let commit = git::commit_of(&state.repositories[&id].directory, &reference);
    let commit = commit.ok_or_else(|| refusal(422, &format!("No ref found for: {reference}")))?;
    let (user, _) = author(state, &caller);
    if asked["auto_merge"] != false && is_behind(&state.repositories[&id], &commit) {
        return catch_up(world, state, &Lagging { repository: id, user, reference, commit });
    }
    if !is_green(&state.repositories[&id], &commit, asked["required_contexts"].as_array()) {
        return Err(refusal(409, &format!("Conflict: Commit status checks failed for {reference}.")));
    }
    let asked = Asked { repository: id, user, started_by: None, reference, commit, fields: asked };
    let deployment = make(world, state, &asked);
    Ok(Response::json(201, &state.repositories[&id].deployments[&deployment].shown))
}

/// Whether the default branch has what the commit lacks.
fn is_behind(repository: &Repository, commit: &str) -> bool {
    let default = format!("refs/heads/{}", repository.default_branch);
    git::try_git(&repository.directory, &["merge-base", "--is-ancestor", &default, commit]).is_err()
}

/// What is to be deployed, and is behind the default branch.
struct Lagging {
    repository: u64,
    user: u64,
    reference: String,
    commit: String,
}

/// Merges the default branch into the branch that is to be deployed, and deploys nothing yet. Into anything but a branch
/// nothing can be merged.
fn catch_up(world: &Shared, state: &mut State, lagging: &Lagging) -> Answer {
    let Lagging { repository: id, user, reference, commit } = lagging;
    let repository = &state.repositories[id];
    let (directory, default) = (&repository.directory, &repository.default_branch);
    let branch = format!("refs/heads/{reference}");
    let conflict = || refusal(409, &format!("Conflict merging {default} into {reference}."));
    git::commit_of(directory, &branch).ok_or_else(conflict)?;
    let tree = git::try_git(directory, &["merge-tree", "--write-tree", commit, default]).map_err(|_| conflict())?;
    let message = format!("Merge {default} into {reference}");
    let merge = git::git(directory, &["commit-tree", tree.trim(), "-p", commit, "-p", default, "-m", &message]);
    let merge = merge.trim().to_owned();
    git::git(directory, &["update-ref", &branch, &merge]);
    let said = json!({"message": format!("Auto-merged {default} into {reference} on deployment.")});
    let change = git::Change { before: commit.clone(), after: merge, reference: branch };
    hooks::pushed(world, state, *id, *user, &[change]);
    Ok(Response::json(202, &said))
}

/// Whether what was said of the commit allows a deployment: by each of these contexts, or by all that there are.
fn is_green(repository: &Repository, commit: &str, required: Option<&Vec<Value>>) -> bool {
    let mut said: BTreeMap<String, bool> = BTreeMap::new();
    for status in checks::statuses_of(repository, commit).into_iter().rev() {
        said.insert(status["context"].as_str().unwrap_or_default().to_owned(), status["state"] == "success");
    }
    for check in repository.checks.values().filter(|check| check.shown["head_sha"] == commit) {
        let passed = ["success", "neutral", "skipped"].iter().any(|it| check.shown["conclusion"] == *it);
        said.insert(check.shown["name"].as_str().unwrap_or_default().to_owned(), passed);
    }
    match required {
        Some(names) => names.iter().all(|name| name.as_str().and_then(|name| said.get(name)) == Some(&true)),
        None => said.values().all(|passed| *passed),
    }
}

/// What somebody wants deployed.
pub(crate) struct Asked {
    pub(crate) repository: u64,
    pub(crate) user: u64,
    /// Whoever started the workflow that asks.
    pub(crate) started_by: Option<u64>,
    pub(crate) reference: String,
    pub(crate) commit: String,
    pub(crate) fields: Value,
}

/// Keeps a deployment and tells of it.
pub(crate) fn make(world: &Shared, state: &mut State, asked: &Asked) -> u64 {
    let deployment = state.fresh_id();
    let name = state.full_name(&state.repositories[&asked.repository]);
    let url = format!("{}/repos/{name}/deployments/{deployment}", state.url);
    let text = |field: &str, other: &str| asked.fields[field].as_str().unwrap_or(other).to_owned();
    let payload = asked.fields.get("payload").cloned().unwrap_or_else(|| json!({}));
    let environment = text("environment", "production");
    let shown = json!({
        "url": url, "id": deployment, "node_id": shapes::node("DE", deployment), "sha": asked.commit, "ref": asked.reference,
        "task": text("task", "deploy"), "payload": payload, "original_environment": environment, "environment": environment,
        "description": asked.fields["description"], "creator": shapes::user(state, state.user(asked.user)),
        "created_at": now(), "updated_at": now(), "statuses_url": format!("{url}/statuses"),
        "repository_url": format!("{}/repos/{name}", state.url),
        "transient_environment": asked.fields["transient_environment"].as_bool().unwrap_or(false),
        "production_environment": asked.fields["production_environment"].as_bool().unwrap_or(environment == "production"),
    });
    let run = asked.started_by.map(|started_by| workflow_run(state, asked, started_by));
    let repository = state.repositories.get_mut(&asked.repository).expect("the caller found it");
    repository.deployments.insert(deployment, Deployment { shown: shown.clone(), statuses: Vec::new() });
    let fields = json!({"action": "created", "deployment": shown, "workflow": null, "workflow_run": run});
    hooks::emit(world, state, "deployment", asked.repository, asked.user, fields);
    deployment
}

/// The run of a workflow by hand, whose job deploys.
fn workflow_run(state: &mut State, asked: &Asked, started_by: u64) -> Value {
    let (id, workflow, suite) = (state.fresh_id(), state.fresh_id(), state.fresh_id());
    let name = state.full_name(&state.repositories[&asked.repository]);
    let actor = shapes::user(state, state.user(started_by));
    json!({
        "id": id, "name": "Deploy", "display_title": "Deploy", "node_id": shapes::node("WFR", id), "run_number": 1,
        "run_attempt": 1, "event": "workflow_dispatch", "status": "in_progress", "conclusion": null,
        "head_branch": asked.reference, "head_sha": asked.commit, "path": ".github/workflows/deploy.yml",
        "workflow_id": workflow, "check_suite_id": suite, "check_suite_node_id": shapes::node("CS", suite),
        "url": format!("{}/repos/{name}/actions/runs/{id}", state.url),
        "html_url": format!("{}/{name}/actions/runs/{id}", state.url),
        "created_at": now(), "updated_at": now(), "run_started_at": now(), "pull_requests": [],
        "actor": actor, "triggering_actor": actor,
    })
}

/// What GitHub does when a deployment has succeeded: older ones to the same environment that had succeeded become
/// inactive, unless theirs is for production or for a while.
fn retire_older(state: &mut State, repository: u64, newer: u64, status: &Value) {
    let fresh: Vec<u64> = (0..state.repositories[&repository].deployments.len()).map(|_| state.fresh_id()).collect();
    let found = state.repositories.get_mut(&repository).expect("the caller found it");
    let older = found.deployments.range_mut(..newer);
    for ((_, deployment), id) in older.zip(fresh) {
        let shown = &deployment.shown;
        let lasts = shown["transient_environment"] == false && shown["production_environment"] == false;
        let same = shown["environment"] == status["environment"];
        if lasts && same && deployment.statuses.last().is_some_and(|last| last["state"] == "success") {
            let url = format!("{}/{id}", shown["statuses_url"].as_str().unwrap_or_default());
            let retired = json!({
                "url": url, "id": id, "node_id": shapes::node("DES", id), "state": "inactive", "description": "",
                "deployment_url": shown["url"],
            });
            deployment.statuses.push(shapes::with(status.clone(), retired));
        }
    }
}

fn known<'a>(repository: &'a Repository, id: &str) -> Result<&'a Deployment, Response> {
    let found = id.parse().ok().and_then(|id: u64| repository.deployments.get(&id));
    found.ok_or_else(|| refusal(404, "Not Found"))
}

fn show(state: &State, request: &Request, place: &Place<'_>, deployment: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("deployments"))?;
    Ok(Response::json(200, &known(&state.repositories[&id], deployment)?.shown))
}

fn statuses(state: &State, request: &Request, place: &Place<'_>, deployment: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("deployments"))?;
    let rows: Vec<_> = known(&state.repositories[&id], deployment)?.statuses.iter().rev().cloned().collect();
    Ok(page(state, request, &rows, 30))
}

fn set_status(state: &mut State, request: &Request, place: &Place<'_>, deployment: &str) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Write("deployments"))?;
    let found = known(&state.repositories[&id], deployment)?.shown.clone();
    let status = state.fresh_id();
    let (user, _) = author(state, &caller);
    let asked = request.json();
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    // Where nobody names an address GitHub says "", which its own contract does not allow.
    let named = ["log_url", "target_url"].into_iter().find(|name| asked[*name].is_string());
    let target = named.map_or_else(|| found["url"].as_str().unwrap_or_default().to_owned(), text);
    let mut shown = json!({
        "url": format!("{}/{status}", found["statuses_url"].as_str().unwrap_or_default()), "id": status,
        "node_id": shapes::node("DES", status), "state": asked["state"], "creator": shapes::user(state, state.user(user)),
        "description": text("description"), "environment": asked["environment"].as_str().or(found["environment"].as_str()),
        "target_url": target, "log_url": target, "created_at": now(),
        "updated_at": now(), "deployment_url": found["url"], "repository_url": found["repository_url"],
    });
    if asked["environment_url"].is_string() {
        shown["environment_url"] = asked["environment_url"].clone();
    }
    let key = found["id"].as_u64().expect("the fake gave it");
    let repository = state.repositories.get_mut(&id).expect("it was just found");
    repository.deployments.get_mut(&key).expect("it was just found").statuses.push(shown.clone());
    if asked["state"] == "success" && asked["auto_inactive"] != false {
        retire_older(state, id, key, &shown);
    }
    let location = shown["url"].as_str().unwrap_or_default().to_owned();
    Ok(Response::json(201, &shown).with("location", location))
}
