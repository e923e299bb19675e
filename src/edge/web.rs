//! Requests to addresses that settings name, with everything bounded: time, size, where they may lead.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url, redirect};

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
    /// Who answered: where the address led to in the end.
    pub(super) place: Url,
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
            |attempt| match check_hops(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(reason) => attempt.error(reason),
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
        let answer = request.send().await.with_context(|| format!("`{host}` does not answer"))?;
        let (end, status, headers) = (answer.url().clone(), answer.status(), answer.headers().clone());
        let body = bounded(answer, most).await.with_context(|| format!("cannot read what `{host}` answers"))?;
        Ok(Answer { place: end, status, headers, body })
    }
}

/// Whether an address may lead on from `before`, the first of which we asked for, to `next`.
fn check_hops(before: &[Url], next: &Url) -> Result<(), &'static str> {
    let is_local = before.first().is_some_and(is_loopback);
    let came_by_https = before.last().is_some_and(|before| before.scheme() == "https");
    if before.len() > MOST_HOPS {
        Err("it leads from one address to another without end")
    } else if !is_local && is_loopback(next) {
        Err("it leads to this very machine")
    } else if next.scheme() != "https" && (came_by_https || !is_loopback(next)) {
        Err("it leads away from HTTPS")
    } else {
        Ok(())
    }
}

/// The body of an answer of at most so many bytes. No error holds the address.
pub(super) async fn bounded(mut answer: Response, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url).context("the answer broke off")? {
        if body.len() + piece.len() > most {
            bail!("the answer is longer than {most} bytes");
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
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

    #[test]
    fn no_address_leads_to_less_safety() {
        let leads = |hops: &[&str], next: &str| {
            let hops: Vec<Url> = hops.iter().map(|hop| Url::parse(hop).unwrap()).collect();
            check_hops(&hops, &Url::parse(next).unwrap())
        };
        for (hop, next) in [
            ("https://example.org", "https://files.example.net/x"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/x"),
            ("http://127.0.0.1:5000", "https://files.example.net/x"),
        ] {
            assert_eq!(leads(&[hop], next), Ok(()), "{hop} to {next}");
        }
        for (hop, next) in [
            ("https://example.org", "http://example.org"),
            ("https://127.0.0.1", "http://127.0.0.1"),
            ("https://example.org", "https://127.0.0.1/x"),
            ("https://example.org", "https://[::1]/x"),
            ("http://127.0.0.1:5000", "http://169.254.169.254/latest"),
            ("https://example.org", "ftp://example.org"),
        ] {
            assert!(leads(&[hop], next).is_err(), "{hop} to {next}");
        }
        let back = ["http://127.0.0.1", "https://example.org"];
        assert!(leads(&back, "http://127.0.0.1").is_err(), "away from HTTPS on the way");
        assert!(leads(&["https://example.org"; 6], "https://example.org").is_err());
    }
}
