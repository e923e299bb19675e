//! Deployments: ours, which show where channels point, and those of others, which ask for channels to move.
//!
//! Ours are found again by what their payload says and by who made them, so an answer that was lost makes no second one.
//!
//! Source: <https://docs.github.com/en/rest/deployments/deployments>

use chrono::DateTime;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answers::Account;
use super::checks::{MOST_DESCRIPTION, cut};
use super::client::status_of;
use super::{GitHub, PAGE, Result, strange};
use crate::domain::deployment::{DeploymentNotice, DeploymentState, MARK, Payload};
use crate::domain::forge::User;
use crate::domain::ids::{CommitSha, Repository, Time};
use crate::domain::report::percent_encoded;
use crate::edge::forge::{ForgeError, Recorded};

/// What GitHub calls the work that a deployment stands for.
const TASK: &str = "deploy";

/// A deployment as GitHub describes it.
#[derive(Debug, Deserialize)]
struct DeploymentAnswer {
    id: i64,
    sha: String,
    environment: String,
    #[serde(default)]
    payload: Payload,
    created_at: String,
    creator: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct StatusAnswer {
    state: String,
    description: Option<String>,
    creator: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct NewDeployment {
    id: i64,
}

#[derive(Debug, Deserialize)]
struct Bot {
    slug: Option<String>,
}

impl GitHub {
    /// Shows where a channel points now: a deployment that has succeeded. Once for each move.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when we may not, or the commit is gone.
    pub async fn record_deployment(&self, repository: &Repository, recorded: &Recorded) -> Result<()> {
        let mark = json!({
            "model": recorded.environment.model, "channel": recorded.environment.channel, "version": recorded.version,
            "digest": recorded.digest, "moved_at": recorded.moved_at.0,
        });
        let environment = recorded.environment.to_string();
        let route = format!("/deployments?sha={}&environment={}", recorded.commit, percent_encoded(&environment));
        let own = self.own_number(repository).await?;
        let known: Vec<DeploymentAnswer> = self.all(repository, &route).await?;
        let ours =
            |known: &&DeploymentAnswer| is_by(known.creator.as_ref(), own) && known.payload.mark() == Some(&mark);
        let id = match known.iter().find(ours) {
            Some(known) => known.id,
            None => {
                let body = json!({
                    "ref": recorded.commit, "task": TASK, "auto_merge": false, "required_contexts": [],
                    "environment": environment, "description": cut(&recorded.description, MOST_DESCRIPTION),
                    "production_environment": recorded.environment.is_production(),
                    "transient_environment": recorded.environment.is_transient(),
                    "payload": {MARK: mark},
                });
                let answer = self.write(repository, Method::POST, "/deployments", &body).await?;
                answer.json::<NewDeployment>("/deployments")?.id
            }
        };
        let status = DeploymentStatus {
            state: DeploymentState::Success,
            description: recorded.description.clone(),
            environment_url: recorded.environment_url.clone(),
        };
        self.answer_deployment(repository, id, &status).await
    }

    /// Says how a deployment fares, unless that was the last thing that we said of it.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when we may not, or it is gone.
    pub async fn answer_deployment(&self, repository: &Repository, id: i64, status: &DeploymentStatus) -> Result<()> {
        let (state, description) = (word(status.state), cut(&status.description, MOST_DESCRIPTION));
        let said = self.said_of(repository, id).await?;
        let again = |said: &StatusAnswer| said.state == state && said.description.as_deref() == Some(&description);
        if said.is_some_and(|said| again(&said)) {
            return Ok(());
        }
        let mut body = json!({ "state": state, "description": description });
        if let Some(url) = &status.environment_url {
            body["environment_url"] = json!(url);
        }
        self.write(repository, Method::POST, &format!("/deployments/{id}/statuses"), &body).await.map(drop)
    }

    /// Whether we said already what became of a deployment.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn has_answered(&self, repository: &Repository, id: i64) -> Result<bool> {
        let said = self.said_of(repository, id).await?;
        // GitHub itself says `inactive` in our name once a newer one has succeeded.
        Ok(said.is_some_and(|said| said.state != word(DeploymentState::InProgress)))
    }

    /// Deployments to channels of models that people made, the newest first; at most a page. In whose name a program made
    /// one, only its delivery tells, and that is asked for again.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn deployments(&self, repository: &Repository) -> Result<Vec<DeploymentNotice>> {
        let listed: Vec<DeploymentAnswer> =
            match self.get(repository, &format!("/deployments?task={TASK}&per_page={PAGE}")).await {
                // An App that was made before deployments were known, or a token that may not see them.
                Err(error) if matches!(status_of(&error), Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)) => {
                    tracing::debug!("deployments of `{}` cannot be seen", repository.name);
                    return Ok(Vec::new());
                }
                listed => listed?,
            };
        let mut notices = Vec::new();
        for answer in listed {
            let Some(environment) = answer.payload.destination(&answer.environment) else { continue };
            let person = answer.creator.filter(|creator| !creator.is_program());
            let Some(creator) = person.map(User::from) else { continue };
            let Ok(created) = DateTime::parse_from_rfc3339(&answer.created_at) else { continue };
            notices.push(DeploymentNotice {
                id: answer.id,
                environment,
                commit: CommitSha::parse(answer.sha).map_err(strange)?,
                created_at: Time(created.timestamp_millis()),
                creator,
                actor: None,
                is_marked: answer.payload.mark().is_some(),
            });
        }
        Ok(notices)
    }

    /// Whether a deployment is one of ours.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn is_own_deployment(&self, repository: &Repository, notice: &DeploymentNotice) -> Result<bool> {
        // Whoever has the account of our token can deploy by hand, too.
        Ok(notice.is_marked && Some(notice.creator.id) == self.own_number(repository).await?)
    }

    /// What we said last of a deployment.
    async fn said_of(&self, repository: &Repository, id: i64) -> Result<Option<StatusAnswer>> {
        let own = self.own_number(repository).await?;
        let said: Vec<StatusAnswer> = self.all(repository, &format!("/deployments/{id}/statuses")).await?;
        // The newest comes first.
        Ok(said.into_iter().find(|said| is_by(said.creator.as_ref(), own)))
    }

    /// The number of the account in whose name we make deployments: the App's bot, or the token's owner.
    async fn own_number(&self, repository: &Repository) -> Result<Option<i64>> {
        if self.tokens.given().is_some() {
            return self.own_account().await;
        }
        let app = self.tokens.app()?;
        let asked = async {
            let bot: Bot = self.client.get(&app, "/app").await?.json("/app")?;
            let slug = bot
                .slug
                .ok_or_else(|| ForgeError::Never(anyhow::anyhow!("GitHub does not say what our App is called")))?;
            let route = format!("/users/{}", percent_encoded(&format!("{slug}[bot]")));
            // The App itself may ask nothing but about Apps; who its bot is, everybody may know.
            let token = self.reach(repository).await?.token;
            Ok(self.client.get(&token, &route).await?.json::<Account>(&route)?.id)
        };
        self.own_account.get_or_try_init(|| asked).await.map(|id| Some(*id))
    }
}

/// How a deployment fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// How.
    pub state: DeploymentState,
    /// One line; cut after 140 characters.
    pub description: String,
    /// Where to see what is there.
    pub environment_url: Option<String>,
}

fn is_by(creator: Option<&Account>, own: Option<i64>) -> bool {
    own.is_some() && creator.map(|creator| creator.id) == own
}

fn word(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::Error => "error",
    }
}
