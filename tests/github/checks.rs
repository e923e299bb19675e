//! Check runs with their annotations, and commit statuses.

use serde_json::{Value, json};

use super::git;
use super::http::{Request, Response};
use super::routes::{Answer, Need, Place, access, author, counted_page, invalid, page, refusal};
use super::shapes;
use super::state::{Check, Repository, State, now};

/// The most annotations of one request.
const MOST_ANNOTATIONS: usize = 50;

/// The longest summary or text of a check, in characters.
const LONGEST_OUTPUT: usize = 65_535;

/// The longest description of a status, in characters.
const LONGEST_DESCRIPTION: usize = 140;

pub(crate) fn route(
    state: &mut State,
    request: &Request,
    place: &Place<'_>,
    method: &str,
    rest: &[&str],
) -> Option<Answer> {
    Some(match (method, rest) {
        ("POST", ["check-runs"]) => create(state, request, place),
        ("GET", ["check-runs", id]) => show(state, request, place, id),
        ("PATCH", ["check-runs", id]) => update(state, request, place, id),
        ("GET", ["check-runs", id, "annotations"]) => annotations(state, request, place, id),
        ("GET", ["commits", commit, "check-runs"]) => list(state, request, place, commit),
        ("POST", ["statuses", commit]) => set_status(state, request, place, commit),
        ("GET", ["commits", commit, "statuses"]) => statuses(state, request, place, commit),
        _ => return None,
    })
}

fn create(state: &mut State, request: &Request, place: &Place<'_>) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Checks)?;
    let asked = request.json();
    let commit = asked["head_sha"].as_str().unwrap_or_default();
    if git::commit_of(&state.repositories[&id].directory, commit).as_deref() != Some(commit) {
        return Err(invalid("CheckRun", "head_sha", &format!("No commit found for SHA: {commit}")));
    }
    let check = state.fresh_id();
    let suite = state.fresh_id();
    let repository = &state.repositories[&id];
    let url = format!("{}/repos/{}/check-runs/{check}", state.url, state.full_name(repository));
    let html = format!("{}/{}/runs/{check}", state.url, state.full_name(repository));
    let shown = json!({
        "id": check, "node_id": shapes::node("CR", check), "head_sha": commit, "name": asked["name"], "url": url,
        "html_url": html, "details_url": html, "external_id": "", "status": "queued", "conclusion": null,
        "started_at": now(), "completed_at": null, "check_suite": {"id": suite}, "app": shapes::app(state),
        "pull_requests": pulls(state, repository, commit),
        "output": {"title": null, "summary": null, "text": null, "annotations_count": 0, "annotations_url": format!("{url}/annotations")},
    });
    let mut check_run = Check { shown, annotations: Vec::new() };
    change(&mut check_run, &asked)?;
    let response = Response::json(201, &check_run.shown);
    state.repositories.get_mut(&id).expect("it was just found").checks.insert(check, check_run);
    Ok(response)
}

/// The pull requests whose head is the commit; those of forks are not found, as on GitHub.
pub(super) fn pulls(state: &State, repository: &Repository, commit: &str) -> Value {
    let own = repository.pulls.values().filter(|pull| pull.head_repository == Some(repository.id));
    let rows = own.filter(|pull| pull.open && pull.head_sha == commit).map(|pull| {
        let url = format!("{}/repos/{}", state.url, state.full_name(repository));
        let place = json!({"id": repository.id, "url": url, "name": repository.name});
        json!({
            "id": pull.id, "number": pull.number, "url": format!("{url}/pulls/{}", pull.number),
            "head": {"ref": pull.head_branch, "sha": pull.head_sha, "repo": place},
            "base": {"ref": pull.base_branch, "sha": pull.base_sha, "repo": place},
        })
    });
    rows.collect()
}

/// Applies what a request says of a check run; annotations are added to those that are there.
fn change(check: &mut Check, asked: &Value) -> Result<(), Response> {
    for field in ["name", "details_url", "external_id", "started_at", "status", "conclusion", "completed_at"] {
        if let Some(value) = asked.get(field) {
            check.shown[field] = value.clone();
        }
    }
    if let Some(actions) = asked["actions"].as_array() {
        if actions.len() > 3 {
            return Err(invalid("CheckRun", "actions", "a check run may have at most 3 actions"));
        }
        let limits = [("label", 20), ("description", 40), ("identifier", 20)];
        let long = |action: &Value| {
            limits.iter().any(|(field, most)| action[field].as_str().is_none_or(|text| text.chars().count() > *most))
        };
        if actions.iter().any(long) {
            return Err(invalid("CheckRun", "actions", "an action's words are too long"));
        }
        check.shown["actions"] = json!(actions);
    }
    if asked.get("conclusion").is_some() {
        check.shown["status"] = json!("completed");
    }
    if check.shown["status"] == "completed" {
        if check.shown["conclusion"].is_null() {
            return Err(invalid("CheckRun", "conclusion", "conclusion is required when status is completed"));
        }
        if check.shown["completed_at"].is_null() {
            check.shown["completed_at"] = json!(now());
        }
    } else {
        check.shown["conclusion"] = Value::Null;
        check.shown["completed_at"] = Value::Null;
    }
    let output = &asked["output"];
    for field in ["title", "summary", "text"] {
        let Some(value) = output.get(field) else { continue };
        if field != "title" && value.as_str().is_some_and(|text| text.chars().count() > LONGEST_OUTPUT) {
            return Err(invalid("CheckRun", field, "is too long (maximum is 65535 characters)"));
        }
        check.shown["output"][field] = value.clone();
    }
    let fresh = output["annotations"].as_array().cloned().unwrap_or_default();
    if fresh.len() > MOST_ANNOTATIONS {
        return Err(invalid("CheckRun", "annotations", "a request may have at most 50 annotations"));
    }
    check.annotations.extend(fresh);
    check.shown["output"]["annotations_count"] = json!(check.annotations.len());
    Ok(())
}

fn known(repository: &Repository, id: &str) -> Result<u64, Response> {
    let found = id.parse().ok().filter(|id: &u64| repository.checks.contains_key(id));
    found.ok_or_else(|| refusal(404, "Not Found"))
}

fn show(state: &State, request: &Request, place: &Place<'_>, check: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("checks"))?;
    let repository = &state.repositories[&id];
    Ok(Response::json(200, &repository.checks[&known(repository, check)?].shown))
}

fn update(state: &mut State, request: &Request, place: &Place<'_>, check: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Checks)?;
    let repository = state.repositories.get_mut(&id).expect("it was just found");
    let check = known(repository, check)?;
    let mut changed = repository.checks[&check].clone();
    change(&mut changed, &request.json())?;
    let response = Response::json(200, &changed.shown);
    repository.checks.insert(check, changed);
    Ok(response)
}

fn annotations(state: &State, request: &Request, place: &Place<'_>, check: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("checks"))?;
    let repository = &state.repositories[&id];
    let check = &repository.checks[&known(repository, check)?];
    let row = |annotation: &Value| {
        let optional = |field: &str| annotation.get(field).cloned().unwrap_or_default();
        json!({
            "path": annotation["path"], "blob_href": check.shown["html_url"], "start_line": annotation["start_line"],
            "end_line": annotation["end_line"], "start_column": optional("start_column"), "end_column": optional("end_column"),
            "annotation_level": annotation["annotation_level"], "title": optional("title"), "message": annotation["message"],
            "raw_details": optional("raw_details"),
        })
    };
    let rows: Vec<_> = check.annotations.iter().map(row).collect();
    Ok(page(state, request, &rows, 30))
}

fn list(state: &State, request: &Request, place: &Place<'_>, commit: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("checks"))?;
    let repository = &state.repositories[&id];
    let commit = resolved(repository, commit)?;
    let name = request.query("check_name");
    let app = request.query("app_id");
    let fits = |check: &&Check| {
        check.shown["head_sha"] == commit.as_str()
            && name.as_ref().is_none_or(|name| check.shown["name"] == name.as_str())
            && app.as_ref().is_none_or(|app| *app == state.app.id.to_string())
    };
    let found: Vec<_> = repository.checks.values().rev().filter(fits).collect();
    let all = request.query("filter").as_deref() == Some("all");
    let mut rows: Vec<Value> = Vec::new();
    for check in found {
        // The newest of each name, unless all are asked for.
        if all || !rows.iter().any(|row| row["name"] == check.shown["name"]) {
            rows.push(check.shown.clone());
        }
    }
    Ok(counted_page(state, request, "check_runs", &rows))
}

fn resolved(repository: &Repository, name: &str) -> Result<String, Response> {
    let found = git::commit_of(&repository.directory, name);
    found.ok_or_else(|| refusal(422, &format!("No commit found for SHA: {name}")))
}

fn set_status(state: &mut State, request: &Request, place: &Place<'_>, commit: &str) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Write("statuses"))?;
    let commit = resolved(&state.repositories[&id], commit)?;
    let asked = request.json();
    if asked["description"].as_str().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        return Err(invalid("Status", "description", "description is too long (maximum is 140 characters)"));
    }
    let same = |status: &&Value| status["context"] == asked["context"].as_str().unwrap_or("default");
    if statuses_of(&state.repositories[&id], &commit).iter().filter(same).count() >= 1000 {
        return Err(invalid("Status", "base", "This SHA and context has reached the maximum number of statuses."));
    }
    let (user, _) = author(state, &caller);
    let shown = keep_status(state, (id, user), &commit, &asked);
    let location = shown["url"].as_str().unwrap_or_default().to_owned();
    Ok(Response::json(201, &shown).with("location", location))
}

/// Keeps what somebody says of a commit in a repository, and gives it as GitHub shows it.
pub(crate) fn keep_status(state: &mut State, (id, user): (u64, u64), commit: &str, asked: &Value) -> Value {
    let status = state.fresh_id();
    let shown = json!({
        "url": format!("{}/repos/{}/statuses/{commit}", state.url, state.full_name(&state.repositories[&id])), "id": status,
        "avatar_url": format!("{}/avatars/{user}", state.url), "node_id": shapes::node("SC", status), "state": asked["state"],
        "description": asked["description"], "target_url": asked["target_url"],
        "context": asked["context"].as_str().unwrap_or("default"), "created_at": now(), "updated_at": now(),
        "creator": shapes::user(state, state.user(user)),
    });
    state.repositories.get_mut(&id).expect("the caller found it").statuses.push(shown.clone());
    shown
}

/// The statuses of a commit, the newest first.
pub(crate) fn statuses_of(repository: &Repository, commit: &str) -> Vec<Value> {
    let fits = |status: &&Value| status["url"].as_str().is_some_and(|url| url.ends_with(commit));
    repository.statuses.iter().rev().filter(fits).cloned().collect()
}

fn statuses(state: &State, request: &Request, place: &Place<'_>, commit: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("statuses"))?;
    let repository = &state.repositories[&id];
    let commit = resolved(repository, commit)?;
    Ok(page(state, request, &statuses_of(repository, &commit), 30))
}
