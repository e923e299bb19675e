//! The server's two needs, met by an engine: deliveries go into its queue, answers come out of its database.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::inbox::GroupedInbox;
use super::{Accepted, Delivery, Figures, Inbox, ModelEntry, Offers, Registry, Sender, SweepEntry, Unavailable};
use crate::domain::decide::State;
use crate::domain::event::{Key, Keyed};
use crate::domain::ids::{ModelName, SweepId, Time};
use crate::domain::image::{DOCKER_HUB, ImageName};
use crate::domain::offer::{Identity, OfferState};
use crate::domain::sweep::state::SweepReport;
use crate::domain::version::Version;
use crate::edge::oidc::TokenError;
use crate::engine::Engine;
use crate::store::deliveries::{self, NewDelivery};

/// Most sweeps that a page holds.
const MOST_SWEEPS: usize = 100;

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
            Ok(Figures { queue, totals, budget: Vec::new() })
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
                entries.push(ModelEntry { model: row.name, channels });
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
            let mut entries = Vec::new();
            for row in self.engine.store().states("sweep").await.map_err(unavailable)? {
                if let State::Sweep(state) = serde_json::from_str(&row.json).map_err(unavailable)? {
                    entries.push(SweepEntry { id: state.plan.id.clone(), report: state.report() });
                }
            }
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.report.started_at));
            entries.truncate(MOST_SWEEPS);
            Ok(entries)
        })
    }

    fn sweep(&self, id: SweepId) -> BoxFuture<'_, Result<Option<SweepReport>, Unavailable>> {
        Box::pin(async move {
            let Some(json) = self.engine.store().state(&Key::Sweep(id).to_string()).await.map_err(unavailable)? else {
                return Ok(None);
            };
            match serde_json::from_str(&json).map_err(unavailable)? {
                State::Sweep(state) => Ok(Some(state.report())),
                _ => Ok(None),
            }
        })
    }
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
