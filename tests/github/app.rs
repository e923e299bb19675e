//! The App itself: its own signed requests, the tokens it mints, its deliveries, and how it is created.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::Shared;
use super::http::{Request, Response};
use super::routes::{self, Answer, Caller, refusal};
use super::shapes;
use super::state::{Holder, Repository, State, Token, seconds};

/// A fresh private key and its public half.
pub(crate) fn make_keys(directory: &Path) -> (String, String) {
    let file = directory.join("app.pem");
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).arg(&file).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(&["genrsa", "-traditional", "-out"]);
    let public = openssl(&["rsa", "-pubout", "-in"]);
    (std::fs::read_to_string(&file).unwrap(), public)
}

/// Checks a JWT of the App as GitHub does: its signature, who issued it, and that it lives at most ten minutes.
pub(crate) fn verify(state: &State, token: &str) -> Result<(), Response> {
    let key = DecodingKey::from_rsa_pem(state.app.public_key.as_bytes()).unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.required_spec_claims = std::iter::once("exp".to_owned()).collect();
    rules.leeway = 0;
    rules.validate_aud = false;
    let bad = |why: &str| refusal(401, why);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules);
    let claims = claims.map_err(|_| bad("A JSON web token could not be decoded"))?.claims;
    let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else {
        return Err(bad("Missing 'issued at' claim ('iat') in assertion"));
    };
    if issued > seconds() {
        return Err(bad(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ));
    }
    if expires > seconds() + 600 {
        return Err(bad("'Expiration time' claim ('exp') is too far in the future"));
    }
    let issuer = claims["iss"].as_str().map_or_else(|| claims["iss"].to_string(), str::to_owned);
    let ours = [state.app.id.to_string(), state.app.client_id()];
    if ours.contains(&issuer) { Ok(()) } else { Err(bad("Integration not found")) }
}

fn as_app(state: &State, request: &Request) -> Result<(), Response> {
    match routes::caller(state, request)? {
        Caller::App => Ok(()),
        _ => Err(refusal(401, "A JSON web token could not be decoded")),
    }
}

pub(crate) fn show(state: &State, request: &Request) -> Answer {
    as_app(state, request)?;
    Ok(Response::json(200, &shapes::app(state)))
}

pub(crate) fn installations(state: &State, request: &Request) -> Answer {
    as_app(state, request)?;
    let rows: Vec<_> = state.app.installations().into_iter().map(|found| shapes::installation(state, found)).collect();
    Ok(routes::page(state, request, &rows, 30))
}

fn known_installation(state: &State, id: &str) -> Result<(u64, u64), Response> {
    let known = state.app.installations().into_iter().find(|(known, _)| known.to_string() == id);
    known.ok_or_else(|| refusal(404, "Not Found"))
}

pub(crate) fn installation(state: &State, request: &Request, id: &str) -> Answer {
    as_app(state, request)?;
    let found = known_installation(state, id)?;
    Ok(Response::json(200, &shapes::installation(state, found)))
}

pub(crate) fn of_repository(state: &State, request: &Request, owner: &str, name: &str) -> Answer {
    as_app(state, request)?;
    let holder = state.find(&format!("{owner}/{name}")).and_then(|repository| repository.installation);
    let found = known_installation(state, &holder.unwrap_or_default().to_string())?;
    Ok(Response::json(200, &shapes::installation(state, found)))
}

/// Mints an installation token: for the repositories and permissions that are asked for, where some are.
pub(crate) fn mint(state: &mut State, request: &Request, id: &str) -> Answer {
    as_app(state, request)?;
    let (installation, _) = known_installation(state, id)?;
    if state.app.is_suspended(installation) {
        return Err(refusal(403, "This installation has been suspended"));
    }
    let asked = request.json();
    let held = |repository: &&Repository| repository.installation == Some(installation);
    let repositories = match (asked["repository_ids"].as_array(), asked["repositories"].as_array()) {
        (None, None) => None,
        (ids, names) => {
            let mut found = Vec::new();
            for id in ids.into_iter().flatten() {
                found.push(id.as_u64().and_then(|id| state.repositories.get(&id)).filter(held));
            }
            for name in names.into_iter().flatten() {
                found.push(state.repositories.values().filter(held).find(|repository| json!(repository.name) == *name));
            }
            let found: Option<Vec<u64>> = found.into_iter().map(|found| found.map(|found| found.id)).collect();
            let unknown =
                "There is at least one repository that does not exist or is not accessible to the parent installation.";
            Some(found.ok_or_else(|| refusal(422, unknown))?)
        }
    };
    let permissions = match asked["permissions"].as_object() {
        None => state.app.granted(),
        Some(wanted) => {
            let mut given = BTreeMap::from([("metadata".to_owned(), "read".to_owned())]);
            for (name, level) in wanted {
                let level = level.as_str().unwrap_or_default();
                let enough = state.app.granted().get(name).is_some_and(|has| has == "write" || has == level);
                if !enough {
                    return Err(refusal(422, "The permissions requested are not granted to this installation."));
                }
                given.insert(name.clone(), level.to_owned());
            }
            given
        }
    };
    let token = fresh_token(state, installation);
    let expires = seconds() + state.token_life;
    let holder =
        Holder::Installation { installation, repositories: repositories.clone(), permissions: permissions.clone() };
    state.tokens.insert(token.clone(), Token { holder, expires: Some(expires) });
    let mut body = json!({
        "token": token, "expires_at": chrono::DateTime::from_timestamp(expires, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "permissions": permissions, "repository_selection": "selected",
    });
    if let Some(ids) = repositories {
        body["repositories"] = ids.iter().map(|id| shapes::repository(state, &state.repositories[id])).collect();
    }
    Ok(Response::json(201, &body))
}

/// Every second token has the new form, which is long.
fn fresh_token(state: &mut State, installation: u64) -> String {
    state.minted += 1;
    let unique = uuid::Uuid::new_v4().simple().to_string();
    if state.minted % 2 == 1 {
        return format!("ghs_{unique}{:04}", state.minted % 10_000);
    }
    let claims = json!({"iss": "github", "jti": unique, "inst": installation, "exp": seconds() + state.token_life});
    let key = EncodingKey::from_rsa_pem(state.app.private_key.as_bytes()).unwrap();
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
    format!("ghs_{}_{signed}", state.app.id)
}

pub(crate) fn repositories(state: &State, request: &Request) -> Answer {
    let Caller::Installation { installation, repositories, .. } = routes::caller(state, request)? else {
        return Err(refusal(
            403,
            "You must authenticate with an installation access token in order to list repositories.",
        ));
    };
    let named = |repository: &&Repository| {
        repository.installation == Some(installation)
            && repositories.as_ref().is_none_or(|named| named.contains(&repository.id))
    };
    let rows: Vec<_> =
        state.repositories.values().filter(named).map(|found| shapes::repository(state, found)).collect();
    Ok(routes::counted_page(state, request, "repositories", &rows))
}

/// What the manifest flow ends with: the App with its secrets, once for each code.
pub(crate) fn convert(state: &mut State, code: &str) -> Answer {
    let manifest = state.manifests.remove(code).ok_or_else(|| refusal(404, "Not Found"))?;
    let mut shown = shapes::app(state);
    for field in ["name", "description"] {
        if manifest.get(field).is_some() {
            shown[field] = manifest[field].clone();
        }
    }
    let secrets = json!({
        "client_secret": state.app.client_secret, "pem": state.app.private_key,
        "webhook_secret": state.hook.as_ref().map_or("from-the-manifest", |hook| &hook.secret),
    });
    Ok(Response::json(201, &shapes::with(shown, secrets)))
}

/// The newest deliveries first; a cursor leads to older ones.
pub(crate) fn deliveries(state: &State, request: &Request) -> Answer {
    as_app(state, request)?;
    let size = request.query("per_page").and_then(|text| text.parse().ok()).unwrap_or(30_usize).clamp(1, 100);
    let below =
        request.query("cursor").and_then(|text| text.trim_start_matches("v1_").parse().ok()).unwrap_or(u64::MAX);
    let failed = request.query("status").map(|status| status == "failure");
    let fits = |delivery: &&super::state::Delivery| {
        delivery.id < below && failed.is_none_or(|failed| failed == (delivery.status() != "OK"))
    };
    let found: Vec<_> = state.deliveries.values().rev().filter(fits).collect();
    let rows: Vec<_> = found.iter().take(size).map(|delivery| shapes::delivery(state, delivery)).collect();
    let response = Response::json(200, &Value::Array(rows));
    if found.len() <= size {
        return Ok(response);
    }
    let kept: Vec<_> = request.target.split_once('?').map_or("", |(_, query)| query).split('&').collect();
    let kept: Vec<_> = kept.into_iter().filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")).collect();
    let mut pairs = kept;
    let cursor = format!("cursor=v1_{}", found[size - 1].id);
    pairs.push(&cursor);
    Ok(response.with("link", format!("<{}{}?{}>; rel=\"next\"", state.url, request.path(), pairs.join("&"))))
}

fn known_delivery<'a>(state: &'a State, id: &str) -> Result<&'a super::state::Delivery, Response> {
    let found = id.parse().ok().and_then(|id: u64| state.deliveries.get(&id));
    found.ok_or_else(|| refusal(404, "Not Found"))
}

pub(crate) fn delivery(state: &State, request: &Request, id: &str) -> Answer {
    as_app(state, request)?;
    Ok(Response::json(200, &shapes::full_delivery(state, known_delivery(state, id)?)))
}

/// The same payload again, under the same GUID.
pub(crate) fn redeliver(world: &Shared, state: &State, request: &Request, id: &str) -> Answer {
    as_app(state, request)?;
    world.send(known_delivery(state, id)?.clone());
    Ok(Response::json(202, &json!({})))
}
