//! How GitHub shows things: every field that its `OpenAPI` file demands, and those that modelship reads.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::git;
use super::state::{Comment, Delivery, Pull, Repository, State, User};
use super::threads::encoded;

pub(crate) fn user(state: &State, user: &User) -> Value {
    let login = encoded(&user.login);
    let url = format!("{}/users/{login}", state.url);
    let mut shown = Map::new();
    for part in [
        "followers",
        "gists",
        "starred",
        "subscriptions",
        "organizations",
        "repos",
        "events",
        "received_events",
        "following",
    ] {
        shown.insert(format!("{part}_url"), json!(format!("{url}/{part}")));
    }
    shown.extend(object(json!({
        "login": user.login, "id": user.id, "node_id": node("U", user.id), "avatar_url": format!("{}/avatars/{}", state.url, user.id),
        "gravatar_id": "", "url": url, "html_url": format!("{}/{login}", state.url), "type": user.kind,
        "site_admin": false, "user_view_type": "public",
    })));
    Value::Object(shown)
}

pub(crate) fn public_user(state: &State, found: &User) -> Value {
    with(
        user(state, found),
        json!({
            "bio": null, "blog": null, "company": null, "email": null, "followers": 0, "following": 0, "hireable": null,
            "location": null, "name": null, "public_gists": 0, "public_repos": 0,
            "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
        }),
    )
}

pub(crate) fn repository(state: &State, repository: &Repository) -> Value {
    let name = state.full_name(repository);
    let url = format!("{}/repos/{name}", state.url);
    let mut shown = Map::new();
    for (field, path) in [
        ("archive", "{archive_format}{/ref}"),
        ("assignees", "assignees{/user}"),
        ("blobs", "git/blobs{/sha}"),
        ("branches", "branches{/branch}"),
        ("collaborators", "collaborators{/collaborator}"),
        ("comments", "comments{/number}"),
        ("commits", "commits{/sha}"),
        ("compare", "compare/{base}...{head}"),
        ("contents", "contents/{+path}"),
        ("git_commits", "git/commits{/sha}"),
        ("git_refs", "git/refs{/sha}"),
        ("git_tags", "git/tags{/sha}"),
        ("issue_comment", "issues/comments{/number}"),
        ("issue_events", "issues/events{/number}"),
        ("issues", "issues{/number}"),
        ("keys", "keys{/key_id}"),
        ("labels", "labels{/name}"),
        ("milestones", "milestones{/number}"),
        ("notifications", "notifications{?since,all,participating}"),
        ("pulls", "pulls{/number}"),
        ("releases", "releases{/id}"),
        ("statuses", "statuses/{sha}"),
        ("trees", "git/trees{/sha}"),
    ] {
        shown.insert(format!("{field}_url"), json!(format!("{url}/{path}")));
    }
    for field in [
        "contributors",
        "deployments",
        "downloads",
        "events",
        "forks",
        "hooks",
        "languages",
        "merges",
        "stargazers",
        "subscribers",
        "subscription",
        "tags",
        "teams",
    ] {
        shown.insert(format!("{field}_url"), json!(format!("{url}/{field}")));
    }
    shown.extend(object(json!({
        "id": repository.id, "node_id": node("R", repository.id), "name": repository.name, "full_name": name,
        "owner": user(state, state.user(repository.owner)), "private": repository.private,
        "visibility": if repository.private { "private" } else { "public" },
        "html_url": format!("{}/{name}", state.url), "url": url, "description": null, "fork": repository.parent.is_some(),
        "clone_url": format!("{}/{name}.git", state.url), "git_url": format!("git://127.0.0.1/{name}.git"),
        "ssh_url": format!("git@127.0.0.1:{name}.git"), "svn_url": format!("{}/{name}", state.url), "mirror_url": null,
        "default_branch": repository.default_branch, "archived": repository.archived, "disabled": false, "is_template": false,
        "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false, "has_downloads": false,
    })));
    shown.extend(object(json!({
        "has_discussions": false, "homepage": null, "language": null, "license": null, "topics": [], "forks": 0,
        "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "size": 1, "stargazers_count": 0, "watchers": 0,
        "watchers_count": 0, "network_count": 0, "subscribers_count": 0, "allow_forking": true,
        "web_commit_signoff_required": false, "pushed_at": "2020-01-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
    })));
    Value::Object(shown)
}

/// A pull request, as lists show it.
pub(crate) fn pull(state: &State, repo: &Repository, found: &Pull) -> Value {
    let name = state.full_name(repo);
    let url = format!("{}/repos/{name}/pulls/{}", state.url, found.number);
    let issue = format!("{}/repos/{name}/issues/{}", state.url, found.number);
    let html = format!("{}/{name}/pull/{}", state.url, found.number);
    let statuses = format!("{}/repos/{name}/statuses/{}", state.url, found.head_sha);
    let review_comment = format!("{}/repos/{name}/pulls/comments{{/number}}", state.url);
    let links = json!({
        "self": {"href": url}, "html": {"href": html}, "issue": {"href": issue},
        "comments": {"href": format!("{issue}/comments")}, "review_comments": {"href": format!("{url}/comments")},
        "review_comment": {"href": review_comment}, "commits": {"href": format!("{url}/commits")},
        "statuses": {"href": statuses},
    });
    let head = found.head_repository.and_then(|id| state.repositories.get(&id));
    let owner = state.user(found.head_owner);
    json!({
        "url": url, "id": found.id, "node_id": node("PR", found.id), "html_url": html, "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"), "issue_url": issue, "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"), "review_comment_url": review_comment,
        "comments_url": format!("{issue}/comments"), "statuses_url": statuses, "number": found.number,
        "state": if found.open { "open" } else { "closed" }, "locked": found.locked, "active_lock_reason": null,
        "title": found.title, "user": user(state, state.user(found.author)), "body": found.body, "labels": [],
        "milestone": null, "assignee": null, "assignees": [], "requested_reviewers": [], "requested_teams": [],
        "created_at": found.created_at, "updated_at": found.updated_at, "closed_at": found.closed_at,
        "merged_at": found.merged_as.as_ref().and(found.closed_at.as_ref()), "merge_commit_sha": merge_commit(found),
        "head": {
            "label": format!("{}:{}", owner.login, found.head_branch), "ref": found.head_branch, "sha": found.head_sha,
            "user": user(state, owner), "repo": head.map(|head| repository(state, head)),
        },
        "base": {
            "label": format!("{}:{}", state.user(repo.owner).login, found.base_branch), "ref": found.base_branch,
            "sha": found.base_sha, "user": user(state, state.user(repo.owner)), "repo": repository(state, repo),
        },
        "_links": links, "author_association": association(state, repo, found.author), "auto_merge": null,
        "draft": found.draft,
    })
}

/// The commit that merging made; before that, the one that GitHub made to try it, which is on no branch.
fn merge_commit(found: &Pull) -> String {
    let tried = || hex::encode(Sha256::digest(format!("{} into {}", found.head_sha, found.base_sha)))[..40].to_owned();
    found.merged_as.clone().unwrap_or_else(tried)
}

/// A pull request by itself.
pub(crate) fn full_pull(state: &State, repo: &Repository, found: &Pull) -> Value {
    let changed = git::changed(&repo.directory, &found.base_sha, &found.head_sha);
    let comments = repo.comments.values().filter(|comment| comment.number == found.number).count();
    with(
        pull(state, repo, found),
        json!({
            "merged": found.merged_as.is_some(), "mergeable": found.open.then_some(true), "rebaseable": null,
            "mergeable_state": "unknown", "merged_by": found.merged_as.as_ref().map(|_| user(state, state.user(repo.owner))),
            "comments": comments, "review_comments": 0, "maintainer_can_modify": false, "commits": 1,
            "additions": changed.additions, "deletions": changed.deletions, "changed_files": changed.files,
        }),
    )
}

/// The pull request as an issue, as comments' events carry it.
pub(crate) fn issue(state: &State, repo: &Repository, found: &Pull) -> Value {
    let pull = pull(state, repo, found);
    let url = pull["issue_url"].as_str().unwrap_or_default().to_owned();
    let mut shown = Map::new();
    for field in [
        "id",
        "node_id",
        "number",
        "state",
        "locked",
        "active_lock_reason",
        "title",
        "user",
        "body",
        "labels",
        "milestone",
        "assignee",
        "assignees",
        "created_at",
        "updated_at",
        "closed_at",
        "html_url",
        "author_association",
        "draft",
    ] {
        shown.insert(field.to_owned(), pull[field].clone());
    }
    shown.extend(object(json!({
        "url": url, "repository_url": format!("{}/repos/{}", state.url, state.full_name(repo)),
        "labels_url": format!("{url}/labels{{/name}}"), "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"), "timeline_url": format!("{url}/timeline"), "state_reason": null,
        "comments": repo.comments.values().filter(|comment| comment.number == found.number).count(),
        "performed_via_github_app": null, "reactions": reactions(&url, &[]),
        "pull_request": {
            "url": pull["url"], "html_url": pull["html_url"], "diff_url": pull["diff_url"], "patch_url": pull["patch_url"],
            "merged_at": pull["merged_at"],
        },
    })));
    Value::Object(shown)
}

pub(crate) fn comment(state: &State, repo: &Repository, found: &Comment) -> Value {
    let name = state.full_name(repo);
    let url = format!("{}/repos/{name}/issues/comments/{}", state.url, found.id);
    let contents: Vec<_> = found.reactions.iter().map(|reaction| reaction.content.as_str()).collect();
    json!({
        "id": found.id, "node_id": node("IC", found.id), "url": url,
        "html_url": format!("{}/{name}/pull/{}#issuecomment-{}", state.url, found.number, found.id),
        "issue_url": format!("{}/repos/{name}/issues/{}", state.url, found.number), "body": found.body,
        "user": user(state, state.user(found.author)), "created_at": found.created_at, "updated_at": found.updated_at,
        "author_association": association(state, repo, found.author), "reactions": reactions(&url, &contents),
        "performed_via_github_app": found.app.map(|id| with(app(state), json!({"id": id}))),
    })
}

fn reactions(url: &str, contents: &[&str]) -> Value {
    let mut shown = object(json!({"url": format!("{url}/reactions"), "total_count": contents.len()}));
    for content in ["+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket"] {
        shown.insert(content.to_owned(), json!(contents.iter().filter(|given| **given == content).count()));
    }
    Value::Object(shown)
}

fn association(state: &State, repo: &Repository, user: u64) -> &'static str {
    use super::state::Permission;
    match state.permission(user, repo) {
        Permission::Admin => "OWNER",
        Permission::None | Permission::Read => "NONE",
        _ => "COLLABORATOR",
    }
}

pub(crate) fn app(state: &State) -> Value {
    let app = &state.app;
    json!({
        "id": app.id, "slug": app.slug, "node_id": node("A", app.id), "client_id": format!("Iv23{}", app.id),
        "owner": user(state, state.user(app.owner)), "name": app.slug, "description": null,
        "external_url": "https://example.org", "html_url": format!("{}/apps/{}", state.url, app.slug),
        "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z", "permissions": app.permissions,
        "events": app.events, "installations_count": 1,
    })
}

pub(crate) fn installation(state: &State, (id, owner): (u64, u64)) -> Value {
    let app = &state.app;
    let owner = state.user(owner);
    let suspended = app.is_suspended(id);
    // GitHub's contract wants the fields of an enterprise in every account.
    let enterprise = json!({
        "name": owner.login, "slug": owner.login, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
    });
    let account = with(user(state, owner), enterprise);
    let url = format!("{}/app/installations/{id}", state.url);
    json!({
        "id": id, "account": account, "access_tokens_url": format!("{url}/access_tokens"),
        "repositories_url": format!("{}/installation/repositories", state.url), "html_url": format!("{}/settings/installations/{id}", state.url),
        "app_id": app.id, "app_slug": app.slug, "target_id": owner.id, "target_type": "Organization",
        "permissions": app.granted(), "events": app.events, "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z", "single_file_name": null, "has_multiple_single_files": false,
        "single_file_paths": [], "repository_selection": "selected",
        "suspended_at": suspended.then_some("2020-01-02T00:00:00Z"),
        "suspended_by": suspended.then(|| user(state, state.user(app.owner))),
    })
}

pub(crate) fn delivery(state: &State, found: &Delivery) -> Value {
    json!({
        "id": found.id, "guid": found.guid, "delivered_at": found.delivered_at, "redelivery": found.redelivery,
        "duration": 0.1, "status": found.status(), "status_code": found.status_code, "event": found.event,
        "action": found.action, "installation_id": state.app.installation, "repository_id": found.repository,
        "throttled_at": null,
    })
}

pub(crate) fn full_delivery(state: &State, found: &Delivery) -> Value {
    with(
        delivery(state, found),
        json!({
            "url": state.hook.as_ref().map_or("", |hook| &hook.url),
            "request": {"headers": {"X-GitHub-Delivery": found.guid, "X-GitHub-Event": found.event}, "payload": found.payload},
            "response": {"headers": {}, "payload": found.answer},
        }),
    )
}

/// `shown` with the fields of `more`.
pub(crate) fn with(mut shown: Value, more: Value) -> Value {
    if let Value::Object(fields) = &mut shown {
        fields.extend(object(more));
    }
    shown
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

/// An id as GraphQL knows it.
pub(crate) fn node(kind: &str, id: u64) -> String {
    format!("{kind}_kwDO{id}")
}
