//! What became of a channel that somebody wanted moved.

use super::escape::{self, COMMENT_LIMIT, clip, fit};
use super::{command_block, value};
use crate::domain::command::{Command, PromoteTo};
use crate::domain::deployment::Promotion;
use crate::domain::ids::{ChannelName, CommitSha, ModelName};
use crate::domain::version::ChannelMove;

/// Why a channel is not even tried to be moved.
#[derive(Debug)]
pub enum NotPromoted<'a> {
    /// The pull request comes from a fork.
    Fork,
    /// It does not change the model.
    NotChanged {
        /// The models that it changes.
        changed: Vec<&'a ModelName>,
    },
    /// Its version is not there yet.
    Building {
        /// The commit that is built.
        commit: &'a CommitSha,
    },
    /// It has no version.
    Failed {
        /// The stage that failed.
        stage: &'a str,
    },
}

/// Says that a channel was not moved, and why.
#[must_use]
pub fn not_promoted(model: &ModelName, channel: &ChannelName, why: &NotPromoted<'_>) -> String {
    let reason = match why {
        NotPromoted::Fork => {
            "this pull request comes from a fork, and what a fork brings is promoted once it is merged.".to_owned()
        }
        NotPromoted::NotChanged { changed } if changed.is_empty() => {
            "this pull request changes no model, so it has no version of its own.".to_owned()
        }
        NotPromoted::NotChanged { changed } => {
            let names: Vec<String> = changed.iter().take(20).map(|name| value(&name.to_string())).collect();
            format!("this pull request does not change that model. It changes {}.", names.join(", "))
        }
        NotPromoted::Building { commit } => {
            format!("its version at {} is still being built. Say it again when it has passed.", value(commit.short()))
        }
        NotPromoted::Failed { stage } => {
            format!("this pull request has no version of it: {} failed.", value(stage))
        }
    };
    format!("{} was not moved: {reason}\n", name(model, channel))
}

/// Says what became of a channel that somebody wanted moved.
#[must_use]
pub fn promotion_settled(model: &ModelName, channel: &ChannelName, result: &Result<Promotion, String>) -> String {
    let body = match result {
        Ok(Promotion::Moved(moved)) => moved_text(moved),
        Ok(Promotion::Stood(moved)) => format!(
            "{} is version {} already ({}); nothing moved.\n",
            name(model, channel),
            value(moved.version.as_str()),
            escape::text(&clip(&moved.reason, 200))
        ),
        Err(reason) => format!("{} was not moved: {}\n", name(model, channel), escape::text(&clip(reason, 1_000))),
    };
    fit(&body, COMMENT_LIMIT)
}

fn moved_text(moved: &ChannelMove) -> String {
    let ChannelMove { model, channel, version, previous, .. } = moved;
    let what = name(model, channel);
    let version = value(version.as_str());
    let Some(previous) = previous else {
        return format!("{what} is version {version} now; it pointed nowhere before.\n");
    };
    let back = Command::Promote { model: model.clone(), channel: channel.clone(), to: PromoteTo::Previous };
    format!(
        "{what} moved from version {} to {version}. To move it back, comment:\n\n{}",
        value(previous.as_str()),
        command_block(&back)
    )
}

fn name(model: &ModelName, channel: &ChannelName) -> String {
    format!("{} of {}", value(channel.as_str()), value(&model.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{commit, model};
    use super::*;
    use crate::domain::ids::{Time, VersionId};

    fn moved(previous: Option<&str>) -> ChannelMove {
        ChannelMove {
            model: model(),
            channel: ChannelName::production(),
            version: VersionId::parse("bbbbbbbbbbbbbbbb").unwrap(),
            previous: previous.map(|id| VersionId::parse(id).unwrap()),
            reason: "promoted by ada in #3".to_owned(),
            at: Time(1),
        }
    }

    #[test]
    fn a_move_says_from_where_to_where_and_how_back() {
        let said = |result| promotion_settled(&model(), &ChannelName::production(), &result);
        insta::assert_snapshot!(said(Ok(Promotion::Moved(moved(Some("aaaaaaaaaaaaaaaa"))))), @r"
        `production` of `urban/simple-tax` moved from version `aaaaaaaaaaaaaaaa` to `bbbbbbbbbbbbbbbb`. To move it back, comment:

        ```
        /modelship promote urban/simple-tax production back
        ```
        ");
        insta::assert_snapshot!(said(Ok(Promotion::Moved(moved(None)))), @"`production` of `urban/simple-tax` is version `bbbbbbbbbbbbbbbb` now; it pointed nowhere before.");
        let stood = said(Ok(Promotion::Stood(moved(None))));
        assert!(stood.contains("is version `bbbbbbbbbbbbbbbb` already (promoted by ada in "), "{stood}");
        let refused = said(Err("<!-- x --> it follows a branch".to_owned()));
        assert!(refused.contains("was not moved: ") && !refused.contains("<!--"), "{refused}");
    }

    #[test]
    fn what_is_not_tried_says_why() {
        let said = |why| not_promoted(&model(), &ChannelName::staging(), &why);
        let (commit, other) = (commit('c'), ModelName::parse("urban/other").unwrap());
        insta::assert_snapshot!(said(NotPromoted::Building { commit: &commit }), @"`staging` of `urban/simple-tax` was not moved: its version at `cccccccccc` is still being built. Say it again when it has passed.");
        insta::assert_snapshot!(said(NotPromoted::Failed { stage: "base case" }), @"`staging` of `urban/simple-tax` was not moved: this pull request has no version of it: `base case` failed.");
        insta::assert_snapshot!(said(NotPromoted::NotChanged { changed: vec![&other] }), @"`staging` of `urban/simple-tax` was not moved: this pull request does not change that model. It changes `urban/other`.");
        assert!(said(NotPromoted::Fork).contains("comes from a fork"));
        assert!(said(NotPromoted::NotChanged { changed: Vec::new() }).contains("changes no model"));
    }
}
