//! Which request is answered by what, and who may ask it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::{Request, Response};
use super::state::{Holder, Permission, Repository, State, seconds};
use super::{Shared, app, checks, deployments, references, shapes, threads};

/// An answer, or the refusal.
pub(crate) type Answer = Result<Response, Response>;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    App,
    Installation { installation: u64, repositories: Option<Vec<u64>>, permissions: BTreeMap<String, String> },
    User(u64),
}

/// What a request asks of its token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    Read(&'static str),
    Write(&'static str),
    /// Writing to a pull request's thread: either permission will do.
    Thread,
    ReadThread,
    /// What somebody may do: an App reads that where it is installed and nowhere else, also of what is public.
    Rights,
    /// Only Apps may write checks.
    Checks,
}

/// Answers a request as GitHub does: token, limits, the thing itself, conditional requests.
pub(crate) fn answer(world: &Shared, request: &Request) -> Response {
    let mut state = world.state.lock().unwrap();
    let state = &mut *state;
    let refused = spend(state, request);
    let response = refused.map_or_else(|| dispatch(world, state, request), Err).unwrap_or_else(|refusal| refusal);
    let response = conditional(state, request, response);
    limits(state, request, response)
}

fn dispatch(world: &Shared, state: &mut State, request: &Request) -> Answer {
    let segments = request.segments();
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["rate_limit"]) => rate_limit(state, request),
        ("POST", ["app-manifests", code, "conversions"]) => app::convert(state, code),
        ("GET", ["app"]) => app::show(state, request),
        ("GET", ["app", "installations"]) => app::installations(state, request),
        ("GET", ["app", "installations", id]) => app::installation(state, request, id),
        ("POST", ["app", "installations", id, "access_tokens"]) => app::mint(state, request, id),
        ("GET", ["app", "hook", "deliveries"]) => app::deliveries(state, request),
        ("GET", ["app", "hook", "deliveries", id]) => app::delivery(state, request, id),
        ("POST", ["app", "hook", "deliveries", id, "attempts"]) => app::redeliver(world, state, request, id),
        ("GET", ["installation", "repositories"]) => app::repositories(state, request),
        ("GET", ["user"]) => own_user(state, request),
        ("GET", ["user", "repos"]) => own_repositories(state, request),
        ("GET", ["user", id]) => user(state, request, |user| user.id.to_string() == *id),
        ("GET", ["users", login]) => user(state, request, |user| user.login.eq_ignore_ascii_case(login)),
        ("GET", ["repositories", id]) => repository_by_id(state, request, id),
        // Those that are there are known by their names here.
        (_, ["repositories", ..]) => caller(state, request).and_then(|_| Err(refusal(404, "Not Found"))),
        ("GET", ["repos", owner, name]) => {
            let (id, _) = access(state, request, owner, name, Need::Read("metadata"))?;
            Ok(Response::json(200, &shapes::repository(state, &state.repositories[&id])))
        }
        ("GET", ["repos", _, _, "installation"]) => app::of_repository(state, request, segments[1], segments[2]),
        (method, ["repos", owner, name, rest @ ..]) => {
            let place = Place { owner, name };
            threads::route(world, state, request, &place, method, rest)
                .or_else(|| checks::route(state, request, &place, method, rest))
                .or_else(|| deployments::route(world, state, request, &place, method, rest))
                .or_else(|| references::route(state, request, &place, method, rest))
                .unwrap_or_else(|| unknown(world, request))
        }
        _ => unknown(world, request),
    }
}

/// The repository that a path names.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) owner: &'a str,
    pub(crate) name: &'a str,
}

fn unknown(world: &Shared, request: &Request) -> Answer {
    world.complain(format!("the fake does not know {} {}", request.method, request.path()));
    Err(refusal(404, "Not Found"))
}

/// An error as GitHub words it.
pub(crate) fn refusal(status: u16, message: &str) -> Response {
    let body =
        json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
    Response::json(status, &body)
}

/// A 422 that names the field.
pub(crate) fn invalid(resource: &str, field: &str, message: &str) -> Response {
    let errors = json!([{"resource": resource, "field": field, "code": "custom", "message": message}]);
    let body =
        json!({"message": "Validation Failed", "errors": errors, "documentation_url": "https://docs.github.com/rest"});
    Response::json(422, &body)
}

/// Who asks; a refusal when nobody says who, or wrongly.
pub(crate) fn caller(state: &State, request: &Request) -> Result<Caller, Response> {
    let token = request.token().ok_or_else(|| refusal(401, "Requires authentication"))?;
    if let Some(known) = state.tokens.get(&token) {
        if known.expires.is_some_and(|expires| expires <= seconds()) {
            return Err(refusal(401, "Bad credentials"));
        }
        return match &known.holder {
            Holder::User(id) => Ok(Caller::User(*id)),
            Holder::Installation { installation, .. } if !state.app.has(*installation) => {
                Err(refusal(401, "Bad credentials"))
            }
            Holder::Installation { installation, .. } if state.app.is_suspended(*installation) => {
                Err(refusal(403, "This installation has been suspended"))
            }
            Holder::Installation { installation, repositories, permissions } => Ok(Caller::Installation {
                installation: *installation,
                repositories: repositories.clone(),
                permissions: permissions.clone(),
            }),
        };
    }
    app::verify(state, &token).map(|()| Caller::App)
}

/// The repository that a path names, when the caller may do with it what the request needs.
pub(crate) fn access(
    state: &State,
    request: &Request,
    owner: &str,
    name: &str,
    need: Need,
) -> Result<(u64, Caller), Response> {
    let caller = caller(state, request)?;
    let full_name = format!("{owner}/{name}");
    let Some(repository) = state.find(&full_name) else { return Err(moved(state, request, &full_name)) };
    permit(state, &caller, repository, need)?;
    let reads = matches!(need, Need::Read(_) | Need::ReadThread | Need::Rights);
    if repository.archived && !reads {
        return Err(refusal(403, "Repository was archived so is read-only."));
    }
    Ok((repository.id, caller))
}

/// Renamed and transferred repositories answer with a redirect to their id.
fn moved(state: &State, request: &Request, full_name: &str) -> Response {
    let former =
        |repository: &&Repository| repository.former_names.iter().any(|name| name.eq_ignore_ascii_case(full_name));
    let Some(repository) = state.repositories.values().find(former) else { return refusal(404, "Not Found") };
    let rest =
        request.target.trim_start_matches('/').splitn(4, '/').nth(3).map_or(String::new(), |rest| format!("/{rest}"));
    let url = format!("{}/repositories/{}{rest}", state.url, repository.id);
    let body = json!({"message": "Moved Permanently", "url": url, "documentation_url": "https://docs.github.com/rest"});
    Response::json(if request.method == "GET" { 301 } else { 307 }, &body).with("location", url)
}

fn permit(state: &State, caller: &Caller, repository: &Repository, need: Need) -> Result<(), Response> {
    match caller {
        Caller::App => Err(refusal(403, "Resource not accessible by integration")),
        Caller::Installation { installation, repositories, permissions } => {
            let named = repositories.as_ref().is_none_or(|named| named.contains(&repository.id));
            if repository.installation != Some(*installation) || !named {
                // What is public may be read by everybody, and what is not is not there for who may not.
                return match need {
                    _ if repository.private => Err(refusal(404, "Not Found")),
                    Need::Read(_) | Need::ReadThread => Ok(()),
                    _ => Err(refusal(403, "Resource not accessible by integration")),
                };
            }
            let reads = |what: &str| permissions.contains_key(what) || what == "metadata";
            let writes = |what: &str| permissions.get(what).is_some_and(|level| level == "write");
            let enough = match need {
                Need::Read(what) => reads(what),
                Need::Write(what) => writes(what),
                Need::Thread => writes("issues") || writes("pull_requests"),
                Need::ReadThread => reads("issues") || reads("pull_requests"),
                Need::Rights => reads("metadata"),
                Need::Checks => writes("checks"),
            };
            if enough { Ok(()) } else { Err(refusal(403, "Resource not accessible by integration")) }
        }
        Caller::User(id) => match (state.permission(*id, repository), need) {
            (Permission::None, _) => Err(refusal(404, "Not Found")),
            (_, Need::Checks) => Err(refusal(403, "You must authenticate via a GitHub App.")),
            (_, Need::Read(_) | Need::ReadThread | Need::Rights | Need::Thread) => Ok(()),
            (permission, Need::Write(_)) if permission >= Permission::Write => Ok(()),
            _ => Err(refusal(403, "Must have push access to the repository.")),
        },
    }
}

/// Who wrote, and whether through the App.
pub(crate) fn author(state: &State, caller: &Caller) -> (u64, bool) {
    match caller {
        Caller::User(id) => (*id, false),
        _ => (state.app.bot, true),
    }
}

fn own_user(state: &State, request: &Request) -> Answer {
    match caller(state, request)? {
        Caller::User(id) => Ok(Response::json(200, &shapes::public_user(state, state.user(id)))),
        _ => Err(refusal(403, "Resource not accessible by integration")),
    }
}

/// What somebody was given a permission for, and not everything that is public.
fn own_repositories(state: &State, request: &Request) -> Answer {
    let Caller::User(id) = caller(state, request)? else {
        return Err(refusal(403, "Resource not accessible by integration"));
    };
    let may = |found: &&Repository| state.permission(id, found) > Permission::Read;
    let rows: Vec<_> = state.repositories.values().filter(may).map(|found| shapes::repository(state, found)).collect();
    Ok(page(state, request, &rows, 30))
}

fn user(state: &State, request: &Request, fits: impl Fn(&super::state::User) -> bool) -> Answer {
    caller(state, request)?;
    let found = state.users.iter().find(|user| fits(user)).ok_or_else(|| refusal(404, "Not Found"))?;
    Ok(Response::json(200, &shapes::public_user(state, found)))
}

fn repository_by_id(state: &State, request: &Request, id: &str) -> Answer {
    let caller = caller(state, request)?;
    let found = id.parse().ok().and_then(|id: u64| state.repositories.get(&id));
    let found = found.ok_or_else(|| refusal(404, "Not Found"))?;
    permit(state, &caller, found, Need::Read("metadata"))?;
    Ok(Response::json(200, &shapes::repository(state, found)))
}

/// One page of a list, with the links to the others.
pub(crate) fn page(state: &State, request: &Request, rows: &[Value], default: usize) -> Response {
    let (rows, link) = paged(state, request, rows, default);
    with_link(Response::json(200, &Value::Array(rows)), link)
}

/// One page of a list inside an object, which also says how long the list is.
pub(crate) fn counted_page(state: &State, request: &Request, name: &str, rows: &[Value]) -> Response {
    let (page, link) = paged(state, request, rows, 30);
    with_link(Response::json(200, &json!({"total_count": rows.len(), name: page})), link)
}

fn with_link(response: Response, link: Option<String>) -> Response {
    match link {
        Some(link) => response.with("link", link),
        None => response,
    }
}

fn paged(state: &State, request: &Request, rows: &[Value], default: usize) -> (Vec<Value>, Option<String>) {
    let number = |name: &str, other: usize| request.query(name).and_then(|text| text.parse().ok()).unwrap_or(other);
    let (size, page) = (number("per_page", default).clamp(1, 100), number("page", 1).max(1));
    let last = rows.len().div_ceil(size).max(1);
    let shown = rows.iter().skip((page - 1) * size).take(size).cloned().collect();
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page=")).collect();
    let to = |page: usize, relation: &str| {
        let mut pairs = kept.clone();
        let number = format!("page={page}");
        pairs.push(&number);
        format!("<{}{}?{}>; rel=\"{relation}\"", state.url, request.path(), pairs.join("&"))
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(to(page - 1, "prev"));
        links.push(to(1, "first"));
    }
    if page < last {
        links.push(to(page + 1, "next"));
        links.push(to(last, "last"));
    }
    (shown, (!links.is_empty()).then(|| links.join(", ")))
}

/// A 304 when the client has this very answer.
fn conditional(state: &mut State, request: &Request, response: Response) -> Response {
    if request.method != "GET" || response.status != 200 {
        return response;
    }
    let tag = format!("W/\"{}\"", hex::encode(Sha256::digest(&response.body)));
    if request.header("if-none-match").is_some_and(|known| known.split(", ").any(|known| known == tag)) {
        if let Some(budget) = state.budgets.get_mut(&purse(request)) {
            budget.used = budget.used.saturating_sub(1);
        }
        return Response::empty(304).with("etag", tag);
    }
    response.with("etag", tag)
}

/// Whose budget a request uses up: its credential's.
fn purse(request: &Request) -> String {
    match request.token() {
        Some(token) if token.starts_with("ghs_") => "installation".to_owned(),
        Some(token) if token.starts_with("ghp_") || token.starts_with("ghu_") => token,
        Some(_) => "app".to_owned(),
        None => "nobody".to_owned(),
    }
}

fn budget<'a>(state: &'a mut State, request: &Request) -> &'a mut super::state::Budget {
    let fresh = super::state::Budget { limit: 5000, used: 0, reset: seconds() + 3600 };
    let budget = state.budgets.entry(purse(request)).or_insert_with(|| fresh.clone());
    if budget.reset <= seconds() {
        *budget = super::state::Budget { limit: budget.limit.max(5000), ..fresh };
    }
    budget
}

/// Counts the request; refuses it when nothing is left.
fn spend(state: &mut State, request: &Request) -> Option<Response> {
    if request.path() == "/rate_limit" {
        return None;
    }
    let budget = budget(state, request);
    if budget.used >= budget.limit {
        return Some(refusal(403, "API rate limit exceeded for installation."));
    }
    budget.used += 1;
    None
}

fn limits(state: &mut State, request: &Request, response: Response) -> Response {
    let budget = budget(state, request);
    response
        .with("x-ratelimit-limit", budget.limit.to_string())
        .with("x-ratelimit-remaining", (budget.limit - budget.used.min(budget.limit)).to_string())
        .with("x-ratelimit-used", budget.used.to_string())
        .with("x-ratelimit-reset", budget.reset.to_string())
        .with("x-ratelimit-resource", "core")
        .with("x-github-api-version-selected", "2022-11-28")
}

fn rate_limit(state: &mut State, request: &Request) -> Answer {
    caller(state, request)?;
    let budget = budget(state, request);
    let left = budget.limit - budget.used.min(budget.limit);
    let core = json!({"limit": budget.limit, "used": budget.used, "remaining": left, "reset": budget.reset});
    Ok(Response::json(200, &json!({"resources": {"core": core, "search": core}, "rate": core})))
}
