//! The Docker engine: one connection for the builder and the executor. The only place that names `bollard`.

mod build;
mod container;
mod context;
mod health;
mod ignore;
mod program;
mod registry;

pub use health::{Access, Health};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker as Api};
use secrecy::SecretString;

use crate::domain::manifest::Bases;

pub use build::{DockerfileOrder, ENTRYPOINT_LABEL, ImageError, ImageFacts, ImageOrder, RUNNER, own_entrypoint};
pub use container::{ContainerEnd, ContainerError, ContainerOrder};
pub use registry::PushError;

/// How long the engine may take to answer a request that is no build, in seconds.
const PATIENCE: u64 = 120;

/// How long may it take to begin to answer one that is?
const LONG_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// How this engine is used.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// The engine's address: `unix:///var/run/docker.sock` or `http://host:port`.
    pub host: String,
    /// Where images are pushed, for instance `registry.example.org/models`; none keeps them on the engine that built them.
    pub registry: Option<String>,
    /// User and password for the registry; none when it asks nobody.
    pub registry_login: Option<(String, SecretString)>,
    /// The runner that goes into images, a static program.
    pub runner: PathBuf,
    /// The engine's network for runs whose manifest leaves it open.
    pub network: String,
    /// The engine's network for builds.
    pub build_network: String,
    /// Base images of generated environments.
    pub bases: Bases,
    /// Build arguments for every Dockerfile that declares them.
    pub build_args: BTreeMap<String, String>,
    /// The label by which this instance finds its own containers again.
    pub instance: String,
    /// How large a model's image may be, in bytes.
    pub max_image: u64,
}

/// A Docker engine.
#[derive(Debug, Clone)]
pub struct Docker {
    api: Api,
    settings: DockerSettings,
}

impl Docker {
    /// Gets ready to talk to the engine that `settings` name.
    ///
    /// # Errors
    /// When its address makes no sense, or is that of a socket which does not exist.
    pub fn new(settings: &DockerSettings) -> anyhow::Result<Self> {
        let host = &settings.host;
        let api = if host.starts_with("unix://") {
            Api::connect_with_unix(host, PATIENCE, API_DEFAULT_VERSION)
        } else {
            Api::connect_with_http(host, PATIENCE, API_DEFAULT_VERSION)
        };
        let api = match api {
            Err(Error::SocketNotFoundError(socket)) => bail!(
                "there is no socket `{socket}`: start the Docker engine, or name its address as `docker.host` in the \
                 settings or in DOCKER_HOST"
            ),
            other => other.with_context(|| {
                format!("`docker.host` is `{host}`, which is no address such as `unix:///var/run/docker.sock`")
            })?,
        };
        Ok(Self { api, settings: settings.clone() })
    }

    /// The engine's API, for the rooms beside this one.
    pub(in crate::edge) fn api(&self) -> &Api {
        &self.api
    }

    /// How it is set up.
    #[must_use]
    pub fn settings(&self) -> &DockerSettings {
        &self.settings
    }

    /// Agrees with the engine on a version of the API, and says which engine it is.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn negotiated(&self) -> anyhow::Result<Self> {
        let host = &self.settings.host;
        let api = self.api.clone().negotiate_version().await;
        let api = api.with_context(|| format!("no Docker engine answers at `{host}`; is it running?"))?;
        Ok(Self { api, settings: self.settings.clone() })
    }
}
