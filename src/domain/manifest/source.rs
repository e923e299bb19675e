//! Where a manifest says that the source lies.

use super::Source;
use super::check::OWN_MANIFEST;
use super::paths::{Whole, joined, relative};
use super::raw::{RawManifest, RawSource};
use crate::domain::yaml::{Placed, Reader, shown};

/// The beginnings of addresses that git can fetch from. What `file://` may name is the settings' to say.
const SCHEMES: [&str; 3] = ["https://", "ssh://", "file:///"];

/// Most characters of an address or a reference.
const LONGEST: usize = 1000;

pub(super) fn source(raw: &RawManifest, reader: &mut Reader) -> Option<Source> {
    let Some(Placed { value: RawSource { path, repo, r#ref }, place }) = &raw.source else {
        if reader.source().path() == OWN_MANIFEST {
            return Some(Source::Path(".".to_owned()));
        }
        let hint = format!("write `source: {{path: models/{}}}`, or wherever the source lies", shown(&raw.title.value));
        reader.fault(raw.title.place, "`source` is missing", Some(hint));
        return None;
    };
    let folder = match path {
        Some(path) => relative(path, Whole::Allowed, reader)?,
        None => ".".to_owned(),
    };
    match (repo, r#ref) {
        (Some(repo), written) => {
            let repo = address(repo, reader);
            let reference = match written {
                Some(written) => reference(written, reader),
                None => Some("main".to_owned()),
            };
            Some(Source::Repository { repo: repo?, reference: reference?, path: folder })
        }
        (None, Some(reference)) => {
            let hint = Some("a folder of this repository is always taken at the manifest's own commit".to_owned());
            reader.fault(reference.place, "`ref` needs `repo`", hint);
            None
        }
        (None, None) if path.is_none() => {
            reader.fault(*place, "`source` needs `path` or `repo`", None);
            None
        }
        (None, None) => Some(Source::Path(folder)),
    }
}

/// An address that git can be given: of a known scheme, without a password, and nothing that could be taken for an
/// option by git or by a program that it starts.
fn address(repo: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let fault = |reader: &mut Reader, message: String, hint: &str| {
        reader.fault(repo.place, message, Some(hint.to_owned()));
        None
    };
    let rest = SCHEMES.iter().find_map(|scheme| repo.value.strip_prefix(scheme));
    let plain = |rest: &str| {
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '"' | '\'' | '`');
        !host.is_empty() && !host.starts_with(['-', '/']) && !rest.starts_with('-') && !rest.contains(strange)
    };
    match rest {
        Some(rest) if repo.value.len() <= LONGEST && plain(rest) => {
            let user = rest.split('/').next().and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
            if user.is_some_and(|user| user.contains(':') || repo.value.starts_with("https://")) {
                let message = "a repository's address may not hold a name or a password".to_owned();
                return fault(
                    reader,
                    message,
                    "everybody who reads the manifest would see it; set up git's credentials",
                );
            }
            Some(repo.value.clone())
        }
        _ => {
            let message = format!("`{}` is not a repository's address", shown(&repo.value));
            fault(reader, message, "write `https://...` or `ssh://...`")
        }
    }
}

/// A branch, a tag or a whole commit id, in the form that git allows.
fn reference(written: &Placed<String>, reader: &mut Reader) -> Option<String> {
    let name = &written.value;
    let strange = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\' | '"' | '\'' | '`')
    };
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let well = !name.starts_with('-')
        && name.len() <= LONGEST
        && name != "@"
        && !name.contains(strange)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(part);
    if well {
        return Some(name.clone());
    }
    let hint = Some("write a branch, a tag or a whole commit id".to_owned());
    reader.fault(written.place, format!("`{}` cannot be a branch, a tag or a commit", shown(name)), hint);
    None
}

/// The repository's path of a file that the manifest names within its source; none when the source lies elsewhere.
pub(super) fn in_source(source: &Source, path: &str) -> Option<String> {
    match source {
        Source::Path(folder) => Some(joined(folder, path)),
        Source::Repository { .. } => None,
    }
}
