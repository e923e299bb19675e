//! A forge with one repository and a clone of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use modelship::domain::event::{Event, Keyed, PullChange};
use modelship::domain::forge::PullSnapshot;
use modelship::domain::ids::{PullRef, Repository, RepositoryName, Time};
use modelship::edge::forge::local::{Delivery, LocalForge, LocalForgeError, NewPull};
use modelship::edge::source::Source;
use modelship::server::payload;
use serde_json::Value;

pub(crate) fn noon() -> Time {
    Time(1_790_000_000_000)
}

/// A forge with one repository and a clone of it.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) forge: LocalForge,
    pub(crate) repository: Repository,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::in_folder("forge")
    }

    /// The forge lies in a folder of this name; the hook writes down how it was called.
    pub(crate) fn in_folder(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let forge = LocalForge::create(&directory.path().join(name), "http://127.0.0.1:9", noon).unwrap();
        let recorder = directory.path().join("it's \"modelship\" $(touch pwned)");
        let script = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s\\n' \"$@\" >\"$here/argv\"\ncat >\"$here/lines\"\n";
        std::fs::write(&recorder, script).unwrap();
        std::fs::set_permissions(&recorder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = RepositoryName::parse("urban/hub").unwrap();
        let repository = forge.create_repository(&name, &recorder).unwrap();
        let world = Self { directory, forge, repository };
        world.git(&["clone", "-q", world.git_dir().to_str().unwrap(), world.clone().to_str().unwrap()], Path::new("/"));
        world.commit("main", "README.md", "hello");
        world
    }

    pub(crate) fn git_dir(&self) -> PathBuf {
        self.forge.git_dir(&self.repository.name)
    }

    pub(crate) fn clone(&self) -> PathBuf {
        self.directory.path().join("clone")
    }

    pub(crate) fn source(&self) -> Source {
        Source::open(&self.git_dir()).unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str], at: &Path) {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(at)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Commits a file on the branch, which is made from where the clone stands, and pushes. Gives what the hook saw.
    pub(crate) fn commit(&self, branch: &str, file: &str, text: &str) -> String {
        let clone = self.clone();
        let known = self.source().branch(branch).unwrap().is_some();
        if known {
            self.git(&["fetch", "-q", "origin"], &clone);
            self.git(&["checkout", "-q", "-B", branch, &format!("refs/remotes/origin/{branch}")], &clone);
        } else {
            self.git(&["checkout", "-q", "-B", branch], &clone);
        }
        std::fs::create_dir_all(clone.join(file).parent().unwrap()).unwrap();
        std::fs::write(clone.join(file), text).unwrap();
        self.git(&["add", "-A"], &clone);
        self.git(&["commit", "-qm", &format!("write {file}")], &clone);
        self.push(&[&format!("refs/heads/{branch}")])
    }

    pub(crate) fn push(&self, refs: &[&str]) -> String {
        let clone = self.clone();
        self.git(&[&["push", "-qf", "origin", "--"][..], refs].concat(), &clone);
        std::fs::read_to_string(self.directory.path().join("lines")).unwrap()
    }

    pub(crate) fn open(&self, head: &str) -> (PullRef, Vec<Delivery>) {
        let (snapshot, deliveries) = self.forge.open_pull(&self.new_pull(head, "main")).unwrap();
        (snapshot.pull, deliveries)
    }

    pub(crate) fn new_pull(&self, head: &str, base: &str) -> NewPull {
        NewPull {
            repository: self.repository.name.clone(),
            title: "A change".into(),
            head: head.into(),
            base: base.into(),
            author: "ada".into(),
        }
    }

    pub(crate) fn received(&self, lines: &str) -> Vec<Delivery> {
        self.forge.post_receive(&self.repository.name, lines).unwrap()
    }
}

pub(crate) fn body(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.body).unwrap()
}

/// The deliveries as the server reads them.
pub(crate) fn events(deliveries: &[Delivery]) -> Vec<Keyed> {
    deliveries
        .iter()
        .flat_map(|delivery| payload::read(delivery.event, delivery.body.as_bytes()).unwrap().events)
        .collect()
}

/// The only pull request event among the deliveries.
pub(crate) fn pull_event(deliveries: &[Delivery]) -> (PullChange, PullSnapshot) {
    let mut found = events(deliveries).into_iter().filter_map(|keyed| match keyed.event {
        Event::PullChanged { snapshot, change } => Some((change, *snapshot)),
        _ => None,
    });
    let first = found.next().expect("a pull request event");
    assert!(found.next().is_none(), "one pull request event");
    first
}

pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, LocalForgeError>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_users_fault(), "{error:?}");
    error.to_string()
}
