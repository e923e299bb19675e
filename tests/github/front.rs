//! What clients talk to: it keeps the log, makes faults, serves git, and hands everything else to Prism.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::faults::Fault;
use super::git::{self, Change};
use super::http::{self, Reply, Request, Response};
use super::routes::{self, Caller, refusal};
use super::state::{Permission, State};
use super::{Shared, holds, hooks, oauth, prism};

/// A request and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
    /// What the client saw; 0 when the connection just closed.
    pub(crate) status: u16,
    /// The fault that changed what the client saw.
    pub(crate) fault: Option<Fault>,
    /// When it came.
    pub(crate) at: Instant,
}

/// Answers a client.
pub(crate) fn answer(world: &Arc<Shared>, name: &str, request: &Request) -> Reply {
    let at = Instant::now();
    let logged = |world: &Shared, request: &Request, reply, fault| logged(world, request, reply, fault, at);
    if let Some(id) = request.path().strip_prefix("/_received/") {
        return received(world, id, request);
    }
    if world.outage.load(Ordering::SeqCst) {
        return logged(world, request, Reply::Nothing, Some(Fault::Closed));
    }
    if request.path().contains(".git/") {
        return holds::hold(world, request, Reply::Whole(serve_git(world, request)));
    }
    if request.path().starts_with("/login/oauth/") {
        let response = oauth::answer(&mut world.state.lock().unwrap(), request);
        return logged(world, request, Reply::Whole(response), None);
    }
    let fault = world.take_fault(&format!("{} {}", request.method, request.path()));
    if let Some(reply) = fault.as_ref().and_then(Fault::before) {
        return logged(world, request, reply, fault);
    }
    let response = forward(world, name, request);
    let reply = match fault {
        Some(fault) => logged(world, request, fault.after(response), Some(fault)),
        None => logged(world, request, Reply::Whole(response), None),
    };
    holds::hold(world, request, reply)
}

fn logged(world: &Shared, request: &Request, reply: Reply, fault: Option<Fault>, at: Instant) -> Reply {
    let status = match &reply {
        Reply::Whole(response) | Reply::Told(response, _) | Reply::Half(response) => response.status,
        Reply::Nothing => 0,
    };
    world.log.lock().unwrap().push(Logged {
        method: request.method.clone(),
        path: request.path().to_owned(),
        target: request.target.clone(),
        token: request.token(),
        body: request.json(),
        status,
        fault,
        at,
    });
    reply
}

/// Sends a request through Prism. GitHub's file does not list every refusal, so refusals are the fake's own words.
fn forward(world: &Arc<Shared>, name: &str, request: &Request) -> Response {
    let mut request = request.clone();
    request.target = for_prism(&world.state.lock().unwrap(), &request.target);
    if request.path().starts_with("/repositories/") {
        return routes::answer(world, &request);
    }
    let number = world.requests.fetch_add(1, Ordering::SeqCst).to_string();
    request.headers.push((prism::WORLD.to_owned(), name.to_owned()));
    request.headers.push((prism::REQUEST.to_owned(), number.clone()));
    let checked = http::send(prism::url(), &request, Duration::from_secs(60));
    let own = world.answers.lock().unwrap().remove(&number);
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return refusal(500, &format!("Prism does not answer: {error}")),
    };
    match own {
        Some(own) if own.status >= 300 || only_known_gaps(&checked) => return own,
        _ => {}
    }
    let kind = checked.value()["type"].as_str().unwrap_or_default().to_owned();
    if kind.contains("stoplight.io/prism/errors") {
        let said = String::from_utf8_lossy(&checked.body).into_owned();
        world.complain(format!("Prism objects to {} {}: {said}", request.method, request.target));
    }
    checked
}

/// Whether Prism objects to nothing but what GitHub itself does against its own file: the head of a pull request whose
/// fork was deleted has no repository.
fn only_known_gaps(checked: &Response) -> bool {
    let body = checked.value();
    let Some(objections) = body["validation"].as_array() else { return false };
    let known = |objection: &Value| {
        let location: Vec<_> =
            objection["location"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        location.starts_with(&["response", "body"])
            && location.ends_with(&["head", "repo"])
            && objection["code"] == "type"
    };
    !objections.is_empty() && objections.iter().all(known)
}

/// GitHub's file knows repositories by name only.
fn for_prism(state: &State, target: &str) -> String {
    let (path, query) =
        target.split_once('?').map_or((target, String::new()), |(path, query)| (path, format!("?{query}")));
    let mut path = path.to_owned();
    if let Some(rest) = path.strip_prefix("/repositories/") {
        let (id, rest) = rest.split_once('/').map_or((rest, String::new()), |(id, rest)| (id, format!("/{rest}")));
        if let Some(found) = id.parse().ok().and_then(|id: u64| state.repositories.get(&id)) {
            path = format!("/repos/{}{rest}", state.full_name(found));
        }
    }
    format!("{path}{query}")
}

/// A repository's hook tells of a push.
fn received(world: &Arc<Shared>, id: &str, request: &Request) -> Reply {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let change = |line: &str| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        Some(Change { before: words.next()?, after: words.next()?, reference: words.next()? })
    };
    let changes: Vec<_> = text.lines().filter_map(change).collect();
    let mut state = world.state.lock().unwrap();
    let pusher = request.header("x-pusher").and_then(|login| state.user_named(login)).map(|user| user.id);
    if let Some(repository) = id.parse().ok().filter(|id: &u64| state.repositories.contains_key(id)) {
        let pusher = pusher.unwrap_or(state.repositories[&repository].owner);
        hooks::pushed(world, &mut state, repository, pusher, &changes);
    }
    Reply::Whole(Response::empty(200))
}

/// Git over HTTP: everybody may read what is public, the rest needs a token.
fn serve_git(world: &Arc<Shared>, request: &Request) -> Response {
    let Some((name, rest)) = request.path().trim_start_matches('/').split_once(".git/") else {
        return Response::empty(404);
    };
    let (directory, user) = {
        let state = world.state.lock().unwrap();
        let Some(repository) = state.find(name) else { return Response::empty(404) };
        let writes =
            rest.contains("git-receive-pack") || request.query("service").is_some_and(|it| it.contains("receive"));
        let mut asked = request.clone();
        if let Some(password) = request.header("authorization").and_then(password) {
            asked.headers = vec![("authorization".to_owned(), format!("token {password}"))];
        }
        let caller = asked.token().and_then(|_| routes::caller(&state, &asked).ok());
        let may = match &caller {
            None => !writes && !repository.private,
            Some(Caller::App) => false,
            Some(Caller::User(id)) => {
                state.permission(*id, repository) >= if writes { Permission::Write } else { Permission::Read }
            }
            Some(Caller::Installation { installation, repositories, permissions }) => {
                let held = repository.installation == Some(*installation)
                    && repositories.as_ref().is_none_or(|named| named.contains(&repository.id));
                let level = permissions.get("contents").map(String::as_str);
                match (held, writes) {
                    (true, true) => level == Some("write"),
                    (true, false) => level.is_some(),
                    (false, writes) => !writes && !repository.private,
                }
            }
        };
        if !may {
            return Response::empty(if caller.is_some() { 403 } else { 401 })
                .with("www-authenticate", "Basic realm=\"GitHub\"");
        }
        let user = caller.map_or(String::new(), |caller| state.user(routes::author(&state, &caller).0).login.clone());
        (repository.directory.clone(), user)
    };
    git::serve(&directory, request, &format!("/{rest}"), &user)
}

/// The password of `Basic ...`.
fn password(header: &str) -> Option<String> {
    let text = header.strip_prefix("Basic ").or_else(|| header.strip_prefix("basic "))?;
    let pair = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}
