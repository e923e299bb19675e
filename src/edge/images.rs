//! Images in registries, asked by the registries' own protocol: no Docker engine is needed to know what an image is.
//!
//! Everything is found by its digest, and what comes back is hashed: neither the registry nor anybody on the way can
//! pass off something else. Only registries that settings name are asked.
//!
//! Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, anyhow};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::StatusCode;
use http::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::web::{Answer, Web, is_loopback, is_same_origin};
use crate::domain::ids::Digest;
use crate::domain::image::{DOCKER_HUB, ImageName, is_tag};

/// Where Docker Hub's registry is.
const HUB_HOST: &str = "registry-1.docker.io";

/// The largest manifest and the largest configuration that is read, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// What a manifest may be.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Which registries are asked, and how.
#[derive(Debug, Clone, Default)]
pub struct ImagesSettings {
    /// Images below these names may become versions: `registry.example.org/models`.
    pub accepted: Vec<String>,
    /// The registry that asks who we are, with user and password.
    pub login: Option<(String, String, SecretString)>,
}

/// Images that may become versions.
#[derive(Debug, Clone)]
pub struct Images {
    settings: ImagesSettings,
}

/// An image as its registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// Its digest: of its manifest, or of the list of its platforms.
    pub digest: Digest,
    /// How large it is, in bytes: its layers as they are packed, as its manifest has it.
    pub size: u64,
    /// The platform: `linux/amd64`.
    pub platform: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its entrypoint.
    pub entrypoint: Vec<String>,
    /// The variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// The directory that commands start in; empty when it names none.
    pub workdir: String,
}

/// Why nothing is known of an image.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It is not there, or not what it should be. Whoever offers it can mend that.
    #[error("{0}")]
    Refused(String),
    /// The registry does not answer, or does not know us.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

type Result<T> = std::result::Result<T, LookError>;

impl Images {
    /// Images as `settings` allow them.
    #[must_use]
    pub fn new(settings: ImagesSettings) -> Self {
        Self { settings }
    }

    /// Where images may lie that become versions.
    #[must_use]
    pub fn accepted(&self) -> &[String] {
        &self.settings.accepted
    }

    /// Whether images there may become versions.
    #[must_use]
    pub fn accepts(&self, image: &ImageName) -> bool {
        self.settings.accepted.iter().any(|prefix| image.is_below(prefix))
    }

    /// What the registry has as `reference`, a tag or a digest.
    ///
    /// # Errors
    /// As [`LookError`] says; the image must be accepted.
    pub async fn look(&self, image: &ImageName, reference: &str) -> Result<FoundImage> {
        if !self.accepts(image) {
            return Err(LookError::Refused(format!("this server takes no images from `{image}`")));
        }
        if !is_tag(reference) && Digest::parse(reference).is_err() {
            return Err(LookError::Refused(format!("`{reference}` is neither a tag nor a digest")));
        }
        let host = if image.registry() == DOCKER_HUB { HUB_HOST } else { image.registry() };
        let plain = Url::parse(&format!("http://{host}/")).context("the registry's address cannot be read")?;
        let scheme = if is_loopback(&plain) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{}/", image.path())).context("no address of an image")?;
        let login = self.settings.login.as_ref().filter(|(registry, ..)| registry == image.registry());
        let mut asker = Asker { web: Web::new(&base)?, base, image, login, authorization: None };
        let (digest, listed) = asker.manifest(reference).await?;
        let manifest = match listed {
            Manifest { manifests: Some(platforms), .. } => {
                let chosen = choose(&platforms).ok_or_else(|| {
                    LookError::Refused(format!("`{image}@{digest}` has no image for `linux/{}`", architecture()))
                })?;
                asker.manifest(chosen.as_str()).await?.1
            }
            manifest => manifest,
        };
        let layers = manifest.layers.iter().flatten();
        let size = layers.fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
        let Some(config) = manifest.config else {
            return Err(LookError::Refused(format!("`{image}@{digest}` is no image: its manifest has no `config`")));
        };
        let config = asker.blob(&config.digest).await?;
        Ok(found(digest, size, config))
    }
}

struct Asker<'a> {
    web: Web,
    base: Url,
    image: &'a ImageName,
    login: Option<&'a (String, String, SecretString)>,
    /// What the registry wants to hear of who asks, once it has said so.
    authorization: Option<HeaderValue>,
}

/// A manifest, or a list of manifests.
#[derive(Debug, Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
    layers: Option<Vec<Layer>>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: Digest,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

/// An image's configuration, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<Inner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inner {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    working_dir: Option<String>,
}

impl Asker<'_> {
    async fn manifest(&mut self, reference: &str) -> Result<(Digest, Manifest)> {
        let body = self.read(&format!("manifests/{reference}"), MANIFESTS).await?;
        let body = body.ok_or_else(|| {
            let sign = if Digest::parse(reference).is_ok() { '@' } else { ':' };
            LookError::Refused(format!("the registry has no `{}{sign}{reference}`", self.image))
        })?;
        let digest = Digest::of(&body);
        if Digest::parse(reference).is_ok_and(|asked| asked != digest) {
            return Err(anyhow!("the registry gave `{digest}` for `{}@{reference}`", self.image).into());
        }
        let manifest = serde_json::from_slice(&body)
            .map_err(|_| LookError::Refused(format!("`{}@{digest}` is no image that can be read", self.image)))?;
        Ok((digest, manifest))
    }

    async fn blob(&mut self, digest: &Digest) -> Result<Config> {
        let body = self.read(&format!("blobs/{digest}"), "*/*").await?;
        let body =
            body.ok_or_else(|| LookError::Refused(format!("the registry has lost `{digest}` of `{}`", self.image)))?;
        if Digest::of(&body) != *digest {
            return Err(anyhow!("the registry gave something else for `{digest}` of `{}`", self.image).into());
        }
        let config = serde_json::from_slice(&body);
        config.map_err(|_| LookError::Refused(format!("the configuration of `{}` cannot be read", self.image)))
    }

    /// What lies at `path` below the image; none when nothing does.
    async fn read(&mut self, path: &str, accept: &str) -> Result<Option<Vec<u8>>> {
        let place = self.base.join(path).context("no address of a part of an image")?;
        let mut answer = self.ask(&place, accept).await?;
        // Whoever the registry leads to is not who our login is for.
        if !is_same_origin(&answer.place, &place) && answer.status == StatusCode::UNAUTHORIZED {
            let (registry, host) = (self.image.registry(), answer.place.host_str().unwrap_or_default().to_owned());
            return Err(LookError::Refused(format!("registry `{registry}` leads to `{host}`, which asks for a login")));
        }
        if answer.status == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            self.authorization = Some(self.authorize(&answer).await?);
            answer = self.ask(&place, accept).await?;
        }
        match answer.status {
            status if status.is_success() => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let who = self.login.map_or("this server, which has no login for it", |(_, user, _)| user.as_str());
                let registry = self.image.registry();
                Err(LookError::Refused(format!("registry `{registry}` does not show `{}` to {who}", self.image)))
            }
            status => Err(anyhow!("registry `{}` answers {status} to `{path}`", self.image.registry()).into()),
        }
    }

    async fn ask(&self, place: &Url, accept: &str) -> anyhow::Result<Answer> {
        self.web.get(place, &[(ACCEPT, accept)], self.authorization.as_ref(), MOST_BYTES).await
    }

    /// What to say of us, as the registry asked for it.
    async fn authorize(&self, answer: &Answer) -> Result<HeaderValue> {
        let challenge = answer.headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.fetch_token(&parameters(rest)).await;
        }
        let basic = self.basic().filter(|_| scheme.eq_ignore_ascii_case("basic"));
        basic.transpose()?.ok_or_else(|| {
            LookError::Refused(format!(
                "registry `{}` asks for a login; set MODELSHIP_REGISTRY_USER and MODELSHIP_REGISTRY_PASSWORD",
                self.image.registry()
            ))
        })
    }

    fn basic(&self) -> Option<anyhow::Result<HeaderValue>> {
        let (_, user, password) = self.login?;
        Some(sensitive(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret())))))
    }

    /// A token of the service that the registry names, for this one image and for reading it.
    async fn fetch_token(&self, parameters: &HashMap<String, String>) -> Result<HeaderValue> {
        #[derive(Deserialize)]
        struct Token {
            /// Registries say it under either name, or both.
            token: Option<SecretString>,
            access_token: Option<SecretString>,
        }
        let realm = parameters.get("realm").map(String::as_str).unwrap_or_default();
        let mut place = Url::parse(realm).context("the registry does not say where its tokens come from")?;
        if is_loopback(&place) && !is_loopback(&self.base) {
            let registry = self.image.registry();
            return Err(LookError::Refused(format!(
                "registry `{registry}` says that its tokens come from this machine"
            )));
        }
        let scope = format!("repository:{}:pull", self.image.path());
        place.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = parameters.get("service") {
            place.query_pairs_mut().append_pair("service", service);
        }
        let basic = self.basic().transpose()?;
        let answer = Web::new(&place)?.get(&place, &[], basic.as_ref(), MOST_BYTES).await?;
        if !answer.status.is_success() {
            let message = format!("`{}` gives no token for `{}`", place.host_str().unwrap_or_default(), self.image);
            return Err(match answer.status {
                status if status.is_client_error() => LookError::Refused(message),
                status => anyhow!("{message}: it answers {status}").into(),
            });
        }
        let token: Token = serde_json::from_slice(&answer.body).context("a registry's token cannot be read")?;
        let token = token.token.or(token.access_token).context("a registry gave no token")?;
        Ok(sensitive(&format!("Bearer {}", token.expose_secret()))?)
    }
}

fn sensitive(text: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).context("a login cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The parameters of a challenge: `realm="https://auth.example.org/token",service="registry"`.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, more) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = more.trim_start_matches([',', ' ']);
    }
    found
}

/// The processor that images are run on here, as Docker calls it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn choose(platforms: &[Descriptor]) -> Option<Digest> {
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture();
    let chosen = platforms.iter().find(|listed| listed.platform.as_ref().is_some_and(fits));
    chosen.map(|listed| listed.digest.clone())
}

fn found(digest: Digest, size: u64, config: Config) -> FoundImage {
    let Inner { labels, entrypoint, env, working_dir } = config.config.unwrap_or_default();
    let environment = env.unwrap_or_default();
    let environment = environment.iter().filter_map(|entry| entry.split_once('='));
    FoundImage {
        digest,
        size,
        platform: format!("{}/{}", config.os, config.architecture),
        labels: labels.unwrap_or_default(),
        entrypoint: entrypoint.unwrap_or_default(),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        workdir: working_dir.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_challenge_is_read_whatever_its_values_hold() {
        let read = parameters(r#"realm="https://auth.example.org/token?a=b,c",service="registry", scope=x"#);
        assert_eq!(read["realm"], "https://auth.example.org/token?a=b,c");
        assert_eq!((read["service"].as_str(), read["scope"].as_str()), ("registry", "x"));
        assert!(parameters("").is_empty() && parameters(r#"realm="x"#)["realm"] == "x");
    }

    #[tokio::test]
    async fn only_registries_of_the_settings_are_asked() {
        let images = Images::new(ImagesSettings { accepted: vec!["example.org/models".to_owned()], login: None });
        let other = ImageName::parse("127.0.0.1:1/models/x").unwrap();
        let error = images.look(&other, "latest").await.unwrap_err().to_string();
        assert!(error.contains("takes no images"), "{error}");
        let good = ImageName::parse("example.org/models/x").unwrap();
        let error = images.look(&good, "../../x").await.unwrap_err().to_string();
        assert!(error.contains("neither a tag nor a digest"), "{error}");
    }

    /// A server that gives every request the same answer, and counts the requests that bring a login.
    async fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, logins) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&asked), Arc::clone(&logins));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut request, mut byte) = (String::new(), [0]);
                while !request.ends_with("\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|read| read == 1) {
                    request.push(char::from(byte[0]));
                }
                counts.0.fetch_add(1, Ordering::SeqCst);
                if request.to_ascii_lowercase().contains("authorization:") {
                    counts.1.fetch_add(1, Ordering::SeqCst);
                }
                let head = answer(&request);
                let told = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(told.as_bytes()).await.unwrap();
            }
        });
        (address, asked, logins)
    }

    fn images(registry: &str) -> (Images, ImageName) {
        let login = (registry.to_owned(), "ada".to_owned(), SecretString::from("secret"));
        let settings = ImagesSettings { accepted: vec![format!("{registry}/models")], login: Some(login) };
        (Images::new(settings), ImageName::parse(&format!("{registry}/models/x")).unwrap())
    }

    #[tokio::test]
    async fn a_login_goes_to_the_registry_that_it_is_for_and_to_no_other() {
        // What the registry itself asks for it gets.
        let (own, asked, logins) = server(|_| "401 Unauthorized\r\nwww-authenticate: Basic realm=x".to_owned()).await;
        let (registry, image) = images(&own);
        let error = registry.look(&image, "latest").await.unwrap_err().to_string();
        assert!(error.contains("does not show"), "{error}");
        assert_eq!((asked.load(Ordering::SeqCst), logins.load(Ordering::SeqCst)), (2, 1));

        // Who it leads to gets nothing, neither itself nor by a place of tokens that it names.
        let (realm, realm_asked, _) = server(|_| "200 OK".to_owned()).await;
        for challenge in ["Basic realm=x".to_owned(), format!("Bearer realm=\"http://{realm}/token\"")] {
            let (other, _, other_logins) =
                server(move |_| format!("401 Unauthorized\r\nwww-authenticate: {challenge}")).await;
            let (leading, _, own_logins) =
                server(move |_| format!("307 Temporary Redirect\r\nlocation: http://{other}/x")).await;
            let (registry, image) = images(&leading);
            let error = registry.look(&image, "latest").await.unwrap_err().to_string();
            assert!(error.contains("leads to `127.0.0.1`, which asks for a login"), "{error}");
            assert_eq!(other_logins.load(Ordering::SeqCst) + own_logins.load(Ordering::SeqCst), 0);
        }
        assert_eq!(realm_asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_registry_elsewhere_sends_us_to_no_place_of_this_machine() {
        let (realm, asked, _) = server(|_| "200 OK".to_owned()).await;
        let (_, image) = images("registry.example.org");
        let base = Url::parse("https://registry.example.org/v2/models/x/").unwrap();
        let asker = Asker { web: Web::new(&base).unwrap(), base, image: &image, login: None, authorization: None };
        let parameters = HashMap::from([("realm".to_owned(), format!("http://{realm}/token"))]);
        let error = asker.fetch_token(&parameters).await.unwrap_err().to_string();
        assert!(error.contains("come from this machine"), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}
