//! What holds of every sweep: a number is one number, order changes nothing, every point is accounted for.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::super::tests::{consistent, design, designed, manifest};
use super::super::*;
use crate::domain::ids::Digest;
use crate::domain::sweep::plan::RunLimits;
use crate::domain::yaml::NoFiles;

/// Run ids in order, and the plan's digest over them.
fn planned(design: &Design) -> (Vec<String>, Digest) {
    let identity = RunIdentity::new(&Digest::of("executable"), &manifest(), &BTreeMap::new());
    let mut hasher = PlanHasher::new(&Digest::of("manifest"), &[], &RunLimits::default());
    let mut runs = Vec::new();
    for point in design.points() {
        let run = identity.run_id(&point.values, None);
        hasher.add(run.as_str(), point.role);
        runs.push(run.to_string());
    }
    (runs, hasher.finish())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_number_is_one_number_however_it_is_written(start in 0i64..2000, step in 1i64..40, count in 2i64..12, scale in 0u32..5) {
        let levels: Vec<i64> = (0..count).map(|index| start + step * index).collect();
        let (shift, stop) = (10i64.pow(scale), levels[levels.len() - 1]);
        let plain = |level: i64| format!("{}.{:0width$}", level / shift, level % shift, width = scale as usize);
        let exponent = |level: i64| format!("{level}e-{scale}");
        let list = |write: &dyn Fn(i64) -> String| {
            let levels: Vec<String> = levels.iter().map(|level| write(*level)).collect();
            format!("[{}]", levels.join(", "))
        };
        let spellings = [
            format!("{{range: {{start: {}, stop: {}, step: {}}}}}", plain(start), exponent(stop), plain(step)),
            format!("{{range: {{start: {}, stop: {}, num: {count}}}}}", exponent(start), plain(stop)),
            list(&plain),
            list(&exponent),
            list(&|level| format!("+{}E-{}", level * 10, scale + 1)),
        ];
        let plans: Vec<_> = spellings.iter().map(|levels| planned(&design(&format!("parameters: {{STANDARD: {levels}}}\n")))).collect();
        for (spelling, plan) in spellings.iter().zip(&plans) {
            prop_assert_eq!(plan, &plans[0], "{} {}", spelling, spellings[0]);
        }
        prop_assert_eq!(plans[0].0.iter().collect::<HashSet<_>>().len(), usize::try_from(count).unwrap());
    }

    #[test]
    fn the_order_of_keys_changes_no_run_and_no_plan(order in Just((0usize..7).collect::<Vec<_>>()).prop_shuffle(), inner in Just((0usize..3).collect::<Vec<_>>()).prop_shuffle()) {
        let parameters = ["RATE: [0.1, 0.2]", "EXEMPT: {choice: [1, 2]}", "STANDARD: {range: {start: 1, stop: 3, step: 1}}"];
        let parameters = |order: &[usize]| order.iter().map(|index| parameters[*index]).collect::<Vec<_>>().join(", ");
        let text = |order: &[usize], inner: &[usize]| {
            let keys = [
                format!("parameters: {{{}}}", parameters(inner)),
                "sweep: s".to_owned(),
                "model: urban/tax".to_owned(),
                "zip: [[RATE, EXEMPT]]".to_owned(),
                "where: STANDARD < 3 || RATE > 0.1".to_owned(),
                "baseline: {RATE: 0.2, STANDARD: 7}".to_owned(),
                "include: [{STANDARD: 9, RATE: 1}]".to_owned(),
            ];
            order.iter().map(|index| keys[*index].clone()).collect::<Vec<_>>().join("\n")
        };
        let plan = |text: &str| {
            let spec = SweepSpec::parse("sweeps/s.yaml", text).unwrap();
            planned(&Design::new(&spec, &manifest(), &NoFiles, Limits::default()).unwrap())
        };
        prop_assert_eq!(plan(&text(&order, &inner)), plan(&text(&[0, 1, 2, 3, 4, 5, 6], &[0, 1, 2])));
    }

    #[test]
    fn every_generated_point_is_kept_or_rejected_or_repeated(
        rates in prop::collection::vec(0i32..6, 1..6),
        exempts in prop::collection::vec(-3i32..6, 1..6),
        bound in -3i32..40,
        excluded in prop::collection::vec((0i32..6, -3i32..6), 0..4),
        included in prop::collection::vec((0i32..6, -3i32..6), 0..5),
        baseline in prop::option::of((0i32..6, -3i32..6)),
        listed in any::<bool>(),
    ) {
        let rate = |rate: i32| format!("0.{rate}");
        let entry = |(a, b): &(i32, i32)| format!("{{RATE: {}, EXEMPT: {b}}}", rate(*a));
        let entries = |entries: &[(i32, i32)]| entries.iter().map(entry).collect::<Vec<_>>().join(", ");
        let mut body = if listed {
            let pairs: Vec<(i32, i32)> = rates.iter().copied().zip(exempts.iter().copied().cycle()).collect();
            format!("design: {{points: [{}]}}\n", entries(&pairs))
        } else {
            let rates: Vec<String> = rates.iter().map(|level| rate(*level)).collect();
            format!("parameters: {{RATE: [{}], EXEMPT: {exempts:?}}}\n", rates.join(", "))
        };
        body.push_str(&format!("where: RATE * 100 + EXEMPT < {bound}\n"));
        if !excluded.is_empty() {
            body.push_str(&format!("exclude: [{}]\n", entries(&excluded)));
        }
        if !included.is_empty() {
            body.push_str(&format!("include: [{}]\n", entries(&included)));
        }
        if let Some(baseline) = &baseline {
            body.push_str(&format!("baseline: {}\n", entry(baseline)));
        }
        match designed(&body, &NoFiles, Limits::default()) {
            Ok(design) => {
                consistent(&design);
                prop_assert_eq!(design.points().collect::<Vec<_>>(), design.points().collect::<Vec<_>>());
                let first = design.points().next().unwrap();
                prop_assert_eq!(first.role.is_baseline(), baseline.is_some());
            }
            Err(faults) => prop_assert!(faults.to_string().contains("rejected"), "{}", faults),
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[ -~\n]{0,200}") {
        let _ = SweepSpec::parse("sweeps/s.yaml", &text);
        let _ = Manifest::parse("modelship.yaml", &text, &NoFiles);
        let body = format!("parameters: {{RATE: {}}}\nwhere: {}\n", text.replace('\n', " "), serde_json::Value::from(text.as_str()));
        let _ = designed(&body, &NoFiles, Limits { max_runs: 100, ..Limits::default() });
    }
}

#[test]
fn a_large_design_is_walked_in_little_time_and_memory() {
    let design = design(
        "parameters:\n  STANDARD: {range: {start: 1, stop: 100, step: 0.01}}\n  EXEMPT: {range: {start: 1, stop: 10, step: 1}}\n",
    );
    let (runs, _) = planned(&design);
    assert_eq!(runs.len(), 99_010);
    assert_eq!(runs.iter().collect::<HashSet<_>>().len(), 99_010);
}
