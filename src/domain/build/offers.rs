//! Builds that are left to somebody else, and the versions that those offer.

use super::{BuildPhase, BuildState, Builds, Fault};
use crate::domain::effect::Effect;
use crate::domain::event::{BuildFailure, Event};
use crate::domain::ids::{CommitSha, VersionId};
use crate::domain::manifest::BuildBy;
use crate::domain::offer::{Offer, OfferOutcome, OfferState, OfferedBy};
use crate::domain::report::{self, BuildStanding};
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
            self.show(source, BuildStanding::Superseded);
            return None;
        }
        let code = build.code();
        build.phase = BuildPhase::Waiting { by, turn };
        let waiters: Vec<_> = build.requests.iter().filter_map(|request| request.waiter.clone()).collect();
        for waiter in waiters {
            self.decision.tell(waiter, Event::BuildLeft { model: self.model.clone(), source: source.clone(), by });
        }
        self.show(source, BuildStanding::Left(by, code));
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
            self.failed(&source, BuildFailure::without_log("register", message), Fault::Ours);
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
        self.show(&source, BuildStanding::Failed(failure));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{ModelState, decide};
    use super::*;
    use crate::domain::decision::Rules;
    use crate::domain::event::{BuildOrigin, BuildOutcome, Key};
    use crate::domain::ids::{Digest, ModelName, ObjectId, PullNumber, PullRef, Repository, RepositoryName, Time};
    use crate::domain::image::ImageRef;
    use crate::domain::manifest::Manifest;
    use crate::domain::offer::WorkDone;

    /// A model whose events are decided one after another.
    #[derive(Default)]
    struct Bench {
        state: Option<ModelState>,
        effects: Vec<Effect>,
        told: Vec<(Key, Event)>,
        ignored: Option<String>,
    }

    fn model() -> ModelName {
        ModelName::parse("urban/tax").unwrap()
    }

    fn repository(id: i64) -> Repository {
        Repository { id, name: RepositoryName::parse("urban/hub").unwrap() }
    }

    fn source(commit: char) -> SourceRef {
        let commit = CommitSha::parse(commit.to_string().repeat(40)).unwrap();
        SourceRef { repository: repository(7), commit, manifest: "config/urban/tax.yaml".to_owned() }
    }

    fn image(content: &str) -> ImageRef {
        ImageRef::parse(&format!("example.org/tax@{}", Digest::of(content))).unwrap()
    }

    fn version(commit: char, content: &str) -> Box<Version> {
        let manifest = Manifest::hash("text");
        Box::new(Version {
            id: VersionId::of(&model(), &source(commit).commit, &image(content).digest, &manifest),
            model: model(),
            source: source(commit),
            tree: Tree::Committed,
            pinned: None,
            source_tree: ObjectId::parse("0".repeat(40)).unwrap(),
            executable: image(content).digest,
            recipe: None,
            builder: "docker".to_owned(),
            image: None,
            manifest,
            manifest_text: "text".to_owned(),
            inputs: std::collections::BTreeMap::new(),
            toolchain: Vec::new(),
            tests: Vec::new(),
            build_ms: 1,
            registered_at: Time(0),
        })
    }

    impl Bench {
        fn tell(&mut self, event: &Event) -> &mut Self {
            let rules = Rules {
                comment_interval: Duration::ZERO,
                promote_direct_pushes: false,
                artifacts_url: None,
                comments_per_hour: None,
                subscriptions: Vec::new(),
            };
            let decision = decide(&model(), self.state.as_ref(), event, &rules);
            self.effects = decision.effects.into_iter().map(|due| due.effect).collect();
            self.told = decision.events.into_iter().map(|keyed| (keyed.key, keyed.event)).collect();
            self.ignored = decision.ignored;
            self.state = decision.next.or(self.state.take());
            self
        }

        fn push(&mut self, commit: char) -> &mut Self {
            let origin = BuildOrigin::Branch { name: "main".to_owned() };
            self.tell(&Event::BuildRequested { source: source(commit), tree: Tree::Committed, origin, waiter: None })
        }

        fn left(&mut self, commit: char) -> &mut Self {
            self.tell(&Event::BuildLeft { model: model(), source: source(commit), by: BuildBy::Actions })
        }

        fn offer(&mut self, id: &str, commit: char, content: &str) -> &mut Self {
            let by = OfferedBy::Actions { work: WorkDone::default() };
            self.offer_by(id, commit, content, by)
        }

        fn offer_by(&mut self, id: &str, commit: char, content: &str, by: OfferedBy) -> &mut Self {
            let (id, commit, image) = (id.to_owned(), source(commit).commit, image(content));
            let offer = Offer { id, repository: repository(7), model: model(), commit, image, by };
            self.tell(&Event::VersionOffered { offer: Box::new(offer) })
        }

        fn good(&mut self, id: &str, commit: char, content: &str) -> &mut Self {
            self.tell(&Event::OfferChecked { offer: id.to_owned(), result: Ok(version(commit, content)) })
        }

        fn bad(&mut self, id: &str) -> &mut Self {
            let failure = BuildFailure::without_log("register", "the registry has no such image");
            self.tell(&Event::OfferChecked { offer: id.to_owned(), result: Err(failure) })
        }

        fn registered(&mut self, commit: char, content: &str) -> &mut Self {
            self.tell(&Event::VersionRegistered {
                source: source(commit),
                version: version(commit, content),
                moves: Vec::new(),
                is_new: true,
            })
        }

        fn outcome(&self, id: &str) -> &OfferOutcome {
            let offers = &self.state.as_ref().unwrap().offers;
            &offers.iter().find(|offer| offer.id == id).unwrap().outcome
        }

        fn asked(&self) -> Vec<&'static str> {
            self.effects.iter().map(Effect::name).collect()
        }

        fn said(&self) -> Vec<&str> {
            let said = self.effects.iter().filter_map(|effect| match effect {
                Effect::ShowCheck { check, .. } => Some(check.title.as_str()),
                _ => None,
            });
            said.collect()
        }
    }

    #[test]
    fn a_commit_waits_until_what_is_offered_is_registered() {
        let mut bench = Bench::default();
        assert_eq!(bench.push('a').left('a').said(), ["waits for the workflow to register it"]);
        assert_eq!(bench.offer("1", 'a', "x").asked(), ["CheckOffer"]);
        assert_eq!(bench.good("1", 'a', "x").asked(), ["RegisterVersion"]);
        bench.registered('a', "x");
        let version = version('a', "x").id;
        assert_eq!(*bench.outcome("1"), OfferOutcome::Registered { version });
        assert!(bench.state.as_ref().unwrap().builds.is_empty());
    }

    #[test]
    fn what_is_offered_before_its_push_is_heard_of_is_registered_and_moves_nothing() {
        let mut bench = Bench::default();
        bench.offer("1", 'a', "x").good("1", 'a', "x");
        let [Effect::RegisterVersion { channels, .. }] = bench.effects.as_slice() else {
            panic!("{:?}", bench.effects)
        };
        assert!(channels.is_empty());
        // The push comes while it is being registered: its channel moves after that.
        bench.push('a').registered('a', "x");
        let moved = bench.effects.iter().find_map(|effect| match effect {
            Effect::RegisterVersion { channels, .. } => Some(channels.len()),
            _ => None,
        });
        assert_eq!(moved, Some(1), "{:?}", bench.effects);
    }

    #[test]
    fn a_second_image_of_a_commit_is_refused_whenever_it_comes() {
        let mut bench = Bench::default();
        bench.push('a').left('a').offer("1", 'a', "x").offer("2", 'a', "y").offer("3", 'a', "z");
        bench.good("1", 'a', "x").good("2", 'a', "y");
        assert!(matches!(bench.outcome("2"), OfferOutcome::Refused { .. }), "while it is being registered");
        bench.registered('a', "x").good("3", 'a', "z");
        assert!(matches!(bench.outcome("3"), OfferOutcome::Refused { .. }), "afterwards: {:?}", bench.effects);
        bench.offer("4", 'a', "x").good("4", 'a', "x").registered('a', "x");
        assert!(matches!(bench.outcome("4"), OfferOutcome::Registered { .. }), "the same again is fine");
    }

    #[test]
    fn a_refused_offer_is_told_to_whoever_waits_and_the_next_one_is_taken() {
        let mut bench = Bench::default();
        let pull = Key::Pull(PullRef { repository: repository(7), number: PullNumber(3) });
        let origin = BuildOrigin::Pull { number: PullNumber(3) };
        let waiter = Some(pull.clone());
        bench.tell(&Event::BuildRequested { source: source('a'), tree: Tree::Committed, origin, waiter });
        assert!(matches!(bench.left('a').told.as_slice(), [(key, Event::BuildLeft { .. })] if *key == pull));
        bench.offer("1", 'a', "x").bad("1");
        assert!(matches!(bench.told.as_slice(), [(_, Event::BuildSettled { result: Err(_), .. })]), "{:?}", bench.told);
        assert_eq!(bench.said(), ["register: the registry has no such image"]);
        bench.offer("2", 'a', "y").good("2", 'a', "y").registered('a', "y");
        assert!(matches!(bench.told.as_slice(), [(_, Event::BuildSettled { result: Ok(_), .. })]), "{:?}", bench.told);
    }

    #[test]
    fn another_repositorys_offer_of_a_model_is_refused_unseen() {
        let mut bench = Bench::default();
        bench.push('a').left('a');
        let (id, by) = ("1".to_owned(), OfferedBy::Actions { work: WorkDone::default() });
        let (commit, image) = (source('b').commit, image("x"));
        let offer = Offer { id, repository: repository(8), model: model(), commit, image, by };
        bench.tell(&Event::VersionOffered { offer: Box::new(offer) });
        assert!(bench.effects.is_empty(), "{:?}", bench.effects);
        let OfferOutcome::Refused { reason } = bench.outcome("1") else { panic!("{:?}", bench.outcome("1")) };
        assert!(reason.contains("belongs to another repository"), "{reason}");
    }

    #[test]
    fn a_newer_commit_of_the_branch_takes_the_place_of_one_that_waits() {
        let mut bench = Bench::default();
        bench.push('a').left('a').push('b');
        assert!(bench.said().contains(&"stopped: a newer commit took its place"), "{:?}", bench.effects);
        assert_eq!(bench.state.as_ref().unwrap().builds.len(), 1);
        // While the manifest is being read nobody may want it any more.
        bench.push('c').left('b');
        assert!(!bench.state.as_ref().unwrap().builds.contains_key(&source('b').commit));
    }

    #[test]
    fn what_a_registry_tells_twice_is_looked_at_once_unless_it_was_refused() {
        let mut bench = Bench::default();
        bench.offer_by("1", 'a', "x", OfferedBy::Registry).offer_by("2", 'a', "x", OfferedBy::Registry);
        assert!(bench.ignored.is_some() && bench.effects.is_empty());
        bench.bad("1").offer_by("3", 'a', "x", OfferedBy::Registry);
        assert_eq!(bench.asked(), ["CheckOffer"]);
    }

    #[test]
    fn what_fails_by_our_fault_or_in_the_registry_answers_the_offer() {
        let mut bench = Bench::default();
        bench.offer("1", 'a', "x");
        let (effect, subject, reason) = ("CheckOffer".to_owned(), "1".to_owned(), "no disk".to_owned());
        bench.tell(&Event::EffectFailed { effect, subject, reason });
        assert!(
            matches!(bench.outcome("1"), OfferOutcome::Refused { reason } if reason.contains("not the offer's fault"))
        );
        bench.offer("2", 'a', "x").good("2", 'a', "x");
        let outcome = BuildOutcome::Failed(BuildFailure::without_log("registry", "the name is taken"));
        bench.tell(&Event::BuildFinished { source: source('a'), outcome });
        assert!(matches!(bench.outcome("2"), OfferOutcome::Refused { reason } if reason == "the name is taken"));
    }

    #[test]
    fn neither_offers_nor_waiting_commits_pile_up() {
        let mut bench = Bench::default();
        for number in 0..200 {
            let id = format!("{number}");
            bench.offer(&id, 'a', &id).bad(&id);
            let commit = CommitSha::parse(format!("{number:040x}")).unwrap();
            let at = SourceRef { commit, ..source('a') };
            let origin = BuildOrigin::Branch { name: format!("topic-{number}") };
            let (tree, waiter) = (Tree::Committed, None);
            bench.tell(&Event::BuildRequested { source: at.clone(), tree, origin, waiter });
            bench.tell(&Event::BuildLeft { model: model(), source: at, by: BuildBy::Actions });
        }
        let state = bench.state.as_ref().unwrap();
        assert_eq!((state.offers.len(), state.builds.len()), (OFFERS_KEPT, MOST_WAITING));
        let newest = CommitSha::parse(format!("{:040x}", 199)).unwrap();
        assert!(state.builds.contains_key(&newest) && state.offers.iter().any(|offer| offer.id == "199"));
    }
}
