//! Answers to commands.

use super::escape::{COMMENT_LIMIT, clip, code, fit, text};
use super::numbers::duration;
use super::{Align, command_block, table, value};
use crate::domain::command::{Command, PREFIX, PromoteTo};
use crate::domain::ids::{ChannelName, CommitSha, ModelName, SweepName};

/// Every command with what it does.
#[must_use]
pub fn help() -> String {
    let mut rows = Vec::new();
    let mut next = Some(Command::Run { sweep: None });
    while let Some(command) = next {
        let line = HelpLine::of(&command);
        rows.push(vec![code(&format!("{PREFIX} {}", line.usage)), line.meaning.to_owned()]);
        next = line.next;
    }
    format!(
        "### Commands\n\n{}\nEach stands at the beginning of a line of a new comment. Without a name it means every \
         sweep of this pull request.\n",
        table(&[("Command", Align::Left), ("What it does", Align::Left)], &rows)
    )
}

/// What the help says of one command.
struct HelpLine {
    usage: &'static str,
    meaning: &'static str,
    next: Option<Command>,
}

impl HelpLine {
    /// The line of `command` and the command whose line comes after it. A new command has no help until it stands here.
    fn of(command: &Command) -> Self {
        let (usage, meaning, next) = match command {
            Command::Run { .. } => ("run [sweep]", "starts what is planned", Some(Command::Plan { sweep: None })),
            Command::Plan { .. } => ("plan [sweep]", "plans again", Some(Command::Cancel { sweep: None })),
            Command::Cancel { .. } => {
                ("cancel [sweep]", "stops what runs; results so far are kept", Some(Command::Retry { sweep: None }))
            }
            Command::Retry { .. } => {
                ("retry [sweep]", "runs again what failed or is missing", Some(Command::Compare { sweep: None }))
            }
            Command::Compare { .. } => (
                "compare [sweep]",
                "says what the changed models do to results",
                Some(Command::Logs { run: String::new() }),
            ),
            Command::Logs { .. } => (
                "logs RUN",
                "shows the end of what a run printed",
                CommitSha::parse("0".repeat(40)).ok().map(|commit| Command::Approve { commit }),
            ),
            Command::Approve { .. } => (
                "approve COMMIT",
                "lets this commit of a fork be built and run; look at the change first",
                Some(Command::Promote {
                    model: ModelName::parse("owner/title").expect("it has the form of a model's name"),
                    channel: ChannelName::production(),
                    to: PromoteTo::Own,
                }),
            ),
            Command::Promote { .. } => (
                "promote <model> <channel> [back]",
                "moves a channel, such as `production`, to this pull request's version of the model, or back",
                Some(Command::Status),
            ),
            Command::Status => ("status", "tells how everything stands", Some(Command::Help)),
            Command::Help | Command::Unknown { .. } => ("help", "shows this", None),
        };
        Self { usage, meaning, next }
    }
}

/// The answer to a command that its author may not give.
#[must_use]
pub fn command_denied(command: &Command, author: &str, reason: &str) -> String {
    format!(
        "{} was not done for {}: {}\n",
        value(&format!("{PREFIX} {command}")),
        value(author),
        text(&clip(reason, 1_000))
    )
}

/// Why an approval approves nothing.
#[derive(Debug, Clone, Copy)]
pub enum ApprovalNote<'a> {
    /// The pull request comes from the repository itself.
    NotNeeded,
    /// The head is another commit.
    OtherHead {
        /// The head.
        head: &'a CommitSha,
    },
    /// It is approved already.
    Known,
}

/// The answer to an approval that approves nothing.
#[must_use]
pub fn approval_note(approved: &CommitSha, note: ApprovalNote<'_>) -> String {
    match note {
        ApprovalNote::NotNeeded => {
            "This pull request does not come from a fork, so there is nothing to approve.\n".to_owned()
        }
        ApprovalNote::Known => format!("{} is approved already.\n", value(approved.short())),
        ApprovalNote::OtherHead { head } => format!(
            "{} is not the head of this pull request, so it was not approved. Look at the change as it is now, then comment:\n\n{}",
            value(approved.short()),
            command_block(&Command::Approve { commit: head.clone() })
        ),
    }
}

/// That answers are left out for a while, about `wait` milliseconds; `results` tells whether results are, too.
#[must_use]
pub fn answers_left_out(wait: u64, results: bool) -> String {
    let results = if results { "" } else { ", and results still come" };
    format!(
        "There were so many answers in this pull request that I leave some out for about {}. Commands are still \
         obeyed{results}.\n",
        duration(wait)
    )
}

/// That results are left out until all that wait are written, in about `wait` milliseconds.
#[must_use]
pub fn results_left_out(wait: u64) -> String {
    format!(
        "So many sweeps ended in this pull request that I am {} behind with writing down their results, so I stop: no \
         sweep that ends from now on gets a comment of its own until all that waits is written. What each sweep came to \
         stands in the comment of its plan and in its check as ever, with its links. Commands are still obeyed; if \
         something here runs in circles, stop it.\n",
        duration(wait)
    )
}

/// The answer to a command that does not exist.
#[must_use]
pub fn unknown_command(typed: &str, suggestion: Option<&str>) -> String {
    let typed = value(&format!("{PREFIX} {typed}"));
    match suggestion {
        Some(suggestion) => {
            format!("I do not know {typed}. Did you mean {}?\n", value(&format!("{PREFIX} {suggestion}")))
        }
        None => format!("I do not know {typed}. {} lists what I know.\n", value(&format!("{PREFIX} help"))),
    }
}

/// Why a command finds nothing to do.
#[derive(Debug, Clone, Copy)]
pub enum NothingToRun<'a> {
    /// The pull request declares no sweep.
    NoSweep,
    /// It declares others.
    NoSuchSweep {
        /// What was asked for.
        asked: &'a SweepName,
        /// What there is.
        known: &'a [SweepName],
    },
    /// None of the sweeps that were meant is ready for it; each with the reason.
    NoneReady(&'a [(SweepName, String)]),
}

/// The answer to a command that finds nothing to do.
#[must_use]
pub fn nothing_to_run(command: &Command, why: NothingToRun<'_>) -> String {
    let typed = value(&format!("{PREFIX} {command}"));
    let body = match why {
        NothingToRun::NoSweep => format!(
            "{typed} found nothing: this pull request adds or changes no sweep file. Sweeps are declared in \
             `sweeps/<name>.yaml`.\n"
        ),
        NothingToRun::NoSuchSweep { asked, known } => {
            let nearest = known
                .iter()
                .map(|name| (strsim::damerau_levenshtein(asked.as_str(), name.as_str()), name))
                .filter(|(distance, _)| *distance <= 3)
                .min();
            let names: Vec<String> = known.iter().take(20).map(|name| value(name.as_str())).collect();
            match nearest {
                Some((_, name)) => format!(
                    "This pull request has no sweep {}. Did you mean {}?\n\n{}",
                    value(asked.as_str()),
                    value(name.as_str()),
                    command_block(&for_sweep(command, name))
                ),
                None => {
                    format!("This pull request has no sweep {}; it has {}.\n", value(asked.as_str()), names.join(", "))
                }
            }
        }
        NothingToRun::NoneReady(reasons) => {
            let lines: Vec<String> = reasons
                .iter()
                .map(|(name, reason)| format!("- {}: {}\n", value(name.as_str()), text(reason)))
                .collect();
            format!("{typed} found nothing to do:\n\n{}", lines.join(""))
        }
    };
    fit(&body, COMMENT_LIMIT)
}

/// The same command for the sweep `name`.
fn for_sweep(command: &Command, name: &SweepName) -> Command {
    let sweep = Some(name.clone());
    match command {
        Command::Run { .. } => Command::Run { sweep },
        Command::Plan { .. } => Command::Plan { sweep },
        Command::Cancel { .. } => Command::Cancel { sweep },
        Command::Retry { .. } => Command::Retry { sweep },
        Command::Compare { .. } => Command::Compare { sweep },
        Command::Approve { .. }
        | Command::Logs { .. }
        | Command::Promote { .. }
        | Command::Status
        | Command::Help
        | Command::Unknown { .. } => command.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sweep_name, with_breaks};
    use super::*;

    #[test]
    fn help_lists_every_command() {
        insta::assert_snapshot!(help(), @r"
        ### Commands

        | Command | What it does |
        |:--|:--|
        | `/modelship run [sweep]` | starts what is planned |
        | `/modelship plan [sweep]` | plans again |
        | `/modelship cancel [sweep]` | stops what runs; results so far are kept |
        | `/modelship retry [sweep]` | runs again what failed or is missing |
        | `/modelship compare [sweep]` | says what the changed models do to results |
        | `/modelship logs RUN` | shows the end of what a run printed |
        | `/modelship approve COMMIT` | lets this commit of a fork be built and run; look at the change first |
        | `/modelship promote <model> <channel> [back]` | moves a channel, such as `production`, to this pull request's version of the model, or back |
        | `/modelship status` | tells how everything stands |
        | `/modelship help` | shows this |

        Each stands at the beginning of a line of a new comment. Without a name it means every sweep of this pull request.
        ");
    }

    #[test]
    fn what_help_lists_is_understood() {
        let text = help();
        let usages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(usages.len(), 10);
        for usage in usages {
            let plain = usage.replace(" [sweep]", "").replace("RUN", "abcd1234").replace("COMMIT", &"a".repeat(40));
            let plain = plain.replace("<model> <channel> [back]", "a/b staging back");
            let parsed = Command::parse_comment(&plain);
            assert_eq!(format!("{PREFIX} {}", parsed[0]), plain);
            assert!(!matches!(parsed[0], Command::Unknown { .. }), "{usage}");
        }
    }

    #[test]
    fn a_denied_command_says_who_and_why() {
        let run = Command::Run { sweep: Some(sweep_name("standard-deduction")) };
        insta::assert_snapshot!(command_denied(&run, "mallory", "needs write permission on urban/hub, has read"), @"`/modelship run standard-deduction` was not done for `mallory`: needs write permission on urban/hub, has read");
    }

    #[test]
    fn an_unknown_command_gets_a_suggestion_and_no_markup() {
        insta::assert_snapshot!(unknown_command("rnu standard-deduction", Some("run standard-deduction")), @"I do not know `/modelship rnu standard-deduction`. Did you mean `/modelship run standard-deduction`?");
        insta::assert_snapshot!(with_breaks(&unknown_command("`@org/team` <!-- x", None)), @"I do not know ``/modelship `@org/team` <{break}!-- x``. `/modelship help` lists what I know.");
    }

    #[test]
    fn nothing_to_run_says_why() {
        let run = Command::Run { sweep: None };
        let names = [sweep_name("standard-deduction"), sweep_name("top-rate")];
        insta::assert_snapshot!(nothing_to_run(&run, NothingToRun::NoSweep), @"`/modelship run` found nothing: this pull request adds or changes no sweep file. Sweeps are declared in `sweeps/<name>.yaml`.");
        let asked = sweep_name("standart-deduction");
        let retry = Command::Retry { sweep: Some(asked.clone()) };
        insta::assert_snapshot!(nothing_to_run(&retry, NothingToRun::NoSuchSweep { asked: &asked, known: &names }), @r"
        This pull request has no sweep `standart-deduction`. Did you mean `standard-deduction`?

        ```
        /modelship retry standard-deduction
        ```
        ");
        let asked = sweep_name("other");
        insta::assert_snapshot!(nothing_to_run(&run, NothingToRun::NoSuchSweep { asked: &asked, known: &names }), @"This pull request has no sweep `other`; it has `standard-deduction`, `top-rate`.");
        let reasons = [(names[0].clone(), "is running".to_owned()), (names[1].clone(), "has 2 faults".to_owned())];
        insta::assert_snapshot!(nothing_to_run(&run, NothingToRun::NoneReady(&reasons)), @r"
        `/modelship run` found nothing to do:

        - `standard-deduction`: is running
        - `top-rate`: has 2 faults
        ");
    }
}
