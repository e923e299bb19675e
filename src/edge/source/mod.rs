//! git: commits, files and trees of one repository, read without trusting anything in it.
//!
//! Everything here but [`remote`] goes through libgit2 and never starts the `git` program: no hook, no filter and no other command that
//! a repository's configuration names can run. Paths are checked, symbolic links and submodules are never followed, and
//! sizes are bounded, as whoever opens a pull request writes the trees that are read here.
//!
//! The calls block (they read files); callers in async code use `spawn_blocking`. A [`Source`] can move between threads
//! and cannot be shared by them: open one where it is needed, which is cheap.

mod begin;
mod change;
mod checkout;
mod error;
mod folders;
mod hosts;
mod merge;
pub mod remote;
mod tree;
mod worktree;

use std::path::{Path, PathBuf};

use git2::{
    BranchType, ErrorCode, ObjectType, Oid, Reference, Repository as GitRepository, RepositoryInitOptions,
    RepositoryOpenFlags,
};

use crate::domain::ids::{CommitSha, ObjectId, Time};

pub use begin::FirstCommit;
pub use change::{Change, ChangedFile, ManifestFile, TouchedManifest};
pub use error::SourceError;
pub use merge::{MergeAuthor, MergeError};
pub use tree::{Entry, EntryKind, MAX_FILE_BYTES, NOT_SOURCE};

use error::{Context as _, absent};
use folders::Folders;

/// What the functions of this module give.
pub type Result<T, E = SourceError> = std::result::Result<T, E>;

/// Most characters of each text in a [`CommitNote`].
const MAX_NOTE: usize = 500;

/// What a commit says about itself. All of it is whatever its author wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitNote {
    /// The first paragraph of its message, on one line.
    pub summary: String,
    /// Its author's name.
    pub author: String,
    /// Its author's address.
    pub email: String,
    /// When it was committed, as it says.
    pub at: Time,
}

/// A git repository, bare or with a work tree.
pub struct Source {
    git: GitRepository,
    folders: Folders,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("path", &self.git.path()).finish()
    }
}

impl Source {
    /// Opens the repository at `path`: a bare one, a work tree, or its `.git`. Does not look in parent directories and
    /// does not listen to `GIT_DIR`.
    ///
    /// # Errors
    /// [`SourceError::Absent`] when there is no repository, [`SourceError::Refused`] when it belongs to another user of
    /// the machine and is not listed in `safe.directory`.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, RepositoryOpenFlags::NO_SEARCH)
    }

    /// Opens the repository that `directory` lies in, looking upwards as git does.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn discover(directory: &Path) -> Result<Self> {
        Self::open_with(directory, RepositoryOpenFlags::empty())
    }

    /// Makes a bare repository at `path`, whose first branch will be called `branch`, to be pushed to.
    ///
    /// # Errors
    /// When there is one already, or the disk refuses.
    pub fn create_bare(path: &Path, branch: &str) -> Result<Self> {
        let doing = || format!("failed to make a git repository at `{}`", path.display());
        let mut options = RepositoryInitOptions::new();
        options.bare(true).mkpath(true).no_reinit(true).external_template(false).initial_head(branch);
        let git = GitRepository::init_opts(path, &options).context(doing)?;
        let mut config = git.config().context(doing)?;
        // The user's own settings must not take our hook away, and broken or hostile objects stay out.
        config.set_str("core.hooksPath", "hooks").context(doing)?;
        config.set_bool("receive.fsckObjects", true).context(doing)?;
        Ok(Self::of(git))
    }

    fn of(git: GitRepository) -> Self {
        Self { git, folders: Folders::default() }
    }

    fn open_with(path: &Path, flags: RepositoryOpenFlags) -> Result<Self> {
        match GitRepository::open_ext(path, flags, std::iter::empty::<&std::ffi::OsStr>()) {
            Ok(git) => Ok(Self::of(git)),
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(absent(format!("there is no git repository at `{}`", path.display())))
            }
            Err(error) if error.code() == ErrorCode::Owner => Err(SourceError::Refused(format!(
                "the git repository `{0}` belongs to another user; run as that user, or allow it with \
                 `git config --global --add safe.directory {0}`",
                path.display()
            ))),
            Err(error) => Err(error).context(|| format!("failed to open the git repository at `{}`", path.display())),
        }
    }

    /// The repository's own directory: the bare repository, or `.git`.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        self.git.path()
    }

    /// The work tree's root; none for a bare repository.
    #[must_use]
    pub fn work_tree(&self) -> Option<PathBuf> {
        self.git.workdir().map(Path::to_path_buf)
    }

    /// The path that the remote `origin` points to, when it is a directory of this machine.
    #[must_use]
    pub fn origin_path(&self) -> Option<PathBuf> {
        let remote = self.git.find_remote("origin").ok()?;
        let url = remote.url().ok()?;
        let path = PathBuf::from(url.strip_prefix("file://").unwrap_or(url));
        // What looks like neither a path from the root nor one from here is a host's name.
        let from_here = path.starts_with("..") || path.starts_with(".");
        match self.work_tree() {
            Some(work_tree) if from_here => fs_err::canonicalize(work_tree.join(path)).ok(),
            _ => path.is_absolute().then_some(path),
        }
    }

    /// The commit that `name` stands for. Tried in this order: `HEAD`, a full commit id, a full reference (`refs/...`),
    /// a branch, a tag, a branch of `origin`, the first 4 or more characters of a commit id. git's operators (`~`, `^`,
    /// `@{...}`, `:/text`) are not understood: `name` may come from a file in a pull request.
    ///
    /// # Errors
    /// [`SourceError::Absent`] when nothing has that name or more than one commit id begins like it.
    pub fn resolve(&self, name: &str) -> Result<CommitSha> {
        let nothing = || {
            let shown: String = name.chars().take(120).collect();
            absent(format!("there is no branch, tag or commit `{shown}`"))
        };
        if name == "HEAD" {
            return match self.git.head() {
                Ok(head) => self.peel(&head),
                Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                    Err(absent("the repository has no commit yet".to_owned()))
                }
                Err(error) => Err(error).context(|| "failed to read `HEAD`".to_owned()),
            };
        }
        if let Ok(full) = CommitSha::parse(name) {
            return self.commit(&full).map(|_| full);
        }
        for reference in candidates(name) {
            if let Some(reference) = self.reference(&reference)? {
                return self.peel(&reference);
            }
        }
        let hexadecimal = (4..40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal {
            return Err(nothing());
        }
        match self.git.find_commit_by_prefix(&name.to_ascii_lowercase()) {
            Ok(commit) => Ok(sha(commit.id())),
            Err(error) if error.code() == ErrorCode::Ambiguous => {
                Err(absent(format!("more than one commit begins with `{name}`; write more of it")))
            }
            Err(_) => Err(nothing()),
        }
    }

    /// The branch that `HEAD` names, whether or not it has a commit; none when `HEAD` is detached.
    ///
    /// # Errors
    /// When `HEAD` cannot be read.
    pub fn head_branch(&self) -> Result<Option<String>> {
        let head = self.git.find_reference("HEAD").context(|| "failed to read `HEAD`".to_owned())?;
        let target = head.symbolic_target().ok().flatten();
        Ok(target.and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned))
    }

    /// Makes `HEAD` name the branch, whether or not it has a commit.
    ///
    /// # Errors
    /// When `HEAD` cannot be written.
    pub fn set_head_branch(&self, branch: &str) -> Result<()> {
        if self.head_branch()?.as_deref() == Some(branch) {
            return Ok(());
        }
        self.git.set_head(&format!("refs/heads/{branch}")).context(|| format!("failed to make `HEAD` name `{branch}`"))
    }

    /// Every branch with the commit that it points to, by name. Branches whose name is not UTF-8 are left out.
    ///
    /// # Errors
    /// When the references cannot be read.
    pub fn branches(&self) -> Result<Vec<(String, CommitSha)>> {
        let doing = || "failed to list branches".to_owned();
        let mut branches = Vec::new();
        for branch in self.git.branches(Some(BranchType::Local)).context(doing)? {
            let (branch, _) = branch.context(doing)?;
            let Ok(Some(name)) = branch.name() else { continue };
            if let Ok(commit) = branch.get().peel_to_commit() {
                branches.push((name.to_owned(), sha(commit.id())));
            }
        }
        branches.sort();
        Ok(branches)
    }

    /// Every tag with the commit that it leads to, by name. Tags of anything but a commit are left out.
    ///
    /// # Errors
    /// When the references cannot be read.
    pub fn tags(&self) -> Result<Vec<(String, CommitSha)>> {
        let doing = || "failed to list tags".to_owned();
        let mut tags = Vec::new();
        for reference in self.git.references_glob("refs/tags/*").context(doing)? {
            let reference = reference.context(doing)?;
            let Ok(name) = reference.name() else { continue };
            if let (Some(name), Ok(commit)) = (name.strip_prefix("refs/tags/"), self.peel(&reference)) {
                tags.push((name.to_owned(), commit));
            }
        }
        tags.sort();
        Ok(tags)
    }

    /// The commit that the branch points to; none when there is no such branch.
    ///
    /// # Errors
    /// When the reference cannot be read.
    pub fn branch(&self, name: &str) -> Result<Option<CommitSha>> {
        self.reference_head(&format!("refs/heads/{name}"))
    }

    /// The commit that the full reference leads to; none when there is no such reference.
    ///
    /// # Errors
    /// When the reference cannot be read.
    pub fn reference_head(&self, reference: &str) -> Result<Option<CommitSha>> {
        match self.reference(reference)? {
            Some(reference) => self.peel(&reference).map(Some),
            None => Ok(None),
        }
    }

    /// The newest commit that both `a` and `b` descend from; none when their histories share nothing.
    ///
    /// # Errors
    /// When a commit is not there.
    pub fn merge_base(&self, a: &CommitSha, b: &CommitSha) -> Result<Option<CommitSha>> {
        let (one, two) = (self.commit(a)?.id(), self.commit(b)?.id());
        match self.git.merge_base(one, two) {
            Ok(base) => Ok(Some(sha(base))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).context(|| format!("failed to find what `{a}` and `{b}` have in common")),
        }
    }

    /// Whether `commit` is `tip` or one of its ancestors.
    ///
    /// # Errors
    /// When a commit is not there.
    pub fn contains(&self, tip: &CommitSha, commit: &CommitSha) -> Result<bool> {
        Ok(self.merge_base(tip, commit)?.as_ref() == Some(commit))
    }

    /// What the commit says about itself, for people.
    ///
    /// # Errors
    /// When the commit is not there.
    pub fn describe(&self, commit: &CommitSha) -> Result<CommitNote> {
        let commit = self.commit(commit)?;
        let author = commit.author();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(MAX_NOTE).collect();
        Ok(CommitNote {
            summary: text(commit.summary_bytes().unwrap_or_default()),
            author: text(author.name_bytes()),
            email: text(author.email_bytes()),
            at: Time(commit.time().seconds().saturating_mul(1000)),
        })
    }

    /// At most `limit` commits that `tip` holds and none of `known` does, newest first.
    ///
    /// # Errors
    /// When `tip` is not there. Unknown commits in `known` are passed over.
    pub fn commits(&self, tip: &CommitSha, known: &[CommitSha], limit: usize) -> Result<Vec<CommitSha>> {
        let doing = || format!("failed to walk the history of `{tip}`");
        let mut walk = self.git.revwalk().context(doing)?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME).context(doing)?;
        walk.push(self.commit(tip)?.id()).context(doing)?;
        for commit in known {
            if let Ok(commit) = self.commit(commit) {
                walk.hide(commit.id()).context(doing)?;
            }
        }
        walk.take(limit).map(|id| Ok(sha(id.context(doing)?))).collect()
    }

    /// The commit's first parent; none for a root commit.
    ///
    /// # Errors
    /// When the commit is not there.
    pub fn parent(&self, commit: &CommitSha) -> Result<Option<CommitSha>> {
        Ok(self.commit(commit)?.parent_ids().next().map(sha))
    }

    fn commit(&self, commit: &CommitSha) -> Result<git2::Commit<'_>> {
        let id = oid(commit);
        match self.git.find_commit(id) {
            Ok(found) => Ok(found),
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(absent(format!("there is no commit `{commit}` in this repository")))
            }
            Err(error) => Err(error).context(|| format!("failed to read commit `{commit}`")),
        }
    }

    fn reference(&self, name: &str) -> Result<Option<Reference<'_>>> {
        if !Reference::is_valid_name(name) {
            return Ok(None);
        }
        match self.git.find_reference(name) {
            Ok(reference) => Ok(Some(reference)),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(error).context(|| format!("failed to read reference `{name}`")),
        }
    }

    fn peel(&self, reference: &Reference<'_>) -> Result<CommitSha> {
        let object = reference.peel(ObjectType::Commit).map_err(|_| {
            absent(format!("`{}` does not lead to a commit", String::from_utf8_lossy(reference.name_bytes())))
        })?;
        Ok(sha(object.id()))
    }
}

/// The references that a short name can mean, best first.
fn candidates(name: &str) -> Vec<String> {
    let mut names = Vec::new();
    if name.starts_with("refs/") {
        names.push(name.to_owned());
    }
    names.extend(["refs/heads/", "refs/tags/", "refs/remotes/origin/"].map(|prefix| format!("{prefix}{name}")));
    names
}

fn sha(id: Oid) -> CommitSha {
    CommitSha::parse(id.to_string()).expect("git prints an id as 40 lower-case hexadecimal characters")
}

fn object(id: Oid) -> ObjectId {
    ObjectId::parse(id.to_string()).expect("git prints an id as 40 lower-case hexadecimal characters")
}

fn oid(commit: &CommitSha) -> Oid {
    Oid::from_str(commit.as_str()).expect("40 hexadecimal characters are an id")
}

#[cfg(test)]
mod tests;
