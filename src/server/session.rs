//! What the server says to a browser and knows again as its own word: who signed in, and what somebody who signs in began.
//!
//! Nothing of it is kept here. A word is its content with an HMAC over what it is for and the content, so that no word
//! serves for another purpose, and every server with the same key knows it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::forge::User;
use crate::domain::ids::Time;

/// The longest word that is looked at, in bytes.
const MOST_BYTES: usize = 4096;

/// What a word is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Who signed in.
    Session,
    /// What somebody who signs in began.
    SignIn,
    /// The word that GitHub is told of by its hash first.
    Verifier,
    /// What a form of ours sends back.
    Form,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SignIn => "sign-in",
            Self::Verifier => "verifier",
            Self::Form => "form",
        }
    }
}

/// Somebody who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Who.
    pub(super) user: User,
    /// Until when it counts.
    pub(super) until: Time,
}

/// Somebody who went to GitHub to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// The word that must come back with them.
    pub(super) state: String,
    /// Where they wanted to go.
    pub(super) to: String,
    /// Until when it counts.
    pub(super) until: Time,
}

/// What words are signed with.
#[derive(Debug, Clone)]
pub struct SessionKey(SecretString);

impl SessionKey {
    /// The key in `secret`, which nobody can guess.
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// `content` as a word for this purpose.
    pub(super) fn seal(&self, purpose: Purpose, content: &impl Serialize) -> String {
        let content = serde_json::to_vec(content).expect("plain structs are JSON");
        let content = BASE64_URL_SAFE_NO_PAD.encode(content);
        let mac = self.mac(purpose, content.as_bytes()).finalize().into_bytes();
        format!("{content}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
    }

    /// The content of a word of ours for this purpose; none when it is not.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, word: &str) -> Option<T> {
        if word.len() > MOST_BYTES {
            return None;
        }
        let (content, claimed) = word.split_once('.')?;
        let claimed = BASE64_URL_SAFE_NO_PAD.decode(claimed).ok()?;
        self.mac(purpose, content.as_bytes()).verify_slice(&claimed).ok()?;
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(content).ok()?).ok()
    }

    /// The word for this purpose that follows from `text`; nobody else can tell it.
    pub(super) fn derive(&self, purpose: Purpose, text: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.mac(purpose, text.as_bytes()).finalize().into_bytes())
    }

    /// Whether `claimed` is what follows from `text`; takes the same time wherever it differs.
    pub(super) fn is_derived(&self, purpose: Purpose, text: &str, claimed: &str) -> bool {
        let Ok(claimed) = BASE64_URL_SAFE_NO_PAD.decode(claimed) else { return false };
        self.mac(purpose, text.as_bytes()).verify_slice(&claimed).is_ok()
    }

    fn mac(&self, purpose: Purpose, text: &[u8]) -> Hmac<Sha256> {
        let key = self.0.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
        mac.update(purpose.as_str().as_bytes());
        mac.update(b"\n");
        mac.update(text);
        mac
    }
}

/// The hash of a verifier, as PKCE's `S256` has it.
pub(super) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SessionKey {
        SessionKey::new(SecretString::from(text))
    }

    fn session() -> Session {
        Session { user: User { id: 7, login: "ada".to_owned() }, until: Time(1000) }
    }

    #[test]
    fn a_word_is_known_again_by_who_has_the_key_and_for_its_own_purpose() {
        let word = key("k").seal(Purpose::Session, &session());
        assert_eq!(key("k").open(Purpose::Session, &word), Some(session()));
        assert_eq!(key("k").open::<Session>(Purpose::SignIn, &word), None);
        assert_eq!(key("another").open::<Session>(Purpose::Session, &word), None);
    }

    #[test]
    fn a_word_of_which_anything_is_changed_is_none_of_ours() {
        let word = key("k").seal(Purpose::Session, &session());
        for at in 0..word.len() {
            let mut bytes = word.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(key("k").open::<Session>(Purpose::Session, &changed), None, "byte {at}");
        }
        let (content, mac) = word.split_once('.').unwrap();
        for other in ["", ".", content, &format!("{content}."), &format!(".{mac}"), &format!("{word}.{mac}"), "é.é"] {
            assert_eq!(key("k").open::<Session>(Purpose::Session, other), None, "{other}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(key("k").is_derived(Purpose::Form, "a", &key("k").derive(Purpose::Form, "a")));
        assert!(!key("k").is_derived(Purpose::Form, "a", &key("k").derive(Purpose::Form, "b")));
        assert!(!key("k").is_derived(Purpose::Form, "a", &key("k").derive(Purpose::Session, "a")));
    }
}
