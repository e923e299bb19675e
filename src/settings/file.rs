//! The settings file as it is written, before anything of it is checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::ExecutorKind;
use super::webhooks::WebhookFile;
use crate::domain::ids::RepositoryName;
use crate::domain::sweep::cost::Price;

/// The settings file as it is written. Every part may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) state: Option<PathBuf>,
    pub(super) database: Option<String>,
    pub(super) artifacts: Option<PathBuf>,
    pub(super) forge: Option<ForgeFile>,
    pub(super) source_folders: Vec<PathBuf>,
    pub(super) source_hosts: Vec<String>,
    pub(super) server: ServerFile,
    pub(super) webhooks: Vec<WebhookFile>,
    pub(super) executor: ExecutorKind,
    pub(super) process: ProcessFile,
    pub(super) docker: DockerFile,
    pub(super) promote_direct_pushes: bool,
    pub(super) comment_interval: Option<String>,
    pub(super) comments_per_hour: Option<u32>,
    pub(super) reconcile_every: Option<String>,
    pub(super) keep_history: Option<String>,
    pub(super) max_runs: Option<u64>,
    pub(super) max_memory: Option<bytesize::ByteSize>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        serde_yaml::from_str(&text).with_context(|| format!("cannot read the settings in `{}`", path.display()))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ForgeFile {
    Local(PathBuf),
    GitHub(GitHubFile),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GitHubFile {
    pub(super) app: Option<u64>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<PathBuf>,
    pub(super) api: Option<String>,
    pub(super) git: Option<String>,
    pub(super) between_writes: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerFile {
    pub(super) listen: Option<SocketAddr>,
    pub(super) url: Option<String>,
    pub(super) repositories: Vec<i64>,
    pub(super) public_repositories: Option<PublicFile>,
    pub(super) webhook_secret: Option<PathBuf>,
    pub(super) registry_secret: Option<PathBuf>,
    pub(super) token_issuer: Option<String>,
}

/// Repositories that everybody may read: the word `all`, or a list of names and numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PublicFile {
    List(Vec<PublicEntry>),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PublicEntry {
    Id(i64),
    Name(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProcessFile {
    pub(super) slots: Option<u32>,
    pub(super) builds: Option<u32>,
    pub(super) trusted: Option<Vec<RepositoryName>>,
    pub(super) search_path: Option<String>,
    pub(super) build_environment: Vec<String>,
    pub(super) price: Price,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DockerFile {
    pub(super) host: Option<String>,
    pub(super) registry: Option<String>,
    pub(super) accept: Option<Vec<String>>,
    pub(super) runner: Option<PathBuf>,
    pub(super) network: Option<String>,
    pub(super) processes: Option<u32>,
    pub(super) max_image: Option<bytesize::ByteSize>,
    pub(super) build_network: Option<String>,
    pub(super) bases: BasesFile,
    pub(super) build_args: BTreeMap<String, String>,
    pub(super) price: Price,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BasesFile {
    pub(super) debian: Option<String>,
    pub(super) python: Option<String>,
}
