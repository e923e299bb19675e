//! The local forge: bare repositories, pull requests and their threads in a directory, with GitHub's manners.
//!
//! It stands in for GitHub where there is none: a push, a new pull request, a comment, a merge become deliveries in
//! GitHub's form, signed as GitHub signs them, so that the server has one way in. Command line processes, git's hook and
//! the server work on the directory at the same time; every change is made under one file lock and by replacing whole
//! files, and reading needs no lock.
//!
//! ```text
//! <root>/forge.json  members.json  webhook-secret  lock
//! <root>/<owner>/<name>.git                   bare repository; hooks/post-receive calls modelship
//! <root>/<owner>/<name>.pulls/<n>.json        a pull request with its thread
//! <root>/<owner>/<name>.statuses/<sha>.json   what is shown beside a commit
//! ```
//!
//! It decides nothing about models and sweeps. All calls but [`LocalForge::deliver`] block: they read and write files.

mod accounts;
mod deliver;
mod engine_side;
mod error;
mod files;
mod payload;
mod pulls;
mod push;
mod repositories;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::domain::forge::{CommitState, Permission, PullSnapshot, User};
use crate::domain::ids::{Repository, RepositoryName, Time};

pub use accounts::app_account;
pub use deliver::{DeliveryOutcome, DeliveryResult, signature};
pub use error::LocalForgeError;

use error::{Context as _, refused};
use files::Lock;

/// What the functions of this module give.
pub type Result<T, E = LocalForgeError> = std::result::Result<T, E>;

/// Where a forge takes the time from. Only the engine may ask the machine, so it is handed in.
pub type Clock = fn() -> Time;

/// A directory that plays forge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalForge {
    root: PathBuf,
    clock: Clock,
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The repository.
    pub repository: RepositoryName,
    /// One line; at most 256 characters. Control characters become spaces.
    pub title: String,
    /// The branch that holds the change.
    pub head: String,
    /// The branch that the change is for.
    pub base: String,
    /// The login of whoever opens it.
    pub author: String,
}

/// A pull request with everything said in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullThread {
    /// The pull request as it is now.
    pub snapshot: PullSnapshot,
    /// When it was opened.
    pub opened_at: Time,
    /// The comments, oldest first.
    pub comments: Vec<Comment>,
    /// What is shown beside its head commit, by context.
    pub statuses: Vec<Status>,
}

/// A comment of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its number, unique in the forge.
    pub id: i64,
    /// Who wrote it.
    pub author: User,
    /// Markdown.
    pub body: String,
    /// What finds one of our own comments again; none for everybody else's.
    pub marker: Option<String>,
    /// When it was written.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

/// How a commit fares in one respect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// In which respect: `modelship/build urban/simple-tax`.
    pub context: String,
    /// How.
    pub state: CommitState,
    /// One line, at most 140 characters.
    pub description: String,
    /// When this was said.
    pub updated_at: Time,
}

/// A webhook request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, a UUID.
    pub id: String,
    /// The event's name: `push`, `pull_request`, `issue_comment`.
    pub event: &'static str,
    /// The JSON body.
    pub body: String,
}

/// `forge.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The server's address.
    url: String,
    /// The next number for a repository, an owner, an account, a pull request or a comment.
    next_id: i64,
    /// Numbers of owners.
    owners: BTreeMap<String, i64>,
    /// The repositories.
    repositories: Vec<RepositoryRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RepositoryRecord {
    #[serde(flatten)]
    repository: Repository,
    next_pull: u64,
}

impl Record {
    fn take_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

impl LocalForge {
    /// Makes a forge in the directory `root`, which is created when missing. `url` is the server that deliveries go to.
    /// The person who runs this becomes its administrator.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when there is a forge already or `url` is not an `http://` address.
    pub fn create(root: &Path, url: &str, clock: Clock) -> Result<Self> {
        let url = deliver::server_address(url)?;
        let doing = || format!("failed to make a local forge in `{}`", root.display());
        fs_err::create_dir_all(root).context(doing)?;
        let forge = Self { root: fs_err::canonicalize(root).context(doing)?, clock };
        let lock = Lock::take(&forge.root)?;
        if forge.root.join("forge.json").exists() {
            return Err(refused(format!("there is a local forge in `{}` already", root.display())));
        }
        forge.write_secret().context(doing)?;
        let mut record =
            Record { url, next_id: app_account().id + 1, owners: BTreeMap::new(), repositories: Vec::new() };
        forge.write_members(&lock, &BTreeMap::new())?;
        let founder = accounts::os_login();
        forge.set_permission(&lock, &mut record, &founder, Permission::Admin)?;
        // Last, as it is what makes the directory a forge.
        forge.write_record(&lock, &record)?;
        Ok(forge)
    }

    /// Opens the forge in the directory `root`.
    ///
    /// # Errors
    /// [`LocalForgeError::Unknown`] when there is none.
    pub fn open(root: &Path, clock: Clock) -> Result<Self> {
        let absent = || LocalForgeError::Unknown(format!("there is no local forge in `{}`", root.display()));
        let forge = Self { root: fs_err::canonicalize(root).map_err(|_| absent())?, clock };
        if !forge.root.join("forge.json").is_file() {
            return Err(absent());
        }
        forge.record().map(|_| forge)
    }

    /// The forge's directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The address of the server that deliveries go to.
    ///
    /// # Errors
    /// When the forge cannot be read.
    pub fn url(&self) -> Result<String> {
        Ok(self.record()?.url)
    }

    /// Sends deliveries to the server at `url` from now on.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when `url` is not an `http://` address.
    pub fn set_url(&self, url: &str) -> Result<()> {
        let url = deliver::server_address(url)?;
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        record.url = url;
        self.write_record(&lock, &record)
    }

    /// What deliveries are signed with: 64 hexadecimal characters.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub fn webhook_secret(&self) -> Result<SecretString> {
        let path = self.root.join("webhook-secret");
        let doing = || format!("failed to read the webhook secret `{}`", path.display());
        let secret = fs_err::read_to_string(&path).context(doing)?;
        match secret.trim() {
            "" => Err(LocalForgeError::Failed { context: doing(), source: anyhow::anyhow!("the file is empty") }),
            secret => Ok(SecretString::from(secret)),
        }
    }

    fn write_secret(&self) -> std::io::Result<()> {
        let mut bytes = [0; 32];
        fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let path = self.root.join("webhook-secret");
        match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        std::io::Write::write_all(&mut file, hex::encode(bytes).as_bytes())
    }

    fn record(&self) -> Result<Record> {
        files::read(&self.root.join("forge.json"))
    }

    fn write_record(&self, lock: &Lock, record: &Record) -> Result<()> {
        files::write(lock, &self.root.join("forge.json"), record)
    }

    fn now(&self) -> Time {
        (self.clock)()
    }
}
