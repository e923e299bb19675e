//! Planning: a sweep file and a version in, a plan and its points out.
//!
//! The same planning serves the pull request and the terminal. It executes nothing: it reads files at a commit, expands
//! the design as a stream, looks up which runs are known, and leaves `plan.json` and `points.jsonl` in the artifact store.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::expansion::{Counted, write_points};
use super::{Engine, Hosting, keys};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::ids::{CommitSha, ModelName, Repository, RunId, SweepId, VersionId};
use crate::domain::manifest::Manifest;
use crate::domain::parameters::Value;
use crate::domain::policy::{Asked, Policy};
use crate::domain::report;
use crate::domain::sweep::cost::{Needs, Price};
use crate::domain::sweep::plan::{PlanSummary, Purpose};
use crate::domain::sweep::points::{Design, PlanHasher, Role, RunIdentity};
use crate::domain::sweep::spec::SweepSpec;
use crate::domain::version::Version;
use crate::domain::yaml::Files;
use crate::edge::artifacts::directory::Artifacts;
use crate::edge::source::Source;
use crate::store::registry::Found;
use crate::store::runs::RunOutcome;

/// How many runs are looked up at once?
pub(super) const CHUNK: usize = 2_000;

/// How many such lots may wait while points are made?
const CHUNKS_AHEAD: usize = 4;

/// Where a repository keeps its own limits.
const POLICY_FILE: &str = "config/policy.yaml";

/// What shall be planned.
#[derive(Debug, Clone)]
pub struct PlanOrder {
    /// The repository that holds the sweep file.
    pub repository: Repository,
    /// The commit at which it is read.
    pub commit: CommitSha,
    /// Its path; or that of a manifest, whose tests with parameters are the sweep then.
    pub path: String,
    /// Who asks; part of the sweep's id, so that two who ask for the same have a sweep each.
    pub owner: String,
    /// The version to use when the file names none.
    pub own_version: Option<VersionId>,
    /// How the plan calls that version where it is one side of a comparison; none where the sweep stands alone.
    pub compared_as: Option<String>,
    /// The commit to show as the plan's head; none on a laptop.
    pub head: Option<CommitSha>,
}

/// A plan with all that is needed to carry it out: `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The plan in short.
    pub summary: PlanSummary,
    /// The version.
    pub version: Version,
    /// The version's manifest.
    pub manifest: Manifest,
}

/// One point of a plan: one line of `points.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PointLine {
    /// Its place in the plan, from 0.
    pub(super) index: u64,
    /// Baseline or design.
    pub(super) role: Role,
    /// The run.
    pub(super) run: RunId,
    /// The value of every parameter, in the manifest's order.
    pub(super) values: Vec<Value>,
}

/// Reads files of one commit for the parsers.
pub struct FilesAt<'a> {
    source: &'a Source,
    commit: &'a CommitSha,
}

impl<'a> FilesAt<'a> {
    /// Reads from `source` at `commit`.
    #[must_use]
    pub fn new(source: &'a Source, commit: &'a CommitSha) -> Self {
        Self { source, commit }
    }

    /// Reads and checks the manifest at `path`; gives its text too.
    ///
    /// # Errors
    /// The file's faults, also when there is no such file.
    pub fn manifest(&self, path: &str) -> Result<(Manifest, String), Faults> {
        let text = self.required(path)?;
        let manifest = Manifest::parse(path, &text, self)?;
        Ok((manifest, text))
    }

    /// Reads and checks the sweep file at `path`.
    ///
    /// # Errors
    /// The file's faults, also when there is no such file.
    pub fn sweep(&self, path: &str) -> Result<SweepSpec, Faults> {
        SweepSpec::parse(path, &self.required(path)?)
    }

    fn policy(&self) -> Result<Policy, Faults> {
        match self.read(POLICY_FILE).map_err(|message| Diagnostic::of_file(POLICY_FILE, message, None))? {
            Some(text) => Policy::parse(POLICY_FILE, &text),
            None => Ok(Policy::default()),
        }
    }

    fn required(&self, path: &str) -> Result<String, Faults> {
        match self.read(path) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => {
                let message = format!("there is no such file at commit {}", self.commit.short());
                Err(Diagnostic::of_file(path, message, Some("commit the file first".to_owned())).into())
            }
            Err(message) => Err(Diagnostic::of_file(path, message, None).into()),
        }
    }
}

impl Files for FilesAt<'_> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        match self.source.read_file(self.commit, path) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => String::from_utf8(bytes).map(Some).map_err(|_| "the file is not UTF-8 text".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Engine {
    /// Plans a sweep. The inner error is the user's: faults in the file, or a version that is not there.
    ///
    /// # Errors
    /// When git, the database or the artifact store fail.
    pub async fn plan(&self, order: &PlanOrder) -> Result<Result<Planned, Faults>> {
        let git_dir = self.outside.git_dir(&order.repository)?;
        let spec = match read_spec(&git_dir, order).await? {
            Ok(spec) => spec,
            Err(faults) => return Ok(Err(faults)),
        };
        let (version, reference) = match self.version_for(&spec, order).await? {
            Ok(found) => found,
            Err(faults) => return Ok(Err(faults)),
        };
        let work = Expansion {
            git_dir,
            version_dir: self.outside.git_dir(&version.source.repository)?,
            order: order.clone(),
            spec,
            version,
            reference,
            max_runs: self.outside.max_runs,
            points: self.outside.scratch.join(format!("plan-{}.jsonl", uuid::Uuid::new_v4())),
        };
        let points = work.points.clone();
        let asked = work.spec.limits();
        let (counted, ids) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
        let counted = self.store.has_runs().await?.then_some(counted);
        let expanding = tokio::task::spawn_blocking(move || work.expand(counted));
        let known = self.count_known(ids).await;
        let expanded = expanding.await.context("planning panicked")?;
        let (mut planned, policy) = match known.and_then(|known| Ok((known, expanded?))) {
            Ok((known, Ok((mut planned, policy)))) => {
                planned.summary.counts.reused = known;
                (planned, policy)
            }
            Ok((_, Err(faults))) => return Ok(Err(faults)),
            Err(error) => {
                // A half-written list of points serves nobody.
                let _ = fs_err::remove_file(&points);
                return Err(error);
            }
        };
        self.estimate(&mut planned).await?;
        let summary = &mut planned.summary;
        let verdict = policy.verdict(Asked {
            model: &summary.model,
            runs: summary.counts.runs,
            estimate_usd: summary.estimate_usd,
            limits: &asked,
        });
        let guarantees = self.outside.guarantees;
        summary.verdict = guarantees
            .missing(&planned.manifest.run)
            .iter()
            .chain(&self.outside.refusal(&planned.version))
            .fold(verdict, |verdict, reason| verdict.and_refused(reason));
        summary.notes.extend(report::budget_note(&asked, summary, guarantees.executor));
        let artifacts = self.outside.artifacts.clone();
        let stored = planned.clone();
        tokio::task::spawn_blocking(move || {
            artifacts.adopt(&keys::points(&stored.summary.id)?, &points)?;
            artifacts.write(&keys::plan(&stored.summary.id)?, &serde_json::to_vec_pretty(&stored)?)?;
            anyhow::Ok(())
        })
        .await
        .context("keeping the plan panicked")??;
        Ok(Ok(planned))
    }

    /// The version that the file means, and how it says so.
    async fn version_for(&self, spec: &SweepSpec, order: &PlanOrder) -> Result<Result<(Version, String), Faults>> {
        let fault = |message: String, hint: String| Ok(Err(Faults::from(spec.model_fault(message, Some(hint)))));
        if let (None, Some(own)) = (&spec.reference, &order.own_version) {
            let version =
                self.store.version(own).await?.with_context(|| format!("version `{own}` is not registered"))?;
            let reference = match (&order.compared_as, &order.head, version.tree) {
                (Some(called), _, _) => called.clone(),
                (None, Some(_), _) => "this pull request".to_owned(),
                (None, None, crate::domain::version::Tree::Dirty) => "the work tree".to_owned(),
                (None, None, crate::domain::version::Tree::Committed) => "HEAD".to_owned(),
            };
            return Ok(Ok((version, reference)));
        }
        let reference = spec.reference.clone().unwrap_or_else(|| "production".to_owned());
        match self.store.find_version(&spec.model, &reference).await? {
            Found::One(version) => Ok(Ok((version, reference))),
            Found::Many(versions) => fault(
                format!("`{reference}` means {} versions of `{}`", versions.len(), spec.model),
                "write more of the commit or digest".to_owned(),
            ),
            Found::None => {
                let known = self.store.channels(&spec.model).await?;
                let hint = if known.is_empty() {
                    no_versions(&self.outside.hosting, &spec.model)
                } else {
                    let names: Vec<_> = known.iter().map(|channel| format!("`{}`", channel.channel)).collect();
                    format!("channels of this model: {}", names.join(", "))
                };
                fault(format!("model `{}` has no version `{reference}`", spec.model), hint)
            }
        }
    }

    /// How many of the points have a good result already.
    async fn count_known(&self, mut ids: tokio::sync::mpsc::Receiver<Vec<RunId>>) -> Result<u64> {
        let mut known = 0;
        while let Some(chunk) = ids.recv().await {
            let found = self.store.known_runs(&chunk).await?;
            known +=
                u64::try_from(found.values().filter(|run| run.outcome == RunOutcome::Succeeded).count()).unwrap_or(0);
        }
        Ok(known)
    }

    /// What earlier runs of the model lead us to expect: wall time, and cost where the executor has a price.
    async fn estimate(&self, planned: &mut Planned) -> Result<()> {
        let resources = planned.manifest.run.resources;
        let summary = &mut planned.summary;
        summary.needs =
            Needs { milli_cpus: resources.milli_cpus, memory: resources.memory, most_memory: self.outside.max_memory };
        summary.price = self.outside.price;
        let Some(mean) = self.store.mean_wall_ms(&summary.model).await? else { return Ok(()) };
        let slots = u64::from(self.outside.slots);
        let parallel = summary.limits.max_parallel.map_or(slots, |most| u64::from(most).min(slots)).max(1);
        let run_ms = summary.counts.new_runs().saturating_mul(mean);
        summary.estimate_ms = Some(run_ms.div_ceil(parallel));
        summary.estimate_usd = summary.price.is_known().then(|| summary.cost_usd(resources.memory, run_ms));
        Ok(())
    }
}

fn no_versions(hosting: &Hosting, model: &ModelName) -> String {
    match hosting {
        Hosting::Laptop { .. } => format!("build it first: `modelship build {model}`"),
        Hosting::Forge(_) => format!("push a branch that changes `{model}`; its build becomes a version"),
    }
}

async fn read_spec(git_dir: &Path, order: &PlanOrder) -> Result<Result<SweepSpec, Faults>> {
    let (git_dir, order) = (git_dir.to_path_buf(), order.clone());
    tokio::task::spawn_blocking(move || {
        let source = Source::open(&git_dir)?;
        let files = FilesAt::new(&source, &order.commit);
        if !Manifest::is_path(&order.path) {
            return Ok(files.sweep(&order.path));
        }
        Ok(files.manifest(&order.path).and_then(|(manifest, _)| SweepSpec::of_tests(&order.path, &manifest)))
    })
    .await
    .context("reading the sweep file panicked")?
}

/// The part of planning that computes and reads files.
struct Expansion {
    git_dir: PathBuf,
    version_dir: PathBuf,
    order: PlanOrder,
    spec: SweepSpec,
    version: Version,
    reference: String,
    max_runs: u64,
    points: PathBuf,
}

impl Expansion {
    fn expand(self, counted: Counted) -> Result<Result<(Planned, Policy), Faults>> {
        let source = Source::open(&self.git_dir)?;
        let of_version = Source::open(&self.version_dir)?;
        let files = FilesAt::new(&source, &self.order.commit);
        let parsed = Manifest::parse(
            &self.version.source.manifest,
            &self.version.manifest_text,
            &FilesAt::new(&of_version, &self.version.source.commit),
        );
        let manifest = match parsed {
            Ok(manifest) => manifest,
            Err(faults) => return Ok(Err(faults)),
        };
        let policy = match policy_of(&source) {
            Ok(policy) => policy,
            Err(faults) => return Ok(Err(faults)),
        };
        let limits = policy.limits(&self.spec.limits());
        let most = policy.design_limits(self.max_runs);
        let design = match Design::new(&self.spec, &manifest, &files, most) {
            Ok(design) => design,
            Err(faults) => return Ok(Err(faults)),
        };
        let identity = RunIdentity::new(&self.version.executable, &manifest, &self.version.inputs);
        let mut hasher = PlanHasher::new(&self.version.manifest, &self.spec.outputs, &limits);
        let runs = write_points(&design, &identity, &mut hasher, &self.points, counted)?;
        anyhow::ensure!(runs == design.runs(), "the design has {runs} points, though it counted {}", design.runs());
        let moved = design.moved();
        let shown: Vec<_> =
            moved.iter().filter_map(|moved| manifest.parameters.iter().position(|p| p.name == moved.name)).collect();
        let first = design.points().filter(|point| point.role.is_design()).take(5);
        let sample = first.map(|point| shown.iter().map(|at| point.values[*at].to_string()).collect()).collect();
        let digest = hasher.finish();
        let summary = PlanSummary {
            id: SweepId::of(&self.spec.name, &format!("{}\n{}", self.order.owner, self.order.path), &digest),
            name: self.spec.name.clone(),
            file: self.order.path.clone(),
            digest,
            model: self.spec.model.clone(),
            reference: self.reference,
            version: self.version.id.clone(),
            model_commit: self.version.source.commit.clone(),
            executable: self.version.executable.clone(),
            head: self.order.head.clone(),
            design: design.name().to_owned(),
            moved,
            fixed: design.fixed(),
            baseline: design.baseline(),
            counts: design.counts(),
            sample,
            outputs: self.spec.outputs.clone(),
            limits,
            needs: Needs::default(),
            price: Price::default(),
            estimate_ms: None,
            estimate_usd: None,
            verdict: crate::domain::sweep::plan::Verdict::NeedsCommand,
            notes: design.notes().to_vec(),
            purpose: if self.order.compared_as.is_some() { Purpose::Comparison } else { Purpose::Results },
        };
        Ok(Ok((Planned { summary, version: self.version, manifest }, policy)))
    }
}

impl Engine {
    /// The policy that holds in `repository` now.
    ///
    /// # Errors
    /// When it cannot be read. Its faults are an inner error: they are for whoever wrote it.
    pub(super) async fn policy(&self, repository: &Repository) -> Result<Result<Policy, Faults>> {
        let git_dir = self.outside.git_dir(repository)?;
        tokio::task::spawn_blocking(move || Ok(policy_of(&Source::open(&git_dir)?)))
            .await
            .context("reading policy panicked")?
    }
}

/// The policy of the default branch, whatever the pull request's own branch says.
fn policy_of(source: &Source) -> Result<Policy, Faults> {
    let head = source
        .head_branch()
        .ok()
        .flatten()
        .and_then(|branch| source.branch(&branch).ok().flatten())
        .or_else(|| source.resolve("HEAD").ok());
    match head {
        Some(head) => FilesAt::new(source, &head).policy(),
        None => Ok(Policy::default()),
    }
}

/// Reads `plan.json` of a sweep.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read_plan(artifacts: &Artifacts, sweep: &SweepId) -> Result<Planned> {
    let bytes = artifacts.read(&keys::plan(sweep)?).with_context(|| format!("sweep `{sweep}` has no plan here"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("the plan of sweep `{sweep}` cannot be read"))
}

/// Reads `points.jsonl` as a stream.
pub(super) struct PointReader {
    lines: std::io::Lines<BufReader<fs_err::File>>,
}

impl PointReader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { lines: BufReader::with_capacity(1 << 20, fs_err::File::open(path)?).lines() })
    }

    /// The next points, at most `most`; none at the end.
    pub(super) fn next_chunk(&mut self, most: usize) -> Result<Vec<PointLine>> {
        let mut chunk = Vec::with_capacity(most.min(CHUNK));
        for line in self.lines.by_ref().take(most) {
            chunk.push(serde_json::from_str(&line?).context("a line of the plan's points cannot be read")?);
        }
        Ok(chunk)
    }
}
