//! `modelship register`: a workflow offers what it built to the server, and waits until the server has it or says why not.
//!
//! No secret is stored anywhere: GitHub signs a token that says which workflow this is, for this one server. It is asked for
//! anew for each try, as offering the same again changes nothing.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cli::arguments::Register;
use crate::cli::output::{CliError, Output};
use crate::cli::progress::Stage;
use crate::cli::session::Session;
use crate::cli::workspace::Workspace;
use crate::domain::host::is_loopback;
use crate::domain::ids::{ModelName, VersionId};
use crate::domain::image::ImageRef;
use crate::domain::manifest::BuildBy;
use crate::domain::offer::{OfferOutcome, Wish, WorkDone};
use crate::domain::report::escape::code;
use crate::domain::version::Version;
use crate::settings::{self, Settings};

/// How long may one question take?
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before the server is asked again, at first and at most?
const PAUSE: Duration = Duration::from_millis(250);
const MOST_PAUSE: Duration = Duration::from_secs(5);

/// Most characters of an answer that are shown.
const MOST_SHOWN: usize = 500;

/// Offers the image of the model's version at HEAD, and waits for the server's word.
pub(crate) async fn register(settings: Settings, register: &Register, output: &Output) -> Result<(), CliError> {
    let server = address(&register.server)?;
    let Some((request_url, request_token)) = settings::workflow_identity() else {
        return Err(CliError::User(
            "nobody signs who this is: `register` is for workflows of GitHub Actions, with `permissions: id-token: write`"
                .to_owned(),
        ));
    };
    let Some(wish) = wish(settings, register).await? else {
        output.warning(&format!(
            "the manifest of `{}` does not say `build_by: actions`, so workflows do not register it; nothing is done",
            register.model
        ));
        return Ok(());
    };
    let door = Door { client: client(&server)?, server, request_url, request_token };
    let deadline = Instant::now() + register.timeout;
    let stage = Stage::begin(output, &format!("Registering {}", register.model));
    let outcome = door.registered(&wish, deadline).await;
    let version = match outcome {
        Ok(version) => version,
        Err(error) => {
            stage.failed("register");
            return Err(error);
        }
    };
    stage.done(&format!("version {version}"));
    output.set("version", &version);
    output.set("digest", &wish.image.digest);
    output.summarize(|| {
        format!(
            "**Registered:** {} version {} of {}",
            code(&wish.model.to_string()),
            code(version.as_str()),
            code(&wish.image.to_string())
        )
    });
    if output.is_json() {
        return output
            .json(&json!({"model": wish.model, "version": version, "digest": wish.image.digest, "image": wish.image}));
    }
    output.line(&format!("{} version {version}", wish.model))
}

/// The server's address as its own settings spell it: the token is made for exactly that.
fn address(text: &str) -> Result<Url, CliError> {
    let wrong = |why: &str| CliError::User(format!("`{text}` {why}; name the server as its `server.url` does"));
    let url = Url::parse(text).map_err(|_| wrong("is no address such as `https://models.example.org`"))?;
    let local = url.host_str().is_some_and(is_loopback);
    match url.scheme() {
        "https" => Ok(url),
        "http" if local => Ok(url),
        _ => Err(wrong("is not reached by HTTPS")),
    }
}

fn client(server: &Url) -> anyhow::Result<Client> {
    // Nobody may lead a token elsewhere.
    let builder = Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none());
    let builder = if server.scheme() == "http" { builder.no_proxy() } else { builder };
    builder.build().context("cannot make a client for HTTP")
}

/// What is offered: the image, and what was built and tested here. None when the manifest leaves the model to others: a
/// hub's workflow builds all of its models.
async fn wish(settings: Settings, register: &Register) -> Result<Option<Wish>, CliError> {
    let image = ImageRef::parse(&register.image).map_err(|error| CliError::User(error.to_string()))?;
    let session = Session::open(settings).await?;
    let workspace = Workspace::open(&session.engine.outside().hosting, false)?;
    let versions = session.store().versions(&register.model).await?;
    session.close().await?;
    let found = workspace.models(std::slice::from_ref(&register.model))?;
    if found.iter().any(|model| model.manifest.build_by != BuildBy::Actions) {
        return Ok(None);
    }
    let Some(version) = versions.into_iter().find(|version| version.source.commit == workspace.commit) else {
        return Err(CliError::User(format!(
            "there is no version of `{0}` at commit {1}; build it first: `modelship build {0}`",
            register.model,
            workspace.commit.short()
        )));
    };
    let Version { tests, inputs, build_ms, .. } = version;
    let work = WorkDone { tests, inputs, build_ms };
    Ok(Some(Wish { model: register.model.clone(), commit: workspace.commit, image, work }))
}

/// The server, and who says who we are.
struct Door {
    client: Client,
    server: Url,
    request_url: String,
    request_token: SecretString,
}

/// What the server says of an offer.
#[derive(Debug, Deserialize)]
struct Standing {
    outcome: OfferOutcome,
}

/// How one question went.
enum Asked<T> {
    Answered(T),
    /// It may go better later.
    Later(anyhow::Error),
}

impl Door {
    async fn registered(&self, wish: &Wish, deadline: Instant) -> Result<VersionId, CliError> {
        let mut pauses = Pauses(PAUSE);
        let offer = loop {
            match self.offer(wish).await? {
                Asked::Answered(offer) => break offer,
                Asked::Later(error) => pauses.wait(deadline, || format!("{error:#}")).await?,
            }
        };
        let look = self.path(&format!("/api/models/{}/offers/{offer}", wish.model))?;
        let mut pauses = Pauses(PAUSE);
        loop {
            let so_far = match self.standing(&look, &wish.model).await {
                Asked::Answered(OfferOutcome::Registered { version }) => return Ok(version),
                Asked::Answered(OfferOutcome::Refused { reason }) => {
                    return Err(CliError::User(format!("the server refused `{}`: {reason}", wish.image)));
                }
                Asked::Answered(OfferOutcome::Checking) => "the server is still looking at it".to_owned(),
                Asked::Answered(OfferOutcome::Good { .. }) => "the server is registering it".to_owned(),
                Asked::Later(error) => format!("{error:#}"),
            };
            pauses.wait(deadline, || so_far).await?;
        }
    }

    /// Offers, and gives the number under which the server knows the offer.
    async fn offer(&self, wish: &Wish) -> Result<Asked<String>, CliError> {
        let token = match self.token().await? {
            Asked::Answered(token) => token,
            Asked::Later(error) => return Ok(Asked::Later(error)),
        };
        let request = self.client.post(self.path("/api/versions")?).bearer_auth(token.expose_secret()).json(wish);
        let said = match say(request).await {
            Ok(said) => said,
            Err(error) => return Ok(Asked::Later(error)),
        };
        if said.status == StatusCode::ACCEPTED {
            let offer = said.body["offer"].as_str().unwrap_or_default().to_owned();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if offer.is_empty() || !offer.chars().all(plain) {
                return Err(CliError::Ours(anyhow!("the server took the offer and does not say where to look")));
            }
            return Ok(Asked::Answered(offer));
        }
        let reason = format!("the server answers {}: {}", said.status.as_u16(), said.reason("error"));
        if said.may_change() { Ok(Asked::Later(anyhow!(reason))) } else { Err(CliError::User(reason)) }
    }

    /// A token that says who we are, for this server alone.
    async fn token(&self) -> Result<Asked<SecretString>, CliError> {
        let mut place = Url::parse(&self.request_url).context("ACTIONS_ID_TOKEN_REQUEST_URL is no address")?;
        place.query_pairs_mut().append_pair("audience", self.server.as_str().trim_end_matches('/'));
        let request = self.client.get(place).bearer_auth(self.request_token.expose_secret());
        let mut said = match say(request.header(ACCEPT, "application/json; api-version=2.0")).await {
            Ok(said) => said,
            Err(error) => return Ok(Asked::Later(error)),
        };
        if said.status.is_success()
            && let Value::String(token) = said.body["value"].take()
        {
            return Ok(Asked::Answered(SecretString::from(token)));
        }
        let reason = format!("GitHub signs no token: it answers {}: {}", said.status.as_u16(), said.reason("message"));
        if said.may_change() { Ok(Asked::Later(anyhow!(reason))) } else { Err(CliError::User(reason)) }
    }

    async fn standing(&self, look: &Url, model: &ModelName) -> Asked<OfferOutcome> {
        let said = match say(self.client.get(look.clone())).await {
            Ok(said) => said,
            Err(error) => return Asked::Later(error),
        };
        match Standing::deserialize(&said.body) {
            Ok(standing) if said.status.is_success() => Asked::Answered(standing.outcome),
            // Kept and not looked at yet.
            _ if said.status == StatusCode::NOT_FOUND => Asked::Answered(OfferOutcome::Checking),
            _ => Asked::Later(anyhow!(
                "the server answers {} on `{model}`: {}",
                said.status.as_u16(),
                said.reason("error")
            )),
        }
    }

    fn path(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.server.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).with_context(|| format!("`{path}` is no part of an address"))
    }
}

/// An answer.
struct Said {
    status: StatusCode,
    body: Value,
    text: String,
}

impl Said {
    fn reason(&self, key: &str) -> String {
        let reason = self.body[key].as_str().unwrap_or(&self.text);
        reason.chars().take(MOST_SHOWN).collect()
    }

    fn may_change(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
    }
}

async fn say(request: reqwest::RequestBuilder) -> anyhow::Result<Said> {
    let answer = request.send().await.map_err(reqwest::Error::without_url).context("no answer")?;
    let status = answer.status();
    let text = answer.text().await.map_err(reqwest::Error::without_url).context("the answer broke off")?;
    Ok(Said { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), text })
}

/// Longer and longer pauses, until the deadline.
struct Pauses(Duration);

impl Pauses {
    async fn wait(&mut self, deadline: Instant, so_far: impl FnOnce() -> String) -> Result<(), CliError> {
        if Instant::now() + self.0 >= deadline {
            return Err(CliError::Ours(anyhow!("the time is over, and {}; see `--timeout`", so_far())));
        }
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(MOST_PAUSE);
        Ok(())
    }
}
