//! A GitHub with a hub, its people and a pull request, and a client that asks it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::github::{GitHub, Opened, Permission, Request, Response, send};

pub(crate) const HUB: &str = "urban/hub";

/// A GitHub, a clone of its hub, and a token of the installation.
pub(crate) struct Place {
    pub(crate) github: GitHub,
    pub(crate) clone: TempDir,
    pub(crate) token: String,
}

impl Place {
    /// A hub with one commit on `main` and the branch `sweep`, on which pull request 1 is open.
    pub(crate) fn new() -> Self {
        let github = GitHub::start();
        github.user("ada", Permission::Write);
        github.user("mallory", Permission::Read);
        github.repository(HUB);
        let clone = tempfile::tempdir().unwrap();
        git(clone.path(), &["init", "--quiet", "--initial-branch", "main"]);
        git(clone.path(), &["remote", "add", "origin", github.directory(HUB).to_str().unwrap()]);
        let token = minted(&github, &json!({}))["token"].as_str().unwrap().to_owned();
        let place = Self { github, clone, token };
        place.push("main", "readme.md", "a hub\n");
        git(place.clone.path(), &["checkout", "--quiet", "-b", "sweep"]);
        place.push("sweep", "sweeps/one.yaml", "sweep: one\n");
        place.github.open_pull(HUB, &Opened { author: "ada", title: "One", head: "sweep", base: "main", draft: false });
        place
    }

    /// Commits a file on the branch that is checked out and pushes it; gives the commit.
    pub(crate) fn push(&self, branch: &str, path: &str, text: &str) -> String {
        let file = self.clone.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        git(self.clone.path(), &["add", "--all"]);
        git(self.clone.path(), &["commit", "--quiet", "-m", path]);
        git(self.clone.path(), &["push", "--quiet", "origin", branch]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        git(self.clone.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Asks as the installation.
    pub(crate) fn ask(&self, method: &str, target: &str, body: &Value) -> Response {
        ask(&self.github.url(), &self.token, method, target, body)
    }

    /// Asks as the installation for something that has to be there.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Value {
        let response = self.ask("GET", target, &Value::Null);
        assert_eq!(response.status, 200, "GET {target}: {}", String::from_utf8_lossy(&response.body));
        response.value()
    }

    /// Asks as the installation for something to be done.
    #[track_caller]
    pub(crate) fn done(&self, method: &str, target: &str, body: &Value) -> Value {
        let response = self.ask(method, target, body);
        let fine = (200..300).contains(&response.status);
        assert!(fine, "{method} {target}: {} {}", response.status, String::from_utf8_lossy(&response.body));
        response.value()
    }
}

/// Asks whoever listens at `url`.
pub(crate) fn ask(url: &str, token: &str, method: &str, target: &str, body: &Value) -> Response {
    ask_with(url, token, method, target, body, &[])
}

pub(crate) fn ask_with(
    url: &str,
    token: &str,
    method: &str,
    target: &str,
    body: &Value,
    more: &[(&str, &str)],
) -> Response {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    if !token.is_empty() {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let body = if body.is_null() {
        Vec::new()
    } else {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        body.to_string().into_bytes()
    };
    let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
    send(url, &request, Duration::from_secs(90)).unwrap()
}

/// A JWT of the App, issued and expiring so many seconds from now.
pub(crate) fn jwt(github: &GitHub, issued: i64, expires: i64) -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = json!({"iat": now + issued, "exp": now + expires, "iss": github.app_id()});
    let key = EncodingKey::from_rsa_pem(github.private_key().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

/// The answer to a request for an installation token.
pub(crate) fn minted(github: &GitHub, body: &Value) -> Value {
    let target = format!("/app/installations/{}/access_tokens", github.installation_id());
    let response = ask(&github.url(), &jwt(github, -30, 540), "POST", &target, body);
    assert_eq!(response.status, 201, "{}", String::from_utf8_lossy(&response.body));
    response.value()
}

/// Runs git, which has to succeed.
#[track_caller]
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env("MODELSHIP_USER", "ada")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
