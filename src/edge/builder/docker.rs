//! Builds models as container images.
//!
//! They are built from their own Dockerfile, or from one that is made of the environment that their manifest names. The
//! runner is added in a layer of its own; what the model's image says of itself stays as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::commands::{Room, end_builds, write_log};
use super::image_tests;
use super::process::{BuildError, Checkout, TestError};
use super::{Provenance, PublishError, Published, Recipe, RecipeError, SourceFiles, Way, required};
use crate::domain::ids::Digest;
use crate::domain::image::ImageRef;
use crate::domain::manifest::{DockerBuild, Environment, Manifest, Part, Requirements, declared_arguments};
use crate::domain::version::{Image, PassedTest, Version};
use crate::edge::docker::{Docker, DockerfileOrder, ImageError, ImageFacts, ImageOrder, PushError};
use crate::runner::{Log, tail_of};

/// Build arguments that every Dockerfile has without declaring them.
const PREDECLARED: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// How this builder is set up.
#[derive(Debug, Clone)]
pub struct ImageSettings {
    /// Where sources are checked out for a while.
    pub scratch: PathBuf,
    /// Variables of this machine that builds may need: where package managers find their registries and proxies. A
    /// Dockerfile gets those that it declares.
    pub environment: BTreeMap<String, String>,
}

/// Builds and tests models as images.
#[derive(Debug)]
pub struct DockerBuilder {
    docker: Docker,
    settings: ImageSettings,
}

/// How an image is built.
#[derive(Debug)]
pub struct ImageRecipe {
    /// The folder of the source that the Dockerfile may copy from.
    context: String,
    dockerfile: DockerfileOrder,
    args: BTreeMap<String, String>,
    /// What is left out, for the log.
    notes: Vec<String>,
}

/// One build of an image.
pub struct ImageRequest {
    /// The recipe's digest.
    pub digest: Digest,
    /// The recipe.
    pub image: ImageRecipe,
    /// Gets the source.
    pub checkout: Checkout,
    /// Where the source comes from.
    pub provenance: Provenance,
    /// Where the log goes once the build has ended.
    pub log: PathBuf,
    /// How long it may take.
    pub timeout: Duration,
}

/// An image that was built and is not published yet.
#[derive(Debug)]
pub struct BuiltImage {
    /// The id of the image with the runner.
    id: String,
    /// What the model's own image says of itself.
    own: ImageFacts,
    provenance: Provenance,
    /// How long building took, in milliseconds.
    pub build_ms: u64,
}

impl BuiltImage {
    /// The image as it is before it has a name.
    #[must_use]
    pub fn image_to_test(&self) -> Image {
        self.image(self.id.clone())
    }

    fn image(&self, reference: String) -> Image {
        let ImageFacts { entrypoint, environment, workdir, .. } = self.own.clone();
        Image { reference, entrypoint, environment, workdir }
    }
}

impl DockerBuilder {
    /// A builder that uses the engine `docker`.
    #[must_use]
    pub fn new(docker: Docker, settings: ImageSettings) -> Self {
        Self { docker, settings }
    }

    /// The engine.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What decides how the model's image is built: its source, its Dockerfile, the arguments, the platform, and the
    /// runner that is added. What a base image's name stands for is not part of it.
    ///
    /// # Errors
    /// As [`RecipeError`] says.
    pub async fn recipe(&self, manifest: &Manifest, source: &SourceFiles<'_>) -> Result<Recipe, RecipeError> {
        let platform = self.docker.platform().await?;
        let image = match (&manifest.build.docker, &manifest.build.environment) {
            (Some(build), _) => self.own_dockerfile(build, source, &platform)?,
            (None, Some(environment)) => self.made_dockerfile(manifest, environment, source)?,
            (None, None) => {
                let message = "this server builds models as images, and the manifest names neither a Dockerfile nor an environment";
                let hint = "write `dockerfile: Dockerfile`, or what the model needs: `debian: [gfortran, make]`, \
                            `python: requirements.txt`";
                return Err(RecipeError::refused(Part::Build, message, hint));
            }
        };
        let docker = self.docker.clone();
        let runner = tokio::task::spawn_blocking(move || docker.runner_digest());
        let runner = runner.await.context("reading the runner panicked")??;
        let (path, text) = match &image.dockerfile {
            DockerfileOrder::Within(path) => (Some(path), None),
            DockerfileOrder::Text(text) => (None, Some(text)),
        };
        let parts = serde_json::json!({
            "source_tree": source.tree,
            "context": image.context,
            "dockerfile": path,
            "dockerfile_text": text,
            "args": self.lasting(&image.args),
            "platform": platform,
            "runner": runner,
        });
        let toolchain = vec![format!("docker {platform}")];
        Ok(Recipe { digest: Digest::of(parts.to_string()), toolchain, way: Way::Docker(image) })
    }

    fn own_dockerfile(
        &self,
        build: &DockerBuild,
        source: &SourceFiles<'_>,
        platform: &str,
    ) -> Result<ImageRecipe, RecipeError> {
        let hint = "add the file, or name the one that is there";
        let text = required(source, Part::Dockerfile, &build.dockerfile, hint)?;
        let (can, cannot): (Vec<&String>, Vec<&String>) = build
            .platforms
            .iter()
            .partition(|listed| *listed == platform || listed.starts_with(&format!("{platform}/")));
        if can.is_empty() && !cannot.is_empty() {
            let listed: Vec<&str> = cannot.into_iter().map(String::as_str).collect();
            let message =
                format!("this server's Docker engine builds for `{platform}` and not for `{}`", listed.join("`, `"));
            return Err(RecipeError::refused(
                Part::Platforms,
                message,
                format!("add `{platform}`, or take `platforms` out"),
            ));
        }
        let left_out =
            cannot.iter().map(|listed| format!("left out platform {listed}: this Docker engine builds for {platform}"));
        let dockerfile = match build.dockerfile.strip_prefix(&format!("{}/", build.context)) {
            Some(within) => DockerfileOrder::Within(within.to_owned()),
            None if build.context == "." => DockerfileOrder::Within(build.dockerfile.clone()),
            None => DockerfileOrder::Text(text.clone()),
        };
        let mut args = self.arguments(&text);
        args.extend(build.args.clone());
        Ok(ImageRecipe { context: build.context.clone(), dockerfile, args, notes: left_out.collect() })
    }

    fn made_dockerfile(
        &self,
        manifest: &Manifest,
        environment: &Environment,
        source: &SourceFiles<'_>,
    ) -> Result<ImageRecipe, RecipeError> {
        let requirements = match &environment.python {
            Some(path) => {
                let hint = "name pip's requirements file by its path within the source";
                Requirements::of(&required(source, Part::Python, path, hint)?)
            }
            None => Requirements::Alone,
        };
        let text = environment.dockerfile(&manifest.build, &self.docker.settings().bases, requirements);
        let args = self.arguments(&text);
        let mut notes = vec!["the Dockerfile that modelship made of the manifest's `build`:".to_owned()];
        notes.extend(text.lines().map(|line| format!("    {line}")));
        Ok(ImageRecipe { context: ".".to_owned(), dockerfile: DockerfileOrder::Text(text), args, notes })
    }

    /// What settings and this machine give to a Dockerfile that declares it. What names a file of this machine means
    /// nothing in an image.
    fn arguments(&self, dockerfile: &str) -> BTreeMap<String, String> {
        let declared = declared_arguments(dockerfile);
        let wanted = |name: &str| declared.contains(name) || PREDECLARED.contains(&name.to_ascii_uppercase().as_str());
        let here = self.settings.environment.iter().filter(|(_, value)| !value.starts_with('/'));
        here.chain(&self.docker.settings().build_args)
            .filter(|(name, _)| wanted(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The arguments without those that only say how registries are reached.
    fn lasting(&self, args: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let passing = |name: &String, value: &String| self.settings.environment.get(name) == Some(value);
        args.iter()
            .filter(|(name, value)| !passing(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Whether the version's image is still there, where this builder would put it.
    ///
    /// # Errors
    /// When the engine or the registry cannot say.
    pub async fn has(&self, version: &Version) -> anyhow::Result<bool> {
        let Some(image) = &version.image else { return Ok(false) };
        let repository = self.docker.repository(&version.model);
        let ours = match self.docker.settings().registry {
            Some(_) => image.reference.starts_with(&format!("{repository}@")),
            None => Digest::parse(&image.reference).is_ok(),
        };
        Ok(ours && self.docker.has(&image.reference).await?)
    }

    /// Builds the model's image and the one with the runner. When `cancel` is cancelled, or when this future is dropped,
    /// the engine ends the build.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub async fn build(&self, request: ImageRequest, cancel: &CancellationToken) -> Result<BuiltImage, BuildError> {
        let start = Instant::now();
        let mut log = Log::new(Log::BUILD);
        let (timeout, path) = (request.timeout, request.log.clone());
        let built = tokio::select! {
            built = tokio::time::timeout(timeout, self.make(request, &mut log)) => built.ok(),
            () = cancel.cancelled() => Some(Err(BuildError::Cancelled)),
        };
        write_log(&path, &log)?;
        match built {
            None => Err(BuildError::Timeout { limit: timeout, log_tail: tail_of(&log.text()) }),
            Some(Err(BuildError::Failed { command, exit, .. })) => {
                Err(BuildError::Failed { command, exit, log_tail: tail_of(&log.text()) })
            }
            Some(Err(error)) => Err(error),
            Some(Ok(built)) => {
                Ok(BuiltImage { build_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX), ..built })
            }
        }
    }

    async fn make(&self, request: ImageRequest, log: &mut Log) -> Result<BuiltImage, BuildError> {
        let ImageRequest { digest, image, checkout, provenance, .. } = request;
        for note in &image.notes {
            log.push(format!("{note}\n").as_bytes());
        }
        let room = self.checked_out(&digest, checkout).await?;
        let context = if image.context == "." { room.model.clone() } else { room.model.join(&image.context) };
        if !context.is_dir() {
            return Err(failed(ImageError::Failed {
                step: "docker build".to_owned(),
                how: format!("failed: `context` names `{}`, which is no folder of the source", image.context),
            }));
        }
        let order = ImageOrder {
            context,
            dockerfile: &image.dockerfile,
            args: &image.args,
            modified: provenance.committed_at,
            scratch: &self.settings.scratch,
        };
        let own = self.docker.build_image(&order, log).await.map_err(failed)?;
        drop(room);
        let own = self.docker.image(&own).await?.context("the Docker engine lost an image that it has just built")?;
        self.fit(&own, "docker build").await?;
        let labels = labels(&provenance, &digest);
        let id = self.docker.add_runner(&own, &labels, log).await.map_err(failed)?;
        Ok(BuiltImage { id, own, provenance, build_ms: 0 })
    }

    /// Makes an image that was built elsewhere one that can be tested and run here: the runner is added, unless it is
    /// there. `digest` tells the image from all others.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub async fn adopt(&self, image: &ImageRef, provenance: Provenance) -> Result<BuiltImage, BuildError> {
        let start = Instant::now();
        let reference = image.to_string();
        self.docker.ensure_present(&reference).await?;
        let lost = || format!("the Docker engine lost `{reference}`, which it has just pulled");
        let facts = self.docker.image(&reference).await?.with_context(lost)?;
        self.fit(&facts, "docker pull").await?;
        let (id, own) = match facts.own_entrypoint() {
            Some(entrypoint) => (facts.id.clone(), ImageFacts { entrypoint, ..facts }),
            None => {
                let mut log = Log::new(Log::BUILD);
                let labels = labels(&provenance, &image.digest);
                (self.docker.add_runner(&facts, &labels, &mut log).await.map_err(failed)?, facts)
            }
        };
        let build_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(BuiltImage { id, own, provenance, build_ms })
    }

    /// Refuses what a step gave when it is too large.
    async fn fit(&self, image: &ImageFacts, step: &str) -> Result<(), BuildError> {
        match self.docker.refuse_large(image).await {
            None => Ok(()),
            Some(reason) => Err(failed(ImageError::Failed { step: step.to_owned(), how: format!("gave {reason}") })),
        }
    }

    async fn checked_out(&self, digest: &Digest, checkout: Checkout) -> anyhow::Result<Room> {
        let (scratch, prefix) = (self.settings.scratch.clone(), format!("build-{}-", &digest.hex()[..16]));
        let done = tokio::task::spawn_blocking(move || {
            fs_err::create_dir_all(&scratch).context("failed to make the scratch directory")?;
            let room = Room::make(&scratch, &prefix)?;
            checkout(&room.model).context("failed to check out the source")?;
            anyhow::Ok(room)
        });
        done.await.context("checking out a source panicked")?
    }

    /// The digest of a file of the built model, relative to its working directory; none when there is no such file.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn input(&self, built: &BuiltImage, name: &str) -> anyhow::Result<Option<Digest>> {
        let path = format!("{}/{name}", workdir(&built.own.workdir).trim_end_matches('/'));
        Ok(self.docker.file_in_image(&built.id, &path).await?.map(Digest::of))
    }

    /// Runs the manifest's tests in containers of the image, in order, until one fails.
    ///
    /// # Errors
    /// As [`TestError`] says.
    pub async fn run_tests(
        &self,
        image: &Image,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Vec<PassedTest>, TestError> {
        image_tests::run_tests(&self.docker, image, manifest, cancel).await
    }

    /// Names the image, and pushes it when there is a registry.
    ///
    /// # Errors
    /// As [`PublishError`] says.
    pub async fn publish(&self, built: BuiltImage) -> Result<Published, PublishError> {
        let (repository, tag) = (self.docker.repository(&built.provenance.model), built.provenance.commit.short());
        self.docker.tag(&built.id, &repository, tag).await?;
        let (executable, reference) = match self.docker.settings().registry {
            Some(_) => {
                let digest = self.docker.push(&repository, tag).await.map_err(|error| match error {
                    PushError::Refused(message) => PublishError::Refused(message),
                    PushError::Internal(error) => PublishError::Internal(error),
                })?;
                (digest.clone(), format!("{repository}@{digest}"))
            }
            None => {
                let id = Digest::parse(&built.id).context("the Docker engine named an image in a strange way")?;
                (id, built.id.clone())
            }
        };
        Ok(Published { executable, image: Some(built.image(reference)) })
    }

    /// Removes what builds and tests of an earlier process left.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub async fn end_leftovers(&self) -> anyhow::Result<usize> {
        let scratch = self.settings.scratch.clone();
        let builds = tokio::task::spawn_blocking(move || end_builds(&scratch, "build-"));
        let builds = builds.await.context("looking for left builds panicked")??;
        Ok(builds + self.docker.remove_leftovers().await?)
    }
}

/// Where `{model}` lies in an image.
pub(super) fn workdir(named: &str) -> &str {
    if named.is_empty() { "/" } else { named }
}

fn failed(error: ImageError) -> BuildError {
    match error {
        ImageError::Failed { step, how } => BuildError::Failed { command: step, exit: how, log_tail: String::new() },
        ImageError::Internal(error) => BuildError::Internal(error),
    }
}

/// What the image tells of itself: by the convention of the Open Container Initiative, and by ours.
fn labels(provenance: &Provenance, recipe: &Digest) -> BTreeMap<String, String> {
    let Provenance { model, description, repository, commit, committed_at } = provenance;
    let created = std::time::UNIX_EPOCH + Duration::from_secs(*committed_at);
    let labels = [
        ("org.opencontainers.image.title", model.to_string()),
        ("org.opencontainers.image.description", description.clone()),
        ("org.opencontainers.image.source", repository.clone()),
        ("org.opencontainers.image.revision", commit.to_string()),
        ("org.opencontainers.image.version", commit.short().to_owned()),
        // The commit's time and not the build's, so that the same source says the same.
        ("org.opencontainers.image.created", humantime::format_rfc3339_seconds(created).to_string()),
        ("org.modelship.model", model.to_string()),
        ("org.modelship.recipe", recipe.to_string()),
    ];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{CommitSha, ModelName};

    #[test]
    fn an_image_says_where_it_comes_from() {
        let provenance = Provenance {
            model: ModelName::parse("urban/tiny").unwrap(),
            description: "a tiny model".to_owned(),
            repository: "urban/hub".to_owned(),
            commit: CommitSha::parse("a".repeat(40)).unwrap(),
            committed_at: 1_700_000_000,
        };
        let labels: Vec<_> =
            labels(&provenance, &Digest::of("")).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!(labels.join("\n"), @r"
        org.modelship.model=urban/tiny
        org.modelship.recipe=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        org.opencontainers.image.created=2023-11-14T22:13:20Z
        org.opencontainers.image.description=a tiny model
        org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        org.opencontainers.image.source=urban/hub
        org.opencontainers.image.title=urban/tiny
        org.opencontainers.image.version=aaaaaaaaaa
        ");
    }
}
