//! Other repositories: fetched with the `git` program into a cache, from which they are read like any other.
//!
//! libgit2 is built without a network here, and `git` brings what people have set up: credentials, keys, proxies. It is
//! given an argv list and nothing of a manifest but an address and a name that were checked; of its transports only
//! HTTPS and SSH are allowed, and folders of this machine where settings say so. No hook runs, nothing is asked for, no
//! redirect is followed to where nobody has looked, and only the one commit is fetched, within a time.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::Source;
use super::hosts::{Resolver, look_up, name_a_proxy, pin};
use crate::domain::ids::{CommitSha, Digest};
use crate::domain::version::PinnedSource;
use crate::runner::supervise::{How, Limits, Stdout, Step, Stop, SuperviseError, supervise};
use crate::runner::{Log, resolve_program, tail_of};

/// How long may fetching take?
const TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Where a fetched commit is kept in the cache, so that nobody cleans it away.
const KEPT: &str = "refs/modelship/";

/// What `git` says when it was led on: the beginning of a status of 301, 302, 303, 307 or 308.
const REDIRECTED: &str = "The requested URL returned error: 30";

/// What is said of it.
const MOVED: &str =
    "it leads on to another address, and only the one that is written is asked; write the repository's own";

/// The cache of other repositories.
#[derive(Debug)]
pub struct Remotes {
    settings: RemoteSettings,
    resolver: Resolver,
    turns: Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>,
}

/// How other repositories are reached.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// The directory of the cache.
    pub directory: PathBuf,
    /// Folders of this machine whose repositories manifests may name with `file://`.
    pub folders: Vec<PathBuf>,
    /// Hosts of one's own network that manifests may name, as addresses spell them.
    pub hosts: Vec<String>,
    /// Where `git` is looked up.
    pub search_path: String,
    /// Variables that `git` sees: home, proxies, certificates.
    pub environment: Vec<(String, String)>,
}

/// A commit that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The repository in the cache, for [`Source::open`].
    pub git_dir: PathBuf,
    /// What was fetched.
    pub pinned: PinnedSource,
}

/// Why another repository could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The manifest's author, or who set this instance up, can mend it.
    #[error("{0}")]
    Refused(String),
    /// Its host does not answer, or broke off.
    #[error("{0}")]
    OutOfReach(String),
    /// It was asked to stop.
    #[error("fetching was stopped")]
    Stopped,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Remotes {
    /// A cache.
    #[must_use]
    pub fn new(settings: RemoteSettings) -> Self {
        let resolver = Resolver { look_up, has_proxy: name_a_proxy(&settings.environment) };
        Self { settings, resolver, turns: Mutex::new(HashMap::new()) }
    }

    /// Fetches the commit that `reference` (a branch, a tag or a whole commit id) stands for now in the repository at
    /// `repo`. Both must have passed the checks of a manifest. Blocks.
    ///
    /// # Errors
    /// As [`FetchError`] says.
    pub fn fetch(&self, repo: &str, reference: &str, stop: &Stop) -> Result<Fetched, FetchError> {
        let pin = self.check_host(repo)?;
        let transport = self.transport(repo)?;
        let git_dir = self.settings.directory.join(&Digest::of(repo).hex()[..32]);
        let turn = self.turn(&git_dir);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !git_dir.join("HEAD").exists() {
            fs_err::create_dir_all(&self.settings.directory).context("failed to make the cache of repositories")?;
            Source::create_bare(&git_dir, "main").context("failed to make a repository in the cache")?;
        }
        let deadline = Instant::now() + TIMEOUT;
        let git = Git { remotes: self, git_dir: &git_dir, transport, login: None, pin, deadline, stop };
        let wanted = match CommitSha::parse(reference) {
            Ok(commit) => commit.to_string(),
            Err(_) => git.find(repo, reference)?,
        };
        let kept = format!("{KEPT}{}", &Digest::of(reference).hex()[..32]);
        git.fetch(repo, &wanted, &kept).map_err(|error| error.about(repo, reference))?;
        let source = Source::open(&git_dir).context("failed to open a repository in the cache")?;
        let commit = source.resolve(&kept).context("failed to find what was fetched")?;
        let pinned = PinnedSource { repo: repo.to_owned(), reference: reference.to_owned(), commit };
        Ok(Fetched { git_dir, pinned })
    }

    /// Makes `git_dir` a mirror of the repository at `repo`, or brings it up to date: its branches, tags and heads of
    /// pull requests, and no others. `login` is a header of HTTP that says who asks. Blocks.
    ///
    /// # Errors
    /// As [`FetchError`] says.
    pub fn mirror(
        &self,
        repo: &str,
        git_dir: &Path,
        login: Option<&SecretString>,
        stop: &Stop,
    ) -> Result<(), FetchError> {
        // Its address comes from settings and not from a manifest, so a host of one's own network will do without TLS.
        let transport = if repo.starts_with("http://") { "http" } else { self.transport(repo)? };
        let turn = self.turn(git_dir);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !git_dir.join("HEAD").exists() {
            if let Some(parent) = git_dir.parent() {
                fs_err::create_dir_all(parent).context("failed to make the folder of mirrors")?;
            }
            Source::create_bare(git_dir, "main").context("failed to make a mirror")?;
        }
        let deadline = Instant::now() + TIMEOUT;
        let git = Git { remotes: self, git_dir, transport, login, pin: None, deadline, stop };
        let arguments = [
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            repo,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
            "+refs/pull/*/head:refs/pull/*/head",
        ];
        git.run(&arguments).map(drop).map_err(|error| error.about(repo, "branches, tags and pull requests"))
    }

    /// No manifest leads `git` to what only this machine or its network reaches; where it leads to instead.
    fn check_host(&self, repo: &str) -> Result<Option<String>, FetchError> {
        pin(repo, &self.settings.hosts, self.resolver)
    }

    /// The one transport that the address needs, when it is allowed.
    fn transport(&self, repo: &str) -> Result<&'static str, FetchError> {
        if repo.starts_with("https://") {
            return Ok("https");
        }
        if repo.starts_with("ssh://") {
            return Ok("ssh");
        }
        let Some(path) = repo.strip_prefix("file://").map(Path::new) else {
            return Err(FetchError::Refused(format!("`{repo}` is not a repository's address")));
        };
        // What a link leads to counts, and not where it lies.
        let real = fs_err::canonicalize(path)
            .map_err(|_| FetchError::Refused(format!("there is no repository at `{repo}`")))?;
        let allowed = |folder: &PathBuf| fs_err::canonicalize(folder).is_ok_and(|folder| real.starts_with(folder));
        if self.settings.folders.iter().any(allowed) {
            return Ok("file");
        }
        Err(FetchError::Refused(format!(
            "`{repo}` lies in no folder that this server takes sources from; its owner can list one under `source_folders`"
        )))
    }

    /// The lock by which fetches into one repository take turns.
    fn turn(&self, git_dir: &Path) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(git_dir.to_path_buf()).or_default())
    }
}

/// Why `git` did not do what it was told.
enum GitError {
    /// It said this.
    Failed(String),
    /// It said this of the way to the host.
    OutOfReach(String),
    Other(FetchError),
}

/// Words of `git` that tell of the way to the host: nothing could be asked, or the answer broke off.
const AWAY: [&str; 6] = [
    "unable to access 'http",
    "RPC failed",
    "early EOF",
    "hung up unexpectedly",
    "unexpected disconnect",
    "Could not read from remote repository",
];

/// Words that tell what else ended the connection: an object that is refused, a host that refuses.
const REFUSED: [&str; 2] = ["fsck error", "returned error: 4"];

/// Words of the system that tell of a full disk.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

impl GitError {
    /// What `said` means, the end of all that it printed.
    fn of(said: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        let last = said.lines().rev().find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
        let last = last.or(said.lines().last()).unwrap_or("git did not say why").to_owned();
        if last.contains(REDIRECTED) {
            return Self::Failed(MOVED.to_owned());
        }
        if says(&FULL) {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Self::Other(FetchError::Internal(anyhow::Error::new(full).context(format!("git failed: {last}"))));
        }
        let asks_to_wait = says(&["returned error: 429"]);
        if says(&AWAY) && (asks_to_wait || !says(&REFUSED)) { Self::OutOfReach(last) } else { Self::Failed(last) }
    }

    fn about(self, repo: &str, reference: &str) -> FetchError {
        let words = |said: String| format!("cannot fetch `{reference}` of `{repo}`: {said}");
        match self {
            Self::Other(error) => error,
            Self::Failed(said) => FetchError::Refused(words(said)),
            Self::OutOfReach(said) => FetchError::OutOfReach(words(said)),
        }
    }
}

/// One use of the `git` program.
struct Git<'a> {
    remotes: &'a Remotes,
    git_dir: &'a Path,
    transport: &'static str,
    login: Option<&'a SecretString>,
    /// Where the host is found, as `http.curloptResolve` takes it.
    pin: Option<String>,
    deadline: Instant,
    stop: &'a Stop,
}

impl Git<'_> {
    /// The full name of the branch or, where there is none, of the tag.
    fn find(&self, repo: &str, reference: &str) -> Result<String, FetchError> {
        let names = [format!("refs/heads/{reference}"), format!("refs/tags/{reference}")];
        let arguments = ["ls-remote", "--quiet", "--", repo, &names[0], &names[1]];
        let said = self.run(&arguments).map_err(|error| error.about(repo, reference))?;
        let has =
            |name: &&String| said.lines().any(|line| line.split_once('\t').is_some_and(|(_, found)| found == *name));
        names.iter().find(has).cloned().ok_or_else(|| {
            FetchError::Refused(format!(
                "`{repo}` has no branch and no tag `{reference}`; a commit must be written with all 40 characters"
            ))
        })
    }

    fn fetch(&self, repo: &str, wanted: &str, kept: &str) -> Result<(), GitError> {
        let refspec = format!("+{wanted}:{kept}");
        let arguments = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            repo,
            &refspec,
        ];
        self.run(&arguments).map(drop)
    }

    /// Runs `git` and gives what it printed.
    fn run(&self, arguments: &[&str]) -> Result<String, GitError> {
        let settings = &self.remotes.settings;
        let internal = |error: anyhow::Error| GitError::Other(FetchError::Internal(error));
        let program = resolve_program("git".as_ref(), Path::new("/"), &settings.search_path).map_err(|_| {
            internal(anyhow::anyhow!("there is no `git` here to fetch other repositories with; install it"))
        })?;
        let allow = format!("protocol.{}.allow=always", self.transport);
        let configured = [
            "protocol.allow=never",
            &allow,
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "fetch.fsckObjects=true",
            "gc.auto=0",
            // Only the address itself was checked. The forge's own is that of the name which it said a moment ago.
            "http.followRedirects=false",
            "http.lowSpeedLimit=1000",
            "http.lowSpeedTime=60",
        ];
        let mut words: Vec<OsString> = vec!["--git-dir".into(), self.git_dir.into()];
        words.extend(configured.iter().flat_map(|option| ["-c".into(), OsString::from(option)]));
        // Of `git` before 2.37 nothing can be told.
        let pin = self.pin.iter().flat_map(|pin| ["-c".into(), format!("http.curloptResolve={pin}").into()]);
        words.extend(pin);
        words.extend(arguments.iter().map(OsString::from));
        let own = [
            ("PATH", settings.search_path.as_str()),
            ("LANG", "C.UTF-8"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS", "/bin/false"),
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        ];
        let given = settings.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // By the environment, which others cannot read, and not by arguments, which everybody can.
        let login = self.login.map(|login| {
            let key = ("GIT_CONFIG_KEY_0", "http.extraHeader");
            [("GIT_CONFIG_COUNT", "1"), key, ("GIT_CONFIG_VALUE_0", login.expose_secret())]
        });
        let all = given.chain(own).chain(login.into_iter().flatten());
        let environment: Vec<_> = all.map(|(name, value)| (name.into(), value.into())).collect();
        let step = Step {
            program: &program,
            arguments: &words,
            directory: self.git_dir,
            environment: &environment,
            stdout: Stdout::Log,
        };
        let mut log = Log::new(Log::RUN);
        let limits = Limits { deadline: self.deadline, memory: None };
        match supervise(&step, &limits, &mut log, self.stop) {
            Ok(ended) => match ended.how {
                How::Exit(0) => Ok(log.text()),
                How::Stopped => Err(GitError::Other(FetchError::Stopped)),
                How::Timeout => {
                    let limit = humantime::format_duration(TIMEOUT);
                    Err(GitError::Failed(format!("it took longer than {limit}")))
                }
                How::Exit(_) | How::Signal(_) | How::OutOfMemory(_) => Err(GitError::of(&tail_of(&log.text()))),
            },
            Err(SuperviseError::CannotStart(error)) => {
                Err(internal(anyhow::Error::new(error).context("failed to start git")))
            }
            Err(SuperviseError::Internal(error)) => Err(internal(error)),
        }
    }
}

#[cfg(test)]
mod tests;
