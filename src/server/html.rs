//! How a page is made: its frame and what it may load.

use warp::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::{Reply as _, Response};

use super::Refusal;
use crate::domain::report::html as escape;

/// What a page may load: nothing, but its own style. What it may send: forms, to us.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem 1.5rem 3rem;max-width:64rem;color:#1c2024}\
    header{display:flex;gap:1rem;align-items:baseline;border-bottom:1px solid #d8dce0;padding-bottom:.5rem}\
    header a:first-child{font-weight:700;color:inherit;text-decoration:none}header form,header .who{margin-left:auto}\
    header .who+form{margin-left:0}button{font:inherit;border:1px solid #b8bec4;border-radius:4px;background:#f4f6f8;padding:.1rem .7rem;cursor:pointer}\
    h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}a{color:#0b5cad}\
    table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.25rem 1rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #eceff2}\
    td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code,pre{font:14px/1.45 ui-monospace,monospace}\
    pre{background:#f4f6f8;padding:.75rem;overflow-x:auto;max-height:40rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem}\
    dt{color:#5b636b}dd{margin:0;overflow-wrap:anywhere}.state{font-weight:600}.quiet{color:#5b636b}";

/// A page of ours. `title` is text; the others are HTML already.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    /// What stands at the top on the right: who looks.
    pub(super) top: &'a str,
    /// What stands before every path of ours.
    pub(super) prefix: &'a str,
    pub(super) body: &'a str,
}

impl Page<'_> {
    pub(super) fn respond(&self, status: StatusCode) -> Response {
        let text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{} · modelship</title>\n\
             <style>{STYLE}</style>\n<header><a href=\"{}/\">modelship</a>{}</header>\n{}",
            escape(self.title),
            self.prefix,
            self.top,
            self.body
        );
        let mut response = warp::reply::with_status(warp::reply::html(text), status).into_response();
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response
    }
}

/// Sends the browser on, with a GET.
pub(super) fn see_other(address: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::try_from(address) {
        Ok(address) => {
            response.headers_mut().insert(LOCATION, address);
            response
        }
        Err(_) => Refusal(StatusCode::BAD_REQUEST, "this address cannot be gone on from").into(),
    }
}

/// A table; `rows` are HTML already. Where there are none, `none` stands in its place.
pub(super) fn table(head: &str, rows: &str, none: &str) -> String {
    if rows.is_empty() { format!("<p>{none}\n") } else { format!("<table>\n<tr>{head}\n{rows}</table>\n") }
}
