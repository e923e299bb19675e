//! Who may send webhooks: whoever knows a secret.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use warp::http::HeaderMap;

/// The header that carries the signature.
const HEADER: &str = "x-hub-signature-256";

/// The secrets that a webhook may be signed with: one, or more while one replaces another.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Vec<SecretString>);

/// There is no secret, or an empty one: anybody could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook secret is missing or empty; set one, and the same at the sender")]
pub struct NoSecret;

impl WebhookSecrets {
    /// Takes the secrets.
    ///
    /// # Errors
    /// [`NoSecret`] when there is none or one of them is blank.
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, NoSecret> {
        let blank = secrets.iter().any(|secret| secret.expose_secret().trim().is_empty());
        if secrets.is_empty() || blank { Err(NoSecret) } else { Ok(Self(secrets)) }
    }

    /// Whether the headers hold exactly one SHA-256 signature, in GitHub's form, of `body` with one of the secrets. Takes
    /// the same time whichever byte is wrong and whichever secret is right.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let mut given = headers.get_all(HEADER).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return false };
        let Some(claimed) = parse(header.as_bytes()) else { return false };
        self.0.iter().fold(false, |good, secret| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("any length is a key");
            mac.update(body);
            mac.verify_slice(&claimed).is_ok() | good
        })
    }
}

/// `sha256=` and 64 lower-case hexadecimal characters, nothing else.
fn parse(header: &[u8]) -> Option<[u8; 32]> {
    let digits = header.strip_prefix(b"sha256=")?;
    if digits.len() != 64 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    const GOOD: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secrets(texts: &[&str]) -> WebhookSecrets {
        WebhookSecrets::new(texts.iter().map(|text| SecretString::from(*text)).collect()).unwrap()
    }

    fn accepts(header: &[u8], body: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(header).unwrap());
        secrets(&["It's a Secret to Everybody"]).verify(&headers, body)
    }

    #[test]
    fn githubs_own_example_is_accepted() {
        assert!(accepts(GOOD.as_bytes(), b"Hello, World!"));
    }

    #[test]
    fn any_other_form_of_the_header_is_refused() {
        let digits = &GOOD["sha256=".len()..];
        for header in [
            format!("sha512={digits}"),
            format!("xxxxxxx{digits}"),
            format!("sha1={}", &digits[..40]),
            format!("SHA256={digits}"),
            format!("sha256={}", digits.to_uppercase()),
            format!("sha256={}", &digits[..63]),
            format!("{GOOD}0"),
            format!("{GOOD} "),
            format!("{GOOD},{GOOD}"),
            digits.to_owned(),
            "sha256=".to_owned(),
            String::new(),
            format!("sha256={}", "0".repeat(64)),
        ] {
            assert!(!accepts(header.as_bytes(), b"Hello, World!"), "{header:?}");
        }
        assert!(!accepts(b"sha256=\xff\xfe", b"Hello, World!"));
    }

    #[test]
    fn any_other_body_is_refused() {
        for body in ["Hello, World", "Hello, World! ", "Hello, World!\r\n", "\u{feff}Hello, World!", ""] {
            assert!(!accepts(GOOD.as_bytes(), body.as_bytes()), "{body:?}");
        }
    }

    #[test]
    fn two_headers_are_refused_even_when_both_are_right() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static(GOOD));
        headers.append(HEADER, HeaderValue::from_static(GOOD));
        assert!(!secrets(&["It's a Secret to Everybody"]).verify(&headers, b"Hello, World!"));
    }

    #[test]
    fn while_secrets_change_both_are_accepted() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(GOOD));
        assert!(secrets(&["new", "It's a Secret to Everybody"]).verify(&headers, b"Hello, World!"));
        assert!(secrets(&["It's a Secret to Everybody", "new"]).verify(&headers, b"Hello, World!"));
        assert!(!secrets(&["new", "newer"]).verify(&headers, b"Hello, World!"));
    }

    #[test]
    fn an_empty_secret_is_refused_at_start() {
        assert!(WebhookSecrets::new(vec![]).is_err());
        assert!(WebhookSecrets::new(vec![SecretString::from("good"), SecretString::from(" \n")]).is_err());
    }
}
