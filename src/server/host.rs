//! Under which name the server is asked, where everybody who reaches it may read everything.
//!
//! It is reached from its own machine alone then, and so is it by every page that a browser there shows. A page of
//! somebody else's can give its own name the address of this machine, and would read along under that name. So only names
//! that nobody can point elsewhere are answered.

use std::sync::Arc;

use warp::http::header::HOST;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::{App, Refusal};
use crate::domain::host::{is_address, is_loopback};

/// Answers what is asked under a name that could be anybody's.
pub(super) fn route(app: &Arc<App>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + use<> {
    let is_open = app.context.access.is_open();
    warp::header::headers_cloned().and_then(move |headers: HeaderMap| async move {
        if is_open && !is_own(&headers) {
            let strange = "this server is asked under a name that is not its own: ask for `localhost` or its address";
            return Ok(Refusal(StatusCode::MISDIRECTED_REQUEST, strange).into());
        }
        Err(warp::reject::not_found())
    })
}

fn is_own(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|name| {
        let name = name.to_str().unwrap_or_default();
        let host = name.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(name, |(host, _)| host);
        is_loopback(host) || is_address(host)
    })
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_that_anybody_can_point_here_is_not_ours() {
        let is_own = |host: &str| is_own(&HeaderMap::from_iter([(HOST, HeaderValue::try_from(host).unwrap())]));
        for own in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]", "[::1]:8080", "192.168.1.7", "LOCALHOST"]
        {
            assert!(is_own(own), "{own}");
        }
        for strange in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", ":"]
        {
            assert!(!is_own(strange), "{strange}");
        }
    }
}
