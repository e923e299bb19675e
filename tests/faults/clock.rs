//! The clock is set back by an hour while pauses and leases run. The real programs run under libfaketime, which tells
//! them a time that the story can change.

use std::fs;
use std::path::{Path, PathBuf};

use crate::trouble::{self, executed, sweep};
use crate::world::World;

/// Where Debian and Ubuntu have libfaketime.
fn libfaketime() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
    found.expect("libfaketime is needed: scripts/install-needs test")
}

/// A clock that every program of a world goes by.
struct Clock {
    file: tempfile::NamedTempFile,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { file: tempfile::NamedTempFile::new().unwrap() };
        clock.set("+0");
        clock
    }

    /// Sets the clock this far from the true time.
    fn set(&self, offset: &str) {
        // Put in place whole: programs read it at any moment.
        let new = self.path().with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// What makes a program go by this clock. Only the time of day: durations are measured as ever.
    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", libfaketime().to_str().unwrap().to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.path().to_str().unwrap().to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn held(world: &World, name: &str, first: u32) -> u64 {
    world.checkout("main");
    let points = format!("N: {{range: {{start: {first}, stop: {}, step: 1}}}}", first + 9);
    world.write(&format!("sweeps/{name}.yaml"), &sweep(name, &[&points, "SLEEP: 0.3", "MARK: 1"]));
    world.push_branch(name, "Sweep");
    let number = world.open_pull(name, "A sweep");
    world.until_comment(number, &[&format!("/modelship run {name}")]);
    number
}

fn started(world: &World, number: u64, name: &str) {
    world.comment(number, "/modelship run");
    world.until("some runs are done", |world| {
        let said = world.modelship(&["sweep", "status", name, "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn a_clock_set_back_by_an_hour_stops_nothing_and_does_nothing_twice() {
    let clock = Clock::new();
    let mut world = World::empty();
    world.environment = clock.environment();
    world.add_settings("comment_interval: 2s\nreconcile_every: 1s\n");
    trouble::settle(&mut world);

    // While a sweep runs, and an edit of its comment waits.
    let number = held(&world, "running", 1);
    started(&world, number, "running");
    clock.set("-1h");
    world.until_comment(number, &["10 runs done", "analysis.csv"]);
    world.until_comment(number, &["10 of 10 runs", "The results are below."]);
    world.until("the server has noticed", |world| world.server_log().contains("the clock was set back").then_some(()));

    // While the server is down, which has leases and pauses in the future then.
    let number = held(&world, "killed", 101);
    started(&world, number, "killed");
    world.kill_server();
    clock.set("-2h");
    world.start_server();
    world.until_comment(number, &["10 runs done", "analysis.csv"]);
    world.until_comment(number, &["10 of 10 runs", "The results are below."]);
    world.until_idle();

    let mut expected: Vec<_> = (1..=10).chain(101..=110).map(|n| format!("fine {n}")).collect();
    expected.sort_unstable();
    assert_eq!(executed(&world.state()), expected, "each run once");
    for number in [1, 2] {
        assert_eq!(world.comments(number).len(), 2, "the plan and the result: {:#?}", world.comments(number));
    }
}

#[test]
fn a_plan_that_was_shown_by_a_later_clock_is_started_by_the_second_command() {
    let clock = Clock::new();
    let mut world = World::empty();
    world.environment = clock.environment();
    trouble::settle(&mut world);
    let number = held(&world, "shown", 1);
    clock.set("-1h");
    world.comment(number, "/modelship run");
    world.until_comment(number, &["its plan is newer than your command", "give the command again"]);
    world.comment(number, "/modelship run");
    world.until_comment(number, &["10 runs done", "analysis.csv"]);
}

#[test]
fn a_channel_that_a_later_clock_moved_is_moved_on_by_the_next_command() {
    let clock = Clock::new();
    clock.set("+1d");
    let mut world = World::empty();
    world.environment = clock.environment();
    trouble::settle(&mut world);
    clock.set("+0");
    world.checkout("main");
    world.write("models/trouble/NOTES.md", "a change\n");
    world.push_branch("change", "Change the model");
    let number = world.open_pull("change", "A change");
    world.until_comment(number, &["passed"]);
    world.comment(number, "/modelship promote examples/trouble production");
    world.until_comment(number, &["`production` of `examples/trouble` moved from version"]);
}
