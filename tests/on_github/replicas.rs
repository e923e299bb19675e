//! Two servers that share a database, an artifact store and a registry of images: whichever of them is killed, and
//! whenever, GitHub sees one.

use std::time::Duration;

use crate::github::Opened;
use crate::hub::{HUB, Hub, free_address, says};
use crate::world::docker::docker_settings;
use crate::world::postgres::Postgres;
use crate::world::tables::{numbers, texts};

/// How often the second server is killed.
const KILLS: u64 = 12;

#[test]
fn two_servers_say_everything_once_while_either_is_killed() {
    let postgres = Postgres::start();
    let mut hub = Hub::empty();
    hub.world.add_settings(&format!("server: {{listen: \"{}\"}}\nartifacts: shared\n", free_address()));
    hub.world.add_settings(&format!("{}{}", postgres.settings(), docker_settings("replicas")));
    let settings = hub.app_settings();
    hub.begin(&settings);
    // GitHub goes on telling the first one; the second hears of everything through what they share.
    let mut first = Some(hub.world.start_replica());

    let sweep = "sweep: sizes\nmodel: examples/identity-matrix\nparameters:\n  \
                 N: {range: {start: 1, stop: 24, step: 1}}\n  SLEEP: 0.3\n";
    hub.world.checkout("main");
    hub.world.write("sweeps/sizes.yaml", sweep);
    hub.world.push_branch("sizes", "Ask for a sweep");
    let Hub { world, github, .. } = &mut hub;
    let number =
        github.open_pull(HUB, &Opened { author: "ada", title: "A sweep", head: "sizes", base: "main", draft: false });
    let mut lives = (1..=KILLS).map(|kill| Duration::from_millis(kill * 377 % 1_500));
    let killed = world.under_kills(
        || lives.next(),
        |world| {
            let until_said = |words: &str| {
                world.until(&format!("a comment with `{words}`"), |_| {
                    github.app_comments(HUB, number).into_iter().find(|comment| says(&comment.body, words))
                })
            };
            until_said("/modelship run sizes");
            github.comment_as("ada", HUB, number, "/modelship run");
            until_said("of 24");
            assert!(first.as_mut().unwrap().is_alive());
            first.take().unwrap().kill();
            until_said("24 runs done");
        },
    );
    assert!(killed > 2, "{killed}");

    hub.world.until_idle();
    assert_eq!(hub.subjects(number), ["result", "sweep"], "{:#?}", hub.ours(number));
    assert_eq!(hub.conclusions("sizes"), ["modelship/sweep sizes: neutral", "modelship/sweep sizes: success"]);
    let table = hub.world.analysis("sizes");
    assert_eq!(numbers(&table, "N"), (1..=24).map(f64::from).collect::<Vec<_>>());
    assert!(texts(&table, "status").iter().all(|status| status == "succeeded"));
}
