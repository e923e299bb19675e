//! What a design does, in short: which parameters move and how, and which stand still where the file or an unusual value
//! says so.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Generator;
use super::assemble::Moving;
use crate::domain::parameters::{Parameter, Value};
use crate::domain::sweep::design::grid::Axis;
use crate::domain::sweep::design::levels::key;
use crate::domain::sweep::plan::{MovedParameter, Scale};
use crate::domain::sweep::spec::{Declared, Generator as Declaration, RawDesign, SweepSpec};
use crate::domain::yaml::{Placed, shown};

/// Levels that are listed one by one; longer lists are shortened.
const SHOWN_LEVELS: usize = 6;

/// What was kept of the generated points.
#[derive(Debug)]
pub(super) struct Kept {
    /// How many.
    pub(super) runs: u64,
    /// The different values of each parameter that listed points give.
    different: Vec<HashSet<u64>>,
}

impl Kept {
    /// Nothing, of so many parameters.
    pub(super) fn new(parameters: usize) -> Self {
        Self { runs: 0, different: vec![HashSet::new(); parameters] }
    }

    /// Adds a point.
    pub(super) fn add(&mut self, values: &[Value], generator: &Generator) {
        self.runs += 1;
        if let Generator::Rows { rows, .. } = generator {
            for index in &rows.columns {
                self.different[*index].insert(hash(&values[*index]));
            }
        }
    }
}

/// A design in short.
pub(super) struct Summary {
    /// What moves, by its place in the manifest.
    pub(super) moved: Vec<(usize, MovedParameter)>,
    /// What stands still at the value that the file names, or at another one than its default.
    pub(super) fixed: Vec<(String, String)>,
    /// The values of what stands still.
    still: Vec<Value>,
}

impl Summary {
    /// The baseline's values of what moves, and of what it has otherwise than the design.
    pub(super) fn baseline(&self, values: Option<&[Value]>, parameters: &[Parameter]) -> Vec<(String, String)> {
        let Some(values) = values else { return Vec::new() };
        let moves = |index: usize| self.moved.iter().any(|(moved, _)| *moved == index);
        let told = (0..values.len()).filter(|index| moves(*index) || values[*index] != self.still[*index]);
        told.map(|index| (parameters[index].name.clone(), values[index].to_string())).collect()
    }
}

/// Describes the design.
pub(super) fn summary(
    generator: &Generator,
    included: &[Vec<Value>],
    (kept, moving): (&Kept, &[Moving<'_>]),
    spec: &SweepSpec,
    parameters: &[Parameter],
) -> Summary {
    let still = generator
        .walk()
        .next()
        .or_else(|| included.first().map(Vec::as_slice))
        .map(<[Value]>::to_vec)
        .unwrap_or_default();
    let mut moved = Vec::new();
    let mut fixed = Vec::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let (levels, declared) = match (generator, axis_of(generator, index)) {
            (Generator::Grid(_), Some(axis)) => {
                let further: HashSet<u64> = included
                    .iter()
                    .map(|values| &values[index])
                    .filter(|value| !axis.has(index, value))
                    .map(hash)
                    .collect();
                let declared = moving.iter().find(|moving| moving.index == index).map(|moving| moving.declared);
                let declared = declared.map_or_else(String::new, |declared| described(declared, axis, index));
                let declared = format!("{declared}{}{}", zipped(axis, index, parameters), and_included(further.len()));
                (axis.distinct(index) + further.len() as u64, declared)
            }
            (Generator::Rows { rows, .. }, _) if rows.columns.contains(&index) => {
                let mut different = kept.different[index].clone();
                different.extend(included.iter().map(|values| hash(&values[index])));
                (different.len() as u64, listed(spec))
            }
            _ => {
                let further: HashSet<u64> = included
                    .iter()
                    .map(|values| &values[index])
                    .filter(|value| **value != still[index])
                    .map(hash)
                    .collect();
                (1 + further.len() as u64, "given by `include`".to_owned())
            }
        };
        if levels > 1 {
            let (name, unit) = (parameter.name.clone(), parameter.unit.clone());
            let scale = scale(moving, index);
            moved.push((index, MovedParameter { name, levels, declared, unit, scale }));
        } else if parameter.default.as_ref() != Some(&still[index]) || is_named(spec, &parameter.name) {
            fixed.push((parameter.name.clone(), still[index].to_string()));
        }
    }
    Summary { moved, fixed, still }
}

/// Whether the file itself says what the parameter is.
fn is_named(spec: &SweepSpec, name: &str) -> bool {
    spec.raw().parameters.iter().flat_map(|declared| &declared.0).any(|(key, _)| key.name == name)
}

fn scale(moving: &[Moving<'_>], index: usize) -> Scale {
    match moving.iter().find(|moving| moving.index == index).map(|moving| moving.declared) {
        Some(Declared::Generator(Placed { value: Declaration::LogRange(_), .. })) => Scale::Log,
        _ => Scale::Linear,
    }
}

fn axis_of(generator: &Generator, index: usize) -> Option<&Axis> {
    match generator {
        Generator::Grid(grid) => grid.axes.iter().find(|axis| axis.parameters().contains(&index)),
        Generator::Rows { .. } => None,
    }
}

fn listed(spec: &SweepSpec) -> String {
    match &spec.raw().design {
        Some(RawDesign::File(file)) => format!("given by {}", shown(&file.value)),
        Some(RawDesign::Inline(_) | RawDesign::Grid) | None => "given by the points".to_owned(),
    }
}

fn zipped(axis: &Axis, index: usize, parameters: &[Parameter]) -> String {
    let others: Vec<&str> = axis
        .parameters()
        .iter()
        .filter(|other| **other != index)
        .map(|other| parameters[*other].name.as_str())
        .collect();
    if others.is_empty() { String::new() } else { format!(", together with {}", others.join(", ")) }
}

/// What `include` adds to the values that a parameter has.
fn and_included(further: usize) -> String {
    if further == 0 { String::new() } else { format!(", and {further} more by `include`") }
}

fn described(declared: &Declared, axis: &Axis, index: usize) -> String {
    if let Declared::Generator(Placed { value, .. }) = declared {
        match value {
            Declaration::Range(range) => {
                let ends = format!("range {} .. {}", range.start.value.plain(), range.stop.value.plain());
                return match &range.step {
                    Some(step) => format!("{ends} step {}", step.value.plain()),
                    None => format!("{ends}, {} levels", axis.distinct(index)),
                };
            }
            Declaration::LogRange(range) => {
                let (start, stop) = (range.start.value.plain(), range.stop.value.plain());
                return format!("logrange {start} .. {stop}, {} levels", range.num.value);
            }
            Declaration::Choice(_) | Declaration::Value(_) => {}
        }
    }
    let values = axis.values(index, SHOWN_LEVELS);
    let list: Vec<String> = values.iter().map(|value| shown(&value.to_string())).collect();
    if axis.count() > list.len() as u64 {
        let last = axis.last(index).map_or_else(String::new, |last| shown(&last.to_string()));
        format!("{} values: {}, ..., {last}", axis.count(), list[..3].join(", "))
    } else {
        list.join(", ")
    }
}

impl Axis {
    fn values(&self, parameter: usize, most: usize) -> Vec<Value> {
        (0..self.count().min(most as u64)).filter_map(|step| self.value(parameter, step)).collect()
    }

    fn last(&self, parameter: usize) -> Option<Value> {
        self.value(parameter, self.count().checked_sub(1)?)
    }

    fn has(&self, parameter: usize, value: &Value) -> bool {
        match self {
            Self::Single(_, levels) => levels.contains(value),
            Self::Zipped(_) => (0..self.count()).any(|step| self.value(parameter, step).as_ref() == Some(value)),
        }
    }
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    key(value).hash(&mut hasher);
    hasher.finish()
}
