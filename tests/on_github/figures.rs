//! What a server that works for GitHub says of itself in numbers.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::done::{Done, done, text};
use crate::github::Fault;
use crate::hub::HUB;
use crate::world::figures::figures;

const AGE: &str = "modelship_oldest_task_age_seconds";

fn numbers(done: &Done) -> BTreeMap<String, f64> {
    figures(&text(&done.program("/metrics", None)))
}

#[test]
fn numbers_tell_what_was_done_what_waits_for_how_long_and_what_github_still_takes() {
    let done = done("");
    let (hub, github) = (&done.hub, &done.hub.github);
    github.until_delivered();
    let told = github.deliveries();
    let taken = told.iter().filter(|delivery| delivery.status_code == 202).count();
    let seen = numbers(&done);
    for (name, value) in [
        ("modelship_runs_total{result=succeeded}", 2.0),
        ("modelship_runs_total{result=model_error}", 1.0),
        ("modelship_builds_total{result=passed}", 2.0),
        ("modelship_tasks{state=given_up}", 0.0),
        ("modelship_deliveries_total{result=accepted}", f64::from(u32::try_from(taken).unwrap())),
        ("modelship_deliveries_total{result=refused}", 0.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {seen:#?}");
    }

    // Looking again at what did not change costs nothing, so it stays as it is once it is known.
    github.set_rate_limit(4_000, 3_600);
    // An answer to a command waits for as long as GitHub is away.
    github.fail_next(1_000, "POST */issues/*/comments", Fault::BadGateway);
    let begun = Instant::now();
    github.comment_as("ada", HUB, done.number, "/modelship walk");
    hub.until_asked(1, "POST */issues/*/comments");
    let refused = Instant::now();
    hub.world.until("it waits for some seconds", |_| {
        let (before, seen) = (refused.elapsed(), numbers(&done));
        let (age, after) = (seen[AGE], begun.elapsed());
        // A wall clock may be set a little meanwhile.
        assert!(before.as_secs_f64() - 0.2 <= age && age <= after.as_secs_f64() + 0.2, "{before:?} {age} {after:?}");
        let waiting = seen["modelship_tasks{state=effect_waiting}"] + seen["modelship_tasks{state=under_way}"];
        assert!(waiting >= 1.0, "{seen:#?}");
        (age > 2.0).then_some(())
    });
    github.heal();
    hub.until_said(done.number, &["walk"]);
    hub.world.until_idle();
    hub.world.until("nothing waits for long", |_| (numbers(&done)[AGE] < 2.0).then_some(()));
    for whose in ["app", "installation"] {
        hub.world.until("what is left is what GitHub says", |_| {
            let left = github.left(whose);
            assert!(left < if whose == "app" { 5_000 } else { 4_000 }, "{left}");
            let name = format!("modelship_forge_requests_left{{resource={whose}}}");
            (numbers(&done).get(&name) == Some(&f64::from(u32::try_from(left).unwrap()))).then_some(())
        });
    }
}
