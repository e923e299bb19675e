//! How long an effect that fails is done again.
//!
//! What fails by itself is tried a few times. While the forge is away, or asks us to wait, nothing has failed yet: that is
//! waited for as long as it takes, or an outage of days would lose a result that is to be said once.

use std::time::Duration;

use super::Failure;
use crate::domain::effect::Effect;
use crate::domain::ids::Time;
use crate::store::queue::Failed;

/// How often is an effect tried before it is given up? Half a minute in all.
const ATTEMPTS: u32 = 6;

/// How often is something said to the forge, or asked of the executor, before it is given up? Waits grow to four minutes:
/// some hours in all.
const TALK_ATTEMPTS: u32 = 60;

/// How often is another program told something before it is given up? Waits grow to an hour: three days in all.
const NOTICE_ATTEMPTS: u32 = 80;

/// How often is looked again for what the forge has announced and does not show? Half a minute in all, less where the
/// effect failed in other ways before: there is one count of attempts.
const MISSING_ATTEMPTS: u32 = 6;

/// How often do we knock where the forge does not let us in? A week in all: an App that was suspended may come back, and one
/// that was removed hardly ever. Waits for a forge that was away count, too: who is not let in after an outage of a week is
/// not waited for again.
const BARRED_WAITS: u32 = 1200;

/// The shortest pause, which doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How often does the pause double? To four minutes; to an hour for whoever does not answer for hours; to eight minutes
/// while the forge is away, so that it is found soon after it is back.
const DOUBLINGS: u32 = 8;
const NOTICE_DOUBLINGS: u32 = 12;
const AWAY_DOUBLINGS: u32 = 9;

/// How often an effect was begun, this time included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    /// What counts.
    pub(super) attempts: u32,
    /// In vain, as the forge was away.
    pub(super) waits: u32,
}

/// What becomes of an effect that failed.
pub(super) fn after(effect: &Effect, tries: Tries, failure: &Failure, now: Time) -> Failed {
    let pause = |times: u32, most: u32| now.plus(FIRST_PAUSE * 2_u32.saturating_pow(times.min(most)));
    let again = |most_attempts: u32| {
        let most = if matches!(effect, Effect::Notify { .. }) { NOTICE_DOUBLINGS } else { DOUBLINGS };
        let at = pause(tries.attempts.saturating_sub(1), most);
        if tries.attempts < most_attempts { Failed::Again(at) } else { Failed::ForGood }
    };
    match failure {
        // The next tick compares again, with what is known by then.
        Failure::Away(_) | Failure::Barred(_) if matches!(effect, Effect::Reconcile) => {
            match again(attempts_of(effect)) {
                Failed::ForGood => Failed::Left,
                again => again,
            }
        }
        Failure::Barred(_) if tries.waits >= BARRED_WAITS => Failed::ForGood,
        Failure::Away(_) | Failure::Barred(_) => Failed::Waits(pause(tries.waits, AWAY_DOUBLINGS)),
        Failure::Later(error) if is_full(error) => again(attempts_of(effect).max(TALK_ATTEMPTS)),
        Failure::Later(_) => again(attempts_of(effect)),
        Failure::Missing(_) => again(attempts_of(effect).min(MISSING_ATTEMPTS)),
        Failure::Never(_) => Failed::Refused,
    }
}

/// Whether a disk is full: somebody makes room, and then it goes on by itself.
fn is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let mut kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    kinds.any(|kind| matches!(kind, StorageFull | QuotaExceeded))
}

/// What is said to people is worth some hours; what somebody waits for in front of a screen ends sooner.
fn attempts_of(effect: &Effect) -> u32 {
    match effect {
        Effect::InspectPush { .. }
        | Effect::InspectPull { .. }
        | Effect::BuildAgain { .. }
        | Effect::ShowCheck { .. }
        | Effect::React { .. }
        | Effect::QuoteLog { .. }
        | Effect::RecordDeployment { .. }
        | Effect::CheckDeployment { .. }
        | Effect::AnswerDeployment { .. }
        | Effect::UpsertComment { .. }
        | Effect::PostComment { .. }
        | Effect::CheckCommand { .. }
        // A registry that does not answer costs nobody an image.
        | Effect::CheckOffer { .. }
        | Effect::LookAtImage { .. }
        // What runs is not given up because the engine that runs it is being restarted.
        | Effect::WatchJobs { .. }
        | Effect::CancelJobs { .. } => TALK_ATTEMPTS,
        Effect::Notify { .. } => NOTICE_ATTEMPTS,
        Effect::BuildModel { .. }
        | Effect::CancelBuild { .. }
        | Effect::RegisterVersion { .. }
        | Effect::MoveChannel { .. }
        | Effect::PlanSweep { .. }
        | Effect::PlanComparison { .. }
        | Effect::CompareVersions { .. }
        | Effect::SubmitJobs { .. }
        | Effect::WriteAnalysis { .. }
        | Effect::Reconcile => ATTEMPTS,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use anyhow::anyhow;

    use super::*;
    use crate::domain::ids::{
        CommitSha, Digest, ModelName, PullNumber, PullRef, Repository, RepositoryName, VersionId,
    };
    use crate::domain::notice::Notice;
    use crate::domain::version::SourceRef;
    use crate::edge::forge::ForgeError;

    const BEGIN: Time = Time(1_700_000_000_000);

    fn pull() -> PullRef {
        let repository = Repository { id: 7, name: RepositoryName::new("urban", "hub").unwrap() };
        PullRef { repository, number: PullNumber(1) }
    }

    /// What is said once, what only asks the forge before it works, and what comes again by itself.
    fn result() -> Effect {
        Effect::PostComment { pull: pull(), marker: "result/1".to_owned(), body: "done".to_owned() }
    }

    fn comparison() -> Effect {
        let commit = CommitSha::parse("0".repeat(40)).unwrap();
        let source =
            SourceRef { repository: pull().repository, commit: commit.clone(), manifest: "config/a.yaml".to_owned() };
        let model = ModelName::parse("urban/tax").unwrap();
        let version = VersionId::of(&model, &commit, &Digest::of("program"), &Digest::of("manifest"));
        Effect::PlanComparison { pull: pull(), head: commit, model, source, version }
    }

    /// When the effect is tried while everything fails like that, until it is given up or so much time has gone by.
    fn tried(effect: &Effect, failure: &Failure, length: Duration) -> Vec<Time> {
        let (mut now, mut tries, mut all) = (BEGIN, Tries { attempts: 0, waits: 0 }, Vec::new());
        while now < BEGIN.plus(length) {
            all.push(now);
            // The attempt that is under way counts until it is known to have been in vain.
            tries.attempts += 1;
            now = match after(effect, tries, failure, now) {
                Failed::Again(at) => at,
                Failed::Waits(at) => {
                    tries = Tries { attempts: tries.attempts - 1, waits: tries.waits + 1 };
                    at
                }
                Failed::ForGood | Failed::Refused | Failed::Left => break,
            };
        }
        all
    }

    #[test]
    fn an_outage_of_days_loses_nothing_and_is_asked_about_now_and_then() {
        let away = Failure::from(ForgeError::Later(anyhow!("GitHub does not answer")));
        let days = Duration::from_secs(4 * 24 * 3600);
        for effect in [result(), comparison()] {
            let tried = tried(&effect, &away, days);
            assert!(tried[1].since(tried[0]) <= Duration::from_secs(1), "a short fault costs a moment");
            let pauses: BTreeSet<_> = tried.windows(2).map(|pair| pair[1].since(pair[0])).collect();
            assert!(pauses.last().unwrap() <= &Duration::from_secs(600), "found soon after it is back: {pauses:?}");
            assert!(tried.len() < 1000, "and not asked all the time: {}", tried.len());
            assert!(*tried.last().unwrap() > BEGIN.plus(days).minus(Duration::from_secs(600)), "{:?}", tried.last());
        }
    }

    #[test]
    fn another_program_is_told_again_for_three_days_about_once_an_hour() {
        let Effect::PlanComparison { model, version, .. } = comparison() else { unreachable!() };
        let notice = Box::new(Notice::Registered { model, version, at: BEGIN });
        let notice = Effect::Notify { target: "deployer".to_owned(), notice };
        let silent = Failure::Later(anyhow!("webhook `deployer` does not answer"));
        let tried = tried(&notice, &silent, Duration::from_secs(30 * 24 * 3600));
        let pauses: Vec<_> = tried.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_secs));
        assert!(pauses.is_sorted() && pauses.last().unwrap() <= &Duration::from_secs(70 * 60), "{pauses:?}");
        let length = tried.last().unwrap().since(BEGIN);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert!(hours(72) <= length && length < hours(80), "{length:?}");
    }

    #[test]
    fn the_forges_absence_is_not_held_against_the_work() {
        let away = Failure::from(ForgeError::Later(anyhow!("GitHub asked us to wait")));
        let broken = Failure::Later(anyhow!("the file cannot be read"));
        let waited = Tries { attempts: 1, waits: 500 };
        assert!(matches!(after(&comparison(), waited, &broken, BEGIN), Failed::Again(_)));
        let worked = Tries { attempts: ATTEMPTS, waits: 0 };
        assert!(matches!(after(&comparison(), worked, &away, BEGIN), Failed::Waits(_)));
        assert_eq!(after(&comparison(), worked, &broken, BEGIN), Failed::ForGood);
    }

    #[test]
    fn what_goes_wrong_here_is_not_waited_for_without_end() {
        use std::io::{Error, ErrorKind};
        let day = Duration::from_secs(24 * 3600);
        let attempts = |error: anyhow::Error| tried(&comparison(), &ForgeError::Here(error).into(), day).len();
        assert_eq!(attempts(anyhow!("there is no `git` here")), 6);
        assert_eq!(attempts(Error::from(ErrorKind::StorageFull).into()), 60, "somebody makes room");
    }

    #[test]
    fn who_is_not_let_in_knocks_for_a_week() {
        let barred = Failure::from(ForgeError::OutOfReach(anyhow!("the App is suspended")));
        let tried = tried(&result(), &barred, Duration::from_secs(30 * 24 * 3600));
        let length = tried.last().unwrap().since(BEGIN);
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        assert!(days(6) < length && length < days(8), "{length:?}");
    }

    #[test]
    fn a_refusal_ends_it_and_what_comes_again_by_itself_does_not_wait() {
        let refused = Failure::from(ForgeError::Never(anyhow!("the thread is locked")));
        assert_eq!(after(&result(), Tries { attempts: 1, waits: 9 }, &refused, BEGIN), Failed::Refused);
        let away = Failure::from(ForgeError::Later(anyhow!("GitHub does not answer")));
        assert_eq!(tried(&Effect::Reconcile, &away, Duration::from_secs(3600)).len(), 6);
        let last = Tries { attempts: 6, waits: 0 };
        assert_eq!(after(&Effect::Reconcile, last, &away, BEGIN), Failed::Left, "nobody has to look at it");
    }
}
