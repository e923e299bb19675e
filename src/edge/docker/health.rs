//! How an engine is: its version, and which limits it can hold.

use anyhow::Context as _;

use super::Docker;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Its version, for instance `20.10.24`.
    pub version: String,
    /// The version of its API that it and we agree on.
    pub api: String,
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
            cgroups: cgroups.unwrap_or_else(|| "1".to_owned()),
            processors: count(info.ncpu),
            memory: count(info.mem_total),
            limits_memory: info.memory_limit == Some(true),
            limits_processors: info.cpu_cfs_quota == Some(true),
            limits_processes: info.pids_limit == Some(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_be_held_are_named() {
        let health = Health {
            version: String::new(),
            api: String::new(),
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
