//! GitHub, as an App or with a token.
//!
//! Nothing is posted twice: a comment is looked for before it is written, by our marker and among our own comments
//! only, so an answer that was lost costs one more look. What is known of a repository comes from its git, fetched into
//! a mirror of our own; the API tells what git does not know: pull requests, people, comments.

mod answers;
mod checks;
mod client;
mod comments;
mod deliveries;
pub mod deployments;
pub mod manifest;
mod reach;
pub mod signin;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use self::answers::{Account, Installation, OwnApp, PermissionAnswer, Pull, RepositoryAnswer};
use self::client::{Client, is_gone};
use self::reach::Held;
use self::signin::SignInApp;
use self::tokens::{Holder, Token, Tokens};
use super::{ForgeError, References, Repositories};
use crate::domain::forge::{Permission, PullSnapshot, User};
use crate::domain::ids::{CommitSha, InvalidId, PullRef, Repository, Time};
use crate::edge::source::Source;
use crate::edge::source::remote::{FetchError, Remotes};
use crate::runner::supervise::Stop;

pub use self::tokens::{Login, PERMISSIONS};

type Result<T> = std::result::Result<T, ForgeError>;

/// How many things one page of a list has.
const PAGE: usize = 100;

/// The events that a delivery is asked for again for.
const EVENTS: &[&str] = &["push", "pull_request", "issue_comment", "check_run", "check_suite", "deployment"];

/// How GitHub is reached.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The API's address, such as `https://api.github.com`.
    pub api: String,
    /// Where repositories are fetched from: `https://github.com`.
    pub git: String,
    /// Who we are.
    pub login: Login,
    /// Repositories that count, by number; empty for all that the App is installed in.
    pub repositories: Vec<i64>,
    /// The directory of mirrors.
    pub mirrors: PathBuf,
    /// How long between two requests that write; GitHub asks for a second.
    pub between_writes: Option<Duration>,
    /// By what people sign in; none where nobody can.
    pub sign_in: Option<SignInApp>,
}

/// GitHub.
#[derive(Debug)]
pub struct GitHub {
    settings: GitHubSettings,
    client: Client,
    tokens: Tokens,
    remotes: Arc<Remotes>,
    /// What people are asked about with their own tokens.
    people: reqwest::Client,
    /// Which installation of the App holds a repository, both by number.
    holders: Mutex<HashMap<i64, i64>>,
    /// The numbers of our comments, by pull request and marker.
    written: Mutex<HashMap<(PullRef, String), i64>>,
    /// Which deliveries were asked for again, and when.
    asked: Mutex<HashMap<String, Instant>>,
    /// Up to when, by GitHub's clock, no delivery is lost.
    arrived_until: Mutex<Option<Time>>,
    /// Our own account's number, when we have a token.
    own_account: tokio::sync::OnceCell<i64>,
}

impl GitHub {
    /// Gets ready to talk to GitHub. `remotes` fetches its repositories.
    ///
    /// # Errors
    /// When an address makes no sense.
    pub fn new(settings: GitHubSettings, remotes: Arc<Remotes>) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(&settings.api, settings.between_writes)?,
            tokens: Tokens::new(settings.login.clone()),
            remotes,
            people: signin::client()?,
            holders: Mutex::default(),
            written: Mutex::default(),
            asked: Mutex::default(),
            arrived_until: Mutex::default(),
            own_account: tokio::sync::OnceCell::new(),
            settings,
        })
    }

    /// How many requests GitHub still takes in this hour, as it said last, by what it counts them for; of all
    /// installations, what is left to the one with least.
    #[must_use]
    pub fn budgets_left(&self) -> BTreeMap<CountedFor, u64> {
        let mut least = BTreeMap::new();
        for (holder, left) in self.client.remaining() {
            let counted = match holder {
                Holder::App => CountedFor::App,
                Holder::Installation(_) => CountedFor::Installation,
                Holder::Account => CountedFor::Account,
            };
            let known = least.entry(counted).or_insert(left);
            *known = left.min(*known);
        }
        least
    }

    /// How many requests about this repository GitHub still takes in this hour, as it said last.
    #[must_use]
    pub fn budget_left(&self, repository: &Repository) -> Option<u64> {
        let holder = match self.tokens.given() {
            Some(_) => Holder::Account,
            None => Holder::Installation(self.holder(repository)?),
        };
        self.client.remaining().remove(&holder)
    }

    /// Every repository that we work for.
    ///
    /// # Errors
    /// When GitHub does not answer at all.
    pub async fn repositories(&self) -> Result<Repositories> {
        let Held { repositories: answers, missed } = self.held().await?;
        let listed = &self.settings.repositories;
        let mut repositories = Vec::new();
        for answer in answers {
            let wanted = listed.is_empty() || listed.contains(&answer.id);
            // Nothing can be written to an archived one, not even a comment.
            if !wanted || answer.archived || answer.disabled {
                continue;
            }
            match answer.repository() {
                Ok(repository) => repositories.push(repository),
                Err(error) => tracing::warn!(error = %error, "a repository is left out"),
            }
        }
        repositories.sort_unstable();
        Ok(Repositories { found: repositories, missed })
    }

    /// The mirror of the repository. It is found by number, so a rename keeps it.
    #[must_use]
    pub fn git_dir(&self, repository: &Repository) -> PathBuf {
        self.settings.mirrors.join(format!("{}.git", repository.id))
    }

    /// Brings the mirror to what the repository is now.
    ///
    /// # Errors
    /// [`ForgeError::Here`] when git fails by itself; else as whatever is asked of GitHub.
    pub async fn fetch(&self, repository: &Repository) -> Result<References> {
        let now: RepositoryAnswer = self.get(repository, "").await?;
        let default_branch = now.default_branch.clone().unwrap_or_else(|| "main".to_owned());
        let token = self.reach(repository).await?.token;
        let head_branch = default_branch.clone();
        let url = format!("{}/{}.git", self.settings.git.trim_end_matches('/'), now.full_name);
        let (git_dir, remotes) = (self.git_dir(repository), Arc::clone(&self.remotes));
        let fetched = tokio::task::spawn_blocking(move || {
            let stop = Stop::new().map_err(|error| FetchError::Internal(error.into()))?;
            remotes.mirror(&url, &git_dir, Some(&credentials(&token)), &stop)?;
            references(&git_dir, &head_branch).map_err(FetchError::Internal)
        });
        let fetched = fetched.await.context("fetching panicked").map_err(FetchError::Internal);
        let heads = fetched.and_then(|fetched| fetched).map_err(|error| not_fetched(error, repository))?;
        Ok(References { heads, default_branch })
    }

    /// The pull request as it is now.
    ///
    /// # Errors
    /// [`ForgeError::Missing`] when there is none.
    pub async fn pull(&self, pull: &PullRef) -> Result<PullSnapshot> {
        let found: Pull = self.get(&pull.repository, &format!("/pulls/{}", pull.number)).await?;
        found.snapshot(&pull.repository).map_err(strange)
    }

    /// The open pull requests, and of the others the hundred that changed last, oldest first.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn pulls(&self, repository: &Repository) -> Result<Vec<PullSnapshot>> {
        let mut found: Vec<Pull> = self.all(repository, "/pulls?state=open").await?;
        let newest = format!("/pulls?state=closed&sort=updated&direction=desc&per_page={PAGE}");
        found.extend(self.get::<Vec<Pull>>(repository, &newest).await?);
        let mut pulls = BTreeMap::new();
        for pull in found {
            let snapshot = pull.snapshot(repository).map_err(strange)?;
            pulls.insert(snapshot.pull.number, snapshot);
        }
        Ok(pulls.into_values().collect())
    }

    /// What the account with `user`'s number may do in the repository, now.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn permission(&self, repository: &Repository, user: &User) -> Result<Permission> {
        // The route takes a name, and a name can change hands: it is asked for by number first, and looked at after.
        let reach = self.reach(repository).await?;
        let route = format!("/user/{}", user.id);
        let account: Account = match self.client.get(&reach.token, &route).await {
            Err(error) if is_gone(&error) => return Ok(Permission::None),
            answer => answer?.json(&route)?,
        };
        let route = format!("/collaborators/{}/permission", account.login);
        let answer: PermissionAnswer = match self.get(repository, &route).await {
            Err(error) if is_gone(&error) => return Ok(Permission::None),
            answer => answer?,
        };
        if answer.user.is_none_or(|found| found.id != user.id) {
            return Ok(Permission::None);
        }
        // The older names, of which GitHub maps `maintain` to `write` and `triage` to `read`.
        Ok(match answer.permission.as_str() {
            "admin" => Permission::Admin,
            "write" => Permission::Write,
            "read" => Permission::Read,
            _ => Permission::None,
        })
    }

    /// Asks GitHub something that it always answers us; unless it changed, that costs nothing of any limit.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn answers(&self) -> Result<()> {
        match self.tokens.given() {
            Some(token) => self.client.get(token, "/user").await,
            None => self.client.get(&*self.tokens.app()?, "/app").await,
        }
        .map(drop)
    }

    /// Who we are on GitHub, and what we lack there. For whoever sets this instance up.
    ///
    /// # Errors
    /// When GitHub does not answer or does not know us.
    pub async fn standing(&self) -> Result<Standing> {
        if let Some(token) = self.tokens.given() {
            let account: Account = self.client.get(token, "/user").await?.json("/user")?;
            return Ok(Standing { name: account.login, lacks: None });
        }
        let app = self.tokens.app()?;
        let own: OwnApp = self.client.get(&app, "/app").await?.json("/app")?;
        let permissions = not_among(&own.permissions);
        let mut withheld = Vec::new();
        for Installation { id, permissions: granted, account, .. } in self.installations().await? {
            let absent: Vec<_> = not_among(&granted).into_iter().filter(|name| !permissions.contains(name)).collect();
            let owner = account.map_or_else(|| format!("installation {id}"), |account| account.login);
            withheld.extend((!absent.is_empty()).then(|| format!("{owner} ({})", absent.join(", "))));
        }
        let events = EVENTS.iter().filter(|event| !own.events.iter().any(|heard| heard == *event));
        let events = events.map(|event| (*event).to_owned()).collect();
        let lacks = Lacks { permissions, events, withheld };
        Ok(Standing { name: own.slug.unwrap_or(own.name), lacks: Some(lacks) })
    }
}

/// For what GitHub counts requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountedFor {
    /// The App, as long as it asks for itself.
    App,
    /// An installation of the App.
    Installation,
    /// The account of a token.
    Account,
}

impl CountedFor {
    /// Its name, for numbers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Installation => "installation",
            Self::Account => "account",
        }
    }
}

/// Who we are on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The App's or the account's name.
    pub name: String,
    /// What the App lacks. GitHub does not tell what a token may do, nor of whose webhooks it is.
    pub lacks: Option<Lacks>,
}

/// What the App needs and was not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacks {
    /// Permissions that it does not ask for, as `issues: write`.
    pub permissions: Vec<String>,
    /// Events that it is not told of.
    pub events: Vec<String>,
    /// Owners who installed it and did not accept yet what it asks for, with what that is, as `urban (issues: write)`.
    pub withheld: Vec<String>,
}

/// Which of the permissions that we need are not among these.
fn not_among(granted: &HashMap<String, String>) -> Vec<String> {
    let lacks = |(name, level): &&(&str, &str)| {
        let granted = granted.get(*name).map(String::as_str);
        !(granted == Some(*level) || granted == Some("admin") || (*level == "read" && granted == Some("write")))
    };
    PERMISSIONS.iter().filter(lacks).map(|(name, level)| format!("{name}: {level}")).collect()
}

impl GitHub {
    /// What a token has to be allowed in each repository, as `issues: write`: it sets commit statuses where an App has
    /// checks.
    pub const TOKEN_PERMISSIONS: &[&str] =
        &["contents: read", "issues: write", "pull requests: write", "commit statuses: write", "deployments: write"];

    /// Of what the webhook of a repository tells where there is no App. GitHub tells Apps alone of buttons on checks.
    pub const WEBHOOK_EVENTS: &[&str] = &["push", "pull_request", "issue_comment", "deployment"];
}

/// Where branches and tags of a mirror point; its head is `head_branch` from now on.
fn references(git_dir: &Path, head_branch: &str) -> anyhow::Result<BTreeMap<String, CommitSha>> {
    let source = Source::open(git_dir)?;
    // What the policy says is read from there.
    source.set_head_branch(head_branch)?;
    let branches = source.branches()?.into_iter().map(|(name, commit)| (format!("refs/heads/{name}"), commit));
    let tags = source.tags()?.into_iter().map(|(name, commit)| (format!("refs/tags/{name}"), commit));
    Ok(branches.chain(tags).collect())
}

/// Only what never got there waits for GitHub.
fn not_fetched(error: FetchError, repository: &Repository) -> ForgeError {
    let is_away = matches!(error, FetchError::OutOfReach(_));
    let error = anyhow::Error::new(error).context(format!("cannot fetch `{}`", repository.name));
    if is_away { ForgeError::Later(error) } else { ForgeError::Here(error) }
}

/// What `git` says of us to GitHub, as a header.
fn credentials(token: &Token) -> SecretString {
    let login = BASE64_STANDARD.encode(format!("x-access-token:{}", token.secret.expose_secret()));
    SecretString::from(format!("Authorization: Basic {login}"))
}

fn strange(error: InvalidId) -> ForgeError {
    ForgeError::Never(anyhow::Error::new(error).context("GitHub names something as nothing is named here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RepositoryName;

    #[test]
    fn only_a_fetch_that_never_got_there_waits_for_github() {
        let repository = Repository { id: 7, name: RepositoryName::new("urban", "hub").unwrap() };
        let fault = |error| not_fetched(error, &repository);
        assert!(matches!(fault(FetchError::OutOfReach("no route".to_owned())), ForgeError::Later(_)));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let here = [
            FetchError::Refused("fsck error in packed object".to_owned()),
            FetchError::Internal(anyhow::Error::new(full).context("git failed")),
            FetchError::Stopped,
        ];
        for error in here {
            let error = fault(error);
            assert!(matches!(error, ForgeError::Here(_)), "{error:?}");
            assert!(format!("{error:#}").starts_with("cannot fetch `urban/hub`: "), "{error:#}");
        }
    }
}
