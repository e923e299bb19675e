//! Answers that are held back: GitHub has done what was asked of it, and whoever asked does not know yet.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::fits;
use super::http::{Reply, Request};
use super::{GitHub, Shared};

/// How long is something to be asked at most before the story is over?
const PATIENCE: Duration = Duration::from_secs(120);

/// Holds back the answer to each request of a kind, until somebody says what becomes of it; one that was held before word
/// for word passes.
pub(crate) struct Holds {
    shared: Arc<Shared>,
    caught: Mutex<Receiver<Held>>,
    /// How many were caught.
    count: Mutex<usize>,
}

/// What waits for its answer.
pub(crate) struct Held {
    /// `METHOD /path`.
    pub(crate) request: String,
    /// The request's body.
    pub(crate) body: String,
    send: Sender<()>,
    sent: Receiver<()>,
}

/// What the front needs to know of it.
pub(super) struct Catcher {
    /// `METHOD /path`, in which `*` stands for any characters; else all that changes something or that fetches by git.
    only: Option<String>,
    tell: Sender<Held>,
    before: HashSet<String>,
}

impl GitHub {
    /// Begins to hold back the answer to each request that changes something, or that fetches by git. Complains in the end
    /// when there was none.
    pub(crate) fn hold_answers(&self) -> Holds {
        self.hold(None)
    }

    /// The same with the requests that fit `METHOD /path`, in which `*` stands for any characters.
    pub(crate) fn hold_answers_to(&self, pattern: &str) -> Holds {
        self.hold(Some(pattern.to_owned()))
    }

    fn hold(&self, only: Option<String>) -> Holds {
        let (tell, caught) = channel();
        let catcher = Catcher { only, tell, before: HashSet::new() };
        let before = self.shared.catcher.lock().unwrap().replace(catcher);
        assert!(before.is_none(), "answers are held back already");
        Holds { shared: Arc::clone(&self.shared), caught: Mutex::new(caught), count: Mutex::new(0) }
    }
}

impl Holds {
    /// Waits for the next answer to hold back; none once [`Holds::end`] was called.
    pub(crate) fn next(&self) -> Option<Held> {
        let held = match self.caught.lock().unwrap().recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => panic!("nothing was asked whose answer is to be held back"),
            held => held.ok()?,
        };
        *self.count.lock().unwrap() += 1;
        Some(held)
    }

    /// Answers pass again.
    pub(crate) fn end(&self) {
        *self.shared.catcher.lock().unwrap() = None;
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        self.end();
        if *self.count.lock().unwrap() == 0 {
            self.shared.complain("answers were to be held back, and nothing was asked".to_owned());
        }
    }
}

impl Held {
    /// Lets the answer go, and comes back once it is sent. Who is dropped without it has the connection closed.
    pub(crate) fn answer(self) {
        let _ = self.send.send(());
        // The connection may be gone.
        let _ = self.sent.recv();
    }
}

/// What becomes of an answer that stands.
pub(super) fn hold(world: &Shared, request: &Request, reply: Reply) -> Reply {
    let Reply::Whole(response) = reply else { return reply };
    let (send, go) = channel();
    let (told, sent) = channel();
    {
        let mut catcher = world.catcher.lock().unwrap();
        let Some(catcher) = &mut *catcher else { return Reply::Whole(response) };
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let asked = format!("{} {}", request.method, request.path());
        let is_wanted = match &catcher.only {
            Some(pattern) => fits(pattern, &asked),
            None => asked.ends_with("/git-upload-pack") || request.method != "GET",
        };
        if !is_wanted {
            return Reply::Whole(response);
        }
        let held = Held { request: asked, body, send, sent };
        if !catcher.before.insert(format!("{} {}", numberless(&held.request), held.body)) {
            return Reply::Whole(response);
        }
        if catcher.tell.send(held).is_err() {
            return Reply::Whole(response);
        }
    }
    match go.recv() {
        Ok(()) => Reply::Told(response, told),
        Err(_) => Reply::Nothing,
    }
}

/// A path without the numbers of what it is about: things that were made anew have others.
pub(crate) fn numberless(path: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    path.split('/').map(|part| if is_number(part) { "#" } else { part }).collect::<Vec<_>>().join("/")
}
