//! Repositories of the local forge and the hook that tells of a push.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::{Context as _, refused};
use super::files::Lock;
use super::{LocalForge, LocalForgeError, Record, RepositoryRecord, Result};
use crate::domain::ids::{Repository, RepositoryName};
use crate::edge::source::Source;

/// The branch that a new repository begins with.
const FIRST_BRANCH: &str = "main";

/// Names in the root that no owner may have.
const OWN_FILES: [&str; 4] = ["forge.json", "members.json", "webhook-secret", "lock"];

impl LocalForge {
    /// Makes an empty bare repository whose hook calls the program `executable` (absolute) after each push.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when there is one of that name already.
    pub fn create_repository(&self, name: &RepositoryName, executable: &Path) -> Result<Repository> {
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        if record.repositories.iter().any(|it| it.repository.name == *name) {
            return Err(refused(format!("there is a repository `{name}` already")));
        }
        if OWN_FILES.contains(&name.owner()) {
            return Err(refused(format!("`{}` cannot be the owner of a repository here", name.owner())));
        }
        let at = self.path_of(name, "git");
        Source::create_bare(&at, FIRST_BRANCH)?;
        self.install_hook(name, executable)?;

        if !record.owners.contains_key(name.owner()) {
            let id = record.take_id();
            record.owners.insert(name.owner().to_owned(), id);
        }
        let repository = Repository { id: record.take_id(), name: name.clone() };
        record.repositories.push(RepositoryRecord { repository: repository.clone(), next_pull: 1 });
        self.write_record(&lock, &record)?;
        Ok(repository)
    }

    /// Writes the hook of the repository anew, for instance after the program `executable` (absolute) has moved.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when `executable` is not an absolute path.
    pub fn install_hook(&self, name: &RepositoryName, executable: &Path) -> Result<()> {
        if !executable.is_absolute() {
            return Err(refused(format!(
                "the hook needs an absolute path to modelship, not `{}`",
                executable.display()
            )));
        }
        let hooks = self.path_of(name, "git").join("hooks");
        let path = hooks.join("post-receive");
        let doing = || format!("failed to install the hook `{}`", path.display());
        let write = || -> anyhow::Result<()> {
            fs_err::create_dir_all(&hooks)?;
            let mut file = tempfile::NamedTempFile::new_in(&hooks)?;
            std::io::Write::write_all(&mut file, &hook(executable, &self.root, name))?;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
            file.persist(&path)?;
            Ok(())
        };
        write().context(doing)
    }

    /// Every repository, by name.
    ///
    /// # Errors
    /// When the forge cannot be read.
    pub fn repositories(&self) -> Result<Vec<Repository>> {
        let mut all: Vec<_> = self.record()?.repositories.into_iter().map(|record| record.repository).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The repository called `name`.
    ///
    /// # Errors
    /// [`LocalForgeError::Unknown`] when there is none.
    pub fn repository(&self, name: &RepositoryName) -> Result<Repository> {
        Ok(self.record()?.by_name(name)?.repository.clone())
    }

    /// Where the bare repository lies, whether or not it is there.
    #[must_use]
    pub fn git_dir(&self, name: &RepositoryName) -> PathBuf {
        self.path_of(name, "git")
    }

    pub(super) fn source(&self, name: &RepositoryName) -> Result<Source> {
        Ok(Source::open(&self.git_dir(name))?)
    }

    /// `<root>/<owner>/<name>.<ending>`. Both halves of a name are checked to be plain words.
    pub(super) fn path_of(&self, name: &RepositoryName, ending: &str) -> PathBuf {
        self.root.join(name.owner()).join(format!("{}.{ending}", name.name()))
    }
}

impl Record {
    pub(super) fn by_name(&self, name: &RepositoryName) -> Result<&RepositoryRecord> {
        let found = self.repositories.iter().find(|it| it.repository.name == *name);
        found.ok_or_else(|| LocalForgeError::Unknown(format!("there is no repository `{name}` in the local forge")))
    }

    /// The repository with this number, whatever it is called today.
    pub(super) fn by_id(&self, repository: &Repository) -> Result<&RepositoryRecord> {
        self.repositories.iter().find(|it| it.repository.id == repository.id).ok_or_else(|| {
            LocalForgeError::Unknown(format!("there is no repository `{}` in the local forge", repository.name))
        })
    }
}

/// The hook's text. git starts it after a push with `old new reference` lines on its standard input.
fn hook(executable: &Path, root: &Path, name: &RepositoryName) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec ".to_vec();
    script.extend(quoted(executable.as_os_str()));
    script.extend(b" forge-hook --forge ");
    script.extend(quoted(root.as_os_str()));
    script.extend(b" --repository ");
    script.extend(quoted(OsStr::new(&name.to_string())));
    script.push(b'\n');
    script
}

/// One word of a shell script, whatever it holds: within `'...'` only `'` itself is special.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut text = b"'".to_vec();
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend(br"'\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}
