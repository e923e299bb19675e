//! Registries that lie, lead elsewhere or want to know who asks.

use std::sync::{Arc, Mutex};

use modelship::domain::ids::Digest;
use modelship::domain::image::ImageName;
use modelship::edge::images::{FoundImage, Images, ImagesSettings, LookError};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::http::{Reply, Request, Response, Server};
use crate::registry::{Registry, built};

const KIND: &str = "application/vnd.oci.image.manifest.v1+json";
const LOGIN: &str = "Basic YWRhOnNlY3JldA==";

/// A stand-in for a registry, and what it was asked.
struct Liar {
    server: Server,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Liar {
    fn new(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let log = Arc::clone(&asked);
        let server = Server::start(move |request| {
            let response = answer(&request);
            log.lock().unwrap().push(request);
            Reply::Whole(response)
        });
        Self { server, asked }
    }

    fn image(&self) -> ImageName {
        ImageName::parse(&format!("127.0.0.1:{}/models/tiny", self.server.port())).unwrap()
    }

    /// Looks for an image there, with the login of ada for a registry.
    async fn look(&self, reference: &str, login: Option<&str>) -> Result<FoundImage, LookError> {
        look(&self.image(), reference, login).await
    }
}

async fn look(image: &ImageName, reference: &str, login: Option<&str>) -> Result<FoundImage, LookError> {
    let login = login.map(|registry| (registry.to_owned(), "ada".to_owned(), SecretString::from("secret")));
    Images::new(ImagesSettings { accepted: vec![image.registry().to_owned()], login }).look(image, reference).await
}

fn config() -> Vec<u8> {
    json!({"os": "linux", "architecture": "amd64", "config": {"Labels": {"a": "b"}}}).to_string().into_bytes()
}

fn manifest() -> Vec<u8> {
    let config = config();
    json!({"schemaVersion": 2, "mediaType": KIND, "config": {"digest": Digest::of(&config), "size": config.len()}})
        .to_string()
        .into_bytes()
}

fn body(bytes: Vec<u8>) -> Response {
    Response { status: 200, headers: vec![("content-type".to_owned(), KIND.to_owned())], body: bytes }
}

/// What an honest registry answers.
fn honest(request: &Request) -> Response {
    if request.path().contains("/manifests/") { body(manifest()) } else { body(config()) }
}

#[tokio::test]
async fn an_image_is_what_its_digest_says_and_nothing_else() {
    let digest = Digest::of(manifest());
    let good = Liar::new(honest);
    let found = good.look(digest.as_str(), None).await.unwrap();
    assert_eq!((&found.digest, found.labels["a"].as_str()), (&digest, "b"));
    assert_eq!(good.look("latest", None).await.unwrap().digest, digest, "a tag's digest is that of what it names");

    let other = Liar::new(|request| match request.path().contains("/manifests/") {
        true => body(json!({"config": {"digest": Digest::of(config())}}).to_string().into_bytes()),
        false => body(config()),
    });
    let error = other.look(digest.as_str(), None).await.unwrap_err();
    assert!(matches!(error, LookError::Internal(_)), "another manifest: {error}");

    let other = Liar::new(|request| match request.path().contains("/manifests/") {
        true => body(manifest()),
        false => body(json!({"config": {"Labels": {"org.modelship.model": "urban/tax"}}}).to_string().into_bytes()),
    });
    let error = other.look("latest", None).await.unwrap_err();
    assert!(matches!(error, LookError::Internal(_)), "other labels: {error}");

    for nonsense in ["", "[]", "{}", "{\"config\": {\"digest\": \"sha256:../..\"}}", "{\"manifests\": []}"] {
        let broken = Liar::new(move |_| body(nonsense.as_bytes().to_vec()));
        let error = broken.look("latest", None).await.unwrap_err();
        assert!(matches!(error, LookError::Refused(_)), "{nonsense}: {error}");
    }
}

#[tokio::test]
async fn a_registry_cannot_make_us_read_without_end_or_run_in_circles() {
    let endless = Liar::new(|_| body(vec![b' '; 5 << 20]));
    let error = format!("{:#}", endless.look("latest", None).await.unwrap_err());
    assert!(error.contains("longer than"), "{error}");

    let circle = Liar::new(|request| Response::empty(307).with("location", request.target.clone()));
    assert!(circle.look("latest", None).await.is_err());
    assert!(circle.asked.lock().unwrap().len() < 10);

    let gone = Liar::new(|_| Response::empty(404));
    let error = gone.look("latest", None).await.unwrap_err();
    assert!(matches!(&error, LookError::Refused(reason) if reason.contains("the registry has no")), "{error}");
    let out = Liar::new(|_| Response::empty(502));
    assert!(matches!(out.look("latest", None).await.unwrap_err(), LookError::Internal(_)), "that passes");
}

#[tokio::test]
async fn how_large_an_image_is_is_known_before_a_byte_of_it_is_fetched() {
    let sized = |sizes: &'static [&'static str]| {
        Liar::new(move |request| match request.path().contains("/manifests/") {
            true => {
                let layers: Vec<String> = sizes.iter().map(|size| format!("{{\"size\": {size}}}")).collect();
                let config = json!({"digest": Digest::of(config())});
                body(format!("{{\"config\": {config}, \"layers\": [{}]}}", layers.join(", ")).into_bytes())
            }
            false => body(config()),
        })
    };
    const MOST: &str = "18446744073709551615";
    for (sizes, sum) in [(&[][..], 0), (&["19999999999", "1"], 20_000_000_000), (&[MOST, MOST], u64::MAX)] {
        let registry = sized(sizes);
        assert_eq!(registry.look("latest", None).await.unwrap().size, sum);
        assert_eq!(registry.asked.lock().unwrap().len(), 2, "the manifest and the configuration");
    }
    for nonsense in [&["-1"], &["18446744073709551616"]] {
        let error = sized(nonsense).look("latest", None).await.unwrap_err();
        assert!(matches!(&error, LookError::Refused(reason) if reason.contains("can be read")), "{error}");
    }
}

#[tokio::test]
async fn a_login_is_for_its_own_registry_and_goes_nowhere_else() {
    let wants = |request: &Request| match request.header("authorization") {
        None => Response::empty(401).with("www-authenticate", "Basic realm=\"models\""),
        Some(LOGIN) => honest(request),
        Some(_) => Response::empty(403),
    };
    let closed = Liar::new(wants);
    let own = closed.image().registry().to_owned();
    assert!(closed.look("latest", Some(&own)).await.is_ok());
    let error = closed.look("latest", None).await.unwrap_err().to_string();
    assert!(error.contains("MODELSHIP_REGISTRY_USER"), "{error}");

    let other = Liar::new(wants);
    assert!(other.look("latest", Some(&own)).await.is_err());
    let told = |liar: &Liar| liar.asked.lock().unwrap().iter().any(|request| request.header("authorization").is_some());
    assert!(!told(&other), "another registry asks for a login and gets none");

    // Parts of an image may lie elsewhere, and whoever has them learns nothing.
    let store = Liar::new(honest);
    let url = store.server.url();
    let sends = Liar::new(move |request| match request.header("authorization") {
        None => Response::empty(401).with("www-authenticate", "Basic realm=\"models\""),
        Some(_) if request.path().contains("/blobs/") => Response::empty(307).with("location", format!("{url}/blob")),
        Some(_) => honest(request),
    });
    let own = sends.image().registry().to_owned();
    assert!(sends.look("latest", Some(&own)).await.is_ok());
    assert_eq!(store.asked.lock().unwrap().len(), 1);
    assert!(!told(&store), "{:?}", store.asked.lock().unwrap());
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says_and_for_one_image() {
    let tokens = Liar::new(|request| {
        let scope = request.query("scope").unwrap_or_default();
        let asked = scope == "repository:models/tiny:pull" && request.query("service").as_deref() == Some("reg,istry");
        match request.header("authorization") {
            Some(LOGIN) if asked => Response::json(200, &json!({"token": "t", "access_token": "t", "expires_in": 60})),
            _ => Response::json(401, &Value::Null),
        }
    });
    let realm = format!("{}/token", tokens.server.url());
    let wants = move |request: &Request| match request.header("authorization") {
        Some("Bearer t") => honest(request),
        _ => Response::empty(401)
            .with("www-authenticate", format!("Bearer realm=\"{realm}\",service=\"reg,istry\",scope=\"x\"")),
    };
    let closed = Liar::new(wants.clone());
    let own = closed.image().registry().to_owned();
    assert!(closed.look("latest", Some(&own)).await.is_ok());
    let error = Liar::new(wants).look("latest", Some(&own)).await.unwrap_err();
    assert!(matches!(&error, LookError::Refused(reason) if reason.contains("gives no token")), "{error}");

    let astray = Liar::new(|_| {
        Response::empty(401).with("www-authenticate", "Bearer realm=\"http://169.254.169.254/token\",service=\"x\"")
    });
    let error = format!("{:#}", astray.look("latest", None).await.unwrap_err());
    assert!(error.contains("neither HTTPS nor on this machine"), "{error}");
}

#[tokio::test]
async fn a_real_registry_that_asks_for_a_password_gets_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // `secret`, as htpasswd -B writes it.
    let passwords = "modelship:$2b$05$fm8VZIgOTHifhUe/i/CLNutbIu7sbwPo6CTaJytLAikd2WxxkAI/6\n";
    std::fs::write(file.path(), passwords).unwrap();
    let registry = Registry::start(&format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.path().display()));
    let digest = registry.push("models/tiny", "latest", &built("tests/tiny", &"1".repeat(40)));
    let image = ImageName::parse(&format!("{}/models/tiny", registry.address)).unwrap();
    let look = async |user: &str, password: &str| {
        let login = Some((registry.address.clone(), user.to_owned(), SecretString::from(password)));
        Images::new(ImagesSettings { accepted: vec![registry.address.clone()], login }).look(&image, "latest").await
    };
    assert_eq!(look("modelship", "secret").await.unwrap().digest, digest);
    let error = look("modelship", "wrong").await.unwrap_err().to_string();
    assert!(error.contains("does not show") && !error.contains("wrong"), "{error}");
}
