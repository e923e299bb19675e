//! What happens, and the webhooks that tell of it.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::git::{self, Change, NOTHING};
use super::http::{self, Request};
use super::state::{Comment, Delivery, Hook, Pull, State, now};
use super::{Shared, shapes};

/// How long GitHub waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// With more tags than this in one push, GitHub tells of none.
const MOST_TAGS: usize = 3;

/// The most commits that a push's event lists.
const MOST_COMMITS: usize = 2048;

/// Tells of an event in a repository, when the App is to hear of it.
pub(crate) fn emit(world: &Shared, state: &State, event: &str, repository: u64, sender: u64, fields: Value) {
    let found = &state.repositories[&repository];
    let holder = found.installation.filter(|holder| state.app.has(*holder) && !state.app.is_suspended(*holder));
    let is_heard = state.hook.is_some() && state.app.events.iter().any(|on| on == event);
    let Some(holder) = holder.filter(|_| is_heard) else { return };
    let payload = shapes::with(
        fields,
        json!({
            "repository": shapes::repository(state, found), "sender": shapes::user(state, state.user(sender)),
            "installation": {"id": holder, "node_id": shapes::node("I", holder)},
        }),
    );
    deliver(world, event, Some(repository), payload);
}

/// Tells of an event of the App itself.
pub(crate) fn emit_to_app(world: &Shared, state: &State, event: &str, sender: u64, fields: Value) {
    if state.hook.is_none() {
        return;
    }
    let first = (state.app.installation, state.app.owner);
    let more =
        json!({"installation": shapes::installation(state, first), "sender": shapes::user(state, state.user(sender))});
    deliver(world, event, None, shapes::with(fields, more));
}

fn deliver(world: &Shared, event: &str, repository: Option<u64>, payload: Value) {
    let action = payload["action"].as_str().map(str::to_owned);
    let guid = uuid::Uuid::new_v4().to_string();
    let event = event.to_owned();
    let blank = Delivery {
        id: 0,
        guid,
        event,
        action,
        repository,
        redelivery: false,
        delivered_at: now(),
        status_code: 0,
        payload,
        answer: String::new(),
    };
    world.send_first(blank);
}

/// Sends a delivery and says what came of it; `None` where no hook is set.
pub(crate) fn attempt(delivery: &Delivery, hook: &Hook, app: u64) -> (u16, String) {
    let body = delivery.payload.to_string().into_bytes();
    let (server, path) = split(&hook.url);
    let mut headers: Vec<(String, String)> = [
        ("user-agent", "GitHub-Hookshot/fa4e123"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("x-github-hook-id", "42"),
        ("x-github-hook-installation-target-type", "integration"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    headers.push(("x-github-hook-installation-target-id".to_owned(), app.to_string()));
    headers.push(("x-github-event".to_owned(), delivery.event.clone()));
    headers.push(("x-github-delivery".to_owned(), delivery.guid.clone()));
    headers.push(("x-hub-signature-256".to_owned(), signature(&hook.secret, &body)));
    let request = Request { method: "POST".to_owned(), target: path, headers, body };
    match http::send(&server, &request, PATIENCE) {
        Ok(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
        Err(error) => (0, error.to_string()),
    }
}

/// What `X-Hub-Signature-256` holds.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn split(url: &str) -> (String, String) {
    let rest = url.trim_start_matches("http://");
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    (format!("http://{server}"), format!("/{path}"))
}

/// A comment that somebody writes.
pub(crate) struct Said {
    pub(crate) repository: u64,
    pub(crate) number: u64,
    pub(crate) author: u64,
    pub(crate) app: Option<u64>,
    pub(crate) body: String,
}

/// Keeps a comment, tells of it, and gives its id.
pub(crate) fn comment(world: &Shared, state: &mut State, said: Said) -> u64 {
    let id = state.fresh_id();
    let Said { repository, number, author, app, body } = said;
    let time = now();
    let fresh = Comment {
        id,
        number,
        author,
        app,
        body,
        created_at: time.clone(),
        updated_at: time,
        edits: 0,
        reactions: Vec::new(),
    };
    state.repositories.get_mut(&repository).expect("the caller found it").comments.insert(id, fresh);
    tell_of_comment(world, state, (repository, id), author, json!({"action": "created"}));
    id
}

/// Changes a comment and tells of it.
pub(crate) fn edit(world: &Shared, state: &mut State, at: (u64, u64), sender: u64, body: String) {
    let found = state.repositories.get_mut(&at.0).and_then(|repository| repository.comments.get_mut(&at.1));
    let found = found.expect("the caller found it");
    let former = std::mem::replace(&mut found.body, body);
    found.updated_at = now();
    found.edits += 1;
    tell_of_comment(world, state, at, sender, json!({"action": "edited", "changes": {"body": {"from": former}}}));
}

/// Deletes a comment and tells of it.
pub(crate) fn delete(world: &Shared, state: &mut State, at: (u64, u64), sender: u64) {
    tell_of_comment(world, state, at, sender, json!({"action": "deleted"}));
    state.repositories.get_mut(&at.0).expect("the caller found it").comments.remove(&at.1);
}

fn tell_of_comment(world: &Shared, state: &State, at: (u64, u64), sender: u64, action: Value) {
    let repository = &state.repositories[&at.0];
    let comment = &repository.comments[&at.1];
    let issue = shapes::issue(state, repository, &repository.pulls[&comment.number]);
    let fields = shapes::with(json!({"issue": issue, "comment": shapes::comment(state, repository, comment)}), action);
    emit(world, state, "issue_comment", at.0, sender, fields);
}

/// Tells of a pull request.
pub(crate) fn tell_of_pull(world: &Shared, state: &State, at: (u64, u64), sender: u64, action: Value) {
    let repository = &state.repositories[&at.0];
    let pull = &repository.pulls[&at.1];
    let fields = json!({"number": pull.number, "pull_request": shapes::full_pull(state, repository, pull)});
    emit(world, state, "pull_request", at.0, sender, shapes::with(fields, action));
}

/// What follows from a push: events for branches and tags, and pull requests that move.
pub(crate) fn pushed(world: &Shared, state: &mut State, repository: u64, pusher: u64, changes: &[Change]) {
    let tags = changes.iter().filter(|change| change.reference.starts_with("refs/tags/")).count();
    for change in changes {
        let is_tag = change.reference.starts_with("refs/tags/");
        if !is_tag && !change.reference.starts_with("refs/heads/") {
            continue;
        }
        if is_tag && tags > MOST_TAGS {
            continue;
        }
        tell_of_push(world, state, repository, pusher, change);
        if !is_tag {
            move_pulls(world, state, repository, pusher, change);
        }
    }
}

fn tell_of_push(world: &Shared, state: &State, id: u64, pusher: u64, change: &Change) {
    let repository = &state.repositories[&id];
    let (created, deleted) = (change.before == NOTHING, change.after == NOTHING);
    let login = state.user(pusher).login.clone();
    let forced = !created
        && !deleted
        && git::try_git(&repository.directory, &["merge-base", "--is-ancestor", &change.before, &change.after])
            .is_err();
    let commits = if deleted { Vec::new() } else { commits_of(state, id, change) };
    let head = if deleted {
        Value::Null
    } else {
        commits.last().cloned().unwrap_or_else(|| one_commit(state, id, &change.after))
    };
    let name = state.full_name(repository);
    let push = json!({
        "ref": change.reference, "before": change.before, "after": change.after, "created": created, "deleted": deleted,
        "forced": forced, "base_ref": null, "compare": format!("{}/{name}/compare/{}...{}", state.url, short(&change.before), short(&change.after)),
        "commits": commits, "head_commit": head, "pusher": {"name": login, "email": format!("{login}@example.org")},
    });
    let (kind, short_name) = match change.reference.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", change.reference.trim_start_matches("refs/heads/")),
    };
    let default = repository.default_branch.clone();
    if created {
        let fields = json!({"ref": short_name, "ref_type": kind, "master_branch": default, "description": null, "pusher_type": "user"});
        emit(world, state, "create", id, pusher, fields);
    }
    if deleted {
        emit(world, state, "delete", id, pusher, json!({"ref": short_name, "ref_type": kind, "pusher_type": "user"}));
    }
    emit(world, state, "push", id, pusher, push);
}

fn short(sha: &str) -> &str {
    &sha[..12.min(sha.len())]
}

fn commits_of(state: &State, id: u64, change: &Change) -> Vec<Value> {
    let directory = &state.repositories[&id].directory;
    let mut arguments = vec!["rev-list", "--reverse", "--max-count=2048", &change.after];
    let hidden = format!("^{}", change.before);
    if change.before == NOTHING {
        // A new branch brings what no other branch has.
        let exclude = format!("--exclude={}", change.reference);
        let listed = git::git(
            directory,
            &["rev-list", "--reverse", "--max-count=2048", &change.after, "--not", &exclude, "--branches"],
        );
        return listed.lines().take(MOST_COMMITS).map(|sha| one_commit(state, id, sha)).collect();
    }
    arguments.push(&hidden);
    git::git(directory, &arguments).lines().take(MOST_COMMITS).map(|sha| one_commit(state, id, sha)).collect()
}

fn one_commit(state: &State, id: u64, name: &str) -> Value {
    let repository = &state.repositories[&id];
    let directory = &repository.directory;
    let sha = git::commit_of(directory, name).unwrap_or_else(|| name.to_owned());
    let told = git::git(directory, &["show", "-s", "--format=%an%x00%ae%x00%aI%x00%T%x00%B", &sha]);
    let mut fields = told.splitn(5, '\0').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let person = json!({"name": next(), "email": next()});
    let (time, tree, message) = (next(), next(), next());
    let listed = git::git(
        directory,
        &["diff-tree", "--root", "-r", "-z", "--no-commit-id", "--name-status", "--no-renames", &sha],
    );
    let words: Vec<_> = listed.split('\0').filter(|word| !word.is_empty()).collect();
    let of = |letter: &str| words.chunks(2).filter(|pair| pair[0] == letter).map(|pair| pair[1]).collect::<Vec<_>>();
    json!({
        "id": sha, "tree_id": tree, "distinct": true, "message": message.trim_end(), "timestamp": time,
        "url": format!("{}/{}/commit/{sha}", state.url, state.full_name(repository)), "author": person, "committer": person,
        "added": of("A"), "removed": of("D"), "modified": of("M"),
    })
}

/// Open pull requests whose head or base is the branch.
fn move_pulls(world: &Shared, state: &mut State, pushed: u64, pusher: u64, change: &Change) {
    let branch = change.reference.trim_start_matches("refs/heads/");
    let of_head = |pull: &Pull| pull.open && pull.head_repository == Some(pushed) && pull.head_branch == branch;
    let found: Vec<(u64, u64)> = state
        .repositories
        .values()
        .flat_map(|repository| repository.pulls.values().map(|pull| (repository.id, pull)))
        .filter(|(_, pull)| of_head(pull))
        .map(|(repository, pull)| (repository, pull.number))
        .collect();
    for at in found {
        let pull = state.repositories.get_mut(&at.0).and_then(|repository| repository.pulls.get_mut(&at.1));
        let pull = pull.expect("it was just found");
        pull.updated_at = now();
        if change.after == NOTHING {
            pull.open = false;
            pull.closed_at = Some(now());
            tell_of_pull(world, state, at, pusher, json!({"action": "closed"}));
            continue;
        }
        let before = std::mem::replace(&mut pull.head_sha, change.after.clone());
        keep_head(state, at);
        let fields = json!({"action": "synchronize", "before": before, "after": change.after});
        tell_of_pull(world, state, at, pusher, fields);
    }
    let repository = state.repositories.get_mut(&pushed).expect("it was pushed to");
    for pull in repository.pulls.values_mut().filter(|pull| pull.open && pull.base_branch == branch) {
        if change.after != NOTHING {
            pull.base_sha.clone_from(&change.after);
        }
    }
}

/// Brings the head into the base's repository, as `refs/pull/N/head`.
pub(crate) fn keep_head(state: &State, at: (u64, u64)) {
    let repository = &state.repositories[&at.0];
    let pull = &repository.pulls[&at.1];
    if let Some(head) = pull.head_repository.filter(|head| *head != at.0) {
        let from = state.repositories[&head].directory.to_str().expect("temporary folders have plain names");
        git::git(&repository.directory, &["fetch", "--quiet", from, &pull.head_sha]);
    }
    git::git(&repository.directory, &["update-ref", &format!("refs/pull/{}/head", pull.number), &pull.head_sha]);
}
