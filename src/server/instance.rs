//! The server's needs, met by an engine: deliveries go into its queue, answers come out of its database and its artifact
//! store, and its forge knows the people.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::inbox::GroupedInbox;
use super::{
    Accepted, Arrival, Delivery, Departure, Figures, Inbox, ModelEntry, Offers, People, Registry, RunEntry, Sender,
    SweepEntry, Unavailable, Unreachable,
};
use crate::domain::decide::State;
use crate::domain::event::{Key, Keyed};
use crate::domain::forge::{Permission, User};
use crate::domain::ids::{ModelName, Repository, RunId, SweepId, Time};
use crate::domain::image::{DOCKER_HUB, ImageName};
use crate::domain::offer::{Identity, OfferState};
use crate::domain::sweep::state::SweepState;
use crate::domain::version::Version;
use crate::edge::artifacts::content::Content;
use crate::edge::forge::github::GitHub;
use crate::edge::forge::github::signin::{SignInRequest, SignedIn};
use crate::edge::forge::{Forge, ForgeError};
use crate::edge::oidc::TokenError;
use crate::engine::{Engine, SweepFile, new_id};
use crate::store::deliveries::{self, NewDelivery};
use crate::store::registry::Found;

/// An engine as the server sees it.
pub struct Instance {
    engine: Arc<Engine>,
    inbox: GroupedInbox,
}

impl Instance {
    /// The server's view of `engine`. To be made within the runtime, where deliveries are kept from then on.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { inbox: GroupedInbox::start(Arc::clone(&engine)), engine }
    }

    fn github(&self) -> Option<&GitHub> {
        match self.engine.outside().forge() {
            Some(Forge::GitHub(github)) => Some(github),
            Some(Forge::Local(_)) | None => None,
        }
    }
}

impl Inbox for Instance {
    fn accept(&self, delivery: Delivery, events: Vec<Keyed>) -> BoxFuture<'_, Result<Accepted, Unavailable>> {
        let Delivery { id, event, digest, meaning, body: _ } = delivery;
        let received_at = self.engine.now();
        Box::pin(async move {
            let delivery = NewDelivery { id, event, body_digest: digest, meaning, events, received_at };
            Ok(match self.inbox.accept(delivery).await? {
                deliveries::Accepted::New => Accepted::New,
                deliveries::Accepted::Repeated => Accepted::Repeated,
                deliveries::Accepted::Conflicting => Accepted::Conflicting,
            })
        })
    }
}

impl Registry for Instance {
    fn ready(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.engine.store().check_ready().await.map_err(unavailable) })
    }

    fn figures(&self) -> BoxFuture<'_, Result<Figures, Unavailable>> {
        Box::pin(async move {
            let store = self.engine.store();
            let queue = store.pending(self.engine.now()).await.map_err(unavailable)?;
            let totals = store.totals().await.map_err(unavailable)?;
            // The local forge asks nobody for less.
            let left = self.github().and_then(GitHub::budget_left);
            Ok(Figures { queue, totals, budget: left.map(|left| ("core".to_owned(), left)).into_iter().collect() })
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelEntry>, Unavailable>> {
        Box::pin(async move {
            let store = self.engine.store();
            let mut entries = Vec::new();
            for row in store.models().await.map_err(unavailable)? {
                let mut channels = Vec::new();
                for channel in store.channels(&row.name).await.map_err(unavailable)? {
                    let history = store.channel_history(&row.name, &channel.channel).await.map_err(unavailable)?;
                    channels.extend(history.into_iter().next());
                }
                entries.push(ModelEntry { model: row.name, repository: row.repository, channels });
            }
            Ok(entries)
        })
    }

    fn versions(&self, model: ModelName) -> BoxFuture<'_, Result<Option<Vec<Version>>, Unavailable>> {
        Box::pin(async move {
            let versions = self.engine.store().versions(&model).await.map_err(unavailable)?;
            Ok((!versions.is_empty()).then_some(versions))
        })
    }

    fn sweeps(&self) -> BoxFuture<'_, Result<Vec<SweepEntry>, Unavailable>> {
        Box::pin(async move {
            let models = self.engine.store().models().await.map_err(unavailable)?;
            let models: HashMap<ModelName, Repository> =
                models.into_iter().map(|row| (row.name, row.repository)).collect();
            let mut entries = Vec::new();
            for row in self.engine.store().states("sweep").await.map_err(unavailable)? {
                if let State::Sweep(state) = serde_json::from_str(&row.json).map_err(unavailable)? {
                    entries.push(entry(&state, models.get(&state.plan.model)));
                }
            }
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.report.started_at));
            Ok(entries)
        })
    }

    fn sweep(&self, id: SweepId) -> BoxFuture<'_, Result<Option<SweepEntry>, Unavailable>> {
        Box::pin(async move {
            let Some(json) = self.engine.store().state(&Key::Sweep(id).to_string()).await.map_err(unavailable)? else {
                return Ok(None);
            };
            let State::Sweep(state) = serde_json::from_str(&json).map_err(unavailable)? else { return Ok(None) };
            let version = self.engine.store().version(&state.plan.version).await.map_err(unavailable)?;
            let repository = version.map(|version| version.source.repository);
            Ok(Some(entry(&state, repository.as_ref())))
        })
    }

    fn sweep_file(&self, id: SweepId, file: SweepFile) -> BoxFuture<'_, Result<Option<Content>, Unavailable>> {
        Box::pin(async move { self.engine.open_of_sweep(&id, file).await.map_err(unavailable) })
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RunEntry>, Unavailable>> {
        Box::pin(async move {
            let found = self.engine.recorded_run(id.as_str()).await.map_err(unavailable)?;
            let Found::One(recorded) = found else { return Ok(None) };
            let repositories = vec![recorded.planned.version.source.repository.clone()];
            Ok(Some(RunEntry { recorded, repositories }))
        })
    }

    fn run_log<'a>(&'a self, run: &'a RunEntry) -> BoxFuture<'a, Result<String, Unavailable>> {
        Box::pin(async move { self.engine.printed(&run.recorded).await.map_err(unavailable) })
    }

    fn run_file<'a>(&'a self, run: &'a RunEntry, name: &'a str) -> BoxFuture<'a, Result<Option<Content>, Unavailable>> {
        Box::pin(async move { self.engine.open_of_run(&run.recorded, name).await.map_err(unavailable) })
    }
}

impl People for Instance {
    fn now(&self) -> Time {
        self.engine.now()
    }

    fn unguessable(&self) -> String {
        format!("{}{}", new_id(), new_id()).replace('-', "")
    }

    fn sign_in_address(&self, departure: &Departure) -> Option<String> {
        let Departure { back, state, challenge } = departure;
        self.github()?.sign_in_address(&SignInRequest { back, state, challenge })
    }

    fn arrived(&self, arrival: Arrival) -> BoxFuture<'_, Result<Option<User>, Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(None) };
            let Arrival { code, back, verifier } = &arrival;
            let back = SignedIn { code, back, verifier: verifier.expose_secret() };
            match github.signed_in(&back).await {
                Ok(user) => Ok(Some(user)),
                Err(ForgeError::Later(error)) => Err(Unreachable(error)),
                Err(error) => {
                    tracing::warn!(error = format!("{:#}", error.cause()), "somebody could not sign in");
                    Ok(None)
                }
            }
        })
    }

    fn may_read(&self, repository: Repository, user: User) -> BoxFuture<'_, Result<bool, Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(false) };
            match github.permission(&repository, &user).await {
                Ok(permission) => Ok(permission >= Permission::Read),
                Err(ForgeError::Later(error)) => Err(Unreachable(error)),
                // For instance because the App is not installed there any more.
                Err(error) => {
                    tracing::info!(error = format!("{:#}", error.cause()), "nobody reads `{}` here", repository.name);
                    Ok(false)
                }
            }
        })
    }

    fn token_reads(&self, repository: Repository, token: SecretString) -> BoxFuture<'_, Result<bool, Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(false) };
            match github.can_read(&repository, &token).await {
                Ok(reads) => Ok(reads),
                Err(ForgeError::Later(error)) => Err(Unreachable(error)),
                Err(_) => Ok(false),
            }
        })
    }
}

fn entry(state: &SweepState, repository: Option<&Repository>) -> SweepEntry {
    let asked_in = state.pull.as_ref().map(|pull| &pull.repository);
    let mut repositories: Vec<Repository> = asked_in.into_iter().chain(repository).cloned().collect();
    repositories.dedup_by_key(|repository| repository.id);
    SweepEntry { id: state.plan.id.clone(), repositories, report: state.report() }
}

impl Offers for Instance {
    fn identify(&self, token: String) -> BoxFuture<'_, Option<Result<(Identity, Time), TokenError>>> {
        Box::pin(async move {
            let verifier = self.engine.outside().verifier.as_ref()?;
            let now = self.engine.now();
            Some(verifier.identify(&token, now).await.map(|who| (who, now)))
        })
    }

    fn offer(&self, model: ModelName, id: String) -> BoxFuture<'_, Result<Option<OfferState>, Unavailable>> {
        Box::pin(async move {
            let Some(json) = self.engine.store().state(&Key::Model(model).to_string()).await.map_err(unavailable)?
            else {
                return Ok(None);
            };
            match serde_json::from_str(&json).map_err(unavailable)? {
                State::Model(state) => Ok(state.offers.into_iter().find(|offer| offer.id == id)),
                _ => Ok(None),
            }
        })
    }

    fn accepted(&self, sender: Sender, repository: &str) -> Vec<ImageName> {
        let images = &self.engine.outside().images;
        let registries: BTreeSet<&str> = match sender {
            Sender::DockerHub => BTreeSet::from([DOCKER_HUB]),
            // What a registry calls itself may be known to nobody else; the settings say where it is.
            Sender::Registry => {
                let all = images.accepted().iter().filter_map(|prefix| prefix.split('/').next());
                all.filter(|registry| *registry != DOCKER_HUB).collect()
            }
        };
        let named = |registry: &str| ImageName::parse(&format!("{registry}/{repository}")).ok();
        registries.into_iter().filter_map(named).filter(|image| images.accepts(image)).collect()
    }
}

fn unavailable(error: impl Into<anyhow::Error>) -> Unavailable {
    Unavailable(error.into())
}
