//! Checks: how something fares at a commit, as the forge shows it beside the commit, with buttons for what can be done.
//!
//! A forge that knows no checks shows a commit status instead: its state and its title.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::decision::Due;
use super::diagnostic::Diagnostic;
use super::effect::Effect;
use super::forge::CommitState;
use super::ids::{CommitSha, Digest, ModelName, PullNumber, Repository};
use super::sweep::plan::PlanSummary;

/// How something fares at a commit. There is one check of each name at a commit; a later one takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// In which respect: `modelship/build urban/simple-tax`.
    pub name: String,
    /// What it is about, so that a button that is pressed finds its way back.
    pub subject: CheckSubject,
    /// How it fares.
    pub state: CheckState,
    /// One line.
    pub title: String,
    /// More, as Markdown; may be empty.
    pub summary: String,
    /// The address of a page of the server's that tells all of it; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Faults in files of that commit.
    pub annotations: Vec<Diagnostic>,
    /// What somebody may press, at most three.
    pub buttons: Vec<Button>,
}

impl Check {
    /// The effect that shows it beside that commit. What is said later takes the place of what waits to be said.
    #[must_use]
    pub(super) fn beside(self, repository: &Repository, commit: &CommitSha) -> Due {
        let coalesce = Some(format!("check/{}/{commit}/{}", repository.id, self.name));
        let (repository, commit) = (repository.clone(), commit.clone());
        let effect = Effect::ShowCheck { repository, commit, check: Box::new(self) };
        Due { effect, not_before: None, coalesce }
    }
}

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Under way.
    Pending,
    /// Well.
    Success,
    /// It waits for somebody, and holds up nobody.
    Neutral,
    /// The user's fault.
    Failure,
    /// Stopped before its end.
    Cancelled,
    /// Our fault.
    Error,
}

impl From<CheckState> for CommitState {
    fn from(state: CheckState) -> Self {
        match state {
            CheckState::Pending => Self::Pending,
            CheckState::Success | CheckState::Neutral => Self::Success,
            CheckState::Failure => Self::Failure,
            CheckState::Cancelled | CheckState::Error => Self::Error,
        }
    }
}

/// What a check is about. The forge keeps it for us as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "about")]
pub enum CheckSubject {
    /// A model's build.
    Build {
        /// The model.
        model: ModelName,
    },
    /// A sweep of a pull request.
    Sweep {
        /// The pull request.
        pull: PullNumber,
        /// What marks the sweep's file there.
        marker: String,
    },
    /// A manifest that cannot be read.
    Manifest,
}

impl CheckSubject {
    /// What [`fmt::Display`] made of a subject; none when it is nothing of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("build", model) => Some(Self::Build { model: ModelName::parse(model).ok()? }),
            ("sweep", rest) => {
                let (number, marker) = rest.split_once(':')?;
                Some(Self::Sweep { pull: PullNumber(number.parse().ok()?), marker: marker.to_owned() })
            }
            ("manifest", "") => Some(Self::Manifest),
            _ => None,
        }
    }
}

impl fmt::Display for CheckSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build { model } => write!(f, "build:{model}"),
            Self::Sweep { pull, marker } => write!(f, "sweep:{pull}:{marker}"),
            Self::Manifest => f.write_str("manifest:"),
        }
    }
}

/// What somebody may press beside a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "button")]
pub enum Button {
    /// Start the sweep as it is planned. The plan is part of the button: a newer plan has a button of its own.
    Run {
        /// The beginning of the plan's digest, 16 hexadecimal digits.
        plan: String,
    },
    /// Stop the sweep.
    Cancel,
    /// Do again what failed or is missing.
    Retry,
}

/// How many digits of a plan's digest fit into a button.
const PLAN_DIGITS: usize = 16;

impl Button {
    /// The button that starts this plan.
    #[must_use]
    pub fn run(plan: &PlanSummary) -> Self {
        Self::Run { plan: digits(&plan.digest) }
    }

    /// Whether the button starts the plan with this digest.
    #[must_use]
    pub fn starts(&self, plan: &Digest) -> bool {
        matches!(self, Self::Run { plan: meant } if *meant == digits(plan))
    }

    /// The button as the forge keeps it, at most 20 characters.
    #[must_use]
    pub fn identifier(&self) -> String {
        match self {
            Self::Run { plan } => format!("run:{plan}"),
            Self::Cancel => "cancel".to_owned(),
            Self::Retry => "retry".to_owned(),
        }
    }

    /// The button of that identifier; none when we have no such button.
    #[must_use]
    pub fn parse(identifier: &str) -> Option<Self> {
        match identifier.split_once(':') {
            Some(("run", plan)) if plan.len() == PLAN_DIGITS => Some(Self::Run { plan: plan.to_owned() }),
            None if identifier == "cancel" => Some(Self::Cancel),
            None if identifier == "retry" => Some(Self::Retry),
            _ => None,
        }
    }

    /// What stands on it, at most 20 characters.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Run { .. } => "Run sweep",
            Self::Cancel => "Cancel",
            Self::Retry => "Retry",
        }
    }

    /// What it does, at most 40 characters.
    #[must_use]
    pub fn description(&self) -> &'static str {
        match self {
            Self::Run { .. } => "Start the runs of this plan",
            Self::Cancel => "Stop; results so far are kept",
            Self::Retry => "Do again what failed or is missing",
        }
    }
}

fn digits(digest: &Digest) -> String {
    digest.hex()[..PLAN_DIGITS].to_owned()
}

/// What somebody pressed beside a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "press")]
pub enum Press {
    /// One of the buttons.
    Button {
        /// Which.
        button: Button,
    },
    /// The forge's own button to do a check again.
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_and_a_button_come_back_as_they_went() {
        for subject in [
            CheckSubject::Build { model: ModelName::parse("urban/simple-tax").unwrap() },
            CheckSubject::Sweep { pull: PullNumber(7), marker: "sweep/sweeps/a:b.yaml".to_owned() },
            CheckSubject::Manifest,
        ] {
            assert_eq!(CheckSubject::parse(&subject.to_string()), Some(subject));
        }
        for button in [Button::Run { plan: "0123456789abcdef".to_owned() }, Button::Cancel, Button::Retry] {
            assert!(button.identifier().len() <= 20 && button.label().len() <= 20 && button.description().len() <= 40);
            assert_eq!(Button::parse(&button.identifier()), Some(button));
        }
    }

    #[test]
    fn what_others_wrote_is_no_subject_and_no_button() {
        for text in ["", "build", "build:", "build:../x", "sweep:x:y", "sweep:7", "manifest:x", "other:1"] {
            assert_eq!(CheckSubject::parse(text), None, "{text}");
        }
        for text in ["", "run", "run:", "run:short", "Cancel", "cancel:1"] {
            assert_eq!(Button::parse(text), None, "{text}");
        }
    }
}
