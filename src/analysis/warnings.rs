//! What may mean that results are wrong although every run succeeded. Values only; how it is said is for `report`.

use super::AnalysisSpec;
use super::columns::OutputColumn;
use super::effects::Effects;
use super::summary::Series;
use crate::domain::manifest::Rows;
use crate::domain::sweep::analysis::{FileRows, Warning};

/// How many warnings of one kind are told.
const MOST_OF_A_KIND: usize = 10;

/// The warnings, the gravest first.
pub(super) fn warnings(
    spec: &AnalysisSpec,
    outputs: &[OutputColumn],
    series: &[Series],
    (effects, file_rows): (Effects, &[FileRows]),
) -> Vec<Warning> {
    let known: Vec<(&OutputColumn, &Series)> =
        outputs.iter().zip(series).filter(|(_, series)| series.values > 1).collect();
    let mut warnings = Vec::new();
    let without_effect: Vec<Warning> = effects.finish().collect();
    if moves_nothing(spec, &known, &without_effect) {
        let points = known.iter().map(|(_, series)| series.values).max().unwrap_or(0);
        warnings.push(Warning::NothingMoves {
            parameters: spec.moved.iter().take(5).map(|moved| moved.name.clone()).collect(),
            points,
        });
    } else {
        warnings.extend(without_effect.into_iter().take(MOST_OF_A_KIND));
        warnings.extend(constants(spec, &known).take(MOST_OF_A_KIND));
    }
    warnings.extend(not_constants(spec, &known).take(MOST_OF_A_KIND));
    let all = || outputs.iter().zip(series);
    warnings.extend(
        all()
            .filter(|(_, series)| series.empty > 0)
            .map(|(column, series)| Warning::WithoutValue { output: column.output.clone(), runs: series.empty })
            .take(MOST_OF_A_KIND),
    );
    warnings.extend(
        all()
            .filter(|(_, series)| series.numeric_texts > 0)
            .map(|(column, series)| Warning::NumberAsText { output: column.output.clone(), runs: series.numeric_texts })
            .take(MOST_OF_A_KIND),
    );
    let same = |rows: &&FileRows| {
        let declared = spec.file_checks.get(&rows.file).and_then(|check| check.rows);
        declared == Some(Rows::Same) && rows.min != rows.max
    };
    warnings.extend(file_rows.iter().filter(same).map(|rows| Warning::RowsDiffer {
        file: rows.file.clone(),
        min: rows.min,
        max: rows.max,
    }));
    warnings
}

/// Whether every output stays the same while parameters move. Outputs that the sweep did not ask for have a say through
/// the pairs of points that were compared.
fn moves_nothing(spec: &AnalysisSpec, known: &[(&OutputColumn, &Series)], without_effect: &[Warning]) -> bool {
    let all_same = !known.is_empty() && known.iter().all(|(_, series)| series.other.is_none());
    let undeclared = known.iter().any(|(column, _)| !is_constant(spec, column));
    all_same && undeclared && !spec.moved.is_empty() && (spec.outputs.is_empty() || !without_effect.is_empty())
}

fn constants<'a>(spec: &'a AnalysisSpec, known: &'a [(&OutputColumn, &Series)]) -> impl Iterator<Item = Warning> + 'a {
    known
        .iter()
        .filter(|(column, series)| series.other.is_none() && !spec.moved.is_empty() && !is_constant(spec, column))
        .filter_map(|(column, series)| {
            let value = series.first.clone()?;
            Some(Warning::Constant { output: column.output.clone(), value, points: series.values })
        })
}

fn not_constants<'a>(
    spec: &'a AnalysisSpec,
    known: &'a [(&OutputColumn, &Series)],
) -> impl Iterator<Item = Warning> + 'a {
    known.iter().filter(|(column, _)| is_constant(spec, column)).filter_map(|(column, series)| {
        let (one, other) = (series.first.clone()?, series.other.clone()?);
        Some(Warning::NotConstant { output: column.output.clone(), one, other })
    })
}

fn is_constant(spec: &AnalysisSpec, column: &OutputColumn) -> bool {
    spec.columns.get(&column.output).is_some_and(|declared| declared.constant)
}
