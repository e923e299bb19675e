//! Buttons beside sweeps that are easily taken for one another.

use modelship::domain::check::{Button, Press};
use modelship::domain::event::{ChangedSweep, Event, Key, SweepRequest};
use modelship::domain::ids::SweepName;
use modelship::domain::pull::PullSweepPhase;
use modelship::domain::sweep::plan::PlanSummary;

use crate::driver::*;
use crate::things::*;

const TWINS: [&str; 2] = ["sweeps/deduction.yml", "sweeps/old/deduction.yaml"];

fn planned(path: &str, plan: PlanSummary) -> Event {
    Event::SweepPlanned { path: path.to_owned(), head: commit(2), result: Ok(Box::new(plan)) }
}

fn press(path: &str, button: Button) -> Event {
    let press = Press::Button { button };
    Event::SweepPressed { marker: format!("sweep/{path}"), commit: commit(2), check: 9, press, author: ada() }
}

/// A pull request with two files that declare sweeps of one name, both planned.
fn twins() -> World {
    let mut world = World::new();
    let Event::PullInspected { looked_at, snapshot, faults, .. } = world.inspected() else { panic!() };
    let request = SweepRequest { name: SweepName::parse("deduction").unwrap(), model: model(), reference: None };
    let sweep = |path: &str| ChangedSweep { path: path.to_owned(), request: Ok(request.clone()) };
    let sweeps = TWINS.map(sweep).to_vec();
    world.tell_pull(Event::PullInspected { looked_at, snapshot, models: Vec::new(), sweeps, faults });
    world.open.clear();
    for (path, design) in TWINS.iter().zip([0, 1]) {
        world.tell_pull(planned(path, plan(design, 2)));
    }
    world
}

fn started(world: &World) -> Vec<&'static str> {
    let phases = world.pull_state().sweeps;
    TWINS.into_iter().filter(|path| matches!(phases[*path].phase, PullSweepPhase::Started { .. })).collect()
}

#[test]
fn sweeps_of_one_name_have_checks_and_buttons_of_their_own() {
    let mut world = twins();
    let names = TWINS.map(|path| format!("modelship/sweep deduction ({path})"));
    let run = names.clone().map(|name| world.shown(&name).buttons[0].clone());
    world.tell_pull(press(TWINS[1], run[1].clone())).answer(0, Luck::Good);
    assert_eq!(started(&world), [TWINS[1]]);
    world.tell_pull(press(TWINS[0], run[0].clone())).answer(1, Luck::Good);
    assert_eq!(started(&world), TWINS);
    world.tell_pull(press(TWINS[0], Button::Cancel));
    let at = world.names().iter().position(|name| *name == "CheckCommand").unwrap();
    world.answer(at, Luck::Good);
    let cancelled = world.sweeps().into_iter().filter(|sweep| sweep.ending.is_some());
    assert_eq!(cancelled.map(|sweep| &sweep.plan.id).collect::<Vec<_>>(), [&plan(0, 2).id]);
}

#[test]
fn a_plan_that_changes_while_permission_is_looked_up_is_not_started() {
    let mut world = World::planned();
    let run = Button::run(&plan(1, 2));
    world.tell_pull(press(SWEEP_FILE, run));
    assert_eq!(world.names(), ["CheckCommand"]);
    // Nearly at the same moment, so that time does not tell them apart.
    world.tell_pull(planned(SWEEP_FILE, plan(2, 2))).answer(0, Luck::Good);
    assert!(matches!(world.file(), PullSweepPhase::Planned { .. }), "{:?}", world.file());
    assert_eq!(world.posted.len(), 1, "and that is said");
    // A command is for what is shown.
    world.comment("/modelship run deduction").drain();
    assert_eq!(world.sweeps().len(), 1);
}

#[test]
fn the_faults_of_a_manifest_stand_in_one_check() {
    let mut world = World::new();
    world.tell(Key::Repository(hub()), push("refs/heads/work", None, 2));
    let fault = |file: &str, line| modelship::domain::diagnostic::Diagnostic {
        line,
        ..modelship::domain::diagnostic::Diagnostic::of_file(file, "no such key", None)
    };
    let mut faults: Vec<_> = (1..=120).map(|line| fault("config/urban/tax.yaml", line)).collect();
    faults.push(fault("config/urban/rent.yaml", 3));
    world.tell(
        Key::Repository(hub()),
        Event::PushInspected {
            reference: "refs/heads/work".to_owned(),
            commit: commit(2),
            default_branch: "main".to_owned(),
            models: Vec::new(),
            faults,
        },
    );
    let shown: Vec<_> =
        world.checks.iter().map(|((_, name), check)| (name.as_str(), check.annotations.len())).collect();
    let name = |title: &str| format!("modelship/manifest config/urban/{title}.yaml");
    assert_eq!(shown, [(name("rent").as_str(), 1), (name("tax").as_str(), 120)]);
    assert_eq!(world.shows, 2, "each is written once");
    assert!(world.shown(&name("tax")).title.starts_with("120 faults to repair; the first: "));
}
