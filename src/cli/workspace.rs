//! The repository that a verb was started in: its commit, its manifests, its models.

use std::path::{Path, PathBuf};

use super::output::CliError;
use crate::domain::ids::{CommitSha, ModelName, Repository};
use crate::domain::manifest::Manifest;
use crate::domain::version::{SourceRef, Tree};
use crate::domain::yaml::shown;
use crate::edge::source::Source;
use crate::engine::{FilesAt, Hosting};

/// The repository around the current directory, at one commit.
pub(crate) struct Workspace {
    /// The repository as the instance knows it.
    pub(crate) repository: Repository,
    /// Its work tree.
    pub(crate) root: PathBuf,
    /// The commit that is worked on: HEAD, or the work tree's content as a commit that no branch holds.
    pub(crate) commit: CommitSha,
    /// Which of the two.
    pub(crate) tree: Tree,
}

/// A model of the workspace.
pub(crate) struct WorkspaceModel {
    pub(crate) model: ModelName,
    pub(crate) source: SourceRef,
    pub(crate) manifest: Manifest,
}

impl Workspace {
    /// Opens the repository of a laptop instance. A work tree with changes needs `dirty`.
    pub(crate) fn open(hosting: &Hosting, dirty: bool) -> Result<Self, CliError> {
        let Hosting::Laptop { path, repository } = hosting else {
            return Err(CliError::User(
                "these settings are a server's: push a branch or open a pull request instead, or leave `--settings` out"
                    .to_owned(),
            ));
        };
        let source = Source::open(path).map_err(|error| {
            CliError::User(format!(
                "`{}` is no git repository ({error}); begin with `git init` and a commit",
                path.display()
            ))
        })?;
        let root = source.work_tree().unwrap_or_else(|| path.clone());
        let (commit, tree) = if dirty {
            source.commit_dirty().map_err(from_source)?
        } else {
            if let Some(path) = source.first_change().map_err(from_source)? {
                return Err(CliError::User(format!(
                    "the work tree has changes that no commit holds, the first one at `{}`; commit them, or take them as they \
                     are with `--dirty`",
                    shown(&path)
                )));
            }
            (source.resolve("HEAD").map_err(from_source)?, Tree::Committed)
        };
        Ok(Self { repository: repository.clone(), root, commit, tree })
    }

    /// Every model of the workspace, or those that are named.
    pub(crate) fn models(&self, wanted: &[ModelName]) -> Result<Vec<WorkspaceModel>, CliError> {
        let source = Source::open(&self.root).map_err(from_source)?;
        let files = FilesAt::new(&source, &self.commit);
        let mut models = Vec::new();
        let mut faults = Vec::new();
        for file in source.manifests(&self.commit).map_err(from_source)? {
            match files.manifest(&file.path) {
                Ok((manifest, _)) if wanted.is_empty() || wanted.contains(&manifest.model) => {
                    models.push(WorkspaceModel {
                        model: manifest.model.clone(),
                        source: SourceRef {
                            repository: self.repository.clone(),
                            commit: self.commit.clone(),
                            manifest: file.path,
                        },
                        manifest,
                    })
                }
                Ok(_) => {}
                // A model that was not asked for may be broken.
                Err(found) if wanted.is_empty() || names_one_of(&file.path, wanted) => faults.extend(found.0),
                Err(_) => {}
            }
        }
        if !faults.is_empty() {
            return Err(CliError::Faults(crate::domain::diagnostic::Faults(faults)));
        }
        let missing = wanted.iter().find(|name| !models.iter().any(|found| found.model == **name));
        match missing {
            Some(name) => Err(CliError::User(format!(
                "there is no model `{name}` at commit {}; its manifest would be `config/{name}.yaml` or `modelship.yaml`",
                self.commit.short()
            ))),
            None if models.is_empty() => Err(CliError::User(
                "there is no manifest here; write one with `modelship init OWNER/TITLE` and commit it".to_owned(),
            )),
            None => Ok(models),
        }
    }

    /// `file` as the repository spells it.
    pub(crate) fn path_of(&self, cwd: &Path, file: &Path) -> Result<String, CliError> {
        let outside =
            || CliError::User(format!("`{}` does not lie in the repository `{}`", file.display(), self.root.display()));
        let absolute = fs_err::canonicalize(cwd.join(file))
            .map_err(|_| CliError::User(format!("there is no file `{}` here", file.display())))?;
        let root = fs_err::canonicalize(&self.root).map_err(|error| CliError::User(error.to_string()))?;
        let relative = absolute.strip_prefix(root).map_err(|_| outside())?;
        relative.to_str().map(str::to_owned).ok_or_else(outside)
    }
}

fn names_one_of(path: &str, wanted: &[ModelName]) -> bool {
    path == "modelship.yaml" || wanted.iter().any(|name| path == format!("config/{name}.yaml"))
}

pub(crate) fn from_source(error: crate::edge::source::SourceError) -> CliError {
    if error.is_users_fault() { CliError::User(error.to_string()) } else { CliError::Ours(error.into()) }
}
