//! Other programs that are told what happens: where, by which secret, and of what.
//!
//! Addresses come from the settings alone, never from a repository, so which of them lie in one's own network is for
//! whoever runs the instance to choose.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use http::Uri;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::environment::variable;
use super::secrets::secret_file;
use crate::domain::host::is_loopback;
use crate::domain::notice::{NoticeKind, Subscription};

/// A program that is told what happens.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// What it is called here.
    pub name: String,
    /// Its address, which may hold something that only it and we should know.
    pub url: SecretString,
    /// What signs messages to it.
    pub secret: SecretString,
    /// What it wants to hear of.
    pub events: Vec<NoticeKind>,
    /// Whether messages leave this machine so that everybody on the way can read along.
    pub is_open: bool,
}

impl WebhookSettings {
    /// Of what it is told, for decisions.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        Subscription { target: self.name.clone(), kinds: self.events.clone() }
    }
}

/// The same as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFile {
    name: Option<String>,
    url: String,
    secret: Option<PathBuf>,
    secret_variable: Option<String>,
    #[serde(default = "everything")]
    events: Vec<NoticeKind>,
    #[serde(default)]
    allow_http: bool,
}

fn everything() -> Vec<NoticeKind> {
    NoticeKind::ALL.to_vec()
}

/// The targets, each checked.
pub(super) fn webhooks(files: Vec<WebhookFile>, base: &Path) -> Result<Vec<WebhookSettings>> {
    let mut webhooks: Vec<WebhookSettings> = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        // The address may hold a secret, so a fault names the entry by its number.
        let place = format!("`webhooks[{index}]`");
        let Address { host, is_open } = address(&file).with_context(|| format!("{place} cannot be used"))?;
        let name = file.name.clone().unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '[' | ']');
        anyhow::ensure!(
            (1..=100).contains(&name.len()) && name.chars().all(plain),
            "the name of {place} may hold letters, digits, `-`, `_` and `.`, at most 100 of them"
        );
        anyhow::ensure!(
            webhooks.iter().all(|other| other.name != name),
            "two `webhooks` are called `{name}`; give each a `name` of its own"
        );
        anyhow::ensure!(!file.events.is_empty(), "{place} has no `events`; leave the key out to be told of everything");
        let secret = secret(&file, base).with_context(|| format!("{place} cannot be used"))?;
        webhooks.push(WebhookSettings {
            name,
            url: SecretString::from(file.url),
            secret,
            events: file.events,
            is_open,
        });
    }
    Ok(webhooks)
}

struct Address {
    /// The host and its port.
    host: String,
    is_open: bool,
}

/// The address, when messages may be sent there.
fn address(file: &WebhookFile) -> Result<Address> {
    // What is wrong is said without the address.
    let url: Uri =
        file.url.parse().map_err(|_| anyhow::anyhow!("its `url` is no address such as `https://host/path`"))?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        anyhow::bail!("its `url` is no address such as `https://host/path`");
    };
    anyhow::ensure!(
        !authority.as_str().contains('@'),
        "its `url` holds a user or a password; the signature tells who sends"
    );
    match scheme {
        "https" => {}
        "http" if file.allow_http || is_loopback(authority.host()) => {}
        "http" => anyhow::bail!(
            "its `url` begins with `http://`, so everybody on the way can read along; use `https://`, or write `allow_http: \
             true` beside it"
        ),
        other => anyhow::bail!("its `url` begins with `{other}:`; write `https://host/path`"),
    }
    let is_open = scheme == "http" && !is_loopback(authority.host());
    Ok(Address { host: authority.as_str().to_owned(), is_open })
}

fn secret(file: &WebhookFile, base: &Path) -> Result<SecretString> {
    let secret = match (&file.secret, &file.secret_variable) {
        (Some(path), None) => secret_file(&base.join(path))?,
        (None, Some(name)) => SecretString::from(
            variable(name).with_context(|| format!("its secret is to be in {name}, which is not set"))?,
        ),
        (None, None) => anyhow::bail!("it has no secret: name a file as `secret`, or a variable as `secret_variable`"),
        (Some(_), Some(_)) => anyhow::bail!("it has both `secret` and `secret_variable`; leave one out"),
    };
    let line = secret.expose_secret().trim();
    anyhow::ensure!(!line.is_empty() && !line.contains('\n'), "its secret must be one line");
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(text: &str) -> Result<Vec<WebhookSettings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hook.secret");
        fs_err::write(&file, "a long enough secret\n").unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        fs_err::write(folder.path().join("open.secret"), "everybody reads this").unwrap();
        fs_err::set_permissions(folder.path().join("open.secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let files: Vec<WebhookFile> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        webhooks(files, folder.path()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_target_has_an_address_a_secret_and_a_name() {
        let found =
            read("[{url: \"https://hooks.example.org/x?token=1\", secret: hook.secret, events: [promoted]}]").unwrap();
        assert_eq!(found[0].name, "hooks.example.org");
        assert_eq!(found[0].secret.expose_secret(), "a long enough secret");
        assert_eq!(found[0].events, [NoticeKind::Promoted]);
        let all = read("[{name: deployer, url: \"https://a/\", secret: hook.secret}]").unwrap();
        assert_eq!((all[0].name.as_str(), all[0].events.as_slice()), ("deployer", NoticeKind::ALL.as_slice()));
        assert!(!format!("{found:?}").contains("token"), "an address is not shown");
    }

    #[test]
    fn what_could_be_read_along_or_forged_is_refused() {
        let fault = |text: &str| read(text).unwrap_err();
        assert!(fault("[{url: \"http://example.org/\", secret: hook.secret}]").contains("allow_http"));
        for fine in ["http://127.0.0.1:9000/", "http://localhost/x", "http://[::1]:80/", "https://10.0.0.1/"] {
            read(&format!("[{{url: \"{fine}\", secret: hook.secret}}]")).unwrap();
        }
        read("[{url: \"http://example.org/\", secret: hook.secret, allow_http: true}]").unwrap();
        for bad in ["ftp://a/", "file:///etc/passwd", "/x", "https://", "https://user:password@a/", "gopher://a"] {
            let said = fault(&format!("[{{url: \"{bad}\", secret: hook.secret}}]"));
            assert!(said.contains("`webhooks[0]`") && !said.contains("password@"), "{bad}: {said}");
        }
        assert!(fault("[{url: \"https://a/\"}]").contains("no secret"));
        assert!(fault("[{url: \"https://a/\", secret: open.secret}]").contains("chmod 600"));
        assert!(fault("[{url: \"https://a/\", secret_variable: MODELSHIP_NO_SUCH}]").contains("not set"));
        assert!(fault("[{url: \"https://a/\", secret: hook.secret, events: []}]").contains("no `events`"));
        assert!(fault("[{url: \"https://a/\", secret: hook.secret, events: [pushed]}]").contains("pushed"));
        let twice = "[{url: \"https://a/1\", secret: hook.secret}, {url: \"https://a/2\", secret: hook.secret}]";
        assert!(fault(twice).contains("called `a`"));
    }
}
