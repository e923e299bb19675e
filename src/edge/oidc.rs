//! Tokens of identity: who a workflow is, as the issuer signed it.
//!
//! The issuer's keys are found by its own description of itself and kept for an hour; a token with a key that is not
//! among them makes us look again, but not more than once a minute, whatever tokens come. Only RS256 with a key of
//! the issuer counts: nothing that a token's header says of keys is believed. When a token is good is not asked here,
//! as there is no clock; see [`Offer::of_workflow`](crate::domain::offer::Offer::of_workflow).

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::web::{Web, is_same_origin};
use crate::domain::ids::Time;
use crate::domain::offer::Identity;

/// How long are keys good before they are looked up again?
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How long are they good while the issuer does not answer?
const KEPT_WITHOUT_ANSWER: Duration = Duration::from_secs(24 * 60 * 60);

/// How often at most is the issuer asked?
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// How long may a token be, in bytes?
pub const MOST_TOKEN: usize = 8 * 1024;

/// How much may the issuer answer, in bytes?
const MOST_ANSWER: usize = 256 * 1024;

/// How many keys may it have?
const MOST_KEYS: usize = 100;

/// Why a token says nothing about who sent it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is no token of the issuer.
    #[error("the token is not one that the issuer signed")]
    Forged,
    /// It is the issuer's, for somebody else than us.
    #[error("the token's audience is not this server's `server.url`")]
    OtherAudience,
    /// It comes from another issuer.
    #[error("the token's issuer is not this server's `server.token_issuer`")]
    OtherIssuer,
    /// The issuer's keys are not known, by no fault of the token.
    #[error("the issuer's keys cannot be looked up")]
    NoKeys(#[source] anyhow::Error),
}

/// Checks tokens of one issuer for one audience.
pub struct Verifier {
    issuer: String,
    audience: String,
    web: Web,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    /// When they were looked up.
    known_since: Option<Time>,
    /// When they were last asked for, with or without success.
    asked: Option<Time>,
}

/// What is looked at of a token here; the rest is for [`Identity`].
#[derive(Deserialize)]
struct Claims {
    iss: String,
    /// One audience: a token for several could be passed on by any of them.
    aud: String,
    #[serde(flatten)]
    identity: Identity,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of tokens that `issuer` makes for `audience`.
    ///
    /// # Errors
    /// When the issuer's address makes no sense.
    pub fn new(issuer: &str, audience: &str) -> anyhow::Result<Self> {
        let issuer = issuer.trim_end_matches('/').to_owned();
        let url =
            Url::parse(&issuer).with_context(|| format!("`server.token_issuer` is `{issuer}`, which is no address"))?;
        Ok(Self { web: Web::new(&url)?, issuer, audience: audience.to_owned(), keys: Mutex::default() })
    }

    /// Who sent `token`. Whether it is good at this moment, and for what, is not looked at.
    ///
    /// # Errors
    /// As [`TokenError`] says.
    pub async fn identify(&self, token: &str, now: Time) -> Result<Identity, TokenError> {
        if token.len() > MOST_TOKEN {
            return Err(TokenError::Forged);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Forged)?;
        let (Algorithm::RS256, Some(id)) = (header.alg, header.kid) else { return Err(TokenError::Forged) };
        let key = self.key(&id, now).await?;
        let mut rules = Validation::new(Algorithm::RS256);
        // Times are looked at where the clock is, and both names below, where one can say which of them is wrong.
        (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| TokenError::Forged)?.claims;
        if claims.iss != self.issuer {
            return Err(TokenError::OtherIssuer);
        }
        if claims.aud != self.audience {
            return Err(TokenError::OtherAudience);
        }
        Ok(claims.identity)
    }

    /// Looks up the issuer's keys, and says how many it signs with. For whoever sets this instance up.
    ///
    /// # Errors
    /// When the issuer does not answer, or not as it should.
    pub async fn check(&self) -> anyhow::Result<usize> {
        Ok(self.look_up().await?.len())
    }

    /// The issuer's key of that id. Whoever comes while keys are looked up waits for them.
    async fn key(&self, id: &str, now: Time) -> Result<DecodingKey, TokenError> {
        let mut keys = self.keys.lock().await;
        let age = |since: Option<Time>| since.map(|since| now.since(since));
        let fresh = |limit: Duration, age: Option<Duration>| age.is_some_and(|age| age < limit);
        let missing = !keys.by_id.contains_key(id);
        let stale = missing || !fresh(KEPT, age(keys.known_since));
        if stale && !fresh(BETWEEN_LOOKS, age(keys.asked)) {
            keys.asked = Some(now);
            match self.look_up().await {
                Ok(by_id) => (keys.by_id, keys.known_since) = (by_id, Some(now)),
                Err(error) => tracing::warn!("cannot look up the keys of `{}`: {error:#}", self.issuer),
            }
        }
        if !fresh(KEPT_WITHOUT_ANSWER, age(keys.known_since)) {
            return Err(TokenError::NoKeys(anyhow!("`{}` did not say which keys it signs with", self.issuer)));
        }
        keys.by_id.get(id).cloned().ok_or(TokenError::Forged)
    }

    async fn look_up(&self) -> anyhow::Result<HashMap<String, DecodingKey>> {
        #[derive(Deserialize)]
        struct Description {
            issuer: String,
            jwks_uri: String,
        }
        let place = format!("{}/.well-known/openid-configuration", self.issuer);
        let place = Url::parse(&place).context("the issuer's address cannot be read")?;
        let description: Description = self.read(&place).await?;
        ensure!(description.issuer == self.issuer, "it calls itself `{}`", description.issuer);
        let keys = Url::parse(&description.jwks_uri).context("it does not say where its keys are")?;
        ensure!(is_same_origin(&keys, &place), "it says that its keys are elsewhere, at `{keys}`");
        let set: JwkSet = self.read(&keys).await?;
        ensure!(set.keys.len() <= MOST_KEYS, "it has {} keys", set.keys.len());
        let by_id: HashMap<_, _> = set.keys.iter().filter_map(usable).collect();
        ensure!(!by_id.is_empty(), "it has no key for RS256");
        Ok(by_id)
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, place: &Url) -> anyhow::Result<T> {
        let answer = self.web.get(place, &[], None, MOST_ANSWER).await?;
        ensure!(answer.status.is_success(), "`{place}` answers {}", answer.status);
        serde_json::from_slice(&answer.body).with_context(|| format!("what `{place}` answers cannot be read"))
    }
}

/// The key with its id, when RS256 can be verified with it.
fn usable(key: &Jwk) -> Option<(String, DecodingKey)> {
    let AlgorithmParameters::RSA(_) = key.algorithm else { return None };
    let signs = key.common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    let fits = key.common.key_algorithm.is_none_or(|algorithm| algorithm == KeyAlgorithm::RS256);
    let id = key.common.key_id.clone()?;
    if signs && fits { DecodingKey::from_jwk(key).ok().map(|key| (id, key)) } else { None }
}
