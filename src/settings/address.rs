//! The server's own address, as others reach it.
//!
//! It is compared letter by letter: by browsers with the origin of a page, by workflows with the audience of a token. So it
//! is kept in the one spelling that browsers give it, and what would be spelled in several ways is refused.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use http::Uri;

use crate::domain::host::is_address;

/// The address `text` in its one spelling: scheme and host in small letters, without the scheme's own port and without a
/// slash at the end.
pub(super) fn server_url(text: &str) -> Result<String> {
    normal(text).ok_or_else(|| {
        anyhow::anyhow!(
            "`server.url` is `{text}`, which is no address such as `https://models.example.org`; write where this server is \
             reached from outside, without user, query or fragment, and in plain letters"
        )
    })
}

fn normal(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok().filter(|_| !text.contains(['?', '#', '@']))?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let own_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let host = host(&uri.host()?.to_ascii_lowercase())?;
    let port = uri.authority()?.as_str()[uri.host()?.len()..].strip_prefix(':');
    let port: u16 = match port {
        None | Some("") => own_port,
        Some(port) => port.parse().ok().filter(|_| port.bytes().all(|digit| digit.is_ascii_digit()))?,
    };
    let path = uri.path().trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let parts = path.split('/').skip(1);
    if !parts.into_iter().all(|part| !part.is_empty() && !matches!(part, "." | "..") && part.chars().all(plain)) {
        return None;
    }
    let port = if port == own_port { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// A name in small letters, or an address as it is written by default.
fn host(host: &str) -> Option<String> {
    if let Some(six) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let six: Ipv6Addr = six.parse().ok()?;
        return six.to_ipv4_mapped().is_none().then(|| format!("[{six}]"));
    }
    if is_address(host) {
        return host.parse::<Ipv4Addr>().ok().map(|four| four.to_string());
    }
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.split('.').all(plain).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (text, url) in [
            ("https://models.example.org", "https://models.example.org"),
            ("https://models.example.org/", "https://models.example.org"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://example.org/models/", "https://example.org/models"),
            ("https://Models.Example.org", "https://models.example.org"),
            ("HTTPS://models.example.org", "https://models.example.org"),
            ("https://models.example.org:443/", "https://models.example.org"),
            ("https://models.example.org:0443", "https://models.example.org"),
            ("http://models.example.org:443", "http://models.example.org:443"),
            ("HTTP://LOCALHOST:80/Models//", "http://localhost/Models"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(server_url(text).unwrap(), url);
        }
    }

    #[test]
    fn what_nobody_can_reach_is_refused() {
        for text in [
            "",
            "/",
            "models.example.org",
            "ftp://models.example.org",
            "https://",
            "https:///models",
            "https://user:password@models.example.org",
            "https://models.example.org/?a=b",
            "https://models.example.org/#there",
            "https://models example.org",
            "https://models.example.org.",
            "https://models.example.org:80000",
            "https://models.example.org:+80",
            "https://127.1",
            "https://0x7f000001",
            "https://mödels.example.org",
            "https://%6dodels.example.org",
            "https://example.org/a/../b",
            "https://example.org/a%2fb",
            "https://example.org//models",
        ] {
            let error = server_url(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
