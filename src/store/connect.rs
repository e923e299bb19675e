//! How to reach the database that an address names, with the settings that the promises of the store rest on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use super::{Result, Store, StoreError, System};

/// How long does a caller wait for a connection to a file, or for another process to finish writing?
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections read at the same time?
const READERS: u32 = 4;

/// How long does a caller wait for a connection to a server? Less than whoever sends a webhook waits for its answer.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// How long ago may a connection to a server have been used so that nobody asks whether it is still there?
const FRESH: Duration = Duration::from_secs(1);

/// How many connections to a server write? One commits; the others are on their way to the lock, or back from it.
const SERVER_WRITERS: u32 = 4;

/// Every commit is on disk before it is answered (FULL), readers never wait for the writer (WAL), and a lock that
/// another process holds is waited for. The wait comes first, since the others need the file too. The log is carried over
/// into the file once it has 16 MiB: whoever commits at that moment waits for it, so it should be rare.
const SQLITE_WRITER: &str = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4096;";

/// A reader that tries to write is a defect.
const SQLITE_READER: &str = "PRAGMA busy_timeout = 30000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;";

/// Every commit is on disk before it is answered. Whoever holds the write lock and falls silent loses it, and whoever waits
/// for it does not wait for ever.
const POSTGRES_WRITER: &str = "SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off';
     SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '30s';";

/// A reader that tries to write is a defect.
const POSTGRES_READER: &str = "SET default_transaction_read_only = on;";

/// What may stand after the `?` of a PostgreSQL address. The driver ignores others and writes their values into the log.
const POSTGRES_OPTIONS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslmode",
    "statement-cache-capacity",
    "user",
];

/// How to write an address.
const FORMS: &str = "write `sqlite:` and the path of a file, or `postgres://user:password@host:port/database`";

/// Connects to the database at `url`. Its tables may not be there yet.
pub(super) async fn connect(url: &str) -> Result<Store> {
    sqlx::any::install_default_drivers();
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "sqlite" => connect_sqlite(&sqlite_path(url)?).await,
        "postgres" | "postgresql" => connect_postgres(url).await,
        _ => Err(bad_url(url, FORMS)),
    }
}

async fn connect_postgres(url: &str) -> Result<Store> {
    let options = postgres_options(url)?;
    let first = tokio::time::timeout(SERVER_PATIENCE, options.connect()).await;
    let mut first = first.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|error| refused(url, error))?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut first).await?;
    first.close().await?;
    if encoding != "UTF8" {
        return Err(bad_url(url, "it does not keep texts in UTF-8; make it with `createdb --encoding UTF8`"));
    }
    let pool = |settings: &'static str, connections: u32| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(SERVER_PATIENCE)
            // A server that was stopped and started has forgotten its connections. What was used just now tells by itself.
            .test_before_acquire(false)
            .before_acquire(|connection, told| {
                Box::pin(async move {
                    if told.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(settings).await?;
                    Ok(())
                })
            })
    };
    Ok(Store {
        system: System::Postgres,
        address: shown(url),
        writer: pool(POSTGRES_WRITER, SERVER_WRITERS).connect_lazy_with(options.clone()),
        reader: pool(POSTGRES_READER, READERS).connect_lazy_with(options),
        first: Arc::default(),
        next_arrival: Arc::default(),
    })
}

/// The driver's options for `url`, which is complete and has nothing that nobody knows.
fn postgres_options(url: &str) -> Result<AnyConnectOptions> {
    let options: AnyConnectOptions = url.parse().map_err(|_| bad_url(url, FORMS))?;
    let parsed = &options.database_url;
    let mut names_database = parsed.path().len() > 1;
    for (name, _) in parsed.query_pairs() {
        names_database |= name == "dbname";
        if !POSTGRES_OPTIONS.contains(&&*name) {
            return Err(bad_url(url, "there is an option after `?` that modelship does not know; leave it out"));
        }
    }
    if !names_database {
        return Err(bad_url(url, "the database's name is missing at the end; write `postgres://host:port/database`"));
    }
    Ok(options)
}

/// Why the server that `url` names does not let us in, when that is what it says.
fn refused(url: &str, error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    match code.as_deref() {
        Some("28P01" | "28000") => bad_url(url, "it refuses the user's name or password"),
        Some("3D000") => bad_url(url, "there is no such database on that server; make it with `createdb`"),
        _ => error.into(),
    }
}

async fn connect_sqlite(path: &Path) -> Result<Store> {
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
            // When a full disk makes SQLite give a transaction up by itself, the driver's own rollback fails, and it takes
            // the connection to be within that transaction for ever.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(settings).await?;
                    Ok(())
                })
            })
    };
    Ok(Store {
        system: System::Sqlite,
        address: format!("sqlite:{}", path.display()),
        writer: pool(SQLITE_WRITER, 1).connect_lazy_with(options.clone()),
        reader: pool(SQLITE_READER, READERS).connect_lazy_with(options),
        first: Arc::default(),
        next_arrival: Arc::default(),
    })
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

/// The error for `url`.
fn bad_url(url: &str, reason: &'static str) -> StoreError {
    StoreError::BadUrl { url: shown(url), reason }
}

/// `url` with everything cut out that may hold a secret: user, password and options. It need not be a sound address.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return url.to_owned();
    };
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains('@') {
        // A password with a character that ought to be escaped, perhaps: nobody knows where it ends.
        return format!("{scheme}://...");
    }
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let database = behind.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{server}{database}")
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
    fn an_address_is_shown_without_its_password() {
        for (url, place) in [
            ("mysql://ada:secret@host/db", "mysql://host/db"),
            ("postgres://ada:secret@host:5432/db?sslmode=require", "postgres://host:5432/db"),
            ("postgres://host/db?user=ada&password=secret", "postgres://host/db"),
            ("postgres://ada:se@cret@host/db", "postgres://host/db"),
            ("postgres://ada:12?secret@host/db", "postgres://..."),
            ("postgres://host/db?password=a@secret", "postgres://..."),
            ("sqlite:///data/a@b?.db", "sqlite:///data/a@b?.db"),
        ] {
            assert_eq!(shown(url), place, "{url}");
        }
    }

    #[test]
    fn addresses_of_a_server_are_complete_and_have_known_options() {
        for url in ["postgres://ada:secret@host/db", "postgresql:///db?host=/run", "postgres://host?dbname=a&user=b"] {
            postgres_options(url).unwrap();
        }
        for url in ["postgres://ada:secret@host", "postgres://ada:sec/ret@host/db", "postgres://host/db?pasword=secret"]
        {
            let error = postgres_options(url).unwrap_err();
            assert!(matches!(error, StoreError::BadUrl { .. }) && !format!("{error:?}").contains("sec"), "{error:?}");
        }
    }

    #[test]
    fn special_characters_of_a_path_are_escaped() {
        assert_eq!(sqlite_url(Path::new("/a b/c#1?.db")), "sqlite:///a%20b/c%231%3F.db?mode=rwc");
    }
}
