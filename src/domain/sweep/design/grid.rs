//! Every combination of levels, walked like an odometer: the first parameter of the manifest moves slowest.

use std::collections::HashSet;

use super::levels::{Levels, key};
use crate::domain::parameters::Value;

/// Something that moves by itself.
#[derive(Debug)]
pub(crate) enum Axis {
    /// One parameter, by its place in the manifest.
    Single(usize, Levels),
    /// Several that move together.
    Zipped(Zip),
}

/// Parameters that move together.
#[derive(Debug)]
pub(crate) struct Zip {
    parameters: Vec<usize>,
    rows: Vec<Vec<Value>>,
    known: HashSet<String>,
}

impl Zip {
    /// Zips levels of equal count; a row that is there already is left out.
    pub(crate) fn new(members: &[(usize, Levels)]) -> Self {
        let parameters = members.iter().map(|(parameter, _)| *parameter).collect();
        let count = members.iter().map(|(_, levels)| levels.count()).min().unwrap_or(0);
        let rows = (0..count).map(|step| members.iter().map(|(_, levels)| levels.level(step)).collect::<Vec<_>>());
        let mut known = HashSet::new();
        let rows = rows.filter(|row| known.insert(row_key(row))).collect();
        Self { parameters, rows, known }
    }
}

fn row_key<'v>(row: impl IntoIterator<Item = &'v Value>) -> String {
    row.into_iter().map(key).collect::<Vec<_>>().join("\n")
}

impl Axis {
    /// How many steps the axis has.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Single(_, levels) => levels.count(),
            Self::Zipped(zip) => zip.rows.len() as u64,
        }
    }

    /// The parameters that move with the axis.
    pub(crate) fn parameters(&self) -> &[usize] {
        match self {
            Self::Single(parameter, _) => std::slice::from_ref(parameter),
            Self::Zipped(zip) => &zip.parameters,
        }
    }

    /// How many different values `parameter` takes on this axis.
    pub(crate) fn distinct(&self, parameter: usize) -> u64 {
        match self {
            Self::Single(_, levels) => levels.count(),
            Self::Zipped(zip) => {
                let member = zip.parameters.iter().position(|member| *member == parameter);
                let values = zip.rows.iter().filter_map(|row| member.map(|member| key(&row[member])));
                values.collect::<HashSet<_>>().len() as u64
            }
        }
    }

    /// The value of `parameter` at `step`.
    pub(crate) fn value(&self, parameter: usize, step: u64) -> Option<Value> {
        match self {
            Self::Single(_, levels) => Some(levels.level(step)),
            Self::Zipped(zip) => {
                let member = zip.parameters.iter().position(|member| *member == parameter)?;
                zip.rows.get(usize::try_from(step).ok()?).map(|row| row[member].clone())
            }
        }
    }

    fn set(&self, step: u64, values: &mut [Value]) {
        match self {
            Self::Single(parameter, levels) => values[*parameter] = levels.level(step),
            Self::Zipped(zip) => {
                let row = &zip.rows[usize::try_from(step).expect("a row's index fits")];
                for (parameter, value) in zip.parameters.iter().zip(row) {
                    values[*parameter].clone_from(value);
                }
            }
        }
    }

    /// Whether the point's values lie on one step of the axis.
    fn contains(&self, values: &[Value]) -> bool {
        match self {
            Self::Single(parameter, levels) => levels.contains(&values[*parameter]),
            Self::Zipped(zip) => {
                zip.known.contains(&row_key(zip.parameters.iter().map(|parameter| &values[*parameter])))
            }
        }
    }
}

/// The axes of a grid, the slowest one first, and the values of everything that stands still.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The axes.
    pub(crate) axes: Vec<Axis>,
    /// A value for each parameter; those on an axis are overwritten.
    pub(crate) base: Vec<Value>,
}

impl Grid {
    /// Whether the point is one of the grid's.
    pub(crate) fn contains(&self, values: &[Value]) -> bool {
        let moves = |parameter: usize| self.axes.iter().any(|axis| axis.parameters().contains(&parameter));
        self.axes.iter().all(|axis| axis.contains(values))
            && self.base.iter().enumerate().all(|(parameter, value)| moves(parameter) || values[parameter] == *value)
    }

    /// Walks over all points.
    pub(crate) fn walk(&self) -> GridWalk<'_> {
        GridWalk { grid: self, steps: vec![0; self.axes.len()], values: self.base.clone(), begun: false }
    }
}

/// A walk over a grid's points.
#[derive(Debug)]
pub(crate) struct GridWalk<'d> {
    grid: &'d Grid,
    steps: Vec<u64>,
    values: Vec<Value>,
    begun: bool,
}

impl GridWalk<'_> {
    /// The values of the point that came last.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The next point's values.
    pub(crate) fn next(&mut self) -> Option<&[Value]> {
        if !self.begun {
            self.begun = true;
            for axis in &self.grid.axes {
                axis.set(0, &mut self.values);
            }
            return Some(&self.values);
        }
        for (axis, step) in self.grid.axes.iter().zip(&mut self.steps).rev() {
            *step += 1;
            if *step < axis.count() {
                axis.set(*step, &mut self.values);
                return Some(&self.values);
            }
            *step = 0;
            axis.set(0, &mut self.values);
        }
        None
    }
}
