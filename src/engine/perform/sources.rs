//! Where a model's source lies: beside its manifest, or in another repository that is fetched first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::blocking;
use super::build::Ended;
use crate::domain::ids::{CommitSha, ObjectId};
use crate::domain::manifest::{Manifest, Part, Source};
use crate::domain::version::{PinnedSource, SourceRef};
use crate::domain::yaml::Files;
use crate::edge::builder::Provenance;
use crate::edge::source::Source as Repository;
use crate::edge::source::remote::{FetchError, Fetched};
use crate::engine::Engine;
use crate::engine::planning::FilesAt;
use crate::runner::supervise::Stop;

/// A folder of a commit of a repository on this machine.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Located {
    git_dir: PathBuf,
    commit: CommitSha,
    /// The folder.
    pub(super) path: String,
    /// Its git tree.
    pub(in crate::engine) tree: ObjectId,
    /// The commit of another repository, when it is one.
    pub(in crate::engine) pinned: Option<PinnedSource>,
}

/// Finds the model's source; fetches it when it lies in another repository.
pub(super) async fn locate(
    engine: &Engine,
    source: &SourceRef,
    manifest: &Manifest,
    manifest_text: &str,
    cancel: &CancellationToken,
) -> Result<Located, Ended> {
    let blame = |message: &str, hint: &str| {
        Ended::faults(Manifest::fault(&source.manifest, manifest_text, Part::Source, message, Some(hint.to_owned())))
    };
    let (git_dir, commit, path, pinned) = match manifest.source.clone() {
        Source::Path(path) => (engine.outside().git_dir(&source.repository)?, source.commit.clone(), path, None),
        Source::Repository { repo, reference, path } => {
            let Fetched { git_dir, pinned } = match fetch(engine, repo, reference, cancel).await? {
                Ok(fetched) => fetched,
                Err(FetchError::Refused(message) | FetchError::OutOfReach(message)) => {
                    return Err(blame(
                        &message,
                        "see that this machine can fetch it with `git`, and that `ref` is there",
                    ));
                }
                Err(FetchError::Stopped) => return Err(Ended::Cancelled),
                Err(FetchError::Internal(error)) => return Err(error.into()),
            };
            (git_dir, pinned.commit.clone(), path, Some(pinned))
        }
    };
    let (dir, at, inner) = (git_dir.clone(), commit.clone(), path.clone());
    let tree = blocking(move || Ok(Repository::open(&dir)?.tree_of(&at, &inner)?)).await?;
    match tree {
        Some(tree) => Ok(Located { git_dir, commit, path, tree, pinned }),
        None => {
            let message = format!("`source.path` names `{path}`, which is no folder at {}", commit.short());
            Err(blame(&message, "name a folder that is committed there"))
        }
    }
}

async fn fetch(
    engine: &Engine,
    repo: String,
    reference: String,
    cancel: &CancellationToken,
) -> anyhow::Result<Result<Fetched, FetchError>> {
    let stop = Arc::new(Stop::new().context("failed to get ready to fetch")?);
    let (shared, watched) = (engine.share_outside(), Arc::clone(&stop));
    let mut fetched = std::pin::pin!(blocking(move || Ok(shared.remotes.fetch(&repo, &reference, &watched))));
    tokio::select! {
        fetched = &mut fetched => fetched,
        () = cancel.cancelled() => {
            stop.stop();
            fetched.await
        }
    }
}

impl Located {
    /// Writes the source into the empty directory `into`. Blocks.
    pub(super) fn checkout(&self, into: &Path) -> anyhow::Result<()> {
        Ok(Repository::open(&self.git_dir)?.checkout(&self.commit, &self.path, into)?)
    }

    /// What an image says of where it comes from.
    pub(super) async fn provenance(&self, source: &SourceRef, manifest: &Manifest) -> anyhow::Result<Provenance> {
        let (dir, commit) = (self.git_dir.clone(), self.commit.clone());
        let note = blocking(move || Ok(Repository::open(&dir)?.describe(&commit)?)).await?;
        let repository = match &self.pinned {
            Some(pinned) => pinned.repo.clone(),
            None => source.repository.name.to_string(),
        };
        Ok(Provenance {
            model: manifest.model.clone(),
            description: manifest.description.clone(),
            repository,
            commit: self.commit.clone(),
            committed_at: u64::try_from(note.at.0 / 1000).unwrap_or_default(),
        })
    }
}

/// The files of the source, by paths within it.
impl Files for Located {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let repository = Repository::open(&self.git_dir).map_err(|error| error.to_string())?;
        let path = if self.path == "." { path.to_owned() } else { format!("{}/{path}", self.path) };
        FilesAt::new(&repository, &self.commit).read(&path)
    }
}
