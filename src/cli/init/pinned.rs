//! Where the workflows of a new hub take modelship's actions from.

use crate::domain::ids::{CommitSha, RepositoryName};

/// A repository with modelship's actions, and the commit, tag or branch of it that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActionsSource {
    repository: RepositoryName,
    reference: String,
}

impl Default for ActionsSource {
    /// The commit that this program was built from, see `build.rs`.
    fn default() -> Self {
        Self::built_from(option_env!("MODELSHIP_COMMIT"))
    }
}

impl std::fmt::Display for ActionsSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.repository, self.reference)
    }
}

impl std::str::FromStr for ActionsSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no `owner/name@reference`");
        let (repository, reference) = text.split_once('@').ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if reference.is_empty() || reference.starts_with('-') || !reference.chars().all(plain) {
            return Err(wrong());
        }
        let repository = repository.parse().map_err(|error| format!("{}: {error}", wrong()))?;
        Ok(Self { repository, reference: reference.to_owned() })
    }
}

impl ActionsSource {
    /// What belongs to a program of this commit; to one that does not know its commit, the release of its version.
    fn built_from(commit: Option<&str>) -> Self {
        let repository = RepositoryName::new("modelship", "modelship").expect("a name of plain letters is one");
        let released = || format!("v{}", env!("CARGO_PKG_VERSION"));
        let commit = commit.and_then(|commit| CommitSha::parse(commit).ok());
        Self { repository, reference: commit.map_or_else(released, |commit| commit.to_string()) }
    }

    /// Whether it is a commit, which nobody can move.
    pub(crate) fn is_pinned(&self) -> bool {
        CommitSha::parse(&self.reference).is_ok()
    }

    /// A workflow with this source in the places that are left open for it.
    pub(crate) fn fill(&self, workflow: &str) -> String {
        let repository = self.repository.to_string();
        workflow.replace("MODELSHIP_REPOSITORY", &repository).replace("@MODELSHIP_REF", &format!("@{}", self.reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_knows_its_commit_uses_the_actions_of_that_commit() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let known = ActionsSource::built_from(Some(commit));
        assert_eq!((known.to_string(), known.is_pinned()), (format!("modelship/modelship@{commit}"), true));
        for unknown in [None, Some(""), Some("main"), Some("0123456")] {
            let released = ActionsSource::built_from(unknown);
            let expected = format!("modelship/modelship@v{}", env!("CARGO_PKG_VERSION"));
            assert_eq!((released.to_string(), released.is_pinned()), (expected, false));
        }
    }
}
