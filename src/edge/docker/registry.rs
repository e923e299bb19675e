//! Images in a registry: pushed, looked up by their digest, and pulled when the engine does not have them.
//!
//! The engine talks to the registry, so that its certificates and its list of insecure registries count.

use anyhow::{Context as _, anyhow};
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptions, PushImageOptions, TagImageOptions};
use futures_util::StreamExt as _;
use secrecy::ExposeSecret as _;

use super::Docker;
use crate::domain::ids::{Digest, ModelName};

/// Why an image is not in the registry.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The registry does not let us. Whoever set this instance up can mend that, and nobody by trying again.
    #[error("{0}")]
    Refused(String),
    /// Anything else, which may pass.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Docker {
    /// What the model's images are called: in the registry, or on this engine when there is none.
    #[must_use]
    pub fn repository(&self, model: &ModelName) -> String {
        match &self.settings().registry {
            Some(registry) => format!("{}/{model}", registry.trim_end_matches('/')).to_lowercase(),
            None => format!("modelship/{model}").to_lowercase(),
        }
    }

    /// Gives the image a name and a tag on this engine.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn tag(&self, image: &str, repository: &str, tag: &str) -> anyhow::Result<()> {
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        let done = self.api().tag_image(image, Some(options)).await;
        done.with_context(|| format!("failed to name an image `{repository}:{tag}`"))
    }

    /// Pushes `repository:tag` and gives the digest under which the registry has it.
    ///
    /// # Errors
    /// [`PushError::Refused`] when the registry asks for another login.
    pub async fn push(&self, repository: &str, tag: &str) -> Result<Digest, PushError> {
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..PushImageOptions::default() };
        let api = self.api().clone().with_timeout(super::LONG_PATIENCE);
        let mut news = api.push_image(repository, Some(options), self.credentials());
        let mut pushed = None;
        while let Some(item) = news.next().await {
            let item = item.map_err(|error| self.explain(error, "push", &format!("{repository}:{tag}")))?;
            // `abc: digest: sha256:... size: 739`
            let digest = item.status.as_deref().and_then(|status| status.split_once("digest: "));
            let digest = digest.and_then(|(_, rest)| rest.split_whitespace().next());
            pushed = digest.and_then(|digest| Digest::parse(digest).ok()).or(pushed);
        }
        let found = self.digest_in_registry(&format!("{repository}:{tag}")).await?;
        match (pushed, found) {
            (Some(pushed), Some(found)) if pushed != found => Err(PushError::Internal(anyhow!(
                "the registry has `{found}` as `{repository}:{tag}` and not `{pushed}`, which was pushed; somebody else \
                 pushes there too"
            ))),
            (_, Some(found)) => Ok(found),
            (_, None) => Err(PushError::Internal(anyhow!(
                "the registry took `{repository}:{tag}` and does not have it now; its own log should say why"
            ))),
        }
    }

    /// The digest under which the registry has what `reference` names; none when it has nothing there.
    ///
    /// # Errors
    /// As [`Docker::push`].
    pub async fn digest_in_registry(&self, reference: &str) -> Result<Option<Digest>, PushError> {
        match self.api().inspect_registry_image(reference, self.credentials_for(reference)).await {
            Ok(found) => {
                let digest = found.descriptor.digest.unwrap_or_default();
                let digest = Digest::parse(&digest).with_context(|| format!("the registry names `{digest}`"))?;
                Ok(Some(digest))
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(Error::DockerResponseServerError { message, .. })
                if message.contains("manifest unknown") || message.contains("not found") =>
            {
                Ok(None)
            }
            Err(error) => Err(self.explain(error, "look up", reference)),
        }
    }

    /// Whether the engine or the registry still has the image.
    ///
    /// # Errors
    /// When neither can say.
    pub async fn has(&self, reference: &str) -> anyhow::Result<bool> {
        if self.image(reference).await?.is_some() {
            return Ok(true);
        }
        if is_id(reference) {
            return Ok(false);
        }
        Ok(self.digest_in_registry(reference).await?.is_some())
    }

    /// Sees to it that the engine has the image: pulls it unless it is there.
    ///
    /// # Errors
    /// When it is nowhere, or cannot be pulled.
    pub async fn ensure_present(&self, reference: &str) -> anyhow::Result<()> {
        if self.image(reference).await?.is_some() {
            return Ok(());
        }
        anyhow::ensure!(
            !is_id(reference),
            "the image `{reference}` is not on this Docker engine; build the version again, or set `docker.registry` so \
             that images outlive the engine that built them"
        );
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..CreateImageOptions::default() };
        let api = self.api().clone().with_timeout(super::LONG_PATIENCE);
        let mut news = api.create_image(Some(options), None, self.credentials_for(reference));
        while let Some(item) = news.next().await {
            item.map_err(|error| self.explain(error, "pull", reference))?;
        }
        Ok(())
    }

    /// What to say of us to the registry of `reference`. The login is for one registry and for no other.
    fn credentials_for(&self, reference: &str) -> Option<DockerCredentials> {
        let credentials = self.credentials()?;
        let registry = reference.split('/').next();
        (credentials.serveraddress.as_deref() == registry).then_some(credentials)
    }

    pub(super) fn credentials(&self) -> Option<DockerCredentials> {
        let (user, password) = self.settings().registry_login.as_ref()?;
        let registry = self.settings().registry.as_deref()?;
        Some(DockerCredentials {
            username: Some(user.clone()),
            password: Some(password.expose_secret().to_owned()),
            serveraddress: registry.split('/').next().map(str::to_owned),
            ..DockerCredentials::default()
        })
    }

    /// What went wrong at the registry, and what to do about it.
    fn explain(&self, error: Error, doing: &str, reference: &str) -> PushError {
        let message = match error {
            Error::DockerStreamError { error } => error,
            Error::DockerResponseServerError { message, .. } => message,
            other => {
                return PushError::Internal(
                    anyhow::Error::new(other).context(format!("failed to {doing} `{reference}`")),
                );
            }
        };
        let lower = message.to_lowercase();
        let refused = ["unauthorized", "authentication required", "no basic auth", "denied", "forbidden"];
        if refused.iter().any(|word| lower.contains(word)) {
            let login = match &self.settings().registry_login {
                Some((user, _)) => format!("refuses user `{user}`"),
                None => "asks for a login".to_owned(),
            };
            return PushError::Refused(format!(
                "cannot {doing} `{reference}`: the registry {login} ({message}); set MODELSHIP_REGISTRY_USER and \
                 MODELSHIP_REGISTRY_PASSWORD to somebody who may"
            ));
        }
        if lower.contains("http response to https client") {
            return PushError::Refused(format!(
                "cannot {doing} `{reference}`: the registry speaks plain HTTP ({message}); list it under \
                 `insecure-registries` of the Docker engine"
            ));
        }
        PushError::Internal(anyhow!("cannot {doing} `{reference}`: {message}"))
    }
}

/// Whether the reference is an image's id on one engine, and no name in a registry.
fn is_id(reference: &str) -> bool {
    Digest::parse(reference).is_ok()
}
