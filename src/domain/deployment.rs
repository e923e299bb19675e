//! Deployments: a channel's move as the forge shows it, and moves that are asked for at the forge.
//!
//! A deployment goes to an environment, which names a model and a channel: `urban/simple-tax/production`. Whatever names
//! none is somebody else's business and left alone.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::forge::{Given, User};
use super::ids::{ChannelName, CommitSha, ModelName, PullRef, Repository, Time};
use super::version::ChannelMove;

/// Where a deployment goes: a channel of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Environment {
    /// The model.
    pub model: ModelName,
    /// The channel.
    pub channel: ChannelName,
}

impl Environment {
    /// The model and the channel that an environment's name means: `urban/simple-tax/production`. None when it means
    /// none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '/');
        let (owner, title, channel) = (parts.next()?, parts.next()?, parts.next()?);
        let model = ModelName::parse(&format!("{owner}/{title}")).ok()?;
        Some(Self { model, channel: ChannelName::parse(channel).ok()? })
    }

    /// Whether people use what is there.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.channel == ChannelName::production()
    }

    /// Whether the environment goes away with a pull request.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.channel.follows_a_pull_request()
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.channel)
    }
}

/// The key of our own part of a deployment's payload.
pub const MARK: &str = "modelship";

/// What a deployment carries along: JSON of whoever made it, or a text that holds JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub struct Payload(Value);

impl From<Value> for Payload {
    fn from(given: Value) -> Self {
        Self(match given {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            other => other,
        })
    }
}

impl Payload {
    /// Our own part, when there is one. Anybody can copy it.
    #[must_use]
    pub fn mark(&self) -> Option<&Value> {
        self.0.get(MARK).filter(|mark| mark.is_object())
    }

    /// Where the deployment goes: what the payload names as `model` and `channel`, or else what the environment's name
    /// means.
    #[must_use]
    pub fn destination(&self, environment: &str) -> Option<Environment> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str);
        match (text("model"), text("channel")) {
            (Some(model), Some(channel)) => Environment::parse(&format!("{model}/{channel}")),
            _ => Environment::parse(environment),
        }
    }
}

/// A deployment that somebody made at the forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentNotice {
    /// The forge's own number for it. A newer one has a larger number.
    pub id: i64,
    /// Where it goes.
    pub environment: Environment,
    /// What is deployed.
    pub commit: CommitSha,
    /// When it was made, by the forge's clock.
    pub created_at: Time,
    /// The account that made it.
    pub creator: User,
    /// The person in whose name a program made it, where the forge says so.
    pub actor: Option<User>,
    /// Whether it is marked as one that we make ourselves. Anybody can copy the mark; what counts is who made it.
    pub is_marked: bool,
}

impl DeploymentNotice {
    /// Whose permission decides.
    #[must_use]
    pub fn authority(&self) -> &User {
        self.actor.as_ref().unwrap_or(&self.creator)
    }
}

/// How a deployment fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It was taken up.
    InProgress,
    /// The channel points there.
    Success,
    /// It was refused, or there is nothing to deploy.
    Failure,
    /// It went wrong by our fault.
    Error,
}

/// Who asked for a promotion, and so where the answer goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "asker")]
pub enum Asker {
    /// Somebody at a terminal of this machine, who looks for the answer himself.
    #[default]
    Terminal,
    /// A command in a pull request.
    Pull {
        /// The pull request.
        pull: PullRef,
        /// Where there it was given, and when.
        given: Given,
        /// Which of the comment's commands it is, from 0.
        nth: u32,
    },
    /// A deployment at the forge.
    Deployment {
        /// The repository.
        repository: Repository,
        /// The deployment.
        id: i64,
        /// When it was made.
        created_at: Time,
    },
}

impl Asker {
    /// The repository that it was asked in, and when; none at a terminal.
    #[must_use]
    pub fn place(&self) -> Option<(&Repository, Time)> {
        match self {
            Self::Terminal => None,
            Self::Pull { pull, given, .. } => Some((&pull.repository, given.at())),
            Self::Deployment { repository, created_at, .. } => Some((repository, *created_at)),
        }
    }
}

/// What a promotion did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// The channel moved.
    Moved(ChannelMove),
    /// It pointed there already, since this move.
    Stood(ChannelMove),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_names_a_model_and_a_channel() {
        for name in ["urban/simple-tax/production", "urban/simple-tax/release/2026", "a/b/pr-3"] {
            assert_eq!(Environment::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "production", "staging/eu", "urban/simple-tax/", "urban//production", "a/b/c d", "../x/y"] {
            assert_eq!(Environment::parse(name), None, "{name}");
        }
        let payload = |text: &str| Payload::from(serde_json::from_str::<Value>(text).unwrap());
        let named = payload(r#"{"model": "a/b", "channel": "staging"}"#);
        assert_eq!(named.destination("eu").unwrap().to_string(), "a/b/staging");
        let text = payload(r#""{\"model\": \"a/b\", \"channel\": \"staging\"}""#);
        assert_eq!(text, named);
        for other in ["null", "{}", "3", "\"no JSON\"", r#"{"model": 3}"#] {
            assert_eq!(payload(other).destination("a/b/c").unwrap().to_string(), "a/b/c");
        }
        assert_eq!(payload(r#"{"model": "../x", "channel": "y"}"#).destination("a/b/c"), None);
        assert!(Environment::parse("a/b/production").unwrap().is_production());
        assert!(Environment::parse("a/b/pr-12").unwrap().is_transient());
        assert!(!Environment::parse("a/b/pr-x").unwrap().is_transient());
    }
}
