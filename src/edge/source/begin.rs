//! A new repository with its first commit.

use std::path::Path;

use git2::{IndexAddOption, Repository as GitRepository, RepositoryInitOptions, Signature, Time as GitTime};

use super::error::Context as _;
use super::{Result, Source, sha};
use crate::domain::ids::{CommitSha, Time};

/// A commit to make.
#[derive(Debug, Clone, Copy)]
pub struct FirstCommit<'a> {
    /// The branch.
    pub branch: &'a str,
    /// Who makes it, unless git's settings name somebody.
    pub author: &'a str,
    /// Its message.
    pub message: &'a str,
    /// When.
    pub at: Time,
}

impl Source {
    /// Makes a repository with a work tree at `path`, and commits every file there that is not ignored.
    ///
    /// # Errors
    /// When there is a repository already, or the disk refuses.
    pub fn begin(path: &Path, first: FirstCommit<'_>) -> Result<(Self, CommitSha)> {
        let doing = || format!("failed to make a git repository at `{}`", path.display());
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).initial_head(first.branch);
        let git = GitRepository::init_opts(path, &options).context(doing)?;
        let mut index = git.index().context(doing)?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None).context(doing)?;
        let tree = index.write_tree().context(doing)?;
        index.write().context(doing)?;
        let setting = |name: &str| git.config().and_then(|config| config.get_string(name)).ok();
        let name = setting("user.name").unwrap_or_else(|| first.author.to_owned());
        let email = setting("user.email").unwrap_or_else(|| format!("{}@localhost", first.author));
        let author = Signature::new(&name, &email, &GitTime::new(first.at.0 / 1000, 0)).context(doing)?;
        let source = Self::of(git);
        let tree = source.tree(tree)?;
        let commit = source.git.commit(Some("HEAD"), &author, &author, first.message, &tree, &[]).context(doing)?;
        drop(tree);
        let commit = sha(commit);
        Ok((source, commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_repository_holds_what_was_there_but_for_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join(".gitignore"), "*.log\n").unwrap();
        fs_err::write(dir.path().join("kept"), "1").unwrap();
        fs_err::write(dir.path().join("a.log"), "2").unwrap();
        let first = FirstCommit { branch: "main", author: "ada", message: "Begin\n", at: Time(1_000_000) };
        let (source, commit) = Source::begin(dir.path(), first).unwrap();
        assert_eq!(source.resolve("main").unwrap(), commit);
        assert_eq!(source.read_file(&commit, "kept").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(source.read_file(&commit, "a.log").unwrap(), None);
        assert_eq!(source.first_change().unwrap(), None);
        assert!(Source::begin(dir.path(), first).is_err());
    }
}
