//! The places that connections take, and who must leave when there are none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::turn::{Shared, Turn};

/// How long is a connection silent before somebody else gets its place? Whoever has something to say says it at once.
const SILENT: Duration = Duration::from_millis(250);

/// Where connections are served, at most so many at once.
pub(super) struct Places {
    most: usize,
    tasks: JoinSet<()>,
    taken: HashMap<Id, Taken>,
    shared: Arc<Shared>,
}

/// A place that somebody has.
struct Taken {
    turn: Arc<Turn>,
    task: AbortHandle,
}

impl Places {
    /// Places for `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), taken: HashMap::new(), shared: Arc::default() }
    }

    /// What is known of a new connection.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Arc::new(Turn::new(Arc::clone(&self.shared)))
    }

    /// Serves a connection in a place of its own.
    pub(super) fn take(&mut self, turn: Arc<Turn>, connection: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(connection);
        self.taken.insert(task.id(), Taken { turn, task });
    }

    /// Waits until a place is free, and frees one as soon as a connection was silent for long enough.
    pub(super) async fn make_room(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(&ended);
        }
        let shared = Arc::clone(&self.shared);
        while self.tasks.len() >= self.most {
            let may_leave = self.most_silent().map(|(since, _)| since + SILENT);
            tokio::select! {
                () = self.one_ends() => {}
                () = sleep_until(may_leave.unwrap_or_else(Instant::now)), if may_leave.is_some() => {
                    if self.send_away() {
                        self.one_ends().await;
                    }
                }
                () = shared.has_one_to_hear(), if may_leave.is_none() => {}
            }
        }
    }

    /// Ends the connection that was silent for the longest, if that is long enough. Says whether one ends.
    fn send_away(&self) -> bool {
        let most_silent = self.most_silent().filter(|(since, _)| since.elapsed() >= SILENT);
        let Some((since, taken)) = most_silent else { return false };
        let leaves = taken.turn.end(since);
        if leaves {
            tracing::debug!("a silent connection gave its place to a new one");
            taken.task.abort();
        }
        leaves
    }

    /// Waits until one of the connections has ended.
    async fn one_ends(&mut self) {
        if let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(&ended);
        }
    }

    /// The connection that was silent for the longest, and since when; none if we owe an answer to each.
    fn most_silent(&self) -> Option<(Instant, &Taken)> {
        let waiting = self.taken.values().filter_map(|taken| Some((taken.turn.silent_since()?, taken)));
        waiting.min_by_key(|(since, _)| *since)
    }

    /// Ends all connections.
    pub(super) async fn clear(mut self) {
        self.tasks.shutdown().await;
    }

    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.taken.remove(&id);
    }
}
