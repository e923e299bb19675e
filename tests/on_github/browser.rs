//! A browser, as far as signing in needs one: it keeps cookies for each server and follows redirects.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::github::{Request, Response, send};

/// How long may an answer take?
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with its cookies, by server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    /// Asks once and follows nobody.
    pub(crate) fn get(&mut self, url: &str) -> Response {
        self.ask("GET", url, &[], "")
    }

    pub(crate) fn ask(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let (server, target) = split(url);
        let kept: Vec<String> = self
            .cookies
            .iter()
            .filter(|((host, _), _)| *host == server)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut all = vec![("accept".to_owned(), "text/html,*/*;q=0.8".to_owned())];
        if !kept.is_empty() {
            all.push(("cookie".to_owned(), kept.join("; ")));
        }
        for (name, value) in headers {
            all.retain(|(known, _)| known != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let request = Request { method: method.to_owned(), target, headers: all, body: body.as_bytes().to_vec() };
        let response = send(&server, &request, PATIENCE).unwrap();
        for (_, cookie) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, rules) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (server.clone(), name.to_owned());
            if rules.contains("Max-Age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        response
    }

    /// Follows redirects to their end, and gives the address there too.
    pub(crate) fn open(&mut self, url: &str) -> (String, Response) {
        let mut at = url.to_owned();
        for _ in 0..10 {
            let response = self.get(&at);
            let Some(location) = response.header("location").filter(|_| (300..400).contains(&response.status)) else {
                return (at, response);
            };
            at = if location.starts_with('/') { format!("{}{location}", split(&at).0) } else { location.to_owned() };
        }
        panic!("{url} leads in a circle");
    }
}

/// `http://host:port` and the rest.
fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is no address"));
    let at = rest.find('/').unwrap_or(rest.len());
    let target = if at == rest.len() { "/" } else { &rest[at..] };
    (format!("http://{}", &rest[..at]), target.to_owned())
}
