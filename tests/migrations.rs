//! Migrations: portable, never edited once released, and harmless to data that is there.

#![expect(clippy::unwrap_used, reason = "a test may stop where something is not as it should be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use modelship::domain::event::{Event, Key};
use modelship::domain::ids::{ChannelName, Digest, ModelName, RunId, SweepId, Time};
use modelship::store::queue::Owner;
use modelship::store::runs::RunOutcome;
use modelship::store::{Store, StoreError};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor, Row, SqlSafeStr};
use tempfile::TempDir;

/// The released migrations with their SHA-256. A new one gets a line here; a line never changes.
const RELEASED: &[(&str, &str)] = &[
    ("0001_queue.sql", "0c8e4e33b210280c3081cfa0a004f3da5f2454e7d649da0d70c12c78980371f6"),
    ("0002_registry.sql", "ed454417b1b2908fb4a08a58196c56f9eb4adfddf4aa839b7e44a16f2382b2f8"),
    ("0003_runs.sql", "516eeb1377e0bd1ff1e494142b1b44072809b49f03c9448ea98922513d178ebb"),
    ("0004_recipes.sql", "906353d73a86d3bd0a4b8452ac32232c6a23871415a4ef76ebc35218d6fb0cb0"),
    ("0005_meaning_and_totals.sql", "0aee527f507bf52d7615ca2a2cb0eb30649fa6fd7f1ba8b7404210be8d6066af"),
    ("0007_keys.sql", "85b5f4722c126e2f0dbd8c4bd29d330f61a129e9771ac1d82b57db1232cfdbc0"),
    ("0008_waits.sql", "c9a08f1d9de961e7417f83ec432147d2bef0d7768832ce8b3adf17eca808a44b"),
    ("0009_arrivals.sql", "168375f4d3908d4e7bafcee52542efa3aae14a545451b29355a786e853145ae0"),
];

/// What the sample version was built by and with.
const SAMPLE_RECIPE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const SAMPLE_MANIFEST: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

/// Words that only one of the databases knows, or means something else by. Times, flags and JSON have their own rules.
const NOT_PORTABLE: &[&str] = &[
    "AUTOINCREMENT",
    "BIGSERIAL",
    "BLOB",
    "BOOLEAN",
    "BYTEA",
    "DATETIME",
    "INTEGER",
    "INT",
    "JSON",
    "JSONB",
    "NOW",
    "NUMERIC",
    "PRAGMA",
    "REAL",
    "REPLACE",
    "ROWID",
    "SERIAL",
    "STRICT",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "UUID",
    "VARCHAR",
];

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The SQL files of a folder, by name.
fn sql_files(path: &str) -> BTreeMap<String, String> {
    let files = fs_err::read_dir(folder(path)).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs_err::read_to_string(file.path()).unwrap())).collect()
}

fn migrations() -> BTreeMap<String, String> {
    sql_files("src/store/migrations")
}

#[test]
fn a_released_migration_is_never_edited() {
    let now: Vec<_> = migrations().into_iter().map(|(name, sql)| (name, hex::encode(Sha256::digest(sql)))).collect();
    let released: Vec<_> = RELEASED.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
    assert_eq!(now, released, "write a new migration instead");
}

#[test]
fn every_migration_has_sample_data() {
    let names = |path| sql_files(path).into_keys().collect::<Vec<_>>();
    assert_eq!(names("src/store/migrations"), names("tests/migrations"));
}

#[test]
fn migrations_keep_to_the_portable_subset() {
    for (name, sql) in migrations() {
        assert_eq!(not_portable(&sql), Vec::<String>::new(), "{name}");
    }
    assert_eq!(not_portable("CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT)"), ["INTEGER", "AUTOINCREMENT"]);
    assert_eq!(not_portable("ALTER TABLE a ADD COLUMN b TEXT NOT NULL;"), ["NOT NULL without DEFAULT"]);
    assert_eq!(not_portable("ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT ''; -- INTEGER"), Vec::<String>::new());
}

/// What in `sql` other databases would not take, or would not take once there are rows.
fn not_portable(sql: &str) -> Vec<String> {
    let code: String = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let upper = code.to_uppercase();
    let words = upper.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut found: Vec<_> = words.filter(|word| NOT_PORTABLE.contains(word)).map(str::to_owned).collect();
    let added = upper.split(';').filter(|statement| statement.contains("ADD COLUMN"));
    if added.into_iter().any(|statement| statement.contains("NOT NULL") && !statement.contains("DEFAULT")) {
        found.push("NOT NULL without DEFAULT".to_owned());
    }
    found
}

/// A new database of each kind, with the folder that the file lies in.
async fn databases() -> (TempDir, [String; 2]) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("modelship.db").display());
    let server = std::env::var("MODELSHIP_TEST_POSTGRES").expect(
        "the suite needs a PostgreSQL in MODELSHIP_TEST_POSTGRES; start it with `scripts/with-postgres cargo test`",
    );
    let name = format!("migrations_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let mut connection = connect(&format!("{server}/postgres")).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await.unwrap();
    connection.close().await.unwrap();
    (folder, [file, format!("{server}/{name}")])
}

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = if is_file(url) { format!("{url}?mode=rwc") } else { url.to_owned() };
    let options: sqlx::any::AnyConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

fn is_file(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Applies the first `steps` migrations, each followed by its sample data.
async fn fill(url: &str, steps: usize) {
    let mut connection = connect(url).await;
    let (migrations, samples) = (migrations(), sql_files("tests/migrations"));
    for step in 1..=steps {
        let first = migrations.iter().take(step);
        let first = first.map(|(name, sql)| migration(name[..4].parse().unwrap(), name, sql.clone())).collect();
        Migrator::with_migrations(first).run(&mut connection).await.unwrap();
        let sample = samples.values().nth(step - 1).unwrap().clone();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sample))).await.unwrap();
    }
    connection.close().await.unwrap();
}

fn migration(version: i64, file: &str, sql: String) -> Migration {
    let name = file[5..].trim_end_matches(".sql").to_owned();
    Migration::new(version, name.into(), MigrationType::Simple, AssertSqlSafe(sql).into_sql_str(), false)
}

/// How many rows each table has, without those of the migrations themselves.
async fn row_counts(url: &str) -> BTreeMap<String, i64> {
    let mut connection = connect(url).await;
    let tables = if is_file(url) {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    } else {
        "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%' ESCAPE '\\'"
    };
    let tables = sqlx::query(tables).fetch_all(&mut connection).await.unwrap();
    let mut counts = BTreeMap::new();
    for table in tables {
        let name: String = table.get("name");
        let count = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS rows_now FROM {name}")));
        counts.insert(name, count.fetch_one(&mut connection).await.unwrap().get("rows_now"));
    }
    counts
}

#[tokio::test]
async fn data_of_every_step_survives_the_later_steps() {
    for step in 0..=RELEASED.len() {
        let (_folder, urls) = databases().await;
        for url in urls {
            fill(&url, step).await;
            let mut before = row_counts(&url).await;
            assert!(before.values().all(|rows| *rows > 0), "each table has a sample after step {step}: {before:?}");
            Store::open(&url).await.unwrap().close().await;
            let mut after = row_counts(&url).await;
            after.retain(|table, _| before.contains_key(table));
            // The counters are the one table to which later steps add rows of their own.
            for counts in [&mut after, &mut before] {
                counts.remove("counters");
            }
            assert_eq!(before, after, "after step {step}");
        }
    }
}

#[tokio::test]
async fn sample_data_can_be_worked_with() {
    let (_folder, urls) = databases().await;
    for url in urls {
        work_with_samples(&url).await;
    }
}

async fn work_with_samples(url: &str) {
    fill(url, RELEASED.len()).await;
    let store = Store::open(url).await.unwrap();
    let (now, lease) = (Time(1_800_000_000_000), std::time::Duration::from_secs(30));

    let claimed = store.claim_event(&Owner::new("new"), now, lease).await.unwrap().unwrap();
    assert_eq!(claimed.keyed.key, Key::Sweep(SweepId::parse("tax-0123456789").unwrap()));
    assert_eq!(claimed.keyed.event, Event::CancelRequested { by: "ada".to_owned() });
    assert_eq!(claimed.state.as_deref(), Some("{\"phase\":\"running\"}"));
    let arrived = store.claim_event(&Owner::new("new"), now, lease).await.unwrap().unwrap();
    assert_eq!(arrived.keyed.event, Event::CancelRequested { by: "bob".to_owned() }, "it came as a delivery");
    assert_eq!(store.failed_tasks().await.unwrap().len(), 1);
    assert_eq!(store.events_of("sweep/tax-0123456789", 10).await.unwrap().len(), 1);

    let model = ModelName::parse("urban/simple-tax").unwrap();
    let production = store.channel(&model, &ChannelName::production()).await.unwrap().unwrap();
    assert_eq!(store.version(&production).await.unwrap().unwrap().model, model);
    assert_eq!(store.models().await.unwrap().len(), 1);
    let (recipe, manifest) = (Digest::parse(SAMPLE_RECIPE).unwrap(), Digest::parse(SAMPLE_MANIFEST).unwrap());
    let built = store.version_of_build(&model, &recipe, &manifest).await.unwrap();
    assert_eq!(built.map(|version| version.id), Some(production), "what was built before recipes is found again");

    let run = RunId::parse("a".repeat(64)).unwrap();
    let known = store.known_runs(std::slice::from_ref(&run)).await.unwrap();
    assert_eq!(known[&run].outcome, RunOutcome::Succeeded);
    assert_eq!(store.mean_wall_ms(&model).await.unwrap(), Some(120));
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let (_folder, urls) = databases().await;
    let rows = ["(999, 'future', '2030-01-01', 1, x'00', 0)", "(999, 'future', '2030-01-01', true, '\\x00', 0)"];
    for (url, row) in urls.iter().zip(rows) {
        change(url, format!("INSERT INTO _sqlx_migrations VALUES {row}")).await;
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }));
        insta::allow_duplicates!(
            insta::assert_snapshot!(error, @"the database holds something unreadable: its tables are at step 999, which this program does not know; use the newer program")
        );
    }
}

#[tokio::test]
async fn a_database_with_another_history_is_refused() {
    let (_folder, urls) = databases().await;
    for (url, checksum) in urls.iter().zip(["x'00'", "'\\x00'"]) {
        change(url, format!("UPDATE _sqlx_migrations SET checksum = {checksum} WHERE version = 1")).await;
        assert!(matches!(Store::open(url).await.unwrap_err(), StoreError::Corrupt { .. }));
    }
}

/// Makes a database and changes it behind the store's back.
async fn change(url: &str, statement: String) {
    Store::open(url).await.unwrap().close().await;
    let mut connection = connect(url).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    connection.close().await.unwrap();
}
