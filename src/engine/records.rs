//! Records, read where the index says that they lie.

use std::collections::HashMap;
use std::io::{BufReader, Read as _, Seek as _};

use anyhow::Context as _;

use super::keys;
use crate::domain::ids::RunId;
use crate::domain::sweep::record::Record;
use crate::edge::artifacts::directory::Artifacts;
use crate::store::runs::KnownRun;

/// Reads the records of `known`; each file is opened once.
pub(super) fn read_records(
    artifacts: &Artifacts,
    known: &HashMap<RunId, KnownRun>,
) -> anyhow::Result<HashMap<RunId, Record>> {
    let mut by_place: HashMap<&str, Vec<(&RunId, &KnownRun)>> = HashMap::new();
    for (run, place) in known {
        by_place.entry(place.place.as_str()).or_default().push((run, place));
    }
    let mut records = HashMap::with_capacity(known.len());
    for (place, mut runs) in by_place {
        runs.sort_by_key(|(_, run)| run.byte_offset);
        let key = keys::records(place)?;
        let mut file = BufReader::with_capacity(1 << 20, artifacts.reader(&key)?);
        for (run, known) in runs {
            // Records lie in the order in which they are read, so a short step keeps what is buffered.
            let here = file.stream_position()?;
            file.seek_relative(i64::try_from(known.byte_offset)? - i64::try_from(here)?)?;
            let mut bytes = vec![0; usize::try_from(known.byte_length)?];
            file.read_exact(&mut bytes)?;
            let record: Record = serde_json::from_slice(&bytes)
                .with_context(|| format!("the record of run {} in `{place}` cannot be read", run.short()))?;
            anyhow::ensure!(
                record.run == *run,
                "the index says that run {} lies in `{place}`, but another does",
                run.short()
            );
            records.insert(run.clone(), record);
        }
    }
    Ok(records)
}
