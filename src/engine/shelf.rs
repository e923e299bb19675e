//! What sweeps and runs left, for readers: by what it is, never by where it lies.

use std::io;

use anyhow::{Context as _, Result};

use super::{Engine, Recorded, keys};
use crate::domain::ids::SweepId;
use crate::domain::sweep::record::Outcome;
use crate::edge::artifacts::content::Content;
use crate::edge::artifacts::directory::ArtifactKey;
use crate::runner::redact::redact;
use crate::store::runs::KnownRun;

/// A file that a sweep leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepFile {
    /// The plan with all that is needed to carry it out.
    Plan,
    /// The plan's points, one a line.
    Points,
    /// The table as CSV.
    Table,
    /// The table as Parquet.
    TypedTable,
    /// The page with table, statistics and plots.
    Report,
}

impl SweepFile {
    /// Every one, in the order of a list for people.
    pub const ALL: [Self; 5] = [Self::Report, Self::Table, Self::TypedTable, Self::Plan, Self::Points];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan.json",
            Self::Points => "points.jsonl",
            Self::Table => "analysis.csv",
            Self::TypedTable => "analysis.parquet",
            Self::Report => "report.html",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.name() == name)
    }
}

impl Engine {
    /// What a sweep left; none when it has not, or not yet.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn open_of_sweep(&self, sweep: &SweepId, file: SweepFile) -> Result<Option<Content>> {
        self.open(keys::of_sweep(sweep, file.name())?).await
    }

    /// A run with its record and its plan; none when what it left is gone.
    ///
    /// # Errors
    /// When the artifact store fails, or what it has cannot be read.
    pub async fn kept_run(&self, known: KnownRun) -> Result<Option<Recorded>> {
        match self.recorded(known).await {
            Ok(recorded) => Ok(Some(recorded)),
            Err(error) if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file that a run left; none when its record names no such file, or when it is gone.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn open_of_run(&self, recorded: &Recorded, name: &str) -> Result<Option<Content>> {
        // What a run may leave was checked when it was taken; nothing else is anybody's to name.
        if !recorded.record.files.contains_key(name) {
            return Ok(None);
        }
        let Ok(key) = keys::kept_file(&recorded.known.place, &recorded.known.run, name) else { return Ok(None) };
        self.open(key).await
    }

    /// What a run printed, without secrets; the end of it as its record has it when the log is gone.
    ///
    /// # Errors
    /// When the artifact store fails.
    pub async fn printed(&self, recorded: &Recorded) -> Result<String> {
        Ok(match (self.log_of(recorded).await?, &recorded.record.outcome) {
            (Some(log), _) => log,
            (None, Outcome::Failed { log_tail, .. }) => redact(log_tail).into_owned(),
            (None, Outcome::Succeeded) => String::new(),
        })
    }

    async fn open(&self, key: ArtifactKey) -> Result<Option<Content>> {
        let artifacts = self.outside.artifacts.clone();
        let opened = tokio::task::spawn_blocking(move || artifacts.content(&key));
        match opened.await.context("opening an artifact panicked")? {
            Ok(content) => Ok(Some(content)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether there is no artifact, or only a link that somebody put there.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
}
