//! Branches, tags, references, commits and files.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::git;
use super::http::{Request, Response};
use super::routes::{Answer, Need, Place, access, page, refusal};
use super::shapes;
use super::state::{Repository, State};
use super::threads::encoded;

pub(crate) fn route(
    state: &State,
    request: &Request,
    place: &Place<'_>,
    method: &str,
    rest: &[&str],
) -> Option<Answer> {
    if method != "GET" {
        return None;
    }
    let answer: fn(&State, &Request, &Repository, &str) -> Answer = match rest {
        ["branches"] => branches,
        ["tags"] => tags,
        ["git", "matching-refs", ..] => matching,
        ["git", "ref", ..] => reference,
        ["commits", _] => commit,
        ["contents", ..] => contents,
        _ => return None,
    };
    let skip = match rest {
        ["git", ..] => 2,
        _ => 1,
    };
    let name = rest[skip.min(rest.len())..].join("/");
    let found = access(state, request, place.owner, place.name, Need::Read("contents"));
    Some(found.and_then(|(id, _)| answer(state, request, &state.repositories[&id], &name)))
}

fn api(state: &State, repository: &Repository) -> String {
    format!("{}/repos/{}", state.url, state.full_name(repository))
}

fn branches(state: &State, request: &Request, repository: &Repository, _: &str) -> Answer {
    let url = api(state, repository);
    let row = |(name, _, _, commit): (String, String, String, String)| {
        let short = name.trim_start_matches("refs/heads/");
        json!({"name": short, "commit": {"sha": commit, "url": format!("{url}/commits/{commit}")}, "protected": false})
    };
    let rows: Vec<_> = git::references(&repository.directory, "refs/heads/").into_iter().map(row).collect();
    Ok(page(state, request, &rows, 30))
}

fn tags(state: &State, request: &Request, repository: &Repository, _: &str) -> Answer {
    let url = api(state, repository);
    let row = |(name, object, _, commit): (String, String, String, String)| {
        json!({
            "name": name.trim_start_matches("refs/tags/"), "commit": {"sha": commit, "url": format!("{url}/commits/{commit}")},
            "zipball_url": format!("{url}/zipball/{}", encoded(&name)), "tarball_url": format!("{url}/tarball/{}", encoded(&name)),
            "node_id": format!("REF_{object}"),
        })
    };
    let rows: Vec<_> = git::references(&repository.directory, "refs/tags/").into_iter().rev().map(row).collect();
    Ok(page(state, request, &rows, 30))
}

fn shown_reference(state: &State, repository: &Repository, name: &str, object: &str, kind: &str) -> Value {
    let url = api(state, repository);
    json!({
        "ref": name, "node_id": format!("REF_{object}"), "url": format!("{url}/git/{}", encoded(name)),
        "object": {"sha": object, "type": kind, "url": format!("{url}/git/{kind}s/{object}")},
    })
}

fn matching(state: &State, request: &Request, repository: &Repository, name: &str) -> Answer {
    let found = git::references(&repository.directory, &format!("refs/{name}"));
    let rows: Vec<_> = found
        .into_iter()
        .map(|(name, object, kind, _)| shown_reference(state, repository, &name, &object, &kind))
        .collect();
    // GitHub gives all of them at once.
    let _ = request;
    Ok(Response::json(200, &Value::Array(rows)))
}

fn reference(state: &State, _: &Request, repository: &Repository, name: &str) -> Answer {
    let full = format!("refs/{name}");
    let found = git::references(&repository.directory, &full).into_iter().find(|(name, ..)| *name == full);
    let (name, object, kind, _) = found.ok_or_else(|| refusal(404, "Not Found"))?;
    Ok(Response::json(200, &shown_reference(state, repository, &name, &object, &kind)))
}

fn commit(state: &State, request: &Request, repository: &Repository, name: &str) -> Answer {
    let missing = || refusal(422, &format!("No commit found for SHA: {name}"));
    let sha = git::commit_of(&repository.directory, name).ok_or_else(missing)?;
    if request.header("accept").is_some_and(|wanted| wanted.contains("application/vnd.github.sha")) {
        let mut response = Response::empty(200).with("content-type", "application/vnd.github.sha");
        response.body = sha.into_bytes();
        return Ok(response);
    }
    Ok(Response::json(200, &shown_commit(state, repository, &sha)))
}

fn shown_commit(state: &State, repository: &Repository, sha: &str) -> Value {
    let format = "--format=%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%T%x00%P%x00%B";
    let told = git::git(&repository.directory, &["show", "-s", format, sha]);
    let mut fields = told.splitn(9, '\0').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let author = json!({"name": next(), "email": next(), "date": next()});
    let committer = json!({"name": next(), "email": next(), "date": next()});
    let (tree, parents, message) = (next(), next(), next());
    let url = api(state, repository);
    let html = format!("{}/{}", state.url, state.full_name(repository));
    let parent = |sha: &str| json!({"sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}")});
    json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}"),
        "comments_url": format!("{url}/commits/{sha}/comments"), "author": null, "committer": null,
        "parents": parents.split(' ').filter(|sha| !sha.is_empty()).map(parent).collect::<Vec<_>>(),
        "commit": {
            "author": author, "committer": committer, "message": message.trim_end(), "comment_count": 0,
            "url": format!("{url}/git/commits/{sha}"), "tree": {"sha": tree, "url": format!("{url}/git/trees/{tree}")},
            "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
        },
        "stats": {"additions": 0, "deletions": 0, "total": 0}, "files": [],
    })
}

/// A file, or the names in a folder.
fn contents(state: &State, request: &Request, repository: &Repository, path: &str) -> Answer {
    let missing = || refusal(404, "Not Found");
    let reference = request.query("ref").unwrap_or_else(|| repository.default_branch.clone());
    let commit = git::commit_of(&repository.directory, &reference).ok_or_else(missing)?;
    let path = path.trim_matches('/');
    let object =
        git::try_git(&repository.directory, &["rev-parse", "--verify", "--quiet", &format!("{commit}:{path}")]);
    let object = object.map_err(|_| missing())?.trim().to_owned();
    let kind = git::git(&repository.directory, &["cat-file", "-t", &object]);
    if kind.trim() == "tree" {
        let listed = git::git(&repository.directory, &["ls-tree", "-z", "-l", &object]);
        let rows = listed.split('\0').filter_map(|row| {
            let (meta, name) = row.split_once('\t')?;
            let words: Vec<_> = meta.split_whitespace().collect();
            let kind = if words[1] == "tree" { "dir" } else { "file" };
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let size = words[3].parse().unwrap_or(0);
            Some(entry(state, repository, &commit, &Entry { path: &below, object: words[2], kind, size }))
        });
        return Ok(Response::json(200, &rows.collect()));
    }
    let size = git::git(&repository.directory, &["cat-file", "-s", &object]).trim().parse().unwrap_or(0);
    let text = git::git(&repository.directory, &["cat-file", "blob", &object]);
    if request.header("accept").is_some_and(|wanted| wanted.contains("raw")) {
        let mut response = Response::empty(200).with("content-type", "application/vnd.github.raw+json; charset=utf-8");
        response.body = text.into_bytes();
        return Ok(response);
    }
    let file = entry(state, repository, &commit, &Entry { path, object: &object, kind: "file", size });
    Ok(Response::json(200, &shapes::with(file, json!({"encoding": "base64", "content": base64(text.as_bytes())}))))
}

/// One thing in a tree.
struct Entry<'a> {
    path: &'a str,
    object: &'a str,
    kind: &'a str,
    size: u64,
}

fn entry(state: &State, repository: &Repository, commit: &str, entry: &Entry<'_>) -> Value {
    let path = encoded(entry.path);
    let url = format!("{}/contents/{path}?ref={commit}", api(state, repository));
    let html = format!("{}/{}/blob/{commit}/{path}", state.url, state.full_name(repository));
    let git = format!("{}/git/blobs/{}", api(state, repository), entry.object);
    json!({
        "type": entry.kind, "name": entry.path.rsplit('/').next(), "path": entry.path, "sha": entry.object, "size": entry.size,
        "url": url, "html_url": html, "git_url": git,
        "download_url": format!("{}/{}/raw/{commit}/{path}", state.url, state.full_name(repository)),
        "_links": {"self": url, "git": git, "html": html},
    })
}

/// Base64 with a line end after each 60 characters, as GitHub sends it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (at, group) in bytes.chunks(3).enumerate() {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for letter in 0..4 {
            let index = (bits >> (18 - 6 * letter)) as usize & 63;
            let shown = if letter > group.len() { '=' } else { char::from(LETTERS[index]) };
            let _ = write!(out, "{shown}");
        }
        if at % 15 == 14 {
            out.push('\n');
        }
    }
    out
}
