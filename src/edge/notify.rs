//! Messages to other programs: signed, sent once each time that somebody asks, and never redirected.
//!
//! Where they go is for the settings alone to say. What goes elsewhere goes by TLS, whose certificate tells whether a name was
//! looked up rightly; what is for this machine may go in the clear, so no resolver and no proxy has a say in where that is.
//!
//! Sending again is for the queue. What is sent again has the same id and the same body, so whoever receives it can tell.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, StatusCode, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};

use super::forge::local::signature;
use super::web::is_loopback;

/// How long until a connection is there, and until the answer is.
const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer that refuses is kept for people, in bytes.
const MOST_ANSWER: usize = 300;

/// How we name ourselves.
const USER_AGENT: &str = concat!("modelship/", env!("CARGO_PKG_VERSION"));

/// A program that is told what happens.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is called here.
    pub name: String,
    /// Its address.
    pub url: SecretString,
    /// What signs messages to it.
    pub secret: SecretString,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The kind of event.
    pub event: &'static str,
    /// Its id.
    pub id: String,
    /// JSON.
    pub body: String,
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// It may arrive later.
    #[error(transparent)]
    Later(anyhow::Error),
    /// The target does not want it, or is none.
    #[error(transparent)]
    Never(anyhow::Error),
}

/// Sends messages.
#[derive(Debug)]
pub struct Notifier {
    targets: BTreeMap<String, (Target, Client)>,
}

impl Notifier {
    /// Gets ready to send to `targets`.
    ///
    /// # Errors
    /// When the certificates of this machine cannot be read, or an address is none.
    pub fn new(targets: Vec<Target>) -> Result<Self> {
        let ready = |target: Target| {
            // The address may hold a secret.
            let url: Url =
                target.url.expose_secret().parse().map_err(|_| anyhow!("webhook `{}` has no address", target.name))?;
            let client = client(&url).build().context("cannot make a client for webhooks")?;
            Ok((target.name.clone(), (target, client)))
        };
        Ok(Self { targets: targets.into_iter().map(ready).collect::<Result<_>>()? })
    }

    /// Whether a target is called `name`.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.targets.contains_key(name)
    }

    /// Sends `message` to the target that is called `name`.
    ///
    /// # Errors
    /// [`NotifyError::Later`] when it does not answer, or asks for patience by 408, 425, 429 or 5xx; [`NotifyError::Never`]
    /// for any other answer than 2xx, and when the settings name no such target any more.
    pub async fn send(&self, name: &str, message: &Message) -> Result<(), NotifyError> {
        let Some((target, client)) = self.targets.get(name) else {
            return Err(NotifyError::Never(anyhow!("the settings have no webhook `{name}` any more")));
        };
        let request = client
            .post(target.url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("x-modelship-event", message.event)
            .header("x-modelship-delivery", &message.id)
            // As GitHub signs.
            .header("x-modelship-signature-256", signature(&target.secret, message.body.as_bytes()))
            .body(message.body.clone());
        let mut answer = request
            .send()
            .await
            .map_err(|error| NotifyError::Later(anyhow!("webhook `{name}` does not answer: {}", reason(error))))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = answer.chunk().await.ok().flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(&said[..said.len().min(MOST_ANSWER)]).escape_debug().to_string();
        let error = anyhow!("webhook `{name}` answers {}: {said}", status.as_u16());
        let patience = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || patience.contains(&status) {
            return Err(NotifyError::Later(error));
        }
        let redirects = status.is_redirection().then_some("; redirects are not followed, so mend its `url`");
        Err(NotifyError::Never(anyhow!("{error}{}", redirects.unwrap_or_default())))
    }
}

/// What sends to `url`.
fn client(url: &Url) -> ClientBuilder {
    let client = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT)
        .timeout(PATIENCE)
        // An address is where the owner of this instance sends to, and nowhere else.
        .redirect(redirect::Policy::none())
        // A connection that the other side has given up would cost a message an attempt.
        .pool_max_idle_per_host(0);
    if !is_loopback(url) {
        return client;
    }
    let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    client.no_proxy().resolve_to_addrs(url.host_str().unwrap_or_default(), &here)
}

/// The innermost cause, without the address.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} seconds", PATIENCE.as_secs());
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A resolver that says of every name that it is there.
    struct Liar(IpAddr);

    impl Resolve for Liar {
        fn resolve(&self, _: Name) -> Resolving {
            let found: Addrs = Box::new(std::iter::once(SocketAddr::from((self.0, 0))));
            Box::pin(std::future::ready(Ok(found)))
        }
    }

    /// Takes one connection, and answers with this status.
    async fn answer(listener: TcpListener, status: u16) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    /// How one message fares with a receiver that does this with its connection.
    async fn told<F: Future<Output = ()> + Send + 'static>(
        patience: Duration,
        receive: impl FnOnce(TcpListener) -> F,
    ) -> Result<(), NotifyError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
        let (name, secret) = ("deployer".to_owned(), SecretString::from("secret"));
        let target = Target { name: name.clone(), url: SecretString::from(url.to_string()), secret };
        let sender = client(&url).timeout(patience).build().unwrap();
        let notifier = Notifier { targets: BTreeMap::from([(name, (target, sender))]) };
        let received = tokio::spawn(receive(listener));
        let message = Message { event: "promoted", id: "1".to_owned(), body: "{}".to_owned() };
        let told = notifier.send("deployer", &message).await;
        received.abort();
        told
    }

    #[tokio::test]
    async fn an_answer_says_whether_a_message_comes_again() {
        for (status, outcome) in [
            (200, "taken"),
            (202, "taken"),
            (204, "taken"),
            (301, "never"),
            (304, "never"),
            (307, "never"),
            (308, "never"),
            (400, "never"),
            (401, "never"),
            (404, "never"),
            (408, "later"),
            (409, "never"),
            (410, "never"),
            (422, "never"),
            (425, "later"),
            (429, "later"),
            (500, "later"),
            (501, "later"),
            (502, "later"),
            (503, "later"),
            (504, "later"),
        ] {
            let told = told(PATIENCE, |listener| answer(listener, status)).await;
            let found = match &told {
                Ok(()) => "taken",
                Err(NotifyError::Later(_)) => "later",
                Err(NotifyError::Never(_)) => "never",
            };
            assert_eq!(found, outcome, "{status}: {told:?}");
        }
    }

    #[tokio::test]
    async fn a_receiver_that_says_nothing_is_told_again() {
        let hangs = |listener: TcpListener| async move {
            let _connection = listener.accept().await.unwrap();
            std::future::pending().await
        };
        let hangs_up = |listener: TcpListener| async move { drop(listener.accept().await.unwrap()) };
        let told = [told(Duration::from_millis(100), hangs).await, told(PATIENCE, hangs_up).await];
        assert!(told.iter().all(|told| matches!(told, Err(NotifyError::Later(_)))), "{told:?}");
        assert!(told[0].as_ref().unwrap_err().to_string().contains("no answer within 10 seconds"), "{told:?}");
    }

    #[tokio::test]
    async fn what_is_for_this_machine_stays_here_whatever_a_resolver_says() {
        let own = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = own.local_addr().unwrap().port();
        let other = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        tokio::spawn(answer(own, 204));
        tokio::spawn(answer(other, 500));
        let liar = || Arc::new(Liar("127.0.0.2".parse().unwrap()));
        for (host, status) in [("localhost", 204), ("hooks.example.org", 500)] {
            let url: Url = format!("http://{host}:{port}/hook").parse().unwrap();
            let client = client(&url).no_proxy().dns_resolver(liar()).build().unwrap();
            assert_eq!(client.post(url).send().await.unwrap().status(), status, "{host}");
        }
    }
}
