//! Builds models with commands of this machine. It promises no isolation: only for sources that settings trust.
//!
//! A build happens in a directory of its own; what passed its tests is moved as a whole to where models lie, under the
//! digest of everything that decides what it is. A model must not remember where it was built.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Digest, ObjectId};
use crate::domain::manifest::{Build, Manifest, Part};
use crate::domain::version::PassedTest;
use crate::runner::supervise::Stop;

use super::commands::{self, Room};
use super::test_run::{self, TestPlace};
use super::toolchain::Toolchain;
use super::{Recipe, RecipeError, SourceFiles, Way, packages, required, text_of};

/// How this builder is set up. All paths are absolute; the first two lie on one file system.
#[derive(Debug, Clone)]
pub struct BuilderSettings {
    /// Where built models lie, each under its digest.
    pub models_dir: PathBuf,
    /// Where builds and their tests happen.
    pub scratch: PathBuf,
    /// `PATH` of build commands and tests.
    pub search_path: String,
    /// Further environment variables of build commands, for instance where a toolchain has its home.
    pub environment: BTreeMap<String, String>,
}

/// Fills an empty directory with the source that is built.
pub type Checkout = Box<dyn FnOnce(&Path) -> anyhow::Result<()> + Send>;

/// One build.
pub struct BuildRequest {
    /// What the result will be known by: [`ProcessBuilder::executable_digest`].
    pub digest: Digest,
    /// Gets the source.
    pub checkout: Checkout,
    /// The commands, each an argv list, run in the source directory one after another.
    pub commands: Vec<Vec<String>>,
    /// What the manifest says, from which follows what the commands find around them.
    pub build: Build,
    /// Where the log goes once the build has ended.
    pub log: PathBuf,
    /// How long all commands together may take.
    pub timeout: Duration,
}

impl fmt::Debug for BuildRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildRequest")
            .field("digest", &self.digest)
            .field("commands", &self.commands)
            .field("log", &self.log)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A model that was built and is not published yet. Dropped, it leaves nothing. While it lives, nobody else builds the
/// same digest.
#[derive(Debug)]
pub struct Built {
    digest: Digest,
    room: Room,
    build_ms: u64,
    _turn: OwnedMutexGuard<()>,
}

impl Built {
    /// Where the model lies for now.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.room.model
    }

    /// What it will be known by.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How long the commands took, in milliseconds.
    #[must_use]
    pub fn build_ms(&self) -> u64 {
        self.build_ms
    }
}

/// Why there is no built model.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A command failed; the model's fault.
    #[error("`{command}` {exit}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended: `ended with status 2`.
        exit: String,
        /// The last lines of the log, redacted.
        log_tail: String,
    },
    /// The commands took longer than they may; the model's fault.
    #[error("the build took longer than its limit of {}", humantime::format_duration(*.limit))]
    Timeout {
        /// The limit.
        limit: Duration,
        /// The last lines of the log, redacted.
        log_tail: String,
    },
    /// It was asked to stop.
    #[error("the build was cancelled")]
    Cancelled,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl BuildError {
    /// The last lines of the build's log, redacted; empty when there is none.
    #[must_use]
    pub fn log_tail(&self) -> &str {
        match self {
            Self::Failed { log_tail, .. } | Self::Timeout { log_tail, .. } => log_tail,
            Self::Cancelled | Self::Internal(_) => "",
        }
    }
}

/// Why a built model has not passed its tests.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A test failed; the model's fault.
    #[error("test `{name}` failed: {message}")]
    Failed {
        /// The test's name.
        name: String,
        /// What differs or went wrong, with the values that matter.
        message: String,
        /// The last lines that the test printed, redacted.
        log_tail: String,
    },
    /// It was asked to stop.
    #[error("the tests were cancelled")]
    Cancelled,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Builds and tests models with processes of this machine.
#[derive(Debug)]
pub struct ProcessBuilder {
    settings: BuilderSettings,
    toolchain: Toolchain,
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl ProcessBuilder {
    /// A builder.
    #[must_use]
    pub fn new(settings: BuilderSettings) -> Self {
        Self { settings, toolchain: Toolchain::default(), turns: Mutex::new(HashMap::new()) }
    }

    /// What a build with these commands (those that build and those that run) depends on: the system, the architecture,
    /// and a line for each known tool. Tools are asked once in the life of this process. Blocks while they answer.
    ///
    /// # Errors
    /// Ours only.
    pub fn toolchain(&self, commands: &[Vec<String>]) -> anyhow::Result<Vec<String>> {
        self.toolchain.lines(commands, &self.settings.search_path, &self.settings.scratch)
    }

    /// What decides how the model is built: its source, its commands, and the tools that they use. Blocks while tools tell
    /// their versions.
    ///
    /// # Errors
    /// As [`RecipeError`] says.
    pub fn recipe(&self, manifest: &Manifest, source: &SourceFiles<'_>) -> Result<Recipe, RecipeError> {
        let Some(own) = manifest.build.commands() else {
            let message = "this server builds models as processes, and the manifest names no commands for that";
            return Err(RecipeError::refused(
                Part::Build,
                message,
                "write `process: [[make]]`, or `process: []` when there is nothing to build",
            ));
        };
        let environment = manifest.build.environment.clone().unwrap_or_default();
        if let Some(requirements) = &environment.python {
            required(source, Part::Python, requirements, "name pip's requirements file by its path within the source")?;
        }
        let mut commands = environment.install();
        commands.extend(own.iter().cloned());
        let mut implied = commands.clone();
        implied.push(manifest.run.command.clone());
        implied.extend(manifest.run.summarize.clone());
        let mut toolchain = self.toolchain(&implied)?;
        let (search_path, scratch) = (&self.settings.search_path, &self.settings.scratch);
        toolchain.extend(packages::versions(&environment.debian, search_path, scratch)?);
        let digest = Self::executable_digest(source.tree, &commands, &toolchain);
        Ok(Recipe { digest, toolchain, way: Way::Process(commands, manifest.build.clone()) })
    }

    /// What identifies the executable that these build commands make of this source with this toolchain.
    #[must_use]
    pub fn executable_digest(source_tree: &ObjectId, build: &[Vec<String>], toolchain: &[String]) -> Digest {
        let parts = serde_json::json!({ "source_tree": source_tree, "build": build, "toolchain": toolchain });
        Digest::of(parts.to_string())
    }

    /// Where the published model with this digest lies; none when there is none yet.
    #[must_use]
    pub fn built(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.path_of(digest);
        path.is_dir().then_some(path)
    }

    fn path_of(&self, digest: &Digest) -> PathBuf {
        self.settings.models_dir.join(digest.hex())
    }

    /// Ends whatever builds of an earlier process left, and says how many processes there were. Called when the server
    /// starts, before anything is built. Blocks.
    ///
    /// # Errors
    /// When something is still there afterwards.
    pub fn end_leftovers(&self) -> anyhow::Result<usize> {
        commands::end_builds(&self.settings.scratch, "build-")
    }

    /// Builds a model in a directory of its own. Waits while the same digest is being built elsewhere in this process;
    /// callers look at [`Self::built`] again afterwards. What an earlier process left of the same build is ended first.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub async fn build(&self, request: BuildRequest, cancel: &CancellationToken) -> Result<Built, BuildError> {
        let turn = self.turn(&request.digest);
        let turn = tokio::select! {
            turn = turn.lock_owned() => turn,
            () = cancel.cancelled() => return Err(BuildError::Cancelled),
        };
        let digest = request.digest.clone();
        let settings = self.settings.clone();
        let (room, elapsed) = cancellable(cancel, move |stop| commands::build(request, &settings, stop)).await??;
        let build_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Ok(Built { digest, room, build_ms, _turn: turn })
    }

    /// Runs the manifest's tests on the built model in the directory `model`, in order, until one fails.
    ///
    /// # Errors
    /// As [`TestError`] says.
    pub async fn run_tests(
        &self,
        model: &Path,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<Vec<PassedTest>, TestError> {
        fs_err::create_dir_all(&self.settings.scratch).context("failed to make the scratch directory")?;
        let room = Room::make(&self.settings.scratch, &commands::tests_prefix())?;
        let place = TestPlace {
            model: model.to_path_buf(),
            directory: room.path.join("tests"),
            around: manifest.build.surroundings(text_of(model)?, &self.settings.search_path),
            build: room.path.clone(),
        };
        let manifest = manifest.clone();
        cancellable(cancel, move |stop| {
            let tests = test_run::run_tests(&place, &manifest, stop);
            commands::end_strays(&room.path)?;
            drop(room);
            tests
        })
        .await?
    }

    /// Moves a model that passed its tests to where models lie, without the right to write to it. Where the same model
    /// lies already, that one stays. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish(&self, built: Built) -> anyhow::Result<PathBuf> {
        let Built { digest, room, build_ms: _, _turn } = built;
        let path = self.path_of(&digest);
        fs_err::create_dir_all(&self.settings.models_dir).context("failed to make the directory of models")?;
        if path.is_dir() {
            return Ok(path);
        }
        let model = &room.model;
        make_read_only(model).context("failed to make a model read-only")?;
        // A directory can be moved only while it may be written itself.
        fs_err::set_permissions(model, PermissionsExt::from_mode(0o755))
            .context("failed to get a model ready to move")?;
        let directory = fs_err::File::open(model).context("failed to open a model")?;
        rustix::fs::syncfs(directory.file()).context("failed to sync a model")?;
        match fs_err::rename(model, &path) {
            Ok(()) => {}
            Err(_) if path.is_dir() => return Ok(path),
            Err(error) => return Err(error).context("failed to move a model to its place"),
        }
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o555)).context("failed to make a model read-only")?;
        let models = fs_err::File::open(&self.settings.models_dir).context("failed to open the directory of models")?;
        models.sync_all().context("failed to sync the directory of models")?;
        Ok(path)
    }

    /// The lock by which builds of one digest take turns.
    fn turn(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Only digests that somebody builds or waits for are remembered.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(digest.clone()).or_default())
    }
}

/// Takes the right to write from everything below and including `path`. Links are left alone.
fn make_read_only(path: &Path) -> std::io::Result<()> {
    let found = fs_err::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        for entry in fs_err::read_dir(path)? {
            make_read_only(&entry?.path())?;
        }
    }
    fs_err::set_permissions(path, PermissionsExt::from_mode(found.permissions().mode() & 0o7555))
}

/// Does blocking work on a thread of its own, which is asked to stop when `cancel` is, or when this future is dropped.
async fn cancellable<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> anyhow::Result<T> {
    struct StopOnDrop(Arc<Stop>);
    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.stop();
        }
    }

    let stop = StopOnDrop(Arc::new(Stop::new().context("failed to get ready to supervise")?));
    let watched = Arc::clone(&stop.0);
    let mut task = tokio::task::spawn_blocking(move || work(&watched));
    let ended = tokio::select! {
        ended = &mut task => ended,
        () = cancel.cancelled() => {
            stop.0.stop();
            task.await
        }
    };
    ended.context("a supervising thread panicked")
}
