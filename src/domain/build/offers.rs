//! Builds that are left to somebody else, and the versions that those offer.

use super::{BuildPhase, BuildState, Builds};
use crate::domain::effect::Effect;
use crate::domain::event::{BuildFailure, Event};
use crate::domain::forge::CommitState;
use crate::domain::ids::{CommitSha, VersionId};
use crate::domain::manifest::BuildBy;
use crate::domain::offer::{Offer, OfferOutcome, OfferState, OfferedBy};
use crate::domain::report;
use crate::domain::version::{SourceRef, Tree, Version};

/// How many offers of a model are remembered?
const OFFERS_KEPT: usize = 50;

/// How many commits of a model may wait for somebody else's build?
const MOST_WAITING: usize = 100;

impl Builds<'_> {
    /// The manifest leaves the build to somebody else: from now on it is waited for.
    pub(super) fn left(&mut self, source: &SourceRef, by: BuildBy) -> Option<String> {
        let turn = self.waiting().map(|(turn, _)| turn).max().map_or(0, |last| last + 1);
        let Some(build) = self.state.builds.get_mut(&source.commit).filter(|build| build.phase.is_at_work()) else {
            return Some(format!("nobody waits for the build of {} to begin", source.commit.short()));
        };
        if build.requests.is_empty() {
            self.state.builds.remove(&source.commit);
            self.status(source, CommitState::Error, report::SUPERSEDED);
            return None;
        }
        build.phase = BuildPhase::Waiting { by, turn };
        let waiters: Vec<_> = build.requests.iter().filter_map(|request| request.waiter.clone()).collect();
        for waiter in waiters {
            self.decision.tell(waiter, Event::BuildLeft { model: self.model.clone(), source: source.clone(), by });
        }
        self.status(source, CommitState::Pending, report::waits_for(by));
        self.give_up_oldest();
        None
    }

    fn waiting(&self) -> impl Iterator<Item = (u64, &BuildState)> {
        self.state.builds.values().filter_map(|build| match build.phase {
            BuildPhase::Waiting { turn, .. } => Some((turn, build)),
            _ => None,
        })
    }

    /// What nobody ever builds must not be waited for without end.
    fn give_up_oldest(&mut self) {
        if self.waiting().count() <= MOST_WAITING {
            return;
        }
        let oldest = self.waiting().min_by_key(|(turn, _)| *turn).map(|(_, build)| build.source.clone());
        if let Some(source) = oldest {
            let message = format!("nobody registered this commit while {MOST_WAITING} newer ones came");
            self.failed(&source, BuildFailure::without_log("register", message), CommitState::Error);
        }
    }

    /// Somebody offers a version. It is looked at before it counts.
    pub(super) fn offered(&mut self, offer: &Offer) -> Option<String> {
        let same = |known: &OfferState| known.commit == offer.commit && known.image == offer.image;
        let refused = |known: &OfferState| matches!(known.outcome, OfferOutcome::Refused { .. });
        // A registry tells of one image as often as a tag is pushed. What was refused may be in order by now.
        let told =
            offer.by == OfferedBy::Registry && self.state.offers.iter().any(|known| same(known) && !refused(known));
        if told || self.state.offers.iter().any(|known| known.id == offer.id) {
            return Some(format!("`{}` was offered already", offer.image));
        }
        let outcome = match self.belongs_elsewhere(&offer.repository) {
            Some(reason) => OfferOutcome::Refused { reason },
            None => {
                self.decision.ask(Effect::CheckOffer { offer: Box::new(offer.clone()) });
                OfferOutcome::Checking
            }
        };
        let (id, commit, image) = (offer.id.clone(), offer.commit.clone(), offer.image.clone());
        self.state.offers.push(OfferState { id, commit, image, outcome });
        // Those that are being looked at are few, and somebody waits for their answer.
        while self.state.offers.len() > OFFERS_KEPT {
            let ended = self.state.offers.iter().position(|known| known.outcome != OfferOutcome::Checking);
            self.state.offers.remove(ended.unwrap_or(0));
        }
        None
    }

    /// An offer was looked at.
    pub(super) fn offer_checked(&mut self, id: &str, result: &Result<Box<Version>, BuildFailure>) -> Option<String> {
        let checking = |known: &&mut OfferState| known.id == id && known.outcome == OfferOutcome::Checking;
        let Some(offer) = self.state.offers.iter_mut().find(checking) else {
            return Some(format!("offer `{id}` is not being looked at"));
        };
        let commit = offer.commit.clone();
        let version = match result {
            Err(failure) => {
                offer.outcome = OfferOutcome::Refused { reason: failure.message.clone() };
                self.tell_refused(&commit, failure);
                return None;
            }
            Ok(version) => version,
        };
        if let Some(other) = self.other_version(&commit, &version.id) {
            let reason = report::other_version(&commit, &other);
            self.settle_offer(id, OfferOutcome::Refused { reason });
            return None;
        }
        self.settle_offer(id, OfferOutcome::Good { version: version.id.clone() });
        let build = self.state.builds.entry(commit).or_insert_with(|| BuildState {
            source: version.source.clone(),
            tree: Tree::Committed,
            requests: Vec::new(),
            phase: BuildPhase::Building,
        });
        if build.phase.is_at_work() || matches!(build.phase, BuildPhase::Waiting { .. }) {
            build.phase = BuildPhase::Passed { version: version.clone() };
        }
        self.register_next();
        None
    }

    /// The version that this commit has become or becomes, when it is not `version`.
    fn other_version(&self, commit: &CommitSha, version: &VersionId) -> Option<VersionId> {
        let of_build = self.state.builds.get(commit).and_then(|build| match &build.phase {
            BuildPhase::Passed { version } | BuildPhase::Registering { version, .. } => Some(&version.id),
            BuildPhase::Building | BuildPhase::Stopping | BuildPhase::Waiting { .. } => None,
        });
        let offers = self.state.offers.iter().filter(|known| known.commit == *commit);
        let mut known = of_build.into_iter().chain(offers.filter_map(|known| known.outcome.version()));
        known.find(|known| *known != version).cloned()
    }

    /// Tells everybody who waits for this commit that what was offered was not taken. They go on waiting: what is offered
    /// next may be.
    fn tell_refused(&mut self, commit: &CommitSha, failure: &BuildFailure) {
        let waits = |build: &&BuildState| matches!(build.phase, BuildPhase::Waiting { .. });
        let Some(build) = self.state.builds.get(commit).filter(waits) else { return };
        let (source, requests) = (build.source.clone(), build.requests.clone());
        for request in &requests {
            self.settle(request, &source, Err(failure.clone()));
        }
        self.status(&source, CommitState::Failure, &format!("{}: {}", failure.stage, failure.message));
    }

    /// The version was registered, or could not be.
    pub(super) fn settle_offers(&mut self, commit: &CommitSha, result: Result<&VersionId, &BuildFailure>) {
        for offer in self.state.offers.iter_mut().filter(|offer| offer.commit == *commit) {
            let OfferOutcome::Good { version } = &offer.outcome else { continue };
            offer.outcome = match result {
                Ok(registered) if registered == version => OfferOutcome::Registered { version: version.clone() },
                Ok(_) => continue,
                Err(failure) => OfferOutcome::Refused { reason: failure.message.clone() },
            };
        }
    }

    /// An offer could not be looked at, by our fault.
    pub(super) fn offer_failed(&mut self, id: &str, reason: &str) -> Option<String> {
        let message = format!("this is not the offer's fault: {reason}");
        self.offer_checked(id, &Err(BuildFailure::without_log("modelship", message)))
    }

    fn settle_offer(&mut self, id: &str, outcome: OfferOutcome) {
        if let Some(offer) = self.state.offers.iter_mut().find(|known| known.id == id) {
            offer.outcome = outcome;
        }
    }
}
