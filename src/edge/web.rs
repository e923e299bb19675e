//! Requests to addresses that settings name, with everything bounded: time, size, where they may lead.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};

use crate::domain::host;

/// How long may a connection take to be there?
const CONNECT: Duration = Duration::from_secs(10);

/// How long may an answer take as a whole?
const PATIENCE: Duration = Duration::from_secs(30);

/// How often may one address lead to another?
const MOST_HOPS: usize = 5;

/// Asks one place.
#[derive(Debug, Clone)]
pub(super) struct Web {
    client: Client,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Web {
    /// Gets ready to ask the server of `place`. Plain HTTP is for this machine alone.
    pub(super) fn new(place: &Url) -> anyhow::Result<Self> {
        let local = is_loopback(place);
        ensure!(
            place.scheme() == "https" || (place.scheme() == "http" && local),
            "`{place}` is neither HTTPS nor on this machine"
        );
        let builder = Client::builder().connect_timeout(CONNECT).timeout(PATIENCE).redirect(redirect::Policy::custom(
            |attempt| {
                let came_by_https = attempt.previous().last().is_some_and(|before| before.scheme() == "https");
                if attempt.previous().len() > MOST_HOPS {
                    attempt.error("it leads from one address to another without end")
                } else if came_by_https && attempt.url().scheme() != "https" {
                    attempt.error("it leads away from HTTPS")
                } else {
                    attempt.follow()
                }
            },
        ));
        // A proxy is for what lies outside.
        let builder = if local { builder.no_proxy() } else { builder };
        Ok(Self { client: builder.build().context("cannot make a client for HTTP")? })
    }

    /// Asks for `place`, and reads at most `most` bytes. What `authorization` says is not passed on to other hosts.
    pub(super) async fn get(
        &self,
        place: &Url,
        headers: &[(HeaderName, &str)],
        authorization: Option<&HeaderValue>,
        most: usize,
    ) -> anyhow::Result<Answer> {
        let mut request = self.client.get(place.clone());
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        let host = place.host_str().unwrap_or_default();
        let mut answer = request.send().await.with_context(|| format!("`{host}` does not answer"))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.with_context(|| format!("the answer of `{host}` broke off"))? {
            if body.len() + piece.len() > most {
                bail!("the answer of `{host}` is longer than {most} bytes");
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, headers, body })
    }
}

/// Whether the address is one of this machine.
pub(super) fn is_loopback(place: &Url) -> bool {
    place.host_str().is_some_and(host::is_loopback)
}

/// Whether both are answered by the same server.
pub(super) fn is_same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let may = |place: &str| Web::new(&Url::parse(place).unwrap()).is_ok();
        assert!(may("https://example.org") && may("http://127.0.0.1:5000/v2/") && may("http://localhost"));
        assert!(may("http://[::1]:80"));
        assert!(!may("http://example.org") && !may("http://169.254.169.254/") && !may("http://127.0.0.1.example.org"));
        assert!(!may("ftp://localhost") && !may("file:///etc/passwd"));
    }
}
