//! Finds parameters that move without any effect, while the rows stream by.
//!
//! Two points that differ in one parameter alone say whether it has an effect there. A grid, one-at-a-time designs and
//! lists of points hold such pairs; a random design holds none, and then nothing is said. As soon as one pair has
//! different results the parameter is settled and its memory is given back, so that a sound sweep costs next to nothing.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash as _, Hasher};

use super::AnalysisSpec;
use crate::domain::parameters::Value;
use crate::domain::sweep::analysis::Warning;
use crate::domain::sweep::plan::MovedParameter;
use crate::domain::sweep::record::{OutputValue, Record};

/// How many parameters are followed?
const MOST_PARAMETERS: usize = 100;

/// How many points are remembered, over all parameters? Later ones are still compared with these.
const MOST_POINTS: usize = 400_000;

/// What is known of each parameter that moves.
#[derive(Debug)]
pub(super) struct Effects {
    moved: Vec<Moved>,
    places: Vec<usize>,
    remembered: usize,
}

/// One parameter that has shown no effect so far.
#[derive(Debug)]
struct Moved {
    parameter: usize,
    name: String,
    /// For each combination of the other moved parameters: this one's value and the results.
    seen: HashMap<u64, (u64, u64)>,
    pairs: u64,
}

impl Effects {
    pub(super) fn new(spec: &AnalysisSpec) -> Self {
        let place = |moved: &MovedParameter| spec.parameters.iter().position(|parameter| parameter.name == moved.name);
        let places: Vec<usize> = spec.moved.iter().filter_map(place).collect();
        let moved = places
            .iter()
            .take(MOST_PARAMETERS)
            .map(|at| Moved { parameter: *at, name: spec.parameters[*at].name.clone(), seen: HashMap::new(), pairs: 0 })
            .collect();
        Self { moved, places, remembered: 0 }
    }

    /// Takes a run that succeeded.
    pub(super) fn push(&mut self, values: &[Value], record: &Record) {
        if self.moved.is_empty() {
            return;
        }
        let results = results(record);
        let hashes: Vec<u64> = self.places.iter().map(|at| values.get(*at).map_or(0, hash_of)).collect();
        let Self { moved, places, remembered } = self;
        moved.retain_mut(|moved| {
            let mut others = DefaultHasher::new();
            let mut own = 0;
            for (at, hash) in places.iter().zip(&hashes) {
                if *at == moved.parameter {
                    own = *hash;
                } else {
                    hash.hash(&mut others);
                }
            }
            match moved.seen.entry(others.finish()) {
                Entry::Vacant(vacant) => {
                    if *remembered < MOST_POINTS {
                        *remembered += 1;
                        vacant.insert((own, results));
                    }
                    true
                }
                Entry::Occupied(known) => {
                    let (value, before) = *known.get();
                    // The same point once more, as a replicate or as the baseline, says nothing of this parameter.
                    if value == own {
                        return true;
                    }
                    moved.pairs += 1;
                    let same = before == results;
                    if !same {
                        *remembered -= moved.seen.len();
                    }
                    same
                }
            }
        });
    }

    /// The parameters that were compared and never had an effect.
    pub(super) fn finish(self) -> impl Iterator<Item = Warning> {
        self.moved
            .into_iter()
            .filter(|moved| moved.pairs > 0)
            .map(|moved| Warning::WithoutEffect { parameter: moved.name, pairs: moved.pairs })
    }
}

/// Everything that the run left, as far as its record tells: also outputs that the sweep did not ask for.
fn results(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in &record.outputs {
        name.hash(&mut hasher);
        match value {
            // A whole number is the same number with a point.
            OutputValue::Int(_) | OutputValue::Float(_) => value.number().unwrap_or(0.0).to_bits().hash(&mut hasher),
            OutputValue::Bool(value) => value.hash(&mut hasher),
            OutputValue::Text(value) => value.hash(&mut hasher),
            OutputValue::Missing => u8::MAX.hash(&mut hasher),
        }
    }
    record.files.hash(&mut hasher);
    record.rows.hash(&mut hasher);
    hasher.finish()
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_into(value, &mut hasher);
    hasher.finish()
}

fn hash_into(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Bool(value) => value.hash(hasher),
        Value::Int(value) => value.hash(hasher),
        Value::Float(value) => value.to_bits().hash(hasher),
        Value::Text(value) => value.hash(hasher),
        Value::List(values) => values.iter().for_each(|value| hash_into(value, hasher)),
    }
}
