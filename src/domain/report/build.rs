//! The models that a pull request builds.

use super::escape::{COMMENT_LIMIT, block, clip, fit, tail, text};
use super::faults::fault_list;
use super::numbers::{duration, plural};
use super::{Align, table, value};
use crate::domain::event::BuildFailure;
use crate::domain::forge::HeadOrigin;
use crate::domain::ids::{ChannelName, CommitSha, ModelName, VersionId};
use crate::domain::manifest::BuildBy;
use crate::domain::version::BuiltVersion;

/// How much of a failed build's log the comment shows.
const LOG_LINES: usize = 30;
const LOG_BYTES: usize = 4_000;

/// What stands beside a commit that somebody else builds. A fork's, which somebody approved, is taken from nobody until
/// it is the repository's own.
#[must_use]
pub fn waits_for(by: BuildBy, code: HeadOrigin) -> &'static str {
    match (by, code) {
        (BuildBy::Server, _) => "waits for the server to build it",
        (BuildBy::Actions, HeadOrigin::SameRepository) => "waits for the workflow to register it",
        (BuildBy::Registry, HeadOrigin::SameRepository) => "waits for its image in the registry",
        (BuildBy::Actions, HeadOrigin::Fork) => {
            "waits for the workflow to register it, which it can do once this commit is in a branch of this repository"
        }
        (BuildBy::Registry, HeadOrigin::Fork) => {
            "waits for its image in the registry, which counts once this commit is in a branch of this repository"
        }
    }
}

/// Why a commit that is a version already takes no other image.
#[must_use]
pub fn other_version(commit: &CommitSha, version: &VersionId) -> String {
    format!(
        "commit {} is version {} already, made of another image; a version never changes, so push a new commit",
        commit.short(),
        value(version.as_str())
    )
}

/// One model that a pull request builds.
#[derive(Debug, Clone, Copy)]
pub struct BuildLine<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The commit that is built.
    pub commit: &'a CommitSha,
    /// How far it is.
    pub progress: BuildProgress<'a>,
}

/// How far a build is.
#[derive(Debug, Clone, Copy)]
pub enum BuildProgress<'a> {
    /// Waiting or building.
    Building,
    /// Somebody else builds it.
    Left(BuildBy, HeadOrigin),
    /// It is a version now.
    Passed {
        /// The version.
        version: &'a BuiltVersion,
        /// The channel that points to it.
        channel: &'a ChannelName,
    },
    /// It is none.
    Failed(&'a BuildFailure),
    /// It comes from a fork: nothing of it is built.
    Untrusted,
}

/// The comment on all models that a pull request builds.
#[must_use]
pub fn build_comment(lines: &[BuildLine<'_>]) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| vec![value(&line.model.to_string()), value(line.commit.short()), outcome(&line.progress)])
        .collect();
    let header = [("Model", Align::Left), ("Commit", Align::Left), ("Build", Align::Left)];
    let mut body = format!("### Models that this pull request changes\n\n{}\n", table(&header, &rows));
    for line in lines {
        if let BuildProgress::Failed(failure) = &line.progress {
            body.push_str(&failure_text(line.model, failure));
        }
    }
    fit(&body, COMMENT_LIMIT)
}

fn outcome(progress: &BuildProgress<'_>) -> String {
    match progress {
        BuildProgress::Building => "⏳ building".to_owned(),
        BuildProgress::Left(by, code) => format!("⏳ {}", waits_for(*by, *code)),
        BuildProgress::Passed { version, channel } => {
            let tests: u64 = version.tests.iter().map(|test| test.duration_ms).sum();
            let number = u64::try_from(version.tests.len()).unwrap_or(u64::MAX);
            let tests = match number {
                0 => "no tests".to_owned(),
                number => format!("{} passed in {}", plural(number, "test"), duration(tests)),
            };
            format!(
                "✅ version {}, built in {}, {tests}; channel {}",
                value(version.id.as_str()),
                duration(version.build_ms),
                value(channel.as_str())
            )
        }
        BuildProgress::Failed(failure) => format!("❌ failed in {}", value(&failure.stage)),
        BuildProgress::Untrusted => "🔒 not built: the change comes from a fork".to_owned(),
    }
}

pub(super) fn failure_text(model: &ModelName, failure: &BuildFailure) -> String {
    let mut body = format!(
        "**{} failed in {}:** {}\n\n",
        value(&model.to_string()),
        value(&failure.stage),
        text(&clip(&failure.message, 1_000))
    );
    body.push_str(&fault_list(&failure.faults));
    let log = tail(&failure.log_tail, LOG_LINES, LOG_BYTES);
    if !log.trim().is_empty() {
        body.push_str(&format!(
            "<details><summary>Last lines of the log</summary>\n\n{}\n</details>\n\n",
            block("text", &log)
        ));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::tests::{commit, model};
    use super::*;
    use crate::domain::diagnostic::Diagnostic;
    use crate::domain::ids::{PullNumber, VersionId};
    use crate::domain::version::PassedTest;

    fn version() -> BuiltVersion {
        BuiltVersion {
            id: VersionId::parse("9c31fe20a4b7d815").unwrap(),
            tests: vec![
                PassedTest { name: "base case".to_owned(), duration_ms: 900 },
                PassedTest { name: "unit tests".to_owned(), duration_ms: 350 },
            ],
            build_ms: 4_200,
        }
    }

    #[test]
    fn each_model_has_its_line() {
        let (name, at, version) = (model(), commit('a'), version());
        let channel = ChannelName::pull_request(PullNumber(3));
        let line = |progress| BuildLine { model: &name, commit: &at, progress };
        let lines = [
            line(BuildProgress::Building),
            line(BuildProgress::Left(BuildBy::Actions, HeadOrigin::SameRepository)),
            line(BuildProgress::Left(BuildBy::Actions, HeadOrigin::Fork)),
            line(BuildProgress::Passed { version: &version, channel: &channel }),
            line(BuildProgress::Untrusted),
        ];
        insta::assert_snapshot!(build_comment(&lines), @r"
        ### Models that this pull request changes

        | Model | Commit | Build |
        |:--|:--|:--|
        | `urban/simple-tax` | `aaaaaaaaaa` | ⏳ building |
        | `urban/simple-tax` | `aaaaaaaaaa` | ⏳ waits for the workflow to register it |
        | `urban/simple-tax` | `aaaaaaaaaa` | ⏳ waits for the workflow to register it, which it can do once this commit is in a branch of this repository |
        | `urban/simple-tax` | `aaaaaaaaaa` | ✅ version `9c31fe20a4b7d815`, built in 4.2 s, 2 tests passed in 1.3 s; channel `pr-3` |
        | `urban/simple-tax` | `aaaaaaaaaa` | 🔒 not built: the change comes from a fork |
        ");
    }

    #[test]
    fn a_failed_build_shows_stage_faults_and_log() {
        let (name, at) = (model(), commit('a'));
        let failure = BuildFailure {
            stage: "base case".to_owned(),
            message: "output `revenue` is 12, expected 394000000000".to_owned(),
            faults: vec![Diagnostic {
                file: "config/urban/simple-tax.yaml".to_owned(),
                line: 7,
                column: 11,
                length: 5,
                excerpt: "  process: maker".to_owned(),
                message: "must be a list of commands".to_owned(),
                hint: Some("write `[[make]]`".to_owned()),
            }],
            log_tail: "gfortran -O2 -o simple-tax main.f90\n```\n</details>\n".to_owned(),
            log: None,
        };
        let lines = [BuildLine { model: &name, commit: &at, progress: BuildProgress::Failed(&failure) }];
        insta::assert_snapshot!(build_comment(&lines), @r"
        ### Models that this pull request changes

        | Model | Commit | Build |
        |:--|:--|:--|
        | `urban/simple-tax` | `aaaaaaaaaa` | ❌ failed in `base case` |

        **`urban/simple-tax` failed in `base case`:** output `revenue` is 12, expected 394000000000

        `config/urban/simple-tax.yaml:7:11`: must be a list of commands

        ```text
        7 |   process: maker
          |           ^^^^^
        ```

        **Hint:** write `[[make]]`

        <details><summary>Last lines of the log</summary>

        ````text
        gfortran -O2 -o simple-tax main.f90
        ```
        </details>
        ````

        </details>
        ");
    }
}
