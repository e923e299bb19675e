//! The analysis: every point of the plan with what its run left.

use anyhow::Context as _;

use super::{Reports, blocking};
use crate::analysis::{AnalysisBuilder, AnalysisSpec, Discovery, Origin, Row};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::report::Links;
use crate::domain::sweep::analysis::AnalysisSummary;
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::record::{FailureClass, Outcome, Record};
use crate::edge::artifacts::directory::ArtifactKey;
use crate::engine::planning::{CHUNK, Planned, PointLine, PointReader, read_plan};
use crate::engine::records::read_records;
use crate::engine::{Engine, Failure, keys};
use crate::runner::checks::{Left, check_outputs};

/// Joins inputs and outputs of every run of the plan.
pub(super) async fn write(engine: &Engine, plan: &PlanSummary, round: u32) -> Reports {
    let artifacts = engine.outside().artifacts.clone();
    let planned = read_plan(&artifacts, &plan.id)?;
    let scratch = engine.outside().scratch.join(format!("analysis-{}", uuid::Uuid::new_v4()));
    fs_err::create_dir_all(&scratch).map_err(anyhow::Error::from)?;
    let result = write_in(engine, &planned, &scratch).await;
    let removed = fs_err::remove_dir_all(&scratch);
    let summary = result?;
    removed.map_err(anyhow::Error::from)?;
    tracing::info!(sweep.id = %plan.id, "sweep {} is analysed, {} rows", plan.id, summary.rows);
    let event = Event::AnalysisWritten { round, summary: Box::new(summary) };
    Ok(vec![Keyed { key: Key::Sweep(plan.id.clone()), event }])
}

async fn write_in(engine: &Engine, planned: &Planned, scratch: &std::path::Path) -> Result<AnalysisSummary, Failure> {
    let artifacts = engine.outside().artifacts.clone();
    let points = artifacts.path(&keys::points(&planned.summary.id)?);
    let spec = spec_of(planned, Links { base_url: engine.rules.artifacts_url.clone() });

    // The table's columns must be known before its first row, so the records are read twice.
    let mut discovery = Discovery::new(&spec);
    let mut chunks = Chunks { engine, planned, reader: PointReader::open(&points)? };
    while let Some(chunk) = chunks.next().await? {
        for record in chunk.iter().filter_map(|(_, record)| record.as_ref()) {
            discovery.see(record);
        }
    }

    let csv = scratch.join("analysis.csv");
    let parquet = scratch.join("analysis.parquet");
    let mut builder = AnalysisBuilder::new(
        spec,
        discovery.finish(),
        fs_err::File::create(&csv).map_err(anyhow::Error::from)?,
        fs_err::File::create(&parquet).map_err(anyhow::Error::from)?,
    )?;
    let mut chunks = Chunks { engine, planned, reader: PointReader::open(&points)? };
    while let Some(chunk) = chunks.next().await? {
        for (point, record) in &chunk {
            let row = Row { role: point.role, run: &point.run, values: &point.values, record: record.as_ref() };
            builder.push(row)?;
        }
    }
    let (summary, files) = builder.finish()?;
    let report = scratch.join("report.html");
    fs_err::write(&report, &files.report).map_err(anyhow::Error::from)?;
    for (file, path) in summary.files.iter().zip([report, csv, parquet]) {
        let key = ArtifactKey::parse(&file.key).context("an analysis has no valid key")?;
        let artifacts = artifacts.clone();
        blocking(move || Ok(artifacts.adopt(&key, &path)?)).await?;
    }
    Ok(summary)
}

fn spec_of(planned: &Planned, links: Links) -> AnalysisSpec {
    let plan = &planned.summary;
    AnalysisSpec {
        parameters: planned.manifest.parameters.clone(),
        moved: plan.moved.clone(),
        fixed: plan.fixed.clone(),
        baseline: plan.baseline.clone(),
        outputs: plan.outputs.clone(),
        columns: planned.manifest.outputs.columns.clone(),
        file_checks: planned.manifest.outputs.file_checks.clone(),
        place: format!("sweeps/{}", plan.id),
        origin: Origin {
            sweep: plan.id.clone(),
            model: plan.model.clone(),
            version: plan.version.clone(),
            plan: plan.digest.clone(),
        },
        links,
    }
}

/// The plan's points with their records, a piece at a time.
struct Chunks<'a> {
    engine: &'a Engine,
    planned: &'a Planned,
    reader: PointReader,
}

impl Chunks<'_> {
    async fn next(&mut self) -> Result<Option<Vec<(PointLine, Option<Record>)>>, Failure> {
        let points = self.reader.next_chunk(CHUNK)?;
        if points.is_empty() {
            return Ok(None);
        }
        let ids: Vec<_> = points.iter().map(|point| point.run.clone()).collect();
        let known = self.engine.store().known_runs(&ids).await?;
        let artifacts = self.engine.outside().artifacts.clone();
        let mut records = blocking(move || read_records(&artifacts, &known)).await?;
        let joined = points.into_iter().map(|point| {
            let record = records.remove(&point.run).map(|record| self.checked(record));
            (point, record)
        });
        Ok(Some(joined.collect()))
    }

    /// What a run must leave is not part of its id, so a reused run may have been held to other rules: today's count.
    fn checked(&self, mut record: Record) -> Record {
        if record.outcome == Outcome::Succeeded
            && let Err(message) =
                check_outputs(&self.planned.manifest.outputs, Left { outputs: &record.outputs, rows: &record.rows })
        {
            record.outcome = Outcome::Failed { class: FailureClass::InvalidOutput, message, log_tail: String::new() };
        }
        record
    }
}
