//! Builds that failed and that somebody wants done again.

use super::{BuildRequest, Builds, FailedBuild, takes_the_place_of};
use crate::domain::effect::Effect;
use crate::domain::event::BuildOrigin;
use crate::domain::forge::User;
use crate::domain::ids::CommitSha;
use crate::domain::report::BuildStanding;

impl Builds<'_> {
    /// Has a build that failed done again, once it is known that `author` may ask for it.
    pub(super) fn pressed(&mut self, commit: &CommitSha, author: &User) -> Option<String> {
        let Some(failed) = self.failure_of(commit) else { return Some(none_failed(commit)) };
        if failed.requests.is_empty() {
            self.refuse(&failed);
            return None;
        }
        let (model, author) = (self.model.clone(), author.clone());
        self.decision.ask(Effect::BuildAgain { model, source: failed.source, author });
        None
    }

    /// Builds once more for whoever still wants that commit.
    pub(super) fn rebuild(&mut self, commit: &CommitSha) -> Option<String> {
        let Some(failed) = self.failure_of(commit) else { return Some(none_failed(commit)) };
        if failed.requests.is_empty() {
            self.refuse(&failed);
        }
        for request in failed.requests {
            self.requested(&failed.source, failed.tree, request);
        }
        None
    }

    fn failure_of(&self, commit: &CommitSha) -> Option<FailedBuild> {
        self.state.failures.iter().find(|failed| failed.source.commit == *commit).cloned()
    }

    /// Nobody wants that commit any more: built again, it would take channels back to where they were.
    fn refuse(&mut self, failed: &FailedBuild) {
        self.show(&failed.source, BuildStanding::Outrun(&failed.failure));
    }

    /// Somebody moved `production` by hand: what failed before that, built again, leaves it where it is.
    pub(super) fn leave_production(&mut self) {
        for failed in &mut self.state.failures {
            failed.requests.retain(|request| !matches!(request.origin, BuildOrigin::Merge { .. }));
            for request in &mut failed.requests {
                if let BuildOrigin::DefaultBranch { name } = &request.origin {
                    request.origin = BuildOrigin::Branch { name: name.clone() };
                }
            }
        }
    }

    /// Whether somebody wants another commit in the place of the one that this request is for, which has left the list
    /// of builds already. Whoever asked for the same thing later has it removed from all that waits, so what is found
    /// waiting is newer. What the registry is being told of is not looked at: it may be older.
    pub(super) fn is_outrun(&self, request: &BuildRequest) -> bool {
        let under_way = self.state.builds.values().flat_map(|build| &build.requests);
        let failed = self.state.failures.iter().flat_map(|failed| &failed.requests);
        under_way.chain(failed).any(|other| takes_the_place_of(&other.origin, &request.origin, self.rules))
    }
}

fn none_failed(commit: &CommitSha) -> String {
    format!("no build of {} has failed", commit.short())
}
