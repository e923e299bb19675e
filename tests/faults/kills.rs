//! The server is killed at two hundred random moments of a story: a push, a pull request, a build, a sweep, its result,
//! a merge. How each story ends is compared with how it ends when nobody disturbs it.
//!
//! `MODELSHIP_TEST_SEED` repeats the moments of an earlier time; a failure tells its seed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::trouble::{self, executed, sweep};
use crate::world::World;

/// How many kills in all.
const KILLS: usize = 200;

/// Most kills of one story, so that each comes to its end.
const KILLS_OF_A_STORY: usize = 25;

/// Worlds at once.
const WORLDS: u64 = 3;

/// The points of the story's sweep.
const POINTS: u32 = 12;

/// Numbers that nobody can guess and everybody can repeat (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How long the next server lives: often less than its start takes, mostly until somewhere in the story.
    fn life(&mut self) -> Duration {
        let most = if self.next().is_multiple_of(4) { 100 } else { 500 };
        Duration::from_millis(self.next() % most)
    }
}

/// How a story ended, as far as it must end the same way every time.
#[derive(Debug, PartialEq)]
struct End {
    executed: Vec<String>,
    /// The analysis without what was measured.
    analysis: Vec<Vec<String>>,
    comments: Vec<String>,
    statuses: Vec<String>,
    versions: usize,
    moves: Vec<(String, usize)>,
}

/// Changes the model, sweeps it, reads the result, merges.
fn story(world: &World) {
    world.write("models/trouble/NOTES.md", "a thought\n");
    let values = [&format!("N: {{range: {{start: 1, stop: {POINTS}, step: 1}}}}"), "SLEEP: 0.1", "MARK: 1"];
    world.write("sweeps/story.yaml", &sweep("story", &values));
    world.push_branch("story", "Tell a story");
    let number = world.open_pull("story", "A story");
    world.until_comment(number, &["/modelship run story"]);
    world.until_comment(number, &["What this pull request does to", "/modelship compare"]);
    world.comment(number, "/modelship run");
    world.until_comment(number, &[&format!("{POINTS} runs done"), "analysis.csv"]);
    world.modelship(&["pr", "merge", &number.to_string()]).ok();
    world.until("the merge is in production", |world| {
        let said = world.modelship(&["versions", "examples/trouble", "--history", "production", "--output", "json"]);
        (said.status == 0 && said.json().as_array().unwrap().len() > 1).then_some(())
    });
}

fn end(world: &World) -> End {
    world.until_idle();
    let table = world.analysis("story");
    let told = table.0.iter().position(|name| name == "wall_seconds").unwrap();
    let analysis = [std::slice::from_ref(&table.0), table.1.as_slice()].concat();
    let thread = world.modelship(&["pr", "show", "1", "--output", "json"]).ok().json();
    let statuses = thread["statuses"].as_array().unwrap().iter();
    let mut statuses: Vec<_> = statuses.map(|status| format!("{}: {}", status["context"], status["state"])).collect();
    statuses.sort_unstable();
    let versions = world.modelship(&["versions", "examples/trouble", "--output", "json"]).ok().json();
    let moves = ["production", "pr-1", "story"].map(|channel| {
        let said = world.modelship(&["versions", "examples/trouble", "--history", channel, "--output", "json"]);
        (channel.to_owned(), if said.status == 0 { said.json().as_array().unwrap().len() } else { 0 })
    });
    // Which of the first two comments is written first is nobody's promise.
    let mut comments: Vec<_> = world.comments(1).iter().map(|body| steady(body)).collect();
    comments.sort_unstable();
    End {
        executed: executed(&world.state()),
        analysis: analysis.into_iter().map(|row| row[..told].to_vec()).collect(),
        comments,
        statuses,
        versions: versions.as_array().unwrap().len(),
        moves: moves.to_vec(),
    }
}

/// A text without what differs from world to world: ids, paths, times and sizes.
fn steady(text: &str) -> String {
    let words = text.split_inclusive(|c: char| c.is_whitespace() || "`*()".contains(c));
    let mut steady: Vec<&str> = Vec::new();
    for word in words {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let id = bare.len() >= 7 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let unit = ["ms", "s", "B", "KiB"].contains(&bare);
        if unit {
            // The number before it.
            steady.pop();
        }
        steady.push(if id || unit || word.contains("/tmp/") || word.contains("story-") { "~" } else { word });
    }
    steady.concat()
}

#[test]
fn a_server_killed_at_two_hundred_moments_ends_its_stories_as_if_nothing_had_been() {
    let world = trouble::world("");
    story(&world);
    let undisturbed = end(&world);
    let expected: Vec<_> = (1..=POINTS).map(|n| format!("fine {n}")).collect();
    let mut once = undisturbed.executed.clone();
    once.sort_by_key(|line| line.trim_start_matches("fine ").parse::<u32>().unwrap());
    assert_eq!(once, expected, "each run is executed once");
    assert_eq!((undisturbed.versions, undisturbed.comments.len()), (3, 4), "{undisturbed:#?}");
    drop(world);

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = std::env::var("MODELSHIP_TEST_SEED").map_or(now.as_secs(), |seed| seed.parse().unwrap());
    eprintln!("MODELSHIP_TEST_SEED={seed} repeats these kills");
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..WORLDS {
            let (kills, undisturbed) = (&kills, &undisturbed);
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_add(number));
                while kills.load(Ordering::Relaxed) < KILLS {
                    let mut world = trouble::world("");
                    let mut left = KILLS_OF_A_STORY;
                    let life = || {
                        left = left.checked_sub(1)?;
                        Some(random.life())
                    };
                    let killed = world.under_kills(life, story);
                    kills.fetch_add(killed, Ordering::Relaxed);
                    eprintln!("world {number}: {killed} kills");
                    assert_eq!(end(&world), *undisturbed, "after {killed} kills, MODELSHIP_TEST_SEED={seed}");
                }
            });
        }
    });
}

/// Waits for the result of a sweep of six runs.
fn until_all_are_done(world: &World, number: u64, name: &str) {
    let result = world.until_comment(number, &[&format!("`{name}`"), "6 runs done", "analysis.csv"]);
    assert!(!result.contains("of 6 runs done"), "{result}");
}

#[test]
fn no_slot_stays_taken_and_no_two_share_one_however_often_the_server_is_killed() {
    let mut world = trouble::world("process: {slots: 1}\n");
    let runs = |world: &World, name: &str, first: u32| {
        let range = format!("N: {{range: {{start: {first}, stop: {}, step: 1}}}}", first + 5);
        world.write(&format!("sweeps/{name}.yaml"), &sweep(name, &["MODE: alone", &range, "SLEEP: 0.3"]));
    };
    runs(&world, "one", 1);
    runs(&world, "two", 11);
    world.push_branch("both", "Ask for two sweeps");
    let number = world.open_pull("both", "Two sweeps");
    let names = ["one", "two"];
    for name in names {
        world.until_comment(number, &[&format!("/modelship run {name}")]);
    }
    let mut lives = (3..15).map(|life| Duration::from_millis(life * 50));
    let killed = world.under_kills(
        || lives.next(),
        |world| {
            for name in names {
                world.comment(number, &format!("/modelship run {name}"));
            }
            for name in names {
                until_all_are_done(world, number, name);
            }
        },
    );
    assert!(killed > 3, "it is to be killed in the middle, and was {killed} times");
    world.until_idle();

    runs(&world, "three", 21);
    world.push_branch("after", "Ask for one more");
    let number = world.open_pull("after", "One more");
    world.until_comment(number, &["/modelship run three"]);
    world.comment(number, "/modelship run three");
    until_all_are_done(&world, number, "three");
    world.until_idle();
    let slots: Vec<_> = std::fs::read_dir(world.state().join("slots")).unwrap().collect();
    assert_eq!(slots.len(), 2, "the slot and the gate: {slots:?}");
    for slot in slots {
        let slot = slot.unwrap().path();
        world.until(&format!("{} is free", slot.display()), |_| std::fs::File::open(&slot).unwrap().try_lock().ok());
    }
}
