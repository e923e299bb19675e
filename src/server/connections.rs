//! Connections: how many, how slow, how long.
//!
//! There are so many places. When all are taken, whoever comes next is given the place of the connection that was silent
//! for the longest, so that nobody locks others out by saying nothing. Whoever has asked keeps the place until the answer
//! is sent.
//!
//! A connection lasts so long, and again as long for as often as enough was sent on it meanwhile: a large file takes its
//! time, and whoever takes it byte by byte is cut off.
//!
//! warp's own loop sets no timer, so that a client which sends one byte a minute would hold its connection for ever. The
//! service is warp's; the loop around it is ours.

mod places;
mod turn;

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use warp::hyper::service::service_fn;

use self::places::Places;
use self::turn::{Turn, Watched, answer};
use super::{App, routes};

/// Most headers of one request.
const MAX_HEADERS: usize = 64;

/// Most bytes of one request's headers together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// How many bytes must be sent in a connection's time for it to get as much again.
const LEAST_SENT: u64 = 1024 * 1024;

/// How long to wait after a connection could not be taken, mostly because every file handle is in use.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` comes, then lets open requests end.
pub(super) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()> + Send) {
    let limits = app.context.limits.clone();
    let service = Arc::new(TowerToHyperService::new(warp::service(routes(&app))));
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    let graceful = GracefulShutdown::new();
    let mut places = Places::new(limits.connections);
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let stream = accept(&listener).await;
            places.make_room().await;
            stream
        };
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = next => stream,
        };
        let turn = places.turn();
        let service = {
            let (turn, service) = (Arc::clone(&turn), Arc::clone(&service));
            service_fn(move |request| answer(Arc::clone(&turn), Arc::clone(&service), request))
        };
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&turn)));
        let connection = graceful.watch(http.serve_connection(stream, service).into_owned());
        places.take(Arc::clone(&turn), last(limits.connection, connection, turn));
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the server stopped");
    }
    places.clear().await;
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Lets the connection go on for its time, and for as long again as often as enough was sent on it.
async fn last<E: Display>(lifetime: Duration, connection: impl Future<Output = Result<(), E>>, turn: Arc<Turn>) {
    let mut connection = pin!(connection);
    loop {
        let before = turn.sent();
        match tokio::time::timeout(lifetime, connection.as_mut()).await {
            Ok(ended) => {
                // A client that breaks off or is too slow is its own affair.
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "a connection ended early");
                }
                return;
            }
            Err(_) if turn.sent() - before < LEAST_SENT => return,
            Err(_) => {}
        }
    }
}
