//! The server's needs, met by an engine: deliveries go into its queue, answers come out of its database and its artifact
//! store, and its forge knows the people.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::inbox::GroupedInbox;
use super::{
    Accepted, Arrival, Delivery, Departure, Figures, Inbox, ModelEntry, NotIdentified, Offers, People, Registry,
    RunEntry, Sender, SweepEntry, Unavailable, Unreachable,
};
use crate::domain::decide::State;
use crate::domain::event::{Key, Keyed};
use crate::domain::forge::{Permission, User};
use crate::domain::ids::{ModelName, PullRef, Repository, RunPrefix, SweepId, Time};
use crate::domain::image::{DOCKER_HUB, ImageName};
use crate::domain::offer::{Identity, OfferState};
use crate::domain::sweep::state::SweepState;
use crate::domain::version::Version;
use crate::edge::artifacts::content::Content;
use crate::edge::forge::github::signin::{SignInRequest, SignedIn};
use crate::edge::forge::github::{CountedFor, GitHub};
use crate::edge::forge::{Forge, ForgeError};
use crate::engine::{Engine, PlannedRun, Recorded, SweepFile, new_id};
use crate::store::deliveries::{self, NewDelivery};
use crate::store::registry::Found;

/// How many requests are left to the server's own work in each installation: a fifth of the 5000 an hour that GitHub takes
/// at least.
const RESERVE: u64 = 1000;

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

    /// The repository that the model is published from.
    async fn owner(&self, model: &ModelName) -> Result<Option<Repository>, Unavailable> {
        self.engine.store().repository_of(model).await.map_err(unavailable)
    }

    async fn entry(&self, model: ModelName, repository: Repository) -> Result<ModelEntry, Unavailable> {
        let channels = self.engine.store().newest_moves(&model).await.map_err(unavailable)?;
        Ok(ModelEntry { model, repository, channels })
    }

    async fn state_of(&self, sweep: SweepId) -> Result<Option<SweepState>, Unavailable> {
        let json = self.engine.store().state(&Key::Sweep(sweep).to_string()).await.map_err(unavailable)?;
        Ok(match json.map(|json| serde_json::from_str(&json)).transpose().map_err(unavailable)? {
            Some(State::Sweep(state)) => Some(*state),
            _ => None,
        })
    }

    /// The sweep with the repositories that it is made of, as they are called now.
    async fn sweep_entry(&self, state: &SweepState) -> Result<SweepEntry, Unavailable> {
        let owner = self.owner(&state.plan.model).await?;
        let mut asked_in = state.pull.as_ref().map(|pull| pull.repository.clone());
        if let Some(repository) = &mut asked_in {
            let name = self.engine.store().repository_name(repository.id).await.map_err(unavailable)?;
            repository.name = name.unwrap_or_else(|| repository.name.clone());
        }
        Ok(sweep_entry(state, asked_in, owner))
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
        let Delivery { id, event, digest, meaning } = delivery;
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
    fn forge_address(&self) -> Option<String> {
        self.github().map(|github| github.web().to_owned())
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.engine.store().check_ready().await.map_err(unavailable) })
    }

    fn figures(&self) -> BoxFuture<'_, Result<Figures, Unavailable>> {
        Box::pin(async move {
            let store = self.engine.store();
            let queue = store.pending(self.engine.now()).await.map_err(unavailable)?;
            let totals = store.totals().await.map_err(unavailable)?;
            // The local forge asks nobody for less.
            let budgets = self.github().map(GitHub::budgets_left).unwrap_or_default();
            Ok(Figures { queue, totals, budgets })
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelEntry>, Unavailable>> {
        Box::pin(async move {
            let mut entries = Vec::new();
            for (model, repository) in self.engine.store().owners().await.map_err(unavailable)? {
                entries.push(self.entry(model, repository).await?);
            }
            Ok(entries)
        })
    }

    fn model(&self, model: ModelName) -> BoxFuture<'_, Result<Option<ModelEntry>, Unavailable>> {
        Box::pin(async move {
            let Some(repository) = self.owner(&model).await? else { return Ok(None) };
            Ok(Some(self.entry(model, repository).await?))
        })
    }

    fn versions(&self, model: ModelName) -> BoxFuture<'_, Result<Vec<Version>, Unavailable>> {
        Box::pin(async move { self.engine.store().versions(&model).await.map_err(unavailable) })
    }

    fn sweeps(&self) -> BoxFuture<'_, Result<Vec<SweepEntry>, Unavailable>> {
        Box::pin(async move {
            let owners = Owners::of_all(self.engine.store().owners().await.map_err(unavailable)?);
            let mut entries = Vec::new();
            for row in self.engine.store().states("sweep").await.map_err(unavailable)? {
                if let State::Sweep(state) = serde_json::from_str(&row.json).map_err(unavailable)? {
                    let owner = owners.by_model.get(&state.plan.model).cloned();
                    let asked_in = state.pull.as_ref().map(|pull| owners.present(&pull.repository));
                    entries.push(sweep_entry(&state, asked_in, owner));
                }
            }
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.report.started_at));
            Ok(entries)
        })
    }

    fn sweep(&self, id: SweepId) -> BoxFuture<'_, Result<Option<SweepEntry>, Unavailable>> {
        Box::pin(async move {
            match self.state_of(id).await? {
                Some(state) => self.sweep_entry(&state).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn sweep_file(&self, id: SweepId, file: SweepFile) -> BoxFuture<'_, Result<Option<Content>, Unavailable>> {
        Box::pin(async move { self.engine.open_of_sweep(&id, file).await.map_err(unavailable) })
    }

    fn first_runs(&self, id: SweepId, most: usize) -> BoxFuture<'_, Result<Vec<PlannedRun>, Unavailable>> {
        Box::pin(async move { self.engine.first_runs(&id, most).await.map_err(unavailable) })
    }

    fn runs(&self, prefix: RunPrefix) -> BoxFuture<'_, Result<Vec<RunEntry>, Unavailable>> {
        Box::pin(async move {
            let found = match self.engine.store().run(prefix.as_str()).await.map_err(unavailable)? {
                Found::None => Vec::new(),
                Found::One(known) => vec![known],
                Found::Many(many) => many,
            };
            let mut entries = Vec::new();
            for known in found {
                let repositories = match self.state_of(known.sweep.clone()).await? {
                    // Whoever has the whole id was told it. What is found by trying is for those whom the sweep is for.
                    Some(state) if prefix.as_str() != known.run.as_str() => {
                        self.sweep_entry(&state).await?.repositories
                    }
                    Some(state) => self.owner(&state.plan.model).await?.into_iter().collect(),
                    None => Vec::new(),
                };
                entries.push(RunEntry { known, repositories });
            }
            Ok(entries)
        })
    }

    fn recorded(&self, run: RunEntry) -> BoxFuture<'_, Result<Option<Recorded>, Unavailable>> {
        Box::pin(async move { self.engine.kept_run(run.known).await.map_err(unavailable) })
    }

    fn run_parameters<'a>(&'a self, run: &'a Recorded) -> BoxFuture<'a, Result<Vec<(String, String)>, Unavailable>> {
        Box::pin(async move { self.engine.kept_parameters(run).await.map_err(unavailable) })
    }

    fn run_log<'a>(&'a self, run: &'a Recorded) -> BoxFuture<'a, Result<String, Unavailable>> {
        Box::pin(async move { self.engine.printed(run).await.map_err(unavailable) })
    }

    fn run_file<'a>(&'a self, run: &'a Recorded, name: &'a str) -> BoxFuture<'a, Result<Option<Content>, Unavailable>> {
        Box::pin(async move { self.engine.open_of_run(run, name).await.map_err(unavailable) })
    }
}

/// Which repository each model is published from, and what repositories are called now: what was built or asked for under
/// an earlier name belongs to the same repository.
struct Owners {
    by_model: HashMap<ModelName, Repository>,
    by_id: HashMap<i64, Repository>,
}

impl Owners {
    fn of_all(all: Vec<(ModelName, Repository)>) -> Self {
        let by_id = all.iter().map(|(_, repository)| (repository.id, repository.clone())).collect();
        Self { by_model: all.into_iter().collect(), by_id }
    }

    /// The repository under its present name, as far as we know it.
    fn present(&self, repository: &Repository) -> Repository {
        self.by_id.get(&repository.id).unwrap_or(repository).clone()
    }
}

/// The sweep, which was asked for in one repository and whose model another one owns, or the same.
fn sweep_entry(state: &SweepState, asked_in: Option<Repository>, owner: Option<Repository>) -> SweepEntry {
    let pull = state.pull.as_ref().zip(asked_in.clone());
    let pull = pull.map(|(pull, repository)| PullRef { repository, number: pull.number });
    let mut repositories: Vec<Repository> = asked_in.into_iter().chain(owner).collect();
    repositories.dedup_by_key(|repository| repository.id);
    SweepEntry { id: state.plan.id.clone(), repositories, pull, report: state.report() }
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
                Err(ForgeError::Later(error) | ForgeError::Here(error)) => Err(Unreachable(error)),
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
                Err(ForgeError::Later(error) | ForgeError::Here(error)) => Err(Unreachable(error)),
                // For instance because the App is not installed there any more.
                Err(error) => {
                    tracing::info!(error = format!("{:#}", error.cause()), "nobody reads `{}` here", repository.name);
                    Ok(false)
                }
            }
        })
    }

    fn has_questions_to_spare(&self, repository: &Repository) -> bool {
        self.github().and_then(|github| github.budget_left(repository)).is_none_or(|left| left >= RESERVE)
    }

    fn is_short_of_questions(&self) -> bool {
        let budgets = self.github().map(GitHub::budgets_left).unwrap_or_default();
        // Nothing of the App's own is spent on readers.
        budgets.into_iter().any(|(counted, left)| counted != CountedFor::App && left < RESERVE)
    }

    fn is_token(&self, token: SecretString) -> BoxFuture<'_, Result<bool, Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(false) };
            github.is_token(&token).await.map_err(Unreachable)
        })
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(()) };
            match github.answers().await {
                Err(ForgeError::Later(error) | ForgeError::Here(error)) => Err(Unreachable(error)),
                _ => Ok(()),
            }
        })
    }

    fn token_reads(&self, repository: Repository, token: SecretString) -> BoxFuture<'_, Result<bool, Unreachable>> {
        Box::pin(async move {
            let Some(github) = self.github() else { return Ok(false) };
            match github.can_read(&repository, &token).await {
                Ok(reads) => Ok(reads),
                Err(ForgeError::Later(error) | ForgeError::Here(error)) => Err(Unreachable(error)),
                Err(_) => Ok(false),
            }
        })
    }
}

impl Offers for Instance {
    fn identify(&self, token: SecretString) -> BoxFuture<'_, Result<(Identity, Time), NotIdentified>> {
        Box::pin(async move {
            let verifier = self.engine.outside().verifier.as_ref().ok_or(NotIdentified::NoAddress)?;
            let now = self.engine.now();
            Ok((verifier.identify(token.expose_secret(), now).await?, now))
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
