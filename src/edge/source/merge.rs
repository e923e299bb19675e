//! Merging one branch into another, in the repository alone: no work tree, no index file, no hook.

use git2::{ErrorCode, Signature, Time as GitTime};

use super::error::{Context as _, failed};
use super::{Source, SourceError, oid, sha};
use crate::domain::ids::{CommitSha, Time};

/// Most conflicting files that an error names.
const NAMED_CONFLICTS: usize = 10;

/// Who merges, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeAuthor {
    /// Name for the commit.
    pub name: String,
    /// Address for the commit.
    pub email: String,
    /// When.
    pub at: Time,
}

/// Why a merge did not happen. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Both sides changed the same place.
    #[error("both branches changed {}; merge the base branch into the head branch and resolve it there", .0.join(", "))]
    Conflict(Vec<String>),
    /// The base branch already holds the commit.
    #[error("there is nothing to merge: branch `{0}` holds the commit already")]
    Nothing(String),
    /// The base branch moved meanwhile.
    #[error("branch `{0}` moved meanwhile; try again")]
    Moved(String),
    /// A commit or branch cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Source {
    /// Merges `head` into the branch `base` with a merge commit and moves the branch to it. Gives the merge commit.
    ///
    /// # Errors
    /// [`MergeError`] says which; the branch has not moved then.
    pub fn merge_commit(
        &self,
        base: &str,
        head: &CommitSha,
        message: &str,
        author: &MergeAuthor,
    ) -> Result<CommitSha, MergeError> {
        let doing = || format!("failed to merge `{head}` into branch `{base}`");
        let ours = self
            .branch(base)?
            .ok_or_else(|| SourceError::Absent(format!("there is no branch `{base}` in the repository")))?;
        if self.contains(&ours, head)? {
            return Err(MergeError::Nothing(base.to_owned()));
        }
        let (our, their) = (self.commit(&ours)?, self.commit(head)?);
        let mut index = self.git.merge_commits(&our, &their, None).context(doing)?;
        if index.has_conflicts() {
            let mut files: Vec<String> = index
                .conflicts()
                .context(doing)?
                .take(NAMED_CONFLICTS * 3)
                .flatten()
                .filter_map(|conflict| conflict.our.or(conflict.their).or(conflict.ancestor))
                .map(|entry| format!("`{}`", String::from_utf8_lossy(&entry.path).escape_debug()))
                .collect();
            files.dedup();
            files.truncate(NAMED_CONFLICTS);
            return Err(MergeError::Conflict(files));
        }
        let tree = index.write_tree_to(&self.git).context(doing)?;
        let tree = self.tree(tree)?;
        let at = GitTime::new(author.at.0.div_euclid(1000), 0);
        let signature = Signature::new(&author.name, &author.email, &at).context(doing)?;
        let merged = self.git.commit(None, &signature, &signature, message, &tree, &[&our, &their]).context(doing)?;
        let reference = format!("refs/heads/{base}");
        match self.git.reference_matching(&reference, merged, true, oid(&ours), "merge of a pull request") {
            Ok(_) => Ok(sha(merged)),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Locked) => {
                Err(MergeError::Moved(base.to_owned()))
            }
            Err(error) => Err(failed(&error, doing()).into()),
        }
    }
}
