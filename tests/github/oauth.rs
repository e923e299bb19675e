//! Signing in: GitHub's own pages, which its `OpenAPI` file does not describe.
//!
//! Source: <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>

use std::collections::HashMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::http::{Request, Response, decoded};
use super::state::{Code, Holder, State, Token, seconds};

/// How long is a code good, and a token, in seconds?
const CODE: i64 = 600;
const TOKEN: i64 = 28_800;

pub(crate) fn answer(state: &mut State, request: &Request) -> Response {
    match (request.method.as_str(), request.path()) {
        ("GET", "/login/oauth/authorize") => authorize(state, request),
        ("POST", "/login/oauth/access_token") => exchange(state, request),
        _ => Response::empty(404),
    }
}

/// Whoever sits at the browser agrees and is sent back with a code.
fn authorize(state: &mut State, request: &Request) -> Response {
    if request.query("client_id") != Some(state.app.client_id()) {
        return Response::empty(404);
    }
    let back = request.query("redirect_uri").or_else(|| state.app.callbacks.first().cloned()).unwrap_or_default();
    if !state.app.callbacks.contains(&back) {
        return Response::json(200, &json!("The redirect_uri is not associated with this application."));
    }
    let Some(user) = state.visitor else { return Response::empty(302).with("location", "/login") };
    let challenge = request.query("code_challenge");
    if challenge.is_some() && request.query("code_challenge_method").as_deref() != Some("S256") {
        return Response::empty(302).with("location", format!("{back}?error=invalid_request"));
    }
    let code = uuid::Uuid::new_v4().simple().to_string()[..20].to_owned();
    state.codes.insert(code.clone(), Code { user, back: back.clone(), challenge, expires: seconds() + CODE });
    let state_word = request.query("state").map_or(String::new(), |word| format!("&state={word}"));
    Response::empty(302).with("location", format!("{back}?code={code}{state_word}"))
}

/// A token for a code; GitHub answers 200 also where it refuses.
fn exchange(state: &mut State, request: &Request) -> Response {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let form: HashMap<&str, String> = pairs.map(|(name, value)| (name, decoded(value))).collect();
    let refused = |error: &str| Response::json(200, &json!({"error": error, "error_description": "no"}));
    let given = |name: &str| form.get(name).cloned().unwrap_or_default();
    if given("client_id") != state.app.client_id() || given("client_secret") != state.app.client_secret {
        return refused("incorrect_client_credentials");
    }
    // A code is good once, whatever comes of it.
    let Some(code) = state.codes.remove(&given("code")) else { return refused("bad_verification_code") };
    if code.expires <= seconds() {
        return refused("bad_verification_code");
    }
    if form.contains_key("redirect_uri") && given("redirect_uri") != code.back {
        return refused("redirect_uri_mismatch");
    }
    if code.challenge.is_some_and(|challenge| challenge != challenge_of(&given("code_verifier"))) {
        return refused("bad_verification_code");
    }
    let token = format!("ghu_{}", uuid::Uuid::new_v4().simple());
    state.tokens.insert(token.clone(), Token { holder: Holder::User(code.user), expires: Some(seconds() + TOKEN) });
    let body = json!({
        "access_token": token, "expires_in": TOKEN, "refresh_token": format!("ghr_{}", uuid::Uuid::new_v4().simple()),
        "refresh_token_expires_in": 15_897_600, "scope": "", "token_type": "bearer",
    });
    Response::json(200, &body)
}

fn challenge_of(verifier: &str) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
