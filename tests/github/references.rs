//! Branches.

use serde_json::json;

use super::git;
use super::http::Request;
use super::routes::{Answer, Need, Place, access, page};
use super::state::State;

pub(crate) fn route(
    state: &State,
    request: &Request,
    place: &Place<'_>,
    method: &str,
    rest: &[&str],
) -> Option<Answer> {
    match (method, rest) {
        ("GET", ["branches"]) => Some(branches(state, request, place)),
        _ => None,
    }
}

fn branches(state: &State, request: &Request, place: &Place<'_>) -> Answer {
    let (id, _) = access(state, request, place.owner, place.name, Need::Read("contents"))?;
    let repository = &state.repositories[&id];
    let url = format!("{}/repos/{}", state.url, state.full_name(repository));
    let row = |(name, commit): (String, String)| {
        let commit = json!({"sha": commit, "url": format!("{url}/commits/{commit}")});
        json!({"name": name, "commit": commit, "protected": false})
    };
    let rows: Vec<_> = git::branches(&repository.directory).into_iter().map(row).collect();
    Ok(page(state, request, &rows, 30))
}
