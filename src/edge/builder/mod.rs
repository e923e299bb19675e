//! Builders: from a model's source at a commit to something that runs.
//!
//! [`Builder`] is the seam between what wants a model built and the two ways to do it. Both have the same verbs, in this
//! order: `recipe`, `build`, `inputs`, `run_tests`, `publish`.

mod commands;
pub mod docker;
mod expectation;
mod image_tests;
mod packages;
pub mod process;
mod test_run;
mod toolchain;
mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{CommitSha, Digest, ModelName, ObjectId};
use crate::domain::image::ImageRef;
use crate::domain::manifest::{Build, Manifest, Part};
use crate::domain::version::{Image, PassedTest, Version};
use crate::domain::yaml::Files;

use docker::{BuiltImage, DockerBuilder, ImageRecipe};
pub use expectation::check_expectations;
use process::{BuildError, BuildRequest, Built, Checkout, ProcessBuilder, TestError};

/// Makes models out of sources.
#[derive(Debug)]
pub enum Builder {
    /// With processes of this machine.
    Process(ProcessBuilder),
    /// As container images.
    Docker(DockerBuilder),
}

/// A source that could be built.
pub struct SourceFiles<'a> {
    /// Its git tree.
    pub tree: &'a ObjectId,
    /// Its files, by paths within it.
    pub files: &'a (dyn Files + Send + Sync),
}

/// What decides how a model is built.
#[derive(Debug)]
pub struct Recipe {
    /// The digest of all of it: equal recipes make equal models.
    pub digest: Digest,
    /// A line for each tool that has a part in it, for people.
    pub toolchain: Vec<String>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Process(Vec<Vec<String>>, Build),
    Docker(ImageRecipe),
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The manifest asks for what is not there. Its author can mend that.
    #[error("{message}")]
    Refused {
        /// What of the manifest is to blame.
        part: Part,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl RecipeError {
    fn refused(part: Part, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { part, message: message.into(), hint: Some(hint.into()) }
    }
}

/// One build.
pub struct BuildOrder {
    /// How.
    pub recipe: Recipe,
    /// Gets the source.
    pub checkout: Checkout,
    /// Where the source comes from.
    pub provenance: Provenance,
    /// Where the log goes once the build has ended.
    pub log: PathBuf,
    /// How long it may take.
    pub timeout: Duration,
}

/// Where a model comes from, as its image tells.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The model.
    pub model: ModelName,
    /// One line on what it is.
    pub description: String,
    /// The repository that holds its source: a name on the forge, or an address.
    pub repository: String,
    /// The commit of that repository.
    pub commit: CommitSha,
    /// When that was committed, in seconds since the epoch.
    pub committed_at: u64,
}

/// A model that was built and is not published yet.
#[derive(Debug)]
pub enum BuiltModel {
    /// A folder.
    Process(Built),
    /// An image on the engine that built it.
    Docker(Box<BuiltImage>),
}

impl BuiltModel {
    /// How long building took, in milliseconds.
    #[must_use]
    pub fn build_ms(&self) -> u64 {
        match self {
            Self::Process(built) => built.build_ms(),
            Self::Docker(built) => built.build_ms,
        }
    }
}

/// A model where runs find it.
#[derive(Debug, Clone)]
pub struct Published {
    /// What identifies it.
    pub executable: Digest,
    /// Its image, when it is one.
    pub image: Option<Image>,
}

/// Why a built model is not where runs would find it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Whoever set this instance up can mend it.
    #[error("{0}")]
    Refused(String),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Builder {
    /// The word for it in a version: `process` or `docker`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Docker(_) => "docker",
        }
    }

    /// What decides how the model is built. Asks tools for their versions.
    ///
    /// # Errors
    /// As [`RecipeError`] says.
    pub async fn recipe(&self, manifest: &Manifest, source: &SourceFiles<'_>) -> Result<Recipe, RecipeError> {
        match self {
            Self::Process(builder) => builder.recipe(manifest, source),
            Self::Docker(builder) => builder.recipe(manifest, source).await,
        }
    }

    /// Whether what was built for the version is still there.
    ///
    /// # Errors
    /// When the engine or the registry cannot say.
    pub async fn has(&self, version: &Version) -> anyhow::Result<bool> {
        match self {
            Self::Process(builder) => Ok(builder.built(&version.executable).is_some()),
            Self::Docker(builder) => builder.has(version).await,
        }
    }

    /// Builds a model.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub async fn build(&self, order: BuildOrder, cancel: &CancellationToken) -> Result<BuiltModel, BuildError> {
        let BuildOrder { recipe, checkout, provenance, log, timeout } = order;
        match (self, recipe.way) {
            (Self::Process(builder), Way::Process(commands, build)) => {
                let request = BuildRequest { digest: recipe.digest, checkout, commands, build, log, timeout };
                builder.build(request, cancel).await.map(BuiltModel::Process)
            }
            (Self::Docker(builder), Way::Docker(image)) => {
                let request = docker::ImageRequest { digest: recipe.digest, image, checkout, provenance, log, timeout };
                let built = builder.build(request, cancel).await?;
                Ok(BuiltModel::Docker(Box::new(built)))
            }
            (Self::Process(_), Way::Docker(_)) | (Self::Docker(_), Way::Process(..)) => {
                Err(anyhow::anyhow!("a recipe of one builder was given to the other").into())
            }
        }
    }

    /// Makes an image that was built elsewhere one that can be tested, published and run here.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub async fn adopt(&self, image: &ImageRef, provenance: Provenance) -> Result<BuiltModel, BuildError> {
        match self {
            Self::Process(_) => Err(anyhow::anyhow!("an image was given to the builder of processes").into()),
            Self::Docker(builder) => Ok(BuiltModel::Docker(Box::new(builder.adopt(image, provenance).await?))),
        }
    }

    /// The digest of each named file of the built model; none for one that it does not have.
    ///
    /// # Errors
    /// When the model cannot be read.
    pub async fn inputs(
        &self,
        built: &BuiltModel,
        names: &[String],
    ) -> anyhow::Result<BTreeMap<String, Option<Digest>>> {
        let mut digests = BTreeMap::new();
        for name in names {
            let digest = match (self, built) {
                (_, BuiltModel::Process(built)) => {
                    let path = built.dir().join(name);
                    let read = tokio::task::spawn_blocking(move || fs_err::read(path).map(Digest::of).ok());
                    read.await.context("reading an input file panicked")?
                }
                (Self::Docker(builder), BuiltModel::Docker(built)) => builder.input(built, name).await?,
                (Self::Process(_), BuiltModel::Docker(_)) => None,
            };
            digests.insert(name.clone(), digest);
        }
        Ok(digests)
    }

    /// Runs the manifest's tests on the built model, in order, until one fails.
    ///
    /// # Errors
    /// As [`TestError`] says.
    pub async fn run_tests(
        &self,
        built: &BuiltModel,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Vec<PassedTest>, TestError> {
        match (self, built) {
            (Self::Process(builder), BuiltModel::Process(built)) => {
                builder.run_tests(built.dir(), manifest, cancel).await
            }
            (Self::Docker(builder), BuiltModel::Docker(built)) => {
                builder.run_tests(&built.image_to_test(), manifest, cancel).await
            }
            (Self::Process(_), BuiltModel::Docker(_)) | (Self::Docker(_), BuiltModel::Process(_)) => {
                Err(anyhow::anyhow!("a model of one builder was given to the other").into())
            }
        }
    }

    /// Runs the manifest's tests on a version that is registered, in order, until one fails. The outer none says that
    /// what was built for it is no longer there.
    ///
    /// # Errors
    /// As [`TestError`] says.
    pub async fn test_version(
        &self,
        version: &Version,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<PassedTest>>, TestError> {
        match (self, &version.image) {
            (Self::Process(builder), None) => match builder.built(&version.executable) {
                Some(dir) => builder.run_tests(&dir, manifest, cancel).await.map(Some),
                None => Ok(None),
            },
            (Self::Docker(builder), Some(image)) => {
                if !builder.has(version).await? {
                    return Ok(None);
                }
                builder.docker().ensure_present(&image.reference).await?;
                builder.run_tests(image, manifest, cancel).await.map(Some)
            }
            (Self::Process(_), Some(_)) | (Self::Docker(_), None) => Ok(None),
        }
    }

    /// Puts a model that passed its tests where runs find it.
    ///
    /// # Errors
    /// As [`PublishError`] says.
    pub async fn publish(&self, built: BuiltModel) -> Result<Published, PublishError> {
        match (self, built) {
            (Self::Process(builder), BuiltModel::Process(built)) => {
                let executable = built.digest().clone();
                builder.publish(built)?;
                Ok(Published { executable, image: None })
            }
            (Self::Docker(builder), BuiltModel::Docker(built)) => builder.publish(*built).await,
            (Self::Process(_), BuiltModel::Docker(_)) | (Self::Docker(_), BuiltModel::Process(_)) => {
                Err(anyhow::anyhow!("a model of one builder was given to the other").into())
            }
        }
    }

    /// The folder of the published model with this digest, when it is one.
    #[must_use]
    pub fn built(&self, executable: &Digest) -> Option<PathBuf> {
        match self {
            Self::Process(builder) => builder.built(executable),
            Self::Docker(_) => None,
        }
    }

    /// Ends whatever builds of an earlier process left, and says how many processes or containers there were. Called when
    /// the server starts, before anything is built.
    ///
    /// # Errors
    /// When something is still there afterwards.
    pub async fn end_leftovers(&self) -> anyhow::Result<usize> {
        match self {
            Self::Process(builder) => builder.end_leftovers(),
            Self::Docker(builder) => builder.end_leftovers().await,
        }
    }
}

/// The text of a file of the source; a fault of the manifest's `part` when there is none.
fn required(source: &SourceFiles<'_>, part: Part, path: &str, hint: &str) -> Result<String, RecipeError> {
    match source.files.read(path) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(RecipeError::refused(part, format!("the source has no `{path}`"), hint)),
        Err(message) => Err(RecipeError::refused(part, message, hint)),
    }
}

/// A folder's path as text, for variables and commands.
fn text_of(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a model's folder must have a path in UTF-8")
}
