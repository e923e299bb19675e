//! How a repository is reached: by its number, so that neither a new name nor who took its old one matters, and with the
//! token of the installation that holds it.
//!
//! GitHub itself leads to addresses with the number in redirects and from page to page:
//! <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>

use std::sync::{Arc, PoisonError};

use anyhow::anyhow;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::answers::{Installation, InstallationRepositories, RepositoryAnswer};
use super::client::{Answer, status_of};
use super::tokens::{Scope, Token};
use super::{GitHub, PAGE, Result};
use crate::domain::ids::Repository;
use crate::edge::forge::ForgeError;

/// Most pages of a list that are read.
const MOST_PAGES: usize = 100;

/// What we can reach.
pub(super) struct Held {
    pub(super) repositories: Vec<RepositoryAnswer>,
    /// Why there may be more: what one of the installations holds could not be found out.
    pub(super) missed: Option<ForgeError>,
}

/// How a repository is reached at this moment.
pub(super) struct Reach {
    pub(super) token: Arc<Token>,
    pub(super) base: String,
}

impl GitHub {
    /// What we can reach: what all installations of the App hold, or what the token's owner may work on.
    pub(super) async fn held(&self) -> Result<Held> {
        if let Some(token) = self.tokens.given() {
            let repositories = self.pages(token, "/user/repos", |answer, route| answer.json(route)).await?;
            return Ok(Held { repositories, missed: None });
        }
        let mut all = Held { repositories: Vec::new(), missed: None };
        for installation in self.installations().await? {
            match self.held_by(installation.id).await {
                Ok(held) => all.repositories.extend(held),
                // It ended since it was listed.
                Err(ForgeError::OutOfReach(_) | ForgeError::Missing(_)) => {}
                // One owner's trouble is not the others'.
                Err(error) => {
                    tracing::warn!("cannot list what the App's installation {} holds: {error:#}", installation.id);
                    all.missed = Some(error);
                }
            }
        }
        Ok(all)
    }

    /// The App's installations, but for those that are suspended.
    pub(super) async fn installations(&self) -> Result<Vec<Installation>> {
        let app = self.tokens.app()?;
        let mut all: Vec<Installation> =
            self.pages(&app, "/app/installations", |answer, route| answer.json(route)).await?;
        all.retain(|installation| installation.suspended_at.is_none());
        Ok(all)
    }

    /// What one installation of the App holds.
    async fn held_by(&self, installation: i64) -> Result<Vec<RepositoryAnswer>> {
        let token = self.tokens.installation(&self.client, installation, Scope::List).await?;
        let list =
            |answer: &Answer, route: &str| answer.json::<InstallationRepositories>(route).map(|list| list.repositories);
        let held = self.pages(&token, "/installation/repositories", list).await?;
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.extend(held.iter().map(|repository| (repository.id, installation)));
        Ok(held)
    }

    /// How the repository is reached.
    pub(super) async fn reach(&self, repository: &Repository) -> Result<Reach> {
        let base = format!("/repositories/{}", repository.id);
        if let Some(token) = self.tokens.given() {
            return Ok(Reach { token: Arc::clone(token), base });
        }
        let holder = match self.holder(repository) {
            Some(holder) => holder,
            None => {
                let missed = self.held().await?.missed;
                self.holder(repository).ok_or_else(|| {
                    if let Some(error) = missed {
                        return error;
                    }
                    ForgeError::OutOfReach(anyhow!(
                        "`{}` (number {}) is out of reach: the GitHub App is not installed there, or its installation is \
                         suspended",
                        repository.name,
                        repository.id
                    ))
                })?
            }
        };
        let token = self.tokens.installation(&self.client, holder, Scope::Repository(repository.id)).await;
        let token = token.map_err(|error| {
            // The installation is gone or suspended, or holds the repository no longer.
            let is_lost = matches!(error, ForgeError::OutOfReach(_) | ForgeError::Missing(_))
                || status_of(&error) == Some(StatusCode::UNPROCESSABLE_ENTITY);
            if is_lost {
                self.forget_holder(repository);
                return ForgeError::OutOfReach(error.into_cause());
            }
            error
        })?;
        Ok(Reach { token, base })
    }

    /// Forgets how the repository was reached when GitHub does not know it by that any more.
    fn learn(&self, repository: &Repository, error: &ForgeError) {
        if matches!(error, ForgeError::OutOfReach(_) | ForgeError::Missing(_)) {
            self.forget_holder(repository);
        }
        if status_of(error) == Some(StatusCode::NOT_FOUND) {
            self.tokens.forget_repository(repository.id);
        }
    }

    /// The number of the installation that holds the repository, as far as that is known.
    pub(super) fn holder(&self, repository: &Repository) -> Option<i64> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).get(&repository.id).copied()
    }

    fn forget_holder(&self, repository: &Repository) {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).remove(&repository.id);
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
        token: &Token,
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
