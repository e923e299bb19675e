//! How a repository is reached: by which name and with whose token.

use std::sync::{Arc, PoisonError};

use anyhow::anyhow;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::answers::{Installation, InstallationRepositories, RepositoryAnswer};
use super::client::{Answer, status_of};
use super::tokens::Login;
use super::{GitHub, PAGE, Result};
use crate::domain::ids::Repository;
use crate::edge::forge::ForgeError;

/// Most pages of a list that are read.
const MOST_PAGES: usize = 100;

/// How a repository is reached.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// The App's installation that holds it; none with a token.
    installation: Option<i64>,
    /// What it is called now.
    name: String,
}

/// What we can reach.
pub(super) struct Held {
    pub(super) repositories: Vec<RepositoryAnswer>,
    /// Why there may be more: what one of the installations holds could not be found out.
    pub(super) missed: Option<ForgeError>,
}

/// How a repository is reached at this moment.
pub(super) struct Reach {
    pub(super) token: Arc<SecretString>,
    pub(super) base: String,
}

/// Whether a status means that a repository is not where it was.
fn means_lost(status: StatusCode) -> bool {
    status.is_redirection() || status == StatusCode::NOT_FOUND
}

impl GitHub {
    /// What we can reach: what all installations of the App hold, or what the token's owner may work on.
    pub(super) async fn held(&self) -> Result<Held> {
        if let Login::Token(token) = self.tokens.login() {
            let all = self.pages(token, "/user/repos", |answer, route| answer.json(route)).await?;
            self.note_holders(None, &all);
            return Ok(Held { repositories: all, missed: None });
        }
        let app = self.tokens.app()?;
        let installations: Vec<Installation> =
            self.pages(&app, "/app/installations", |answer, route| answer.json(route)).await?;
        let mut all = Held { repositories: Vec::new(), missed: None };
        for installation in installations.into_iter().filter(|installation| installation.suspended_at.is_none()) {
            match self.held_by(installation.id).await {
                Ok(held) => all.repositories.extend(held),
                // One owner's trouble is not the others'.
                Err(error) => {
                    tracing::warn!("cannot list what the App's installation {} holds: {error:#}", installation.id);
                    all.missed = Some(error);
                }
            }
        }
        Ok(all)
    }

    /// What one installation of the App holds.
    async fn held_by(&self, installation: i64) -> Result<Vec<RepositoryAnswer>> {
        let token = self.tokens.installation(&self.client, installation).await?;
        let list =
            |answer: &Answer, route: &str| answer.json::<InstallationRepositories>(route).map(|list| list.repositories);
        let held = self.pages(&token, "/installation/repositories", list).await;
        let held = held.inspect_err(|error| self.learn_token(error))?;
        self.note_holders(Some(installation), &held);
        Ok(held)
    }

    fn note_holders(&self, installation: Option<i64>, held: &[RepositoryAnswer]) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        for repository in held {
            holders.insert(repository.id, Holder { installation, name: repository.full_name.clone() });
        }
    }

    /// How the repository is reached.
    pub(super) async fn reach(&self, repository: &Repository) -> Result<Reach> {
        let known =
            |github: &Self| github.holders.lock().unwrap_or_else(PoisonError::into_inner).get(&repository.id).cloned();
        let holder = match known(self) {
            Some(holder) => holder,
            None => {
                let missed = self.held().await?.missed;
                known(self).ok_or_else(|| {
                    if let Some(error) = missed {
                        return error;
                    }
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
        if status_of(error).is_some_and(means_lost) {
            self.holders.lock().unwrap_or_else(PoisonError::into_inner).remove(&repository.id);
        }
        self.learn_token(error);
    }

    /// Forgets our tokens when GitHub takes one of them no longer, before its time.
    pub(super) fn learn_token(&self, error: &ForgeError) {
        if status_of(error) == Some(StatusCode::UNAUTHORIZED) {
            self.tokens.forget();
        }
    }

    /// Asks for something of a repository's; `route` is what follows its name.
    pub(super) async fn get<T: DeserializeOwned>(&self, repository: &Repository, route: &str) -> Result<T> {
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
    pub(super) async fn write(
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
    pub(super) async fn all<T: DeserializeOwned>(&self, repository: &Repository, route: &str) -> Result<Vec<T>> {
        let reach = self.reach(repository).await?;
        let route = format!("{}{route}", reach.base);
        let listed = self.pages(&reach.token, &route, |answer, route| answer.json(route)).await;
        listed.inspect_err(|error| self.learn(repository, error))
    }

    /// All pages of a list.
    pub(super) async fn pages<T>(
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
}
