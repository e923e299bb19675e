//! `modelship push`: what was built without a registry's login goes to the registry once there is one.

use serde_json::json;

use crate::cli::arguments::Push;
use crate::cli::output::{CliError, Output};
use crate::cli::session::Session;
use crate::cli::workspace::Workspace;
use crate::domain::ids::VersionId;
use crate::edge::docker::Docker;
use crate::engine::docker_settings;
use crate::settings::Settings;

/// Pushes the image of the model's version at HEAD, and says under which digest the registry has it.
pub(crate) async fn push(settings: Settings, push: &Push, output: &Output) -> Result<(), CliError> {
    let mut docker = docker_settings(&settings, &settings.state);
    if let Some(registry) = &push.to {
        docker.registry = Some(registry.clone());
    }
    if docker.registry.is_none() {
        return Err(CliError::User(
            "there is no registry to push to; name one with `--to REGISTRY`, or `docker.registry` in the settings"
                .to_owned(),
        ));
    }
    let session = Session::open(settings).await?;
    let workspace = Workspace::open(&session.engine.outside().hosting, false)?;
    let versions = session.store().versions(&push.model).await?;
    session.close().await?;
    let Some(version) = versions.into_iter().find(|version| version.source.commit == workspace.commit) else {
        return Err(CliError::User(format!(
            "there is no version of `{}` at commit {}; build it first: `modelship build {}`",
            push.model,
            workspace.commit.short(),
            push.model
        )));
    };
    let Some(image) = &version.image else {
        return Err(CliError::User(format!(
            "version `{}` was built as a process and has no image; build with `executor: docker`",
            version.id
        )));
    };
    let docker = Docker::new(&docker)?;
    let (repository, tag) = (docker.repository(&push.model), workspace.commit.short().to_owned());
    docker.tag(&image.reference, &repository, &tag).await?;
    let digest = docker.push(&repository, &tag).await.map_err(|error| match error {
        crate::edge::docker::PushError::Refused(message) => CliError::User(message),
        crate::edge::docker::PushError::Internal(error) => CliError::Ours(error),
    })?;
    let reference = format!("{repository}@{digest}");
    // What was built without a registry is known by the engine's id of it; whoever takes it from here, by the digest here.
    let id = VersionId::of(&push.model, &workspace.commit, &digest, &version.manifest);
    output.set("digest", &digest);
    output.set("image", &reference);
    output.set("version", &id);
    output.summarize(|| format!("**Pushed:** `{reference}`, version `{id}` for whoever registers it"));
    if output.is_json() {
        return output.json(&json!({"model": push.model, "version": id, "digest": digest, "image": reference}));
    }
    output.line(&reference)
}
