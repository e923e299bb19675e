//! What the fake knows: people, repositories, pull requests, the App and what it did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use serde_json::Value;

/// What somebody may do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Permission {
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// The coarse word of older days.
    pub(crate) fn legacy(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) login: String,
    /// `User`, `Bot` or `Organization`.
    pub(crate) kind: &'static str,
}

#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) owner: u64,
    pub(crate) name: String,
    /// `owner/name` of earlier days; GitHub redirects from them.
    pub(crate) former_names: Vec<String>,
    pub(crate) directory: PathBuf,
    pub(crate) default_branch: String,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    /// The repository that this one was forked from.
    pub(crate) parent: Option<u64>,
    /// The installation of the App that holds it.
    pub(crate) installation: Option<u64>,
    pub(crate) permissions: HashMap<u64, Permission>,
    pub(crate) pulls: BTreeMap<u64, Pull>,
    pub(crate) comments: BTreeMap<u64, Comment>,
    pub(crate) checks: BTreeMap<u64, Check>,
    pub(crate) statuses: Vec<Value>,
    pub(crate) deployments: BTreeMap<u64, Deployment>,
    pub(crate) next_number: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) author: u64,
    /// The repository of the head; `None` when it was deleted.
    pub(crate) head_repository: Option<u64>,
    pub(crate) head_owner: u64,
    pub(crate) head_branch: String,
    pub(crate) head_sha: String,
    pub(crate) base_branch: String,
    pub(crate) base_sha: String,
    pub(crate) draft: bool,
    pub(crate) open: bool,
    pub(crate) locked: bool,
    pub(crate) merged_as: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) closed_at: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) author: u64,
    /// The App that wrote it, if one did.
    pub(crate) app: Option<u64>,
    pub(crate) body: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    /// How often the body was changed.
    pub(crate) edits: u64,
    pub(crate) reactions: Vec<Reaction>,
}

#[derive(Debug, Clone)]
pub(crate) struct Reaction {
    pub(crate) id: u64,
    pub(crate) author: u64,
    pub(crate) content: String,
    pub(crate) created_at: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// As GitHub shows it.
    pub(crate) shown: Value,
    pub(crate) annotations: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) shown: Value,
    pub(crate) statuses: Vec<Value>,
}

/// One delivery, as the App's API tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) repository: Option<u64>,
    pub(crate) redelivery: bool,
    pub(crate) delivered_at: String,
    /// 0 when nobody answered.
    pub(crate) status_code: u16,
    pub(crate) payload: Value,
    pub(crate) answer: String,
}

impl Delivery {
    pub(crate) fn status(&self) -> &'static str {
        match self.status_code {
            200..300 => "OK",
            0 => "failed to connect to host",
            _ => "Invalid HTTP Response",
        }
    }
}

/// A credential that the fake gave out.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) holder: Holder,
    /// Seconds since 1970.
    pub(crate) expires: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) enum Holder {
    /// An installation: only these repositories where some are named, and these permissions.
    Installation {
        installation: u64,
        repositories: Option<Vec<u64>>,
        permissions: BTreeMap<String, String>,
    },
    User(u64),
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) slug: String,
    pub(crate) bot: u64,
    pub(crate) owner: u64,
    pub(crate) private_key: String,
    pub(crate) public_key: String,
    pub(crate) installation: u64,
    /// Installations in other accounts, with their owners.
    pub(crate) others: Vec<(u64, u64)>,
    pub(crate) permissions: BTreeMap<String, String>,
    /// What owners have not accepted yet of the permissions.
    pub(crate) withheld: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) suspended: bool,
    pub(crate) installed: bool,
    pub(crate) client_secret: String,
    /// Where people are sent back to who signed in.
    pub(crate) callbacks: Vec<String>,
}

impl App {
    /// What its installations may do.
    pub(crate) fn granted(&self) -> BTreeMap<String, String> {
        let accepted = self.permissions.iter().filter(|(name, _)| !self.withheld.contains(name));
        accepted.map(|(name, level)| (name.clone(), level.clone())).collect()
    }

    pub(crate) fn client_id(&self) -> String {
        format!("Iv23{}", self.id)
    }

    /// The installations that there are, with their owners.
    pub(crate) fn installations(&self) -> Vec<(u64, u64)> {
        let first = self.installed.then_some((self.installation, self.owner));
        first.into_iter().chain(self.others.iter().copied()).collect()
    }

    pub(crate) fn has(&self, installation: u64) -> bool {
        self.installations().iter().any(|(id, _)| *id == installation)
    }

    pub(crate) fn is_suspended(&self, installation: u64) -> bool {
        self.suspended && installation == self.installation
    }
}

/// A code that somebody's browser was sent back with.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) user: u64,
    pub(crate) back: String,
    /// The SHA-256 of the verifier, where one was told.
    pub(crate) challenge: Option<String>,
    /// Seconds since 1970.
    pub(crate) expires: i64,
}

/// How much an installation or user may still ask.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset: i64,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Where clients believe that GitHub is.
    pub(crate) url: String,
    pub(crate) directory: PathBuf,
    pub(crate) last_id: u64,
    pub(crate) users: Vec<User>,
    /// What somebody may do where nothing else is said.
    pub(crate) permissions: HashMap<u64, Permission>,
    pub(crate) repositories: BTreeMap<u64, Repository>,
    pub(crate) app: App,
    pub(crate) hook_secrets: BTreeSet<String>,
    pub(crate) manifests: HashMap<String, Value>,
    pub(crate) codes: HashMap<String, Code>,
    /// Who sits at the browser and is signed in on GitHub.
    pub(crate) visitor: Option<u64>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) minted: u64,
    /// How long do installation tokens live, in seconds?
    pub(crate) token_life: i64,
    pub(crate) deliveries: BTreeMap<u64, Delivery>,
    pub(crate) budgets: HashMap<String, Budget>,
    pub(crate) hook: Option<Hook>,
}

/// Where events go.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) url: String,
    pub(crate) secret: String,
}

impl State {
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn user(&self, id: u64) -> &User {
        self.users.iter().find(|user| user.id == id).expect("users stay")
    }

    pub(crate) fn user_named(&self, login: &str) -> Option<&User> {
        self.users.iter().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub(crate) fn ensure_user(&mut self, login: &str, kind: &'static str) -> u64 {
        if let Some(user) = self.user_named(login) {
            return user.id;
        }
        let id = self.fresh_id();
        self.users.push(User { id, login: login.to_owned(), kind });
        id
    }

    /// The account that GitHub shows in the place of those that were deleted.
    pub(crate) fn ghost(&mut self) -> u64 {
        const GHOST: u64 = 10_137;
        if self.user_named("ghost").is_none() {
            self.users.push(User { id: GHOST, login: "ghost".to_owned(), kind: "User" });
        }
        GHOST
    }

    pub(crate) fn full_name(&self, repository: &Repository) -> String {
        format!("{}/{}", self.user(repository.owner).login, repository.name)
    }

    /// The repository of that `owner/name`.
    pub(crate) fn find(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.values().find(|repository| self.full_name(repository).eq_ignore_ascii_case(full_name))
    }

    /// The repository that a test named.
    #[track_caller]
    pub(crate) fn named(&self, full_name: &str) -> &Repository {
        self.find(full_name).unwrap_or_else(|| panic!("there is no repository {full_name}"))
    }

    #[track_caller]
    pub(crate) fn named_mut(&mut self, full_name: &str) -> &mut Repository {
        let id = self.named(full_name).id;
        self.repositories.get_mut(&id).expect("it was just found")
    }

    pub(crate) fn permission(&self, user: u64, repository: &Repository) -> Permission {
        if repository.owner == user {
            return Permission::Admin;
        }
        let given = repository.permissions.get(&user).or_else(|| self.permissions.get(&user));
        let floor = if repository.private { Permission::None } else { Permission::Read };
        given.copied().unwrap_or(floor).max(floor)
    }
}

/// Now, as GitHub writes it.
pub(crate) fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now, in seconds since 1970.
pub(crate) fn seconds() -> i64 {
    chrono::Utc::now().timestamp()
}
