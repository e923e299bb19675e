//! The server's own address, as others reach it.

use anyhow::Result;

/// The address `text` in its one spelling: without a slash at the end.
pub(super) fn server_url(text: &str) -> Result<String> {
    let url = text.trim_end_matches('/');
    let is_address = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    anyhow::ensure!(
        is_address && !url.contains(['?', '#', '@']),
        "`server.url` is `{text}`, which is no address such as `https://models.example.org`; write where this server is \
         reached from outside, without user, query or fragment"
    );
    Ok(url.to_owned())
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
        ] {
            let error = server_url(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
