//! The Docker engine that the settings name.

use super::Check;
use crate::domain::report::numbers;
use crate::edge::docker::{Access, Docker};
use crate::engine::docker_settings;
use crate::settings::Settings;

/// Whether the engine answers, and what of a run's limits it can hold.
pub(super) async fn engine(settings: &Settings) -> Vec<Check> {
    let docker = &settings.docker;
    let part = "docker engine";
    let reach = "start it, join the group `docker`, or name another as `docker.host` or DOCKER_HOST";
    let client = match Docker::new(&docker_settings(settings, &settings.state)) {
        Ok(client) => client,
        Err(error) => return vec![Check::bad(part, format!("{error:#}"), reach)],
    };
    let health = match client.health().await {
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
    let runner = match client.check_runner(&health.architecture) {
        Ok(()) => Check::good("runner in images", format!("static, for {}", health.architecture)),
        Err(error) => Check::bad(
            "runner in images",
            format!("{error:#}"),
            "make a static one with `scripts/build-runner` and name it as `docker.runner` in the settings",
        ),
    };
    vec![Check::good(part, found), limits, runner, registry(&client, docker.registry.as_deref()).await]
}

/// Whether images can be pushed. Without a registry they stay on the engine that built them.
async fn registry(client: &Docker, registry: Option<&str>) -> Check {
    let part = "registry";
    let Some(registry) = registry else {
        let advice =
            "name one as `docker.registry` so that images outlive this engine, and other machines can run them";
        return Check::look(part, "none: images stay on the engine", advice);
    };
    match client.registry_access(registry).await {
        Access::Granted => Check::good(part, format!("{registry}, login accepted")),
        Access::Refused(why) => Check::bad(
            part,
            format!("{registry} refuses the login: {why}"),
            "set MODELSHIP_REGISTRY_USER and MODELSHIP_REGISTRY_PASSWORD",
        ),
        Access::Unreachable(why) => Check::bad(
            part,
            format!("{registry} does not answer: {why}"),
            "start it, mend `docker.registry`, or list it under the engine's `insecure-registries` if it has no certificate",
        ),
    }
}
