//! GitHub, as an App or with a token.
//!
//! Nothing is posted twice: a comment is looked for before it is written, by our marker and among our own comments
//! only, so an answer that was lost costs one more look. What is known of a repository comes from its git, fetched into
//! a mirror of our own; the API tells what git does not know: pull requests, people, comments.

mod answers;
mod client;
pub mod manifest;
mod tokens;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use self::answers::{
    Account, Attempt, CommentAnswer, Installation, InstallationRepositories, NewComment, OwnApp, PermissionAnswer,
    Pull, RepositoryAnswer, nobody,
};
use self::client::{Answer, Client, is_gone, status_of};
use self::tokens::Tokens;
use super::{Comment, ForgeError, References, Status};
use crate::domain::forge::{CommentRef, CommitState, Permission, PullSnapshot, User};
use crate::domain::ids::{CommitSha, InvalidId, PullRef, Repository};
use crate::edge::source::Source;
use crate::edge::source::remote::Remotes;
use crate::runner::supervise::Stop;

pub use self::tokens::{Login, PERMISSIONS};

type Result<T> = std::result::Result<T, ForgeError>;

/// Most bytes of a comment. GitHub's limit is 65,536 characters, or that many times four bytes: nobody says which.
/// Source: <https://github.com/NejcZdovc/comment-pr/issues/11>
const MOST_BYTES: usize = 65_000;

/// Longest description of a status, in characters.
const MOST_DESCRIPTION: usize = 140;

/// How many things one page of a list has.
const PAGE: usize = 100;

/// Most pages of a list that are read.
const MOST_PAGES: usize = 100;

/// The events that a delivery is asked for again for.
const EVENTS: &[&str] = &["push", "pull_request", "issue_comment"];

/// How long until a delivery is asked for once more.
const ASKED_EVERY: Duration = Duration::from_secs(10 * 60);

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
}

/// GitHub.
#[derive(Debug)]
pub struct GitHub {
    settings: GitHubSettings,
    client: Client,
    tokens: Tokens,
    remotes: Arc<Remotes>,
    /// How repositories are reached, by number.
    holders: Mutex<HashMap<i64, Holder>>,
    /// Our comments, by pull request and marker: where they are and what they say.
    written: Mutex<HashMap<(PullRef, String), Written>>,
    /// Which deliveries were asked for again, and when.
    asked: Mutex<HashMap<String, Instant>>,
    /// Our own account's number, when we have a token.
    own_account: tokio::sync::OnceCell<i64>,
}

/// How a repository is reached.
#[derive(Debug, Clone)]
struct Holder {
    /// The App's installation that holds it; none with a token.
    installation: Option<i64>,
    /// What it is called now.
    name: String,
}

#[derive(Debug, Clone)]
struct Written {
    id: i64,
    body: String,
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
            holders: Mutex::default(),
            written: Mutex::default(),
            asked: Mutex::default(),
            own_account: tokio::sync::OnceCell::new(),
            settings,
        })
    }

    /// How many requests GitHub still takes in this hour, as it said last.
    #[must_use]
    pub fn budget_left(&self) -> Option<u64> {
        self.client.remaining()
    }

    /// Every repository that we work for.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn repositories(&self) -> Result<Vec<Repository>> {
        let answers = self.held().await?;
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
        Ok(repositories)
    }

    /// What we can reach: what all installations of the App hold, or what the token's owner may work on.
    async fn held(&self) -> Result<Vec<RepositoryAnswer>> {
        if let Login::Token(token) = self.tokens.login() {
            let all = self.pages(token, "/user/repos", |answer, route| answer.json(route)).await?;
            self.note_holders(None, &all);
            return Ok(all);
        }
        let app = self.tokens.app()?;
        let installations: Vec<Installation> =
            self.pages(&app, "/app/installations", |answer, route| answer.json(route)).await?;
        let mut all: Vec<RepositoryAnswer> = Vec::new();
        for installation in installations.into_iter().filter(|installation| installation.suspended_at.is_none()) {
            let token = self.tokens.installation(&self.client, installation.id).await?;
            let list = |answer: &Answer, route: &str| {
                answer.json::<InstallationRepositories>(route).map(|list| list.repositories)
            };
            let held = self.pages(&token, "/installation/repositories", list).await?;
            self.note_holders(Some(installation.id), &held);
            all.extend(held);
        }
        Ok(all)
    }

    fn note_holders(&self, installation: Option<i64>, held: &[RepositoryAnswer]) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        for repository in held {
            holders.insert(repository.id, Holder { installation, name: repository.full_name.clone() });
        }
    }

    /// How the repository is reached.
    async fn reach(&self, repository: &Repository) -> Result<Reach> {
        let known =
            |github: &Self| github.holders.lock().unwrap_or_else(PoisonError::into_inner).get(&repository.id).cloned();
        let holder = match known(self) {
            Some(holder) => holder,
            None => {
                self.held().await?;
                known(self).ok_or_else(|| {
                    ForgeError::Never(anyhow!(
                        "`{}` (number {}) is out of reach: the GitHub App is not installed there, its installation is \
                         suspended, or the token's owner may not work on it",
                        repository.name,
                        repository.id
                    ))
                })?
            }
        };
        let token = match (self.tokens.login(), holder.installation) {
            (Login::Token(token), _) => Arc::new(token.clone()),
            (Login::App { .. }, installation) => {
                self.tokens.installation(&self.client, installation.unwrap_or_default()).await?
            }
        };
        Ok(Reach { token, base: format!("/repos/{}", holder.name) })
    }

    /// Forgets how the repository was reached when GitHub does not know it, or us, by that any more.
    fn learn(&self, repository: &Repository, error: &ForgeError) {
        if !status_of(error).is_some_and(means_lost) {
            return;
        }
        let holder = self.holders.lock().unwrap_or_else(PoisonError::into_inner).remove(&repository.id);
        if let Some(installation) = holder.and_then(|holder| holder.installation) {
            self.tokens.forget(installation);
        }
    }

    /// Asks for something of a repository's; `route` is what follows its name.
    async fn get<T: DeserializeOwned>(&self, repository: &Repository, route: &str) -> Result<T> {
        let reach = self.reach(repository).await?;
        let route = format!("{}{route}", reach.base);
        match self.client.get(&reach.token, &route).await {
            Ok(answer) => answer.json(&route),
            Err(error) => {
                self.learn(repository, &error);
                Err(error)
            }
        }
    }

    /// Has something of a repository's changed; `route` is what follows its name.
    async fn write(
        &self,
        repository: &Repository,
        method: Method,
        route: &str,
        body: &serde_json::Value,
    ) -> Result<Answer> {
        let reach = self.reach(repository).await?;
        let answer = self.client.write(&*reach.token, method, &format!("{}{route}", reach.base), body).await;
        answer.inspect_err(|error| self.learn(repository, error))
    }

    /// All of a list of a repository's; `route` is what follows its name.
    async fn all<T: DeserializeOwned>(&self, repository: &Repository, route: &str) -> Result<Vec<T>> {
        let reach = self.reach(repository).await?;
        let route = format!("{}{route}", reach.base);
        let listed = self.pages(&reach.token, &route, |answer, route| answer.json(route)).await;
        listed.inspect_err(|error| self.learn(repository, error))
    }

    /// All pages of a list.
    async fn pages<T>(
        &self,
        token: &SecretString,
        route: &str,
        read: impl Fn(&Answer, &str) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let join = if route.contains('?') { '&' } else { '?' };
        for page in 1..=MOST_PAGES {
            let route = format!("{route}{join}per_page={PAGE}&page={page}");
            let answer = self.client.get(token, &route).await?;
            let found = read(&answer, &route)?;
            let is_last = found.len() < PAGE;
            all.extend(found);
            if is_last {
                return Ok(all);
            }
        }
        tracing::warn!(route, "a list of GitHub's has more than {} entries; the rest is not read", all.len());
        Ok(all)
    }

    /// The mirror of the repository. It is found by number, so a rename keeps it.
    #[must_use]
    pub fn git_dir(&self, repository: &Repository) -> PathBuf {
        self.settings.mirrors.join(format!("{}.git", repository.id))
    }

    /// Brings the mirror to what the repository is now.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn fetch(&self, repository: &Repository) -> Result<References> {
        let now: RepositoryAnswer = self.get(repository, "").await?;
        if now.id != repository.id {
            let error = anyhow!("`{}` is another repository now (number {})", now.full_name, now.id);
            self.holders.lock().unwrap_or_else(PoisonError::into_inner).remove(&repository.id);
            return Err(ForgeError::Later(error));
        }
        let default_branch = now.default_branch.clone().unwrap_or_else(|| "main".to_owned());
        let token = self.reach(repository).await?.token;
        let head_branch = default_branch.clone();
        let url = format!("{}/{}.git", self.settings.git.trim_end_matches('/'), now.full_name);
        let (git_dir, remotes) = (self.git_dir(repository), Arc::clone(&self.remotes));
        let fetched = tokio::task::spawn_blocking(move || {
            remotes.mirror(&url, &git_dir, Some(&credentials(&token)), &Stop::new()?)?;
            let source = Source::open(&git_dir)?;
            // What the policy says is read from there.
            source.set_head_branch(&head_branch)?;
            let branches = source.branches()?.into_iter().map(|(name, commit)| (format!("refs/heads/{name}"), commit));
            let tags = source.tags()?.into_iter().map(|(name, commit)| (format!("refs/tags/{name}"), commit));
            anyhow::Ok(branches.chain(tags).collect::<BTreeMap<_, _>>())
        });
        let heads = fetched.await.context("fetching panicked").and_then(|fetched| fetched);
        let heads = heads.with_context(|| format!("cannot fetch `{}`", repository.name)).map_err(ForgeError::Later)?;
        Ok(References { heads, default_branch })
    }

    /// The pull request as it is now.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when there is none.
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

    /// What is said in a pull request, oldest first.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn comments(&self, pull: &PullRef) -> Result<Vec<Comment>> {
        let own_account = self.own_account().await?;
        let found: Vec<CommentAnswer> = self.all(&pull.repository, &comments_of(pull)).await?;
        let comment = |found: CommentAnswer| {
            let is_ours = match (self.tokens.login(), &found.performed_via_github_app, &found.user) {
                (Login::App { id, .. }, Some(app), _) => app.id == *id,
                (Login::Token(_), _, Some(user)) => Some(user.id) == own_account,
                _ => false,
            };
            let created_at = found.created_at()?;
            Some(Comment {
                comment: CommentRef { id: found.id, created_at },
                author: found.user.map_or_else(nobody, User::from),
                body: found.body.unwrap_or_default(),
                is_ours,
            })
        };
        Ok(found.into_iter().filter_map(comment).collect())
    }

    /// The number of the account whose token we have.
    async fn own_account(&self) -> Result<Option<i64>> {
        let Login::Token(token) = self.tokens.login() else { return Ok(None) };
        let asked = async { self.client.get(token, "/user").await?.json::<Account>("/user").map(|account| account.id) };
        self.own_account.get_or_try_init(|| asked).await.map(|id| Some(*id))
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

    /// Makes our comment with this marker say `body`.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when it cannot be written there.
    pub async fn upsert_comment(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        let body = marked(marker, body)?;
        let Some(written) = self.find(pull, marker).await? else { return self.post(pull, marker, body).await };
        if written.body == body {
            return Ok(());
        }
        let route = format!("/issues/comments/{}", written.id);
        match self.write(&pull.repository, Method::PATCH, &route, &json!({ "body": body })).await {
            Ok(_) => {
                self.remember(pull, marker, Written { id: written.id, body });
                Ok(())
            }
            // Somebody deleted it, perhaps after we last looked.
            Err(error) if is_gone(&error) => {
                self.forget_comment(pull, marker);
                match self.find(pull, marker).await? {
                    Some(_) => Err(error),
                    None => self.post(pull, marker, body).await,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a comment with this marker unless there is one of ours already.
    ///
    /// # Errors
    /// As [`Self::upsert_comment`].
    pub async fn post_comment_once(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        let body = marked(marker, body)?;
        match self.find(pull, marker).await? {
            Some(_) => Ok(()),
            None => self.post(pull, marker, body).await,
        }
    }

    /// Our comment with this marker: as we remember it, or else as the pull request has it.
    async fn find(&self, pull: &PullRef, marker: &str) -> Result<Option<Written>> {
        let name = (pull.clone(), marker.to_owned());
        let known = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let sign = sign(marker);
        let found =
            self.comments(pull).await?.into_iter().find(|comment| comment.is_ours && comment.body.ends_with(&sign));
        Ok(found.map(|found| {
            let written = Written { id: found.comment.id, body: found.body };
            self.remember(pull, marker, written.clone());
            written
        }))
    }

    async fn post(&self, pull: &PullRef, marker: &str, body: String) -> Result<()> {
        let route = comments_of(pull);
        let answer = self.write(&pull.repository, Method::POST, &route, &json!({ "body": body })).await?;
        let id = answer.json::<NewComment>(&route)?.id;
        self.remember(pull, marker, Written { id, body });
        Ok(())
    }

    fn remember(&self, pull: &PullRef, marker: &str, written: Written) {
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= 10_000 {
            all.clear();
        }
        all.insert((pull.clone(), marker.to_owned()), written);
    }

    fn forget_comment(&self, pull: &PullRef, marker: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&(pull.clone(), marker.to_owned()));
    }

    /// Shows beside the commit how it fares.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when the commit is not there.
    pub async fn set_status(&self, repository: &Repository, commit: &CommitSha, status: &Status) -> Result<()> {
        let state = match status.state {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure => "failure",
            CommitState::Error => "error",
        };
        let description = cut(&status.description);
        let route = format!("/statuses/{commit}");
        let body = json!({ "state": state, "context": status.context, "description": description });
        self.write(repository, Method::POST, &route, &body).await.map(drop)
    }

    /// Asks for deliveries again that did not reach us, and says for how many. GitHub never repeats one by itself, and
    /// forgets them after three days.
    ///
    /// Source: <https://docs.github.com/en/webhooks/using-webhooks/automatically-redelivering-failed-deliveries-for-a-github-app-webhook>
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn ask_again(&self) -> Result<usize> {
        if let Login::Token(_) = self.tokens.login() {
            return Ok(0);
        }
        let app = self.tokens.app()?;
        let route = format!("/app/hook/deliveries?per_page={PAGE}");
        let attempts: Vec<Attempt> = self.client.get(&app, &route).await?.json(&route)?;
        let arrived: HashSet<&str> =
            attempts.iter().filter(|attempt| attempt.arrived()).map(|attempt| attempt.guid.as_str()).collect();
        // The newest attempt comes first; one request for each delivery is enough.
        let mut seen = HashSet::new();
        let mut asked = 0;
        for attempt in &attempts {
            let is_lost = !arrived.contains(attempt.guid.as_str()) && EVENTS.contains(&attempt.event.as_str());
            if !seen.insert(&attempt.guid) || !is_lost || !self.may_ask(&attempt.guid) {
                continue;
            }
            let route = format!("/app/hook/deliveries/{}/attempts", attempt.id);
            match self.client.write(&app, Method::POST, &route, &json!({})).await {
                Ok(_) => asked += 1,
                Err(ForgeError::Never(error)) => {
                    tracing::warn!(delivery.id = attempt.guid, "not delivered again: {error:#}")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(asked)
    }

    /// Whether this delivery was not asked for lately.
    fn may_ask(&self, guid: &str) -> bool {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now.duration_since(*at) < ASKED_EVERY);
        match asked.entry(guid.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }

    /// Who we are on GitHub, and what we lack there. For whoever sets this instance up.
    ///
    /// # Errors
    /// When GitHub does not answer or does not know us.
    pub async fn standing(&self) -> Result<Standing> {
        let app = match self.tokens.login() {
            Login::Token(token) => {
                let account: Account = self.client.get(token, "/user").await?.json("/user")?;
                return Ok(Standing { name: account.login, missing: Vec::new() });
            }
            Login::App { .. } => self.tokens.app()?,
        };
        let own: OwnApp = self.client.get(&app, "/app").await?.json("/app")?;
        let lacks = |(name, level): &&(&str, &str)| {
            let granted = own.permissions.get(*name).map(String::as_str);
            !(granted == Some(*level) || granted == Some("admin") || (*level == "read" && granted == Some("write")))
        };
        let missing = PERMISSIONS.iter().filter(lacks).map(|(name, level)| format!("{name}: {level}")).collect();
        Ok(Standing { name: own.slug.unwrap_or(own.name), missing })
    }
}

/// Who we are on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The App's or the account's name.
    pub name: String,
    /// Permissions that the App needs and does not ask for, as `issues: write`.
    pub missing: Vec<String>,
}

/// How a repository is reached at this moment.
struct Reach {
    token: Arc<SecretString>,
    base: String,
}

/// Whether a status means that a repository is not where it was, or that our token is no longer good for it.
fn means_lost(status: StatusCode) -> bool {
    status.is_redirection() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
}

fn comments_of(pull: &PullRef) -> String {
    format!("/issues/{}/comments", pull.number)
}

/// What stands at the end of our comment with this marker.
fn sign(marker: &str) -> String {
    format!("<!-- modelship:{marker} -->")
}

/// The text of our comment with this marker, within GitHub's limit.
fn marked(marker: &str, body: &str) -> Result<String> {
    let bad = |c: char| c.is_control() || matches!(c, '<' | '>');
    if marker.is_empty() || marker.len() > 300 || marker.contains(bad) {
        return Err(ForgeError::Never(anyhow!("`{}` cannot mark a comment", marker.escape_debug())));
    }
    let text = format!("{}\n\n{}", body.replace('\0', "\u{fffd}"), sign(marker));
    if text.len() > MOST_BYTES {
        return Err(ForgeError::Never(anyhow!(
            "a comment of {} bytes is more than the {MOST_BYTES} that GitHub surely takes",
            text.len()
        )));
    }
    Ok(text)
}

fn cut(description: &str) -> String {
    if description.chars().count() <= MOST_DESCRIPTION {
        return description.to_owned();
    }
    let mut text: String = description.chars().take(MOST_DESCRIPTION - 1).collect();
    text.push('…');
    text
}

/// What `git` says of us to GitHub, as a header.
fn credentials(token: &SecretString) -> SecretString {
    let login = BASE64_STANDARD.encode(format!("x-access-token:{}", token.expose_secret()));
    SecretString::from(format!("Authorization: Basic {login}"))
}

fn strange(error: InvalidId) -> ForgeError {
    ForgeError::Never(anyhow::Error::new(error).context("GitHub names something as nothing is named here"))
}
