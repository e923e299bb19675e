//! Walking over a design's points.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::{Design, Filter, Generator, Point, Role};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::parameters::Value;
use crate::domain::sweep::design::condition::Truth;
use crate::domain::sweep::design::grid::GridWalk;
use crate::domain::sweep::design::rows::RowsWalk;

/// The points of a design, one after another: by [`Points::step`], which copies nothing, or as an iterator.
#[derive(Debug)]
pub struct Points<'d> {
    design: &'d Design,
    walk: Walk<'d>,
    seen: Seen,
    stage: Stage,
    index: u64,
}

/// Where the last step led.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Begin,
    Baseline,
    Generated,
    Included(usize),
}

impl<'d> Points<'d> {
    pub(super) fn new(design: &'d Design) -> Self {
        let walk = design.generator.walk();
        Self { design, walk, seen: Seen::for_generator(&design.generator), stage: Stage::Begin, index: 0 }
    }

    /// Goes to the next point and says what it is; none at the end.
    pub fn step(&mut self) -> Option<Role> {
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Baseline;
                match &self.design.baseline {
                    Some((_, role)) => Some(*role),
                    None => self.step(),
                }
            }
            Stage::Baseline | Stage::Generated => {
                self.stage = Stage::Generated;
                if self.generate() { Some(Role::Design) } else { self.include(0) }
            }
            Stage::Included(at) => self.include(at + 1),
        }
    }

    /// The values of the point that the last step led to, in the manifest's order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match (self.stage, &self.design.baseline) {
            (Stage::Begin, _) | (Stage::Baseline, None) => &[],
            (Stage::Baseline, Some((values, _))) => values,
            (Stage::Generated, _) => self.walk.values(),
            (Stage::Included(at), _) => self.design.included.get(at).map_or(&[], Vec::as_slice),
        }
    }

    fn generate(&mut self) -> bool {
        while let Some(values) = self.walk.next() {
            let kept = self.design.filter.keeps(values).expect("every point was evaluated when the design was made");
            if kept && self.seen.is_first(values) && !self.design.has_as_baseline(values) {
                return true;
            }
        }
        false
    }

    fn include(&mut self, from: usize) -> Option<Role> {
        let mut rest = self.design.included.iter().enumerate().skip(from);
        let next = rest.find(|(_, values)| !self.design.has_as_baseline(values));
        self.stage = Stage::Included(next.map_or(self.design.included.len(), |(at, _)| at));
        next.map(|_| Role::Design)
    }
}

impl Iterator for Points<'_> {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        let role = self.step()?;
        let index = self.index;
        self.index += 1;
        Some(Point { index, role, values: self.values().to_vec() })
    }
}

impl Design {
    /// Whether these values are the baseline's, which comes first and not again.
    fn has_as_baseline(&self, values: &[Value]) -> bool {
        matches!(&self.baseline, Some((baseline, Role::Both)) if baseline == values)
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

    /// The values of the point that came last.
    fn values(&self) -> &[Value] {
        match self {
            Self::Grid(walk) => walk.values(),
            Self::Rows(walk) => walk.values(),
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
