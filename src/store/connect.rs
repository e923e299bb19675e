//! How to reach the database that an address names, with the settings that the promises of the store rest on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions, Connection, Executor};

use super::{Result, StoreError};

/// How long does a caller wait for a connection, or for another process to finish writing?
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections read at the same time?
const READERS: u32 = 4;

/// Every commit is on disk before it is answered (FULL), readers never wait for the writer (WAL), and a lock that
/// another process holds is waited for. The wait comes first, since the others need the file too.
const SQLITE_WRITER: &str = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";

/// A reader that tries to write is a defect.
const SQLITE_READER: &str = "PRAGMA busy_timeout = 30000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;";

/// Connects to the database at `url` and returns the connections that write and those that read.
pub(super) async fn connect(url: &str) -> Result<(AnyPool, AnyPool)> {
    sqlx::any::install_default_drivers();
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "sqlite" => connect_sqlite(&sqlite_path(url)?).await,
        _ => Err(bad_url(url, "write `sqlite:` and the path of a file")),
    }
}

async fn connect_sqlite(path: &Path) -> Result<(AnyPool, AnyPool)> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(|error| StoreError::Unavailable(sqlx::Error::Io(error)))?;
    }
    let options: AnyConnectOptions = sqlite_url(path).parse()?;
    // A pool tries again and again; whether the file can be opened at all is to be known at once.
    let mut first = options.connect().await?;
    first.execute(SQLITE_WRITER).await?;
    first.close().await?;
    let pool = |settings: &'static str, connections: u32| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(settings).await?;
                    Ok(())
                })
            })
    };
    let writer = pool(SQLITE_WRITER, 1).connect_lazy_with(options.clone());
    let reader = pool(SQLITE_READER, READERS).connect_lazy_with(options);
    Ok((writer, reader))
}

/// The path in `sqlite:path`, `sqlite://path` or `sqlite:///absolute/path`, absolute.
fn sqlite_path(url: &str) -> Result<PathBuf> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.ends_with('/') {
        return Err(bad_url(url, "the path of a file is missing after `sqlite:`"));
    }
    if path.starts_with(':') || path.contains('?') {
        return Err(bad_url(url, "only a file on disk keeps what it was given; leave `:memory:` and options out"));
    }
    std::path::absolute(path).map_err(|error| StoreError::Unavailable(sqlx::Error::Io(error)))
}

/// The driver's own spelling of `path`: every byte that an address treats specially is escaped.
fn sqlite_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => url.push(char::from(*byte)),
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
}

/// The error for `url`, with any user name and password cut out.
fn bad_url(url: &str, reason: &'static str) -> StoreError {
    let url = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    };
    StoreError::BadUrl { url, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_addresses_name_a_file() {
        for (url, path) in [
            ("sqlite:/data/a.db", "/data/a.db"),
            ("sqlite:///data/a.db", "/data/a.db"),
            ("sqlite:////data/a.db", "//data/a.db"),
        ] {
            assert_eq!(sqlite_path(url).unwrap(), Path::new(path), "{url}");
        }
        let relative = sqlite_path("sqlite://data/a.db").unwrap();
        assert!(relative.is_absolute() && relative.ends_with("data/a.db"));
    }

    #[test]
    fn addresses_that_keep_nothing_are_refused() {
        for url in ["sqlite:", "sqlite://", "sqlite::memory:", "sqlite:a.db?mode=memory", "sqlite:folder/"] {
            assert!(matches!(sqlite_path(url), Err(StoreError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn a_refused_address_shows_no_password() {
        let error = bad_url("mysql://ada:secret@host/db", "unknown");
        assert_eq!(error.to_string(), "`mysql://host/db` is no database that modelship can open: unknown");
    }

    #[test]
    fn special_characters_of_a_path_are_escaped() {
        assert_eq!(sqlite_url(Path::new("/a b/c#1?.db")), "sqlite:///a%20b/c%231%3F.db?mode=rwc");
    }
}
