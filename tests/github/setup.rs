//! What a test sets up: people, repositories, and what the App may do.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::state::{Holder, Permission, Repository, State, Token};
use super::{GitHub, git, hooks, shapes};

/// People and repositories.
impl GitHub {
    /// Makes somebody who has `permission` everywhere, and gives the id.
    pub(crate) fn user(&self, login: &str, permission: Permission) -> u64 {
        self.with(|state| {
            let id = state.ensure_user(login, "User");
            state.permissions.insert(id, permission);
            id
        })
    }

    /// Makes an account of a program, which has `permission` everywhere.
    pub(crate) fn bot(&self, login: &str, permission: Permission) {
        self.with(|state| {
            let id = state.ensure_user(login, "Bot");
            state.permissions.insert(id, permission);
        });
    }

    /// Says what somebody may do with one repository.
    pub(crate) fn permit(&self, repository: &str, login: &str, permission: Permission) {
        self.with(|state| {
            let user = state.ensure_user(login, "User");
            state.named_mut(repository).permissions.insert(user, permission);
        });
    }

    /// Gives a login to another account, as happens after a deletion. Gives the new id.
    pub(crate) fn reuse_login(&self, login: &str) -> u64 {
        self.with(|state| {
            let old = state.user_named(login).unwrap_or_else(|| panic!("there is no {login}")).id;
            let ghost = format!("ghost-{old}");
            state.users.iter_mut().filter(|user| user.id == old).for_each(|user| user.login.clone_from(&ghost));
            state.ensure_user(login, "User")
        })
    }

    /// Deletes an account: what it wrote is a ghost's from now on, and its login is free.
    pub(crate) fn delete_account(&self, login: &str) {
        self.with(|state| {
            let old = state.user_named(login).unwrap_or_else(|| panic!("there is no {login}")).id;
            let ghost = state.ghost();
            state.users.retain(|user| user.id != old);
            state.permissions.remove(&old);
            state.tokens.retain(|_, token| !matches!(token.holder, Holder::User(id) if id == old));
            for repository in state.repositories.values_mut() {
                repository.permissions.remove(&old);
                repository.pulls.values_mut().filter(|pull| pull.author == old).for_each(|pull| pull.author = ghost);
                repository.comments.values_mut().filter(|it| it.author == old).for_each(|it| it.author = ghost);
            }
        });
    }

    /// A token of somebody's own.
    pub(crate) fn token_of(&self, login: &str) -> String {
        let token = format!("ghp_{}", uuid::Uuid::new_v4().simple());
        self.with(|state| {
            let id = state.ensure_user(login, "User");
            state.tokens.insert(token.clone(), Token { holder: Holder::User(id), expires: None });
        });
        token
    }

    /// Makes an empty public repository that the App is installed in, and gives its id.
    pub(crate) fn repository(&self, full_name: &str) -> u64 {
        self.with(|state| {
            let id = new_repository(state, full_name, None);
            git::make(&state.repositories[&id].directory, self.front.port(), id);
            id
        })
    }

    /// Makes a fork, which the App knows nothing of, and gives its id.
    pub(crate) fn fork(&self, of: &str, full_name: &str) -> u64 {
        self.with(|state| {
            let (parent, from) = (state.named(of).id, state.named(of).directory.clone());
            let id = new_repository(state, full_name, Some(parent));
            git::fork(&from, &state.repositories[&id].directory, self.front.port(), id);
            id
        })
    }

    /// The repository on disk; git can push to it and fetch from it.
    pub(crate) fn directory(&self, repository: &str) -> PathBuf {
        self.with(|state| state.named(repository).directory.clone())
    }

    /// The repository for git over HTTP.
    pub(crate) fn clone_url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.url())
    }

    pub(crate) fn set_private(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).private = true);
        self.tell_of_repository(repository, json!({"action": "privatized"}));
    }

    pub(crate) fn archive(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).archived = true);
        self.tell_of_repository(repository, json!({"action": "archived"}));
    }

    /// Renames or transfers a repository; the old name redirects.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let changes = self.with(|state| {
            let (owner, name) = to.split_once('/').expect("a name is `owner/name`");
            let owner = state.ensure_user(owner, "Organization");
            let repository = state.named_mut(from);
            let former = std::mem::replace(&mut repository.name, name.to_owned());
            repository.former_names.push(from.to_owned());
            let same_owner = std::mem::replace(&mut repository.owner, owner) == owner;
            if same_owner {
                json!({"action": "renamed", "changes": {"repository": {"name": {"from": former}}}})
            } else {
                json!({"action": "transferred", "changes": {"owner": {"from": {}}}})
            }
        });
        self.tell_of_repository(to, changes);
    }

    /// Transfers a repository to another account, in which the App is installed, too.
    pub(crate) fn transfer(&self, from: &str, to: &str) {
        self.with(|state| {
            let (owner, _) = to.split_once('/').expect("a name is `owner/name`");
            let (owner, installation) = (state.ensure_user(owner, "Organization"), state.fresh_id());
            state.app.others.push((installation, owner));
            state.named_mut(from).installation = Some(installation);
        });
        self.rename(from, to);
    }

    /// Deletes a repository; pull requests from it lose their head's.
    pub(crate) fn delete_repository(&self, full_name: &str) {
        self.with(|state| {
            let id = state.named(full_name).id;
            state.repositories.remove(&id);
            for pull in state.repositories.values_mut().flat_map(|repository| repository.pulls.values_mut()) {
                if pull.head_repository == Some(id) {
                    pull.head_repository = None;
                }
            }
        });
    }

    fn tell_of_repository(&self, full_name: &str, fields: Value) {
        self.with(|state| {
            let (id, owner) = (state.named(full_name).id, state.named(full_name).owner);
            hooks::emit(&self.shared, state, "repository", id, owner, fields);
        });
    }
}

/// The App and its installation.
impl GitHub {
    /// The App's id.
    pub(crate) fn app_id(&self) -> u64 {
        self.with(|state| state.app.id)
    }

    /// The App's private key, as PEM.
    pub(crate) fn private_key(&self) -> String {
        self.with(|state| state.app.private_key.clone())
    }

    pub(crate) fn installation_id(&self) -> u64 {
        self.with(|state| state.app.installation)
    }

    /// By what the App signs people in: its client id and the secret.
    pub(crate) fn client(&self) -> (String, String) {
        self.with(|state| (state.app.client_id(), state.app.client_secret.clone()))
    }

    /// Says where people are sent back to who signed in, as the App's owner does.
    pub(crate) fn call_back_to(&self, url: &str) {
        self.with(|state| state.app.callbacks = vec![url.to_owned()]);
    }

    /// Somebody sits down at the browser, signed in on GitHub.
    pub(crate) fn visit_as(&self, login: &str) {
        self.with(|state| state.visitor = Some(state.ensure_user(login, "User")));
    }

    /// A token of an App that somebody let into the repository with these permissions.
    pub(crate) fn token_of_app(&self, repository: &str, permissions: &[(&str, &str)]) -> String {
        let token = format!("ghs_{}", uuid::Uuid::new_v4().simple());
        let permissions = permissions.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect();
        self.with(|state| {
            let found = state.named(repository);
            let installation = found.installation.expect("the App is installed there");
            let holder = Holder::Installation { installation, repositories: Some(vec![found.id]), permissions };
            state.tokens.insert(token.clone(), Token { holder, expires: None });
        });
        token
    }

    /// Every token of people's that signing in has made.
    pub(crate) fn tokens_of_people(&self) -> Vec<String> {
        self.with(|state| state.tokens.keys().filter(|token| token.starts_with("ghu_")).cloned().collect())
    }

    /// Changes what the App may do: `read`, `write`, or nothing at all.
    pub(crate) fn set_app_permission(&self, name: &str, level: Option<&str>) {
        self.with(|state| match level {
            Some(level) => state.app.permissions.insert(name.to_owned(), level.to_owned()),
            None => state.app.permissions.remove(name),
        });
    }

    /// The App asks for a permission that owners have not accepted yet.
    pub(crate) fn withhold(&self, permission: &str) {
        self.with(|state| state.app.withheld.push(permission.to_owned()));
    }

    /// The App is told of an event no longer.
    pub(crate) fn unsubscribe_app(&self, event: &str) {
        self.with(|state| state.app.events.retain(|on| on != event));
    }

    /// How long the tokens live that are minted from now on.
    pub(crate) fn set_token_life(&self, seconds: i64) {
        self.with(|state| state.token_life = seconds);
    }

    /// Ends every token that was minted.
    pub(crate) fn expire_tokens(&self) {
        self.with(|state| {
            for token in state.tokens.values_mut().filter(|token| token.expires.is_some()) {
                token.expires = Some(0);
            }
        });
    }

    /// Suspends the installation.
    pub(crate) fn suspend(&self) {
        self.tell_of_installation("suspend");
        self.with(|state| state.app.suspended = true);
    }

    pub(crate) fn unsuspend(&self) {
        self.with(|state| state.app.suspended = false);
        self.tell_of_installation("unsuspend");
    }

    /// Installs the App anew, with what it was installed in before: under another number, as on GitHub.
    pub(crate) fn install(&self) {
        self.with(|state| {
            let id = state.fresh_id();
            let old = std::mem::replace(&mut state.app.installation, id);
            let held = state.repositories.values_mut().filter(|repository| repository.installation == Some(old));
            held.for_each(|repository| repository.installation = Some(id));
            state.app.installed = true;
        });
        self.tell_of_installation("created");
    }

    /// Removes the installation altogether.
    pub(crate) fn uninstall(&self) {
        self.tell_of_installation("deleted");
        self.with(|state| state.app.installed = false);
    }

    fn tell_of_installation(&self, action: &str) {
        self.with(|state| {
            let first = Some(state.app.installation);
            let rows = state.repositories.values().filter(|repository| repository.installation == first);
            let rows: Vec<_> = rows.map(|repository| short_repository(state, repository)).collect();
            let owner = state.app.owner;
            let fields = json!({"action": action, "repositories": rows});
            hooks::emit_to_app(&self.shared, state, "installation", owner, fields);
        });
    }

    /// Adds a repository to the installation.
    pub(crate) fn install_in(&self, repository: &str) {
        self.with(|state| {
            let first = state.app.installation;
            state.named_mut(repository).installation = Some(first);
        });
        self.tell_of_repositories("added", repository);
    }

    /// Takes a repository out of the installation.
    pub(crate) fn uninstall_from(&self, repository: &str) {
        self.with(|state| state.named_mut(repository).installation = None);
        self.tell_of_repositories("removed", repository);
    }

    fn tell_of_repositories(&self, action: &str, repository: &str) {
        self.with(|state| {
            let row = json!([short_repository(state, state.named(repository))]);
            let none = json!([]);
            let (added, removed) = if action == "added" { (row, none) } else { (none, row) };
            let owner = state.app.owner;
            let fields = json!({
                "action": action, "repositories_added": added, "repositories_removed": removed,
                "repository_selection": "selected", "requester": null,
            });
            hooks::emit_to_app(&self.shared, state, "installation_repositories", owner, fields);
        });
    }

    /// What a person does in the manifest flow; the code is good once.
    pub(crate) fn submit_manifest(&self, manifest: Value) -> String {
        let code = uuid::Uuid::new_v4().simple().to_string();
        self.with(|state| state.manifests.insert(code.clone(), manifest));
        code
    }
}

fn short_repository(state: &State, repository: &Repository) -> Value {
    json!({
        "id": repository.id, "node_id": shapes::node("R", repository.id), "name": repository.name,
        "full_name": state.full_name(repository), "private": repository.private,
    })
}

fn new_repository(state: &mut State, full_name: &str, parent: Option<u64>) -> u64 {
    assert!(state.find(full_name).is_none(), "{full_name} is there already");
    let (owner, name) = full_name.split_once('/').expect("a name is `owner/name`");
    let owner = state.ensure_user(owner, if parent.is_some() { "User" } else { "Organization" });
    let id = state.fresh_id();
    let repository = Repository {
        id,
        owner,
        name: name.to_owned(),
        former_names: Vec::new(),
        directory: state.directory.join(format!("{id}.git")),
        default_branch: "main".to_owned(),
        private: false,
        archived: false,
        parent,
        installation: parent.is_none().then_some(state.app.installation),
        permissions: HashMap::new(),
        pulls: BTreeMap::new(),
        comments: BTreeMap::new(),
        checks: BTreeMap::new(),
        statuses: Vec::new(),
        deployments: BTreeMap::new(),
        next_number: 1,
    };
    state.repositories.insert(id, repository);
    id
}
