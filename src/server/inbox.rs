//! Deliveries that arrive together are kept together: one commit for all of them, and each is answered after it.
//!
//! A commit waits for the disk. While one is under way others arrive, and all of those are the next group; so a lone
//! delivery waits for nobody, and a flood costs few commits. While it lasts the engine's own work steps back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::Unavailable;
use crate::engine::Engine;
use crate::store::deliveries::{Accepted, GROUP, NewDelivery};

/// How long without a new delivery until a flood is over?
const GRACE: Duration = Duration::from_millis(20);

/// Takes deliveries for one engine.
pub(super) struct GroupedInbox(mpsc::Sender<Waiting>);

/// A delivery, and who waits for what becomes of it.
struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Accepted, Unavailable>>,
}

impl GroupedInbox {
    /// An inbox for `engine`. What commits ends with this value.
    pub(super) fn start(engine: Arc<Engine>) -> Self {
        let (sender, waiting) = mpsc::channel(GROUP);
        tokio::spawn(commit_groups(engine, waiting));
        Self(sender)
    }

    /// Waits until the delivery is kept.
    pub(super) async fn accept(&self, delivery: NewDelivery) -> Result<Accepted, Unavailable> {
        let gone = || Unavailable(anyhow::anyhow!("nobody keeps deliveries any more"));
        let (answer, told) = oneshot::channel();
        self.0.send(Waiting { delivery, answer }).await.map_err(|_| gone())?;
        told.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn commit_groups(engine: Arc<Engine>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let first = engine.store().deliveries_first().await;
        let mut is_flood = true;
        while is_flood {
            is_flood = group.len() > 1;
            if let Err(rest) = commit(&engine, std::mem::take(&mut group)).await {
                // One that the database cannot keep must not take those with it that came at the same moment.
                for alone in rest {
                    let _ = commit(&engine, vec![alone]).await;
                }
            }
            // Those that were answered send the next ones.
            is_flood = is_flood
                && tokio::time::timeout(GRACE, waiting.recv_many(&mut group, GROUP)).await.is_ok_and(|count| count > 0);
        }
        drop(first);
        engine.wake();
    }
}

/// Keeps a group and answers each. Gives it back unanswered when it failed as a whole and has more than one.
async fn commit(engine: &Engine, mut group: Vec<Waiting>) -> Result<(), Vec<Waiting>> {
    // Whoever gave up was told that the database does not answer, and will send it again.
    group.retain(|it| !it.answer.is_closed());
    if group.is_empty() {
        return Ok(());
    }
    let (deliveries, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|it| (it.delivery, it.answer)).unzip();
    match engine.store().accept_deliveries(&deliveries).await {
        Ok(accepted) => {
            for (answer, accepted) in answers.into_iter().zip(accepted) {
                // Nobody listens any more; the delivery is known when it comes again.
                let _ = answer.send(Ok(accepted));
            }
            Ok(())
        }
        Err(_) if answers.len() > 1 => {
            Err(deliveries.into_iter().zip(answers).map(|(delivery, answer)| Waiting { delivery, answer }).collect())
        }
        Err(error) => {
            for (answer, error) in answers.into_iter().zip([error]) {
                let _ = answer.send(Err(Unavailable(error.into())));
            }
            Ok(())
        }
    }
}
