//! Whose turn it is on a connection: the client's, while we wait for a request or the rest of one, or ours, from when a
//! request is there as a whole until the last byte of its answer is sent.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use warp::http::{Request, Response};
use warp::hyper::body::{Body, Frame, Incoming, SizeHint};
use warp::hyper::service::Service;

/// What all connections share.
#[derive(Default)]
pub(super) struct Shared {
    /// A connection was answered: it is its client's turn again.
    answered: Notify,
}

impl Shared {
    /// Waits until it is the client's turn on some connection where it was ours.
    pub(super) async fn has_one_to_hear(&self) {
        self.answered.notified().await;
    }
}

/// What is known of one connection.
pub(super) struct Turn {
    stage: Mutex<Stage>,
    sent: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client's turn, who has been silent since then.
    Listening { since: Instant },
    /// Our turn: the request is worked on, or its answer is still being made.
    Answering,
    /// Our turn: the answer is made, and not all of it is sent.
    Sending,
    /// Nobody's turn: the place was given away.
    Over,
}

impl Turn {
    /// Of a connection that was just made.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let stage = Mutex::new(Stage::Listening { since: Instant::now() });
        Self { stage, sent: AtomicU64::new(0), shared }
    }

    /// How many bytes were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Since when nothing was heard, if it is the client's turn.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        match *self.stage() {
            Stage::Listening { since } => Some(since),
            Stage::Answering | Stage::Sending | Stage::Over => None,
        }
    }

    /// Ends the connection if nothing was heard after `since`: nothing that comes from now on is worked on.
    pub(super) fn end(&self, since: Instant) -> bool {
        self.pass(|stage| stage == Stage::Listening { since }, Stage::Over)
    }

    /// Something was heard.
    fn hear(&self) {
        self.pass(|stage| matches!(stage, Stage::Listening { .. }), Stage::Listening { since: Instant::now() });
    }

    /// It is our turn, unless the place was given away before.
    fn begin(&self) -> bool {
        self.pass(|stage| stage != Stage::Over, Stage::Answering)
    }

    /// The whole answer was handed over to be sent.
    fn hand_over(&self) {
        self.pass(|stage| stage == Stage::Answering, Stage::Sending);
    }

    /// All that was handed over is sent.
    fn flush(&self) {
        if self.pass(|stage| stage == Stage::Sending, Stage::Listening { since: Instant::now() }) {
            self.shared.answered.notify_one();
        }
    }

    /// Goes on to the `next` stage, if it may from where it is.
    fn pass(&self, may: impl FnOnce(Stage) -> bool, next: Stage) -> bool {
        let mut stage = self.stage();
        let goes_on = may(*stage);
        if goes_on {
            *stage = next;
        }
        goes_on
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the service answer a request, and keeps account of whose turn it is.
pub(super) async fn answer<S, B>(
    turn: Arc<Turn>,
    service: S,
    request: Request<Incoming>,
) -> Result<Response<Answer<B>>, Infallible>
where
    S: Service<Request<Asked>, Response = Response<B>, Error = Infallible>,
{
    if request.body().is_end_stream() && !turn.begin() {
        // Whoever gave the place away ends this.
        std::future::pending::<()>().await;
    }
    let request = request.map(|body| Asked { body, turn: Arc::clone(&turn) });
    let response = service.call(request).await?;
    turn.begin();
    Ok(response.map(|body| Answer { body, turn }))
}

/// A request's body, which knows when it is there as a whole.
pub(super) struct Asked {
    body: Incoming,
    turn: Arc<Turn>,
}

impl Body for Asked {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_whole = matches!(frame, Poll::Ready(None));
        // Whoever gave the place away ends this.
        if is_whole && !self.turn.begin() { Poll::Pending } else { frame }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, which is dropped once all of it was handed over to be sent.
pub(super) struct Answer<B> {
    body: B,
    turn: Arc<Turn>,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.turn.hand_over();
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that tells when something came and when something, or all, was sent.
pub(super) struct Watched {
    stream: TcpStream,
    turn: Arc<Turn>,
}

impl Watched {
    /// Watches the stream.
    pub(super) fn new(stream: TcpStream, turn: Arc<Turn>) -> Self {
        Self { stream, turn }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.turn.sent.fetch_add(u64::try_from(*bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.turn.hear();
        }
        read
    }
}

impl AsyncWrite for Watched {
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

    /// Called once nothing of what was handed over is left to be written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.turn.flush();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
