//! A design's points on their way into `points.jsonl`: one thread makes lines, another writes them and keeps the disk busy.
//!
//! It must not keep more than a few pieces in memory, however many points there are.

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::Sender;

use super::planning::CHUNK;
use crate::domain::ids::RunId;
use crate::domain::sweep::points::{Design, PlanHasher, Role, RunIdentity};

/// How many bytes of lines are handed over at once?
const PIECE: usize = 1 << 18;

/// How many pieces may wait to be written?
const PIECES: usize = 8;

/// After how many pieces is the disk told to begin? What is written early need not be waited for at the end.
const SYNC_EVERY: usize = 64;

/// Ids of points, for whoever counts which are known. None when nobody has to.
pub(super) type Counted = Option<Sender<Vec<RunId>>>;

/// Writes one line for each point of `design` to `path`, to be read as [`super::planning::PointLine`], adds each run to
/// `hasher` and hands its id to `counted`. Gives the number of points.
pub(super) fn write_points(
    design: &Design,
    identity: &RunIdentity,
    hasher: &mut PlanHasher,
    path: &Path,
    counted: Counted,
) -> Result<u64> {
    let file = fs_err::File::create(path)?;
    let (pieces, taken) = sync_channel::<Vec<u8>>(PIECES);
    let (empty, emptied) = sync_channel::<Vec<u8>>(PIECES);
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || write_pieces(file, &taken, &empty));
        let made = Lines { pieces, emptied, counted }.make(design, identity, hasher);
        let written = writing.join().map_err(|_| anyhow::anyhow!("writing the list of points panicked"))?;
        written.context("the list of points cannot be written")?;
        made
    })
}

fn write_pieces(
    mut file: fs_err::File,
    pieces: &Receiver<Vec<u8>>,
    empty: &SyncSender<Vec<u8>>,
) -> std::io::Result<()> {
    for (number, mut piece) in pieces.iter().enumerate() {
        file.write_all(&piece)?;
        piece.clear();
        // Nobody needs it when the other side has ended.
        let _ = empty.try_send(piece);
        if number % SYNC_EVERY == SYNC_EVERY - 1 {
            file.sync_data()?;
        }
    }
    file.sync_all()
}

/// The side that makes lines.
struct Lines {
    pieces: SyncSender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
    counted: Counted,
}

impl Lines {
    fn make(self, design: &Design, identity: &RunIdentity, hasher: &mut PlanHasher) -> Result<u64> {
        let mut ids = identity.ids();
        let mut chunk = Vec::new();
        let mut piece = Vec::with_capacity(PIECE + 4096);
        let mut points = design.points();
        let mut count = 0_u64;
        while let Some(role) = points.step() {
            let mut run = [0; 64];
            hex::encode_to_slice(ids.next(points.values(), None), &mut run).context("a hash has 32 bytes")?;
            let run = std::str::from_utf8(&run).context("hexadecimal is text")?;
            hasher.add(run, role);
            line(&mut piece, (count, role, run), ids.texts());
            count += 1;
            if self.counted.is_some() {
                chunk.push(RunId::parse(run)?);
                if chunk.len() == CHUNK {
                    self.count(std::mem::take(&mut chunk))?;
                }
            }
            if piece.len() >= PIECE {
                let next = self.emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE + 4096));
                self.hand_over(std::mem::replace(&mut piece, next))?;
            }
        }
        self.count(chunk)?;
        self.hand_over(piece)?;
        Ok(count)
    }

    fn hand_over(&self, piece: Vec<u8>) -> Result<()> {
        self.pieces.send(piece).ok().context("nobody writes the list of points any more")
    }

    fn count(&self, chunk: Vec<RunId>) -> Result<()> {
        match &self.counted {
            Some(counted) => counted.blocking_send(chunk).ok().context("nobody counts the points any more"),
            None => Ok(()),
        }
    }
}

/// Appends the line of one point. `texts` are JSON already.
fn line(piece: &mut Vec<u8>, (index, role, run): (u64, Role, &str), texts: &[String]) {
    let role = match role {
        Role::Baseline => "baseline",
        Role::Design => "design",
        Role::Both => "both",
    };
    write!(piece, "{{\"index\":{index},\"role\":\"{role}\",\"run\":\"{run}\",\"values\":[")
        .expect("a vector takes any bytes");
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            piece.push(b',');
        }
        piece.extend_from_slice(text.as_bytes());
    }
    piece.extend_from_slice(b"]}\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::ids::Digest;
    use crate::domain::manifest::Manifest;
    use crate::domain::sweep::plan::RunLimits;
    use crate::domain::sweep::points::Limits;
    use crate::domain::sweep::spec::SweepSpec;
    use crate::domain::yaml::NoFiles;
    use crate::engine::planning::PointReader;

    #[test]
    fn the_lines_are_the_design_s_points_with_their_ids() {
        let manifest = "owner: o\ntitle: t\nbuild: {process: []}\nrun: {command: [\"{model}/m\", \"{params}\"]}\n\
            outputs: {summary: s.json}\nparameters: {A: {type: float, default: 1}, B: {type: string, default: x}, \
            C: {type: list, default: [1, 2.5]}, D: {type: int, default: 0}}\n";
        let manifest = Manifest::parse("modelship.yaml", manifest, &NoFiles).unwrap();
        let sweep = "sweep: s\nmodel: o/t\nparameters:\n  A: [0.1, 1e-9, -0.0, 1500]\n  B: ['a\"b', 'ä', ok]\n\
            \x20 D: {range: {start: 1, stop: 500, step: 1}}\nbaseline: {A: 7}\ninclude: [{A: 8, B: z}]\n";
        let spec = SweepSpec::parse("sweeps/s.yaml", sweep).unwrap();
        let design = Design::new(&spec, &manifest, &NoFiles, Limits::default()).unwrap();
        let identity = RunIdentity::new(&Digest::of("e"), &manifest, &BTreeMap::new());
        let mut hasher = PlanHasher::new(&Digest::of("m"), &[], &RunLimits::default());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("points.jsonl");
        let (counted, mut ids) = tokio::sync::mpsc::channel(10);
        let count = write_points(&design, &identity, &mut hasher, &path, Some(counted)).unwrap();
        assert_eq!(count, 4 * 3 * 500 + 2);
        let mut points = design.points();
        let mut reader = PointReader::open(&path).unwrap();
        let mut again = PlanHasher::new(&Digest::of("m"), &[], &RunLimits::default());
        let lines = reader.next_chunk(10_000).unwrap();
        for line in &lines {
            let point = points.next().unwrap();
            assert_eq!((line.index, line.role, &line.values), (point.index, point.role, &point.values));
            assert_eq!(line.run, identity.run_id(&point.values, None));
            again.add(line.run.as_str(), line.role);
        }
        assert_eq!(points.next(), None);
        assert_eq!(hasher.finish(), again.finish());
        let mut handed = Vec::new();
        while let Ok(chunk) = ids.try_recv() {
            handed.extend(chunk);
        }
        assert!(handed.iter().eq(lines.iter().map(|line| &line.run)), "every id is handed over once, in order");
    }
}
