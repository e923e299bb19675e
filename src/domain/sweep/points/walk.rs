//! Walking over a design's points.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::{Design, Filter, Generator, Point, Role};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::parameters::Value;
use crate::domain::sweep::design::condition::Truth;
use crate::domain::sweep::design::grid::GridWalk;
use crate::domain::sweep::design::rows::RowsWalk;

/// The points of a design, one after another.
#[derive(Debug)]
pub struct Points<'d> {
    design: &'d Design,
    walk: Walk<'d>,
    seen: Seen,
    stage: Stage,
    index: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Baseline,
    Generated,
    Included(usize),
}

impl<'d> Points<'d> {
    pub(super) fn new(design: &'d Design) -> Self {
        let walk = design.generator.walk();
        Self { design, walk, seen: Seen::for_generator(&design.generator), stage: Stage::Baseline, index: 0 }
    }

    fn point(&mut self, role: Role, values: Vec<Value>) -> Point {
        let index = self.index;
        self.index += 1;
        Point { index, role, values }
    }

    fn generated(&mut self) -> Option<Vec<Value>> {
        loop {
            let values = self.walk.next()?;
            let kept = self.design.filter.keeps(values).expect("every point was evaluated when the design was made");
            let first = kept && self.seen.is_first(values);
            let is_baseline = matches!(&self.design.baseline, Some((baseline, Role::Both)) if baseline == values);
            if first && !is_baseline {
                return Some(values.to_vec());
            }
        }
    }
}

impl Iterator for Points<'_> {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        if let Stage::Baseline = self.stage {
            self.stage = Stage::Generated;
            if let Some((values, role)) = &self.design.baseline {
                let (role, values) = (*role, values.clone());
                return Some(self.point(role, values));
            }
        }
        if let Stage::Generated = self.stage {
            if let Some(values) = self.generated() {
                return Some(self.point(Role::Design, values));
            }
            self.stage = Stage::Included(0);
        }
        let Stage::Included(mut next) = self.stage else { return None };
        loop {
            let values = self.design.included.get(next)?;
            next += 1;
            self.stage = Stage::Included(next);
            let is_baseline = matches!(&self.design.baseline, Some((baseline, Role::Both)) if baseline == values);
            if !is_baseline {
                return Some(self.point(Role::Design, values.clone()));
            }
        }
    }
}

/// A walk over what is generated, before anything is rejected.
#[derive(Debug)]
pub(super) enum Walk<'d> {
    Grid(GridWalk<'d>),
    Rows(RowsWalk<'d>),
}

impl Walk<'_> {
    /// The next point's values.
    pub(super) fn next(&mut self) -> Option<&[Value]> {
        match self {
            Self::Grid(walk) => walk.next(),
            Self::Rows(walk) => walk.next(),
        }
    }
}

impl Generator {
    /// Walks over what is generated.
    pub(super) fn walk(&self) -> Walk<'_> {
        match self {
            Self::Grid(grid) => Walk::Grid(grid.walk()),
            Self::Rows { rows, base } => Walk::Rows(rows.walk(base)),
        }
    }
}

impl Filter {
    /// Whether the point stays.
    pub(super) fn keeps(&self, values: &[Value]) -> Result<bool, Diagnostic> {
        Ok(self.judge(values)? == Truth::Yes)
    }

    /// Whether the point stays, or nobody can tell.
    pub(super) fn judge(&self, values: &[Value]) -> Result<Truth, Diagnostic> {
        if self.exclude.iter().any(|entry| entry.iter().all(|(index, value)| values[*index] == *value)) {
            return Ok(Truth::No);
        }
        match &self.condition {
            Some(condition) => condition.holds(values),
            None => Ok(Truth::Yes),
        }
    }
}

/// Which points came before: 16 bytes for each, and nothing at all where no point can come twice.
#[derive(Debug)]
pub(super) enum Seen {
    /// A grid's points all differ.
    Unneeded,
    /// The start of each point's hash.
    Hashes(HashSet<u128>),
}

impl Seen {
    /// What `generator` needs.
    pub(super) fn for_generator(generator: &Generator) -> Self {
        match generator {
            Generator::Grid(_) => Self::Unneeded,
            Generator::Rows { .. } => Self::Hashes(HashSet::new()),
        }
    }

    /// Notes the point; whether it comes for the first time.
    pub(super) fn is_first(&mut self, values: &[Value]) -> bool {
        match self {
            Self::Unneeded => true,
            Self::Hashes(hashes) => hashes.insert(hash(values)),
        }
    }

    /// Whether the point came before.
    pub(super) fn holds(&self, values: &[Value]) -> bool {
        match self {
            Self::Unneeded => false,
            Self::Hashes(hashes) => hashes.contains(&hash(values)),
        }
    }
}

fn hash(values: &[Value]) -> u128 {
    let mut text = String::with_capacity(values.len() * 12);
    for value in values {
        value.write_json(&mut text);
        text.push('\n');
    }
    let digest = Sha256::digest(text);
    u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 hash has 32 bytes"))
}
