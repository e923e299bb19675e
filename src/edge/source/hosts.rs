//! Which hosts a manifest leads `git` to.
//!
//! A name is looked up once. What it stands for is checked, and `git` is told to go exactly there, so that no second answer
//! leads it elsewhere. SSH is told nothing: whoever set it up may have names of its own; it shows nobody an answer that is
//! not git's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};

use super::remote::FetchError;
use crate::domain::host::{is_address, is_inner, is_inside};

/// What a name stands for.
pub(super) type LookUp = fn(&str, u16) -> io::Result<Vec<IpAddr>>;

/// Where nothing is: an address for examples.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How names are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    pub(super) look_up: LookUp,
    /// Whether a proxy looks names up that nobody here knows.
    pub(super) has_proxy: bool,
}

/// Asks this machine's resolver.
pub(super) fn look_up(host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
    Ok((host, port).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Whether these variables name a proxy.
pub(super) fn name_a_proxy(environment: &[(String, String)]) -> bool {
    let is_proxy = |name: &str| ["https_proxy", "all_proxy"].iter().any(|proxy| name.eq_ignore_ascii_case(proxy));
    environment.iter().any(|(name, value)| is_proxy(name) && !value.is_empty())
}

/// Where `git` shall find the host of `repo`, as `http.curloptResolve` takes it; none when there is nothing to be told. The
/// hosts `allowed` may lie anywhere.
///
/// # Errors
/// When it lies where only this machine or its network reaches, or nobody knows where.
pub(super) fn pin(repo: &str, allowed: &[String], resolver: Resolver) -> Result<Option<String>, FetchError> {
    let is_web = repo.starts_with("https://");
    let Some(rest) = repo.strip_prefix(if is_web { "https://" } else { "ssh://" }) else { return Ok(None) };
    // Where the host ends is as it is for whoever reads the most into it.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, ""),
    };
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
        return Ok(None);
    }
    let inside = |what: String| {
        Err(FetchError::Refused(format!(
            "`{repo}` names {what} of this machine or its network; the server's owner can list `{host}` under \
             `source_hosts`"
        )))
    };
    if is_inside(host) {
        return inside("an address".to_owned());
    }
    if is_address(host) {
        return Ok(None);
    }
    // Programs differ in whether it belongs to the name.
    if host.ends_with('.') {
        return Err(FetchError::Refused(format!("write `{repo}` without the dot at the end of `{host}`")));
    }
    let port = match port {
        "" => Ok(if is_web { 443 } else { 22 }),
        port => port.parse::<u16>().map_err(|_| FetchError::Refused(format!("`{repo}` names no port that there is"))),
    }?;
    let addresses = match (resolver.look_up)(host, port) {
        Ok(addresses) if !addresses.is_empty() => addresses,
        _ if !is_web => return Ok(None),
        // Nothing is found by itself: the proxy is asked, or nobody.
        _ if resolver.has_proxy => vec![NOWHERE],
        Ok(_) => return Err(FetchError::Refused(format!("`{host}` of `{repo}` stands for no address"))),
        Err(error) => return Err(FetchError::Refused(format!("cannot find `{host}` of `{repo}`: {error}"))),
    };
    if let Some(inner) = addresses.iter().find(|address| is_inner(**address)) {
        return inside(format!("{inner}, an address"));
    }
    let shown = |address: &IpAddr| match address {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => format!("[{six}]"),
    };
    let addresses: Vec<String> = addresses.iter().map(shown).collect();
    Ok(is_web.then(|| format!("{host}:{port}:{}", addresses.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn town(host: &str, _: u16) -> io::Result<Vec<IpAddr>> {
        let addresses: &[&str] = match host {
            "git.example.org" => &["203.0.113.7", "2001:db8::7"],
            "rebound.example.org" => &["203.0.113.7", "127.0.0.1"],
            "metadata.example.org" => &["169.254.169.254"],
            "mapped.example.org" => &["::ffff:10.0.0.1"],
            "empty.example.org" => &[],
            _ => return Err(io::Error::other("nobody knows it")),
        };
        Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    const DIRECT: Resolver = Resolver { look_up: town, has_proxy: false };

    fn pinned(repo: &str) -> Result<Option<String>, String> {
        pin(repo, &["10.0.0.7".to_owned(), "Rebound.example.org".to_owned()], DIRECT).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_leads_to_where_it_was_found_and_nowhere_else() {
        let found = |port: u16| Ok(Some(format!("git.example.org:{port}:203.0.113.7,[2001:db8::7]")));
        assert_eq!(pinned("https://git.example.org/x.git"), found(443));
        assert_eq!(pinned("https://git.example.org:8443/x.git"), found(8443));
        for nothing in [
            "ssh://git@git.example.org/x.git",
            "ssh://work/x.git",
            "https://rebound.example.org/x.git",
            "https://10.0.0.7/x.git",
            "https://203.0.113.7/x.git",
            "file:///srv/models",
        ] {
            assert_eq!(pinned(nothing), Ok(None), "{nothing}");
        }
    }

    #[test]
    fn a_name_of_an_inner_address_is_as_good_as_the_address() {
        for inner in [
            "https://metadata.example.org/x.git",
            "https://mapped.example.org:8443/x.git",
            "ssh://git@metadata.example.org/x.git",
        ] {
            let refused = pinned(inner).unwrap_err();
            assert!(refused.contains(&format!("`{inner}`")) && refused.contains("source_hosts"), "{refused}");
        }
        let refused = pin("https://rebound.example.org/x.git", &[], DIRECT).unwrap_err().to_string();
        assert!(refused.contains("127.0.0.1") && refused.contains("`rebound.example.org`"), "{refused}");
    }

    #[test]
    fn a_name_that_nobody_knows_leads_nowhere() {
        for unknown in ["https://unknown.example.org/x.git", "https://empty.example.org/x.git"] {
            assert!(pinned(unknown).unwrap_err().contains(".example.org` of `https://"), "{unknown}");
            let by_proxy = pin(unknown, &[], Resolver { has_proxy: true, ..DIRECT }).unwrap();
            assert!(by_proxy.is_some_and(|pin| pin.ends_with(":443:192.0.2.1")), "the proxy alone may find it");
        }
        assert!(pinned("https://git.example.org./x.git").unwrap_err().contains("without the dot"));
        assert!(pinned("https://git.example.org:port/x.git").unwrap_err().contains("names no port"));
        let variables = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        assert!(name_a_proxy(&variables("HTTPS_PROXY", "http://proxy:3128")));
        assert!(!name_a_proxy(&variables("https_proxy", "")) && !name_a_proxy(&variables("HOME", "/root")));
    }
}
