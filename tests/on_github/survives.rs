//! A server that is killed in the middle of everything: the thread on GitHub ends as if nothing had been.

use std::time::{Duration, SystemTime};

use crate::github::{GitHub, Opened};
use crate::hub::{HUB, Hub, says};
use crate::world::World;
use crate::world::tables::numbers;

/// How often the server is killed.
const KILLS: u32 = 30;

/// A sweep is asked for, started, and answered. Gives the pull request's number.
fn story(github: &GitHub, world: &World) -> u64 {
    world.checkout("main");
    let sweep = "sweep: sizes\nmodel: examples/identity-matrix\nparameters:\n  N: [1, 2, 3, 4, 5, 6]\n";
    world.write("sweeps/sizes.yaml", sweep);
    world.push_branch("sizes", "Ask for a sweep");
    let opened = Opened { author: "ada", title: "A sweep", head: "sizes", base: "main", draft: false };
    let number = github.open_pull(HUB, &opened);
    let until_said = |words: &str| {
        world.until(&format!("a comment with `{words}`"), |_| {
            github.app_comments(HUB, number).into_iter().find(|comment| says(&comment.body, words))
        });
    };
    until_said("/modelship run sizes");
    github.comment_as("ada", HUB, number, "/modelship run");
    until_said("6 runs done");
    number
}

#[test]
fn a_server_that_is_killed_over_and_over_says_everything_once() {
    let mut hub = Hub::as_app_on_one_port();
    // Whatever lives shorter than the killer's pause leaves no trace of its own.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut random = now.subsec_nanos();
    eprintln!("the lives of the servers follow from {random}");
    let mut left = KILLS;
    let life = || {
        left = left.checked_sub(1)?;
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(Duration::from_millis(u64::from(random >> 16) % 600))
    };
    let mut number = 0;
    let Hub { world, github, .. } = &mut hub;
    let killed = world.under_kills(life, |world| number = story(github, world));
    assert!(killed > 2, "{killed}");
    hub.world.until_idle();
    assert_eq!(numbers(&hub.world.analysis("sizes"), "trace"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(hub.subjects(number), ["result", "sweep"], "after {killed} kills: {:#?}", hub.ours(number));
    // The plan's check is one, and what ran has another.
    assert_eq!(hub.conclusions("sizes"), ["modelship/sweep sizes: neutral", "modelship/sweep sizes: success"]);
}
