//! Somebody who works alone, in a folder with a git repository.

use std::path::Path;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::ask_until;
use super::models::copy_hub;
use super::processes::complain_of_processes;
use super::programs::{Said, commit, git, modelship, write};

/// A folder with a git repository in it, used through the laptop's verbs.
pub(crate) struct Laptop {
    pub(crate) directory: TempDir,
}

impl Laptop {
    /// A repository with the project's own hub in it: the models that are named, and every sweep of them.
    pub(crate) fn with_models(models: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
        copy_hub(directory.path(), models);
        commit(directory.path(), "Begin");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        write(self.path(), path, text);
    }

    pub(crate) fn commit(&self, message: &str) {
        commit(self.path(), message);
    }

    pub(crate) fn modelship(&self, arguments: &[&str]) -> Said {
        self.modelship_in(self.path(), arguments)
    }

    /// A verb in another folder of the laptop.
    pub(crate) fn modelship_in(&self, folder: &Path, arguments: &[&str]) -> Said {
        Said::of(&modelship(folder).args(arguments).output().unwrap())
    }

    /// Starts a verb and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        modelship(self.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Asks until there is an answer.
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut(&Self) -> Option<T>) -> T {
        ask_until(self, what, look, |_| String::new())
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        complain_of_processes(self.directory.path());
    }
}
