//! A server that is killed at every step: each time that it asked GitHub for something to be done, it dies right before
//! it hears what came of it, or right after. In the end people see what they would have seen anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::github::{GitHub, Held, Holds, Opened, numberless};
use crate::hub::{HUB, Hub, says};
use crate::world::World;

const MODEL: &str = "examples/identity-matrix";

/// When the server dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// GitHub did what was asked, and the answer never arrives.
    BeforeItHears,
    /// The answer was just sent.
    AfterItHeard,
}

/// What came of the story.
struct Told {
    /// All that people see, line by line.
    seen: Vec<String>,
    /// What the server asked GitHub to do for it.
    steps: BTreeSet<String>,
}

/// A model is changed, swept, and promoted, by a pull request. Gives its number.
fn story(github: &GitHub, world: &World) -> u64 {
    world.checkout("main");
    world.write("models/identity-matrix/NOTES.md", "a thought\n");
    world.write(
        "sweeps/change.yaml",
        &format!("sweep: change\nmodel: {MODEL}\nparameters: {{N: [1, 2, 3, 4], SLEEP: 1}}\n"),
    );
    world.write("sweeps/faulty.yaml", &format!("sweep: faulty\nmodel: {MODEL}\nparameters: {{NOTHING: 1}}\n"));
    world.push_branch("change", "Change the model");
    let opened = Opened { author: "ada", title: "A change", head: "change", base: "main", draft: false };
    let number = github.open_pull(HUB, &opened);
    let until_said = |words: &str| {
        world.until(&format!("a comment with `{words}`"), |_| {
            github
                .comments(HUB, number)
                .into_iter()
                .find(|comment| comment.body.contains("<!-- modelship:") && says(&comment.body, words))
        });
    };
    until_said("/modelship run change");
    github.comment_as("ada", HUB, number, "/modelship run change");
    until_said("4 runs done");
    github.comment_as("ada", HUB, number, &format!("/modelship promote {MODEL} production"));
    until_said("moved from version");
    world.until_idle();
    number
}

/// What the story comes to when nothing happens to the server.
fn undisturbed(hub: &Hub) -> Told {
    hub.world.until_idle();
    let before = hub.github.log().len();
    let number = story(&hub.github, &hub.world);
    let asked = hub.github.log().into_iter().skip(before).filter(|asked| asked.method != "GET");
    let steps = asked.map(|asked| step(&format!("{} {}", asked.method, asked.path), &asked.body.to_string()));
    Told { steps: steps.collect(), seen: seen(hub, number) }
}

/// What it comes to when the server dies at each step.
fn killed(hub: &mut Hub, moment: Moment) -> Told {
    hub.world.until_idle();
    let holds = hub.github.hold_answers();
    let (mut steps, mut held, mut number) = (BTreeSet::new(), None, 0);
    let Hub { world, github, .. } = hub;
    let next = || {
        // Whoever asked for it is dead.
        drop(held.take());
        let caught: Held = holds.next()?;
        steps.insert(step(&caught.request, &caught.body));
        match moment {
            Moment::BeforeItHears => held = Some(caught),
            Moment::AfterItHeard => caught.answer(),
        }
        Some(Duration::ZERO)
    };
    let kills = world.under_kills(next, |world| {
        let _ended = End(&holds);
        number = story(github, world);
    });
    assert!(kills >= steps.len(), "{kills} kills at {steps:#?}");
    Told { seen: seen(hub, number), steps }
}

/// Lets answers pass once the story is over, however it ended.
struct End<'a>(&'a Holds);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What a request is, whatever it says in numbers.
fn step(request: &str, body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let marker = text("body")
        .rsplit_once("<!-- modelship:")
        .map_or(String::new(), |(_, marker)| marker.split(['/', ' ']).next().unwrap().to_owned());
    let named = ["name", "context", "environment", "state", "conclusion", "content"].map(text);
    let about = [marker].into_iter().chain(named).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    plain(format!("{} {about}", numberless(request)).trim())
}

/// All that people see of the story, in no order of time.
fn seen(hub: &Hub, number: u64) -> Vec<String> {
    let github = &hub.github;
    let mut seen = Vec::new();
    for comment in github.comments(HUB, number) {
        let mut reactions = github.reactions(HUB, comment.id);
        reactions.sort_unstable();
        seen.push(format!("comment: {} {reactions:?}", plain(&comment.body)));
    }
    for branch in ["main", "change"] {
        let commit = hub.commit(branch);
        let mut checks = BTreeMap::new();
        for check in github.checks(HUB, &commit) {
            let annotations = github.annotations(HUB, check["id"].as_u64().unwrap());
            let (title, summary) = (&check["output"]["title"], &check["output"]["summary"]);
            let said = plain(&format!("{} {title} {summary} {annotations:?}", check["conclusion"]));
            checks.insert(check["name"].to_string(), said);
        }
        // The newest comes first.
        for status in github.statuses(HUB, &commit).into_iter().rev() {
            checks.insert(
                status["context"].to_string(),
                plain(&format!("{} {}", status["state"], status["description"])),
            );
        }
        seen.extend(checks.into_iter().map(|(name, said)| format!("check beside {branch}: {name} {said}")));
    }
    for (shown, said) in github.deployments(HUB) {
        let states: Vec<_> =
            said.iter().map(|status| plain(&format!("{} {}", status["state"], status["description"]))).collect();
        seen.push(format!(
            "deployment: {} {} {states:?}",
            shown["environment"],
            plain(&shown["description"].to_string())
        ));
    }
    seen.sort_unstable();
    seen
}

/// A text without what differs each time: hashes, ids, times and sizes.
fn plain(text: &str) -> String {
    const UNITS: [&str; 6] = ["ms", "s", "min", "h", "B", "KiB"];
    let all = |word: &str, fits: fn(u8) -> bool| word.bytes().all(fits);
    let is_id = |word: &str| {
        word.len() >= 7 && all(word, |byte| byte.is_ascii_hexdigit())
            || word.len() >= 5 && all(word, |byte| byte.is_ascii_digit())
    };
    let is_number = |word: &str| !word.is_empty() && all(word, |byte| byte.is_ascii_digit() || byte == b'.');
    let mut words: Vec<&str> = Vec::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if UNITS.contains(&word)
            && let [.., number, " "] = words.as_slice()
            && is_number(number)
        {
            words.truncate(words.len() - 2);
            // A time may have two parts.
            if words.ends_with(&["MEASURE", " "]) {
                words.truncate(words.len() - 2);
            }
            words.push("MEASURE");
        } else {
            words.push(if is_id(word) { "ID" } else { word });
        }
        words.push(&part[word.len()..]);
    }
    words.concat()
}

/// Nothing is missing, nothing is there twice, and the server died at each of the steps.
fn check(before: &Told, after: &Told) {
    let only = |one: &Told, other: &Told| -> Vec<String> {
        one.seen.iter().filter(|line| !other.seen.contains(line)).cloned().collect()
    };
    let (lost, new) = (only(before, after), only(after, before));
    assert!(lost.is_empty() && new.is_empty(), "nobody sees any more: {lost:#?}\nbut instead: {new:#?}");
    assert_eq!(after.seen, before.seen);
    let missing: Vec<_> = before.steps.difference(&after.steps).collect();
    assert!(missing.is_empty(), "it did not die at {missing:#?}");
}

/// The story of an App to which nothing happens.
fn of_an_app() -> &'static Told {
    static TOLD: OnceLock<Told> = OnceLock::new();
    TOLD.get_or_init(|| undisturbed(&Hub::as_app()))
}

#[test]
fn whoever_dies_at_each_step_before_hearing_that_it_was_done_does_it_once() {
    check(of_an_app(), &killed(&mut Hub::as_app_on_one_port(), Moment::BeforeItHears));
}

#[test]
fn whoever_dies_at_each_step_right_after_it_was_done_does_it_once() {
    check(of_an_app(), &killed(&mut Hub::as_app_on_one_port(), Moment::AfterItHeard));
}

#[test]
fn whoever_has_a_token_and_dies_at_each_step_does_it_once() {
    check(&undisturbed(&Hub::with_token()), &killed(&mut Hub::with_token(), Moment::BeforeItHears));
}
