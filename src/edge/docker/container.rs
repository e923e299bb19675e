//! One command in a container of its own, waited for and removed: how tests run in a model's image.
//!
//! Files go in and out through the engine, so that it may be another machine's, and nothing of a container's is left on
//! this one.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, ListContainersOptions, LogsOptions, RemoveContainerOptions,
    StartContainerOptions, UploadToContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::Docker;
use super::context::archive_of;
use crate::domain::manifest::{Network, Resources};
use crate::runner::Log;

/// The label of every container that this room makes; its value is the instance.
const LABEL: &str = "org.modelship.instance";

/// Most processes of one container.
const MAX_PROCESSES: i64 = 4096;

/// Most bytes of a file that is taken out of a container.
const MAX_FILE: u64 = 1 << 30;

/// A command to run.
#[derive(Debug)]
pub struct ContainerOrder<'a> {
    /// The image.
    pub image: &'a str,
    /// The whole command: the image's own entrypoint is not put before it.
    pub command: &'a [String],
    /// Further variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Files that it finds: absolute path, mode, content. A path that ends with `/` is a folder.
    pub files: &'a [(&'a str, u32, &'a [u8])],
    /// What it may use.
    pub resources: Resources,
    /// Whether it may use the network.
    pub network: Network,
    /// How long it may take.
    pub timeout: Duration,
    /// An absolute path that is wanted afterwards.
    pub wanted: Option<&'a str>,
}

/// How a command ended.
#[derive(Debug)]
pub struct ContainerEnd {
    /// Its exit status; 128 and the signal when it was killed.
    pub status: i64,
    /// Whether the engine ended it because it used more memory than it may.
    pub out_of_memory: bool,
    /// What it printed.
    pub log: Log,
    /// The file that was wanted, when there is one.
    pub file: Option<Vec<u8>>,
}

/// Why a command did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// It was not there, or could not be executed.
    #[error("{0}")]
    CannotStart(String),
    /// It took too long.
    #[error("ran longer than its limit")]
    Timeout(Log),
    /// It was asked to stop.
    #[error("was stopped")]
    Cancelled,
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Docker {
    /// Runs the command and removes its container, however it ends.
    ///
    /// # Errors
    /// As [`ContainerError`] says.
    pub async fn run(
        &self,
        order: &ContainerOrder<'_>,
        cancel: &CancellationToken,
    ) -> Result<ContainerEnd, ContainerError> {
        let container = self.create(order).await?;
        let ended = tokio::select! {
            ended = self.run_in(&container, order) => ended,
            () = cancel.cancelled() => Err(ContainerError::Cancelled),
        };
        let removed = self.remove(&container).await;
        let ended = ended?;
        removed?;
        Ok(ended)
    }

    /// Removes containers that an earlier process of this instance left, and says how many.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn remove_leftovers(&self) -> anyhow::Result<usize> {
        let label = format!("{LABEL}={}", self.settings().instance);
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let found = self.api().list_containers(Some(options)).await.context("failed to look for left containers")?;
        for container in &found {
            self.remove(container.id.as_deref().unwrap_or_default()).await?;
        }
        Ok(found.len())
    }

    /// The content of the file at `path` in the image; none when there is no file.
    ///
    /// # Errors
    /// When the engine does not answer, or the file is larger than 1 GiB.
    pub async fn file_in_image(&self, image: &str, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec![super::RUNNER.to_owned()]),
            labels: Some(self.labels()),
            ..ContainerCreateBody::default()
        };
        let created = self.api().create_container(None::<CreateContainerOptions>, body).await;
        let container = created.with_context(|| format!("failed to look into the image `{image}`"))?.id;
        let file = self.download(&container, path).await;
        self.remove(&container).await?;
        file
    }

    async fn create(&self, order: &ContainerOrder<'_>) -> Result<String, ContainerError> {
        let memory = i64::try_from(order.resources.memory).unwrap_or(i64::MAX);
        let network = match order.network {
            Network::Open => self.settings().network.clone(),
            Network::None => "none".to_owned(),
        };
        let environment = order.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let body = ContainerCreateBody {
            image: Some(order.image.to_owned()),
            entrypoint: Some(order.command.to_vec()),
            cmd: Some(Vec::new()),
            env: Some(environment.collect()),
            labels: Some(self.labels()),
            host_config: Some(HostConfig {
                network_mode: Some(network),
                memory: Some(memory),
                // No swap beyond it: a limit is a limit.
                memory_swap: Some(memory),
                nano_cpus: Some(i64::from(order.resources.milli_cpus) * 1_000_000),
                pids_limit: Some(MAX_PROCESSES),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = self.api().create_container(None::<CreateContainerOptions>, body).await;
        let id = created.with_context(|| format!("failed to make a container of `{}`", order.image))?.id;
        let sent = self.upload(&id, order.files).await;
        if sent.is_err() {
            self.remove(&id).await?;
        }
        sent?;
        Ok(id)
    }

    async fn run_in(&self, container: &str, order: &ContainerOrder<'_>) -> Result<ContainerEnd, ContainerError> {
        match self.api().start_container(container, None::<StartContainerOptions>).await {
            Ok(()) => {}
            Err(Error::DockerResponseServerError { status_code: 400, message })
            | Err(Error::DockerResponseServerError { status_code: 404, message }) => {
                return Err(ContainerError::CannotStart(message));
            }
            Err(error) => return Err(anyhow::Error::new(error).context("failed to start a container").into()),
        }
        let mut waiting = self.api().wait_container(container, None::<WaitContainerOptions>);
        let status = match tokio::time::timeout(order.timeout, waiting.next()).await {
            Err(_) => return Err(ContainerError::Timeout(self.log_of(container).await?)),
            Ok(Some(Ok(ended))) => ended.status_code,
            Ok(Some(Err(Error::DockerContainerWaitError { code, .. }))) => code,
            Ok(Some(Err(error))) => {
                return Err(anyhow::Error::new(error).context("failed to wait for a container").into());
            }
            Ok(None) => return Err(anyhow::anyhow!("the Docker engine lost a container").into()),
        };
        let state = self.api().inspect_container(container, None).await.context("failed to look at a container")?.state;
        let file = match order.wanted {
            Some(path) => self.download(container, path).await?,
            None => None,
        };
        Ok(ContainerEnd {
            status,
            out_of_memory: state.and_then(|state| state.oom_killed).unwrap_or_default(),
            log: self.log_of(container).await?,
            file,
        })
    }

    async fn log_of(&self, container: &str) -> anyhow::Result<Log> {
        let options = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
        let mut lines = self.api().logs(container, Some(options));
        let mut log = Log::new(Log::RUN);
        while let Some(line) = lines.next().await {
            match line.context("failed to read what a container printed")? {
                LogOutput::StdErr { message }
                | LogOutput::StdOut { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message } => log.push(&message),
            }
        }
        Ok(log)
    }

    async fn upload(&self, container: &str, files: &[(&str, u32, &[u8])]) -> anyhow::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let relative: Vec<_> =
            files.iter().map(|(path, mode, content)| (path.trim_start_matches('/'), *mode, *content)).collect();
        let archive = archive_of(&relative)?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let body = bollard::body_full(Bytes::from(archive));
        let sent = self.api().upload_to_container(container, Some(options), body).await;
        sent.context("failed to send files to a container")
    }

    async fn download(&self, container: &str, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut pieces = self.api().download_from_container(container, Some(options));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
                Err(error) => return Err(anyhow::Error::new(error).context(format!("failed to read `{path}`"))),
            }
            anyhow::ensure!(archive.len() as u64 <= MAX_FILE, "`{path}` has more than {MAX_FILE} bytes");
        }
        let mut archive = tar::Archive::new(&archive[..]);
        let entry = archive.entries().and_then(|mut entries| entries.next().transpose());
        let Some(mut entry) = entry.with_context(|| format!("failed to read `{path}`"))? else { return Ok(None) };
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Ok(None);
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).with_context(|| format!("failed to read `{path}`"))?;
        Ok(Some(content))
    }

    async fn remove(&self, container: &str) -> anyhow::Result<()> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        match self.api().remove_container(container, Some(options)).await {
            // 409: somebody removes it already.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(anyhow::Error::new(error).context("failed to remove a container")),
        }
    }

    fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(LABEL.to_owned(), self.settings().instance.clone())])
    }
}
