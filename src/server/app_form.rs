//! The page by which a GitHub App is made: it sends a manifest to GitHub from its owner's browser and takes the code that
//! GitHub sends the browser back with. It serves one App, on this machine, and ends.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use warp::Filter;
use warp::http::{HeaderValue, StatusCode};
use warp::reply::{Reply as _, Response};

/// What the page sends, and where to.
#[derive(Debug, Clone)]
pub struct AppForm {
    /// GitHub's page for a new App: `https://github.com/settings/apps/new`.
    pub action: String,
    /// The manifest.
    pub manifest: Value,
    /// A word that nobody can guess; only who brings it back is listened to.
    pub state: String,
}

#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
}

impl AppForm {
    /// Serves the page on `listener` until a browser comes back from GitHub, and gives its code. None when the server
    /// ends before.
    pub async fn serve(self, listener: TcpListener) -> Option<String> {
        let (told, code) = oneshot::channel();
        let told = Arc::new(Mutex::new(Some(told)));
        let (stop, stopped) = oneshot::channel::<()>();
        let form = Arc::new(self);
        let page = {
            let form = Arc::clone(&form);
            warp::path::end().and(warp::get()).map(move || form.page())
        };
        let back = warp::path!("created").and(warp::get()).and(warp::query()).map(move |back: Back| {
            let code = back.code.filter(|_| back.state.as_deref() == Some(form.state.as_str()));
            // A code goes into a path.
            let code = code.filter(|code| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            let Some(code) = code else {
                return text(
                    StatusCode::BAD_REQUEST,
                    "This did not come from the page that modelship opened. Begin again.",
                );
            };
            if let Some(told) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = told.send(code);
            }
            text(StatusCode::OK, "The App is made. Go back to the terminal; this page can be closed.")
        });
        let serving = warp::serve(page.or(back)).incoming(listener).graceful(async {
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving.run());
        let code = code.await.ok();
        // The browser gets its answer first.
        let _ = stop.send(());
        let _ = serving.await;
        code
    }

    fn page(&self) -> Response {
        let manifest = escaped(&self.manifest.to_string());
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>A GitHub App for modelship</title>\n\
             <h1>A GitHub App for modelship</h1>\n<p>GitHub asks for a name and shows what the App may do.</p>\n\
             <form action=\"{}?state={}\" method=\"post\">\n<input type=\"hidden\" name=\"manifest\" value=\"{manifest}\">\n\
             <button>Go on at GitHub</button>\n</form>\n",
            escaped(&self.action),
            escaped(&self.state),
        );
        let mut response = warp::reply::html(page).into_response();
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
        response.headers_mut().insert("content-security-policy", policy);
        response
    }
}

fn text(status: StatusCode, text: &'static str) -> Response {
    warp::reply::with_status(text, status).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
