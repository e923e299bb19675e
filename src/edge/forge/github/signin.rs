//! Signing people in with GitHub, and what somebody's own token may read.
//!
//! A person's token is used for one question and let go. It is asked with a client of its own: what GitHub says of that
//! token's limits has nothing to do with ours, and its answers are kept for nobody else.
//!
//! Source: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app>

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::answers::Account;
use super::{GitHub, Result};
use crate::domain::forge::User;
use crate::domain::ids::Repository;
use crate::domain::report::percent_encoded;
use crate::edge::forge::ForgeError;
use crate::edge::web::bounded;

/// How long may GitHub take? Somebody waits before an empty page.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const MOST_BYTES: usize = 1024 * 1024;

/// By what GitHub knows us when it sends people back.
#[derive(Debug, Clone)]
pub struct SignInApp {
    /// The App's client id.
    pub client_id: String,
    /// The secret that goes with it.
    pub client_secret: SecretString,
}

/// What GitHub is asked when somebody wants to sign in.
#[derive(Debug, Clone, Copy)]
pub struct SignInRequest<'a> {
    /// Where GitHub sends the browser back to.
    pub back: &'a str,
    /// A word that comes back with the browser.
    pub state: &'a str,
    /// The SHA-256 of a word that is told only when the code is exchanged, as PKCE has it.
    pub challenge: &'a str,
}

/// What the browser came back with.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn<'a> {
    /// GitHub's code, good once.
    pub code: &'a str,
    /// Where the browser was sent back to.
    pub back: &'a str,
    /// The word whose hash was told before.
    pub verifier: &'a str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<SecretString>,
    error: Option<String>,
}

impl GitHub {
    /// GitHub's page on which somebody agrees to sign in here; none where nobody can.
    #[must_use]
    pub fn sign_in_address(&self, asked: &SignInRequest<'_>) -> Option<String> {
        let app = self.settings.sign_in.as_ref()?;
        let pairs = [
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", asked.back),
            ("state", asked.state),
            ("code_challenge", asked.challenge),
            ("code_challenge_method", "S256"),
        ];
        Some(format!("{}/login/oauth/authorize?{}", self.web(), form(&pairs)))
    }

    /// Who it is that came back with a code.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when GitHub does not take the code.
    pub async fn signed_in(&self, back: &SignedIn<'_>) -> Result<User> {
        let Some(app) = &self.settings.sign_in else {
            return Err(ForgeError::Never(anyhow!("nobody can sign in here")));
        };
        let pairs = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", app.client_secret.expose_secret()),
            ("code", back.code),
            ("redirect_uri", back.back),
            ("code_verifier", back.verifier),
        ];
        let request = self.people.post(format!("{}/login/oauth/access_token", self.web()));
        let request = request.header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(&pairs));
        let asked = "a code for a token";
        let answer: TokenAnswer = read(send(request, asked).await?, asked).await?;
        let token = answer.access_token.ok_or_else(|| {
            let error: String =
                answer.error.unwrap_or_default().chars().filter(char::is_ascii_graphic).take(80).collect();
            ForgeError::Never(anyhow!("GitHub does not take the code: `{error}`"))
        })?;
        let route = "/user";
        let request = self.people.get(self.api(route)).header(AUTHORIZATION, bearer(&token)?);
        let account: Account = read(send(request, route).await?, route).await?;
        Ok(account.into())
    }

    /// Whether whoever has this token can read the repository's files with it. Its name alone is shown to every App that
    /// somebody let into it, whatever else was refused.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn can_read(&self, repository: &Repository, token: &SecretString) -> Result<bool> {
        // By number: the name may be somebody else's by now.
        let route = format!("/repositories/{}/branches?per_page=1", repository.id);
        let request = self.people.get(self.api(&route)).header(AUTHORIZATION, bearer(token)?);
        match send(request, &route).await {
            // A page for people comes from somewhere in between.
            Ok(response) => read::<Vec<IgnoredAny>>(response, &route).await.map(|_| true),
            Err(ForgeError::Later(error)) => Err(ForgeError::Later(error)),
            Err(_) => Ok(false),
        }
    }

    /// Whether GitHub takes the token for one. What is asked counts for nobody's limit.
    ///
    /// # Errors
    /// When GitHub does not answer.
    pub async fn is_token(&self, token: &SecretString) -> anyhow::Result<bool> {
        let route = "/rate_limit";
        let request = self.people.get(self.api(route)).header(AUTHORIZATION, bearer(token)?);
        match request.send().await.map_err(|error| later(error, route))?.status() {
            StatusCode::UNAUTHORIZED => Ok(false),
            // An instance of one's own may have no limits.
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(true),
            status => anyhow::bail!("GitHub answers {} to {route}", status.as_u16()),
        }
    }

    /// Where people see repositories: `https://github.com`.
    #[must_use]
    pub fn web(&self) -> &str {
        self.settings.git.trim_end_matches('/')
    }

    fn api(&self, route: &str) -> String {
        format!("{}{route}", self.settings.api.trim_end_matches('/'))
    }
}

/// A client that follows nobody elsewhere.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("modelship"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .build();
    client.context("cannot make a client for GitHub")
}

fn bearer(token: &SecretString) -> Result<HeaderValue> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut bearer = bearer.context("the token cannot be sent").map_err(ForgeError::Never)?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// Sends the request and takes every refusal for one. No error holds an address: the code stands in some.
async fn send(request: RequestBuilder, asked: &str) -> Result<Response> {
    let response = request.send().await.map_err(|error| later(error, asked))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let limited = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::FORBIDDEN
            && response.headers().get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    let error = anyhow!("GitHub answers {} to {asked}", status.as_u16());
    if status.is_server_error() || limited { Err(ForgeError::Later(error)) } else { Err(ForgeError::Never(error)) }
}

async fn read<T: DeserializeOwned>(response: Response, asked: &str) -> Result<T> {
    let read = async { Ok(serde_json::from_slice(&bounded(response, MOST_BYTES).await?)?) };
    let read: anyhow::Result<T> = read.await;
    read.with_context(|| format!("GitHub's answer to {asked} is not what it should be")).map_err(ForgeError::Later)
}

fn later(error: reqwest::Error, asked: &str) -> ForgeError {
    ForgeError::Later(anyhow::Error::new(error.without_url()).context(format!("cannot ask GitHub for {asked}")))
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    pairs.join("&")
}
