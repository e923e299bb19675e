//! Which repositories everybody may read.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::file::{PublicEntry, PublicFile};
use crate::domain::ids::{Repository, RepositoryName};

/// Repositories whose models, sweeps and files everybody may read who reaches the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Public {
    /// Every one.
    All,
    /// These, and no other.
    Only {
        /// By the forge's number.
        ids: BTreeSet<i64>,
        /// By name, which can change hands.
        names: BTreeSet<RepositoryName>,
    },
}

impl Default for Public {
    fn default() -> Self {
        Self::Only { ids: BTreeSet::new(), names: BTreeSet::new() }
    }
}

impl Public {
    /// Whether everybody may read `repository`.
    #[must_use]
    pub fn includes(&self, repository: &Repository) -> bool {
        match self {
            Self::All => true,
            Self::Only { ids, names } => ids.contains(&repository.id) || names.contains(&repository.name),
        }
    }

    /// Whether there is nothing that everybody may read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::All => false,
            Self::Only { ids, names } => ids.is_empty() && names.is_empty(),
        }
    }
}

/// What the file says.
pub(super) fn public_repositories(file: Option<PublicFile>) -> Result<Public> {
    let entries = match file {
        None => return Ok(Public::default()),
        Some(PublicFile::Word(word)) if word == "all" => return Ok(Public::All),
        Some(PublicFile::Word(word)) => anyhow::bail!(
            "`server.public_repositories` is `{word}`; write `all`, or a list of repositories such as `[urban/models, 4711]`"
        ),
        Some(PublicFile::List(entries)) => entries,
    };
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        match entry {
            PublicEntry::Id(id) => {
                ids.insert(id);
            }
            PublicEntry::Name(name) => {
                let name = RepositoryName::parse(&name).with_context(|| {
                    format!(
                        "`server.public_repositories` names `{name}`; write `owner/name` or the repository's number"
                    )
                })?;
                names.insert(name);
            }
        }
    }
    Ok(Public::Only { ids, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Public> {
        public_repositories(Some(serde_yaml::from_str(text)?))
    }

    fn repository(id: i64, name: &str) -> Repository {
        Repository { id, name: RepositoryName::parse(name).unwrap() }
    }

    #[test]
    fn only_what_is_named_is_public() {
        let public = read("[urban/models, 4711]").unwrap();
        assert!(public.includes(&repository(1, "urban/models")) && public.includes(&repository(4711, "urban/renamed")));
        assert!(!public.includes(&repository(2, "urban/secret")));
        assert!(read("all").unwrap().includes(&repository(2, "urban/secret")));
        assert!(public_repositories(None).unwrap().is_empty() && read("[]").unwrap().is_empty());
    }

    #[test]
    fn a_word_that_means_nothing_makes_nothing_public() {
        for text in ["none", "[no-name]", "[\"..\"]"] {
            assert!(read(text).unwrap_err().to_string().contains("server.public_repositories"), "{text}");
        }
    }
}
