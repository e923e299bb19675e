//! The sweep files of a pull request: planned, followed, shown.

use super::talk::Urgency;
use super::{PullBuild, PullSweep, PullSweepPhase, Thread};
use crate::domain::decision::Due;
use crate::domain::diagnostic::Faults;
use crate::domain::effect::Effect;
use crate::domain::event::{ChangedSweep, Event, Key};
use crate::domain::ids::{CommitSha, Digest, SweepId};
use crate::domain::report;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::state::SweepReport;

impl Thread<'_> {
    pub(super) fn read_sweeps(&mut self, changed: &[ChangedSweep]) {
        let gone: Vec<_> =
            self.state.sweeps.keys().filter(|path| !changed.iter().any(|c| c.path == **path)).cloned().collect();
        for path in gone {
            if let Some(sweep) = self.state.sweeps.remove(&path) {
                self.cancel_if_started(&sweep, "its file is no longer part of the pull request");
                let marker = marker_of(&path);
                self.edit(&marker, report::withdrawn_comment(&sweep.name), None, Urgency::Now);
                self.end_check(&marker, None);
            }
        }
        for file in changed {
            match &file.request {
                Err(faults) => {
                    let before = self.state.sweeps.remove(&file.path);
                    if let Some(sweep) = &before {
                        self.cancel_if_started(sweep, "its file has faults now");
                    }
                    let name = before.map_or_else(|| file.path.clone(), |sweep| sweep.name);
                    let phase = PullSweepPhase::Invalid { faults: faults.clone() };
                    self.state.sweeps.insert(
                        file.path.clone(),
                        PullSweep { name, request: None, last_edit: None, shown: None, phase },
                    );
                    self.show(&file.path);
                }
                Ok(request) => {
                    let entry = self.state.sweeps.entry(file.path.clone()).or_insert_with(|| PullSweep {
                        name: String::new(),
                        request: None,
                        last_edit: None,
                        shown: None,
                        phase: PullSweepPhase::Planning,
                    });
                    entry.name = request.name.to_string();
                    entry.request = Some(request.clone());
                    self.plan(&file.path);
                }
            }
        }
    }

    /// Plans the sweep file, once the version that it needs is there.
    pub(super) fn plan(&mut self, path: &str) {
        let Some(sweep) = self.state.sweeps.get_mut(path) else { return };
        let Some(request) = sweep.request.clone() else { return };
        let own = if request.reference.is_none() { self.state.models.get(&request.model) } else { None };
        // A started sweep goes on until the new plan is known: if its digest is the same, nothing has changed.
        let started = matches!(sweep.phase, PullSweepPhase::Started { .. });
        let own_version = match own.map(|model| &model.build) {
            None => None,
            Some(PullBuild::Ready { version }) => Some(version.id.clone()),
            Some(PullBuild::Building | PullBuild::Left { .. }) => {
                if !started {
                    self.set_phase(path, PullSweepPhase::WaitingForBuild);
                }
                return;
            }
            Some(PullBuild::Failed { failure }) => {
                let reason = format!("`{}` did not build: {}: {}", request.model, failure.stage, failure.message);
                self.block(path, reason);
                return;
            }
            Some(PullBuild::Untrusted) => {
                let reason = format!("`{}` is changed by a fork, and its commit is not approved", request.model);
                self.block(path, reason);
                return;
            }
        };
        if !started {
            sweep.phase = PullSweepPhase::Planning;
        }
        let pull = self.at.pull;
        self.decision.ask(Due {
            effect: Effect::PlanSweep {
                pull: pull.clone(),
                head: self.state.snapshot.head.clone(),
                path: path.to_owned(),
                request,
                own_version,
            },
            not_before: None,
            coalesce: Some(format!("plan/{}/{}/{path}", pull.repository.id, pull.number)),
        });
    }

    pub(super) fn block(&mut self, path: &str, reason: String) {
        if let Some(sweep) = self.state.sweeps.get(path).cloned() {
            self.cancel_if_started(&sweep, "its model no longer builds");
        }
        self.set_phase(path, PullSweepPhase::Blocked { reason });
    }

    pub(super) fn planned(
        &mut self,
        path: &str,
        head: &CommitSha,
        result: &Result<Box<PlanSummary>, Faults>,
    ) -> Option<String> {
        if *head != self.state.snapshot.head {
            return Some(format!("the head has moved on from {}", head.short()));
        }
        let Some(sweep) = self.state.sweeps.get(path).cloned() else {
            return Some(format!("`{path}` is no longer part of the pull request"));
        };
        match result {
            Err(faults) => {
                self.cancel_if_started(&sweep, "its file has faults now");
                self.set_phase(path, PullSweepPhase::Invalid { faults: faults.clone() });
            }
            Ok(plan) => {
                if let PullSweepPhase::Started { report } = &sweep.phase {
                    if report.plan.digest == plan.digest && !report.phase.is_cut_short() {
                        // The push changed nothing that the plan depends on: the sweep goes on, its approval stands.
                        let mut report = report.clone();
                        report.plan.head.clone_from(&plan.head);
                        self.set_phase(path, PullSweepPhase::Started { report });
                        return None;
                    }
                    self.cancel_if_started(&sweep, "a new plan took its place");
                }
                let shown_at = match &sweep.shown {
                    Some((digest, at)) if *digest == plan.digest => *at,
                    Some(_) | None => self.at.now,
                };
                if let Some(sweep) = self.state.sweeps.get_mut(path) {
                    sweep.shown = Some((plan.digest.clone(), shown_at));
                }
                self.set_phase(path, PullSweepPhase::Planned { plan: plan.clone(), shown_at });
            }
        }
        None
    }

    pub(super) fn advanced(&mut self, id: &SweepId, report: &SweepReport) -> Option<String> {
        let found = self.state.sweeps.iter().find_map(|(path, sweep)| match &sweep.phase {
            PullSweepPhase::Started { report } if report.plan.id == *id => Some(path.clone()),
            _ => None,
        });
        let Some(path) = found else {
            return self.comparison_advanced(id, report);
        };
        if let Some(PullSweep { phase: PullSweepPhase::Started { report: known }, .. }) =
            self.state.sweeps.get_mut(&path)
        {
            // A push can have left the plan as it was and moved the head.
            let head = known.plan.head.clone();
            known.clone_from(&Box::new(report.clone()));
            known.plan.head = head;
        }
        self.show(&path);
        if let Some(body) = report::final_comment(report, &self.links()) {
            let marker = format!("result/{}/{}", report.plan.id, report.round);
            self.post_result(marker, body);
        }
        None
    }

    /// Cancels every sweep and comparison.
    pub(super) fn cancel_all(&mut self, by: &str) {
        self.cancel_comparisons(None, by);
        self.cancel_sweeps(&self.matching(None), by);
    }

    pub(super) fn cancel_sweeps(&mut self, paths: &[String], by: &str) {
        for path in paths {
            if let Some(sweep) = self.state.sweeps.get(path).cloned() {
                self.cancel_if_started(&sweep, by);
            }
        }
    }

    pub(super) fn cancel_if_started(&mut self, sweep: &PullSweep, by: &str) {
        if let PullSweepPhase::Started { report } = &sweep.phase
            && !report.phase.is_terminal()
        {
            self.decision.tell(Key::Sweep(report.plan.id.clone()), Event::CancelRequested { by: by.to_owned() });
        }
    }

    pub(super) fn set_phase(&mut self, path: &str, phase: PullSweepPhase) {
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.phase = phase;
        }
        self.show(path);
    }

    /// Brings the sweep's own comment and its check up to date. Edits of what goes on come at most once an interval; the
    /// newest text wins.
    pub(super) fn show(&mut self, path: &str) {
        let Some(sweep) = self.state.sweeps.get(path).cloned() else { return };
        let body = report::sweep_comment(&sweep, &self.state.models, &self.may_start(), &self.links(), self.at.now);
        let urgency = match &sweep.phase {
            PullSweepPhase::Started { report } if !report.phase.is_terminal() => Urgency::InTurn,
            PullSweepPhase::Started { .. }
            | PullSweepPhase::Invalid { .. }
            | PullSweepPhase::WaitingForBuild
            | PullSweepPhase::Blocked { .. }
            | PullSweepPhase::Planning
            | PullSweepPhase::Planned { .. } => Urgency::Now,
        };
        let marker = marker_of(path);
        let due = self.edit(&marker, body, sweep.last_edit, urgency);
        if let Some(sweep) = self.state.sweeps.get_mut(path) {
            sweep.last_edit = Some(due);
        }
        self.show_check(&marker, &sweep);
    }
}

/// What marks the comment of the sweep file at `path`. A marker lies in an HTML comment, and a path may hold anything.
pub(super) fn marker_of(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if path.len() <= 200 && path.bytes().all(plain) && !path.contains("--") {
        return format!("sweep/{path}");
    }
    format!("sweep/{}", &Digest::of(path).hex()[..32])
}
