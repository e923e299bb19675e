//! Sends deliveries to the server, signed.

use std::error::Error as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::error::{Context as _, refused};
use super::{Delivery, LocalForge, Result};

/// How long the server may take to answer, as with GitHub.
const PATIENCE: Duration = Duration::from_secs(10);

/// How we name ourselves to the server.
const USER_AGENT: &str = "GitHub-Hookshot/modelship-local";

/// Most bytes of an answer that are kept for people.
const MAX_ANSWER: usize = 500;

/// How a delivery fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryResult {
    /// The delivery's id.
    pub id: String,
    /// The event's name.
    pub event: &'static str,
    /// How it fared.
    pub outcome: DeliveryOutcome,
}

/// How a delivery fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The server took it.
    Accepted {
        /// The HTTP status, 2xx.
        status: u16,
    },
    /// The server answered and did not take it.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The start of the answer.
        answer: String,
    },
    /// The server did not answer. It finds out by itself what happened once it looks.
    Unanswered {
        /// Why.
        reason: String,
    },
}

impl LocalForge {
    /// Sends the deliveries one after another, in order. A server that does not answer is no error: the outcomes say so,
    /// and what comes after is not tried.
    ///
    /// # Errors
    /// When the forge's address or secret cannot be read.
    pub async fn deliver(&self, deliveries: &[Delivery]) -> Result<Vec<DeliveryResult>> {
        let url = format!("{}/webhooks/github", self.url()?);
        let secret = self.webhook_secret()?;
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .context(|| "failed to set up the HTTP client".to_owned())?;
        let mut results: Vec<DeliveryResult> = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let silent =
                matches!(results.last(), Some(DeliveryResult { outcome: DeliveryOutcome::Unanswered { .. }, .. }));
            let outcome = if silent {
                DeliveryOutcome::Unanswered { reason: "not tried, as the one before was not answered".to_owned() }
            } else {
                send(&client, &url, &secret, delivery).await
            };
            results.push(DeliveryResult { id: delivery.id.clone(), event: delivery.event, outcome });
        }
        Ok(results)
    }
}

async fn send(client: &Client, url: &str, secret: &SecretString, delivery: &Delivery) -> DeliveryOutcome {
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("user-agent", USER_AGENT)
        .header("x-github-event", delivery.event)
        .header("x-github-delivery", &delivery.id)
        .header("x-hub-signature-256", signature(secret, delivery.body.as_bytes()))
        .body(delivery.body.clone());
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return DeliveryOutcome::Unanswered { reason: reason(&error) },
    };
    let status = answer.status();
    if status.is_success() {
        return DeliveryOutcome::Accepted { status: status.as_u16() };
    }
    let text = answer.text().await.unwrap_or_default();
    DeliveryOutcome::Rejected { status: status.as_u16(), answer: text.chars().take(MAX_ANSWER).collect() }
}

/// The innermost cause, which says what happened; the outer ones say that something did.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} seconds", PATIENCE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.source().is_some() { cause.to_string() } else { error.to_string() }
}

/// What `X-Hub-Signature-256` says for this body: `sha256=` and the HMAC in hexadecimal.
#[must_use]
pub fn signature(secret: &SecretString, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("any length is a key");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The server's address without a `/` at its end.
pub(super) fn server_address(url: &str) -> Result<String> {
    let no = |reason: &str| Err(refused(format!("`{url}` is not a server's address: {reason}")));
    let Ok(parsed) = Url::parse(url) else { return no("write it as `http://127.0.0.1:8080`") };
    if parsed.scheme() != "http" {
        return no("it must begin with `http://`");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() || !parsed.username().is_empty() {
        return no("it may hold a host, a port and a path only");
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_github_documents() {
        let secret = SecretString::from("It's a Secret to Everybody");
        assert_eq!(
            signature(&secret, b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn a_servers_address_is_plain_http() {
        assert_eq!(server_address("http://127.0.0.1:8080/").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(server_address("http://host/ship").unwrap(), "http://host/ship");
        for url in ["", "host:80", "file:///etc", "https://host", "http://a@host", "http://host?x", "gopher://x"] {
            assert!(server_address(url).is_err(), "{url}");
        }
    }
}
