//! Who we are to GitHub: an App with its installations, or the owner of a token.
//!
//! An installation's token is asked for one repository and with the permissions that we need, or for nothing but to see
//! which repositories there are. It is used until shortly before it ends and never written down. No form is expected of
//! it. One for each repository costs a request in fifty minutes, and what goes wrong with one reaches no other.
//!
//! Source: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::StatusCode;
use octocrab::auth::create_jwt;
use octocrab::models::AppId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answers::Installation;
use super::client::{Client, status_of};
use crate::edge::forge::ForgeError;

/// What an App needs to be allowed, as GitHub calls it.
pub const PERMISSIONS: &[(&str, &str)] = &[
    ("checks", "write"),
    ("contents", "read"),
    ("deployments", "write"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
];

/// How long is an installation's token used? GitHub lets it live for an hour; both clocks may be off a little.
const USED_FOR: Duration = Duration::from_secs(50 * 60);

/// How we log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// As a GitHub App.
    App {
        /// The App's number.
        id: u64,
        /// Its private key, in PEM.
        key: SecretString,
    },
    /// With a token of somebody's, for small set-ups.
    Token(SecretString),
}

/// How long is a token of the App's own used? It says itself that it ends after nine minutes.
const OWN_USED_FOR: Duration = Duration::from_secs(5 * 60);

/// What an installation's token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// To see which repositories the installation holds.
    List,
    /// To work in the repository of this number.
    Repository(i64),
}

/// Whose a token is. GitHub counts for each of them apart how much is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The App itself.
    App,
    /// The App's installation of that number.
    Installation(i64),
    /// The account that made the token.
    Account,
}

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    pub(super) holder: Holder,
    /// Whether it allows all that we need.
    pub(super) is_whole: bool,
    is_refused: AtomicBool,
}

impl Token {
    pub(super) fn new(secret: SecretString, holder: Holder) -> Self {
        Self { secret, holder, is_whole: true, is_refused: AtomicBool::new(false) }
    }

    /// Takes note that GitHub takes the token no longer, perhaps before its time: another one is got for the next request.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// Whose turn it is to ask for a token.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// The tokens in use.
#[derive(Debug)]
pub(super) struct Tokens {
    login: Login,
    /// The one that we were given.
    given: Option<Arc<Token>>,
    own: Mutex<Option<Known>>,
    /// By the installation's number.
    installations: Mutex<HashMap<(i64, Scope), Known>>,
    /// Held while one is asked for, so that nobody else asks for the same.
    asking: Mutex<HashMap<(i64, Scope), Turn>>,
}

#[derive(Debug, Clone)]
struct Known {
    token: Arc<Token>,
    until: Instant,
}

impl Known {
    fn is_good(&self) -> bool {
        self.until > Instant::now() && !self.token.is_refused.load(Ordering::Relaxed)
    }
}

#[derive(Deserialize)]
struct NewToken {
    token: SecretString,
}

impl Tokens {
    pub(super) fn new(login: Login) -> Self {
        let given = match &login {
            Login::App { .. } => None,
            Login::Token(token) => Some(Arc::new(Token::new(token.clone(), Holder::Account))),
        };
        Self { login, given, own: Mutex::default(), installations: Mutex::default(), asking: Mutex::default() }
    }

    pub(super) fn login(&self) -> &Login {
        &self.login
    }

    /// The token that we were given instead of an App.
    pub(super) fn given(&self) -> Option<&Arc<Token>> {
        self.given.as_ref()
    }

    /// The token by which the App itself speaks; good for some minutes.
    pub(super) fn app(&self) -> Result<Arc<Token>, ForgeError> {
        let Login::App { id, key } = &self.login else {
            return Err(ForgeError::Never(anyhow!("only a GitHub App can ask that; this instance has a token")));
        };
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.as_ref().filter(|known| known.is_good()) {
            return Ok(Arc::clone(&known.token));
        }
        let made = jsonwebtoken::EncodingKey::from_rsa_pem(key.expose_secret().as_bytes())
            .and_then(|key| create_jwt(AppId(*id), &key))
            .context("the App's private key is no RSA key in PEM");
        let secret = made.map(SecretString::from).map_err(ForgeError::Never)?;
        let token = Arc::new(Token::new(secret, Holder::App));
        *own = Some(Known { token: Arc::clone(&token), until: Instant::now() + OWN_USED_FOR });
        Ok(token)
    }

    /// The token by which we speak as the installation `id`.
    pub(super) async fn installation(&self, client: &Client, id: i64, scope: Scope) -> Result<Arc<Token>, ForgeError> {
        if let Some(token) = self.known(id, scope) {
            return Ok(token);
        }
        let turn = self.turn(id, scope);
        let _turn = turn.lock().await;
        if let Some(token) = self.known(id, scope) {
            return Ok(token);
        }
        let now = Instant::now();
        let app = self.app()?;
        let token = match scope {
            Scope::List => ask(client, &app, id, &json!({ "permissions": {"metadata": "read"} })).await?,
            Scope::Repository(number) => {
                let wanted =
                    |allowed: &BTreeMap<&str, &str>| json!({ "repository_ids": [number], "permissions": allowed });
                let needed = BTreeMap::from_iter(PERMISSIONS.iter().copied());
                match ask(client, &app, id, &wanted(&needed)).await {
                    // Who made the App before we needed a permission has not granted it yet. All else goes on with what
                    // there is.
                    Err(error) if status_of(&error) == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                        let route = format!("/app/installations/{id}");
                        let found: Installation = client.get(&app, &route).await?.json(&route)?;
                        let granted = granted(&found.permissions);
                        if granted == needed {
                            return Err(error);
                        }
                        let token = ask(client, &app, id, &wanted(&granted)).await?;
                        tracing::warn!("the App's installation {id} lacks permissions; `modelship doctor` says which");
                        Token { is_whole: false, ..token }
                    }
                    token => token?,
                }
            }
        };
        let token = Arc::new(token);
        let known = Known { token: Arc::clone(&token), until: now + USED_FOR };
        let mut installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        installations.retain(|_, known| known.is_good());
        installations.insert((id, scope), known);
        Ok(token)
    }

    fn known(&self, id: i64, scope: Scope) -> Option<Arc<Token>> {
        let installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        let known = installations.get(&(id, scope)).filter(|known| known.is_good());
        known.map(|known| Arc::clone(&known.token))
    }

    fn turn(&self, id: i64, scope: Scope) -> Turn {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(asking.entry((id, scope)).or_default())
    }

    /// Forgets the token by which we worked in the repository of that number.
    pub(super) fn forget_repository(&self, number: i64) {
        let mut installations = self.installations.lock().unwrap_or_else(PoisonError::into_inner);
        installations.retain(|(_, scope), _| *scope != Scope::Repository(number));
    }
}

/// Asks for a token of the installation `id`.
async fn ask(client: &Client, app: &Token, id: i64, wanted: &Value) -> Result<Token, ForgeError> {
    let route = format!("/app/installations/{id}/access_tokens");
    let answer = client.post_at_once(app, &route, wanted).await?;
    Ok(Token::new(answer.json::<NewToken>(&route)?.token, Holder::Installation(id)))
}

/// What of all that we need is granted.
fn granted(permissions: &HashMap<String, String>) -> BTreeMap<&'static str, &'static str> {
    let level = |name: &str, needed: &'static str| match permissions.get(name)?.as_str() {
        "read" => Some("read"),
        _ => Some(needed),
    };
    PERMISSIONS.iter().filter_map(|(name, needed)| Some((*name, level(name, needed)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    /// A GitHub that knows the App's installations 1 and 2, of which the first answers nothing.
    #[derive(Debug, Default)]
    struct Town {
        asked: Mutex<Vec<String>>,
        minted: AtomicUsize,
    }

    impl Town {
        async fn start() -> (Arc<Self>, Client, Tokens) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let api = format!("http://{}", listener.local_addr().unwrap());
            let town = Arc::new(Self::default());
            let answering = Arc::clone(&town);
            tokio::spawn(async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&answering).answer(connection));
                }
            });
            let tokens = Tokens::new(Login::App { id: 7, key: SecretString::from("no key") });
            tokens.own_is("jwt");
            // Whoever kept to this pause would not be done in the time of a test.
            (town, Client::new(&api, Some(Duration::from_secs(3600))).unwrap(), tokens)
        }

        async fn answer(self: Arc<Self>, mut connection: TcpStream) {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = connection.read(&mut buffer).await {
                let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let line = request.lines().next().unwrap_or_default().to_owned();
                self.asked.lock().unwrap().push(line.clone());
                if line.contains("/installations/1/") {
                    std::future::pending::<()>().await;
                }
                let is_good = !request.to_ascii_lowercase().contains("bearer stale");
                let minted = self.minted.fetch_add(1, Ordering::SeqCst);
                let (status, body) = match is_good {
                    true => ("201 Created", format!("{{\"token\": \"ghs_{minted}\"}}")),
                    false => ("401 Unauthorized", "{\"message\": \"Bad credentials\"}".to_owned()),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: ");
                connection.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
            }
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    impl Tokens {
        /// As if the App had signed this a moment ago.
        fn own_is(&self, text: &str) -> Arc<Token> {
            let token = Arc::new(Token::new(SecretString::from(text), Holder::App));
            let known = Known { token: Arc::clone(&token), until: Instant::now() + OWN_USED_FOR };
            *self.own.lock().unwrap() = Some(known);
            token
        }
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_token_is_got_anew_before_its_hour_is_over() {
        let (town, client, tokens) = Town::start().await;
        let get = async || tokens.installation(&client, 2, Scope::Repository(3)).await.unwrap();
        let first = get().await;
        assert!(Arc::ptr_eq(&first, &get().await), "it is good for a while yet");
        {
            let mut installations = tokens.installations.lock().unwrap();
            let known = installations.get_mut(&(2, Scope::Repository(3))).unwrap();
            let left = known.until - Instant::now();
            assert!((49..=50).contains(&(left.as_secs().div_ceil(60))), "GitHub ends it after an hour: {left:?}");
            // As if that time had passed.
            known.until = Instant::now();
        }
        assert!(!Arc::ptr_eq(&first, &get().await));
        assert_eq!(town.asked(), 2);
    }

    #[tokio::test]
    async fn tokens_wait_for_no_pause_and_not_for_each_other() {
        let (town, client, tokens) = Town::start().await;
        let stuck = tokens.installation(&client, 1, Scope::List);
        let others = async {
            while town.asked() == 0 {
                tokio::task::yield_now().await;
            }
            let numbers = [3, 4, 3, 4, 3];
            join_all(numbers.map(|number| tokens.installation(&client, 2, Scope::Repository(number)))).await
        };
        tokio::select! {
            _ = stuck => panic!("nobody answers"),
            got = timeout(SOON, others) => {
                let got: Vec<_> = got.unwrap().into_iter().map(Result::unwrap).collect();
                assert!(Arc::ptr_eq(&got[0], &got[2]) && Arc::ptr_eq(&got[1], &got[3]));
                assert!(!Arc::ptr_eq(&got[0], &got[1]));
            }
        }
        assert_eq!(town.asked(), 3, "each is asked for once");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_costs_no_other() {
        let (town, client, tokens) = Town::start().await;
        let first = tokens.installation(&client, 2, Scope::Repository(3)).await.unwrap();
        let second = tokens.installation(&client, 2, Scope::Repository(4)).await.unwrap();
        first.refuse();
        let third = tokens.installation(&client, 2, Scope::Repository(3)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &third));
        assert!(Arc::ptr_eq(&second, &tokens.installation(&client, 2, Scope::Repository(4)).await.unwrap()));
        assert_eq!(town.asked(), 3);
    }

    #[tokio::test]
    async fn the_apps_own_token_is_not_used_again_after_github_refused_it() {
        let (_, client, tokens) = Town::start().await;
        let stale = tokens.own_is("stale");
        let refused = tokens.installation(&client, 2, Scope::List).await.unwrap_err();
        assert_eq!(status_of(&refused), Some(StatusCode::UNAUTHORIZED));
        assert!(matches!(refused, ForgeError::Later(_)), "a new one may be taken");
        let next = tokens.app();
        assert!(next.as_ref().is_err_and(|error| error.cause().to_string().contains("private key")), "{next:?}");
        assert!(stale.is_refused.load(Ordering::Relaxed));
    }

    #[test]
    fn what_is_granted_is_asked_for_and_no_more() {
        let has =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect();
        let found = granted(&has(&[
            ("administration", "write"),
            ("checks", "read"),
            ("contents", "write"),
            ("issues", "write"),
            ("metadata", "read"),
        ]));
        let expected = [("checks", "read"), ("contents", "read"), ("issues", "write"), ("metadata", "read")];
        assert_eq!(found, BTreeMap::from(expected));
        assert_eq!(granted(&has(PERMISSIONS)), PERMISSIONS.iter().copied().collect());
    }
}
