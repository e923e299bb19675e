//! An issuer of tokens of identity, as GitHub is one for its workflows.

use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::http::{Reply, Request, Response, Server};

/// What a job shows when it asks for its token.
pub(crate) const JOB_TOKEN: &str = "a job's own word";

/// A private RSA key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pem: String,
}

impl Key {
    /// One of two keys of this process: making one takes long.
    pub(crate) fn new(id: &str, which: usize) -> Self {
        static PEMS: [OnceLock<String>; 2] = [OnceLock::new(), OnceLock::new()];
        let made = || {
            let output = Command::new("openssl").args(["genrsa", "-traditional", "2048"]).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        };
        Self { id: id.to_owned(), pem: PEMS[which].get_or_init(made).clone() }
    }

    fn private(&self) -> EncodingKey {
        EncodingKey::from_rsa_pem(self.pem.as_bytes()).unwrap()
    }

    /// The public half, in PEM.
    pub(crate) fn public_pem(&self) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.pem).unwrap();
        let output = Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(file.path()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    pub(crate) fn public(&self) -> Jwk {
        let mut key = Jwk::from_encoding_key(&self.private(), Algorithm::RS256).unwrap();
        key.common.key_id = Some(self.id.clone());
        key.common.public_key_use = Some(PublicKeyUse::Signature);
        key
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &self.private()).unwrap()
    }
}

/// What the issuer shows and counts.
#[derive(Debug, Default)]
struct Shown {
    keys: Vec<Key>,
    /// What it calls itself, where it lies about that.
    called: Option<String>,
    /// Where it says that its keys are, where it lies about that.
    keys_at: Option<String>,
    silent: bool,
    /// What jobs that ask for a token are told to be.
    job: Value,
}

/// A running issuer.
pub(crate) struct Issuer {
    server: Server,
    shown: Arc<Mutex<Shown>>,
    /// How often its keys were asked for.
    pub(crate) asked: Arc<AtomicUsize>,
}

pub(crate) fn seconds() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let shown = Arc::new(Mutex::new(Shown { keys: vec![Key::new("first", 0)], ..Shown::default() }));
        let asked = Arc::new(AtomicUsize::new(0));
        let (seen, count) = (Arc::clone(&shown), Arc::clone(&asked));
        let server = Server::start(move |request| Reply::Whole(answer(&seen.lock().unwrap(), &count, &request)));
        Self { server, shown, asked }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn key(&self) -> Key {
        self.shown.lock().unwrap().keys[0].clone()
    }

    /// From now on these are its keys.
    pub(crate) fn show(&self, keys: &[Key]) {
        self.shown.lock().unwrap().keys = keys.to_vec();
    }

    pub(crate) fn be_silent(&self, silent: bool) {
        self.shown.lock().unwrap().silent = silent;
    }

    pub(crate) fn call_itself(&self, name: &str) {
        self.shown.lock().unwrap().called = Some(name.to_owned());
    }

    pub(crate) fn keep_keys_at(&self, place: &str) {
        self.shown.lock().unwrap().keys_at = Some(place.to_owned());
    }

    /// From now on a job that asks for a token is this one.
    pub(crate) fn job_is(&self, claims: Value) {
        self.shown.lock().unwrap().job = claims;
    }

    /// What a token of a push says.
    pub(crate) fn claims(&self, audience: &str, repository: (i64, &str), commit: &str) -> Value {
        json!({
            "iss": self.url(),
            "aud": audience,
            "sub": format!("repo:{}:ref:refs/heads/main", repository.1),
            "jti": next_number(),
            "iat": seconds() - 5,
            "nbf": seconds() - 305,
            "exp": seconds() + 295,
            "repository": repository.1,
            "repository_id": repository.0.to_string(),
            "repository_owner": "example",
            "event_name": "push",
            "ref": "refs/heads/main",
            "ref_type": "branch",
            "sha": commit,
            "base_ref": "",
            "head_ref": "",
            "workflow": "modelship-publish",
            "runner_environment": "github-hosted",
        })
    }
}

fn next_number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

fn answer(shown: &Shown, asked: &AtomicUsize, request: &Request) -> Response {
    if shown.silent {
        return Response::empty(503);
    }
    let host = format!("http://{}", request.header("host").unwrap());
    match request.path() {
        "/.well-known/openid-configuration" => {
            let issuer = shown.called.clone().unwrap_or_else(|| host.clone());
            let keys = shown.keys_at.clone().unwrap_or_else(|| format!("{host}/.well-known/jwks"));
            Response::json(
                200,
                &json!({"issuer": issuer, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["RS256"]}),
            )
        }
        "/.well-known/jwks" => {
            asked.fetch_add(1, Ordering::SeqCst);
            let set = JwkSet { keys: shown.keys.iter().map(Key::public).collect() };
            Response::json(200, &serde_json::to_value(set).unwrap())
        }
        // What ACTIONS_ID_TOKEN_REQUEST_URL names.
        "/token" if request.token().as_deref() == Some(JOB_TOKEN) && request.query("api-version").is_some() => {
            let mut claims = shown.job.clone();
            claims["aud"] = json!(request.query("audience").unwrap_or_default());
            claims["jti"] = json!(next_number());
            Response::json(200, &json!({"count": 1, "value": shown.keys[0].sign(&claims)}))
        }
        "/token" => Response::json(401, &json!({"message": "who is asking?"})),
        _ => Response::empty(404),
    }
}
