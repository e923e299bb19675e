//! Who we are to GitHub: an App with its installations, or the owner of a token.
//!
//! An installation's token is asked for with just the repositories' own installation and the permissions that we need,
//! used until shortly before it ends and never written down. No form is expected of it.
//!
//! Source: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::Method;
use octocrab::auth::create_jwt;
use octocrab::models::AppId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::client::Client;
use crate::edge::forge::ForgeError;

/// What an App needs to be allowed, as GitHub calls it.
pub const PERMISSIONS: &[(&str, &str)] =
    &[("checks", "write"), ("contents", "read"), ("issues", "write"), ("metadata", "read"), ("pull_requests", "write")];

/// How long is an installation's token used? GitHub lets it live for an hour; both clocks may be off a little.
const USED_FOR: Duration = Duration::from_secs(50 * 60);

/// How we log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// As a GitHub App.
    App {
        /// The App's number.
        id: u64,
        /// Its private key, in PEM.
        key: SecretString,
    },
    /// With a token of somebody's, for small set-ups.
    Token(SecretString),
}

/// The tokens in use.
#[derive(Debug)]
pub(super) struct Tokens {
    login: Login,
    installations: Mutex<HashMap<i64, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    token: Arc<SecretString>,
    until: Instant,
}

#[derive(Deserialize)]
struct NewToken {
    token: SecretString,
}

impl Tokens {
    pub(super) fn new(login: Login) -> Self {
        Self { login, installations: Mutex::default() }
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// The token by which the App itself speaks; good for some minutes.
    pub(super) fn app(&self) -> Result<SecretString, ForgeError> {
        let Login::App { id, key } = &self.login else {
            return Err(ForgeError::Never(anyhow!("only a GitHub App can ask that; this instance has a token")));
        };
        let made = jsonwebtoken::EncodingKey::from_rsa_pem(key.expose_secret().as_bytes())
            .and_then(|key| create_jwt(AppId(*id), &key))
            .context("the App's private key is no RSA key in PEM");
        made.map(SecretString::from).map_err(ForgeError::Never)
    }

    /// The token by which we speak of what the installation holds.
    pub(super) async fn installation(&self, client: &Client, id: i64) -> Result<Arc<SecretString>, ForgeError> {
        if let Login::Token(token) = &self.login {
            return Ok(Arc::new(token.clone()));
        }
        let known = self.installations.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(known) = known.filter(|known| known.until > Instant::now()) {
            return Ok(known.token);
        }
        let until = Instant::now() + USED_FOR;
        let permissions: HashMap<&str, &str> = PERMISSIONS.iter().copied().collect();
        let route = format!("/app/installations/{id}/access_tokens");
        let answer = client.write(&self.app()?, Method::POST, &route, &json!({ "permissions": permissions })).await?;
        let token = Arc::new(answer.json::<NewToken>(&route)?.token);
        let known = Known { token: Arc::clone(&token), until };
        self.installations.lock().unwrap_or_else(PoisonError::into_inner).insert(id, known);
        Ok(token)
    }

    /// Forgets the tokens of installations, as GitHub no longer takes one of them.
    pub(super) fn forget(&self) {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
