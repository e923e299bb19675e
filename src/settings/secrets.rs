//! Secrets, from the environment or from files that only their owner can read, and who we are on GitHub by them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use secrecy::{ExposeSecret as _, SecretString};

use super::environment::variable;
use super::file::GitHubFile;
use super::{GitHubLogin, GitHubSettings, SignInSettings, duration};

/// The shortest secret that may stand in an address.
const SHORTEST_IN_ADDRESS: usize = 16;

/// What registries show. Docker Hub shows it in the address that it calls, so it has to fit there.
pub(super) fn registry_secrets(file: Option<PathBuf>) -> Result<Vec<SecretString>> {
    let secrets = secrets_of("MODELSHIP_REGISTRY_SECRET", file)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = |secret: &SecretString| {
        let text = secret.expose_secret();
        text.len() >= SHORTEST_IN_ADDRESS && text.bytes().all(plain)
    };
    anyhow::ensure!(
        secrets.iter().all(fits),
        "a secret of `server.registry_secret` must have at least {SHORTEST_IN_ADDRESS} letters and digits; make one with \
         `openssl rand -hex 32`"
    );
    Ok(secrets)
}

/// The secrets of an environment variable and of the file that settings name, one a line.
pub(super) fn secrets_of(name: &str, file: Option<PathBuf>) -> Result<Vec<SecretString>> {
    let lines = |text: &str| -> Vec<SecretString> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(SecretString::from).collect()
    };
    let mut secrets = Vec::new();
    if let Ok(text) = std::env::var(name) {
        secrets = lines(&text);
        anyhow::ensure!(!secrets.is_empty(), "{name} is set but empty; set a secret or unset it");
    }
    if let Some(path) = file {
        let found = lines(secret_file(&path)?.expose_secret());
        anyhow::ensure!(!found.is_empty(), "`{}` holds no secret; write one into it", path.display());
        secrets.extend(found);
    }
    Ok(secrets)
}

/// Who we are on GitHub: an App by its number and key, or the owner of `MODELSHIP_GITHUB_TOKEN`.
pub(super) fn github_settings(file: GitHubFile, base: &Path) -> Result<GitHubSettings> {
    let token = variable("MODELSHIP_GITHUB_TOKEN").map(SecretString::from);
    let login = match (file.app, token) {
        (Some(id), _) => {
            let key = match (variable("MODELSHIP_GITHUB_KEY"), file.key) {
                (Some(key), _) => SecretString::from(key),
                (None, Some(path)) => secret_file(&base.join(path))?,
                (None, None) => anyhow::bail!(
                    "`forge.github.app` is {id}, and its private key is missing: name its file as `forge.github.key`, or set \
                     MODELSHIP_GITHUB_KEY"
                ),
            };
            GitHubLogin::App { id, key }
        }
        (None, Some(token)) => GitHubLogin::Token(token),
        (None, None) => anyhow::bail!(
            "nobody is named who speaks to GitHub: set `forge.github.app` to the number of your GitHub App, or \
             MODELSHIP_GITHUB_TOKEN to a token"
        ),
    };
    let sign_in = sign_in_settings(file.client_id, file.client_secret.map(|path| base.join(path)))?;
    Ok(GitHubSettings {
        sign_in,
        api: file.api.unwrap_or_else(|| "https://api.github.com".to_owned()),
        git: file.git.unwrap_or_else(|| "https://github.com".to_owned()),
        login,
        between_writes: match file.between_writes {
            None => None,
            Some(text) => Some(duration("forge.github.between_writes", Some(text), Duration::ZERO)?),
        },
    })
}

/// By what people sign in: the client id of the file, and the secret of `MODELSHIP_GITHUB_CLIENT_SECRET` or of a file.
fn sign_in_settings(client_id: Option<String>, file: Option<PathBuf>) -> Result<Option<SignInSettings>> {
    let secret = match (variable("MODELSHIP_GITHUB_CLIENT_SECRET"), file) {
        (Some(secret), _) => Some(SecretString::from(secret)),
        (None, Some(path)) => Some(SecretString::from(secret_file(&path)?.expose_secret().trim())),
        (None, None) => None,
    };
    match (client_id, secret) {
        (Some(client_id), Some(client_secret)) => {
            let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            anyhow::ensure!(
                !client_id.is_empty() && client_id.bytes().all(is_id),
                "`forge.github.client_id` is `{client_id}`; write the client id that the App's page on GitHub shows, such as \
                 `Iv23liabc`"
            );
            anyhow::ensure!(!client_secret.expose_secret().is_empty(), "the client secret of the GitHub App is empty");
            Ok(Some(SignInSettings { client_id, client_secret }))
        }
        (Some(_), None) => anyhow::bail!(
            "`forge.github.client_id` is set, and its secret is missing: name its file as `forge.github.client_secret`, or \
             set MODELSHIP_GITHUB_CLIENT_SECRET"
        ),
        (None, Some(_)) => anyhow::bail!(
            "there is a client secret for GitHub and nobody whose it is: write the App's client id as \
             `forge.github.client_id`"
        ),
        (None, None) => Ok(None),
    }
}

/// A secret that lies in a file, which nobody else may be able to read.
pub(super) fn secret_file(path: &Path) -> Result<SecretString> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs_err::metadata(path)?.permissions().mode();
    anyhow::ensure!(
        mode & 0o077 == 0,
        "`{}` holds a secret and others can read it; run `chmod 600 {0}`",
        path.display()
    );
    Ok(SecretString::from(fs_err::read_to_string(path)?))
}
