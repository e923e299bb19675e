//! `modelship sweep results --sample`: what some runs left, brought into a folder with a table of what they are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::{csv_path, open};
use crate::cli::arguments::SweepResults;
use crate::cli::output::{CliError, Output};
use crate::cli::replay::new_folder;
use crate::cli::session::Session;
use crate::domain::ids::RunId;
use crate::domain::report::numbers;
use crate::domain::sweep::state::SweepReport;

/// The table of a sample within its folder: the rows of the analysis, and where each run's files are.
const TABLE: &str = "manifest.csv";

/// The column that the table has besides those of the analysis.
const FOLDER: &str = "folder";

/// How many runs are looked up at once?
const CHUNK: usize = 500;

/// Brings the files of a random sample of `size` runs of a sweep that has ended.
pub(super) async fn bring(
    session: Session,
    report: &SweepReport,
    wanted: &SweepResults,
    size: usize,
    cwd: &Path,
    output: &Output,
) -> Result<(), CliError> {
    let planned = session.engine.plan_of(&report.plan.id).await?;
    let chosen = session.engine.sample(&planned, size, wanted.seed).await?;
    if chosen.is_empty() {
        return Err(CliError::User(format!("sweep `{}` has no run with a result, or `--sample` is 0", report.plan.id)));
    }
    let name = wanted.to.clone().unwrap_or_else(|| PathBuf::from(format!("{}-sample", report.plan.name)));
    let folder = new_folder(&cwd.join(&name))?;
    let mut reader = csv::Reader::from_reader(open(&csv_path(&session, &report.plan.id)?)?);
    let mut header = reader.headers().context("the analysis cannot be read")?.clone();
    let at = header.iter().position(|column| column == "run_id").context("the analysis has no column `run_id`")?;
    header.push_field(FOLDER);
    let mut table = csv::Writer::from_path(folder.join(TABLE)).context("the sample's table cannot be written")?;
    table.write_record(&header).context("the sample's table cannot be written")?;
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.context("the analysis cannot be read")?;
        let run = RunId::parse(&row[at]).context("the analysis names a run that is none")?;
        if chosen.contains(&run) {
            rows.push((run, row));
        }
    }
    let mut files = HashMap::new();
    for chunk in rows.chunks(CHUNK) {
        let ids: Vec<_> = chunk.iter().map(|(run, _)| run.clone()).collect();
        for (run, (known, record)) in session.engine.records(&ids).await? {
            let into = folder.join(run.short());
            files.insert(run, session.engine.bring_files(&known, &record, &into).await?);
        }
    }
    for (run, row) in &mut rows {
        row.push_field(if files.contains_key(run) { run.short() } else { "" });
        table.write_record(&*row).context("the sample's table cannot be written")?;
    }
    table.flush()?;
    session.close().await?;
    let count = files.values().map(|files| files.len() as u64).sum();
    if output.is_json() {
        let runs: Vec<_> =
            rows.iter().map(|(run, _)| json!({"run": run, "folder": run.short(), "files": files.get(run)})).collect();
        return output.json(&json!({"sweep": report.plan.id, "sample": {
            "size": rows.len(), "seed": wanted.seed, "folder": folder, "table": folder.join(TABLE), "runs": runs,
        }}));
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|(run, _)| {
            let bytes = files.get(run).map_or(0, |files| files.values().sum());
            let names = files.get(run).map(|files| files.keys().cloned().collect::<Vec<_>>().join(", "));
            vec![run.short().to_owned(), names.unwrap_or_default(), numbers::bytes(bytes)]
        })
        .collect();
    output.table(&["FOLDER", "FILES", "SIZE"], &cells)?;
    output.line(&format!(
        "{} of {} in {}, described in {}",
        numbers::plural(count, "file"),
        numbers::plural(rows.len() as u64, "run"),
        folder.display(),
        folder.join(TABLE).display()
    ))?;
    if let Some((run, _)) = rows.first() {
        output.next_step(&format!("modelship replay {}", run.short()));
    }
    Ok(())
}
