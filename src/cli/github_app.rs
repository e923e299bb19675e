//! `modelship github-app create`: a GitHub App of one's own, made by its owner's browser.

use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::net::TcpListener;

use super::arguments::CreateApp;
use super::output::{CliError, Output};
use crate::edge::forge::ForgeError;
use crate::edge::forge::github::manifest::{AppWish, NewApp, convert};
use crate::engine::new_id;
use crate::server::AppForm;

/// What is written, and who may read it.
const SETTINGS: &str = "settings.yaml";
const KEY: &str = "github-app.pem";
const SECRET: &str = "webhook-secret";
const CLIENT_SECRET: &str = "client-secret";

/// Makes an App and writes down what a server needs to be it.
pub(crate) async fn create(create: &CreateApp, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let directory = cwd.join(&create.to);
    // Before anything is made that could not be written down.
    for name in [SETTINGS, KEY, SECRET, CLIENT_SECRET] {
        if directory.join(name).exists() {
            let path = directory.join(name).display().to_string();
            return Err(CliError::User(format!(
                "`{path}` is there already, and nothing is overwritten; choose another `--to`"
            )));
        }
    }
    if !create.url.starts_with("https://") && !create.url.starts_with("http://") {
        return Err(CliError::User(format!("`{}` is no address such as `https://models.example.org`", create.url)));
    }
    let listener = TcpListener::bind(create.listen).await.map_err(|error| {
        CliError::User(format!("cannot listen on `{}` ({error}); choose another `--listen`", create.listen))
    })?;
    let address = listener.local_addr().context("cannot find out the address of the page")?;
    let wish =
        AppWish { name: create.name.clone(), url: create.url.clone(), redirect: format!("http://{address}/created") };
    let web = create.github.trim_end_matches('/');
    let action = match &create.organization {
        Some(organization) => format!("{web}/organizations/{organization}/settings/apps/new"),
        None => format!("{web}/settings/apps/new"),
    };
    output.open(&format!("http://{address}/"), "in a browser on this machine; this ends when GitHub has made the App");
    let form = AppForm { action, manifest: wish.manifest(), state: new_id() };
    let Some(code) = form.serve(listener).await else {
        return Err(CliError::Ours(anyhow::anyhow!("the page ended before GitHub had made the App")));
    };
    let app = convert(&create.api, &code).await.map_err(|error| match error {
        ForgeError::Later(error) | ForgeError::Here(error) => CliError::Ours(error),
        refused => CliError::User(format!("GitHub did not give the App away: {:#}; begin again", refused.into_cause())),
    })?;
    write(&directory, create, &app)?;
    let settings = directory.join(SETTINGS);
    if output.is_json() {
        output.json(&json!({"app": app.id, "slug": app.slug, "page": app.html_url, "settings": settings}))?;
    } else {
        output.line(&format!("App {} (number {}): {}", app.slug, app.id, app.html_url))?;
    }
    output.next_step(&format!("open {}/installations/new and choose repositories", app.html_url));
    output.next_step(&format!(
        "write into {} whether it builds in containers or as processes; the last lines say how",
        settings.display()
    ));
    output.next_step(&format!("modelship doctor --settings {}", settings.display()));
    output.next_step(&format!("modelship serve --settings {}", settings.display()));
    Ok(())
}

fn write(directory: &Path, create: &CreateApp, app: &NewApp) -> Result<(), CliError> {
    fs_err::create_dir_all(directory).map_err(anyhow::Error::from)?;
    let github_at = match create.api.as_str() {
        "https://api.github.com" => String::new(),
        api => format!(", api: {}, git: {}", json!(api), json!(create.github)),
    };
    // Who signs for workflows on a server of one's own.
    let issuer = match create.github.trim_end_matches('/') {
        "https://github.com" => String::new(),
        github => format!(", token_issuer: {}", json!(format!("{github}/_services/token"))),
    };
    // Without TLS it is no proxy that GitHub and readers reach, but this very server.
    let listen = if create.url.starts_with("https://") { "127.0.0.1:8080" } else { "0.0.0.0:8080" };
    let settings = format!(
        "# Settings of this server. Paths are relative to this file; what is left out has a default.\n\
         state: state\n\
         forge:\n  github: {{app: {}, key: {KEY}, client_id: {}, client_secret: {CLIENT_SECRET}{github_at}}}\n\
         server: {{listen: \"{listen}\", url: {}, webhook_secret: {SECRET}{issuer}}}\n\
         # What is pushed is built and run in containers,\n\
         # executor: docker\n\
         # or as processes of this machine, for repositories that you trust as you trust yourself.\n\
         # process: {{trusted: [OWNER/NAME]}}\n",
        app.id,
        json!(app.client_id),
        json!(create.url.trim_end_matches('/')),
    );
    for (name, text, mode) in [
        (KEY, app.pem.expose_secret(), 0o600),
        (SECRET, app.webhook_secret.expose_secret(), 0o600),
        (CLIENT_SECRET, app.client_secret.expose_secret(), 0o600),
        (SETTINGS, settings.as_str(), 0o644),
    ] {
        let path = directory.join(name);
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
