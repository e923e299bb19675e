//! What people do on GitHub's pages, and what they see there.

use serde_json::{Value, json};

use super::state::{Comment, Deployment, Pull, now};
use super::{GitHub, Opened, checks, deployments, git, hooks, shapes};

/// Pull requests.
impl GitHub {
    /// Opens a pull request and gives its number.
    pub(crate) fn open_pull(&self, repository: &str, opened: &Opened<'_>) -> u64 {
        self.with(|state| {
            let author = state.ensure_user(opened.author, "User");
            let (head, branch) = opened.head.split_once(':').unwrap_or((repository, opened.head));
            let (head, head_owner) = (state.named(head).id, state.named(head).owner);
            let of = |id: u64, branch: &str| {
                let found = git::commit_of(&state.repositories[&id].directory, &format!("refs/heads/{branch}"));
                found.unwrap_or_else(|| panic!("there is no branch {branch}"))
            };
            let base_repository = state.named(repository).id;
            let (head_sha, base_sha) = (of(head, branch), of(base_repository, opened.base));
            let id = state.fresh_id();
            let base = state.repositories.get_mut(&base_repository).expect("it was just found");
            let number = base.next_number;
            base.next_number += 1;
            let pull = Pull {
                id,
                number,
                title: opened.title.to_owned(),
                body: None,
                author,
                head_repository: Some(head),
                head_owner,
                head_branch: branch.to_owned(),
                head_sha,
                base_branch: opened.base.to_owned(),
                base_sha,
                draft: opened.draft,
                open: true,
                locked: false,
                merged_as: None,
                created_at: now(),
                updated_at: now(),
                closed_at: None,
            };
            base.pulls.insert(number, pull);
            hooks::keep_head(state, (base_repository, number));
            let fields = json!({"action": "opened"});
            hooks::tell_of_pull(&self.shared, state, (base_repository, number), author, fields);
            number
        })
    }

    /// Changes a pull request and tells of it under `action`.
    fn change_pull(&self, repository: &str, number: u64, action: &str, change: impl FnOnce(&mut Pull)) {
        self.with(|state| {
            let (id, sender) = (state.named(repository).id, state.named(repository).owner);
            let pull = state.named_mut(repository).pulls.get_mut(&number).expect("the pull request is there");
            change(pull);
            pull.updated_at = now();
            hooks::tell_of_pull(&self.shared, state, (id, number), sender, json!({"action": action}));
        });
    }

    pub(crate) fn close_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "closed", |pull| {
            pull.open = false;
            pull.closed_at = Some(now());
        });
    }

    pub(crate) fn reopen_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "reopened", |pull| {
            pull.open = true;
            pull.closed_at = None;
        });
    }

    /// Locks the conversation: only who may write can comment.
    pub(crate) fn lock_pull(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "locked", |pull| pull.locked = true);
    }

    /// Has a pull request ask for another branch.
    pub(crate) fn retarget_pull(&self, repository: &str, number: u64, base: &str) {
        let commit =
            self.with(|state| git::commit_of(&state.named(repository).directory, &format!("refs/heads/{base}")));
        let commit = commit.unwrap_or_else(|| panic!("there is no branch {base}"));
        self.change_pull(repository, number, "edited", |pull| {
            base.clone_into(&mut pull.base_branch);
            pull.base_sha = commit;
        });
    }

    pub(crate) fn mark_ready(&self, repository: &str, number: u64) {
        self.change_pull(repository, number, "ready_for_review", |pull| pull.draft = false);
    }

    /// Merges a pull request with a merge commit, which it gives.
    pub(crate) fn merge_pull(&self, repository: &str, number: u64) -> String {
        let (id, base, commit, change) = self.with(|state| {
            let repository = state.named(repository);
            let pull = &repository.pulls[&number];
            let directory = &repository.directory;
            let branch = format!("refs/heads/{}", pull.base_branch);
            let base = git::commit_of(directory, &branch).expect("the base is there");
            let tree = git::git(directory, &["merge-tree", "--write-tree", &base, &pull.head_sha]);
            let message = format!("Merge pull request #{number}");
            let parents = ["commit-tree", tree.trim(), "-p", &base, "-p", &pull.head_sha, "-m", &message];
            let commit = git::git(directory, &parents).trim().to_owned();
            git::git(directory, &["update-ref", &branch, &commit]);
            let change = git::Change { before: base, after: commit.clone(), reference: branch };
            (repository.id, repository.owner, commit, change)
        });
        self.change_pull(repository, number, "closed", |pull| {
            pull.open = false;
            pull.closed_at = Some(now());
            pull.merged_as = Some(commit.clone());
        });
        self.with(|state| hooks::pushed(&self.shared, state, id, base, &[change]));
        commit
    }
}

/// Conversations.
impl GitHub {
    /// Somebody writes a comment; gives its id.
    pub(crate) fn comment_as(&self, login: &str, repository: &str, number: u64, body: &str) -> u64 {
        self.with(|state| {
            let author = state.ensure_user(login, "User");
            let repository = state.named(repository).id;
            let said = hooks::Said { repository, number, author, app: None, body: body.to_owned() };
            hooks::comment(&self.shared, state, said)
        })
    }

    /// Another App writes a comment; gives its id.
    pub(crate) fn comment_by_other_app(&self, repository: &str, number: u64, body: &str) -> u64 {
        self.with(|state| {
            let author = state.ensure_user("other[bot]", "Bot");
            let (repository, app) = (state.named(repository).id, Some(state.app.id + 1));
            hooks::comment(&self.shared, state, hooks::Said { repository, number, author, app, body: body.to_owned() })
        })
    }

    /// Somebody changes a comment, perhaps somebody else's.
    pub(crate) fn edit_comment_as(&self, login: &str, repository: &str, comment: u64, body: &str) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let id = state.named(repository).id;
            hooks::edit(&self.shared, state, (id, comment), sender, body.to_owned());
        });
    }

    pub(crate) fn delete_comment_as(&self, login: &str, repository: &str, comment: u64) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let id = state.named(repository).id;
            hooks::delete(&self.shared, state, (id, comment), sender);
        });
    }

    /// The comments of a pull request, the oldest first.
    pub(crate) fn comments(&self, repository: &str, number: u64) -> Vec<Comment> {
        self.with(|state| {
            let comments = state.named(repository).comments.values();
            comments.filter(|comment| comment.number == number).cloned().collect()
        })
    }

    /// The comments of the App.
    pub(crate) fn app_comments(&self, repository: &str, number: u64) -> Vec<Comment> {
        self.comments(repository, number).into_iter().filter(|comment| comment.app.is_some()).collect()
    }

    /// The reactions to a comment.
    pub(crate) fn reactions(&self, repository: &str, comment: u64) -> Vec<String> {
        self.with(|state| {
            let given = &state.named(repository).comments[&comment].reactions;
            given.iter().map(|reaction| reaction.content.clone()).collect()
        })
    }
}

/// Checks, statuses and deployments.
impl GitHub {
    /// The check runs of a commit, as GitHub shows them, the oldest first.
    pub(crate) fn checks(&self, repository: &str, commit: &str) -> Vec<Value> {
        self.with(|state| {
            let checks = state.named(repository).checks.values().map(|check| check.shown.clone());
            checks.filter(|check| check["head_sha"] == commit).collect()
        })
    }

    /// The annotations of a check run.
    pub(crate) fn annotations(&self, repository: &str, check: u64) -> Vec<Value> {
        self.with(|state| state.named(repository).checks[&check].annotations.clone())
    }

    /// Somebody asks for a check again.
    pub(crate) fn rerequest(&self, login: &str, repository: &str, check: u64) {
        self.tell_of_check(login, repository, check, json!({"action": "rerequested"}));
    }

    /// Somebody asks for all checks of a commit again.
    pub(crate) fn rerequest_all(&self, login: &str, repository: &str, commit: &str) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let found = state.named(repository);
            let mut beside = found.checks.values().filter(|check| check.shown["head_sha"] == commit);
            let suite = beside.next_back().expect("there are checks to ask for").shown["check_suite"]["id"].clone();
            let (id, pulls) = (found.id, checks::pulls(state, found, commit));
            let suite = json!({
                "id": suite, "head_sha": commit, "status": "completed", "conclusion": "failure", "pull_requests": pulls,
            });
            let fields = json!({"action": "rerequested", "check_suite": suite});
            hooks::emit(&self.shared, state, "check_suite", id, sender, fields);
        });
    }

    /// Somebody presses one of the buttons of a check.
    pub(crate) fn press(&self, login: &str, repository: &str, check: u64, identifier: &str) {
        let fields = json!({"action": "requested_action", "requested_action": {"identifier": identifier}});
        self.tell_of_check(login, repository, check, fields);
    }

    fn tell_of_check(&self, login: &str, repository: &str, check: u64, fields: Value) {
        self.with(|state| {
            let sender = state.ensure_user(login, "User");
            let found = state.named(repository);
            let (id, shown) = (found.id, found.checks[&check].shown.clone());
            let fields = shapes::with(json!({"check_run": shown}), fields);
            hooks::emit(&self.shared, state, "check_run", id, sender, fields);
        });
    }

    /// The statuses of a commit, the newest first.
    pub(crate) fn statuses(&self, repository: &str, commit: &str) -> Vec<Value> {
        self.with(|state| checks::statuses_of(state.named(repository), commit))
    }

    /// Somebody's program says how a commit fares.
    pub(crate) fn say_of(&self, login: &str, repository: &str, commit: &str, status: &Value) {
        self.with(|state| {
            let at = (state.named(repository).id, state.ensure_user(login, "User"));
            checks::keep_status(state, at, commit, status);
        });
    }

    /// The deployments with their statuses, the oldest first.
    pub(crate) fn deployments(&self, repository: &str) -> Vec<(Value, Vec<Value>)> {
        let pair = |deployment: &Deployment| (deployment.shown.clone(), deployment.statuses.clone());
        self.with(|state| state.named(repository).deployments.values().map(pair).collect())
    }

    /// Somebody asks for a deployment; gives its id.
    pub(crate) fn deploy_as(&self, login: &str, repository: &str, reference: &str, fields: Value) -> u64 {
        self.deploy((login, "User"), None, (repository, reference), fields)
    }

    /// A workflow that somebody started asks for a deployment; gives its id.
    pub(crate) fn deploy_by_workflow_of(&self, login: &str, repository: &str, reference: &str, fields: Value) -> u64 {
        self.deploy(("github-actions[bot]", "Bot"), Some(login), (repository, reference), fields)
    }

    fn deploy(
        &self,
        (login, kind): (&str, &'static str),
        started_by: Option<&str>,
        (repository, reference): (&str, &str),
        fields: Value,
    ) -> u64 {
        self.with(|state| {
            let user = state.ensure_user(login, kind);
            let started_by = started_by.map(|login| state.ensure_user(login, "User"));
            let found = state.named(repository);
            let commit = git::commit_of(&found.directory, reference).expect("the reference is there");
            let (repository, reference) = (found.id, reference.to_owned());
            let asked = deployments::Asked { repository, user, started_by, reference, commit, fields };
            deployments::make(&self.shared, state, &asked)
        })
    }
}
