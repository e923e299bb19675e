//! Why a sweep ends before all of its runs are done: one sentence part each.

use super::numbers::{count, duration, number, plural, usd};
use crate::domain::sweep::plan::MaxFailures;

/// The `runs` that went ahead failed.
#[must_use]
pub fn canary_failed(runs: u64, left: u64) -> String {
    let ahead = match runs {
        1 => "the run that went ahead of the others failed".to_owned(),
        runs => format!("all {} runs that went ahead of the others failed", count(runs)),
    };
    match left {
        0 => ahead,
        1 => format!("{ahead}, so the 1 other was not started"),
        left => format!("{ahead}, so the {} others were not started", count(left)),
    }
}

/// More runs failed than the file allows.
#[must_use]
pub fn too_many_failures(failed: u64, allowed: MaxFailures) -> String {
    let allowed = match allowed {
        MaxFailures::Count(most) => count(most),
        MaxFailures::Share(most) => format!("{} %", number(most * 100.0)),
    };
    format!("{} failed, more than the {allowed} that `max_failures` allows", plural(failed, "run"))
}

/// The budget is used up.
#[must_use]
pub fn budget_spent(cost: f64, budget: f64) -> String {
    format!("the budget of {} is used up: finished runs cost {}", usd(budget), usd(cost))
}

/// The runs that went ahead show that the others would cost more than the budget.
#[must_use]
pub fn too_dear(mean_ms: u64, left: u64, cost: f64, budget: f64) -> String {
    format!(
        "a run takes {}, so with {} more the sweep would cost about {}, above its budget of {}",
        duration(mean_ms),
        count(left),
        usd(cost),
        usd(budget)
    )
}

/// Something keeps interrupting the runs.
#[must_use]
pub fn interrupted(rounds: u32) -> String {
    format!("{} in a row brought no result because something interrupted every run", plural(u64::from(rounds), "round"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_a_sentence_part_with_its_numbers() {
        let reasons = [
            canary_failed(1, 999),
            canary_failed(3, 1),
            too_many_failures(6, MaxFailures::Share(0.05)),
            too_many_failures(4, MaxFailures::Count(3)),
            budget_spent(2.034, 2.0),
            too_dear(40_000, 99, 3.251, 2.0),
            interrupted(3),
        ];
        insta::assert_snapshot!(reasons.join("\n"), @r"
        the run that went ahead of the others failed, so the 999 others were not started
        all 3 runs that went ahead of the others failed, so the 1 other was not started
        6 runs failed, more than the 5 % that `max_failures` allows
        4 runs failed, more than the 3 that `max_failures` allows
        the budget of 2 USD is used up: finished runs cost 2.03 USD
        a run takes 40 s, so with 99 more the sweep would cost about 3.25 USD, above its budget of 2 USD
        3 rounds in a row brought no result because something interrupted every run
        ");
    }
}
