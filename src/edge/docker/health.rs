//! How an engine is: its version, and which limits it can hold.

use anyhow::Context as _;
use bollard::errors::Error;

use super::Docker;
use super::program::static_program;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its version, for instance `20.10.24`.
    pub version: String,
    /// The version of its API that it and we agree on.
    pub api: String,
    /// The architecture of its machine, as Docker names it: `amd64`.
    pub architecture: String,
    /// The version of its cgroups: `1` or `2`.
    pub cgroups: String,
    /// How many processors it has.
    pub processors: u64,
    /// Its memory in bytes.
    pub memory: u64,
    limits_memory: bool,
    limits_processors: bool,
    limits_processes: bool,
}

impl Health {
    /// The limits that the engine cannot hold, in words.
    #[must_use]
    pub fn missing_limits(&self) -> Vec<&'static str> {
        let limits = [
            (self.limits_memory, "memory"),
            (self.limits_processors, "processors"),
            (self.limits_processes, "the number of processes"),
        ];
        limits.into_iter().filter(|(held, _)| !held).map(|(_, name)| name).collect()
    }
}

impl Docker {
    /// Asks the engine how it is.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn health(&self) -> anyhow::Result<Health> {
        let docker = self.negotiated().await?;
        let host = &self.settings.host;
        let version =
            docker.api.version().await.with_context(|| format!("the engine at `{host}` does not tell its version"))?;
        let info =
            docker.api.info().await.with_context(|| format!("the engine at `{host}` does not tell how it is"))?;
        let count = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
        let cgroups = info.cgroup_version.map(|version| version.to_string()).filter(|version| !version.is_empty());
        Ok(Health {
            version: version.version.unwrap_or_else(|| "unknown".to_owned()),
            api: docker.api.client_version().to_string(),
            architecture: version.arch.unwrap_or_default(),
            cgroups: cgroups.unwrap_or_else(|| "1".to_owned()),
            processors: count(info.ncpu),
            memory: count(info.mem_total),
            limits_memory: info.memory_limit == Some(true),
            limits_processors: info.cpu_cfs_quota == Some(true),
            limits_processes: info.pids_limit == Some(true),
        })
    }
}

/// Whether a registry lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It answers, and takes our login if it wants one.
    Granted,
    /// It wants another login, in its own words.
    Refused(String),
    /// Nobody answers, or what answers is no registry.
    Unreachable(String),
}

impl Docker {
    /// Checks that the runner can go into images of `architecture`.
    ///
    /// # Errors
    /// When it is not there, or cannot run there.
    pub fn check_runner(&self, architecture: &str) -> anyhow::Result<()> {
        static_program(&self.settings.runner, architecture).map(drop)
    }

    /// Asks the registry for an image that nobody has. The engine asks, since it is what pushes and pulls.
    pub async fn registry_access(&self, registry: &str) -> Access {
        let image = format!("{}/modelship-doctor:none", registry.trim_end_matches('/'));
        match self.api.inspect_registry_image(&image, self.credentials()).await {
            Ok(_) => Access::Granted,
            Err(Error::DockerResponseServerError { status_code, message }) => access(status_code, &message),
            Err(error) => Access::Unreachable(error.to_string()),
        }
    }
}

/// What an engine's answer about an image that nobody has says of the registry. Registries tell a missing image apart in
/// their own words, and some engines pass every answer on as a 500.
fn access(status: u16, message: &str) -> Access {
    let says = |words: &[&str]| words.iter().any(|word| message.to_ascii_lowercase().contains(word));
    if says(&["unauthorized", "authentication required", "no basic auth", "denied", "forbidden"])
        || matches!(status, 401 | 403)
    {
        Access::Refused(message.to_owned())
    } else if says(&["manifest unknown", "name unknown", "not found", "no such"]) && !says(&["no such host"]) {
        Access::Granted
    } else {
        Access::Unreachable(message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_nobody_has_tells_whether_the_registry_lets_us_in() {
        assert_eq!(access(404, "manifest unknown: manifest unknown"), Access::Granted);
        assert!(matches!(access(500, "errors: unauthorized: authentication required"), Access::Refused(_)));
        assert!(matches!(access(403, "requested access to the resource is denied"), Access::Refused(_)));
        assert!(matches!(access(500, "dial tcp: lookup nowhere: no such host"), Access::Unreachable(_)));
        assert!(matches!(access(500, "connection refused"), Access::Unreachable(_)));
    }

    #[test]
    fn limits_that_cannot_be_held_are_named() {
        let health = Health {
            version: String::new(),
            api: String::new(),
            architecture: String::new(),
            cgroups: String::new(),
            processors: 1,
            memory: 1,
            limits_memory: true,
            limits_processors: false,
            limits_processes: false,
        };
        assert_eq!(health.missing_limits(), ["processors", "the number of processes"]);
    }
}
