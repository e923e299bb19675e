//! How this instance is set up: a file, the environment and flags, read once at the start.
//!
//! Settings belong to the host's owner and lie outside every repository; what a repository says (its policy) can only
//! tighten them. This is the only place that reads the environment. Secrets come from the environment or from files that
//! only their owner can read, and are never printed.

mod address;
mod environment;
mod file;
mod readers;
mod secrets;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use environment::{current_directory, log_filter, program, step_file, user_name, workflow_identity};
pub use readers::Public;
pub use webhooks::WebhookSettings;

use address::server_url;
use environment::{build_environment, git_environment, runner_path, variable};
use file::{DockerFile, File, ForgeFile};
use readers::public_repositories;
use secrets::{github_settings, registry_secrets, secrets_of};

use crate::domain::decision::Rules;
use crate::domain::ids::RepositoryName;
use crate::domain::manifest::Bases;
use crate::domain::report;
use crate::domain::sweep::cost::Price;

/// Settings, complete and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything lies that has no place of its own: database, artifacts, built models.
    pub state: PathBuf,
    /// The database's URL, which may hold a password.
    pub database: SecretString,
    /// The artifact store's directory.
    pub artifacts: PathBuf,
    /// Where repositories and pull requests are.
    pub forge: ForgeSettings,
    /// Other repositories that sources are fetched from.
    pub sources: SourceSettings,
    /// The server.
    pub server: ServerSettings,
    /// Other programs that are told what happens.
    pub webhooks: Vec<WebhookSettings>,
    /// What builds and runs models.
    pub executor: ExecutorKind,
    /// The `process` executor and builder.
    pub process: ProcessSettings,
    /// The `docker` executor and builder.
    pub docker: DockerSettings,
    /// Does a push straight to the default branch move `production`?
    pub promote_direct_pushes: bool,
    /// How long to wait between two edits of one comment.
    pub comment_interval: Duration,
    /// How many new comments a pull request may get within an hour, on the average; none for as many as there are.
    pub comments_per_hour: Option<u32>,
    /// How often to compare what is known with what is.
    pub reconcile_every: Duration,
    /// How long deliveries, decided events and failed tasks are remembered.
    pub keep_history: Duration,
    /// Most runs of one sweep.
    pub max_runs: u64,
    /// Most memory that a run may be given that needs more than its manifest says, in bytes; none for what the machine
    /// has.
    pub max_memory: Option<u64>,
}

/// Where repositories and pull requests are.
#[derive(Debug, Clone)]
pub enum ForgeSettings {
    /// Nowhere: one repository on this machine, no pull requests.
    Laptop {
        /// The repository's work tree.
        repository: PathBuf,
    },
    /// A directory of bare repositories with their pull requests beside them.
    Local {
        /// The directory.
        root: PathBuf,
    },
    /// GitHub.
    GitHub(GitHubSettings),
}

/// How GitHub is reached.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The API's address.
    pub api: String,
    /// Where repositories are fetched from.
    pub git: String,
    /// Who this instance is there.
    pub login: GitHubLogin,
    /// How long between two requests that write; GitHub's own advice unless the file says otherwise.
    pub between_writes: Option<Duration>,
    /// By what people sign in; none where nobody can.
    pub sign_in: Option<SignInSettings>,
}

/// By what GitHub knows us when it sends people back who signed in there.
#[derive(Debug, Clone)]
pub struct SignInSettings {
    /// The App's client id.
    pub client_id: String,
    /// The secret that goes with it.
    pub client_secret: SecretString,
}

/// Who this instance is on GitHub.
#[derive(Debug, Clone)]
pub enum GitHubLogin {
    /// A GitHub App.
    App {
        /// Its number.
        id: u64,
        /// Its private key, in PEM.
        key: SecretString,
    },
    /// The owner of a token.
    Token(SecretString),
}

/// The server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address at which others reach it, without a slash at the end. Tokens are made for it and links begin with it;
    /// no `Host` header is ever believed instead.
    pub url: Option<String>,
    /// Secrets that sign deliveries; any of them is good, so that one can be replaced without a gap.
    pub webhook_secrets: Vec<SecretString>,
    /// Secrets that registries show when they tell of pushed images; none takes no word of them.
    pub registry_secrets: Vec<SecretString>,
    /// Who signs the tokens of workflows.
    pub token_issuer: String,
    /// Repositories whose deliveries count, by the forge's number; empty means all.
    pub repositories: Vec<i64>,
    /// Repositories whose models, sweeps and files everybody may read.
    pub public: Public,
}

/// Other repositories that manifests may name with `source: {repo: ...}`.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Folders of this machine whose repositories may be named with `file://`.
    pub folders: Vec<PathBuf>,
    /// Hosts of one's own network that may be named, as addresses spell them.
    pub hosts: Vec<String>,
    /// Variables that `git` sees: where it finds its configuration, keys, proxies and certificates.
    pub environment: Vec<(String, String)>,
}

/// What builds and runs models. An executor runs what the builder of the same name makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// Processes of this machine, as this user, without isolation.
    #[default]
    Process,
    /// Containers of a Docker engine.
    Docker,
}

/// The `docker` executor and builder.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// The engine's address: `unix:///var/run/docker.sock` or `http://host:port`.
    pub host: String,
    /// Where images are pushed, for instance `registry.example.org/models`; none keeps them on the engine that built them.
    pub registry: Option<String>,
    /// Where images may lie that were built elsewhere: they become versions when they are offered.
    pub accept: Vec<String>,
    /// Who pushes and pulls; none when the registry asks nobody.
    pub registry_login: Option<(String, SecretString)>,
    /// The runner that goes into images. It must be a static program.
    pub runner: PathBuf,
    /// The engine's network for runs whose manifest leaves it open.
    pub network: String,
    /// Most processes and threads of one run.
    pub processes: u32,
    /// How large a model's image may be, in bytes.
    pub max_image: u64,
    /// The engine's network for builds.
    pub build_network: String,
    /// Base images of generated environments.
    pub bases: Bases,
    /// Build arguments for every Dockerfile that declares them.
    pub build_args: BTreeMap<String, String>,
    /// What runs cost here.
    pub price: Price,
}

/// The `process` executor and builder.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Most runs at once on this machine.
    pub slots: u32,
    /// Repositories whose models may be built and run as processes of this user. `process` promises no isolation.
    pub trusted: Trusted,
    /// Most builds at once.
    pub builds: u32,
    /// The program that runs jobs.
    pub runner: PathBuf,
    /// `PATH` of models' commands; this program's own unless the file says otherwise.
    pub search_path: String,
    /// Variables that build commands see: where package managers find their registries and proxies.
    pub build_environment: BTreeMap<String, String>,
    /// What runs cost here.
    pub price: Price,
}

/// Which repositories may use `process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trusted {
    /// Every repository on the forge.
    All,
    /// These.
    Only(Vec<RepositoryName>),
}

impl Trusted {
    /// Whether `repository` may use `process`.
    #[must_use]
    pub fn includes(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(repository),
        }
    }
}

/// What the command line says over file and environment.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The settings file.
    pub settings: Option<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
}

/// Who signs the tokens of GitHub's workflows. An Enterprise Server signs its own.
const TOKEN_ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The name of the state directory within a repository, and of the settings file within that.
const STATE_DIRECTORY: &str = ".modelship";
const SETTINGS_FILE: &str = "settings.yaml";

impl Settings {
    /// Reads settings for the directory `cwd`: flags over environment over file over what suits a laptop.
    ///
    /// # Errors
    /// When the settings file cannot be read, names something unknown or has a value that makes no sense.
    pub fn load(flags: &Flags, cwd: &Path) -> Result<Self> {
        let repository = repository_around(cwd);
        let state_hint = flags.state.clone().or_else(|| variable("MODELSHIP_STATE").map(PathBuf::from));
        let path = flags.settings.clone().or_else(|| variable("MODELSHIP_SETTINGS").map(PathBuf::from)).or_else(|| {
            let directory = state_hint.clone().unwrap_or_else(|| repository.join(STATE_DIRECTORY));
            Some(directory.join(SETTINGS_FILE)).filter(|path| path.exists())
        });
        let (file, base) = match path.map(|path| cwd.join(path)) {
            Some(path) => (File::read(&path)?, path.parent().unwrap_or(Path::new(".")).to_path_buf()),
            None => (File::default(), cwd.to_path_buf()),
        };
        let at = |path: PathBuf| if path.is_absolute() { path } else { base.join(path) };
        let state = match (state_hint, file.state) {
            (Some(state), _) => cwd.join(state),
            (None, Some(state)) => at(state),
            (None, None) => repository.join(STATE_DIRECTORY),
        };
        let database = variable("MODELSHIP_DATABASE")
            .or(file.database)
            .unwrap_or_else(|| format!("sqlite:{}", state.join("modelship.db").display()));
        let forge = match file.forge {
            Some(ForgeFile::Local(root)) => ForgeSettings::Local { root: at(root) },
            Some(ForgeFile::GitHub(github)) => ForgeSettings::GitHub(github_settings(github, &base)?),
            None => ForgeSettings::Laptop { repository },
        };
        let (trusted, interval, posts) = match &forge {
            // Whoever may push to GitHub need not be somebody who may run what he likes as this user.
            ForgeSettings::GitHub(_) => (Trusted::Only(Vec::new()), Duration::from_secs(20), Some(60)),
            ForgeSettings::Local { .. } | ForgeSettings::Laptop { .. } => (Trusted::All, Duration::from_secs(1), None),
        };
        let listen = match (flags.listen, variable("MODELSHIP_LISTEN")) {
            (Some(listen), _) => listen,
            (None, Some(text)) => text.parse().with_context(|| {
                format!("MODELSHIP_LISTEN is `{text}`, which is no address such as `127.0.0.1:8080`")
            })?,
            (None, None) => file.server.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let slots = file.process.slots.unwrap_or_else(|| u32::try_from(cores).unwrap_or(1));
        anyhow::ensure!(slots > 0, "`process.slots` is 0; at least one run must be able to run");
        Ok(Self {
            artifacts: file.artifacts.map_or_else(|| state.join("artifacts"), at),
            database: SecretString::from(database),
            forge,
            sources: SourceSettings {
                folders: file.source_folders.into_iter().map(at).collect(),
                hosts: file.source_hosts,
                environment: git_environment(),
            },
            server: ServerSettings {
                listen,
                url: variable("MODELSHIP_URL").or(file.server.url).map(|text| server_url(&text)).transpose()?,
                webhook_secrets: secrets_of("MODELSHIP_WEBHOOK_SECRET", file.server.webhook_secret.map(at))?,
                registry_secrets: registry_secrets(file.server.registry_secret.map(at))?,
                token_issuer: file.server.token_issuer.unwrap_or_else(|| TOKEN_ISSUER.to_owned()),
                repositories: file.server.repositories,
                public: public_repositories(file.server.public_repositories)?,
            },
            webhooks: webhooks::webhooks(file.webhooks, &base)?,
            process: ProcessSettings {
                slots,
                trusted: file.process.trusted.map_or(trusted, Trusted::Only),
                builds: file.process.builds.unwrap_or(1).max(1),
                runner: runner_path()?,
                search_path: file
                    .process
                    .search_path
                    .or_else(|| variable("PATH"))
                    .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()),
                build_environment: build_environment(&file.process.build_environment),
                price: checked_price("process", file.process.price)?,
            },
            executor: executor_kind(file.executor)?,
            docker: docker_settings(file.docker, &base)?,
            promote_direct_pushes: file.promote_direct_pushes,
            comment_interval: duration("comment_interval", file.comment_interval, interval)?,
            comments_per_hour: file.comments_per_hour.or(posts),
            reconcile_every: duration("reconcile_every", file.reconcile_every, Duration::from_secs(60))?
                .max(Duration::from_millis(100)),
            keep_history: duration("keep_history", file.keep_history, Duration::from_secs(90 * 24 * 3600))?
                .max(Duration::from_secs(24 * 3600)),
            max_runs: file.max_runs.unwrap_or(1_000_000),
            max_memory: file.max_memory.map(|most| most.as_u64()),
            state,
        })
    }

    /// The part that decisions depend on.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            comment_interval: self.comment_interval,
            comments_per_hour: self.comments_per_hour,
            promote_direct_pushes: self.promote_direct_pushes,
            subscriptions: self.webhooks.iter().map(WebhookSettings::subscription).collect(),
            artifacts_url: match (&self.forge, &self.server.url) {
                // The server asks who reads; the store itself never does.
                (ForgeSettings::GitHub(_) | ForgeSettings::Local { .. }, Some(url)) => Some(url.clone()),
                // Whoever uses the local forge is on this machine, so the files themselves can be opened.
                (ForgeSettings::Local { .. }, None) => {
                    Some(report::directory_url(&self.artifacts.display().to_string()))
                }
                (ForgeSettings::GitHub(_), None) | (ForgeSettings::Laptop { .. }, _) => None,
            },
        }
    }
}

/// What `MODELSHIP_EXECUTOR` says over the file.
fn executor_kind(of_file: ExecutorKind) -> Result<ExecutorKind> {
    let Some(word) = variable("MODELSHIP_EXECUTOR") else { return Ok(of_file) };
    serde_yaml::from_str(&word).with_context(|| format!("MODELSHIP_EXECUTOR is `{word}`; write `process` or `docker`"))
}

fn duration(name: &str, text: Option<String>, default: Duration) -> Result<Duration> {
    match text {
        None => Ok(default),
        Some(text) => humantime::parse_duration(&text)
            .with_context(|| format!("`{name}` is `{text}`, which is no duration such as `20s` or `5m`")),
    }
}

fn docker_settings(file: DockerFile, base: &Path) -> Result<DockerSettings> {
    let login = variable("MODELSHIP_REGISTRY_USER").zip(variable("MODELSHIP_REGISTRY_PASSWORD"));
    let runner = match file.runner {
        Some(path) => base.join(path),
        None => runner_path()?,
    };
    let bases = Bases {
        debian: file.bases.debian.unwrap_or_else(|| "debian:bookworm-slim".to_owned()),
        python: file.bases.python.unwrap_or_else(|| "python:3.12-slim".to_owned()),
    };
    Ok(DockerSettings {
        host: file.host.or_else(|| variable("DOCKER_HOST")).unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
        accept: file.accept.unwrap_or_else(|| file.registry.clone().into_iter().collect()),
        registry: file.registry,
        registry_login: login.map(|(user, password)| (user, SecretString::from(password))),
        runner,
        network: file.network.unwrap_or_else(|| "bridge".to_owned()),
        processes: file.processes.unwrap_or(512).max(16),
        max_image: file.max_image.unwrap_or(bytesize::ByteSize::gb(20)).as_u64(),
        build_network: file.build_network.unwrap_or_else(|| "default".to_owned()),
        bases,
        build_args: file.build_args,
        price: checked_price("docker", file.price)?,
    })
}

fn checked_price(executor: &str, price: Price) -> Result<Price> {
    let fine = |amount: f64| amount.is_finite() && amount >= 0.0;
    anyhow::ensure!(
        fine(price.vcpu_hour) && fine(price.gib_hour),
        "`{executor}.price` is {price:?}; a price is an amount of USD, 0 or above"
    );
    Ok(price)
}

/// The repository's work tree that `cwd` lies in; `cwd` itself when there is none.
fn repository_around(cwd: &Path) -> PathBuf {
    cwd.ancestors().find(|directory| directory.join(".git").exists()).unwrap_or(cwd).to_path_buf()
}
