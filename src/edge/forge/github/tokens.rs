//! Who we are to GitHub: an App with its installations, or the owner of a token.
//!
//! An installation's token is asked for one repository and with the permissions that we need, or for nothing but to see
//! which repositories there are. It is used until shortly before it ends and never written down. No form is expected of
//! it. One for each repository costs a request in fifty minutes, and what goes wrong with one reaches no other.
//!
//! Source: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::{Method, StatusCode};
use octocrab::auth::create_jwt;
use octocrab::models::AppId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::client::{Client, status_of};
use crate::edge::forge::ForgeError;

/// What an App needs to be allowed, as GitHub calls it.
pub const PERMISSIONS: &[(&str, &str)] = &[
    ("checks", "write"),
    ("contents", "read"),
    ("deployments", "write"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
];

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

/// How long is a token of the App's own used? It says itself that it ends after nine minutes.
const OWN_USED_FOR: Duration = Duration::from_secs(5 * 60);

/// What an installation's token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// To see which repositories the installation holds.
    List,
    /// To work in the repository of this number.
    Repository(i64),
}

/// The tokens in use.
#[derive(Debug)]
pub(super) struct Tokens {
    login: Login,
    own: Mutex<Option<Known>>,
    /// By the installation's number.
    installations: Mutex<HashMap<(i64, Scope), Known>>,
    /// Held while one is asked for, so that nobody else asks for the same.
    asking: tokio::sync::Mutex<()>,
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
        Self { login, own: Mutex::default(), installations: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// The token by which the App itself speaks; good for some minutes.
    pub(super) fn app(&self) -> Result<Arc<SecretString>, ForgeError> {
        let Login::App { id, key } = &self.login else {
            return Err(ForgeError::Never(anyhow!("only a GitHub App can ask that; this instance has a token")));
        };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.as_ref().filter(|known| known.until > Instant::now()) {
            return Ok(Arc::clone(&known.token));
        }
        let made = jsonwebtoken::EncodingKey::from_rsa_pem(key.expose_secret().as_bytes())
            .and_then(|key| create_jwt(AppId(*id), &key))
            .context("the App's private key is no RSA key in PEM");
        let token = made.map(|token| Arc::new(SecretString::from(token))).map_err(ForgeError::Never)?;
        *own = Some(Known { token: Arc::clone(&token), until: Instant::now() + OWN_USED_FOR });
        Ok(token)
    }

    /// The token by which we speak as the installation `id`.
    pub(super) async fn installation(
        &self,
        client: &Client,
        id: i64,
        scope: Scope,
    ) -> Result<Arc<SecretString>, ForgeError> {
        if let Some(token) = self.known(id, scope) {
            return Ok(token);
        }
        let _asking = self.asking.lock().await;
        if let Some(token) = self.known(id, scope) {
            return Ok(token);
        }
        let now = Instant::now();
        let route = format!("/app/installations/{id}/access_tokens");
        let app = self.app()?;
        let answer = match scope {
            Scope::List => {
                let wanted = json!({ "permissions": {"metadata": "read"} });
                client.write(&*app, Method::POST, &route, &wanted).await?
            }
            Scope::Repository(number) => {
                let permissions: BTreeMap<&str, &str> = PERMISSIONS.iter().copied().collect();
                let wanted = json!({ "repository_ids": [number], "permissions": permissions });
                match client.write(&*app, Method::POST, &route, &wanted).await {
                    // Who made the App before we needed a permission has not granted it yet. All else goes on with what
                    // there is.
                    Err(error) if status_of(&error) == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                        let wanted = json!({ "repository_ids": [number] });
                        let answer = client.write(&*app, Method::POST, &route, &wanted).await?;
                        tracing::warn!("the App's installation {id} lacks permissions; `modelship doctor` says which");
                        answer
                    }
                    answer => answer?,
                }
            }
        };
        let token = Arc::new(answer.json::<NewToken>(&route)?.token);
        let known = Known { token: Arc::clone(&token), until: now + USED_FOR };
        let mut installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        installations.retain(|_, known| known.until > now);
        installations.insert((id, scope), known);
        Ok(token)
    }

    fn known(&self, id: i64, scope: Scope) -> Option<Arc<SecretString>> {
        let installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = installations.get(&(id, scope)).filter(|known| known.until > Instant::now());
        known.map(|known| Arc::clone(&known.token))
    }

    /// Forgets the token by which we worked in the repository of that number.
    pub(super) fn forget_repository(&self, number: i64) {
        let mut installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        installations.retain(|(_, scope), _| *scope != Scope::Repository(number));
    }

    /// Forgets all tokens that GitHub gave us, as it no longer takes one of them.
    pub(super) fn forget(&self) {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
