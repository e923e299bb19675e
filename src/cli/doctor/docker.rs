//! The Docker engine that the settings name.

use super::Check;
use crate::domain::report::numbers;
use crate::edge::docker::{Docker, DockerSettings};
use crate::settings::Settings;

/// Whether the engine answers, and what of a run's limits it can hold.
pub(super) async fn engine(settings: &Settings) -> Vec<Check> {
    let docker = &settings.docker;
    let part = "docker engine";
    let reach = "start it, join the group `docker`, or name another as `docker.host` or DOCKER_HOST";
    let client = Docker::new(&DockerSettings {
        host: docker.host.clone(),
        registry: docker.registry.clone(),
        registry_login: docker.registry_login.clone(),
        runner: docker.runner.clone(),
        network: docker.network.clone(),
        build_network: docker.build_network.clone(),
        bases: docker.bases.clone(),
    });
    let health = match client {
        Ok(client) => client.health().await,
        Err(error) => Err(error),
    };
    let health = match health {
        Ok(health) => health,
        Err(error) => return vec![Check::bad(part, format!("{error:#}"), reach)],
    };
    let found = format!(
        "{} at {}, API {}, cgroups {}, {} processors, {}",
        health.version,
        docker.host,
        health.api,
        health.cgroups,
        health.processors,
        numbers::bytes(health.memory)
    );
    let missing = health.missing_limits();
    let limits = if missing.is_empty() {
        Check::good("docker limits", "memory, processors and number of processes")
    } else {
        Check::bad(
            "docker limits",
            format!("the engine cannot limit {}", missing.join(", ")),
            "start the machine with cgroup limits: `cgroup_enable=memory swapaccount=1`",
        )
    };
    vec![Check::good(part, found), limits]
}
