//! Versions that somebody else built: is what they offer what it claims to be?
//!
//! Nothing that an offer says of itself is believed. The manifest is read from the repository at the commit, and has to
//! leave the model to whoever offers; the image is looked up in the registry by its digest, and its labels have to name the
//! model and the commit. What nobody tested is tested here, in the same way as what is built here.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::build::{Ended, read_manifest, registered};
use super::sources::{self, Located};
use super::{Reports, blocking};
use crate::domain::event::{BuildFailure, Event, Key, Keyed};
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{CommitSha, Digest, ModelName, Repository, VersionId};
use crate::domain::image::{ImageName, ImageRef, too_large};
use crate::domain::manifest::{BuildBy, Manifest};
use crate::domain::offer::{Offer, OfferedBy, WorkDone};
use crate::domain::report;
use crate::domain::version::{Image, PassedTest, SourceRef, Tree, Version};
use crate::edge::builder::process::{BuildError, TestError};
use crate::edge::builder::{Builder, PublishError, Published};
use crate::edge::docker::own_entrypoint;
use crate::edge::images::{FoundImage, LookError};
use crate::edge::source::Source as Git;
use crate::engine::{Engine, Failure};

/// Labels that an image built elsewhere has to have.
const MODEL: &str = "org.modelship.model";
const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";

/// The stage at which an offer fails.
const STAGE: &str = "register";

/// Looks at an offer, and makes a version of it.
pub(super) async fn check(engine: &Engine, offer: &Offer, cancel: &CancellationToken) -> Reports {
    let result = match version(engine, offer, cancel).await {
        Ok(version) => Ok(Box::new(version)),
        Err(Ended::Failed(failure)) => {
            tracing::info!(model.name = %offer.model, offer.id, "`{}` was refused: {}", offer.image, failure.message);
            Err(failure)
        }
        Err(Ended::Left(by)) => {
            Err(BuildFailure::without_log(STAGE, report::waits_for(by, HeadOrigin::SameRepository)))
        }
        Err(Ended::Cancelled) => {
            return Err(Failure::Later(anyhow::anyhow!("looking at `{}` was stopped", offer.image)));
        }
        Err(Ended::Ours(failure)) => return Err(failure),
    };
    let event = Event::OfferChecked { offer: offer.id.clone(), result };
    Ok(vec![Keyed { key: Key::Model(offer.model.clone()), event }])
}

/// Finds out which model's image was pushed to a registry, and offers it where the manifest says so.
pub(super) async fn look(engine: &Engine, image: &ImageName, reference: &str, id: &str) -> Reports {
    let ignored = |reason: &str| {
        tracing::info!(offer.id = id, "`{image}` at `{reference}` is no version: {reason}");
        Ok(Vec::new())
    };
    let found = match engine.outside().images.look(image, reference).await {
        Ok(found) => found,
        Err(LookError::Refused(reason)) => return ignored(&reason),
        Err(LookError::Internal(error)) => return Err(error.into()),
    };
    let label = |name: &str| found.labels.get(name).map(String::as_str).unwrap_or_default();
    let (Ok(model), Ok(commit)) = (ModelName::parse(label(MODEL)), CommitSha::parse(label(REVISION))) else {
        return ignored(&format!("its labels `{MODEL}` and `{REVISION}` do not name a model and a commit"));
    };
    let Some(repository) = repository_called(engine, label(SOURCE)).await? else {
        return ignored(&format!("its label `{SOURCE}` names no repository that this server works for"));
    };
    if !is_held(engine, &repository, &commit).await? {
        // The image may be there before its commit is.
        let name = &repository.name;
        return Err(Failure::Missing(anyhow::anyhow!(
            "commit {commit} of `{image}` is in no branch and no tag of `{name}`"
        )));
    }
    let wanted = match manifest_at(engine, &repository, &model, &commit).await {
        Ok(wanted) => wanted,
        Err(Ended::Failed(failure)) => return ignored(&failure.message),
        Err(Ended::Ours(failure)) => return Err(failure),
        Err(Ended::Left(_) | Ended::Cancelled) => return Ok(Vec::new()),
    };
    if wanted.manifest.build_by != BuildBy::Registry {
        return ignored("its manifest leaves it to somebody else");
    }
    let offer = Offer {
        id: id.to_owned(),
        repository,
        model: model.clone(),
        commit,
        image: ImageRef { name: image.clone(), digest: found.digest },
        by: OfferedBy::Registry,
    };
    Ok(vec![Keyed { key: Key::Model(model), event: Event::VersionOffered { offer: Box::new(offer) } }])
}

async fn version(engine: &Engine, offer: &Offer, cancel: &CancellationToken) -> Result<Version, Ended> {
    let image = &offer.image;
    if !engine.outside().images.accepts(&image.name) {
        return Err(refused(format!(
            "this server takes no images from `{}`, only from below `{}` (`docker.accept` in its settings)",
            image.name,
            engine.outside().images.accepted().join("`, `")
        )));
    }
    let repository = repository_of(engine, &offer.repository).await?;
    if !is_held(engine, &repository, &offer.commit).await.map_err(Ended::Ours)? {
        let commit = offer.commit.short();
        return Err(refused(format!("commit {commit} is in no branch and no tag of `{}`", repository.name)));
    }
    let wanted = manifest_at(engine, &repository, &offer.model, &offer.commit).await?;
    authority(&wanted.manifest, offer)?;
    if let Some(version) = registered(engine, &offer.model, &wanted.source).await? {
        // The recipe of what was adopted is the image that was offered.
        let same = [&version.executable, version.recipe()].contains(&&image.digest);
        return if same { Ok(version) } else { Err(refused(report::other_version(&offer.commit, &version.id))) };
    }
    let found = match engine.outside().images.look(&image.name, image.digest.as_str()).await {
        Ok(found) => found,
        Err(LookError::Refused(reason)) => return Err(refused(reason)),
        Err(LookError::Internal(error)) => return Err(error.into()),
    };
    labelled(&found, offer)?;
    if let Some(reason) = too_large(found.size, engine.outside().max_image) {
        return Err(refused(format!("it is {reason}")));
    }
    let located = sources::locate(engine, &wanted.source, &wanted.manifest, &wanted.manifest_text, cancel).await?;
    let made = match &offer.by {
        OfferedBy::Actions { work } => built_by_workflow(&wanted.manifest, work, image, &found)?,
        OfferedBy::Registry => adopted(engine, offer, &wanted, &located, cancel).await?,
    };
    let manifest_hash = Manifest::hash(&wanted.manifest_text);
    let Made { published: Published { executable, image: run_image }, work } = made;
    Ok(Version {
        id: VersionId::of(&offer.model, &offer.commit, &executable, &manifest_hash),
        model: offer.model.clone(),
        source: wanted.source,
        tree: Tree::Committed,
        pinned: None,
        source_tree: located.tree,
        recipe: (executable != image.digest).then(|| image.digest.clone()),
        executable,
        builder: "docker".to_owned(),
        image: run_image,
        manifest: manifest_hash,
        manifest_text: wanted.manifest_text,
        inputs: work.inputs,
        toolchain: vec![format!("docker {}", found.platform)],
        tests: work.tests,
        build_ms: work.build_ms,
        registered_at: engine.now(),
    })
}

fn refused(message: impl Into<String>) -> Ended {
    Ended::Failed(BuildFailure::without_log(STAGE, message))
}

/// The repository as the forge has it, by its number.
async fn repository_of(engine: &Engine, offered: &Repository) -> Result<Repository, Ended> {
    let Some(forge) = engine.outside().forge() else { return Err(refused("this instance works for no forge")) };
    let found = forge.repository(|repository| repository.id == offered.id).await;
    found.map_err(|error| Ended::Ours(error.into()))?.ok_or_else(|| {
        refused(format!("this server does not work for repository `{}` (number {})", offered.name, offered.id))
    })
}

/// The repository that an image's label names: by its address, or by its name alone.
async fn repository_called(engine: &Engine, source: &str) -> Result<Option<Repository>, Failure> {
    let Some(forge) = engine.outside().forge() else { return Ok(None) };
    let source = source.trim_end_matches('/').trim_end_matches(".git");
    let named = |repository: &Repository| {
        let name = repository.name.to_string();
        // Only what stands after the host counts, so that no longer address ends in it by chance.
        let path = source.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
        path.unwrap_or(source).eq_ignore_ascii_case(&name)
    };
    Ok(forge.repository(named).await?)
}

/// A model's manifest at a commit of its repository.
struct Wanted {
    source: SourceRef,
    manifest: Manifest,
    manifest_text: String,
}

/// Whether a branch or a tag of the repository holds the commit. What only a pull request holds, perhaps one of a fork, is
/// nobody's version.
async fn is_held(engine: &Engine, repository: &Repository, commit: &CommitSha) -> Result<bool, Failure> {
    let Some(forge) = engine.outside().forge() else { return Ok(false) };
    let heads: BTreeSet<CommitSha> = forge.fetch(repository).await?.heads.into_values().collect();
    let (git_dir, commit) = (engine.outside().git_dir(repository)?, commit.clone());
    let held = blocking(move || {
        let git = Git::open(&git_dir)?;
        // A commit that is not there is in no branch either.
        Ok(heads.contains(&commit) || heads.iter().any(|head| git.contains(head, &commit).unwrap_or(false)))
    });
    Ok(held.await?)
}

/// Reads the model's manifest at a commit.
async fn manifest_at(
    engine: &Engine,
    repository: &Repository,
    model: &ModelName,
    commit: &CommitSha,
) -> Result<Wanted, Ended> {
    let git_dir = engine.outside().git_dir(repository)?;
    let (dir, at, name) = (git_dir.clone(), commit.clone(), model.to_string());
    let path = blocking(move || {
        let git = Git::open(&dir)?;
        for path in [format!("config/{name}.yaml"), "modelship.yaml".to_owned()] {
            if git.read_file(&at, &path)?.is_some() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    });
    let no_manifest = || refused(format!("`{}` has no manifest of `{model}` at {}", repository.name, commit.short()));
    let manifest = path.await?.ok_or_else(no_manifest)?;
    let source = SourceRef { repository: repository.clone(), commit: commit.clone(), manifest };
    let (manifest, manifest_text) = read_manifest(&git_dir, &source).await?.map_err(Ended::faults)?;
    if manifest.model != *model {
        return Err(no_manifest());
    }
    Ok(Wanted { source, manifest, manifest_text })
}

/// One authority for each model builds its commits, and its manifest says which.
fn authority(manifest: &Manifest, offer: &Offer) -> Result<(), Ended> {
    let word = |by: BuildBy| match by {
        BuildBy::Server => "server",
        BuildBy::Actions => "actions",
        BuildBy::Registry => "registry",
    };
    let (says, needed) = (manifest.build_by, offer.by.authority());
    if says != needed {
        return Err(refused(format!(
            "the manifest of `{}` says `build_by: {}` at {}; what is offered here needs `build_by: {}`",
            offer.model,
            word(says),
            offer.commit.short(),
            word(needed)
        )));
    }
    if let Some(own) = manifest.build.image.as_ref().filter(|own| **own != offer.image.name) {
        return Err(refused(format!("the manifest says `image: {own}`, and not `{}`", offer.image.name)));
    }
    Ok(())
}

/// An image says itself which model it is, and of which commit.
fn labelled(found: &FoundImage, offer: &Offer) -> Result<(), Ended> {
    for (name, expected) in [(MODEL, offer.model.to_string()), (REVISION, offer.commit.to_string())] {
        let said = found.labels.get(name).map(String::as_str);
        if said != Some(expected.as_str()) {
            let said =
                said.map_or("is missing".to_owned(), |said| format!("says `{}`", report::escape::clip(said, 80)));
            return Err(refused(format!("the image's label `{name}` {said}; it must say `{expected}`")));
        }
    }
    Ok(())
}

/// A model where runs find it, and how it came there.
struct Made {
    published: Published,
    work: WorkDone,
}

/// What a workflow built and tested.
fn built_by_workflow(
    manifest: &Manifest,
    work: &WorkDone,
    image: &ImageRef,
    found: &FoundImage,
) -> Result<Made, Ended> {
    let Some(entrypoint) = own_entrypoint(&found.entrypoint, &found.labels) else {
        return Err(refused("the image has no runner; build it with `modelship build`, as the action `build` does"));
    };
    let declared: Vec<&str> = manifest.tests.iter().map(|test| test.name.as_str()).collect();
    let passed: Vec<&str> = work.tests.iter().map(|test| test.name.as_str()).collect();
    if declared != passed {
        let list = |names: &[&str]| report::escape::clip(&names.join("`, `"), 200);
        return Err(refused(format!(
            "the manifest's tests are `{}`, and those that passed are said to be `{}`",
            list(&declared),
            list(&passed)
        )));
    }
    let declared: BTreeSet<&String> = manifest.inputs.iter().collect();
    if declared != work.inputs.keys().collect() {
        return Err(refused("the digests are not those of the manifest's `inputs`"));
    }
    let FoundImage { environment, workdir, .. } = found.clone();
    let run_image = Image { reference: image.to_string(), entrypoint, environment, workdir };
    let published = Published { executable: image.digest.clone(), image: Some(run_image) };
    Ok(Made { published, work: work.clone() })
}

/// What somebody pushed to a registry: gets a runner, is tested, and is put where this server puts what it builds.
async fn adopted(
    engine: &Engine,
    offer: &Offer,
    wanted: &Wanted,
    located: &Located,
    cancel: &CancellationToken,
) -> Result<Made, Ended> {
    let builder = &engine.outside().builder;
    let manifest = &wanted.manifest;
    if matches!(builder, Builder::Process(_)) {
        return Err(refused("this server runs processes and cannot test an image; that needs `executor: docker`"));
    }
    let provenance = located.provenance(&wanted.source, manifest).await?;
    let adopting =
        async { tokio::time::timeout(manifest.build.timeout, builder.adopt(&offer.image, provenance)).await };
    let built = tokio::select! {
        adopted = adopting => adopted,
        () = cancel.cancelled() => return Err(Ended::Cancelled),
    };
    let built = match built {
        Err(_) => return Err(refused(format!("getting the image took longer than {:?}", manifest.build.timeout))),
        Ok(Err(BuildError::Cancelled)) => return Err(Ended::Cancelled),
        Ok(Err(BuildError::Internal(error))) => return Err(error.into()),
        Ok(Err(error @ (BuildError::Failed { .. } | BuildError::Timeout { .. }))) => {
            return Err(refused(error.to_string()));
        }
        Ok(Ok(built)) => built,
    };
    let mut work = WorkDone { build_ms: built.build_ms(), ..WorkDone::default() };
    for (name, digest) in builder.inputs(&built, &manifest.inputs).await? {
        let digest: Digest =
            digest.ok_or_else(|| refused(format!("`inputs` names `{name}`, which the image does not have")))?;
        work.inputs.insert(name, digest);
    }
    let tests: Vec<PassedTest> = match builder.run_tests(&built, manifest, cancel).await {
        Ok(tests) => tests,
        Err(TestError::Failed { name, message, log_tail }) => {
            return Err(Ended::Failed(BuildFailure { log_tail, ..BuildFailure::without_log(&name, message) }));
        }
        Err(TestError::Cancelled) => return Err(Ended::Cancelled),
        Err(TestError::Internal(error)) => return Err(error.into()),
    };
    work.tests = tests;
    let published = match builder.publish(built).await {
        Ok(published) => published,
        Err(PublishError::Refused(message)) => return Err(refused(message)),
        Err(PublishError::Internal(error)) => return Err(error.into()),
    };
    Ok(Made { published, work })
}
