//! Pull requests with their files, comments and reactions.

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::routes::{self, Answer, Caller, Need, Place, access, author, invalid, page, refusal};
use super::state::{Comment, Permission, Pull, Reaction, Repository, State, now};
use super::{Shared, hooks, shapes};

/// The longest comment, in characters.
const LONGEST_COMMENT: usize = 65_536;

pub(crate) fn route(
    world: &Shared,
    state: &mut State,
    request: &Request,
    place: &Place<'_>,
    method: &str,
    rest: &[&str],
) -> Option<Answer> {
    Some(match (method, rest) {
        ("GET", ["pulls"]) => list(state, request, place),
        ("GET", ["pulls", number]) => show(state, request, place, number),
        ("GET", ["issues", number]) => issue(state, request, place, number),
        ("GET", ["issues", number, "comments"]) => comments(state, request, place, number),
        ("POST", ["issues", number, "comments"]) => post(world, state, request, place, number),
        ("GET", ["issues", "comments", id]) => comment(state, request, place, id),
        ("PATCH", ["issues", "comments", id]) => edit(world, state, request, place, id),
        ("GET", ["issues", "comments", id, "reactions"]) => reactions(state, request, place, id),
        ("POST", ["issues", "comments", id, "reactions"]) => react(state, request, place, id),
        ("GET", ["collaborators", login, "permission"]) => permission(state, request, place, login),
        _ => return None,
    })
}

fn list(state: &State, request: &Request, place: &Place<'_>) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("pull_requests"))?;
    let repository = &state.repositories[&id];
    let wanted = request.query("state").unwrap_or_else(|| "open".to_owned());
    let head = request.query("head");
    let base = request.query("base");
    let label = |pull: &Pull| format!("{}:{}", state.user(pull.head_owner).login, pull.head_branch);
    let fits = |pull: &&Pull| {
        (wanted == "all" || (wanted == "open") == pull.open)
            && head.as_ref().is_none_or(|head| *head == label(pull))
            && base.as_ref().is_none_or(|base| *base == pull.base_branch)
    };
    let mut found: Vec<_> = repository.pulls.values().filter(fits).collect();
    if request.query("sort").as_deref() == Some("updated") {
        found.sort_by(|one, other| one.updated_at.cmp(&other.updated_at));
    }
    // The newest come first where nothing is said.
    let newest_first =
        request.query("direction").map_or(request.query("sort").is_none(), |direction| direction == "desc");
    if newest_first {
        found.reverse();
    }
    let rows: Vec<_> = found.into_iter().map(|pull| shapes::pull(state, repository, pull)).collect();
    Ok(page(state, request, &rows, 30))
}

fn known_pull<'a>(repository: &'a Repository, number: &str) -> Result<&'a Pull, Response> {
    let found = number.parse().ok().and_then(|number: u64| repository.pulls.get(&number));
    found.ok_or_else(|| refusal(404, "Not Found"))
}

fn show(state: &State, request: &Request, place: &Place<'_>, number: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("pull_requests"))?;
    let repository = &state.repositories[&id];
    let pull = known_pull(repository, number)?;
    Ok(Response::json(200, &shapes::full_pull(state, repository, pull)))
}

fn issue(state: &State, request: &Request, place: &Place<'_>, number: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::ReadThread)?;
    let repository = &state.repositories[&id];
    let pull = known_pull(repository, number)?;
    Ok(Response::json(200, &shapes::issue(state, repository, pull)))
}

/// A path as it stands in an address.
pub(crate) fn encoded(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

fn comments(state: &State, request: &Request, place: &Place<'_>, number: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::ReadThread)?;
    let repository = &state.repositories[&id];
    let pull = known_pull(repository, number)?;
    let since = request.query("since").unwrap_or_default();
    let fits = |comment: &&Comment| comment.number == pull.number && comment.updated_at >= since;
    let rows: Vec<_> =
        repository.comments.values().filter(fits).map(|comment| shapes::comment(state, repository, comment)).collect();
    Ok(page(state, request, &rows, 30))
}

fn checked_body(request: &Request) -> Result<String, Response> {
    let body = request.json()["body"].as_str().unwrap_or_default().to_owned();
    if body.trim().is_empty() {
        return Err(invalid("IssueComment", "body", "body cannot be blank"));
    }
    if body.chars().count() > LONGEST_COMMENT {
        return Err(invalid("IssueComment", "body", "body is too long (maximum is 65536 characters)"));
    }
    Ok(body)
}

fn post(world: &Shared, state: &mut State, request: &Request, place: &Place<'_>, number: &str) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Thread)?;
    let pull = known_pull(&state.repositories[&id], number)?;
    let (user, by_app) = author(state, &caller);
    let mine = state.permission(user, &state.repositories[&id]);
    if pull.locked && (by_app || mine < Permission::Write) {
        return Err(refusal(403, "Unable to create comment because issue is locked."));
    }
    let (number, body) = (pull.number, checked_body(request)?);
    let app = by_app.then_some(state.app.id);
    let comment = hooks::comment(world, state, hooks::Said { repository: id, number, author: user, app, body });
    let repository = &state.repositories[&id];
    let shown = shapes::comment(state, repository, &repository.comments[&comment]);
    let location = shown["url"].as_str().unwrap_or_default().to_owned();
    Ok(Response::json(201, &shown).with("location", location))
}

fn known_comment<'a>(repository: &'a Repository, id: &str) -> Result<&'a Comment, Response> {
    let found = id.parse().ok().and_then(|id: u64| repository.comments.get(&id));
    found.ok_or_else(|| refusal(404, "Not Found"))
}

fn comment(state: &State, request: &Request, place: &Place<'_>, comment: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::ReadThread)?;
    let repository = &state.repositories[&id];
    Ok(Response::json(200, &shapes::comment(state, repository, known_comment(repository, comment)?)))
}

/// Only the author may change a comment, or who may write to the repository.
fn may_change(state: &State, repository: &Repository, caller: &Caller, comment: &Comment) -> Result<(), Response> {
    let (user, by_app) = author(state, caller);
    let may = comment.author == user || (!by_app && state.permission(user, repository) >= Permission::Write);
    if may { Ok(()) } else { Err(refusal(403, "Resource not accessible by integration")) }
}

fn edit(world: &Shared, state: &mut State, request: &Request, place: &Place<'_>, comment: &str) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Thread)?;
    let repository = &state.repositories[&id];
    let found = known_comment(repository, comment)?;
    may_change(state, repository, &caller, found)?;
    let (comment, body) = (found.id, checked_body(request)?);
    let (sender, _) = author(state, &caller);
    hooks::edit(world, state, (id, comment), sender, body);
    let repository = &state.repositories[&id];
    Ok(Response::json(200, &shapes::comment(state, repository, &repository.comments[&comment])))
}

fn reaction(state: &State, reaction: &Reaction) -> Value {
    json!({
        "id": reaction.id, "node_id": shapes::node("REA", reaction.id), "content": reaction.content,
        "user": shapes::user(state, state.user(reaction.author)), "created_at": reaction.created_at,
    })
}

fn reactions(state: &State, request: &Request, place: &Place<'_>, comment: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::ReadThread)?;
    let found = known_comment(&state.repositories[&id], comment)?;
    let rows: Vec<_> = found.reactions.iter().map(|given| reaction(state, given)).collect();
    Ok(page(state, request, &rows, 30))
}

fn react(state: &mut State, request: &Request, place: &Place<'_>, comment: &str) -> Answer {
    let (id, caller) = access(state, request, place.owner, place.name, Need::Thread)?;
    let comment = known_comment(&state.repositories[&id], comment)?.clone();
    let (user, _) = author(state, &caller);
    let content = request.json()["content"].as_str().unwrap_or_default().to_owned();
    // A reaction that is there already is given back, with 200.
    if let Some(given) = comment.reactions.iter().find(|given| given.author == user && given.content == content) {
        return Ok(Response::json(200, &reaction(state, given)));
    }
    let fresh = Reaction { id: state.fresh_id(), author: user, content, created_at: now() };
    let shown = reaction(state, &fresh);
    let repository = state.repositories.get_mut(&id).expect("it was just found");
    repository.comments.get_mut(&comment.id).expect("it was just found").reactions.push(fresh);
    Ok(Response::json(201, &shown))
}

fn permission(state: &State, request: &Request, place: &Place<'_>, login: &str) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Rights)?;
    let user = state.user_named(login).ok_or_else(|| routes::refusal(404, "Not Found"))?;
    let given = state.permission(user.id, &state.repositories[&id]);
    let flags = json!({
        "admin": given >= Permission::Admin, "maintain": given >= Permission::Maintain, "push": given >= Permission::Write,
        "triage": given >= Permission::Triage, "pull": given >= Permission::Read,
    });
    let shown = shapes::with(shapes::user(state, user), json!({"role_name": given.role(), "permissions": flags}));
    Ok(Response::json(200, &json!({"permission": given.legacy(), "role_name": given.role(), "user": shown})))
}
