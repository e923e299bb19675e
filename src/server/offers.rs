//! `POST /api/versions`: a workflow offers a version that it built, and shows who it is by a token that GitHub signed.
//!
//! In this order, and each step only after the one before: form of the request, token, allow-list, size, content, what the
//! token allows, inbox. A token acts once: its number is the delivery's id. What is answered is where to look; whether
//! the version is taken is found out by an effect.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::{Reply as _, Response};
use warp::{Buf, Filter, Rejection};

use super::credentials::bearer;
use super::metrics::Counted;
use super::webhook::{check_form, read_body};
use super::{Accepted, AllowedRepositories, App, Delivery, Refusal, Unavailable, ask};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::{Digest, ModelName, Time};
use crate::domain::image::ImageName;
use crate::domain::offer::{Identity, NotAllowed, Offer, OfferState, Wish};
use crate::edge::oidc::TokenError;

/// Most bytes of an offer.
const MOST_BYTES: usize = 256 * 1024;

/// Whose word of a pushed image it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Docker Hub's.
    DockerHub,
    /// That of a registry of one's own.
    Registry,
}

/// What the server needs to take offers.
pub trait Offers: Send + Sync {
    /// Who sent `token`, and what time it is.
    fn identify(&self, token: SecretString) -> BoxFuture<'_, Result<(Identity, Time), NotIdentified>>;

    /// What became of an offer; none when nobody knows it.
    fn offer(&self, model: ModelName, id: String) -> BoxFuture<'_, Result<Option<OfferState>, Unavailable>>;

    /// What the images of `repository` are called that this server takes from such a sender.
    fn accepted(&self, sender: Sender, repository: &str) -> Vec<ImageName>;
}

const NO_ADDRESS: &str = "this server takes no versions from workflows: set its `server.url`";

/// Why nobody knows who sent a token.
#[derive(Debug, thiserror::Error)]
pub enum NotIdentified {
    /// Tokens are made for the server's address, and it has none.
    #[error("{NO_ADDRESS}")]
    NoAddress,
    /// The issuer did not say in time which keys it signs with.
    #[error("the issuer of tokens does not answer within {0:?}")]
    Silent(Duration),
    /// It is the token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<&NotIdentified> for Refusal {
    fn from(reason: &NotIdentified) -> Self {
        match reason {
            NotIdentified::NoAddress => Self(StatusCode::FORBIDDEN, NO_ADDRESS),
            NotIdentified::Token(TokenError::Forged) => {
                Self(StatusCode::UNAUTHORIZED, "the token is not one that the issuer signed")
            }
            NotIdentified::Token(TokenError::OtherAudience) => {
                Self(StatusCode::UNAUTHORIZED, "the token's audience is not this server's `server.url`")
            }
            NotIdentified::Token(TokenError::OtherIssuer) => {
                Self(StatusCode::UNAUTHORIZED, "the token's issuer is not this server's `server.token_issuer`")
            }
            NotIdentified::Silent(_) | NotIdentified::Token(TokenError::NoKeys(_)) => {
                Self(StatusCode::SERVICE_UNAVAILABLE, "the issuer of tokens does not answer; try again later")
            }
        }
    }
}

/// Who may offer versions.
#[derive(Clone)]
pub struct OfferDoors {
    /// Who looks at what is offered.
    pub offers: Arc<dyn Offers>,
    /// What registries show; none lets no registry in.
    pub registry_secrets: Vec<SecretString>,
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let with = {
        let app = Arc::clone(app);
        move || {
            let app = Arc::clone(&app);
            warp::any().map(move || Arc::clone(&app))
        }
    };
    let offer = warp::path!("api" / "versions")
        .and(warp::post())
        .and(with())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(async |app: Arc<App>, headers: HeaderMap, body| {
            let answer = receive(&app, &headers, body).await;
            app.tally.count(match &answer {
                Ok((_, counted)) => *counted,
                Err(Refusal(StatusCode::CONFLICT, _)) => Counted::Conflicting,
                Err(Refusal(status, _)) if status.is_server_error() => Counted::Failed,
                Err(_) => Counted::Refused,
            });
            answer.map_or_else(Response::from, |(response, _)| response)
        });
    let look = warp::path!("api" / "models" / String / String / "offers" / String).and(warp::get()).and(with()).then(
        async |owner: String, title: String, id: String, app: Arc<App>| {
            standing(&app, &owner, &title, id).await.unwrap_or_else(Response::from)
        },
    );
    offer.or(look).unify()
}

async fn receive<B: Buf>(
    app: &App,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, warp::Error>> + Send,
) -> Result<(Response, Counted), Refusal> {
    let AllowedRepositories::Only(allowed) = &app.context.repositories else {
        return Err(Refusal(
            StatusCode::FORBIDDEN,
            "this server takes versions from the workflows of listed repositories alone: set its `server.repositories`",
        ));
    };
    check_form(headers)?;
    let token =
        bearer(headers).ok_or(Refusal(StatusCode::UNAUTHORIZED, "send one header `Authorization: Bearer TOKEN`"))?;
    let (who, now) = identify(app, token).await.map_err(|reason| {
        let refusal = Refusal::from(&reason);
        // The reasons behind it are for us alone.
        tracing::warn!(reason = format!("{:#}", anyhow::Error::new(reason)), "a workflow was refused");
        refusal
    })?;
    if !who.repository_id.parse().is_ok_and(|id: i64| allowed.contains(&id)) {
        tracing::warn!(repository = who.repository_id, "a workflow of a repository that is not listed was refused");
        return Err(Refusal(StatusCode::FORBIDDEN, "the workflow's repository is not on this server's list"));
    }
    let body = read_body(app, headers, body, MOST_BYTES).await?;
    let wish: Wish = serde_json::from_slice(&body.bytes)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "an offer is JSON with `model`, `commit`, `image` and `work`"))?;
    let offer = Offer::of_workflow(&who, wish, now).map_err(|error| {
        tracing::warn!(repository = who.repository_id, "a workflow was refused: {error}");
        let status = match error {
            NotAllowed::Expired | NotAllowed::TooEarly | NotAllowed::TooLong => StatusCode::UNAUTHORIZED,
            NotAllowed::NoRepository
            | NotAllowed::Pull
            | NotAllowed::Event
            | NotAllowed::Reference
            | NotAllowed::OtherCommit => StatusCode::FORBIDDEN,
        };
        Refusal(status, error.sentence())
    })?;
    let (id, model) = (offer.id.clone(), offer.model.clone());
    let digest = Digest::of(&body.bytes);
    let delivery = Delivery { id: id.clone(), event: "register".to_owned(), digest, meaning: None };
    let event = Event::VersionOffered { offer: Box::new(offer) };
    let keyed = Keyed { key: Key::Model(model.clone()), event };
    let (word, counted) = match ask(app, app.context.inbox.accept(delivery, vec![keyed])).await? {
        Accepted::New => ("accepted", Counted::Accepted),
        Accepted::Repeated => ("repeated", Counted::Repeated),
        Accepted::Conflicting => {
            tracing::warn!(delivery.id = id, "a token came again with another offer");
            return Err(Refusal(StatusCode::CONFLICT, "this token was used for another offer; ask for a new one"));
        }
    };
    tracing::info!(delivery.id = id, model.name = %model, "offer {word}");
    let answer =
        json!({"status": word, "offer": id, "model": model, "look": format!("/api/models/{model}/offers/{id}")});
    Ok((warp::reply::with_status(warp::reply::json(&answer), StatusCode::ACCEPTED).into_response(), counted))
}

/// Who sent the token; not asked for ever.
async fn identify(app: &App, token: SecretString) -> Result<(Identity, Time), NotIdentified> {
    let patience = app.context.limits.database;
    let identified = tokio::time::timeout(patience, app.context.offers.offers.identify(token)).await;
    identified.unwrap_or(Err(NotIdentified::Silent(patience)))
}

async fn standing(app: &App, owner: &str, title: &str, id: String) -> Result<Response, Refusal> {
    let unknown = || Refusal(StatusCode::NOT_FOUND, "there is no such offer");
    let model = ModelName::new(owner, title).map_err(|_| unknown())?;
    let known = ask(app, app.context.offers.offers.offer(model.clone(), id)).await?.ok_or_else(unknown)?;
    let OfferState { id, commit, image, outcome } = known;
    let answer = json!({"offer": id, "model": model, "commit": commit, "image": image, "outcome": outcome});
    Ok(warp::reply::json(&answer).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_identified_is_told_why() {
        let secret = "connect to 10.0.0.7: refused";
        for (reason, status, words) in [
            (NotIdentified::NoAddress, StatusCode::FORBIDDEN, "set its `server.url`"),
            (NotIdentified::Silent(Duration::from_secs(8)), StatusCode::SERVICE_UNAVAILABLE, "try again later"),
            (TokenError::Forged.into(), StatusCode::UNAUTHORIZED, "not one that the issuer signed"),
            (TokenError::OtherAudience.into(), StatusCode::UNAUTHORIZED, "audience is not this server's `server.url`"),
            (
                TokenError::OtherIssuer.into(),
                StatusCode::UNAUTHORIZED,
                "issuer is not this server's `server.token_issuer`",
            ),
            (TokenError::NoKeys(anyhow::anyhow!(secret)).into(), StatusCode::SERVICE_UNAVAILABLE, "try again later"),
        ] {
            let Refusal(answered, said) = Refusal::from(&reason);
            assert_eq!(answered, status, "{reason:?}");
            assert!(said.contains(words) && !said.contains(secret), "{said}");
        }
        let logged =
            format!("{:#}", anyhow::Error::new(NotIdentified::from(TokenError::NoKeys(anyhow::anyhow!(secret)))));
        assert_eq!(logged, format!("the issuer's keys cannot be looked up: {secret}"));
    }
}
