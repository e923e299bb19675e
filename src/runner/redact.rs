//! Takes secrets out of text that a model or a build printed, before anybody reads it.
//!
//! Commands run with a cleared environment, so a secret should never be there. This is the second fence, for secrets
//! that a model brought along itself.

use std::borrow::Cow;

/// What stands where a secret stood.
const MASK: &str = "[redacted]";

/// Beginnings of forge tokens.
const TOKEN_PREFIXES: [&str; 6] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];

/// Beginnings of AWS access key ids.
const ACCESS_KEY_PREFIXES: [&str; 2] = ["AKIA", "ASIA"];

/// Our own variables that name places and hold no secret.
const PUBLIC_VARIABLES: [&str; 4] = [super::JOB_MARKER, super::RUN_MARKER, super::BUILD_MARKER, super::SEED_VARIABLE];

/// `text` with forge tokens, AWS keys, private keys, passwords in addresses and values of `MODELSHIP_*` variables masked.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        let hit = if text.is_char_boundary(at) { secret_at(text, at) } else { None };
        if let Some((start, end)) = hit {
            out.push_str(&text[copied..start]);
            out.push_str(MASK);
            copied = end;
            at = end;
        } else {
            at += 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The secret that begins with the character at `at`, as the range to mask.
fn secret_at(text: &str, at: usize) -> Option<(usize, usize)> {
    match text.as_bytes()[at] {
        b'g' => token(text, at),
        b'A' => access_key(text, at).or_else(|| assigned(text, at)),
        b'a' => assigned(text, at),
        b'-' => private_key(text, at),
        b'M' => variable(text, at),
        b':' => password(text, at),
        _ => None,
    }
}

fn token(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let prefix = TOKEN_PREFIXES.iter().find(|prefix| rest.starts_with(**prefix))?;
    let body = span(&rest[prefix.len()..], |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    (body >= 16).then_some((at, at + prefix.len() + body))
}

fn access_key(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    if !ACCESS_KEY_PREFIXES.iter().any(|prefix| rest.starts_with(prefix)) {
        return None;
    }
    let length = span(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (length >= 20).then_some((at, at + length))
}

fn private_key(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = text[at..].strip_prefix("-----BEGIN ")?;
    let (label, body) = rest.split_once("-----")?;
    if !label.ends_with("PRIVATE KEY") || label.len() > 40 {
        return None;
    }
    let closing = format!("-----END {label}-----");
    let end = match body.find(&closing) {
        Some(offset) => text.len() - body.len() + offset + closing.len(),
        None => text.len(),
    };
    Some((at, end))
}

/// Longest name that is looked at. What is longer is no name, and a model may print a megabyte without a blank.
const LONGEST_NAME: usize = 120;

/// How long the name is that begins at `at`; none when it began earlier or is too long for one.
fn name_at(text: &str, at: usize) -> Option<usize> {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if at > 0 && in_name(text.as_bytes()[at - 1]) {
        return None;
    }
    let length = text.as_bytes()[at..].iter().take(LONGEST_NAME).take_while(|byte| in_name(**byte)).count();
    (length < LONGEST_NAME).then_some(length)
}

/// `AWS_SECRET_ACCESS_KEY=...` and `AWS_SESSION_TOKEN=...` in either case.
fn assigned(text: &str, at: usize) -> Option<(usize, usize)> {
    let name = name_at(text, at)?;
    let key = &text[at..at + name];
    let secret = key.eq_ignore_ascii_case("aws_secret_access_key") || key.eq_ignore_ascii_case("aws_session_token");
    if secret { value_after(text, at + name) } else { None }
}

fn variable(text: &str, at: usize) -> Option<(usize, usize)> {
    if !text[at..].starts_with("MODELSHIP_") {
        return None;
    }
    let name = name_at(text, at)?;
    if PUBLIC_VARIABLES.contains(&&text[at..at + name]) {
        return None;
    }
    value_after(text, at + name)
}

/// The value in `NAME=value`, `NAME: value`, `"NAME": "value"` where the name ends at `at`.
fn value_after(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let skip = |mut at: usize, any: &[u8]| {
        while at < bytes.len() && any.contains(&bytes[at]) {
            at += 1;
        }
        at
    };
    let sign = skip(at, b"\"' ");
    if sign >= bytes.len() || !matches!(bytes[sign], b'=' | b':') {
        return None;
    }
    let start = skip(sign + 1, b"\"' ");
    let length = span(&text[start..], |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b','));
    (length > 0).then_some((start, start + length))
}

/// The password in `scheme://user:password@host`.
fn password(text: &str, at: usize) -> Option<(usize, usize)> {
    let authority = text[at..].strip_prefix("://")?;
    let length = span(authority, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'"' | b'\''));
    let at_sign = authority[..length].rfind('@')?;
    let colon = authority[..at_sign].find(':')?;
    let start = at + "://".len();
    (colon + 1 < at_sign).then_some((start + colon + 1, start + at_sign))
}

fn span(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, expect: &str) {
        assert_eq!(redact(input), expect);
    }

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        check("token ghs_0123456789abcdefABCDEF end", "token [redacted] end");
        check("github_pat_11AAAAAAAAAAAAAAAAAAAA_b!", "[redacted]!");
        check("of an App: ghs_12_eyJh.eyJp.c2ln-x, and so on", "of an App: [redacted], and so on");
        check("key AKIAIOSFODNN7EXAMPLE.", "key [redacted].");
        check("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [redacted]");
        check("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb");
        check("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "[redacted]");
        check("MODELSHIP_WEBHOOK_SECRET=abc def", "MODELSHIP_WEBHOOK_SECRET=[redacted] def");
        check(r#"{"MODELSHIP_TOKEN": "abc", "x": 1}"#, r#"{"MODELSHIP_TOKEN": "[redacted]", "x": 1}"#);
        check("https://x-access-token:abc@github.com/a/b", "https://x-access-token:[redacted]@github.com/a/b");
    }

    #[test]
    fn a_megabyte_without_a_blank_is_read_once() {
        // By the square of its length this would take hours.
        for word in ["a", "A", "ACGT", "MODELSHIP_", "MODELSHIP_A=", "-----BEGIN ", "ghs_", "AKIA", "://", ":"] {
            let text = word.repeat((1 << 20) / word.len());
            assert!(redact(&text).len() <= text.len() * 2);
        }
    }

    #[test]
    fn harmless_text_is_left_alone() {
        for text in [
            "ghs_ is a prefix",
            "AKIA is short",
            "MODELSHIP_RUN=abc MODELSHIP_JOB=/x",
            "-----BEGIN PUBLIC KEY-----\nabc",
            "see https://example.org/a:b@c",
            "grün ä\u{1F600} :// ",
            "",
        ] {
            check(text, text);
        }
    }
}
