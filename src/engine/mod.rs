//! The loop: claim a task, decide, commit; claim an effect, do it, report.
//!
//! The engine owns no knowledge of what should happen (that is [`crate::domain::decide`]) and none of how the outside works
//! (that is [`crate::edge`]). It connects them through the database, which is the only truth: a wake-up is a hint, and a
//! process that dies at any point leaves tasks whose lease runs out and that somebody takes up again.

mod clock;
mod expansion;
pub mod keys;
mod logs;
mod outage;
mod outlook;
mod outside;
mod patience;
mod perform;
mod planning;
mod records;
mod replay;
mod shelf;
mod states;
mod work;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use clock::{Clock, system_time};
pub use logs::{BuildLog, Sought, UnderWay};
use outage::Outage;
pub use outlook::Outlook;
pub use outside::{Hosting, Outside, docker_settings, github_forge};
use patience::Tries;
pub use perform::inspect::{Changes, changes};
use perform::members::Members;
pub use planning::{FilesAt, PlanOrder, Planned, read_plan};
pub use replay::{Choice, Recorded, ReplayEnd, ReplayOrder};
pub use shelf::{PlannedRun, SweepFile};
pub use states::{StateError, UnreadableState};

use crate::domain::decide::{State, decide};
use crate::domain::decision::{Decision, Rules};
use crate::domain::effect::{Effect, Lane};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::Time;
use crate::edge::forge::ForgeError;
use crate::store::queue::{
    Beat, ClaimedEffect, ClaimedEvent, CommitDecision, Failed, Kept, Lease, Leases, NewEffect, NewState, Owner,
};
use crate::store::{Store, StoreError};

/// How long is a claimed task ours without a heartbeat?
const LEASE: Duration = Duration::from_secs(30);

/// How often are leases renewed, and cancellations looked for?
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long at most between two looks at the queue when nothing wakes us?
const POLL: Duration = Duration::from_millis(250);

/// How often is looked for what can be forgotten?
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);

/// How much later than now may something have happened before the clock counts as set back? Replicas' clocks differ a
/// little.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// An id that nobody else has.
#[must_use]
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The engine of one process.
pub struct Engine {
    store: Store,
    clock: Clock,
    rules: Rules,
    owner: Owner,
    outside: Arc<Outside>,
    wake: Notify,
    beat: Notify,
    outage: Outage,
    forgot: Mutex<Option<Time>>,
    running: Mutex<HashMap<i64, (Lease, CancellationToken)>>,
    members: Arc<Members>,
}

/// Why an effect did not come to its end.
#[derive(Debug)]
enum Failure {
    /// It may work later.
    Later(anyhow::Error),
    /// The forge is away or asked us to wait, so it was not even tried.
    Away(anyhow::Error),
    /// The forge does not let us in, until somebody changes that.
    Barred(anyhow::Error),
    /// What it is about is not there, or not yet.
    Missing(anyhow::Error),
    /// It never will.
    Never(anyhow::Error),
}

impl Failure {
    /// What went wrong, whether or not it may go well later.
    fn into_cause(self) -> anyhow::Error {
        let (Self::Later(error) | Self::Away(error) | Self::Barred(error) | Self::Missing(error) | Self::Never(error)) =
            self;
        error
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Later(error)
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        match error {
            ForgeError::Later(error) => Self::Away(error),
            ForgeError::Here(error) => Self::Later(error),
            ForgeError::OutOfReach(error) => Self::Barred(error),
            ForgeError::Missing(error) => Self::Missing(error),
            ForgeError::Never(error) => Self::Never(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Later(error.into())
    }
}

impl Engine {
    /// An engine over `store` that reaches the outside through `outside`.
    #[must_use]
    pub fn new(store: Store, outside: Outside, rules: Rules, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            rules,
            owner: Owner::new(new_id()),
            outside: Arc::new(outside),
            wake: Notify::new(),
            beat: Notify::new(),
            outage: Outage::default(),
            forgot: Mutex::new(None),
            running: Mutex::new(HashMap::new()),
            members: Arc::default(),
        })
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The outside.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The outside, for work in other threads.
    fn share_outside(&self) -> Arc<Outside> {
        Arc::clone(&self.outside)
    }

    /// Which runs rounds were told to do.
    fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members)
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Whether it is time to look for what can be forgotten; the next time comes after a while.
    fn may_forget(&self, now: Time) -> bool {
        let mut last = self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now < last || now.since(last) >= FORGET_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }

    /// Says that the queue may hold something new.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Keeps an event; it is decided on as soon as its turn comes.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn tell(&self, key: Key, event: Event) -> Result<()> {
        self.store.enqueue_events(&[Keyed { key, event }], self.now()).await.context("cannot keep the event")?;
        self.wake();
        Ok(())
    }

    /// Frees what an earlier process of this instance had claimed, unless replicas may be at work on it, and ends processes
    /// of this machine that nobody watches. To be called once at the start, by whoever holds the state directory alone.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn recover(&self) -> Result<()> {
        let freed = self.store.release_leases(Leases::Abandoned).await?;
        if freed > 0 {
            tracing::info!(task.count = freed, "took up {freed} tasks that an earlier process had left");
        }
        let now = self.now();
        if self.store.newest_moment().await?.is_some_and(|newest| newest > now.plus(CLOCK_SLACK)) {
            self.clock_was_set_back(now).await?;
        }
        let mut open: Vec<_> = self.store.open_jobs().await?.into_iter().map(|job| job.handle).collect();
        let replays = replay::clear_abandoned(&self.outside).await;
        open.extend(replays.context("cannot look for replays that nobody waits for")?);
        // Jobs that were started and not written down yet: whoever submits them again finds them.
        for job in self.outside.executor.found().await.context("cannot look for runs under way")? {
            if let Some((sweep, round)) = keys::round_of(&job.place)
                && perform::reconcile::is_wanted(self, &sweep, round).await?
            {
                open.push(job);
            }
        }
        let runs = self.outside.executor.reap_orphans(&open).await;
        let runs = runs.context("cannot look for runs that nobody watches")?;
        let outside = self.share_outside();
        let ended = tokio::task::spawn_blocking(move || {
            outside.remove_leftovers().context("cannot remove what an earlier process left half-done")?;
            anyhow::Ok(runs)
        });
        let runs = ended.await.context("looking for left processes panicked")??;
        let builds = self.outside().builder.end_leftovers().await;
        let ended = runs + builds.context("cannot look for builds that nobody watches")?;
        if ended > 0 {
            tracing::info!(process.count = ended, "ended {ended} processes that nobody watched");
        }
        Ok(())
    }

    /// Works until `stop` is cancelled; then lets running effects go and returns.
    ///
    /// # Errors
    /// When a worker ends in a way that it should not.
    pub async fn run(self: &Arc<Self>, tick: Option<Duration>, stop: &CancellationToken) -> Result<()> {
        let mut workers = JoinSet::new();
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.spawn(async move { engine.decide_events(&token).await });
        for lane in Lane::ALL {
            let engine = Arc::clone(self);
            let token = stop.clone();
            workers.spawn(async move { engine.perform_effects(lane, &token).await });
        }
        let engine = Arc::clone(self);
        let token = stop.clone();
        workers.spawn(async move { engine.keep_leases(&token).await });
        if let Some(period) = tick {
            let engine = Arc::clone(self);
            let token = stop.clone();
            workers.spawn(async move { engine.tick(period, &token).await });
        }
        while let Some(ended) = workers.join_next().await {
            ended.context("a worker of the engine panicked")?;
        }
        // So that another replica, or the next process, need not wait until they run out.
        if let Err(error) = self.store.release_leases(Leases::Of(&self.owner)).await {
            tracing::warn!(error = %error, "leases could not be freed; they run out by themselves");
        }
        Ok(())
    }

    async fn decide_events(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // Registered before the look, so that a wake-up in between is not missed.
            let woken = self.wake.notified();
            match self.store.claim_event(&self.owner, self.now(), LEASE).await {
                Ok(Some(claim)) => self.decide_one(claim).await,
                Ok(None) => {
                    self.outage.over(self.now());
                    self.rest(woken, stop).await;
                }
                Err(error) => {
                    self.outage.failed("cannot read the queue", error, self.now());
                    self.rest(self.wake.notified(), stop).await;
                }
            }
        }
    }

    async fn decide_one(&self, claim: ClaimedEvent) {
        let ClaimedEvent { lease, keyed, state } = claim;
        let now = self.now();
        let state: Option<State> = match state.as_deref().map(serde_json::from_str).transpose() {
            Ok(state) => state,
            Err(error) => {
                self.give_up_event(&lease, &keyed, &format!("the state of `{}` cannot be read: {error}", keyed.key))
                    .await;
                return;
            }
        };
        let decided =
            catch_unwind(AssertUnwindSafe(|| decide(&keyed.key, state.as_ref(), &keyed.event, &self.rules, now)));
        let Ok(decision) = decided else {
            self.give_up_event(&lease, &keyed, "deciding on it panicked").await;
            return;
        };
        match &decision.ignored {
            Some(reason) => tracing::debug!(key = %keyed.key, event = keyed.event.name(), reason, "ignored"),
            None => tracing::debug!(
                key = %keyed.key,
                event = keyed.event.name(),
                effect.count = decision.effects.len(),
                "decided"
            ),
        }
        let commit = match commit_of(decision) {
            Ok(commit) => commit,
            Err(error) => {
                self.give_up_event(&lease, &keyed, &format!("{error:#}")).await;
                return;
            }
        };
        match self.store.commit_decision(&lease, commit, now).await {
            Ok(()) => self.wake(),
            Err(StoreError::LeaseLost { .. }) => tracing::warn!(key = %keyed.key, "somebody else decided this event"),
            Err(error) => tracing::error!(key = %keyed.key, error = %error, "the decision could not be kept"),
        }
    }

    /// An event that cannot be decided by our own fault is kept for a person to look at; its key goes on.
    async fn give_up_event(&self, lease: &Lease, keyed: &Keyed, why: &str) {
        tracing::error!(key = %keyed.key, event = keyed.event.name(), error = why, "the event was given up");
        if let Err(error) = self.store.fail_event(lease, why).await {
            tracing::error!(key = %keyed.key, error = %error, "the event could not be given up");
        }
    }

    async fn perform_effects(self: Arc<Self>, lane: Lane, stop: &CancellationToken) {
        let width = self.outside.width(lane);
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let woken = self.wake.notified();
            let free = width.saturating_sub(running.len());
            let claimed = if free == 0 {
                Vec::new()
            } else {
                self.store.claim_effects(&self.owner, lane, free, self.now(), LEASE).await.unwrap_or_else(|error| {
                    self.outage.failed("cannot read the queue", error, self.now());
                    Vec::new()
                })
            };
            if claimed.is_empty() {
                self.rest(woken, stop).await;
            }
            for claim in claimed {
                // After a long sleep of the machine a lease can run out while its work goes on here: the work keeps it.
                if let Some((lease, _)) = self.running().get_mut(&claim.lease.task()) {
                    *lease = claim.lease;
                    continue;
                }
                let engine = Arc::clone(&self);
                running.spawn(async move { engine.perform_one(claim).await });
            }
        }
        // What is under way is let go: it is safe to do twice, and its lease runs out.
        running.shutdown().await;
    }

    async fn perform_one(&self, claim: ClaimedEffect) {
        let ClaimedEffect { lease, effect, attempts, waits, cancelled } = claim;
        let cancel = CancellationToken::new();
        if cancelled {
            cancel.cancel();
        }
        self.running().insert(lease.task(), (lease.clone(), cancel.clone()));
        let name = effect.name();
        let started = self.now();
        let result = AssertUnwindSafe(perform::perform(self, &effect, &cancel)).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(Failure::Later(anyhow::anyhow!("`{name}` panicked"))));
        let held = self.running().remove(&lease.task());
        let lease = held.map_or(lease, |(lease, _)| lease);
        let now = self.now();
        let duration_ms = u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX);
        let outcome = match result {
            Ok(events) => {
                tracing::debug!(effect = name, duration_ms, "done");
                self.store.finish_effect(&lease, &events, now).await
            }
            Err(failure) => self.effect_failed(&lease, &effect, Tries { attempts, waits }, failure, now).await,
        };
        match outcome {
            Ok(()) => {}
            Err(StoreError::LeaseLost { .. }) => tracing::warn!(effect = name, "somebody else took this effect over"),
            Err(error) => tracing::error!(effect = name, error = %error, "the outcome could not be kept"),
        }
        self.wake();
    }

    async fn effect_failed(
        &self,
        lease: &Lease,
        effect: &Effect,
        tries: Tries,
        failure: Failure,
        now: Time,
    ) -> Result<(), StoreError> {
        let name = effect.name();
        let failed = patience::after(effect, tries, &failure, now);
        let error = failure.into_cause();
        let text = format!("{error:#}");
        let Tries { attempts, waits } = tries;
        let (key, subject) = effect.subject();
        let events = match failed {
            Failed::Again(_) | Failed::Waits(_) | Failed::Left => Vec::new(),
            Failed::ForGood | Failed::Refused => {
                let (key, subject) = (key.clone(), subject.clone());
                let event = Event::EffectFailed { effect: name.to_owned(), subject, reason: text.clone() };
                vec![Keyed { key, event }]
            }
        };
        let kept = self.store.fail_effect(lease, &text, failed, &events, now).await?;
        match kept {
            Kept::Waiting => {
                tracing::warn!(effect = name, %key, subject, error = text, attempts, waits, "failed; it will be tried again");
            }
            Kept::GivenUp => {
                tracing::error!(effect = name, %key, subject, error = text, attempts, waits, "failed for good");
            }
            Kept::RefusedAgain => {
                tracing::debug!(effect = name, %key, subject, error = text, "refused as before");
            }
            Kept::Nothing => {
                tracing::warn!(effect = name, error = text, attempts, waits, "failed; it comes again by itself")
            }
        }
        Ok(())
    }

    /// Nothing waits for a moment that is further away than it was meant to be.
    async fn clock_was_set_back(&self, now: Time) -> Result<(), StoreError> {
        let changed = self.store.clock_was_set_back(now, LEASE).await?;
        tracing::warn!(task.count = changed, "the clock was set back; {changed} tasks that wait are done now");
        self.wake();
        Ok(())
    }

    /// Renews the leases of what is under way, and hears of what shall be stopped.
    async fn keep_leases(&self, stop: &CancellationToken) {
        let mut latest = self.now();
        while !stop.is_cancelled() {
            let now = self.now();
            if now < latest
                && let Err(error) = self.clock_was_set_back(now).await
            {
                self.outage.failed("what waits could not be made due", error, now);
            } else {
                latest = now;
            }
            let leases: Vec<_> = self.running().values().map(|(lease, _)| lease.clone()).collect();
            if !leases.is_empty() {
                match self.store.heartbeat(&leases, self.now(), LEASE).await {
                    Ok(beats) => {
                        let running = self.running();
                        for (lease, beat) in leases.iter().zip(beats) {
                            if let (Beat::Lost | Beat::Cancelled, Some((_, token))) = (beat, running.get(&lease.task()))
                            {
                                token.cancel();
                            }
                        }
                    }
                    Err(error) => self.outage.failed("leases could not be renewed", error, self.now()),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.beat.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn tick(&self, period: Duration, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.store.enqueue_tick(self.now()).await {
                self.outage.failed("cannot keep the tick", error, self.now());
            }
            self.wake();
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<i64, (Lease, CancellationToken)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn rest(&self, woken: impl Future<Output = ()>, stop: &CancellationToken) {
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn commit_of(decision: Decision<State>) -> Result<CommitDecision> {
    let state = match &decision.next {
        Some(state) => Some(NewState {
            kind: state.kind().to_owned(),
            json: serde_json::to_string(state).context("a state cannot be written as JSON")?,
        }),
        None => None,
    };
    let effects = decision
        .effects
        .into_iter()
        .map(|due| NewEffect { effect: due.effect, not_before: due.not_before, coalesce: due.coalesce })
        .collect();
    let outcome = decision.ignored.map_or_else(String::new, |reason| format!("ignored: {reason}"));
    Ok(CommitDecision { state, events: decision.events, effects, outcome })
}
