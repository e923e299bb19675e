//! Connections: how many, how slow, how long.
//!
//! A connection lasts so long, and again as long for as often as enough was sent on it meanwhile: a large file takes its
//! time, and whoever takes it byte by byte is cut off.
//!
//! warp's own loop sets no timer, so that a client which sends one byte a minute would hold its connection for ever. The
//! service is warp's; the loop around it is ours.

use std::fmt::Display;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

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
        let sent = Arc::new(AtomicU64::new(0));
        let stream = TokioIo::new(Counted { stream, sent: Arc::clone(&sent) });
        let connection = http.serve_connection(stream, TowerToHyperService::new(service.clone()));
        let connection = graceful.watch(connection.into_owned());
        let lifetime = limits.connection;
        open.spawn(async move {
            last(lifetime, connection, &sent).await;
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the server stopped");
    }
    open.shutdown().await;
}

/// Lets the connection go on for its time, and for as long again as often as enough was sent on it.
async fn last<E: Display>(lifetime: Duration, connection: impl Future<Output = Result<(), E>>, sent: &AtomicU64) {
    let mut connection = pin!(connection);
    loop {
        let before = sent.load(Ordering::Relaxed);
        match tokio::time::timeout(lifetime, connection.as_mut()).await {
            Ok(ended) => {
                // A client that breaks off or is too slow is its own affair.
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "a connection ended early");
                }
                return;
            }
            Err(_) if sent.load(Ordering::Relaxed) - before < LEAST_SENT => return,
            Err(_) => {}
        }
    }
}

/// A connection that counts what is sent on it.
struct Counted {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Counted {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.sent.fetch_add(u64::try_from(*bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
