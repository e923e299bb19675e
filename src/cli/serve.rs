//! `modelship serve`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use http::Uri;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::output::CliError;
use super::session::InstanceLock;
use crate::domain::host::is_loopback;
use crate::edge::forge::local::LocalForge;
use crate::engine::{Clock, Engine, Outside, new_id};
use crate::server::{
    self, Access, AllowedRepositories, Instance, Limits, OfferDoors, Others, ServerContext, SessionKey, SignIn,
    WebhookSecrets,
};
use crate::settings::{self, ForgeSettings, GitHubSettings, Settings};
use crate::store::Store;

/// Serves until it is told to stop.
pub(crate) async fn serve(settings: Settings) -> Result<(), CliError> {
    // What this process was given as secrets is not for builds and runs of the same user to read.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| anyhow::Error::new(error).context("cannot close this process's memory to others"))?;
    let Some(_lock) = InstanceLock::take(&settings.state).await? else {
        return Err(CliError::User(format!(
            "another modelship works on `{}` already; stop it, or choose another folder with `--state`",
            settings.state.display()
        )));
    };
    if let ForgeSettings::Laptop { repository } = &settings.forge {
        return Err(CliError::User(format!(
            "there is no forge to serve for `{}`; make one with `modelship init --forge DIR` and start again with \
             `--settings DIR/settings.yaml`",
            repository.display()
        )));
    }
    let store = Store::open(settings.database.expose_secret()).await?;
    let outside = Outside::open(&settings)?;
    let mut secrets = settings.server.webhook_secrets.clone();
    if let Some(forge) = outside.local_forge() {
        secrets.push(forge.webhook_secret().map_err(anyhow::Error::from)?);
        refresh_hooks(forge)?;
    }
    let secrets = WebhookSecrets::new(secrets).map_err(|_| {
        CliError::User(
            "there is no secret to verify webhooks with; name its file as `server.webhook_secret`, or set \
             MODELSHIP_WEBHOOK_SECRET"
                .to_owned(),
        )
    })?;
    let engine = Engine::new(store, outside, settings.rules(), Clock::system());
    engine.check_states().await.map_err(anyhow::Error::from)?;
    engine.recover().await?;
    let listener = TcpListener::bind(settings.server.listen).await.map_err(|error| {
        let address = settings.server.listen;
        CliError::User(format!("cannot listen on `{address}` ({error}); is another server running there?"))
    })?;
    let address = listener.local_addr().context("cannot find out the address that the server listens on")?;
    if let Some(forge) = engine.outside().local_forge() {
        forge.set_url(&format!("http://{address}")).map_err(anyhow::Error::from)?;
    }
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    tracing::info!(address = %address, "modelship {} serves http://{address}", env!("CARGO_PKG_VERSION"));
    let instance = Arc::new(Instance::new(Arc::clone(&engine)));
    let context = ServerContext {
        secrets,
        repositories: match settings.server.repositories.as_slice() {
            [] => AllowedRepositories::Any,
            ids => AllowedRepositories::Only(ids.iter().copied().collect()),
        },
        inbox: Arc::clone(&instance) as _,
        access: Arc::new(access(&settings, &engine, &instance).await?),
        registry: Arc::clone(&instance) as _,
        offers: OfferDoors { offers: instance, registry_secrets: settings.server.registry_secrets.clone() },
        limits: Limits::default(),
    };
    // Neither goes on without the other: a server whose engine is gone would take deliveries for nobody.
    let guard = |stop: CancellationToken| stop.drop_guard();
    let serving = async {
        let _end = guard(stop.clone());
        server::serve(listener, context, stop.clone().cancelled_owned()).await;
    };
    let working = async {
        let _end = guard(stop.clone());
        engine.run(Some(settings.reconcile_every), &stop).await
    };
    let ((), worked) = tokio::join!(serving, working);
    worked?;
    engine.store().close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Who may read what the server shows.
async fn access(settings: &Settings, engine: &Engine, instance: &Arc<Instance>) -> anyhow::Result<Access> {
    let public = settings.server.public.clone();
    let others = match (&settings.forge, &settings.server.url) {
        // Nobody can say who they are to the local forge, so nobody is believed who is not on this machine.
        (ForgeSettings::Local { .. } | ForgeSettings::Laptop { .. }, url)
            if is_reached_from_here_alone(settings.server.listen, url.as_deref()) =>
        {
            Others::Everybody
        }
        (ForgeSettings::GitHub(GitHubSettings { sign_in: Some(_), .. }), Some(url)) => {
            let fresh = SecretString::from(format!("{}{}", new_id(), new_id()));
            let key = engine.store().key("session", &fresh, engine.now()).await?;
            let people = Arc::clone(instance) as _;
            if url.starts_with("http://") && !settings.server.listen.ip().is_loopback() {
                tracing::warn!(
                    "`server.url` is `{url}`: without TLS others on the way can read what readers read; use `https`"
                );
            }
            Others::SignedIn(SignIn { url: url.clone(), key: SessionKey::new(key), people })
        }
        _ => Others::Nobody,
    };
    if matches!(others, Others::Nobody) && public.is_empty() {
        tracing::warn!(
            "nobody can read models, sweeps and files here: set `server.url`, `forge.github.client_id` and its secret, or \
             name repositories under `server.public_repositories`"
        );
    }
    Ok(Access::new(public, others))
}

/// Whether no other machine reaches the server: it listens to this one, and nobody is said to pass on what others ask.
fn is_reached_from_here_alone(listen: SocketAddr, url: Option<&str>) -> bool {
    let is_ours = |url: &str| url.parse::<Uri>().is_ok_and(|url| url.host().is_some_and(is_loopback));
    listen.ip().is_loopback() && url.is_none_or(is_ours)
}

/// The forge's hooks call this very program: it may have moved since they were installed.
fn refresh_hooks(forge: &LocalForge) -> anyhow::Result<()> {
    let program = settings::program()?;
    for repository in forge.repositories()? {
        forge.install_hook(&repository.name, &program)?;
    }
    Ok(())
}

async fn stop_on_signal(stop: CancellationToken) {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(error = %error, "cannot listen for signals");
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: what runs goes on and is taken up at the next start");
    stop.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_behind_a_proxy_is_not_this_machines_alone() {
        let alone = |listen: &str, url| is_reached_from_here_alone(listen.parse().unwrap(), url);
        assert!(alone("127.0.0.1:8080", None) && alone("[::1]:8080", Some("http://localhost:8080")));
        assert!(alone("127.0.0.1:8080", Some("http://[::1]:8080")));
        assert!(!alone("127.0.0.1:8080", Some("https://models.example.org")));
        assert!(!alone("127.0.0.1:8080", Some("https://localhost.example.org/models")));
        assert!(!alone("0.0.0.0:8080", None) && !alone("192.168.1.7:8080", Some("http://localhost:8080")));
    }
}
