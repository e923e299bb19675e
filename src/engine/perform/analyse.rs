//! The analysis: every point of the plan with what its run left.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Reports, blocking};
use crate::analysis::{AnalysisBuilder, AnalysisSpec, Row};
use crate::domain::event::{Event, Key, Keyed};
use crate::domain::ids::RunId;
use crate::domain::sweep::analysis::{AnalysisSummary, ArtifactFile};
use crate::domain::sweep::plan::PlanSummary;
use crate::domain::sweep::record::Record;
use crate::edge::artifacts::{ArtifactKey, Artifacts};
use crate::engine::planning::{CHUNK, PointLine, PointReader, Planned, points_key, read_plan};
use crate::engine::{Engine, Failure};
use crate::store::runs::KnownRun;

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
    let event = Event::AnalysisWritten { round, summary: Box::new(summary) };
    Ok(vec![Keyed { key: Key::Sweep(plan.id.clone()), event }])
}

async fn write_in(engine: &Engine, planned: &Planned, scratch: &std::path::Path) -> Result<AnalysisSummary, Failure> {
    let artifacts = engine.outside().artifacts.clone();
    let points = artifacts.path(&points_key(&planned.summary.id)?);
    let spec = AnalysisSpec::of(&planned.summary, &planned.manifest);

    // The table's columns must be known before its first row, so the records are read twice.
    let mut discovery = spec.discover();
    let mut chunks = Chunks { engine, artifacts: &artifacts, reader: PointReader::open(&points)? };
    while let Some(chunk) = chunks.next().await? {
        for (_, record) in &chunk {
            discovery.see(record.as_ref());
        }
    }

    let csv = scratch.join("analysis.csv");
    let parquet = scratch.join("analysis.parquet");
    let mut builder = AnalysisBuilder::new(
        spec,
        discovery,
        fs_err::File::create(&csv).map_err(anyhow::Error::from)?,
        fs_err::File::create(&parquet).map_err(anyhow::Error::from)?,
    )?;
    let mut chunks = Chunks { engine, artifacts: &artifacts, reader: PointReader::open(&points)? };
    while let Some(chunk) = chunks.next().await? {
        for (point, record) in &chunk {
            builder.push(&Row {
                index: point.index,
                role: point.role,
                run: &point.run,
                values: &point.values,
                record: record.as_ref(),
            })?;
        }
    }
    let mut summary = builder.finish()?;
    for (name, path) in [("analysis.csv", csv), ("analysis.parquet", parquet)] {
        summary.files.push(keep(&artifacts, planned, name, path).await?);
    }
    Ok(summary)
}

async fn keep(artifacts: &Artifacts, planned: &Planned, name: &str, path: PathBuf) -> Result<ArtifactFile, Failure> {
    let key = ArtifactKey::parse(&format!("sweeps/{}/{name}", planned.summary.id)).context("an analysis has no valid key")?;
    let bytes = fs_err::metadata(&path).map_err(anyhow::Error::from)?.len();
    let (artifacts, target) = (artifacts.clone(), key.clone());
    blocking(move || Ok(artifacts.import(&target, &path)?)).await?;
    Ok(ArtifactFile { name: name.to_owned(), key: key.as_str().to_owned(), bytes })
}

/// The plan's points with their records, a piece at a time.
struct Chunks<'a> {
    engine: &'a Engine,
    artifacts: &'a Artifacts,
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
        let artifacts = self.artifacts.clone();
        let mut records = blocking(move || read_records(&artifacts, &known)).await?;
        Ok(Some(points.into_iter().map(|point| { let record = records.remove(&point.run); (point, record) }).collect()))
    }
}

/// Reads records where the index says that they lie; each file is opened once.
fn read_records(artifacts: &Artifacts, known: &HashMap<RunId, KnownRun>) -> anyhow::Result<HashMap<RunId, Record>> {
    let mut by_place: HashMap<&str, Vec<(&RunId, &KnownRun)>> = HashMap::new();
    for (run, place) in known {
        by_place.entry(place.place.as_str()).or_default().push((run, place));
    }
    let mut records = HashMap::with_capacity(known.len());
    for (place, mut runs) in by_place {
        runs.sort_by_key(|(_, run)| run.byte_offset);
        let key = ArtifactKey::parse(&format!("{place}/records.jsonl"))?;
        let pieces: Vec<_> = runs.iter().map(|(_, run)| (run.byte_offset, run.byte_length)).collect();
        for ((run, _), bytes) in runs.iter().zip(artifacts.read_pieces(&key, &pieces)?) {
            let record: Record = serde_json::from_slice(&bytes)
                .with_context(|| format!("the record of run {} in `{place}` cannot be read", run.short()))?;
            anyhow::ensure!(record.run == **run, "the index says that run {} lies in `{place}`, but another does", run.short());
            records.insert((*run).clone(), record);
        }
    }
    Ok(records)
}
