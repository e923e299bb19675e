//! `POST /webhooks/registry`: a registry tells that an image was pushed to it.
//!
//! A registry of one's own shows a secret in a header; Docker Hub can only call an address, so there the secret is
//! the address's last part. It is looked at before the body is. What the body says is a hint and nothing more: the image is
//! looked up in a registry that the settings name, and nobody calls an address that a body gives.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::future::try_join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use warp::http::header::CONTENT_TYPE;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::{Reply as _, Response};
use warp::{Buf, Filter, Rejection};

use super::credentials::bearer;
use super::metrics::Counted;
use super::offers::{OfferDoors, Sender};
use super::webhook::{check_form, read_body};
use super::{Accepted, App, Delivery, Refusal, ask};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::Digest;
use crate::domain::image::is_tag;

/// Most bytes of what a registry tells at once.
const MOST_BYTES: usize = 1024 * 1024;

/// Most happenings that it tells of at once.
const MOST_EVENTS: usize = 1000;

/// What a pushed image's manifest may be. Layers are pushed too, and are none.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// An image that was pushed, as a registry tells.
#[derive(Debug, PartialEq, Eq)]
struct Pushed {
    /// Tells this push from all others.
    id: String,
    sender: Sender,
    repository: String,
    /// A tag or a digest.
    reference: String,
    /// The hash of what was told of it.
    digest: Digest,
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let app = Arc::clone(app);
    let open = warp::path!("webhooks" / "registry").map(|| None);
    let secret = warp::path!("webhooks" / "registry" / String).map(Some);
    open.or(secret)
        .unify()
        .and(warp::post())
        .and(warp::any().map(move || Arc::clone(&app)))
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(async |secret: Option<String>, app: Arc<App>, headers: HeaderMap, body| {
            let answer = receive(&app, secret, &headers, body).await;
            app.tally.count(match &answer {
                Ok((_, counted)) => *counted,
                Err(Refusal(status, _)) if status.is_server_error() => Counted::Failed,
                Err(_) => Counted::Refused,
            });
            answer.map_or_else(Response::from, |(response, _)| response)
        })
}

async fn receive<B: Buf>(
    app: &App,
    secret: Option<String>,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<(Response, Counted), Refusal> {
    let closed =
        Refusal(StatusCode::FORBIDDEN, "this server does not listen to registries: set its `server.registry_secret`");
    let doors = &app.context.offers;
    if doors.registry_secrets.is_empty() {
        return Err(closed);
    }
    let shown = secret.map(SecretString::from).or_else(|| bearer(headers)).unwrap_or_default();
    if !is_known(&doors.registry_secrets, shown.expose_secret()) {
        tracing::warn!("a registry's webhook without the secret was refused");
        return Err(Refusal(StatusCode::UNAUTHORIZED, "the secret is missing or wrong"));
    }
    if !is_notification(headers) {
        check_form(headers)?;
    }
    let body = read_body(app, headers, body, MOST_BYTES).await?;
    let told: Value = serde_json::from_slice(&body.bytes)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "what a registry tells is JSON"))?;
    let pushed = read(&told, &body.bytes);
    if pushed.len() > MOST_EVENTS {
        return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "too many happenings at once"));
    }
    let kept = pushed.into_iter().filter_map(|pushed| keep(app, doors, pushed));
    let kept = try_join_all(kept).await?;
    let counted = match () {
        () if kept.contains(&Accepted::New) => Counted::Accepted,
        () if kept.contains(&Accepted::Repeated) => Counted::Repeated,
        () if kept.contains(&Accepted::Conflicting) => Counted::Conflicting,
        () => Counted::Ignored,
    };
    let new = kept.iter().filter(|accepted| **accepted == Accepted::New).count();
    tracing::info!(image.count = new, "a registry told of {new} new images");
    // A registry sends again whatever is not answered with 2xx, and what is not wanted now is not wanted then.
    let answer = json!({"accepted": new, "repeated": kept.len() - new});
    let status = if kept.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((warp::reply::with_status(warp::reply::json(&answer), status).into_response(), counted))
}

/// Keeps what was told of an image; none when it is not one that this server would take.
fn keep<'a>(
    app: &'a App,
    doors: &OfferDoors,
    pushed: Pushed,
) -> Option<impl Future<Output = Result<Accepted, Refusal>> + use<'a>> {
    let Pushed { id, sender, repository, reference, digest } = pushed;
    let images = doors.offers.accepted(sender, &repository);
    let events: Vec<_> = images
        .into_iter()
        .enumerate()
        .map(|(nth, image)| {
            let id = if nth == 0 { id.clone() } else { format!("{id}-{nth}") };
            Keyed { key: Key::Instance, event: Event::ImagePushed { image, reference: reference.clone(), id } }
        })
        .collect();
    let delivery = Delivery { id, event: "image".to_owned(), digest, meaning: None };
    (!events.is_empty()).then_some(async move { ask(app, app.context.inbox.accept(delivery, events)).await })
}

/// Whether one of the secrets is `shown`. Takes the same time whichever byte is wrong.
fn is_known(secrets: &[SecretString], shown: &str) -> bool {
    secrets.iter().fold(false, |known, secret| {
        let key = secret.expose_secret().as_bytes();
        let mac = |text: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
            mac.update(text);
            mac
        };
        mac(shown.as_bytes()).verify_slice(&mac(key).finalize().into_bytes()).is_ok() | known
    })
}

/// Whether it is what registries by the name of Distribution call their notifications.
fn is_notification(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("application/vnd.docker.distribution.events.") && kind.ends_with("+json")
}

/// What Distribution's notifications say, as far as it matters here.
#[derive(Debug, Deserialize, Serialize)]
struct Notification {
    id: String,
    action: String,
    target: Target,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    repository: String,
}

/// What Docker Hub's webhook says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct HubPush {
    push_data: HubData,
    repository: HubRepository,
}

#[derive(Debug, Deserialize)]
struct HubData {
    tag: String,
}

#[derive(Debug, Deserialize)]
struct HubRepository {
    repo_name: String,
}

/// The images that were pushed. What is anything else is left out.
fn read(told: &Value, bytes: &[u8]) -> Vec<Pushed> {
    if let Some(events) = told.get("events").and_then(Value::as_array) {
        return events.iter().filter_map(|event| notified(Notification::deserialize(event).ok()?)).collect();
    }
    let Ok(HubPush { push_data, repository }) = HubPush::deserialize(told) else { return Vec::new() };
    if !is_tag(&push_data.tag) {
        return Vec::new();
    }
    // It has no id of its own; told again it says the same.
    let digest = Digest::of(bytes);
    let id = format!("hub-{}", digest.hex());
    let (repository, reference) = (repository.repo_name, push_data.tag);
    vec![Pushed { id, sender: Sender::DockerHub, repository, reference, digest }]
}

fn notified(told: Notification) -> Option<Pushed> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let has_id = (1..=128).contains(&told.id.len()) && told.id.bytes().all(plain);
    let is_image = told.action == "push" && MANIFESTS.contains(&told.target.media_type.as_str());
    let digest = Digest::parse(told.target.digest.as_str()).ok()?;
    if !has_id || !is_image {
        return None;
    }
    // Not the whole message: a registry may tell of it again together with others.
    let body = serde_json::to_string(&told).ok()?;
    Some(Pushed {
        id: format!("registry-{}", told.id),
        sender: Sender::Registry,
        repository: told.target.repository,
        reference: digest.to_string(),
        digest: Digest::of(&body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushes(told: &Value) -> Vec<(String, String, String)> {
        let read = read(told, told.to_string().as_bytes()).into_iter();
        read.map(|pushed| (pushed.id, pushed.repository, pushed.reference)).collect()
    }

    #[test]
    fn of_a_registrys_notifications_only_pushed_images_count() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let event = |id: &str, action: &str, kind: &str| {
            let target = json!({"mediaType": kind, "digest": digest, "repository": "models/tax", "size": 1, "length": 1,
                "url": "http://169.254.169.254/", "tag": "v1"});
            json!({"id": id, "timestamp": "2026-11-21T10:00:00Z", "action": action, "target": target,
                "request": {"id": "r", "host": "evil.example.org"}, "actor": {}, "source": {"addr": "x:1"}})
        };
        let told = json!({"events": [
            event("1", "push", MANIFESTS[0]),
            event("2", "pull", MANIFESTS[0]),
            event("3", "push", "application/octet-stream"),
            event("", "push", MANIFESTS[0]),
            event("a b", "push", MANIFESTS[0]),
            event("4", "push", MANIFESTS[2]),
            {"id": 5},
        ]});
        let push = |id: &str| (format!("registry-{id}"), "models/tax".to_owned(), digest.clone());
        assert_eq!(pushes(&told), [push("1"), push("4")]);
    }

    #[test]
    fn docker_hub_tells_of_a_tag() {
        let told = json!({
            "callback_url": "http://169.254.169.254/",
            "push_data": {"pushed_at": 1417566161, "pusher": "ada", "tag": "latest"},
            "repository": {"repo_name": "urban/tax", "repo_url": "https://hub.docker.com/r/urban/tax", "name": "tax"},
        });
        let [(id, repository, reference)] = pushes(&told).try_into().unwrap();
        assert_eq!((repository.as_str(), reference.as_str()), ("urban/tax", "latest"));
        assert!(id.starts_with("hub-") && id.len() == 68);
        assert!(pushes(&json!({"push_data": {"tag": "../x"}, "repository": {"repo_name": "a/b"}})).is_empty());
        for other in [json!({}), json!([]), json!(null), json!({"events": 3}), json!({"zen": "ping"})] {
            assert!(pushes(&other).is_empty());
        }
    }

    #[test]
    fn only_the_secret_itself_opens() {
        let secrets = [SecretString::from("0123456789abcdef"), SecretString::from("fedcba9876543210")];
        assert!(is_known(&secrets, "0123456789abcdef") && is_known(&secrets, "fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!is_known(&secrets, wrong), "{wrong}");
        }
        assert!(!is_known(&[], ""));
    }
}
