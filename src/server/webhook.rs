//! `POST /webhooks/github`: verified, read, kept, answered.
//!
//! In this order, and each step only after the one before: form of the request, size, signature, delivery id, content,
//! allow-list, inbox. Nothing from a body is looked at before its signature is. A 2xx answer means that the delivery is
//! kept or that nobody wants it.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use warp::http::{HeaderMap, StatusCode};
use warp::reply::{Reply as _, Response};
use warp::{Buf, Filter, Rejection};

use super::metrics::Counted;
use super::payload::{self, Ignored, Told};
use super::{App, Refusal, ask};
use crate::domain::event::Key;
use crate::domain::ids::Digest;

/// How many bytes does a body have at most, mostly? That much room is made at once.
const USUAL_BODY: usize = 32 * 1024;

/// A webhook request that was signed by somebody who knows the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The sender's id for it, a UUID in lower case. A repetition has the same.
    pub id: String,
    /// The event's name: `push`, `pull_request`, `issue_comment`.
    pub event: String,
    /// The hash of the body.
    pub digest: Digest,
    /// What tells this happening from all others, whoever tells of it; none when the body does not say enough.
    pub meaning: Option<Digest>,
}

/// What the inbox made of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is new and kept.
    New,
    /// It was kept before, or another one that told of the same.
    Repeated,
    /// Another delivery with this id and a different body was kept before; this one is not.
    Conflicting,
}

pub(super) fn route(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let app = Arc::clone(app);
    warp::path!("webhooks" / "github")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |headers: HeaderMap, body| {
            let app = Arc::clone(&app);
            async move {
                let answer = receive(&app, &headers, body).await;
                app.tally.count(match &answer {
                    Ok((_, result)) => *result,
                    Err(Refusal(StatusCode::CONFLICT, _)) => Counted::Conflicting,
                    Err(Refusal(status, _)) if status.is_server_error() => Counted::Failed,
                    Err(_) => Counted::Refused,
                });
                answer.map_or_else(Response::from, |(response, _)| response)
            }
        })
}

async fn receive<B: Buf>(
    app: &App,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<(Response, Counted), Refusal> {
    check_form(headers)?;
    let body = read_body(app, headers, body, app.context.limits.body_bytes).await?;
    if !app.context.secrets.verify(headers, &body.bytes) {
        tracing::warn!("a webhook without a valid signature was refused");
        return Err(Refusal(StatusCode::UNAUTHORIZED, "the signature is missing or wrong"));
    }
    let (id, event) = names(headers)?;
    if event == "ping" {
        return Ok((warp::reply::json(&json!({ "status": "pong" })).into_response(), Counted::Ignored));
    }
    let Told { events, meaning } = match payload::read(&event, &body.bytes) {
        Ok(told) => told,
        Err(Ignored(reason)) => return Ok(ignored(&id, &event, &reason)),
    };
    let allowed = |key: &Key| match key {
        Key::Repository(repository) => app.context.repositories.allows(repository),
        Key::Pull(pull) => app.context.repositories.allows(&pull.repository),
        Key::Model(_) | Key::Sweep(_) | Key::Instance => false,
    };
    if let Some(keyed) = events.iter().find(|keyed| !allowed(&keyed.key)) {
        return Ok(ignored(&id, &event, &format!("{} is not on the list of repositories", keyed.key)));
    }
    let delivery = Delivery { id: id.clone(), event: event.clone(), digest: Digest::of(&body.bytes), meaning };
    // Nobody needs its bytes while the database takes its time.
    drop(body);
    let accepted = ask(app, app.context.inbox.accept(delivery, events)).await?;
    let (word, counted) = match accepted {
        Accepted::New => ("accepted", Counted::Accepted),
        Accepted::Repeated => ("repeated", Counted::Repeated),
        Accepted::Conflicting => {
            tracing::warn!(delivery.id = id, delivery.event = event, "a delivery came again with another body");
            return Err(Refusal(StatusCode::CONFLICT, "a delivery of this id was taken with another body"));
        }
    };
    tracing::info!(delivery.id = id, delivery.event = event, "delivery {word}");
    let answer = warp::reply::json(&json!({ "status": word }));
    Ok((warp::reply::with_status(answer, StatusCode::ACCEPTED).into_response(), counted))
}

fn ignored(id: &str, event: &str, reason: &str) -> (Response, Counted) {
    tracing::info!(delivery.id = id, delivery.event = event, reason, "delivery ignored");
    (warp::reply::json(&json!({ "status": "ignored", "reason": reason })).into_response(), Counted::Ignored)
}

/// Plain JSON and nothing else.
pub(super) fn check_form(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let plain = text(CONTENT_ENCODING).is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"))
        && headers.get_all(CONTENT_TYPE).iter().count() <= 1;
    if !kind.eq_ignore_ascii_case("application/json") || !plain {
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send plain JSON: set the webhook's content type to `application/json`",
        ));
    }
    Ok(())
}

/// The delivery's id and the event's name.
fn names(headers: &HeaderMap) -> Result<(String, String), Refusal> {
    let one = |name: &str| {
        let mut given = headers.get_all(name).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return None };
        value.to_str().ok()
    };
    let is_uuid = |text: &&str| text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
    let Some(id) = one("x-github-delivery").filter(is_uuid) else {
        return Err(Refusal(StatusCode::BAD_REQUEST, "the header `X-GitHub-Delivery` must be one UUID"));
    };
    let is_word = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let Some(event) = one("x-github-event").filter(is_word) else {
        return Err(Refusal(StatusCode::BAD_REQUEST, "the header `X-GitHub-Event` must be one event's name"));
    };
    Ok((id.to_ascii_lowercase(), event.to_owned()))
}

/// Reads a body of at most `most` bytes, and not for ever.
pub(super) async fn read_body<B: Buf>(
    app: &App,
    headers: &HeaderMap,
    stream: impl Stream<Item = Result<B, warp::Error>> + Send,
    most: usize,
) -> Result<Body, Refusal> {
    let read = Body::read(headers, stream, most, &app.memory);
    let read = tokio::time::timeout(app.context.limits.body, read).await;
    read.unwrap_or_else(|_| Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long")))
}

/// A request's body, with its share of the memory that bodies may take.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
}

impl Body {
    async fn read<B: Buf>(
        headers: &HeaderMap,
        stream: impl Stream<Item = Result<B, warp::Error>>,
        limit: usize,
        memory: &Arc<Semaphore>,
    ) -> Result<Self, Refusal> {
        let too_large = || Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        // As much as it says, but no more than what most bodies have: anybody can say anything.
        let expected = announced.unwrap_or_default().min(USUAL_BODY);
        let mut body = Self { bytes: Vec::with_capacity(expected), held: None };
        let mut stream = pin!(stream);
        while let Some(chunk) = stream.next().await {
            let mut chunk = chunk.map_err(|_| Refusal(StatusCode::BAD_REQUEST, "the body broke off before its end"))?;
            while chunk.has_remaining() {
                let part = chunk.chunk();
                if body.bytes.len() + part.len() > limit {
                    return Err(too_large());
                }
                body.hold(memory, part.len())?;
                body.bytes.extend_from_slice(part);
                let length = part.len();
                chunk.advance(length);
            }
        }
        Ok(body)
    }

    /// Takes `length` more bytes of the common memory, or gives up at once: to wait would hold what is held.
    fn hold(&mut self, memory: &Arc<Semaphore>, length: usize) -> Result<(), Refusal> {
        let more = u32::try_from(length).ok().and_then(|length| Arc::clone(memory).try_acquire_many_owned(length).ok());
        let Some(more) = more else {
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once; try again later"));
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}
