//! What holds after every decision, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use modelship::domain::build::BuildPhase;
use modelship::domain::check::{Check, CheckState, CheckSubject};
use modelship::domain::decide::State;
use modelship::domain::effect::Effect;
use modelship::domain::event::{BuildOrigin, Key};
use modelship::domain::forge::{HeadOrigin, PullStatus};
use modelship::domain::ids::CommitSha;
use modelship::domain::pull::{ComparedStage, ComparisonPhase, PullBuild, PullSweepPhase};
use modelship::domain::sweep::state::SweepPhase;

use crate::driver::World;
use crate::things::*;

impl World {
    /// What must hold whenever no event waits.
    pub(crate) fn check(&self) {
        let building: Vec<_> = self.asked("BuildModel").iter().map(|effect| effect.subject().1).collect();
        assert_eq!(building.len(), building.iter().collect::<BTreeSet<_>>().len(), "one commit is built twice");
        for (commit, build) in &self.model_state().builds {
            let awaited = match build.phase {
                BuildPhase::Building | BuildPhase::Stopping => "BuildModel",
                BuildPhase::Registering { .. } => "RegisterVersion",
                BuildPhase::Waiting { .. } => continue,
                BuildPhase::Passed { .. } => {
                    assert!(!self.asked("RegisterVersion").is_empty(), "{commit} waits for nobody's turn to end");
                    continue;
                }
            };
            let answer = self.asked(awaited).iter().any(|effect| effect.subject().1 == commit.as_str());
            assert!(answer, "nobody will end the build of {commit} in {:?}", build.phase);
            assert!(!build.requests.is_empty() || build.phase != BuildPhase::Building, "nobody wants {commit}");
        }
        for sweep in self.sweeps() {
            let of_it =
                |effect: &&&Effect| effect.subject() == (Key::Sweep(sweep.plan.id.clone()), sweep.round.to_string());
            let open = |name: &str| self.asked(name).iter().filter(of_it).count();
            let awaited = match sweep.phase {
                SweepPhase::Submitting => open("SubmitJobs"),
                SweepPhase::Running { .. } | SweepPhase::Stopping { .. } => open("WatchJobs"),
                SweepPhase::Analysing => open("WriteAnalysis"),
                _ => continue,
            };
            assert_eq!(awaited, 1, "one answer moves {} on from {:?}", sweep.plan.id, sweep.phase);
            if sweep.ending.is_some() {
                continue;
            }
            let pull = self.pull_state();
            assert_ne!(pull.snapshot.status, PullStatus::Closed, "a closed pull request's sweep goes on");
            let followed = matches!(self.file(), PullSweepPhase::Started { report } if report.plan.id == sweep.plan.id)
                || self.compares(|stage| match stage {
                    ComparedStage::Running { reports } => {
                        [&reports.base, &reports.head].iter().any(|report| report.plan.id == sweep.plan.id)
                    }
                    _ => false,
                });
            assert!(followed, "the pull request has forgotten its running sweep: {:?}", self.file());
        }
        if let Some(State::Pull(pull)) = self.states.get(&Key::Pull(pull())) {
            let goes_on = |((at, _), check): &(&(CommitSha, String), &Check)| {
                let is_sweep = matches!(check.subject, CheckSubject::Sweep { .. });
                is_sweep && check.state == CheckState::Pending && *at != pull.snapshot.head
            };
            assert_eq!(self.checks.iter().find(goes_on), None, "an older commit's check never ends");
        }
        let comparing = self.compares(|stage| matches!(stage, ComparedStage::Comparing { .. }));
        assert!(!comparing || !self.asked("CompareVersions").is_empty(), "nobody compares what has run");
        let results: Vec<_> = self.posted.iter().filter(|marker| marker.starts_with("result/")).collect();
        assert_eq!(results.len(), results.iter().collect::<BTreeSet<_>>().len(), "a result is told twice");
    }

    /// Whether a sweep of the pull request's comparisons stands so.
    fn compares(&self, so: impl Fn(&ComparedStage) -> bool) -> bool {
        let Some(State::Pull(pull)) = self.states.get(&Key::Pull(pull())) else { return false };
        pull.comparisons.values().any(|comparison| match &comparison.phase {
            ComparisonPhase::Planned { sweeps, .. } => sweeps.iter().any(|sweep| so(&sweep.stage)),
            ComparisonPhase::Waiting | ComparisonPhase::Nothing { .. } => false,
        })
    }

    /// A channel that follows a branch or a pull request moves to the commit that was asked for last, or not at all.
    pub(crate) fn check_channels(&self, effect: &Effect) {
        let Effect::RegisterVersion { version, channels } = effect else { return };
        for (channel, origin) in [("work", branch("work")), ("main", main_branch()), ("pr-1", of_pull())] {
            let origin = match (&origin, self.origin) {
                (BuildOrigin::Pull { number }, HeadOrigin::Fork) => BuildOrigin::Fork { number: *number },
                _ => origin,
            };
            let newest = self.newest.get(&format!("{origin:?}")) == Some(&version.source.commit);
            let moves = channels.iter().any(|(name, _)| name.as_str() == channel);
            assert!(newest || !moves, "`{channel}` goes back to {}", version.source.commit);
        }
    }

    pub(crate) fn check_rest_of_builds(&self) {
        assert_eq!(self.model_state().builds, BTreeMap::new());
    }

    /// What must hold once everything that was asked for is answered.
    pub(crate) fn check_rest(&self) {
        self.check_rest_of_builds();
        if self.status == PullStatus::Open {
            for (model, entry) in &self.pull_state().models {
                assert_ne!(entry.build, PullBuild::Building, "nobody tells the pull request of {model}");
            }
        }
        for sweep in self.sweeps() {
            assert!(sweep.phase.is_terminal() && sweep.ended_at.is_some(), "{:?}", sweep.phase);
        }
        for sweep in self.pull_state().sweeps.values() {
            match &sweep.phase {
                PullSweepPhase::Planning | PullSweepPhase::WaitingForBuild => {
                    assert_ne!(self.pull_state().snapshot.status, PullStatus::Open, "nobody plans {}", sweep.name);
                }
                PullSweepPhase::Started { report } => assert!(report.phase.is_terminal()),
                _ => {}
            }
        }
        let goes_on =
            |stage: &ComparedStage| matches!(stage, ComparedStage::Running { .. } | ComparedStage::Comparing { .. });
        assert!(!self.compares(goes_on), "a comparison waits for ever: {:?}", self.pull_state().comparisons);
    }
}

pub(crate) fn check_bounds(state: &State) {
    match state {
        State::Model(model) => assert!(model.failures.len() <= 20),
        State::Sweep(sweep) => assert!(sweep.failures.len() <= 50),
        State::Pull(pull) => assert!(pull.heard.len() <= 200),
        State::Repository(_) => {}
    }
}
