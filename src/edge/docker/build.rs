//! Images made by the engine: one from a model's source, one more with the runner in it.
//!
//! The engine's classic builder is used, which every engine has. A build lives as long as its connection: whoever drops
//! the future of a build ends it on the engine too.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, RemoveImageOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::Docker;
use super::context::{Context, Dockerfile, archive_of};
use super::program::static_program;
use crate::domain::ids::Digest;
use crate::domain::image::too_large;
use crate::runner::Log;

/// Where the runner lies in an image.
pub const RUNNER: &str = "/.modelship/modelship-runner";

/// The label that keeps the entrypoint of the model's own image, as a JSON list.
pub const ENTRYPOINT_LABEL: &str = "org.modelship.entrypoint";

/// How much of a build's context is sent at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// An image to build from a source.
#[derive(Debug)]
pub struct ImageOrder<'a> {
    /// The folder that the Dockerfile may copy from.
    pub context: PathBuf,
    /// What the Dockerfile is.
    pub dockerfile: &'a DockerfileOrder,
    /// Build arguments.
    pub args: &'a BTreeMap<String, String>,
    /// The time that every file of the context gets, in seconds since the epoch.
    pub modified: u64,
    /// A directory for the context's archive.
    pub scratch: &'a Path,
}

/// Where a build's Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileOrder {
    /// At this path within the context.
    Within(String),
    /// Elsewhere; this is its text.
    Text(String),
}

/// What the engine knows of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its id, `sha256:...`.
    pub id: String,
    /// The processor's architecture, as Docker names it.
    pub architecture: String,
    /// The entrypoint.
    pub entrypoint: Vec<String>,
    /// The variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// The directory that commands start in; empty when it names none.
    pub workdir: String,
    /// Instructions that it has for builds on top of it.
    pub on_build: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// How large it is once it is unpacked, in bytes.
    pub size: u64,
    /// Whether somebody gave it a name.
    pub is_named: bool,
}

impl ImageFacts {
    /// The model's own entrypoint, when the runner is in the image already.
    #[must_use]
    pub fn own_entrypoint(&self) -> Option<Vec<String>> {
        own_entrypoint(&self.entrypoint, &self.labels)
    }
}

/// The entrypoint that an image had before the runner took its place; none where no runner did.
#[must_use]
pub fn own_entrypoint(entrypoint: &[String], labels: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let kept = labels.get(ENTRYPOINT_LABEL).filter(|_| *entrypoint == [RUNNER])?;
    // An image that has none says `null`.
    serde_json::from_str::<Option<Vec<String>>>(kept).ok().map(Option::unwrap_or_default)
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The source's fault. The log says more.
    #[error("`{step}` {how}")]
    Failed {
        /// The instruction that failed, or `docker build`.
        step: String,
        /// How it ended: `ended with status 2`.
        how: String,
    },
    /// Ours, or the engine's.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Docker {
    /// Builds an image and gives its id. What the build prints goes into `log`.
    ///
    /// # Errors
    /// As [`ImageError`] says.
    pub async fn build_image(&self, order: &ImageOrder<'_>, log: &mut Log) -> Result<String, ImageError> {
        let file = tempfile::tempfile_in(order.scratch).context("failed to make a file for a build's context")?;
        let (folder, dockerfile, modified) = (order.context.clone(), order.dockerfile.clone(), order.modified);
        let written = tokio::task::spawn_blocking(move || {
            let dockerfile = match &dockerfile {
                DockerfileOrder::Within(path) => Dockerfile::Within(path),
                DockerfileOrder::Text(text) => Dockerfile::Text(text),
            };
            let mut out = std::io::BufWriter::with_capacity(CHUNK, file);
            let name = Context { folder: &folder, dockerfile, modified }.write(&mut out)?;
            let mut file = out.into_inner().context("failed to write a build's context")?;
            std::io::Seek::rewind(&mut file).context("failed to read a build's context")?;
            anyhow::Ok((file, name))
        });
        let (file, dockerfile) = written.await.context("writing a build's context panicked")??;
        let options = BuildImageOptions {
            dockerfile,
            rm: true,
            forcerm: true,
            buildargs: Some(order.args.clone().into_iter().collect::<HashMap<_, _>>()),
            networkmode: Some(self.settings().build_network.clone()),
            ..BuildImageOptions::default()
        };
        self.follow(options, chunks(tokio::fs::File::from_std(file)), log).await
    }

    /// Adds the runner to the image `base` as its entrypoint, with `labels`, and gives the new image's id. User, working
    /// directory and variables stay as they are.
    ///
    /// # Errors
    /// As [`ImageError`] says; when the runner cannot run in that image.
    pub async fn add_runner(
        &self,
        base: &ImageFacts,
        labels: &BTreeMap<String, String>,
        log: &mut Log,
    ) -> Result<String, ImageError> {
        if !base.on_build.is_empty() {
            let step = format!("ONBUILD {}", base.on_build.join("; "));
            let how = "stands in the image, which is no base for others; take it out of the Dockerfile".to_owned();
            return Err(ImageError::Failed { step, how });
        }
        let (path, architecture) = (self.settings().runner.clone(), base.architecture.clone());
        let runner = tokio::task::spawn_blocking(move || static_program(&path, &architecture));
        let runner = runner.await.context("reading the runner panicked")??;
        let dockerfile = format!(
            "FROM {}\nCOPY modelship-runner {RUNNER}\nHEALTHCHECK NONE\nENTRYPOINT [\"{RUNNER}\"]\nCMD []\n",
            base.id
        );
        let archive =
            archive_of(&[("Dockerfile", 0o644, dockerfile.as_bytes()), ("modelship-runner", 0o755, &runner)])?;
        let entrypoint = serde_json::to_string(&base.entrypoint).context("failed to write an entrypoint")?;
        let mut labels: HashMap<_, _> = labels.clone().into_iter().collect();
        labels.insert(ENTRYPOINT_LABEL.to_owned(), entrypoint);
        let options = BuildImageOptions {
            rm: true,
            forcerm: true,
            labels: Some(labels),
            networkmode: Some("none".to_owned()),
            ..BuildImageOptions::default()
        };
        let body = futures_util::stream::iter([Ok(Bytes::from(archive))]);
        self.follow(options, body, log).await
    }

    /// The digest of the runner that goes into images. Part of what decides whether an image is built again. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn runner_digest(&self) -> anyhow::Result<Digest> {
        let path = &self.settings().runner;
        Ok(Digest::of(fs_err::read(path).context("there is no runner to put into images; name it in `docker.runner`")?))
    }

    /// What the engine knows of `image`, an id or a name; none when it has no such image.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image(&self, image: &str) -> anyhow::Result<Option<ImageFacts>> {
        let found = match self.api().inspect_image(image).await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            found => found.with_context(|| format!("failed to look at the image `{image}`"))?,
        };
        let size = found.size.and_then(|size| u64::try_from(size).ok());
        let config = found.config.unwrap_or_default();
        let environment = config.env.unwrap_or_default();
        let environment = environment.iter().filter_map(|entry| entry.split_once('='));
        Ok(Some(ImageFacts {
            id: found.id.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            workdir: config.working_dir.unwrap_or_default(),
            on_build: config.on_build.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            size: size.with_context(|| format!("the Docker engine does not say how large `{image}` is"))?,
            is_named: found.repo_tags.is_some_and(|names| !names.is_empty()),
        }))
    }

    /// What is wrong with an image that is larger than the settings allow, which only its unpacked size tells for sure;
    /// none when it is not. It is not kept, unless somebody gave it a name.
    pub async fn refuse_large(&self, image: &ImageFacts) -> Option<String> {
        let reason = too_large(image.size, self.settings().max_image)?;
        if !image.is_named
            && let Err(error) = self.api().remove_image(&image.id, None::<RemoveImageOptions>, None).await
        {
            tracing::warn!(error = %error, "the image `{}`, which is too large, is still there", image.id);
        }
        Some(reason)
    }

    /// The platform that the engine builds for: `linux/amd64`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn platform(&self) -> anyhow::Result<String> {
        let host = &self.settings().host;
        let version = self.api().version().await;
        let version = version.with_context(|| format!("no Docker engine answers at `{host}`; is it running?"))?;
        Ok(format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default()))
    }

    async fn follow(
        &self,
        options: BuildImageOptions,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        log: &mut Log,
    ) -> Result<String, ImageError> {
        // Until the context is sent the engine says nothing, and a context may be large.
        let api = self.api().clone().with_timeout(super::LONG_PATIENCE);
        let mut news = api.build_image(options, None, Some(bollard::body_try_stream(body)));
        let mut step = "docker build".to_owned();
        let mut image = None;
        while let Some(item) = news.next().await {
            let BuildInfo { stream, status, aux, id, .. } = item.map_err(|error| failed(&step, error, log))?;
            if let Some(text) = stream {
                log.push(text.as_bytes());
                if let Some(instruction) = instruction(&text) {
                    step = instruction.to_owned();
                }
            }
            // A base image that is pulled tells each layer's progress; only what is said of it as a whole is kept.
            if let (Some(status), None) = (status, id) {
                log.push(format!("{status}\n").as_bytes());
            }
            image = aux.and_then(|aux| aux.id).or(image);
        }
        Ok(image.context("the Docker engine ended a build without naming its image")?)
    }
}

/// A file in pieces.
fn chunks(file: tokio::fs::File) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; CHUNK];
        let length = tokio::io::AsyncReadExt::read(&mut file, &mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), file)))
    })
}

/// The instruction in a line such as `Step 2/3 : RUN make`.
fn instruction(text: &str) -> Option<&str> {
    let (number, instruction) = text.trim_end().strip_prefix("Step ")?.split_once(" : ")?;
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/').then_some(instruction)
}

/// What a build that ended badly says. What the engine tells of a Dockerfile or a command is its author's to mend.
fn failed(step: &str, error: Error, log: &mut Log) -> ImageError {
    let message = match error {
        // Somebody cleaned up below the build: done again it goes well.
        Error::DockerStreamError { error } if error.contains("No such image: sha256:") => {
            return ImageError::Internal(anyhow::anyhow!("`{step}` lost an image that it stands on: {error}"));
        }
        Error::DockerStreamError { error } => error,
        Error::DockerResponseServerError { status_code: 400..=499, message } => message,
        // The classic builder finds these faults before it says anything, and blames itself.
        Error::DockerResponseServerError { message, .. } if message.to_lowercase().contains("dockerfile") => message,
        other => return ImageError::Internal(anyhow::Error::new(other).context("the Docker engine failed to build")),
    };
    log.push(format!("{message}\n").as_bytes());
    let how = match message.rsplit_once("returned a non-zero code: ") {
        Some((_, code)) => format!("ended with status {}", code.trim()),
        None => format!("failed: {message}"),
    };
    ImageError::Failed { step: step.to_owned(), how }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_instruction_is_told() {
        assert_eq!(instruction("Step 2/3 : RUN make all\n"), Some("RUN make all"));
        assert_eq!(instruction("Step by step : x"), None);
        let mut log = Log::new(100);
        let error = "The command '/bin/sh -c make all' returned a non-zero code: 2".to_owned();
        let told = failed("RUN make all", Error::DockerStreamError { error }, &mut log).to_string();
        assert_eq!(told, "`RUN make all` ended with status 2");
        assert!(log.text().contains("non-zero code"));
        let ours = Error::DockerResponseServerError { status_code: 500, message: "no space left on device".to_owned() };
        assert!(matches!(failed("docker build", ours, &mut log), ImageError::Internal(_)));
        let lost = "failed to get destination image \"sha256:f3db\": No such image: sha256:f3db".to_owned();
        let lost = Error::DockerStreamError { error: lost };
        assert!(matches!(failed("COPY --from=build a b", lost, &mut log), ImageError::Internal(_)));
    }
}
