//! Checks with their buttons, approval of a fork's commit, and how much is said.

use std::time::Duration;

use modelship::domain::check::{Button, CheckState, Press};
use modelship::domain::event::{Event, Key};
use modelship::domain::forge::{HeadOrigin, PullStatus, Reaction};
use modelship::domain::ids::{CommitSha, Time};
use modelship::domain::pull::PullSweepPhase;
use modelship::domain::sweep::state::SweepReport;

use crate::driver::*;
use crate::things::*;

const CHECK: &str = "modelship/sweep deduction";

fn press(world: &World, at: CommitSha, press: Press) -> Event {
    let marker = format!("sweep/{SWEEP_FILE}");
    assert!(world.edited.contains(&marker));
    Event::SweepPressed { marker, commit: at, check: 77, press, author: ada() }
}

#[test]
fn a_check_offers_what_can_be_done_next() {
    let mut world = World::planned();
    let planned = world.shown(CHECK).clone();
    assert_eq!((planned.state, planned.buttons.len()), (CheckState::Neutral, 1), "it holds up nobody");
    let run = planned.buttons[0].clone();

    let pressed = press(&world, commit(2), Press::Button { button: run });
    world.tell_pull(pressed).answer(0, Luck::Good);
    assert_eq!(world.names(), ["SubmitJobs"]);
    assert_eq!((world.shown(CHECK).state, &*world.shown(CHECK).buttons), (CheckState::Pending, &[Button::Cancel][..]));
    assert_eq!(world.posted, [""; 0], "a button shows by itself that it was pressed");
    world.drain();
    assert_eq!((world.shown(CHECK).state, world.shown(CHECK).buttons.len()), (CheckState::Success, 0));
}

#[test]
fn a_button_starts_the_plan_that_it_was_shown_with_and_no_other() {
    let mut world = World::planned();
    let run = world.shown(CHECK).buttons[0].clone();
    world.push_head(5);
    world.drain();
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }));
    let of_old_commit = press(&world, commit(2), Press::Button { button: run });
    world.tell_pull(of_old_commit);
    let of_other_plan = press(&world, commit(5), Press::Button { button: Button::run(&plan(7, 5)) });
    world.tell_pull(of_other_plan);
    assert_eq!(world.names(), [""; 0], "nobody is even asked for permission");
}

#[test]
fn a_button_that_somebody_may_not_press_starts_nothing() {
    let mut world = World::planned();
    let run = world.shown(CHECK).buttons[0].clone();
    let pressed = press(&world, commit(2), Press::Button { button: run });
    world.tell_pull(pressed).answer(0, Luck::Bad);
    assert_eq!(world.names(), [""; 0]);
    assert_eq!(world.posted, [format!("reply/check-77-{}/0", ada().id)]);
}

#[test]
fn the_check_of_an_older_commit_ends_when_a_newer_one_takes_its_place() {
    let mut world = World::running();
    assert_eq!(world.shown(CHECK).state, CheckState::Pending);
    world.push_head(3);
    world.drain();
    let old = &world.checks[&(commit(2), CHECK.to_owned())];
    assert_eq!(old.state, CheckState::Cancelled, "{old:?}");
}

#[test]
fn a_build_that_failed_is_done_again_for_whoever_asked() {
    let mut world = World::new();
    world.tell_model(request(2, of_pull(), None)).answer(0, Luck::Bad);
    world.tell_model(Event::BuildPressed { model: model(), commit: commit(3), author: ada() });
    assert_eq!(world.names(), [""; 0], "that one has not failed");
    world.tell_model(Event::BuildPressed { model: model(), commit: commit(2), author: ada() });
    assert_eq!(world.names(), ["BuildAgain"]);
    world.answer(0, Luck::Good).answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["pr-1", "staging"]);
}

#[test]
fn a_fork_is_built_and_run_once_its_commit_is_approved() {
    let mut world = World { origin: HeadOrigin::Fork, ..World::new() };
    world.set_status(PullStatus::Open).drain();
    assert_eq!(world.model_state().builds.len(), 0, "nothing of a fork is built");
    world.comment("/modelship run").drain();
    assert_eq!(world.posted.len(), 1);
    assert_eq!(world.sweeps().len(), 0);

    world.comment(&format!("/modelship approve {}", commit(9))).drain();
    assert_eq!(world.pull_state().approved, None, "that is not its head");
    world.comment(&format!("/modelship approve {}", commit(2)));
    world.answer(0, Luck::Good);
    assert_eq!(world.asked("BuildModel").len(), 1);
    world.answer(0, Luck::Good);
    assert_eq!(world.channels(2), ["pr-1"], "a fork never becomes `staging`");
    world.drain();
    world.comment("/modelship run").drain();
    assert!(matches!(world.file(), PullSweepPhase::Started { .. }));
    assert!(world.reactions.contains(&Reaction::Done) && world.reactions.contains(&Reaction::Refused));

    // Whoever pushes after that asked nobody.
    world.push_head(3);
    world.drain();
    assert_eq!(world.asked("BuildModel").len(), 0);
    world.comment("/modelship run").drain();
    assert!(!matches!(&world.file(), PullSweepPhase::Started { report } if !report.phase.is_terminal()));
}

#[test]
fn an_approval_without_permission_approves_nothing() {
    let mut world = World { origin: HeadOrigin::Fork, ..World::new() };
    world.set_status(PullStatus::Open).drain();
    world.comment(&format!("/modelship approve {}", commit(2))).answer(0, Luck::Bad);
    assert_eq!((world.names(), world.pull_state().approved), (Vec::new(), None));
}

#[test]
fn a_flood_of_commands_is_answered_so_often_and_no_more() {
    let mut world = World::planned();
    world.rules.comments_per_hour = Some(60);
    for _ in 0..150 {
        world.comment("/modelship help");
    }
    let (answers, notices): (Vec<_>, Vec<_>) = world.posted.iter().partition(|marker| marker.starts_with("reply/"));
    assert_eq!((answers.len(), notices.len()), (19, 1), "{notices:?}");
    assert!(world.due.iter().all(|due| *due == world.now), "who gets no answer hears so at once: {:?}", world.due);
    // Minutes later there is room again, and the work was never in the way.
    world.now = Time(world.now.0 + 10 * 60_000);
    world.posted.clear();
    world.comment("/modelship run").drain();
    assert!(world.posted.iter().any(|marker| marker.starts_with("result/")), "{:?}", world.posted);
}

#[test]
fn answers_come_again_when_it_was_said_that_they_would() {
    let mut world = World::planned();
    world.rules.comments_per_hour = Some(60);
    for _ in 0..30 {
        world.comment("/modelship help");
    }
    let notice = world.said.iter().find(|body| body.contains("so many answers")).unwrap();
    assert!(notice.contains("for about 2 min."), "{notice}");
    let mut answers_after = |wait: i64| {
        world.now = Time(world.now.0 + wait);
        world.posted.clear();
        world.comment("/modelship help");
        world.posted.len()
    };
    assert_eq!((answers_after(119_000), answers_after(1_000)), (0, 1));
}

#[test]
fn logs_are_answers_like_all_others() {
    let mut world = World::planned();
    world.rules.comments_per_hour = Some(60);
    for _ in 0..60 {
        world.comment("/modelship logs abcd");
        let asked = world.names().iter().position(|name| *name == "CheckCommand").unwrap();
        world.answer(asked, Luck::Good);
    }
    assert_eq!((world.asked("QuoteLog").len(), world.posted.len()), (19, 1), "{:?}", world.posted);
    assert!(world.posted[0].starts_with("quiet/"));
}

#[test]
fn a_flood_of_commands_that_need_no_words_gets_so_many_reactions_and_no_more() {
    let mut world = World::planned();
    world.rules.comments_per_hour = Some(60);
    for _ in 0..100 {
        world.comment("/modelship plan").answer(0, Luck::Good);
    }
    assert!((20..100).contains(&world.reactions.len()), "{}", world.reactions.len());
    assert!(world.posted.is_empty(), "{:?}", world.posted);
}

#[test]
fn a_result_comes_later() {
    let mut world = World::running();
    world.rules.comments_per_hour = Some(60);
    for _ in 0..40 {
        world.comment("/modelship help");
    }
    world.due.clear();
    world.drain();
    assert_eq!(world.posted.iter().filter(|marker| marker.starts_with("result/")).count(), 1);
    assert!(world.due[0] > world.now, "in its turn");
}

#[test]
fn results_that_go_round_in_circles_are_broken_off_which_is_said_once() {
    for comments_per_hour in [1, 9, 10, 18, 60, 600] {
        go_round_in_circles(comments_per_hour);
    }
}

fn go_round_in_circles(comments_per_hour: u32) {
    let mut world = World::running();
    world.drain();
    world.rules.comments_per_hour = Some(comments_per_hour);
    let PullSweepPhase::Started { report } = world.file().clone() else { panic!("{:?}", world.file()) };
    assert!(report.phase.is_terminal());
    let mut rounds = report.round..;
    let mut end = |world: &mut World, times: usize| {
        world.posted.clear();
        world.due.clear();
        for round in rounds.by_ref().take(times) {
            let report = Box::new(SweepReport { round, ..(*report).clone() });
            world.tell_pull(Event::SweepAdvanced { sweep: report.plan.id.clone(), report });
        }
        let (results, told): (Vec<_>, Vec<_>) = world.posted.drain(..).partition(|it| it.starts_with("result/"));
        assert!(told.iter().all(|marker| marker.starts_with("stopped/")), "{told:?}");
        (results.len(), told.len())
    };
    let began = world.now;
    let most = 19 + usize::try_from(comments_per_hour).unwrap();
    assert_eq!(end(&mut world, 1_000), (most, 1), "twenty at once, and what fits into an hour");
    let latest = world.due.iter().max().unwrap();
    assert!(latest.since(began) <= Duration::from_secs(3600), "{latest:?}");
    assert!(world.said.last().unwrap().contains("I am 1 h behind"), "{:?}", world.said.last());
    // Whoever asks for something is answered no more truly than that.
    world.comment("/modelship help");
    assert!(world.posted[0].starts_with("quiet/") && !world.said.last().unwrap().contains("results"));
    // Nothing opens it a little, and what is left out is not put off. What stands in place goes on.
    world.now = began.plus(Duration::from_secs(59 * 60));
    assert_eq!(end(&mut world, 50), (0, 0));
    assert!(world.edited.last().unwrap().starts_with("sweep/"));
    // Once all is written, a result is a comment again, and the next circle is broken off like this one.
    world.now = began.plus(Duration::from_secs(2 * 3600 + 60));
    assert_eq!(end(&mut world, 1), (1, 0));
    assert_eq!(end(&mut world, 1_000).1, 1);
}

#[test]
fn a_key_of_another_pull_request_hears_nothing() {
    let mut world = World::planned();
    let before = world.pull_state();
    let pressed = Event::SweepPressed {
        marker: "sweep/sweeps/other.yaml".to_owned(),
        commit: commit(2),
        check: 1,
        press: Press::Again,
        author: ada(),
    };
    world.tell(Key::Pull(pull()), pressed);
    assert_eq!((world.names(), world.pull_state()), (Vec::new(), before));
}
