//! `/sweeps/<id>/<file>`, `/runs/<id>/log` and `/runs/<id>/files/<name>`: what sweeps and runs left.
//!
//! Models wrote it, so a browser is told to take it for nothing more than it is: never for a page, but for `report.html`,
//! which is locked into a sandbox without scripts, an origin or a network. Which files there are is known here; no path of a
//! request reaches a store.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use warp::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warp::reply::{Reply as _, Response};
use warp::{Filter, Rejection};

use super::api::{RunEntry, readable_sweep};
use super::frame::{denied, refused, several};
use super::readers::Asked;
use super::{App, Refusal, ask, asked};
use crate::domain::ids::{Repository, RunPrefix};
use crate::domain::report::percent_encoded;
use crate::edge::artifacts::content::Content;
use crate::engine::{Recorded, SweepFile};

/// What a browser may do with a file: nothing at all.
const LOCKED: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox";

/// The same for the report, which brings its own style.
const REPORT: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox";

/// How a file is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manner {
    content_type: &'static str,
    policy: &'static str,
    place: Place,
}

/// Where a browser puts a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It shows it.
    Window,
    /// It saves it.
    Disk,
}

pub(super) fn routes(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let of_sweep = warp::path!("sweeps" / String / String).and(asked(app)).then(of_sweep);
    let log = warp::path!("runs" / String / "log").and(asked(app)).then(log);
    let of_run = warp::path!("runs" / String / "files" / ..).and(warp::path::tail()).and(asked(app)).then(
        |run: String, tail: warp::path::Tail, app: Arc<App>, asked: Asked| async move {
            of_run(run, tail.as_str().to_owned(), app, asked).await
        },
    );
    of_sweep.or(log).unify().or(of_run).unify()
}

async fn of_sweep(id: String, name: String, app: Arc<App>, asked: Asked) -> Response {
    find_of_sweep(&id, &name, &app, &asked).await.unwrap_or_else(|refusal| refused(&app, &asked, refusal))
}

async fn find_of_sweep(id: &str, name: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let entry = match readable_sweep(id, app, asked).await? {
        Ok(entry) => entry,
        Err(denied) => return Ok(denied),
    };
    let nothing = Refusal(StatusCode::NOT_FOUND, "the sweep has left no such file, or not yet");
    let file = SweepFile::named(name).ok_or(nothing)?;
    let content = ask(app, app.context.registry.sweep_file(entry.id.clone(), file)).await?.ok_or(nothing)?;
    Ok(hand_over(content, &asked.headers, manner(file), &format!("{}-{name}", entry.id)))
}

fn manner(file: SweepFile) -> Manner {
    let (content_type, policy, place) = match file {
        SweepFile::Report => ("text/html; charset=utf-8", REPORT, Place::Window),
        SweepFile::Plan => ("application/json", LOCKED, Place::Window),
        SweepFile::Points => ("application/jsonl", LOCKED, Place::Disk),
        SweepFile::Table => ("text/csv; charset=utf-8", LOCKED, Place::Disk),
        SweepFile::TypedTable => ("application/vnd.apache.parquet", LOCKED, Place::Disk),
    };
    Manner { content_type, policy, place }
}

/// The run whose id begins so, if there is one such run that the viewer may know of, and what it left is still there.
pub(super) async fn readable_run(id: &str, app: &App, asked: &Asked) -> Result<Result<Recorded, Response>, Refusal> {
    let found = match RunPrefix::of_person(id) {
        Ok(prefix) => ask(app, app.context.registry.runs(prefix)).await?,
        Err(_) => Vec::new(),
    };
    let access = &app.context.access;
    let viewer = access.viewer(&asked.headers);
    let made_of: Vec<&[Repository]> = found.iter().map(|run| run.repositories.as_slice()).collect();
    let reads = access.which(&viewer, &made_of).await?;
    let mut runs: Vec<RunEntry> =
        found.into_iter().zip(reads).filter(|(_, reads)| *reads).map(|(run, _)| run).collect();
    if runs.len() > 1 {
        return Ok(Err(several(app, asked, &runs)));
    }
    let Some(run) = runs.pop() else { return Ok(Err(denied(app, &viewer, asked))) };
    let gone = Refusal(StatusCode::NOT_FOUND, "what this run left is no longer here");
    Ok(Ok(ask(app, app.context.registry.recorded(run)).await?.ok_or(gone)?))
}

async fn log(id: String, app: Arc<App>, asked: Asked) -> Response {
    find_log(&id, &app, &asked).await.unwrap_or_else(|refusal| refused(&app, &asked, refusal))
}

async fn find_log(id: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let run = match readable_run(id, app, asked).await? {
        Ok(run) => run,
        Err(denied) => return Ok(denied),
    };
    let text = ask(app, app.context.registry.run_log(&run)).await?;
    let tag = hex::encode(&Sha256::digest(&text)[..16]);
    if knows(&asked.headers, IF_NONE_MATCH, &tag) {
        return Ok(unchanged(&tag));
    }
    let mut response = Response::new(text.into());
    let log = Manner { content_type: "text/plain; charset=utf-8", policy: LOCKED, place: Place::Window };
    describe(response.headers_mut(), log, &tag, &format!("{}.log", run.known.run.short()));
    Ok(response)
}

async fn of_run(id: String, tail: String, app: Arc<App>, asked: Asked) -> Response {
    find_of_run(&id, &tail, &app, &asked).await.unwrap_or_else(|refusal| refused(&app, &asked, refusal))
}

async fn find_of_run(id: &str, tail: &str, app: &App, asked: &Asked) -> Result<Response, Refusal> {
    let run = match readable_run(id, app, asked).await? {
        Ok(run) => run,
        Err(denied) => return Ok(denied),
    };
    let nothing = Refusal(StatusCode::NOT_FOUND, "the run has kept no such file");
    let name = decoded(tail).ok_or(nothing)?;
    let content = ask(app, app.context.registry.run_file(&run, &name)).await?.ok_or(nothing)?;
    let file = Manner { content_type: "application/octet-stream", policy: LOCKED, place: Place::Disk };
    let shown = name.rsplit('/').next().unwrap_or_default();
    Ok(hand_over(content, &asked.headers, file, shown))
}

/// Hands an artifact over: whole, a part of it, or the word that the reader has it.
fn hand_over(content: Content, headers: &HeaderMap, manner: Manner, name: &str) -> Response {
    let (bytes, tag) = (content.bytes, content.tag.clone());
    if knows(headers, IF_NONE_MATCH, &tag) {
        return unchanged(&tag);
    }
    let wanted = headers.get(RANGE).and_then(|range| range.to_str().ok());
    // A part of something else than the reader has the beginning of would be worth nothing.
    let wanted = wanted.filter(|_| !headers.contains_key(IF_RANGE) || knows(headers, IF_RANGE, &tag));
    let (status, offset, length) = match wanted.and_then(|range| part(range, bytes)) {
        None => (StatusCode::OK, 0, bytes),
        Some(Ok((first, last))) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Some(Err(())) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            response.headers_mut().insert(CONTENT_RANGE, value(&format!("bytes */{bytes}")));
            return response;
        }
    };
    let mut response = warp::reply::stream(content.pieces(offset, length)).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, manner, &tag, name);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(CONTENT_RANGE, value(&format!("bytes {offset}-{}/{bytes}", offset + length - 1)));
    }
    response
}

fn describe(headers: &mut HeaderMap, manner: Manner, tag: &str, name: &str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(manner.content_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(manner.policy));
    headers.insert(ETAG, value(&format!("\"{tag}\"")));
    // Whoever has it asks each time, and each time it is looked up whether they may still read it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_DISPOSITION, value(&disposition(manner.place, name)));
    // A page of another origin that names this file gets nothing of it.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
}

/// Where a browser puts the file, and what it calls it: plainly, and in full for those who can read that.
fn disposition(place: Place, name: &str) -> String {
    let place = match place {
        Place::Window => "inline",
        Place::Disk => "attachment",
    };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    format!("{place}; filename=\"{plain}\"; filename*=UTF-8''{}", percent_encoded(name))
}

fn unchanged(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(ETAG, value(&format!("\"{tag}\"")));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// Whether the header names the tag.
fn knows(headers: &HeaderMap, header: HeaderName, tag: &str) -> bool {
    let all = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    let mut tags =
        all.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'));
    tags.any(|known| known == tag)
}

/// The first and last byte of the one part that is asked for; an error when there is no such part, none when the header
/// asks for something else, which is then not heard.
fn part(range: &str, bytes: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (first, last) = match (first, last) {
        ("", last) => (bytes.saturating_sub(number(last)?), bytes.checked_sub(1)),
        (first, "") => (number(first)?, bytes.checked_sub(1)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, bytes.checked_sub(1).map(|end| last.min(end)))
        }
    };
    Some(last.filter(|last| first <= *last).map(|last| (first, last)).ok_or(()))
}

/// A path of a request as text; none when it is none.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = after.get(..2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("names are encoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_can_be_asked_for() {
        assert_eq!(part("bytes=0-", 10), Some(Ok((0, 9))));
        assert_eq!(part("bytes=4-6", 10), Some(Ok((4, 6))));
        assert_eq!(part("bytes=4-600", 10), Some(Ok((4, 9))));
        assert_eq!(part("bytes=-3", 10), Some(Ok((7, 9))));
        assert_eq!(part("bytes=-30", 10), Some(Ok((0, 9))));
        for nothing in ["bytes=10-", "bytes=10-20"] {
            assert_eq!(part(nothing, 10), Some(Err(())), "{nothing}");
        }
        assert_eq!(part("bytes=0-", 0), Some(Err(())));
        for other in ["bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes=5-2", "lines=1-2", "bytes=0-1,3-4"] {
            assert_eq!(part(other, 10), None, "{other}");
        }
        assert_eq!(part("bytes=18446744073709551616-", 10), None, "a number that is none");
    }

    #[test]
    fn names_of_files_stay_names() {
        assert_eq!(
            disposition(Place::Disk, "a\"; x=\"é\r\n.csv"),
            "attachment; filename=\"a___x_____.csv\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9%0D%0A.csv"
        );
        assert_eq!(decoded("a%2Fb%20c"), Some("a/b c".to_owned()));
        for bad in ["%", "%2", "%zz", "%ff", "a%"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
