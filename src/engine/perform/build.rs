//! Building: a commit in, a version out.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Reports, blocking};
use crate::domain::diagnostic::{Diagnostic, Faults};
use crate::domain::event::{BuildFailure, BuildOutcome, Event, Key, Keyed};
use crate::domain::ids::{Digest, ModelName, VersionId};
use crate::domain::manifest::{BuildBy, Manifest, Source};
use crate::domain::version::{SourceRef, Tree, Version};
use crate::edge::builder::process::{BuildError, BuildRequest, ProcessBuilder, TestError};
use crate::edge::source::Source as Repository;
use crate::engine::planning::FilesAt;
use crate::engine::{Engine, Failure, keys};

/// Builds and tests `model` at `source`.
pub(super) async fn model(
    engine: &Engine,
    model: &ModelName,
    source: &SourceRef,
    tree: Tree,
    cancel: &CancellationToken,
) -> Reports {
    let outcome = match build(engine, model, source, tree, cancel).await {
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
            tracing::info!(model.name = %model, "{model} at {} failed in {}", source.commit.short(), failure.stage);
        }
        BuildOutcome::Cancelled => {
            tracing::info!(model.name = %model, "the build of {model} at {} was cancelled", source.commit.short());
        }
    }
    let event = Event::BuildFinished { source: source.clone(), outcome };
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
enum Ended {
    Failed(BuildFailure),
    Cancelled,
    Ours(Failure),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Ours(Failure::Later(error))
    }
}

impl Ended {
    fn manifest(message: impl Into<String>) -> Self {
        Self::Failed(BuildFailure::without_log("manifest", message))
    }

    fn faults(faults: Faults) -> Self {
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
    tree: Tree,
    cancel: &CancellationToken,
) -> Result<Version, Ended> {
    if cancel.is_cancelled() {
        return Err(Ended::Cancelled);
    }
    let outside = engine.outside();
    let git_dir = outside.git_dir(&source.repository.name)?;
    let (manifest, manifest_text) = read_manifest(&git_dir, source).await?.map_err(Ended::faults)?;
    if manifest.model != *model {
        return Err(Ended::manifest(format!(
            "`{}` is the manifest of `{}`, not of `{model}`",
            source.manifest, manifest.model
        )));
    }
    if manifest.build_by == BuildBy::Actions {
        return Err(Ended::manifest(
            "`build_by: actions` needs the GitHub forge; this server builds by itself, so write `build_by: server`",
        ));
    }
    if !outside.trusted.includes(&source.repository.name) {
        return Err(Ended::manifest(format!(
            "this server does not build `{}` as processes; its owner can list it under `process.trusted`",
            source.repository.name
        )));
    }
    let Source::Path(path) = manifest.source.clone() else {
        return Err(Ended::manifest(
            "`source.repo` is not part of this release; keep the source beside the manifest and write `source: {path: ...}`",
        ));
    };
    let Some(commands) = manifest.build.process.clone() else {
        return Err(Ended::manifest(
            "this server builds models as processes, so the manifest needs `build: {process: [...]}`",
        ));
    };
    let (dir, commit, inner) = (git_dir.clone(), source.commit.clone(), path.clone());
    let source_tree =
        blocking(move || Ok(Repository::open(&dir)?.tree_of(&commit, &inner)?)).await?.ok_or_else(|| {
            Ended::manifest(format!("`source.path` names `{path}`, which is no folder at {}", source.commit.short()))
        })?;

    let mut implied = commands.clone();
    implied.push(manifest.run.command.clone());
    implied.extend(manifest.run.summarize.clone());
    let shared = engine.share_outside();
    let toolchain = blocking(move || shared.builder.toolchain(&implied)).await?;
    let executable = ProcessBuilder::executable_digest(&source_tree, &commands, &toolchain);
    let manifest_hash = Manifest::hash(&manifest_text);

    let known = engine
        .store()
        .version_of_build(model, &executable, &manifest_hash)
        .await
        .map_err(|error| Ended::Ours(error.into()))?
        .filter(|_| outside.builder.built(&executable).is_some());
    let (inputs, tests, build_ms) = match known {
        Some(version) => (version.inputs, version.tests, version.build_ms),
        None => {
            let request =
                Work { git_dir: &git_dir, source, manifest: &manifest, path: &path, commands, executable: &executable };
            make(engine, request, cancel).await?
        }
    };
    Ok(Version {
        id: VersionId::of(model, &source.commit, &executable, &manifest_hash),
        model: model.clone(),
        source: source.clone(),
        tree,
        source_tree,
        executable,
        builder: "process".to_owned(),
        image: None,
        manifest: manifest_hash,
        manifest_text,
        inputs,
        toolchain,
        tests,
        build_ms,
        registered_at: engine.now(),
    })
}

struct Work<'a> {
    git_dir: &'a Path,
    source: &'a SourceRef,
    manifest: &'a Manifest,
    path: &'a str,
    commands: Vec<Vec<String>>,
    executable: &'a Digest,
}

type Made = (BTreeMap<String, Digest>, Vec<crate::domain::version::PassedTest>, u64);

/// Builds unless the same content is built already, tests, and puts the result where runs find it.
async fn make(engine: &Engine, work: Work<'_>, cancel: &CancellationToken) -> Result<Made, Ended> {
    let outside = engine.outside();
    let log_key = keys::build_log(&work.manifest.model, &work.source.commit)?;
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
    let (git_dir, commit, inner) = (work.git_dir.to_path_buf(), work.source.commit.clone(), work.path.to_owned());
    let request = BuildRequest {
        digest: work.executable.clone(),
        checkout: Box::new(move |into: &Path| Ok(Repository::open(&git_dir)?.checkout(&commit, &inner, into)?)),
        commands: work.commands,
        log,
        timeout: work.manifest.build.timeout,
    };
    let built = match outside.builder.build(request, cancel).await {
        Ok(built) => built,
        Err(BuildError::Cancelled) => return Err(Ended::Cancelled),
        Err(BuildError::Internal(error)) => return Err(error.into()),
        Err(error @ (BuildError::Failed { .. } | BuildError::Timeout { .. })) => {
            return Err(failed("build".to_owned(), error.to_string(), error.log_tail().to_owned()));
        }
    };
    let mut inputs = BTreeMap::new();
    for name in &work.manifest.inputs {
        let path = built.dir().join(name);
        let digest = blocking(move || Ok(fs_err::read(path).map(Digest::of).ok())).await?;
        match digest {
            Some(digest) => {
                inputs.insert(name.clone(), digest);
            }
            None => {
                return Err(Ended::faults(Faults::from(Diagnostic::of_file(
                    &work.source.manifest,
                    format!("`inputs` names `{name}`, which the built model does not have"),
                    Some(format!("add the file below `{}`, or take it out of `inputs`", work.path)),
                ))));
            }
        }
    }
    let tests = match outside.builder.run_tests(built.dir(), work.manifest, cancel).await {
        Ok(tests) => tests,
        Err(TestError::Failed { name, message, log_tail }) => return Err(failed(name, message, log_tail)),
        Err(TestError::Cancelled) => return Err(Ended::Cancelled),
        Err(TestError::Internal(error)) => return Err(error.into()),
    };
    let build_ms = built.build_ms();
    let shared = engine.share_outside();
    blocking(move || shared.builder.publish(built)).await?;
    Ok((inputs, tests, build_ms))
}

async fn read_manifest(git_dir: &Path, source: &SourceRef) -> anyhow::Result<Result<(Manifest, String), Faults>> {
    let (git_dir, source) = (git_dir.to_path_buf(), source.clone());
    blocking(move || {
        let repository = Repository::open(&git_dir)?;
        let files = FilesAt::new(&repository, &source.commit);
        Ok(files.manifest(&source.manifest))
    })
    .await
}
