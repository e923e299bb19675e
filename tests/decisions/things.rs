//! The things that events are about.

use std::collections::BTreeMap;

use modelship::domain::deployment::{Asker, DeploymentNotice, Environment};
use modelship::domain::diagnostic::{Diagnostic, Faults};
use modelship::domain::effect::Effect;
use modelship::domain::event::{BuildFailure, BuildOrigin, BuildOutcome, Event, Key, Keyed, TouchedModel};
use modelship::domain::forge::User;
use modelship::domain::ids::{
    ChannelName, CommitSha, Digest, ModelName, ObjectId, PullNumber, PullRef, Repository, RepositoryName, RunId,
    SweepId, SweepName, Time, VersionId,
};
use modelship::domain::pull::{Base, ComparisonPlan, Pair, PlannedPair};
use modelship::domain::sweep::analysis::{AnalysisSummary, Comparison};
use modelship::domain::sweep::cost::{Needs, Price};
use modelship::domain::sweep::plan::{PlanCounts, PlanSummary, Purpose, RunLimits, Verdict};
use modelship::domain::sweep::record::FailureClass;
use modelship::domain::sweep::retry::RetryRules;
use modelship::domain::sweep::state::{JobHandle, Retry, RoundCounts, RunFailure};
use modelship::domain::version::{ChannelMove, PassedTest, SourceRef, Tree, Version};

pub(crate) const SWEEP_FILE: &str = "sweeps/deduction.yaml";
pub(crate) const RUNS: u64 = 4;
pub(crate) const MIB_512: u64 = 512 << 20;

pub(crate) fn hub() -> Repository {
    Repository { id: 7, name: RepositoryName::new("urban", "hub").unwrap() }
}

pub(crate) fn model() -> ModelName {
    ModelName::new("urban", "simple-tax").unwrap()
}

pub(crate) fn pull() -> PullRef {
    PullRef { repository: hub(), number: PullNumber(1) }
}

pub(crate) fn ada() -> User {
    User { id: 5, login: "ada".to_owned() }
}

pub(crate) fn commit(number: u8) -> CommitSha {
    CommitSha::parse(format!("{number:040x}")).unwrap()
}

pub(crate) fn source(number: u8) -> SourceRef {
    SourceRef { repository: hub(), commit: commit(number), manifest: "config/urban/simple-tax.yaml".to_owned() }
}

pub(crate) fn version(source: &SourceRef, tree: Tree) -> Version {
    let (executable, manifest) = (Digest::of(source.commit.as_str()), Digest::of("manifest"));
    Version {
        id: VersionId::of(&model(), &source.commit, &executable, &manifest),
        model: model(),
        source: source.clone(),
        tree,
        source_tree: ObjectId::parse(source.commit.as_str()).unwrap(),
        executable,
        builder: "process".to_owned(),
        image: None,
        pinned: None,
        recipe: None,
        manifest,
        manifest_text: String::new(),
        inputs: BTreeMap::new(),
        toolchain: Vec::new(),
        tests: vec![PassedTest { name: "base case".to_owned(), duration_ms: 3 }],
        build_ms: 9,
        registered_at: Time(0),
    }
}

pub(crate) fn failure() -> BuildFailure {
    BuildFailure {
        stage: "build".to_owned(),
        message: "`make` ended with status 2".to_owned(),
        faults: Vec::new(),
        log_tail: "make: no rule".to_owned(),
        log: None,
    }
}

pub(crate) fn faults() -> Faults {
    Faults::from(Diagnostic::of_file(SWEEP_FILE, "no such parameter", None))
}

/// The plan that `design` stands for, made for the head `head`.
pub(crate) fn plan(design: u8, head: u8) -> PlanSummary {
    let (name, digest) = (SweepName::parse("deduction").unwrap(), Digest::of([design]));
    let version = version(&source(head), Tree::Committed);
    PlanSummary {
        id: SweepId::of(&name, "pull/7/1", &digest),
        name,
        file: SWEEP_FILE.to_owned(),
        digest,
        model: model(),
        reference: "this pull request".to_owned(),
        version: version.id,
        model_commit: commit(head),
        executable: version.executable,
        head: Some(commit(head)),
        design: "grid".to_owned(),
        moved: Vec::new(),
        fixed: Vec::new(),
        baseline: Vec::new(),
        counts: PlanCounts { generated: RUNS, rejected: 0, repeated: 0, runs: RUNS, reused: 0 },
        sample: Vec::new(),
        outputs: Vec::new(),
        limits: match design {
            0..3 => RunLimits::default(),
            _ => {
                let retry = RetryRules { oom: 2, error: 1, ..RetryRules::default() };
                RunLimits { canary: Some(1), retry, ..RunLimits::default() }
            }
        },
        needs: Needs { milli_cpus: 1_000, memory: MIB_512, most_memory: 8 * MIB_512 },
        price: Price::default(),
        estimate_ms: None,
        estimate_usd: None,
        verdict: Verdict::NeedsCommand,
        notes: Vec::new(),
        purpose: Purpose::Results,
    }
}

/// One side of the comparison that is made for the head `head`; heads 4 and 5 have the same model.
pub(crate) fn compared(side: &str, head: u8) -> PlanSummary {
    let (name, digest) = (SweepName::parse("deduction").unwrap(), Digest::of([head / 2, side.len() as u8]));
    let id = SweepId::of(&name, &format!("pull/7/1/compare/{side}"), &digest);
    PlanSummary { id, digest, reference: side.to_owned(), ..plan(0, head) }
}

pub(crate) fn comparison_plan(head: u8, allowance: Option<u64>) -> ComparisonPlan {
    let plans = Pair { base: compared("base", head), head: compared("own", head) };
    ComparisonPlan {
        head: commit(head),
        version: compared("own", head).version,
        base: Base { version: compared("base", 1).version, commit: commit(1), called: "main".to_owned() },
        sweeps: vec![
            PlannedPair { name: SweepName::parse("deduction").unwrap(), plans: Ok(Box::new(plans)) },
            PlannedPair { name: SweepName::parse("rates").unwrap(), plans: Err("it has no `RATE`".to_owned()) },
        ],
        allowance,
    }
}

pub(crate) fn comparison() -> Comparison {
    Comparison {
        first: "main".to_owned(),
        second: "pr-1".to_owned(),
        joined_on: Vec::new(),
        matched: RUNS,
        only_first: 0,
        only_second: 0,
        failing: 0,
        failing_at: Vec::new(),
        mended: 0,
        failing_in_both: 0,
        outputs: Vec::new(),
        outputs_only_first: Vec::new(),
        outputs_only_second: Vec::new(),
        warnings: Vec::new(),
        effort: None,
        head_columns: Vec::new(),
        head_rows: Vec::new(),
    }
}

pub(crate) fn analysis(missing: u64) -> Box<AnalysisSummary> {
    Box::new(AnalysisSummary {
        rows: RUNS,
        missing,
        statistics: Vec::new(),
        chart: None,
        head_columns: Vec::new(),
        head_rows: Vec::new(),
        files: Vec::new(),
        texts: Vec::new(),
        file_rows: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    })
}

pub(crate) fn job(round: u32) -> JobHandle {
    JobHandle { place: format!("sweeps/s/jobs/1/{round}"), token: "17:42".to_owned() }
}

pub(crate) fn counts(succeeded: u64, failed: &[(FailureClass, u64)]) -> RoundCounts {
    RoundCounts { succeeded, failed: failed.iter().copied().collect(), run_ms: 5 }
}

pub(crate) fn run_failure(number: u64, class: FailureClass) -> RunFailure {
    let run = RunId::from_hash(&[u8::try_from(number % 251).unwrap(); 32]);
    RunFailure { run, parameters: Vec::new(), class, message: "it ended".to_owned(), log_tail: String::new() }
}

pub(crate) fn observed(round: u32, counts: RoundCounts, ended: bool) -> Event {
    let failures = counts.failed.keys().zip(0..).map(|(class, number)| run_failure(number, *class)).collect();
    Event::RunsObserved { round, counts, failures, ended }
}

pub(crate) fn request(number: u8, origin: BuildOrigin, waiter: Option<Key>) -> Event {
    Event::BuildRequested { source: source(number), tree: Tree::Committed, origin, waiter }
}

pub(crate) fn branch(name: &str) -> BuildOrigin {
    BuildOrigin::Branch { name: name.to_owned() }
}

pub(crate) fn main_branch() -> BuildOrigin {
    BuildOrigin::DefaultBranch { name: "main".to_owned() }
}

pub(crate) fn of_pull() -> BuildOrigin {
    BuildOrigin::Pull { number: PullNumber(1) }
}

pub(crate) fn push(reference: &str, before: Option<u8>, after: u8) -> Event {
    Event::PushReceived {
        reference: reference.to_owned(),
        before: before.map(commit),
        after: Some(commit(after)),
        default_branch: "main".to_owned(),
        pusher: "ada".to_owned(),
    }
}

pub(crate) fn passed(number: u8) -> Event {
    let version = Box::new(version(&source(number), Tree::Committed));
    Event::BuildFinished { source: source(number), outcome: BuildOutcome::Passed(version) }
}

pub(crate) fn failed_effect(effect: &Effect) -> Keyed {
    let (key, subject) = effect.subject();
    let reason = "the disk is full".to_owned();
    Keyed { key, event: Event::EffectFailed { effect: effect.name().to_owned(), subject, reason } }
}

pub(crate) fn moved(channel: &str, number: u8) -> ChannelMove {
    ChannelMove {
        model: model(),
        channel: ChannelName::parse(channel).unwrap(),
        version: version(&source(number), Tree::Committed).id,
        previous: None,
        reason: "push to #1".to_owned(),
        at: Time(1_000 + i64::from(number)),
    }
}

/// A deployment of commit 2 to production, and whoever waits for its answer.
pub(crate) fn deployed(id: i64) -> (DeploymentNotice, Asker) {
    let notice = DeploymentNotice {
        id,
        environment: Environment { model: model(), channel: ChannelName::production() },
        commit: commit(2),
        created_at: Time(1_000_000),
        creator: ada(),
        actor: None,
        is_marked: false,
    };
    let asker = Asker::Deployment { repository: hub(), id, created_at: notice.created_at };
    (notice, asker)
}

pub(crate) fn touched(commit: &CommitSha) -> TouchedModel {
    let source = SourceRef { commit: commit.clone(), ..source(0) };
    TouchedModel { model: model(), source, source_tree: ObjectId::parse(commit.as_str()).unwrap() }
}

pub(crate) fn submitted(round: u32) -> Event {
    Event::JobsSubmitted { round, jobs: vec![job(round)], runs: RUNS, known: 0, failed: BTreeMap::new() }
}

pub(crate) fn started(retry: Retry, limits: RunLimits) -> Event {
    let plan = Box::new(PlanSummary { limits, ..plan(0, 2) });
    Event::SweepStarted { plan, pull: None, by: "ada".to_owned(), asker: None, retry }
}
