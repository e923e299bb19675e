//! What every page of ours has: who looks, what stands before its links, and how it says no.

use warp::http::StatusCode;
use warp::reply::Response;

use super::api::RunEntry;
use super::html::{Page, see_other};
use super::readers::{Asked, Viewer};
use super::{App, Refusal, sign_in};
use crate::domain::ids::{ModelName, RunId, SweepId};
use crate::domain::report::html as escape;

/// A frame for the answer to one request.
pub(super) struct Frame<'a> {
    app: &'a App,
    asked: &'a Asked,
    /// What stands before every path of ours, as HTML.
    pub(super) prefix: String,
}

impl<'a> Frame<'a> {
    pub(super) fn of(app: &'a App, asked: &'a Asked) -> Self {
        let prefix = app.context.access.sign_in().map_or_else(String::new, |sign_in| escape(sign_in.prefix()));
        Self { app, asked, prefix }
    }

    pub(super) fn respond(&self, title: &str, body: &str) -> Response {
        self.answer(StatusCode::OK, title, body)
    }

    /// The page for a person whose request is refused.
    pub(super) fn refused(&self, Refusal(status, message): Refusal) -> Response {
        let body = format!("<h1>This did not work</h1>\n<p>{}.\n", escape(message));
        self.answer(status, "This did not work", &body)
    }

    /// The page for a person who may not read a thing, or asks for one that is not there.
    fn nothing_here(&self, viewer: &Viewer) -> Response {
        let who = match viewer {
            Viewer::Person(user) => format!(
                "<p>You are signed in as <b>{}</b>. What is of a repository is shown to those who may read the \
                 repository on GitHub.",
                escape(&user.login)
            ),
            Viewer::Stranger | Viewer::Program(_) => String::new(),
        };
        let body = format!("<h1>There is nothing here</h1>\n{who}\n");
        self.answer(StatusCode::NOT_FOUND, "Nothing here", &body)
    }

    fn answer(&self, status: StatusCode, title: &str, body: &str) -> Response {
        Page { title, top: &self.top(), prefix: &self.prefix, body }.respond(status)
    }

    /// Who looks, with the way in or out.
    fn top(&self) -> String {
        let Some(sign_in) = self.app.context.access.sign_in() else { return String::new() };
        match self.app.context.access.viewer(&self.asked.headers) {
            Viewer::Person(user) => {
                let token = sign_in.form_token(&self.asked.headers).unwrap_or_default();
                format!(
                    "<span class=\"who\">{}</span><form action=\"{}/sign-out\" method=\"post\"><input type=\"hidden\" \
                     name=\"token\" value=\"{}\"><button>Sign out</button></form>",
                    escape(&user.login),
                    self.prefix,
                    escape(&token)
                )
            }
            Viewer::Stranger => {
                let way = escape(&sign_in::address(sign_in, &self.asked.target));
                format!("<span class=\"who\"><a href=\"{way}\">Sign in with GitHub</a></span>")
            }
            Viewer::Program(_) => String::new(),
        }
    }

    pub(super) fn model(&self, model: &ModelName) -> String {
        format!("<a href=\"{0}/models/{1}\">{1}</a>", self.prefix, escape(&model.to_string()))
    }

    pub(super) fn sweep(&self, sweep: &SweepId) -> String {
        format!("<a href=\"{0}/sweeps/{1}\">{1}</a>", self.prefix, escape(sweep.as_str()))
    }

    pub(super) fn run(&self, run: &RunId) -> String {
        self.link(run, run.short())
    }

    fn link(&self, run: &RunId, called: &str) -> String {
        format!("<a href=\"{}/runs/{run}\"><code>{called}</code></a>", self.prefix)
    }
}

/// The answer to who is refused: a page for a person, JSON for a program.
pub(super) fn refused(app: &App, asked: &Asked, refusal: Refusal) -> Response {
    if asked.is_browser() { Frame::of(app, asked).refused(refusal) } else { refusal.into() }
}

/// The page at an address of which this server knows nothing.
pub(super) fn nowhere(app: &App, asked: &Asked) -> Response {
    Frame::of(app, asked).nothing_here(&app.context.access.viewer(&asked.headers))
}

/// The answer to somebody who named the beginning of an id that several `runs` have which they may read.
pub(super) fn several(app: &App, asked: &Asked, runs: &[RunEntry]) -> Response {
    let refusal = Refusal(StatusCode::MULTIPLE_CHOICES, "several runs have an id that begins so; write more of it");
    if !asked.is_browser() {
        return refusal.into();
    }
    let frame = Frame::of(app, asked);
    let runs: String =
        runs.iter().map(|run| format!("<li>{}\n", frame.link(&run.known.run, run.known.run.as_str()))).collect();
    let body = format!("<h1>Several runs</h1>\n<p>Several runs have an id that begins so:\n<ul>\n{runs}</ul>\n");
    frame.answer(refusal.0, "Several runs", &body)
}

/// The answer to somebody who may not read a thing, or asks for one that is not there: the two look the same.
pub(super) fn denied(app: &App, viewer: &Viewer, asked: &Asked) -> Response {
    let access = &app.context.access;
    match (viewer, access.sign_in()) {
        (Viewer::Stranger, Some(sign_in)) if asked.is_browser() => see_other(&sign_in::address(sign_in, &asked.target)),
        (Viewer::Stranger, Some(_)) => Refusal(
            StatusCode::UNAUTHORIZED,
            "sign in at /sign-in, or send a token of GitHub's as `Authorization: Bearer ...`",
        )
        .into(),
        (Viewer::Stranger, None) if !access.is_open() => Refusal(
            StatusCode::UNAUTHORIZED,
            "nobody can sign in here: `server.url`, `forge.github.client_id` and its secret are not set",
        )
        .into(),
        _ if asked.is_browser() => Frame::of(app, asked).nothing_here(viewer),
        _ => Refusal(StatusCode::NOT_FOUND, "there is nothing here").into(),
    }
}
