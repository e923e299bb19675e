//! Connections: how many, how slow, how long.
//!
//! warp's own loop sets no timer, so that a client which sends one byte a minute would hold its connection for ever. The
//! service is warp's; the loop around it is ours.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{App, routes};

/// Most headers of one request.
const MAX_HEADERS: usize = 64;

/// Most bytes of one request's headers together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// How long to wait after a connection could not be taken, mostly because every file handle is in use.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` comes, then lets open requests end.
pub(super) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()> + Send) {
    let limits = app.context.limits.clone();
    let service = warp::service(routes(&app));
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            next = next => next,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        let connection = graceful.watch(connection.into_owned());
        let lifetime = limits.connection;
        open.spawn(async move {
            // A client that breaks off or is too slow is its own affair.
            if let Ok(Err(error)) = tokio::time::timeout(lifetime, connection).await {
                tracing::debug!(error = %error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the server stopped");
    }
    open.shutdown().await;
}
