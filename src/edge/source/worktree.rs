//! A work tree with changes, as a commit that nobody else sees.

use std::path::Path;

use git2::{IndexAddOption, Signature, StatusOptions, Time as GitTime};

use super::error::{Context as _, refused};
use super::{Result, Source, SourceError, sha};
use crate::domain::ids::CommitSha;
use crate::domain::version::Tree;

/// modelship's own folder on a laptop; never part of a model's source, ignored by git or not.
const OWN_FOLDER: &str = ".modelship";

impl Source {
    /// The first path, from the work tree's top, at which it differs from `HEAD`: a changed, staged, deleted or new file
    /// that git does not ignore. None when nothing differs.
    ///
    /// # Errors
    /// [`SourceError::Refused`] for a bare repository; when the work tree cannot be read.
    pub fn first_change(&self) -> Result<Option<String>> {
        self.needs_work_tree()?;
        let doing = || "failed to compare the work tree with `HEAD`".to_owned();
        let mut options = StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).update_index(false);
        let statuses = self.git.statuses(Some(&mut options)).context(doing)?;
        let changed = statuses.iter().find(|status| !is_passed_over(status.path_bytes()));
        Ok(changed.map(|status| String::from_utf8_lossy(status.path_bytes()).into_owned()))
    }

    /// The work tree as it is now, as a commit: `HEAD` itself when nothing differs, otherwise a new commit on top of
    /// `HEAD` that no branch points to. Equal content on an equal `HEAD` gives an equal commit. Neither the user's files
    /// nor the index nor any reference change; git drops the commit some weeks later when it cleans up. Nested
    /// repositories and `.modelship` are left out.
    ///
    /// # Errors
    /// [`SourceError::Refused`] for a bare repository or one with unresolved merge conflicts.
    pub fn commit_dirty(&self) -> Result<(CommitSha, Tree)> {
        self.needs_work_tree()?;
        let doing = || "failed to take a copy of the work tree".to_owned();
        let parent = match self.resolve("HEAD") {
            Ok(head) => Some(self.commit(&head)?),
            Err(SourceError::Absent(_)) => None,
            Err(error) => return Err(error),
        };
        // This is the index as libgit2 holds it in memory; without `write` the user's file stays as it is.
        let mut index = self.git.index().context(doing)?;
        index.read(true).context(doing)?;
        let mut choose = |path: &Path, _: &[u8]| i32::from(is_passed_over(path.as_os_str().as_encoded_bytes()));
        // `*` matches in every folder. No pattern at all would, too; git2 then hands a null pointer to the callback's caller.
        index.add_all(["*"], IndexAddOption::DEFAULT, Some(&mut choose)).context(doing)?;
        index.update_all(["*"], None).context(doing)?;
        if index.has_conflicts() {
            return Err(refused("the work tree has unresolved merge conflicts; resolve them first".to_owned()));
        }
        let tree = index.write_tree().context(doing)?;
        index.read(true).context(doing)?;
        if let Some(parent) = &parent
            && parent.tree_id() == tree
        {
            return Ok((sha(parent.id()), Tree::Committed));
        }
        let tree = self.tree(tree)?;
        let nobody = Signature::new("modelship", "modelship@localhost", &GitTime::new(0, 0)).context(doing)?;
        let parents: Vec<_> = parent.iter().collect();
        let commit =
            self.git.commit(None, &nobody, &nobody, "work tree with changes\n", &tree, &parents).context(doing)?;
        Ok((sha(commit), Tree::Dirty))
    }

    fn needs_work_tree(&self) -> Result<()> {
        if self.git.is_bare() {
            let path = self.git.path().display();
            return Err(refused(format!("the git repository `{path}` is bare; it has no work tree")));
        }
        Ok(())
    }
}

/// Whether an entry of the work tree is left out: modelship's own folder, and a new folder that is a repository of its
/// own, which git lists as one entry with a `/` at its end.
fn is_passed_over(path: &[u8]) -> bool {
    let own = path.strip_prefix(OWN_FOLDER.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
    own || path.ends_with(b"/")
}
