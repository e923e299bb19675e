//! Versions that somebody else built and offers: a workflow of GitHub Actions, or whoever pushes to a registry.
//!
//! An offer is a claim. What a workflow may claim is checked here against what its token says of it; whether the claim is
//! true is found out from the repository and the registry, before anything is registered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{CommitSha, Digest, ModelName, Repository, Time, VersionId};
use super::image::ImageRef;
use super::manifest::BuildBy;
use super::version::PassedTest;

/// What starts workflows that may offer: somebody who may write to the repository decides on what they run. GitHub starts
/// the others for people who may not, or with a commit that no branch holds.
const EVENTS: &[&str] = &["push", "workflow_dispatch", "schedule", "release"];

/// How long may a token live from when it was issued, in seconds? Its number is remembered for longer.
const LONGEST_LIFE: i64 = 3600;

/// By how much may the issuer's clock be ahead of ours or behind it, in seconds?
const LEEWAY: i64 = 30;

/// A version that somebody else built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Tells this offer from all others.
    pub id: String,
    /// The repository that holds the model's manifest. Its number decides.
    pub repository: Repository,
    /// The model.
    pub model: ModelName,
    /// The commit that was built.
    pub commit: CommitSha,
    /// What came of it.
    pub image: ImageRef,
    /// Who offers it.
    pub by: OfferedBy,
}

/// Who offers a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "offered_by")]
pub enum OfferedBy {
    /// A workflow, which built and tested it.
    Actions {
        /// What it says of its work.
        work: WorkDone,
    },
    /// Whoever pushed the image to a registry. Nothing is known of how it was built, and it was not tested.
    Registry,
}

impl OfferedBy {
    /// What the manifest must say of who builds the model.
    #[must_use]
    pub fn authority(&self) -> BuildBy {
        match self {
            Self::Actions { .. } => BuildBy::Actions,
            Self::Registry => BuildBy::Registry,
        }
    }
}

/// What a workflow says of how it built and tested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkDone {
    /// The tests that passed, in order.
    pub tests: Vec<PassedTest>,
    /// The digest of each declared input file, by path.
    pub inputs: BTreeMap<String, Digest>,
    /// How long building took, in milliseconds.
    pub build_ms: u64,
}

/// What a workflow asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The model.
    pub model: ModelName,
    /// The commit that it built.
    pub commit: CommitSha,
    /// What it pushed.
    pub image: ImageRef,
    /// What it says of its work.
    pub work: WorkDone,
}

/// Who a workflow is, as GitHub signed it. Its signature, its audience and its issuer are checked already.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identity {
    /// The token's own number, which no other token has.
    pub jti: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// When it begins.
    pub nbf: Option<i64>,
    /// The number of the repository that the workflow belongs to.
    pub repository_id: String,
    /// Its name.
    pub repository: String,
    /// What started the workflow.
    pub event_name: String,
    /// The commit that it runs for.
    pub sha: String,
    /// The branch or tag, in full.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The branch that a pull request is for; empty where there is none.
    #[serde(default)]
    pub base_ref: String,
    /// The branch that a pull request comes from; empty where there is none.
    #[serde(default)]
    pub head_ref: String,
}

/// Why a workflow may not offer what it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub enum NotAllowed {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    TooEarly,
    /// Nobody would remember that it was used.
    TooLong,
    /// No repository is named by it.
    NoRepository,
    /// It runs for a pull request, perhaps of a fork.
    Pull,
    /// Others than those who may write start it.
    Event,
    /// It runs for neither a branch nor a tag.
    Reference,
    /// It built something else.
    OtherCommit,
}

impl NotAllowed {
    /// The reason, with nothing in it that a token or a body said.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "the token has expired; ask for a new one",
            Self::TooEarly => "the token is not good yet; is this server's clock or the issuer's wrong?",
            Self::TooLong => "the token lives longer than an hour, or has no number of its own",
            Self::NoRepository => "the token names no repository",
            Self::Pull => {
                "a workflow that runs for a pull request cannot register: its commit is one that GitHub made to try the \
                 merge; run it on `push`"
            }
            Self::Event => {
                "workflows register when `push`, `workflow_dispatch`, `schedule` or `release` starts them, and nothing else"
            }
            Self::Reference => "the workflow runs for neither a branch nor a tag",
            Self::OtherCommit => "the commit is not the one that the workflow runs for",
        }
    }
}

impl Offer {
    /// The offer of the workflow `who`, at the moment `now`.
    ///
    /// # Errors
    /// When its token is not good now, or not for this commit.
    pub fn of_workflow(who: &Identity, wish: Wish, now: Time) -> Result<Self, NotAllowed> {
        let seconds = now.0.div_euclid(1000);
        if who.exp <= seconds - LEEWAY {
            return Err(NotAllowed::Expired);
        }
        if who.iat > seconds + LEEWAY || who.nbf.is_some_and(|begin| begin > seconds + LEEWAY) {
            return Err(NotAllowed::TooEarly);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let numbered = (8..=128).contains(&who.jti.len()) && who.jti.bytes().all(plain);
        if !numbered || who.exp.checked_sub(who.iat).is_none_or(|life| life > LONGEST_LIFE) {
            return Err(NotAllowed::TooLong);
        }
        let id = who.repository_id.parse::<i64>().ok().filter(|id| *id > 0 && id.to_string() == who.repository_id);
        let (Some(id), Ok(name)) = (id, who.repository.parse()) else { return Err(NotAllowed::NoRepository) };
        let of_pull = who.event_name.starts_with("pull_request") || who.reference.starts_with("refs/pull/");
        if of_pull || !who.base_ref.is_empty() || !who.head_ref.is_empty() {
            return Err(NotAllowed::Pull);
        }
        if !EVENTS.contains(&who.event_name.as_str()) {
            return Err(NotAllowed::Event);
        }
        if !who.reference.starts_with("refs/heads/") && !who.reference.starts_with("refs/tags/") {
            return Err(NotAllowed::Reference);
        }
        if who.sha != wish.commit.as_str() {
            return Err(NotAllowed::OtherCommit);
        }
        Ok(Self {
            id: format!("oidc-{}", who.jti),
            repository: Repository { id, name },
            model: wish.model,
            commit: wish.commit,
            image: wish.image,
            by: OfferedBy::Actions { work: wish.work },
        })
    }
}

/// An offer as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferState {
    /// The offer.
    pub id: String,
    /// The commit that was built.
    pub commit: CommitSha,
    /// What came of it.
    pub image: ImageRef,
    /// What became of the offer.
    pub outcome: OfferOutcome,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum OfferOutcome {
    /// It is being looked at.
    Checking,
    /// What it claims is true; the version is being registered.
    Good {
        /// The version.
        version: VersionId,
    },
    /// The registry has the version.
    Registered {
        /// The version.
        version: VersionId,
    },
    /// It was not taken.
    Refused {
        /// Why, for whoever offered it.
        reason: String,
    },
}

impl OfferOutcome {
    /// The version that the offer became or becomes.
    #[must_use]
    pub fn version(&self) -> Option<&VersionId> {
        match self {
            Self::Good { version } | Self::Registered { version } => Some(version),
            Self::Checking | Self::Refused { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn commit() -> CommitSha {
        CommitSha::parse("a".repeat(40)).unwrap()
    }

    fn who() -> Identity {
        Identity {
            jti: "6f1c1f8e-0000-4000-8000-000000000000".to_owned(),
            iat: 1_700_000_000 - 10,
            exp: 1_700_000_000 + 290,
            nbf: Some(1_700_000_000 - 310),
            repository_id: "77".to_owned(),
            repository: "urban/hub".to_owned(),
            event_name: "push".to_owned(),
            sha: commit().to_string(),
            reference: "refs/heads/main".to_owned(),
            base_ref: String::new(),
            head_ref: String::new(),
        }
    }

    fn offer(change: impl FnOnce(&mut Identity)) -> Result<Offer, NotAllowed> {
        let mut who = who();
        change(&mut who);
        let wish = Wish {
            model: ModelName::parse("urban/tax").unwrap(),
            commit: commit(),
            image: ImageRef::parse(&format!("example.org/tax@{}", Digest::of("x"))).unwrap(),
            work: WorkDone::default(),
        };
        Offer::of_workflow(&who, wish, NOW)
    }

    #[test]
    fn a_workflow_on_a_branch_or_a_tag_may_offer_its_own_commit() {
        let offer = offer(|_| ()).unwrap();
        assert_eq!((offer.id.as_str(), offer.repository.id), ("oidc-6f1c1f8e-0000-4000-8000-000000000000", 77));
        assert_eq!(offer.by.authority(), BuildBy::Actions);
        for event in ["workflow_dispatch", "schedule", "release"] {
            assert!(super::tests::offer(|who| who.event_name = event.to_owned()).is_ok());
        }
        assert!(super::tests::offer(|who| who.reference = "refs/tags/v1".to_owned()).is_ok());
    }

    #[test]
    fn time_is_looked_at_with_a_little_leeway() {
        let second = 1_700_000_000;
        assert!(offer(|who| who.exp = second - 29).is_ok());
        assert_eq!(offer(|who| who.exp = second - 30), Err(NotAllowed::Expired));
        assert!(offer(|who| who.iat = second + 30).is_ok());
        assert_eq!(offer(|who| who.iat = second + 31), Err(NotAllowed::TooEarly));
        assert_eq!(offer(|who| who.nbf = Some(second + 31)), Err(NotAllowed::TooEarly));
        assert!(offer(|who| who.nbf = None).is_ok());
        assert_eq!(offer(|who| who.exp = second + 7200), Err(NotAllowed::TooLong));
        assert_eq!(offer(|who| (who.iat, who.exp) = (i64::MIN, i64::MAX)), Err(NotAllowed::TooLong));
    }

    #[test]
    fn nothing_of_a_pull_request_registers() {
        for event in ["pull_request", "pull_request_target", "pull_request_review"] {
            assert_eq!(offer(|who| who.event_name = event.to_owned()), Err(NotAllowed::Pull));
        }
        assert_eq!(offer(|who| who.reference = "refs/pull/3/merge".to_owned()), Err(NotAllowed::Pull));
        assert_eq!(offer(|who| who.base_ref = "main".to_owned()), Err(NotAllowed::Pull));
        assert_eq!(offer(|who| who.head_ref = "topic".to_owned()), Err(NotAllowed::Pull));
    }

    #[test]
    fn others_than_writers_start_no_workflow_that_registers() {
        for event in ["workflow_run", "issue_comment", "issues", "fork", "watch", "repository_dispatch", ""] {
            assert_eq!(offer(|who| who.event_name = event.to_owned()), Err(NotAllowed::Event));
        }
    }

    #[test]
    fn what_is_no_branch_no_repository_or_another_commit_is_refused() {
        for reference in ["", "main", "refs/notes/x", "refs/headsx"] {
            assert_eq!(offer(|who| who.reference = reference.to_owned()), Err(NotAllowed::Reference));
        }
        for id in ["", "0", "-5", "+7", "077", "1e3", "99999999999999999999"] {
            assert_eq!(offer(|who| who.repository_id = id.to_owned()), Err(NotAllowed::NoRepository), "{id}");
        }
        assert_eq!(offer(|who| who.repository = "hub".to_owned()), Err(NotAllowed::NoRepository));
        assert_eq!(offer(|who| who.sha = "b".repeat(40)), Err(NotAllowed::OtherCommit));
        for jti in ["", "short", "a b c d e f", &"x".repeat(129)] {
            assert_eq!(offer(|who| who.jti = jti.to_owned()), Err(NotAllowed::TooLong), "{jti}");
        }
    }
}
