//! PostgreSQL, for a story that stops it or shares it.

use std::process::Command;

/// A PostgreSQL server of one story's own, which it may stop.
pub(crate) struct Postgres {
    directory: String,
    url: String,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let told = with_postgres(&["--start"]);
        let (directory, url) = told.trim().split_once('\n').unwrap();
        Self { directory: directory.to_owned(), url: format!("{url}/postgres") }
    }

    /// Its address, with an empty database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The line of the settings that names it.
    pub(crate) fn settings(&self) -> String {
        format!("database: {}\n", self.url())
    }

    pub(crate) fn stop(&self) {
        with_postgres(&["--stop", &self.directory]);
    }

    pub(crate) fn start_again(&self) {
        with_postgres(&["--start", &self.directory]);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        with_postgres(&["--remove", &self.directory]);
    }
}

fn with_postgres(arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/with-postgres");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
