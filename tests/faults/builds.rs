//! Builds that cannot begin, fail, print without end, or never end: told in the pull request, once, and nothing of them
//! is left.

use std::time::{Duration, Instant};

use crate::trouble::{self, MANIFEST};
use crate::world::World;

/// What is built, and what the pull request says about it.
const BUILDS: &[(&str, &str, &[&str])] = &[
    ("missing-program", "[[no-such-program, --all]]", &["no-such-program", "did not start"]),
    ("missing-make", "[['./configure']]", &["./configure", "did not start"]),
    ("failing", "[[sh, -c, 'echo a wrong turn; exit 7']]", &["ended with status 7", "a wrong turn"]),
    (
        "talkative",
        "[[sh, -c, 'echo begin; head -c 104857600 /dev/zero | tr \"\\\\0\" x; echo; echo the very end; exit 8']]",
        &["ended with status 8", "the very end"],
    ),
    (
        "endless",
        "[[sh, -c, 'echo started; sleep 7393 & setsid sleep 7394 & sleep 7395']]",
        &["the build took longer than its limit of 2s", "started"],
    ),
    ("leaving", "[[sh, -c, 'setsid sleep 7396 & exit 9']]", &["ended with status 9"]),
];

fn versions(world: &World) -> usize {
    let listed = world.modelship(&["versions", "examples/trouble", "--output", "json"]).ok().json();
    listed.as_array().unwrap().len()
}

#[test]
fn a_build_that_does_not_come_to_its_end_is_told_once_and_leaves_nothing() {
    let world = trouble::world("");
    let begin = Instant::now();
    let mut pulls = Vec::new();
    for (name, commands, _) in BUILDS {
        world.checkout("main");
        let manifest =
            MANIFEST.replace("build: {process: []}", &format!("build:\n  process: {commands}\n  timeout: 2s"));
        world.write("config/examples/trouble.yaml", &manifest);
        world.push_branch(name, "Build in another way");
        pulls.push(world.open_pull(name, name));
    }
    for ((name, _, words), number) in BUILDS.iter().zip(pulls) {
        let comment = world.until_comment(number, &["examples/trouble", "failed in", "Last lines of the log"]);
        let plain = comment.replace('\\', "");
        for word in *words {
            assert!(plain.contains(word), "{name}: no `{word}` in {comment}");
        }
        assert!(comment.len() < 20_000, "{name}: {} bytes", comment.len());
        assert_eq!(world.comments(number).len(), 1, "{name}: told once");
        let thread = world.modelship(&["pr", "show", &number.to_string(), "--output", "json"]).ok().json();
        let statuses = thread["statuses"].as_array().unwrap();
        assert!(statuses.iter().all(|status| status["state"] == "failure"), "{name}: {statuses:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(60), "nobody waits for what never ends: {:?}", begin.elapsed());
    world.until_idle();
    assert_eq!(versions(&world), 1, "no version came of any of them");
    assert!(!world.is_running("sleep"), "what they started has ended");
    assert_eq!(std::fs::read_dir(world.state().join("scratch")).unwrap().count(), 0, "nothing is left in scratch");

    // The next push mends it.
    world.write("config/examples/trouble.yaml", &format!("{MANIFEST}# mended\n"));
    world.push_branch("endless", "Build nothing");
    world.until("the mended branch has a version", |world| {
        (world.modelship(&["versions", "examples/trouble", "endless"]).status == 0).then_some(())
    });
}
