//! Where pull requests live: GitHub, or a directory on this machine that does the same.

pub mod github;
pub mod local;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use self::github::GitHub;
use self::github::deployments::DeploymentStatus;
use self::local::{LocalForge, LocalForgeError};
use crate::domain::check::Check;
use crate::domain::deployment::{DeploymentNotice, Environment};
use crate::domain::forge::{CommentRef, Permission, PullSnapshot, Reaction, User};
use crate::domain::ids::{CommitSha, Digest, PullRef, Repository, Time, VersionId};

/// A forge.
#[derive(Debug, Clone)]
pub enum Forge {
    /// A directory on this machine.
    Local(LocalForge),
    /// GitHub, or a GitHub Enterprise Server.
    GitHub(Arc<GitHub>),
}

/// Why a forge did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It may do it later: it does not answer, or asked us to wait.
    #[error(transparent)]
    Later(anyhow::Error),
    /// It went wrong on this machine: with git, with a file, by a defect of ours.
    #[error(transparent)]
    Here(anyhow::Error),
    /// We are not let in where it is, until somebody changes that: the GitHub App is suspended or not installed there.
    #[error(transparent)]
    OutOfReach(anyhow::Error),
    /// It is not there, or not yet: GitHub tells of a thing before all of its machines know it.
    #[error(transparent)]
    Missing(anyhow::Error),
    /// It never will: it is not allowed, or makes no sense.
    #[error(transparent)]
    Never(anyhow::Error),
}

impl ForgeError {
    /// What went wrong.
    pub(crate) fn cause(&self) -> &anyhow::Error {
        let (Self::Later(error)
        | Self::Here(error)
        | Self::OutOfReach(error)
        | Self::Missing(error)
        | Self::Never(error)) = self;
        error
    }

    /// What went wrong, whether or not it may go well later.
    pub(crate) fn into_cause(self) -> anyhow::Error {
        let (Self::Later(error)
        | Self::Here(error)
        | Self::OutOfReach(error)
        | Self::Missing(error)
        | Self::Never(error)) = self;
        error
    }
}

type Result<T> = std::result::Result<T, ForgeError>;

/// Where the branches and tags of a repository point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// By full name: `refs/heads/main`, `refs/tags/v1`.
    pub heads: BTreeMap<String, CommitSha>,
    /// The branch that merged work lives on.
    pub default_branch: String,
}

/// The repositories that this instance works for.
#[derive(Debug)]
pub struct Repositories {
    /// Those that were found.
    pub found: Vec<Repository>,
    /// Why there may be more of them, when a part of the forge did not answer.
    pub missed: Option<ForgeError>,
}

/// A comment of somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Which one, and when it was written.
    pub comment: CommentRef,
    /// Who wrote it.
    pub author: User,
    /// Markdown.
    pub body: String,
    /// Whether we wrote it ourselves.
    pub is_ours: bool,
    /// Whether it was changed since, perhaps by somebody else.
    pub is_edited: bool,
    /// Whether its author is a program.
    pub is_programs: bool,
}

/// A channel's move, as a forge shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The channel.
    pub environment: Environment,
    /// The version that it points to.
    pub version: VersionId,
    /// What that version runs.
    pub digest: Digest,
    /// The commit that it was built from.
    pub commit: CommitSha,
    /// When the channel moved.
    pub moved_at: Time,
    /// One line; cut after 140 characters.
    pub description: String,
    /// Where to see what is there.
    pub environment_url: Option<String>,
}

impl Forge {
    /// Every repository that this instance works for.
    ///
    /// # Errors
    /// When the forge does not answer at all.
    pub async fn repositories(&self) -> Result<Repositories> {
        match self {
            Self::Local(forge) => {
                let found = local(forge, LocalForge::repositories).await?;
                Ok(Repositories { found, missed: None })
            }
            Self::GitHub(github) => github.repositories().await,
        }
    }

    /// Asks for deliveries again that did not reach us, and says for how many.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn ask_again(&self) -> Result<usize> {
        match self {
            // What its hook could not deliver is found by comparing.
            Self::Local(_) => Ok(0),
            Self::GitHub(github) => github.ask_again().await,
        }
    }

    /// The repository's git directory on this machine, as of the last [`Self::fetch`].
    #[must_use]
    pub fn git_dir(&self, repository: &Repository) -> PathBuf {
        match self {
            Self::Local(forge) => forge.git_dir(&repository.name),
            Self::GitHub(github) => github.git_dir(repository),
        }
    }

    /// Brings branches, tags and heads of pull requests to [`Self::git_dir`] as they are now, and says where branches and
    /// tags point.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn fetch(&self, repository: &Repository) -> Result<References> {
        match self {
            Self::Local(forge) => {
                let repository = repository.clone();
                local(forge, move |forge| {
                    let branches = forge.branch_heads(&repository)?;
                    let branches = branches.into_iter().map(|(name, commit)| (format!("refs/heads/{name}"), commit));
                    let tags = forge.tags(&repository)?;
                    let tags = tags.into_iter().map(|(name, commit)| (format!("refs/tags/{name}"), commit));
                    let default_branch = forge.default_branch(&repository)?;
                    Ok(References { heads: branches.chain(tags).collect(), default_branch })
                })
                .await
            }
            Self::GitHub(github) => github.fetch(repository).await,
        }
    }

    /// The pull request as it is now.
    ///
    /// # Errors
    /// [`ForgeError::Missing`] when there is none.
    pub async fn pull(&self, pull: &PullRef) -> Result<PullSnapshot> {
        match self {
            Self::Local(forge) => {
                let pull = pull.clone();
                local(forge, move |forge| forge.pull(&pull)).await
            }
            Self::GitHub(github) => github.pull(pull).await,
        }
    }

    /// The repository's pull requests, whatever their status, oldest first: all of them, or on GitHub the open ones and
    /// the hundred that changed last.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn pulls(&self, repository: &Repository) -> Result<Vec<PullSnapshot>> {
        match self {
            Self::Local(forge) => {
                let name = repository.name.clone();
                local(forge, move |forge| forge.list_pulls(&name, None)).await
            }
            Self::GitHub(github) => github.pulls(repository).await,
        }
    }

    /// What is said in a pull request, oldest first.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn comments(&self, pull: &PullRef) -> Result<Vec<Comment>> {
        match self {
            Self::Local(forge) => {
                let pull = pull.clone();
                let thread = local(forge, move |forge| forge.show(&pull)).await?;
                let comment = |comment: local::Comment| Comment {
                    comment: CommentRef { id: comment.id, created_at: comment.created_at },
                    is_ours: comment.author == local::app_account(),
                    is_edited: comment.updated_at != comment.created_at,
                    is_programs: User::is_program(None, &comment.author.login),
                    author: comment.author,
                    body: comment.body,
                };
                Ok(thread.comments.into_iter().map(comment).collect())
            }
            Self::GitHub(github) => github.comments(pull).await,
        }
    }

    /// The repository that is `wanted`, where this instance works for one.
    ///
    /// # Errors
    /// When the forge does not say so for sure.
    pub async fn repository(&self, wanted: impl Fn(&Repository) -> bool) -> Result<Option<Repository>> {
        let Repositories { found, missed } = self.repositories().await?;
        match (found.into_iter().find(wanted), missed) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    /// What the account with `user`'s number may do in the repository, now. The login does not matter: it can change
    /// hands.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn permission(&self, repository: &Repository, user: &User) -> Result<Permission> {
        match self {
            Self::Local(forge) => {
                let (repository, user) = (repository.clone(), user.clone());
                local(forge, move |forge| forge.permission(&repository, &user)).await
            }
            Self::GitHub(github) => github.permission(repository, user).await,
        }
    }

    /// Makes our comment with this marker say `body`: edits it where it is, or writes it. Only comments of our own are
    /// looked at, so nobody can pass off theirs as ours.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when the comment cannot be written there.
    pub async fn upsert_comment(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        match self {
            Self::Local(forge) => {
                let (pull, marker, body) = (pull.clone(), marker.to_owned(), body.to_owned());
                local(forge, move |forge| forge.upsert_comment(&pull, &marker, &body).map(drop)).await
            }
            Self::GitHub(github) => github.upsert_comment(pull, marker, body).await,
        }
    }

    /// Writes a comment with this marker unless there is one of ours already.
    ///
    /// # Errors
    /// As [`Self::upsert_comment`].
    pub async fn post_comment_once(&self, pull: &PullRef, marker: &str, body: &str) -> Result<()> {
        match self {
            Self::Local(forge) => {
                let (pull, marker, body) = (pull.clone(), marker.to_owned(), body.to_owned());
                local(forge, move |forge| forge.post_comment_once(&pull, &marker, &body).map(drop)).await
            }
            Self::GitHub(github) => github.post_comment_once(pull, marker, body).await,
        }
    }

    /// Shows where a channel points now, once for each move. The local forge shows channels' histories itself.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when the forge does not allow it or does not know the commit.
    pub async fn record_deployment(&self, repository: &Repository, recorded: &Recorded) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::GitHub(github) => github.record_deployment(repository, recorded).await,
        }
    }

    /// Says how a deployment fares that somebody made.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when the forge does not allow it, [`ForgeError::Missing`] when the deployment is gone.
    pub async fn answer_deployment(&self, repository: &Repository, id: i64, status: &DeploymentStatus) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::GitHub(github) => github.answer_deployment(repository, id, status).await,
        }
    }

    /// Deployments to channels of models, the newest first; a bounded number.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn deployments(&self, repository: &Repository) -> Result<Vec<DeploymentNotice>> {
        match self {
            Self::Local(_) => Ok(Vec::new()),
            Self::GitHub(github) => github.deployments(repository).await,
        }
    }

    /// Whether nothing has to be done about a deployment: we made it ourselves, or have said already what became of it.
    ///
    /// # Errors
    /// When the forge does not answer.
    pub async fn is_settled(&self, repository: &Repository, notice: &DeploymentNotice) -> Result<bool> {
        match self {
            Self::Local(_) => Ok(true),
            Self::GitHub(github) => {
                let own = github.is_own_deployment(repository, notice).await?;
                Ok(own || github.has_answered(repository, notice.id).await?)
            }
        }
    }

    /// Shows beside the commit how it fares; takes the place of an earlier check of the same name. A forge that knows no
    /// checks, and GitHub for whoever has a token only, show state and title as a commit status.
    ///
    /// # Errors
    /// [`ForgeError::Never`] when the commit is not there.
    pub async fn show_check(&self, repository: &Repository, commit: &CommitSha, check: &Check) -> Result<()> {
        match self {
            Self::Local(forge) => {
                let (repository, commit, check) = (repository.clone(), commit.clone(), check.clone());
                local(forge, move |forge| {
                    forge.set_status(&repository, &commit, &check.name, check.state.into(), &check.title)
                })
                .await
            }
            Self::GitHub(github) => github.show_check(repository, commit, check).await,
        }
    }

    /// Answers a comment without words. The local forge has no reactions.
    ///
    /// # Errors
    /// [`ForgeError::Missing`] when the comment is not there any more.
    pub async fn react(&self, pull: &PullRef, comment: i64, reaction: Reaction) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::GitHub(github) => github.react(pull, comment, reaction).await,
        }
    }
}

/// Asks the local forge where it holds up nobody: it reads and writes files.
async fn local<T: Send + 'static>(
    forge: &LocalForge,
    work: impl FnOnce(&LocalForge) -> local::Result<T> + Send + 'static,
) -> Result<T> {
    let forge = forge.clone();
    let asked = tokio::task::spawn_blocking(move || work(&forge)).await;
    let answered = asked.context("asking the local forge panicked").map_err(ForgeError::Here)?;
    answered.map_err(|error| match error {
        LocalForgeError::Unknown(_) => ForgeError::Missing(error.into()),
        LocalForgeError::Refused(_) | LocalForgeError::Forbidden(_) => ForgeError::Never(error.into()),
        LocalForgeError::Merge(_) | LocalForgeError::Source(_) | LocalForgeError::Failed { .. } => {
            ForgeError::Here(error.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{PullNumber, RepositoryName};

    #[tokio::test]
    async fn what_is_not_there_is_missing_in_a_directory_too() {
        let place = tempfile::tempdir().unwrap();
        let created = LocalForge::create(place.path(), "http://127.0.0.1:1", || Time(0)).unwrap();
        let forge = Forge::Local(created);
        let repository = Repository { id: 7, name: RepositoryName::parse("urban/hub").unwrap() };
        let pull = forge.pull(&PullRef { repository, number: PullNumber(1) }).await;
        assert!(matches!(pull, Err(ForgeError::Missing(_))), "{pull:?}");
    }
}
