//! What goes wrong between a client and GitHub, on demand.

use std::time::Duration;

use serde_json::json;

use super::http::{Reply, Response};
use super::routes::refusal;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 502, after the request was done.
    LostAnswer,
    /// 502, and nothing was done.
    BadGateway,
    /// 403 for the secondary limit, perhaps without any header that says how long.
    SecondaryLimit { retry_after: Option<u64> },
    /// 429, perhaps with `retry-after` in seconds.
    TooMany { retry_after: Option<u64> },
    /// 401, although the token is good.
    Unauthorized,
    /// Half of the answer, after the request was done.
    Truncated,
    /// 200 with a page for people, after the request was done.
    Html,
    /// The connection closes, and nothing was done.
    Closed,
    /// The connection closes after the request was done.
    ClosedAfter,
    /// The answer comes late.
    Delay(Duration),
    /// Any other refusal; nothing was done.
    Status(u16),
}

/// A fault that waits for its requests.
#[derive(Debug, Clone)]
pub(crate) struct Armed {
    /// `METHOD /path`, in which `*` stands for any characters.
    pub(crate) pattern: String,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

impl Fault {
    /// The answer that stands for GitHub's, when it never heard of the request.
    pub(crate) fn before(&self) -> Option<Reply> {
        let whole = |response| Some(Reply::Whole(response));
        let wait = |response: Response, seconds: &Option<u64>| match seconds {
            Some(seconds) => response.with("retry-after", seconds.to_string()),
            None => response,
        };
        match self {
            Self::BadGateway => whole(Response::json(502, &json!({"message": "Server Error"}))),
            Self::SecondaryLimit { retry_after } => whole(wait(
                refusal(
                    403,
                    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
                ),
                retry_after,
            )),
            Self::TooMany { retry_after } => whole(wait(refusal(429, "Too many requests"), retry_after)),
            Self::Unauthorized => whole(refusal(401, "Bad credentials")),
            Self::Status(status) => whole(refusal(*status, "refused by the test")),
            Self::Closed => Some(Reply::Nothing),
            _ => None,
        }
    }

    /// What becomes of GitHub's answer.
    pub(crate) fn after(&self, response: Response) -> Reply {
        match self {
            Self::LostAnswer => Reply::Whole(Response::json(502, &json!({"message": "Server Error"}))),
            Self::Truncated => Reply::Half(response),
            Self::Html => {
                let mut page = Response::empty(200).with("content-type", "text/html; charset=utf-8");
                page.body = b"<!DOCTYPE html><html><body><h1>Unicorn!</h1></body></html>".to_vec();
                Reply::Whole(page)
            }
            Self::ClosedAfter => Reply::Nothing,
            Self::Delay(time) => {
                std::thread::sleep(*time);
                Reply::Whole(response)
            }
            _ => Reply::Whole(response),
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(left) = text.strip_prefix(start) else { return false };
    (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| fits(rest, &left[at..]))
}
