//! Everything outside this process that effects touch, in one place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::domain::effect::Lane;
use crate::domain::ids::{Digest, Repository, RepositoryName};
use crate::domain::policy::Guarantees;
use crate::domain::sweep::cost::Price;
use crate::domain::version::Version;
use crate::edge::artifacts::directory::Artifacts;
use crate::edge::builder::Builder;
use crate::edge::builder::docker::{DockerBuilder, ImageSettings};
use crate::edge::builder::process::{BuilderSettings, ProcessBuilder};
use crate::edge::docker::{Docker, DockerSettings};
use crate::edge::executor::Executor;
use crate::edge::executor::docker::{ContainerSettings, DockerExecutor};
use crate::edge::executor::process::{ProcessExecutor, ProcessSettings};
use crate::edge::forge::Forge;
use crate::edge::forge::github::signin::SignInApp;
use crate::edge::forge::github::{GitHub, GitHubSettings, Login};
use crate::edge::forge::local::LocalForge;
use crate::edge::images::{Images, ImagesSettings};
use crate::edge::notify::{Notifier, Target};
use crate::edge::oidc::Verifier;
use crate::edge::source::remote::{RemoteSettings, Remotes};
use crate::runner::SlotsSpec;
use crate::runner::memory::machine_memory;
use crate::runner::scratch;
use crate::settings::{self, ExecutorKind, ForgeSettings, Settings, Trusted, WebhookSettings};

/// Where repositories are, and whether there are pull requests.
#[derive(Debug)]
pub enum Hosting {
    /// One repository on this machine.
    Laptop {
        /// Its git directory or work tree.
        path: PathBuf,
        /// What it is called.
        repository: Repository,
    },
    /// A forge.
    Forge(Forge),
}

impl Hosting {
    /// The repository in `path`, on this machine.
    ///
    /// # Errors
    /// When the folder's name makes no repository's name.
    pub fn laptop(path: &Path) -> Result<Self> {
        Ok(Self::Laptop { path: path.to_path_buf(), repository: laptop_repository(path)? })
    }
}

/// The outside.
#[derive(Debug)]
pub struct Outside {
    /// Repositories and pull requests.
    pub hosting: Hosting,
    /// Files that sweeps and builds leave.
    pub artifacts: Artifacts,
    /// Makes models out of sources.
    pub builder: Builder,
    /// Images that were built elsewhere.
    pub images: Images,
    /// How large a model's image may be, in bytes.
    pub max_image: u64,
    /// Says which workflow somebody is; none where this instance has no address of its own.
    pub verifier: Option<Verifier>,
    /// Repositories that models' sources are fetched from.
    pub remotes: Remotes,
    /// Runs jobs.
    pub executor: Executor,
    /// Who may use `process`.
    pub trusted: Trusted,
    /// Most runs at once.
    pub slots: u32,
    /// Most runs of one sweep.
    pub max_runs: u64,
    /// Most memory of one run, in bytes.
    pub max_memory: u64,
    /// What runs cost.
    pub price: Price,
    /// What the executor can promise.
    pub guarantees: Guarantees,
    /// The address at which others reach the server, without a `/` at its end.
    pub url: Option<String>,
    /// Other programs that are told what happens.
    pub notifier: Notifier,
    /// How long deliveries, decided events and failed tasks are remembered.
    pub keep_history: Duration,
    /// Most builds at once.
    builds: u32,
    /// `PATH` of models' commands.
    pub search_path: String,
    /// Where jobs and builds may write for a while.
    pub scratch: PathBuf,
}

impl Outside {
    /// Opens everything that `settings` name.
    ///
    /// # Errors
    /// When a directory cannot be made or the forge cannot be opened.
    pub fn open(settings: &Settings) -> Result<Self> {
        fs_err::create_dir_all(settings.state.join("scratch"))?;
        // A state directory within a repository is none of the repository's business.
        let ignore = settings.state.join(".gitignore");
        if !ignore.exists() {
            fs_err::write(ignore, "*\n")?;
        }
        let state = fs_err::canonicalize(&settings.state)?;
        let hosting = match &settings.forge {
            ForgeSettings::Laptop { repository } => Hosting::laptop(repository)?,
            ForgeSettings::Local { root } => Hosting::Forge(Forge::Local(
                LocalForge::open(root, super::system_time)
                    .with_context(|| format!("cannot open the local forge in `{}`", root.display()))?,
            )),
            ForgeSettings::GitHub(github) => {
                Hosting::Forge(Forge::GitHub(Arc::new(github_forge(settings, github, &state)?)))
            }
        };
        let artifacts = Artifacts::open(&settings.artifacts)?;
        let scratch = state.join("scratch");
        Ok(Self {
            hosting,
            builder: builder(settings, &state)?,
            images: images(settings),
            max_image: settings.docker.max_image,
            verifier: match &settings.server.url {
                Some(url) => Some(Verifier::new(&settings.server.token_issuer, url)?),
                None => None,
            },
            remotes: remotes(settings, &state),
            executor: executor(settings, artifacts.root(), &state)?,
            artifacts,
            search_path: settings.process.search_path.clone(),
            trusted: settings.process.trusted.clone(),
            slots: settings.process.slots,
            max_runs: settings.max_runs,
            max_memory: match settings.max_memory {
                Some(most) => most,
                None => machine_memory().context("cannot find out how much memory this machine has")?,
            },
            price: match settings.executor {
                ExecutorKind::Process => settings.process.price,
                ExecutorKind::Docker => settings.docker.price,
            },
            guarantees: match settings.executor {
                ExecutorKind::Process => Guarantees { executor: "process", closed_network: false, gpus: false },
                ExecutorKind::Docker => Guarantees { executor: "docker", closed_network: true, gpus: true },
            },
            url: settings.server.url.clone(),
            notifier: notifier(settings)?,
            keep_history: settings.keep_history,
            builds: settings.process.builds,
            scratch,
        })
    }

    /// Why `version` cannot run here, if it cannot: it was built for another executor.
    #[must_use]
    pub fn refusal(&self, version: &Version) -> Option<String> {
        let (built, here) = match (&self.executor, &version.image) {
            (Executor::Process(_), None) | (Executor::Docker(_), Some(_)) => return None,
            (Executor::Process(_), Some(_)) => ("docker", "process"),
            (Executor::Docker(_), None) => ("process", "docker"),
        };
        Some(format!(
            "version `{}` of `{}` was built by `{built}`, and runs are executed by `{here}` here; build the model again, or \
             write `executor: {built}` in the settings",
            version.id, version.model
        ))
    }

    /// How many effects of `lane` may be under way at once.
    #[must_use]
    pub fn width(&self, lane: Lane) -> usize {
        match lane {
            Lane::Quick => 4,
            Lane::Build => usize::try_from(self.builds).unwrap_or(1),
            Lane::Bulk => 2,
            Lane::Watch => 64,
            Lane::Notify => 8,
        }
    }

    /// Removes plans, analyses and runs that an earlier process left half-done.
    pub(super) fn remove_leftovers(&self) -> Result<()> {
        for entry in fs_err::read_dir(&self.scratch)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("plan-") {
                fs_err::remove_file(entry.path())?;
            } else if name.starts_with("analysis-") {
                fs_err::remove_dir_all(entry.path())?;
            }
        }
        scratch::remove_abandoned(&self.scratch)
    }

    /// The git directory of `repository`.
    ///
    /// # Errors
    /// When this instance does not host it.
    pub fn git_dir(&self, repository: &Repository) -> Result<PathBuf> {
        match &self.hosting {
            Hosting::Laptop { path, repository: own } => {
                anyhow::ensure!(
                    own.name == repository.name,
                    "this machine has `{}`, not `{}`",
                    own.name,
                    repository.name
                );
                Ok(path.clone())
            }
            Hosting::Forge(forge) => Ok(forge.git_dir(repository)),
        }
    }

    /// The forge, where there is one.
    #[must_use]
    pub fn forge(&self) -> Option<&Forge> {
        match &self.hosting {
            Hosting::Laptop { .. } => None,
            Hosting::Forge(forge) => Some(forge),
        }
    }

    /// The forge, where it is one of this machine.
    #[must_use]
    pub fn local_forge(&self) -> Option<&LocalForge> {
        match &self.hosting {
            Hosting::Forge(Forge::Local(forge)) => Some(forge),
            Hosting::Forge(Forge::GitHub(_)) | Hosting::Laptop { .. } => None,
        }
    }
}

/// Who is told what happens.
fn notifier(settings: &Settings) -> Result<Notifier> {
    let target = |webhook: &WebhookSettings| Target {
        name: webhook.name.clone(),
        url: webhook.url.clone(),
        secret: webhook.secret.clone(),
    };
    Notifier::new(settings.webhooks.iter().map(target).collect())
}

/// Where images are looked up that were built elsewhere.
fn images(settings: &Settings) -> Images {
    let docker = &settings.docker;
    // The login is for the registry that images are pushed to, and for no other.
    let registry = docker.registry.as_ref().and_then(|registry| registry.split('/').next());
    let login = docker.registry_login.clone().zip(registry.map(str::to_owned));
    Images::new(ImagesSettings {
        accepted: docker.accept.clone(),
        login: login.map(|((user, password), registry)| (registry, user, password)),
    })
}

/// What fetches repositories.
fn remotes(settings: &Settings, state: &Path) -> Remotes {
    Remotes::new(RemoteSettings {
        directory: state.join("remotes"),
        folders: settings.sources.folders.clone(),
        hosts: settings.sources.hosts.clone(),
        search_path: settings.process.search_path.clone(),
        environment: settings.sources.environment.clone(),
    })
}

/// GitHub, as the settings say who we are there.
///
/// # Errors
/// When an address makes no sense.
pub fn github_forge(settings: &Settings, github: &settings::GitHubSettings, state: &Path) -> Result<GitHub> {
    let login = match &github.login {
        settings::GitHubLogin::App { id, key } => Login::App { id: *id, key: key.clone() },
        settings::GitHubLogin::Token(token) => Login::Token(token.clone()),
    };
    let own = GitHubSettings {
        api: github.api.clone(),
        git: github.git.clone(),
        login,
        repositories: settings.server.repositories.clone(),
        mirrors: state.join("mirrors"),
        between_writes: github.between_writes,
        sign_in: github
            .sign_in
            .as_ref()
            .map(|app| SignInApp { client_id: app.client_id.clone(), client_secret: app.client_secret.clone() }),
    };
    GitHub::new(own, Arc::new(remotes(settings, state)))
}

/// The executor that the settings choose.
fn executor(settings: &Settings, artifacts: &Path, state: &Path) -> Result<Executor> {
    let (artifacts, slots_dir) = (artifacts.to_path_buf(), state.join("slots"));
    let slots = settings.process.slots;
    match settings.executor {
        ExecutorKind::Process => Ok(Executor::Process(Arc::new(ProcessExecutor::new(ProcessSettings {
            runner: settings.process.runner.clone(),
            artifacts,
            scratch: state.join("scratch"),
            slots_dir,
            slots,
        })))),
        ExecutorKind::Docker => {
            let slots = SlotsSpec { directory: slots_dir, count: slots };
            let containers = ContainerSettings { artifacts, slots, processes: settings.docker.processes };
            Ok(Executor::Docker(Box::new(DockerExecutor::new(
                Docker::new(&docker_settings(settings, state))?,
                containers,
            ))))
        }
    }
}

/// What builds models, as the settings choose.
fn builder(settings: &Settings, state: &Path) -> Result<Builder> {
    let (scratch, environment) = (state.join("scratch"), settings.process.build_environment.clone());
    Ok(match settings.executor {
        ExecutorKind::Process => Builder::Process(ProcessBuilder::new(BuilderSettings {
            models_dir: state.join("models"),
            scratch,
            search_path: settings.process.search_path.clone(),
            environment,
        })),
        ExecutorKind::Docker => {
            let docker = Docker::new(&docker_settings(settings, state))?;
            Builder::Docker(DockerBuilder::new(docker, ImageSettings { scratch, environment }))
        }
    })
}

/// How the Docker engine is used.
#[must_use]
pub fn docker_settings(settings: &Settings, state: &Path) -> DockerSettings {
    let docker = settings.docker.clone();
    DockerSettings {
        host: docker.host,
        registry: docker.registry,
        registry_login: docker.registry_login,
        runner: docker.runner,
        network: docker.network,
        build_network: docker.build_network,
        bases: docker.bases,
        build_args: docker.build_args,
        instance: Digest::of(state.as_os_str().as_encoded_bytes()).short().to_owned(),
        max_image: docker.max_image,
    }
}

/// What a repository on a laptop is called: after its folder.
fn laptop_repository(path: &Path) -> Result<Repository> {
    let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or("repository");
    let mut name: String =
        folder.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect();
    name = name.trim_matches(['-', '_']).to_owned();
    if name.is_empty() {
        "repository".clone_into(&mut name);
    }
    Ok(Repository { id: 0, name: RepositoryName::new("local", &name)? })
}
