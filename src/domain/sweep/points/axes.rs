//! The axes of a grid: what moves by itself and what moves together, counted before any level is made.

use std::collections::HashSet;

use super::Limits;
use super::assemble::{Assembly, Moving, grouped};
use crate::domain::sweep::design::grid::{Axis, Zip};
use crate::domain::sweep::design::levels::{Repeats, levels};
use crate::domain::sweep::design::rows::find;
use crate::domain::yaml::{Place, Reader, shown};

/// Most steps of parameters that move together: they are kept as a list.
const MAX_ZIPPED: u64 = 100_000;

impl<'a> Assembly<'a> {
    /// The axes, the slowest one first.
    pub(super) fn axes(&mut self, moving: &[Moving<'a>], reader: &mut Reader) -> Option<Vec<Axis>> {
        let groups = self.groups(moving, reader)?;
        let counted = groups.iter().try_fold(1u128, |product, group| product.checked_mul(group[0].count.into()));
        if counted.is_none_or(|count| count > self.limits.max_runs.into()) {
            let count = counted.map_or_else(|| "more than 10^38".to_owned(), grouped);
            let Limits { max_runs, whose } = self.limits;
            let message = format!("the grid has {count} points; {whose} allows {}", grouped(max_runs.into()));
            let factors: Vec<String> = groups
                .iter()
                .map(|group| {
                    format!("{} of `{}`", grouped(group[0].count.into()), self.parameters()[group[0].index].name)
                })
                .collect();
            reader.fault(groups[0][0].place, message, Some(format!("it multiplies {}", factors.join(", "))));
            return None;
        }
        let mut axes = Vec::with_capacity(groups.len());
        let mut well = true;
        for group in &groups {
            match self.axis(group, reader) {
                Some(axis) => axes.push(axis),
                None => well = false,
            }
        }
        well.then_some(axes)
    }

    fn axis(&mut self, group: &[Moving<'a>], reader: &mut Reader) -> Option<Axis> {
        let repeats = if group.len() == 1 { Repeats::Dropped } else { Repeats::Kept };
        let mut members = Vec::with_capacity(group.len());
        for moving in group {
            let parameter = &self.parameters()[moving.index];
            let made = levels(parameter, moving.declared, (moving.count, repeats), reader, &mut self.notes);
            members.push((moving.index, made));
        }
        let members: Option<Vec<_>> = members.into_iter().map(|(index, levels)| Some((index, levels?))).collect();
        let mut members = members?;
        if let [_] = members.as_slice() {
            return members.pop().map(|(index, levels)| Axis::Single(index, levels));
        }
        let zip = Axis::Zipped(Zip::new(&members));
        if zip.count() < group[0].count {
            let names: Vec<String> =
                group.iter().map(|moving| format!("`{}`", self.parameters()[moving.index].name)).collect();
            let dropped = group[0].count - zip.count();
            self.notes.push(format!("{} take {dropped} of their steps twice; each is taken once", names.join(" and ")));
        }
        Some(zip)
    }

    /// What moves together, ordered by the first parameter of each group.
    fn groups(&self, moving: &[Moving<'a>], reader: &mut Reader) -> Option<Vec<Vec<Moving<'a>>>> {
        let mut groups: Vec<Vec<Moving<'a>>> = Vec::new();
        let mut zipped = HashSet::new();
        let mut well = true;
        for group in self.spec.raw().zip.iter().flatten() {
            let mut members: Vec<Moving<'a>> = Vec::new();
            for name in &group.value {
                let member = match find(self.parameters(), &name.value) {
                    Ok(index) => moving.iter().find(|moving| moving.index == index),
                    Err((message, hint)) => {
                        reader.fault(name.place, message, hint);
                        well = false;
                        continue;
                    }
                };
                let shown = shown(&name.value);
                match member {
                    Some(member) if !zipped.insert(member.index) => {
                        reader.fault(name.place, format!("`{shown}` is zipped twice"), None);
                        well = false;
                    }
                    Some(member) => members.push(*member),
                    None => {
                        let hint = Some(format!("give `{shown}` a list under `parameters`"));
                        reader.fault(name.place, format!("`{shown}` has no levels to zip"), hint);
                        well = false;
                    }
                }
            }
            members.sort_by_key(|member| member.index);
            well &= self.zips(&members, group.place, reader);
            groups.push(members);
        }
        let single = moving.iter().filter(|moving| !zipped.contains(&moving.index));
        groups.extend(single.map(|moving| vec![*moving]));
        if !well {
            return None;
        }
        groups.sort_by_key(|group| group[0].index);
        Some(groups)
    }

    fn zips(&self, members: &[Moving<'_>], place: Place, reader: &mut Reader) -> bool {
        let [first, rest @ ..] = members else { return reader.is_well() && fault(reader, place, "the group is empty") };
        if rest.is_empty() {
            return reader.is_well() && fault(reader, place, "one parameter alone cannot be zipped");
        }
        if rest.iter().any(|member| member.count != first.count) {
            let counts: Vec<String> = members
                .iter()
                .map(|member| format!("`{}` has {}", self.parameters()[member.index].name, member.count))
                .collect();
            let hint = Some("parameters that move together need as many levels each".to_owned());
            reader.fault(place, format!("the numbers of levels differ: {}", counts.join(", ")), hint);
            return false;
        }
        if first.count > MAX_ZIPPED {
            let hint = Some("use `design: {points: file.csv}`".to_owned());
            reader.fault(place, format!("more than {} steps are zipped", grouped(MAX_ZIPPED.into())), hint);
            return false;
        }
        true
    }
}

fn fault(reader: &mut Reader, place: Place, message: &str) -> bool {
    reader.fault(place, message, Some("write `zip: [[A, B]]`".to_owned()));
    false
}
