//! Tokens attacked: whatever is not signed by the issuer's own key for this very server is nobody's.

use std::sync::atomic::Ordering;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use modelship::domain::ids::Time;
use modelship::edge::oidc::{TokenError, Verifier};
use serde_json::{Value, json};

use crate::issuer::{Issuer, Key, seconds};

const AUDIENCE: &str = "https://models.example.org";
const COMMIT: &str = "1111111111111111111111111111111111111111";

fn now() -> Time {
    Time(seconds() * 1000)
}

fn later(seconds: i64) -> Time {
    Time(now().0 + seconds * 1000)
}

struct Bench {
    issuer: Issuer,
    verifier: Verifier,
}

impl Bench {
    fn new() -> Self {
        let issuer = Issuer::start();
        let verifier = Verifier::new(&issuer.url(), AUDIENCE).unwrap();
        Self { issuer, verifier }
    }

    fn claims(&self) -> Value {
        self.issuer.claims(AUDIENCE, (77, "urban/hub"), COMMIT)
    }

    async fn ask(&self, token: &str) -> Result<i64, TokenError> {
        let who = self.verifier.identify(token, now()).await?;
        Ok(who.repository_id.parse().unwrap())
    }

    async fn ask_with(&self, change: impl FnOnce(&mut Value)) -> Result<i64, TokenError> {
        let mut claims = self.claims();
        change(&mut claims);
        self.ask(&self.issuer.key().sign(&claims)).await
    }
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_workflow_is_known_by_its_token() {
    let bench = Bench::new();
    assert_eq!(bench.ask_with(|_| ()).await.unwrap(), 77);
}

#[tokio::test]
async fn a_token_for_somebody_else_or_of_somebody_else_is_refused() {
    let bench = Bench::new();
    for audience in [
        json!("https://models.example.org/"),
        json!("https://models.example.org.evil.example"),
        json!("https://MODELS.example.org"),
        json!("https://github.com/urban"),
        json!(""),
    ] {
        let error = bench.ask_with(|claims| claims["aud"] = audience.clone()).await.unwrap_err();
        assert!(matches!(error, TokenError::OtherAudience), "{audience}: {error:?}");
    }
    // One that is for several servers could be passed on by any of them.
    for audience in [json!([AUDIENCE]), json!([AUDIENCE, "https://evil.example"]), json!(null), json!({"a": AUDIENCE})]
    {
        let error = bench.ask_with(|claims| claims["aud"] = audience.clone()).await.unwrap_err();
        assert!(matches!(error, TokenError::Forged), "{audience}: {error:?}");
    }
    for issuer in ["https://token.actions.githubusercontent.com", &format!("{}/", bench.issuer.url()), ""] {
        let error = bench.ask_with(|claims| claims["iss"] = json!(issuer)).await.unwrap_err();
        assert!(matches!(error, TokenError::OtherIssuer), "{issuer}: {error:?}");
    }
}

#[tokio::test]
async fn no_other_way_of_signing_counts() {
    let bench = Bench::new();
    let (claims, key) = (bench.claims(), bench.issuer.key());
    assert!(bench.ask(&key.sign(&claims)).await.is_ok(), "its keys are known");
    let mut tokens = Vec::new();
    for algorithm in ["none", "None", "NONE", "HS256", "RS384", "ES256", ""] {
        let head = part(&json!({"alg": algorithm, "typ": "JWT", "kid": key.id}));
        tokens.push(format!("{head}.{}.", part(&claims)));
    }
    // The public key as a secret that everybody knows.
    for secret in [key.public_pem(), serde_json::to_vec(&key.public()).unwrap()] {
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        tokens.push(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap());
        let body = format!("{}.{}", part(&json!({"alg": "RS256", "kid": key.id})), part(&claims));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&secret).unwrap();
        mac.update(body.as_bytes());
        tokens.push(format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())));
    }
    // Somebody's own key under the issuer's id, in the header as well.
    let own = Key::new(&key.id, 1);
    tokens.push(own.sign(&claims));
    let header = Header {
        kid: Some(key.id.clone()),
        jwk: Some(own.public()),
        jku: Some("http://127.0.0.1:1/keys".to_owned()),
        ..Header::new(Algorithm::RS256)
    };
    let good = key.sign(&claims);
    let pieces: Vec<&str> = good.split('.').collect();
    tokens.push(format!("{}.{}.{}", part(&serde_json::to_value(&header).unwrap()), pieces[1], pieces[2]));
    // What was signed, changed.
    let mut other = claims.clone();
    other["repository_id"] = json!("78");
    tokens.push(format!("{}.{}.{}", pieces[0], part(&other), pieces[2]));
    // No id of a key, and no token at all.
    tokens.push(format!("{}.{}.{}", part(&json!({"alg": "RS256"})), pieces[1], pieces[2]));
    tokens.extend(["", "a", "a.b", "..", "a.b.c.d"].map(str::to_owned));
    tokens.extend([format!("{good} "), format!("{good}."), good[..good.len() - 2].to_owned(), good.repeat(20)]);
    for token in tokens {
        let error = bench.ask(&token).await.unwrap_err();
        assert!(matches!(error, TokenError::Forged), "{token}: {error:?}");
    }
    assert_eq!(bench.issuer.asked.load(Ordering::SeqCst), 1, "nobody makes us ask again");
}

#[tokio::test]
async fn a_new_key_is_looked_up_and_unknown_ones_do_not_make_us_ask_all_the_time() {
    let bench = Bench::new();
    assert!(bench.ask_with(|_| ()).await.is_ok());
    let new = Key::new("second", 1);
    let token = new.sign(&bench.claims());
    for _ in 0..50 {
        assert!(matches!(bench.verifier.identify(&token, now()).await, Err(TokenError::Forged)));
    }
    assert_eq!(bench.issuer.asked.load(Ordering::SeqCst), 1);
    bench.issuer.show(&[bench.issuer.key(), new]);
    assert!(bench.verifier.identify(&token, later(61)).await.is_ok(), "after a minute it is asked again");
    assert_eq!(bench.issuer.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_key_that_the_issuer_takes_back_is_good_no_longer() {
    let bench = Bench::new();
    let token = bench.issuer.key().sign(&bench.claims());
    assert!(bench.ask(&token).await.is_ok());
    bench.issuer.show(&[Key::new("second", 1)]);
    assert!(bench.verifier.identify(&token, later(3601)).await.is_err());
}

#[tokio::test]
async fn while_the_issuer_does_not_answer_known_keys_are_good_for_a_day() {
    let bench = Bench::new();
    bench.issuer.be_silent(true);
    let token = bench.issuer.key().sign(&bench.claims());
    assert!(matches!(bench.ask(&token).await, Err(TokenError::NoKeys(_))));
    bench.issuer.be_silent(false);
    assert!(matches!(bench.ask(&token).await, Err(TokenError::NoKeys(_))), "not asked again within a minute");
    assert!(bench.verifier.identify(&token, later(61)).await.is_ok());
    bench.issuer.be_silent(true);
    assert!(bench.verifier.identify(&token, later(20 * 3600)).await.is_ok());
    assert!(matches!(bench.verifier.identify(&token, later(26 * 3600)).await, Err(TokenError::NoKeys(_))));
}

#[tokio::test]
async fn an_issuer_that_leads_elsewhere_or_calls_itself_otherwise_is_not_believed() {
    let bench = Bench::new();
    // The same key, so that only the place is wrong.
    let other = Issuer::start();
    bench.issuer.keep_keys_at(&format!("{}/.well-known/jwks", other.url()));
    assert!(matches!(bench.ask_with(|_| ()).await, Err(TokenError::NoKeys(_))));
    let bench = Bench::new();
    bench.issuer.call_itself("https://evil.example");
    assert!(matches!(bench.ask_with(|_| ()).await, Err(TokenError::NoKeys(_))));
    assert!(Verifier::new("http://issuer.example.org", AUDIENCE).is_err(), "not without HTTPS");
}

#[tokio::test]
async fn a_token_that_does_not_say_who_is_no_identity() {
    let bench = Bench::new();
    for claim in ["repository_id", "repository", "sha", "ref", "event_name", "jti", "iat", "exp", "iss", "aud"] {
        let error = bench.ask_with(|claims| drop(claims.as_object_mut().unwrap().remove(claim))).await.unwrap_err();
        assert!(matches!(error, TokenError::Forged), "{claim}: {error:?}");
    }
    let error = bench.ask_with(|claims| claims["repository_id"] = json!(77)).await;
    assert!(error.is_err(), "numbers come as text");
}
