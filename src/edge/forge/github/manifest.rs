//! Making a GitHub App from a manifest: GitHub shows the form, its owner agrees, and we exchange a code for the App's
//! number, key and secret.
//!
//! Source: <https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>

use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::EVENTS;
use super::client::Client;
use super::tokens::PERMISSIONS;
use crate::edge::forge::ForgeError;

/// What an App is to be.
#[derive(Debug, Clone)]
pub struct AppWish {
    /// Its name, unique on GitHub.
    pub name: String,
    /// The server's public address.
    pub url: String,
    /// Where GitHub sends its owner afterwards.
    pub redirect: String,
}

impl AppWish {
    /// The manifest that GitHub is given.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let url = self.url.trim_end_matches('/');
        let permissions: serde_json::Map<String, Value> =
            PERMISSIONS.iter().map(|(name, level)| ((*name).to_owned(), json!(level))).collect();
        json!({
            "name": self.name,
            "url": url,
            "description": "Builds simulation models and runs the parameter sweeps that pull requests declare",
            "hook_attributes": {"url": format!("{url}/webhooks/github"), "active": true},
            "redirect_url": self.redirect,
            "public": false,
            "default_permissions": permissions,
            "default_events": EVENTS,
        })
    }
}

/// An App that GitHub made.
#[derive(Debug, Deserialize)]
pub struct NewApp {
    /// Its number.
    pub id: u64,
    /// What it is called in addresses.
    pub slug: String,
    /// Its page.
    pub html_url: String,
    /// Its private key, in PEM.
    pub pem: SecretString,
    /// The secret that signs its webhooks.
    pub webhook_secret: SecretString,
}

/// Exchanges the code that GitHub gave its owner for the App. A code is good once, for an hour.
///
/// # Errors
/// When GitHub does not know the code.
pub async fn convert(api: &str, code: &str) -> Result<NewApp, ForgeError> {
    let client = Client::new(api, None).map_err(ForgeError::Never)?;
    let route = format!("/app-manifests/{code}/conversions");
    client.write(None, Method::POST, &route, None).await?.json(&route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_asks_for_what_is_used_and_nothing_else() {
        let wish = AppWish {
            name: "our models".to_owned(),
            url: "https://models.example.org/".to_owned(),
            redirect: "http://127.0.0.1:4000/created".to_owned(),
        };
        insta::assert_json_snapshot!(wish.manifest(), @r#"
        {
          "name": "our models",
          "url": "https://models.example.org",
          "description": "Builds simulation models and runs the parameter sweeps that pull requests declare",
          "hook_attributes": {
            "url": "https://models.example.org/webhooks/github",
            "active": true
          },
          "redirect_url": "http://127.0.0.1:4000/created",
          "public": false,
          "default_permissions": {
            "checks": "write",
            "contents": "read",
            "deployments": "write",
            "issues": "write",
            "metadata": "read",
            "pull_requests": "write"
          },
          "default_events": [
            "push",
            "pull_request",
            "issue_comment",
            "check_run",
            "check_suite",
            "deployment"
          ]
        }
        "#);
    }
}
