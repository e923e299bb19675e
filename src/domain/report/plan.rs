//! What a sweep would do, before anybody says that it may.

use super::escape::{COMMENT_LIMIT, fit, text};
use super::numbers::{count, duration, number, plural, usd};
use super::{Align, assignments, command_block, table, value};
use crate::domain::command::Command;
use crate::domain::ids::{CommitSha, ModelName, SweepName};
use crate::domain::sweep::plan::{MaxFailures, PlanSummary, RunLimits, Verdict};

/// How many values that differ from their defaults are shown.
const MOST_FIXED: usize = 20;

/// What it takes to start a planned sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayStart<'a> {
    /// Somebody who may write has to say so.
    OnCommand,
    /// It comes from a fork: first somebody who may write has to approve this commit.
    OnceApproved {
        /// The head.
        head: &'a CommitSha,
    },
    /// Nothing: it was started.
    Started,
}

/// The comment that shows a plan and how to start it.
#[must_use]
pub fn plan_comment(plan: &PlanSummary, may_start: &MayStart<'_>) -> String {
    let mut body = format!("### Sweep {}\n\n{}\n\n", value(plan.name.as_str()), headline(plan));
    if !plan.moved.is_empty() {
        let rows: Vec<Vec<String>> = plan
            .moved
            .iter()
            .map(|moved| vec![value(&moved.name), count(moved.levels), value(&moved.declared), text(&moved.unit)])
            .collect();
        let header =
            [("Parameter", Align::Left), ("Values", Align::Right), ("Declared", Align::Left), ("Unit", Align::Left)];
        body.push_str(&table(&header, &rows));
        body.push('\n');
    }
    if !plan.baseline.is_empty() {
        body.push_str(&format!("**Baseline:** {}\n\n", assignments(&plan.baseline)));
    }
    if !plan.fixed.is_empty() {
        let shown = &plan.fixed[..plan.fixed.len().min(MOST_FIXED)];
        let more = match plan.fixed.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        body.push_str(&format!("**Held at:** {}{more}\n\n", assignments(shown)));
    }
    for note in &plan.notes {
        body.push_str(&format!("- {}\n", text(note)));
    }
    if !plan.notes.is_empty() {
        body.push('\n');
    }
    body.push_str(&next_step(plan, may_start));
    body.push_str(&details(plan));
    fit(&body, COMMENT_LIMIT)
}

/// The comment while the sweep's model is being built.
#[must_use]
pub fn waiting_comment(name: &SweepName, model: &ModelName, commit: &CommitSha) -> String {
    format!(
        "### Sweep {}\n\n⏳ Waits for {} to be built at {}. The plan follows here.\n",
        value(name.as_str()),
        value(&model.to_string()),
        value(commit.short())
    )
}

/// What is worth knowing of the budget: a policy that tightens what the file `asked` for, or a price that nobody has set.
#[must_use]
pub fn budget_note(asked: &RunLimits, plan: &PlanSummary, executor: &str) -> Option<String> {
    let budget = plan.limits.budget_usd?;
    if !plan.price.is_known() {
        return Some(format!("the budget limits nothing: the settings name no price of the `{executor}` executor"));
    }
    (asked.budget_usd != Some(budget)).then(|| format!("the policy limits the cost to {}", usd(budget)))
}

fn headline(plan: &PlanSummary) -> String {
    let counts = plan.counts;
    let what =
        format!("**{}** of {}", plural(counts.runs, "run"), value(&format!("{}@{}", plan.model, plan.reference)));
    if counts.runs > 0 && counts.new_runs() == 0 {
        return format!("{what}, and every result is known already.");
    }
    let share = match counts.reused {
        0 => "all new".to_owned(),
        reused => format!("{} new, {} known already", count(counts.new_runs()), count(reused)),
    };
    match (plan.estimate_ms, plan.estimate_usd) {
        (Some(time), Some(cost)) => format!("{what}: {share}. About **{}** and **{}**.", duration(time), usd(cost)),
        (Some(time), None) => format!("{what}: {share}. About **{}**.", duration(time)),
        (None, _) => format!("{what}: {share}. No earlier run tells how long it takes."),
    }
}

fn next_step(plan: &PlanSummary, may_start: &MayStart<'_>) -> String {
    match (&plan.verdict, may_start) {
        (_, MayStart::Started) => String::new(),
        (Verdict::NeedsCommand, MayStart::OnceApproved { head }) => format!(
            "**To start it**, somebody who may push to this repository looks at the change, since it comes from a fork, and \
             comments:\n\n{}\n",
            command_block(&Command::Approve { commit: (*head).clone() })
        ),
        (Verdict::NeedsCommand, MayStart::OnCommand) => {
            let run = Command::Run { sweep: Some(plan.name.clone()) };
            format!("**To start it**, somebody who may push to this repository comments:\n\n{}\n", command_block(&run))
        }
        (Verdict::Refused { reasons }, _) => {
            let mut lines = "❌ **It may not run as it is:**\n\n".to_owned();
            for reason in reasons {
                lines.push_str(&format!("- {}\n", text(reason)));
            }
            lines.push('\n');
            lines
        }
    }
}

fn details(plan: &PlanSummary) -> String {
    let mut rows = vec![
        ("Model", value(&plan.model.to_string())),
        ("Version", format!("{} from commit {}", value(plan.version.as_str()), value(plan.model_commit.short()))),
        ("Executable", value(plan.executable.short())),
        ("Sweep file", value(&plan.file)),
        ("Design", format!("{}, {}", text(&plan.design), points(plan))),
    ];
    // Where nothing moves, the one point is what is held.
    if !plan.sample.is_empty() && !plan.moved.is_empty() {
        rows.push(("First points", sample(plan)));
    }
    if !plan.outputs.is_empty() {
        let outputs: Vec<String> = plan.outputs.iter().map(|output| value(output)).collect();
        rows.push(("Outputs", outputs.join(", ")));
    }
    let limits = limits(plan);
    if !limits.is_empty() {
        rows.push(("Limits", limits));
    }
    rows.push(("Plan", value(plan.digest.short())));
    if let Some(head) = &plan.head {
        rows.push(("For commit", value(head.short())));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, what)| vec![name.to_owned(), what]).collect();
    format!(
        "<details><summary>What exactly runs</summary>\n\n{}\n</details>\n",
        table(&[(" ", Align::Left), (" ", Align::Left)], &rows)
    )
}

fn points(plan: &PlanSummary) -> String {
    let counts = plan.counts;
    let mut parts = vec![plural(counts.generated, "point")];
    if counts.rejected > 0 {
        parts.push(format!("{} rejected by `where` or `exclude`", count(counts.rejected)));
    }
    if counts.repeated > 0 {
        parts.push(format!("{} repeated", count(counts.repeated)));
    }
    parts.join(", ")
}

/// The first points: `(1600, 0.1), (1700, 0.1)`, names first when there are several.
fn sample(plan: &PlanSummary) -> String {
    let points: Vec<String> = plan.sample.iter().map(|point| value(&point.join(", "))).collect();
    let names: Vec<&str> = plan.moved.iter().map(|moved| moved.name.as_str()).collect();
    format!("{} = {}", value(&names.join(", ")), points.join("; "))
}

fn limits(plan: &PlanSummary) -> String {
    let limits = &plan.limits;
    let mut parts = Vec::new();
    match plan.canary() {
        0 => {}
        1 => parts.push("1 run goes ahead of the others".to_owned()),
        runs => parts.push(format!("{} go ahead of the others", plural(u64::from(runs), "run"))),
    }
    if let Some(most) = limits.max_parallel {
        parts.push(format!("at most {} at once", plural(u64::from(most), "run")));
    }
    match limits.max_failures {
        Some(MaxFailures::Count(most)) => parts.push(format!("stops after {}", plural(most, "failure"))),
        Some(MaxFailures::Share(most)) => parts.push(format!("stops when more than {} % fail", number(most * 100.0))),
        None => {}
    }
    if let Some(budget) = limits.budget_usd.filter(|_| plan.price.is_known()) {
        parts.push(format!("at most about {}", usd(budget)));
    }
    if let Some(pack) = limits.pack_ms {
        parts.push(format!("jobs of about {}", duration(pack)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{commit, model, pairs, plan, sweep_name, with_breaks};
    use super::*;
    use crate::domain::sweep::plan::{MovedParameter, Scale};

    #[test]
    fn a_plan_says_what_runs_and_how_to_start_it() {
        insta::assert_snapshot!(plan_comment(&plan(), &MayStart::OnCommand), @r"
        ### Sweep `standard-deduction`

        **21 runs** of `urban/simple-tax@production`: 19 new, 2 known already. About **12 s**.

        | Parameter | Values | Declared | Unit |
        |:--|--:|:--|:--|
        | `STANDARD` | 20 | `range 1600 .. 3500 step 100` | USD |

        **Baseline:** `STANDARD` = `1500`

        **Held at:** `RATE` = `0.12`

        **To start it**, somebody who may push to this repository comments:

        ```
        /modelship run standard-deduction
        ```

        <details><summary>What exactly runs</summary>

        |   |   |
        |:--|:--|
        | Model | `urban/simple-tax` |
        | Version | `9c31fe20a4b7d815` from commit `4444444444` |
        | Executable | `a29c2123a01d` |
        | Sweep file | `sweeps/standard-deduction.yaml` |
        | Design | grid, 20 points |
        | First points | `STANDARD` = `1600`; `1700`; `1800` |
        | Outputs | `revenue` |
        | Limits | at most 20 runs at once, stops when more than 5 % fail |
        | Plan | `64879f7d6b96` |
        | For commit | `aaaaaaaaaa` |

        </details>
        ");
    }

    #[test]
    fn a_refused_plan_says_why_and_offers_no_command() {
        let mut plan = plan();
        plan.verdict = Verdict::Refused {
            reasons: vec![
                "`21` runs are more than the `10` that policy allows".to_owned(),
                "comes from a fork".to_owned(),
            ],
        };
        plan.estimate_ms = None;
        plan.counts.reused = 0;
        plan.notes = vec!["`where` rejects 3 of 20 points".to_owned()];
        plan.baseline.clear();
        plan.fixed = vec![("A".to_owned(), "1".to_owned()); 22];
        insta::assert_snapshot!(plan_comment(&plan, &MayStart::OnCommand), @r"
        ### Sweep `standard-deduction`

        **21 runs** of `urban/simple-tax@production`: all new. No earlier run tells how long it takes.

        | Parameter | Values | Declared | Unit |
        |:--|--:|:--|:--|
        | `STANDARD` | 20 | `range 1600 .. 3500 step 100` | USD |

        **Held at:** `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1`, `A` = `1` and 2 more

        - `where` rejects 3 of 20 points

        ❌ **It may not run as it is:**

        - `21` runs are more than the `10` that policy allows
        - comes from a fork

        <details><summary>What exactly runs</summary>

        |   |   |
        |:--|:--|
        | Model | `urban/simple-tax` |
        | Version | `9c31fe20a4b7d815` from commit `4444444444` |
        | Executable | `a29c2123a01d` |
        | Sweep file | `sweeps/standard-deduction.yaml` |
        | Design | grid, 20 points |
        | First points | `STANDARD` = `1600`; `1700`; `1800` |
        | Outputs | `revenue` |
        | Limits | 1 run goes ahead of the others, at most 20 runs at once, stops when more than 5 % fail |
        | Plan | `64879f7d6b96` |
        | For commit | `aaaaaaaaaa` |

        </details>
        ");
    }

    #[test]
    fn a_plan_of_known_runs_says_so() {
        let mut plan = plan();
        plan.counts.reused = 21;
        assert!(
            plan_comment(&plan, &MayStart::OnCommand)
                .contains("**21 runs** of `urban/simple-tax@production`, and every result is known")
        );
    }

    #[test]
    fn a_hostile_plan_stays_a_plan() {
        let mut plan = plan();
        plan.moved = vec![MovedParameter {
            name: "A|B".to_owned(),
            levels: 2,
            declared: "choice `x` <!-- marker --> @org/team\n| new | row |".to_owned(),
            unit: "</details> | fixes #1".to_owned(),
            scale: Scale::Linear,
        }];
        plan.fixed = pairs(&[("TEXT", "```\n# title")]);
        plan.sample = vec![vec!["x|y".to_owned()], vec!["z".repeat(500)]];
        insta::assert_snapshot!(with_breaks(&plan_comment(&plan, &MayStart::OnCommand)), @r"
        ### Sweep `standard-deduction`

        **21 runs** of `urban/simple-tax@production`: 19 new, 2 known already. About **12 s**.

        | Parameter | Values | Declared | Unit |
        |:--|--:|:--|:--|
        | <code>A&#124;B</code> | 2 | <code>choice &#96;x&#96; &#60;&#33;&#45;&#45; marker &#45;&#45;&#62; &#64;org&#47;team &#124; new &#124; row &#124;</code> | &lt;/details&gt; \| fixes #{break}1 |

        **Baseline:** `STANDARD` = `1500`

        **Held at:** `TEXT` = ```` ``` # title ````

        **To start it**, somebody who may push to this repository comments:

        ```
        /modelship run standard-deduction
        ```

        <details><summary>What exactly runs</summary>

        |   |   |
        |:--|:--|
        | Model | `urban/simple-tax` |
        | Version | `9c31fe20a4b7d815` from commit `4444444444` |
        | Executable | `a29c2123a01d` |
        | Sweep file | `sweeps/standard-deduction.yaml` |
        | Design | grid, 20 points |
        | First points | <code>A&#124;B</code> = <code>x&#124;y</code>; `zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz…` |
        | Outputs | `revenue` |
        | Limits | at most 20 runs at once, stops when more than 5 % fail |
        | Plan | `64879f7d6b96` |
        | For commit | `aaaaaaaaaa` |

        </details>
        ");
    }

    #[test]
    fn waiting_names_the_model_and_the_commit() {
        insta::assert_snapshot!(waiting_comment(&sweep_name("standard-deduction"), &model(), &commit('a')), @r"
        ### Sweep `standard-deduction`

        ⏳ Waits for `urban/simple-tax` to be built at `aaaaaaaaaa`. The plan follows here.
        ");
    }
}
