//! Putting a design together: what each parameter does, which points that makes, and whether all of them can be run.

use std::collections::HashSet;

use super::summary::{Kept, summary};
use super::walk::Seen;
use super::{Design, Filter, Generator, Limits, Role};
use crate::domain::diagnostic::Faults;
use crate::domain::manifest::Manifest;
use crate::domain::manifest::paths::{Whole, joined, relative};
use crate::domain::parameters::{Given, Parameter, Value};
use crate::domain::report::numbers::plural;
use crate::domain::sweep::design::condition::{Condition, Truth};
use crate::domain::sweep::design::grid::{Axis, Grid};
use crate::domain::sweep::design::levels::{Said, key, said};
use crate::domain::sweep::design::rows::{Rows, entry, find};
use crate::domain::sweep::plan::PlanCounts;
use crate::domain::sweep::spec::{Declared, RawDesign, SweepSpec};
use crate::domain::yaml::{Entries, Files, Key, Place, Placed, Reader, did_you_mean, shown};

/// Most entries of `include` and of `exclude`: each is compared with every point.
const MAX_ENTRIES: usize = 1000;

/// Most words of an expression times points that it is evaluated at.
const MAX_EVALUATED: u64 = 50_000_000;

/// Makes the design.
pub(super) fn design(
    spec: &SweepSpec,
    manifest: &Manifest,
    files: &dyn Files,
    limits: Limits,
) -> Result<Design, Faults> {
    let mut reader = Reader::of(spec.source().clone());
    let assembly = Assembly { spec, manifest, files, limits, notes: Vec::new() };
    let design = assembly.design(&mut reader);
    reader.finish(design)
}

/// What a design is made from.
pub(super) struct Assembly<'a> {
    /// The sweep file.
    pub(super) spec: &'a SweepSpec,
    manifest: &'a Manifest,
    files: &'a dyn Files,
    /// How large the design may be.
    pub(super) limits: Limits,
    /// Things worth knowing.
    pub(super) notes: Vec<String>,
}

/// A parameter with levels, which are counted but not made yet.
#[derive(Clone, Copy)]
pub(super) struct Moving<'a> {
    /// The parameter's place in the manifest.
    pub(super) index: usize,
    /// What the file says.
    pub(super) declared: &'a Declared,
    /// How many levels, duplicates included.
    pub(super) count: u64,
    /// Where the file says it.
    pub(super) place: Place,
}

impl<'a> Assembly<'a> {
    /// The model's parameters.
    pub(super) fn parameters(&self) -> &'a [Parameter] {
        &self.manifest.parameters
    }

    fn design(mut self, reader: &mut Reader) -> Option<Design> {
        if self.manifest.model != self.spec.model {
            let message = format!("the sweep is of `{}`, the manifest of `{}`", self.spec.model, self.manifest.model);
            reader.note(self.spec.model_fault(message, None));
            return None;
        }
        let mut base: Vec<Option<Value>> =
            self.parameters().iter().map(|parameter| parameter.default.clone()).collect();
        self.start_from(&mut base, reader);
        let moving = self.declared(&mut base, reader);
        let filter = self.filter(reader);
        let generator = self.generator(&moving, &base, reader);
        let included = self.included(&base, reader);
        let baseline = self.baseline(&base, reader);
        if !reader.is_well() {
            return None;
        }
        self.checked(generator?, filter?, (included?, baseline?), &moving, reader)
    }

    fn start_from(&self, base: &mut [Option<Value>], reader: &mut Reader) {
        for name in self.spec.raw().start_from.iter().flat_map(|names| &names.0) {
            let Some(set) = self.manifest.sets.get(&name.value) else {
                let hint = did_you_mean(&name.value, self.manifest.sets.keys().map(String::as_str));
                reader.fault(name.place, format!("the manifest has no set `{}`", shown(&name.value)), hint);
                continue;
            };
            for (parameter, value) in set {
                if let Some((index, _)) = self.manifest.parameter(parameter) {
                    base[index] = Some(value.clone());
                }
            }
        }
    }

    /// Puts fixed values into `base` and gathers what moves, in the manifest's order.
    fn declared(&self, base: &mut [Option<Value>], reader: &mut Reader) -> Vec<Moving<'a>> {
        let mut moving = Vec::new();
        for (Key { name, place }, declared) in self.spec.raw().parameters.iter().flat_map(|declared| &declared.0) {
            let index = match find(self.parameters(), name) {
                Ok(index) => index,
                Err((message, hint)) => {
                    reader.fault(*place, message, hint);
                    continue;
                }
            };
            match said(declared, reader) {
                Some(Said::Fixed(Given(node))) => {
                    if let Some(value) = self.parameters()[index].read(node, reader) {
                        base[index] = Some(value);
                    }
                }
                Some(Said::Moves(count)) => moving.push(Moving { index, declared, count, place: *place }),
                None => {}
            }
        }
        moving.sort_by_key(|moving| moving.index);
        moving
    }

    fn filter(&self, reader: &mut Reader) -> Option<Filter> {
        let raw = self.spec.raw();
        let exclude = self.entries(raw.exclude.as_deref().unwrap_or_default(), "use `where`", reader);
        let condition = match &raw.r#where {
            Some(written) => match Condition::new(written, self.spec.source(), self.parameters()) {
                Ok(condition) => Some(condition),
                Err(fault) => {
                    reader.note(fault);
                    return None;
                }
            },
            None => None,
        };
        Some(Filter { condition, exclude: exclude? })
    }

    fn entries(
        &self,
        raw: &[Placed<Entries<Given>>],
        instead: &str,
        reader: &mut Reader,
    ) -> Option<Vec<Vec<(usize, Value)>>> {
        if let Some(excess) = raw.get(MAX_ENTRIES) {
            reader.fault(excess.place, format!("more than {MAX_ENTRIES} entries"), Some(instead.to_owned()));
            return None;
        }
        let mut entries = Vec::with_capacity(raw.len());
        let mut well = true;
        for given in raw {
            if given.value.0.is_empty() {
                reader.fault(given.place, "the entry is empty", None);
                well = false;
                continue;
            }
            match entry(&given.value, self.parameters(), reader) {
                Some(values) => entries.push(values),
                None => well = false,
            }
        }
        well.then_some(entries)
    }

    fn generator(&mut self, moving: &[Moving<'a>], base: &[Option<Value>], reader: &mut Reader) -> Option<Generator> {
        match &self.spec.raw().design {
            None | Some(RawDesign::Grid) => {
                let on_axes: Vec<usize> = moving.iter().map(|moving| moving.index).collect();
                let base = self.filled(base, &on_axes, reader);
                let axes = self.axes(moving, reader);
                Some(Generator::Grid(Grid { axes: axes?, base: base? }))
            }
            Some(RawDesign::Inline(list)) => {
                self.nothing_else_moves(moving, reader)?;
                let rows = Rows::inline(list, self.parameters(), reader)?;
                let complete = rows.columns.iter().filter(|index| base[**index].is_none()).all(|index| {
                    let name = &self.parameters()[*index].name;
                    let without =
                        list.value.iter().find(|point| !point.value.0.iter().any(|(key, _)| key.name == *name));
                    if let Some(point) = without {
                        let message = format!("the point needs a value for `{name}`, which has no default");
                        reader.fault(point.place, message, None);
                    }
                    without.is_none()
                });
                self.rows(rows, base, (list.place, "the points"), reader).filter(|_| complete)
            }
            Some(RawDesign::File(file)) => {
                self.nothing_else_moves(moving, reader)?;
                let folder = self.spec.path().rsplit_once('/').map_or(".", |(folder, _)| folder);
                let path = joined(folder, &relative(file, Whole::Refused, reader)?);
                let text = match self.files.read(&path) {
                    Ok(Some(text)) => text,
                    Ok(None) => {
                        let hint = Some("the path is relative to the sweep file".to_owned());
                        reader.fault(file.place, format!("there is no file `{}`", shown(&path)), hint);
                        return None;
                    }
                    Err(error) => {
                        reader.fault(file.place, format!("`{}` cannot be read: {error}", shown(&path)), None);
                        return None;
                    }
                };
                let rows = Rows::file(&path, text, self.parameters(), reader)?;
                self.rows(rows, base, (file.place, "the file"), reader)
            }
        }
    }

    fn nothing_else_moves(&self, moving: &[Moving<'_>], reader: &mut Reader) -> Option<()> {
        for moving in moving {
            let name = &self.parameters()[moving.index].name;
            let hint = Some(format!("give `{name}` one value here, or give it in the points"));
            reader.fault(
                moving.place,
                format!("design `points` lists its points; `{name}` cannot have levels too"),
                hint,
            );
        }
        if let Some(zip) = self.spec.raw().zip.as_ref().and_then(|zip| zip.first()) {
            reader.fault(zip.place, "design `points` lists its points; there is nothing to zip", None);
            return None;
        }
        moving.is_empty().then_some(())
    }

    fn rows(
        &self,
        rows: Rows,
        base: &[Option<Value>],
        (place, what): (Place, &str),
        reader: &mut Reader,
    ) -> Option<Generator> {
        for (key, declared) in self.spec.raw().parameters.iter().flat_map(|declared| &declared.0) {
            let both = self.manifest.parameter(&key.name).is_some_and(|(index, _)| rows.columns.contains(&index));
            if both && matches!(declared, Declared::Fixed(_) | Declared::Generator(_)) {
                reader.fault(key.place, format!("`{}` is fixed here and given by {what} too", key.name), None);
            }
        }
        let base = self.filled(base, &rows.columns, reader)?;
        let count = rows.count();
        if count > self.limits.max_runs {
            let Limits { max_runs, whose } = self.limits;
            let message =
                format!("the design has {} points; {whose} allows {}", grouped(count.into()), grouped(max_runs.into()));
            reader.fault(place, message, None);
            return None;
        }
        Some(Generator::Rows { rows, base })
    }

    /// A value for everything; those in `given` come from elsewhere and may be missing.
    fn filled(&self, base: &[Option<Value>], given: &[usize], reader: &mut Reader) -> Option<Vec<Value>> {
        let open = |index: &usize| base[*index].is_none() && !given.contains(index);
        let open: Vec<String> =
            (0..base.len()).filter(open).map(|index| format!("`{}`", self.parameters()[index].name)).collect();
        if !open.is_empty() {
            let (is, has) = if open.len() == 1 { ("it", "has") } else { ("them", "have") };
            let list = open.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
            let place = self.spec.raw().sweep.place;
            reader.fault(
                place,
                format!("{list} {has} neither a default nor a value"),
                Some(format!("give {is} under `parameters`")),
            );
            return None;
        }
        Some(base.iter().map(|value| value.clone().unwrap_or(Value::Bool(false))).collect())
    }

    fn included(&self, base: &[Option<Value>], reader: &mut Reader) -> Option<Vec<Vec<Value>>> {
        let raw = self.spec.raw().include.as_deref().unwrap_or_default();
        let entries = self.entries(raw, "use `design: {points: file.csv}`", reader)?;
        let points: Vec<Option<_>> = entries
            .into_iter()
            .zip(raw)
            .map(|(entry, given)| self.completed(entry, base, given.place, reader))
            .collect();
        points.into_iter().collect()
    }

    #[expect(clippy::option_option, reason = "outer: whether all is well; inner: whether the file has a baseline")]
    fn baseline(&self, base: &[Option<Value>], reader: &mut Reader) -> Option<Option<Vec<Value>>> {
        let Some(raw) = &self.spec.raw().baseline else { return Some(None) };
        let given = entry(&raw.value, self.parameters(), reader)?;
        self.completed(given, base, raw.place, reader).map(Some)
    }

    /// A point with the rest of its values.
    fn completed(
        &self,
        given: Vec<(usize, Value)>,
        base: &[Option<Value>],
        place: Place,
        reader: &mut Reader,
    ) -> Option<Vec<Value>> {
        let mut values = base.to_vec();
        for (index, value) in given {
            values[index] = Some(value);
        }
        if let Some(open) = values.iter().position(Option::is_none) {
            let name = &self.parameters()[open].name;
            reader.fault(place, format!("`{name}` needs a value here: it has no default"), None);
            return None;
        }
        values.into_iter().collect()
    }

    /// Walks over the design once, so that nothing can fail later, and counts.
    fn checked(
        mut self,
        generator: Generator,
        filter: Filter,
        (included, baseline): (Vec<Vec<Value>>, Option<Vec<Value>>),
        moving: &[Moving<'a>],
        reader: &mut Reader,
    ) -> Option<Design> {
        let mut seen = Seen::for_generator(&generator);
        let mut kept = Kept::new(self.parameters().len());
        let mut counts = PlanCounts::default();
        let mut matched = vec![false; filter.exclude.len()];
        let mut without_value = 0;
        let plain = matches!(generator, Generator::Grid(_)) && filter.is_empty();
        if let (true, Generator::Grid(grid)) = (plain, &generator) {
            counts.generated = grid.axes.iter().map(Axis::count).product();
            kept.runs = counts.generated;
        } else {
            self.bearable(&filter, &generator, reader)?;
            let mut walk = generator.walk();
            while let Some(values) = walk.next() {
                counts.generated += 1;
                for (entry, matched) in filter.exclude.iter().zip(&mut matched).filter(|(_, matched)| !**matched) {
                    *matched = entry.iter().all(|(index, value)| values[*index] == *value);
                }
                match filter.judge(values) {
                    Ok(Truth::Yes) if seen.is_first(values) => kept.add(values, &generator),
                    Ok(Truth::Yes) => counts.repeated += 1,
                    Ok(Truth::No) => counts.rejected += 1,
                    Ok(Truth::NoValue) => {
                        counts.rejected += 1;
                        without_value += 1;
                    }
                    Err(fault) => {
                        reader.note(fault);
                        return None;
                    }
                }
            }
        }
        let is_point = |values: &[Value]| match &generator {
            Generator::Grid(grid) => grid.contains(values) && filter.keeps(values) == Ok(true),
            Generator::Rows { .. } => seen.holds(values),
        };
        let mut further = HashSet::new();
        let mut added = Vec::with_capacity(included.len());
        for values in included {
            counts.generated += 1;
            if is_point(&values) || !further.insert(values.iter().map(key).collect::<Vec<_>>()) {
                counts.repeated += 1;
            } else {
                kept.runs += 1;
                added.push(values);
            }
        }
        if kept.runs == 0 {
            self.nothing_left(counts, without_value, reader);
            return None;
        }
        if without_value > 0 {
            let points = plural(without_value, "point");
            let were = if without_value == 1 { "was" } else { "were" };
            self.notes
                .push(format!("{points} where the condition has no value (it divides by zero, say) {were} left out"));
        }
        self.undeclared_outputs();
        for (entry, _) in self.spec.raw().exclude.iter().flatten().zip(&matched).filter(|(_, matched)| !**matched) {
            self.notes.push(format!("the `exclude` entry in line {} matches no point", entry.place.line));
        }
        let baseline = baseline.map(|values| {
            let role = if is_point(&values) || added.contains(&values) { Role::Both } else { Role::Baseline };
            (values, role)
        });
        counts.runs = kept.runs + u64::from(matches!(baseline, Some((_, Role::Baseline))));
        if let Some((_, Role::Both)) = baseline {
            self.notes.push("the baseline is also a point of the design; it runs once".to_owned());
        }
        let name = match &generator {
            Generator::Grid(_) => "grid",
            Generator::Rows { .. } => "points",
        };
        let summary = summary(&generator, &added, (&kept, moving), self.spec, self.parameters());
        let baseline_shown =
            summary.baseline(baseline.as_ref().map(|(values, _)| values.as_slice()), self.parameters());
        Some(Design {
            name,
            filter,
            included: added,
            names: self.parameters().iter().map(|parameter| parameter.name.clone()).collect(),
            moved: summary.moved,
            fixed: summary.fixed,
            baseline_shown,
            baseline,
            counts,
            notes: self.notes,
            generator,
        })
    }

    /// A long expression over many points would keep the planner busy for minutes.
    fn bearable(&self, filter: &Filter, generator: &Generator, reader: &mut Reader) -> Option<()> {
        let points = match generator {
            Generator::Grid(grid) => grid.axes.iter().map(Axis::count).product(),
            Generator::Rows { rows, .. } => rows.count(),
        };
        let words = filter.condition.as_ref().map_or(0, Condition::words);
        if points.saturating_mul(words) <= MAX_EVALUATED {
            return Some(());
        }
        let place = self.spec.raw().r#where.as_ref().map_or(Place::START, |condition| condition.place);
        let message = format!("the expression is too long for {} points", grouped(points.into()));
        reader.fault(place, message, Some("shorten it, or list the points in a file".to_owned()));
        None
    }

    /// Outputs that nobody has declared are no fault: a model may write more than its manifest says.
    fn undeclared_outputs(&mut self) {
        let columns = &self.manifest.outputs.columns;
        for output in self.spec.outputs.iter().filter(|output| !columns.is_empty() && !columns.contains_key(*output)) {
            let hint = did_you_mean(output, columns.keys().map(String::as_str));
            let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
            let output = shown(output);
            self.notes.push(format!(
                "the manifest declares no output `{output}`; it is empty unless the model writes it{hint}"
            ));
        }
    }

    fn nothing_left(&self, counts: PlanCounts, without_value: u64, reader: &mut Reader) {
        let raw = self.spec.raw();
        let place = raw.r#where.as_ref().map(|condition| condition.place);
        let place = place.or_else(|| raw.exclude.as_ref().and_then(|exclude| exclude.first()).map(|entry| entry.place));
        let message = match counts.generated {
            1 => "the only point is rejected".to_owned(),
            generated => format!("all {} points are rejected", grouped(generated.into())),
        };
        let message = match without_value {
            0 => message,
            points => {
                format!("{message}; at {} `where` has no value because it divides by zero", grouped(points.into()))
            }
        };
        reader.fault(place.unwrap_or(Place::START), message, Some("loosen `where` or `exclude`".to_owned()));
    }
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
