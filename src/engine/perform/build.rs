//! Building: a commit in, a version out.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::sources::{self, Located};
use super::{Reports, blocking};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::event::{BuildFailure, BuildOutcome, Event, Key, Keyed};
use crate::domain::forge::{HeadOrigin, Permission, User};
use crate::domain::ids::{Digest, ModelName, VersionId};
use crate::domain::manifest::{BuildBy, Manifest};
use crate::domain::version::{PassedTest, SourceRef, Tree, Version};
use crate::edge::builder::process::{BuildError, TestError};
use crate::edge::builder::{BuildOrder, Builder, PublishError, Published, Recipe, RecipeError, SourceFiles};
use crate::edge::source::Source as Repository;
use crate::engine::planning::FilesAt;
use crate::engine::{Engine, Failure, keys};

/// Builds and tests `model` at `source`.
pub(super) async fn model(
    engine: &Engine,
    model: &ModelName,
    source: &SourceRef,
    built: (Tree, HeadOrigin),
    cancel: &CancellationToken,
) -> Reports {
    let outcome = match build(engine, model, source, built, cancel).await {
        Err(Ended::Left(by)) => return left(engine, model, source, by).await,
        Ok(version) => BuildOutcome::Passed(Box::new(version)),
        Err(Ended::Failed(failure)) => BuildOutcome::Failed(failure),
        Err(Ended::Cancelled) => BuildOutcome::Cancelled,
        Err(Ended::Ours(failure)) => return Err(failure),
    };
    match &outcome {
        BuildOutcome::Passed(version) => {
            tracing::info!(model.name = %model, version.id = %version.id, "{model} passed as version {}", version.id);
        }
        BuildOutcome::Failed(failure) => {
            let (commit, stage, message) = (source.commit.short(), &failure.stage, &failure.message);
            tracing::info!(model.name = %model, "{model} at {commit} failed in {stage}: {message}");
        }
        BuildOutcome::Cancelled => {
            tracing::info!(model.name = %model, "the build of {model} at {} was cancelled", source.commit.short());
        }
    }
    let event = Event::BuildFinished { source: source.clone(), outcome };
    Ok(vec![Keyed { key: Key::Model(model.clone()), event }])
}

/// The build is somebody else's. What they registered already is the answer; otherwise it is waited for.
async fn left(engine: &Engine, model: &ModelName, source: &SourceRef, by: BuildBy) -> Reports {
    let event = match registered(engine, model, source).await? {
        Some(version) => {
            let outcome = BuildOutcome::Passed(Box::new(version));
            Event::BuildFinished { source: source.clone(), outcome }
        }
        None => Event::BuildLeft { model: model.clone(), source: source.clone(), by },
    };
    Ok(vec![Keyed { key: Key::Model(model.clone()), event }])
}

/// The version that the commit is already, to be registered once more so that channels move. That is another moment than
/// its first one, which nobody is told of again.
pub(super) async fn registered(
    engine: &Engine,
    model: &ModelName,
    source: &SourceRef,
) -> anyhow::Result<Option<Version>> {
    let version = engine.store().version_at(model, &source.commit).await?;
    let version = version.filter(|version| is_of(version, source));
    Ok(version.map(|version| Version { registered_at: engine.now(), ..version }))
}

/// Whether the version is of that commit, whatever its repository was called then.
fn is_of(version: &Version, source: &SourceRef) -> bool {
    let SourceRef { repository, commit, manifest } = &version.source;
    repository.id == source.repository.id && (commit, manifest) == (&source.commit, &source.manifest)
}

/// Whether the build shall be done again: when `author` may write in the repository now.
pub(super) async fn again(engine: &Engine, model: &ModelName, source: &SourceRef, author: &User) -> Reports {
    let permission = super::talk::forge(engine)?.permission(&source.repository, author).await?;
    if permission < Permission::Write {
        tracing::info!(model.name = %model, user.id = author.id, "{} may not have {model} built again", author.login);
        return Ok(Vec::new());
    }
    let event = Event::RebuildAllowed { commit: source.commit.clone() };
    Ok(vec![Keyed { key: Key::Model(model.clone()), event }])
}

/// Stops the build of that commit, here or wherever it is under way or waits. The build itself tells that it ended.
pub(super) async fn cancel(engine: &Engine, model: &ModelName, source: &SourceRef) -> Reports {
    let key = Key::Model(model.clone()).to_string();
    engine.store().cancel_effects("BuildModel", &key, source.commit.as_str(), engine.now()).await?;
    engine.beat.notify_one();
    Ok(Vec::new())
}

/// How a build ended without a version.
pub(in crate::engine) enum Ended {
    Failed(BuildFailure),
    /// It is somebody else's to build.
    Left(BuildBy),
    Cancelled,
    Ours(Failure),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Ours(Failure::Later(error))
    }
}

impl Ended {
    pub(super) fn manifest(message: impl Into<String>) -> Self {
        Self::Failed(BuildFailure::without_log("manifest", message))
    }

    /// The server is not set up for it.
    fn settings(message: String) -> Self {
        Self::Failed(BuildFailure::without_log("settings", message))
    }

    pub(super) fn faults(faults: Faults) -> Self {
        let count = faults.0.len();
        let message = match faults.0.first() {
            Some(first) if count == 1 => first.to_string(),
            Some(first) => format!("{first} (and {} more)", count - 1),
            None => "the manifest cannot be read".to_owned(),
        };
        Self::Failed(BuildFailure { faults: faults.0, ..BuildFailure::without_log("manifest", message) })
    }
}

async fn build(
    engine: &Engine,
    model: &ModelName,
    source: &SourceRef,
    (tree, code): (Tree, HeadOrigin),
    cancel: &CancellationToken,
) -> Result<Version, Ended> {
    if cancel.is_cancelled() {
        return Err(Ended::Cancelled);
    }
    let outside = engine.outside();
    let Prepared { manifest, manifest_text, located, recipe } = prepare(engine, model, (source, code), cancel).await?;
    let manifest_hash = Manifest::hash(&manifest_text);
    let known = engine.store().version_of_build(model, &recipe.digest, &manifest_hash).await;
    let known = match known.map_err(|error| Ended::Ours(error.into()))? {
        Some(version) if still_there(engine, &version).await => Some(version),
        _ => None,
    };
    let (digest, toolchain) = (recipe.digest.clone(), recipe.toolchain.clone());
    let Made { published, inputs, tests, build_ms } = match known {
        Some(Version { executable, image, inputs, tests, build_ms, .. }) => {
            Made { published: Published { executable, image }, inputs, tests, build_ms }
        }
        None => make(engine, Work { source, manifest: &manifest, located: &located, recipe }, cancel).await?,
    };
    let Published { executable, image } = published;
    Ok(Version {
        id: VersionId::of(model, &source.commit, &executable, &manifest_hash),
        model: model.clone(),
        source: source.clone(),
        tree,
        pinned: located.pinned,
        source_tree: located.tree,
        recipe: (digest != executable).then_some(digest),
        executable,
        builder: outside.builder.name().to_owned(),
        image,
        manifest: manifest_hash,
        manifest_text,
        inputs,
        toolchain,
        tests,
        build_ms,
        registered_at: engine.now(),
    })
}

/// A model that could be built.
pub(in crate::engine) struct Prepared {
    pub(in crate::engine) manifest: Manifest,
    pub(in crate::engine) manifest_text: String,
    pub(in crate::engine) located: Located,
    pub(in crate::engine) recipe: Recipe,
}

/// Reads the manifest, finds the source, and decides how it is built. Nothing is built yet.
pub(in crate::engine) async fn prepare(
    engine: &Engine,
    model: &ModelName,
    (source, code): (&SourceRef, HeadOrigin),
    cancel: &CancellationToken,
) -> Result<Prepared, Ended> {
    let outside = engine.outside();
    let git_dir = outside.git_dir(&source.repository)?;
    let (manifest, manifest_text) = read_manifest(&git_dir, source).await?.map_err(Ended::faults)?;
    if manifest.model != *model {
        return Err(Ended::manifest(format!(
            "`{}` is the manifest of `{}`, not of `{model}`",
            source.manifest, manifest.model
        )));
    }
    // On a laptop, and so within a workflow, whoever asks is who builds.
    if manifest.build_by != BuildBy::Server && outside.forge().is_some() {
        return Err(Ended::Left(manifest.build_by));
    }
    if matches!(outside.builder, Builder::Process(_)) && code == HeadOrigin::Fork {
        return Err(Ended::settings(
            "a fork's code is never built or run as processes of this server; its owner can set `executor: docker`"
                .to_owned(),
        ));
    }
    let trusted = match outside.builder {
        Builder::Process(_) => outside.trusted.includes(&source.repository.name),
        // A build in containers takes nothing of this machine into its hands.
        Builder::Docker(_) => true,
    };
    if !trusted {
        return Err(Ended::settings(format!(
            "this server does not build `{}` as processes; whoever runs it can list it under `process.trusted`, or set \
             `executor: docker`; re-run this check then, or push again",
            source.repository.name
        )));
    }
    let located = sources::locate(engine, source, &manifest, &manifest_text, cancel).await?;
    let (shared, wanted, found) = (engine.share_outside(), manifest.clone(), located.clone());
    let runtime = tokio::runtime::Handle::current();
    let recipe = blocking(move || {
        let files = SourceFiles { tree: &found.tree, files: &found };
        Ok(runtime.block_on(shared.builder.recipe(&wanted, &files)))
    });
    let recipe = recipe.await?.map_err(|error| match error {
        RecipeError::Refused { part, message, hint } => {
            Ended::faults(Manifest::fault(&source.manifest, &manifest_text, part, &message, hint))
        }
        RecipeError::Internal(error) => error.into(),
    })?;
    Ok(Prepared { manifest, manifest_text, located, recipe })
}

/// Whether what was built for the version is still there. Where nobody can say, it is built again: whatever is in the way
/// is told then.
async fn still_there(engine: &Engine, version: &Version) -> bool {
    engine.outside().builder.has(version).await.unwrap_or_else(|error| {
        tracing::warn!(version.id = %version.id, "cannot find out whether version {} is still there: {error:#}", version.id);
        false
    })
}

struct Work<'a> {
    source: &'a SourceRef,
    manifest: &'a Manifest,
    located: &'a Located,
    recipe: Recipe,
}

struct Made {
    published: Published,
    inputs: BTreeMap<String, Digest>,
    tests: Vec<PassedTest>,
    build_ms: u64,
}

/// Builds, tests, and puts the result where runs find it.
async fn make(engine: &Engine, work: Work<'_>, cancel: &CancellationToken) -> Result<Made, Ended> {
    let Work { source, manifest, located, recipe } = work;
    let outside = engine.outside();
    let log_key = keys::build_log(&manifest.model, &source.commit)?;
    let log = outside.artifacts.prepare(&log_key).map_err(anyhow::Error::from)?;
    let failed = |stage: String, message: String, log_tail: String| {
        Ended::Failed(BuildFailure {
            stage,
            message,
            faults: Vec::new(),
            log_tail,
            log: Some(log_key.as_str().to_owned()),
        })
    };
    let checkout = located.clone();
    let order = BuildOrder {
        recipe,
        checkout: Box::new(move |into: &Path| checkout.checkout(into)),
        provenance: located.provenance(source, manifest).await?,
        log,
        timeout: manifest.build.timeout,
    };
    let built = match outside.builder.build(order, cancel).await {
        Ok(built) => built,
        Err(BuildError::Cancelled) => return Err(Ended::Cancelled),
        Err(BuildError::Internal(error)) => return Err(error.into()),
        Err(error @ (BuildError::Failed { .. } | BuildError::Timeout { .. })) => {
            return Err(failed("build".to_owned(), error.to_string(), error.log_tail().to_owned()));
        }
    };
    let mut inputs = BTreeMap::new();
    for (name, digest) in outside.builder.inputs(&built, &manifest.inputs).await? {
        let digest = digest.ok_or_else(|| {
            Ended::faults(Faults::from(Diagnostic::of_file(
                &source.manifest,
                format!("`inputs` names `{name}`, which the built model does not have"),
                Some(format!("add the file below `{}`, or take it out of `inputs`", located.path)),
            )))
        })?;
        inputs.insert(name, digest);
    }
    let tests = match outside.builder.run_tests(&built, manifest, cancel).await {
        Ok(tests) => tests,
        Err(TestError::Failed { name, message, log_tail }) => return Err(failed(name, message, log_tail)),
        Err(TestError::Cancelled) => return Err(Ended::Cancelled),
        Err(TestError::Internal(error)) => return Err(error.into()),
    };
    let build_ms = built.build_ms();
    let published = match outside.builder.publish(built).await {
        Ok(published) => published,
        Err(PublishError::Refused(message)) => return Err(failed("push".to_owned(), message, String::new())),
        Err(PublishError::Internal(error)) => return Err(error.into()),
    };
    Ok(Made { published, inputs, tests, build_ms })
}

pub(super) async fn read_manifest(
    git_dir: &Path,
    source: &SourceRef,
) -> anyhow::Result<Result<(Manifest, String), Faults>> {
    let (git_dir, source) = (git_dir.to_path_buf(), source.clone());
    blocking(move || {
        let repository = Repository::open(&git_dir)?;
        let files = FilesAt::new(&repository, &source.commit);
        Ok(files.manifest(&source.manifest))
    })
    .await
}
