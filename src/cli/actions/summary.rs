//! What the page of a job says, in Markdown. Whatever users and models wrote is escaped.

use crate::domain::event::BuildFailure;
use crate::domain::ids::ModelName;
use crate::domain::report::escape::{block, code, tail, text};
use crate::domain::report::numbers;
use crate::domain::version::Version;

/// How much of a log a page shows, in lines and characters.
const LOG: (usize, usize) = (40, 4000);

/// A test as the page shows it.
pub(in crate::cli) struct Test<'a> {
    pub(in crate::cli) model: &'a str,
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) duration_ms: Option<u64>,
    /// Why it failed.
    pub(in crate::cli) failure: Option<&'a str>,
}

/// Models that were built.
pub(in crate::cli) fn builds<'a>(
    results: impl Iterator<Item = (&'a ModelName, Result<&'a Version, &'a BuildFailure>)>,
) -> String {
    let mut table = "### Models\n\n| Model | Version | Tests | Executable |\n|:--|:--|--:|:--|\n".to_owned();
    let mut failures = String::new();
    for (model, result) in results {
        match result {
            Ok(version) => {
                let (id, tests, executable) = (&version.id, version.tests.len(), &version.executable);
                table.push_str(&format!("| `{model}` | `{id}` | {tests} passed | `{executable}` |\n"));
            }
            Err(failure) => {
                table.push_str(&format!("| `{model}` | failed in {} | | |\n", code(&failure.stage)));
                failures.push_str(&format!("\n**`{model}`:** {}\n\n", text(&failure.message)));
                if !failure.log_tail.is_empty() {
                    failures.push_str(&block("text", &tail(&failure.log_tail, LOG.0, LOG.1)));
                }
            }
        }
    }
    table.push_str(&failures);
    table
}

/// Tests that were run.
pub(in crate::cli) fn tests<'a>(tests: impl Iterator<Item = Test<'a>>) -> String {
    let mut table = "### Tests\n\n| Model | Test | Result | Time |\n|:--|:--|:--|--:|\n".to_owned();
    for Test { model, name, duration_ms, failure } in tests {
        let result = failure.map_or_else(|| "passed".to_owned(), |failure| format!("failed: {}", text(failure)));
        let time = duration_ms.map_or_else(String::new, numbers::duration);
        table.push_str(&format!("| {} | {} | {result} | {time} |\n", code(model), code(name)));
    }
    table
}

/// Models and sweep files that differ.
pub(in crate::cli) fn changed(models: &[String], sweeps: &[String]) -> String {
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
    };
    format!("**Changed models:** {}\n\n**Changed sweep files:** {}", list(models), list(sweeps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_wrote_is_no_markup() {
        let model = ModelName::parse("urban/simple-tax").unwrap();
        let mut failure = BuildFailure::without_log("unit|tests", "expected <b> of @org/team | 5");
        failure.log_tail = "```\n</details><img src=x>\n".to_owned();
        let page = builds(std::iter::once((&model, Err(&failure))));
        assert!(page.contains("````text\n```\n</details>"), "{page}");
        let line = page.lines().find(|line| line.contains("expected")).unwrap();
        assert!(!line.contains("<b>") && !line.contains("@org"), "{line}");
        assert!(!page.lines().any(|line| line.starts_with('|') && line.contains("unit|tests")), "{page}");

        let page = tests(std::iter::once(Test { model: "a/b", name: "x|y", duration_ms: Some(3), failure: None }));
        assert_eq!(page.lines().last().unwrap().matches('|').count(), 5, "{page}");
    }
}
