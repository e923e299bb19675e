//! Names and files that are chosen to confuse, and arrive from GitHub; and texts of every size that go there.

use std::sync::Arc;

use modelship::domain::ids::{PullNumber, PullRef, Repository, RepositoryName};
use modelship::domain::report::escape::{COMMENT_LIMIT, fit};
use modelship::edge::forge::github::{GitHub, GitHubSettings, Login};
use modelship::edge::source::remote::{RemoteSettings, Remotes};

use crate::hub::{HUB, Hub};
use crate::world::git;

const MODEL: &str = "examples/identity-matrix";

fn sweep(name: &str, values: &str) -> String {
    format!("sweep: {name}\nmodel: {MODEL}\nparameters: {{N: {values}}}\n")
}

#[test]
fn a_branch_is_planned_and_run_whatever_it_is_called() {
    let hub = Hub::as_app();
    let branches =
        ["zzz\";echo${IFS}\"hello\">owned;#", "-oProxyCommand=touch${IFS}owned", "--upload-pack=touch${IFS}owned"];
    let mut asked = Vec::new();
    for (nth, branch) in branches.iter().enumerate() {
        hub.world.checkout("main");
        hub.world.write(&format!("sweeps/odd-{nth}.yaml"), &sweep(&format!("odd-{nth}"), &format!("[1, {}]", nth + 2)));
        // git itself takes such a name only where it cannot be an option.
        hub.world.commit_branch("work", "Ask for a sweep");
        git(&hub.world.clone, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        asked.push(hub.open_pull(branch, branch));
    }
    for (nth, number) in asked.iter().enumerate() {
        hub.until_said(*number, &[&format!("/modelship run odd-{nth}")]);
        hub.github.comment_as("ada", HUB, *number, "/modelship run");
    }
    for (number, branch) in asked.iter().zip(branches) {
        hub.until_said(*number, &["2 runs done"]);
        hub.github.close_pull(HUB, *number);
        git(&hub.world.clone, &["push", "--quiet", "origin", &format!(":refs/heads/{branch}")]);
    }
    hub.github.until_delivered();
    hub.world.until_idle();
    // Wherever a shell might have stood: in the mirrors, in what was built and run, and where the server was started.
    let mut folders = vec![hub.world.clone.parent().unwrap().to_owned(), hub.github.directory(HUB)];
    assert!(!std::env::current_dir().unwrap().join("owned").exists());
    while let Some(folder) = folders.pop() {
        assert!(!folder.join("owned").exists(), "in {}", folder.display());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        folders.extend(entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()));
    }
}

#[test]
fn files_whose_names_look_alike_and_files_that_are_too_large_are_told_apart_and_told() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    hub.world.write("sweeps/Sizes.yaml", &sweep("Sizes", "[1, 2]"));
    hub.world.write("sweeps/sizes.yaml", &sweep("sizes", "[1, 2, 3]"));
    // It is shown as `sweeps/exe.lmay`, if whoever shows it obeys.
    hub.world.write("sweeps/exe\u{202E}yaml.yaml", &sweep("turned", "[1, 2, 3, 4]"));
    let large = "x".repeat(10 << 20);
    hub.world.write("sweeps/scalar.yaml", &format!("sweep: scalar\nmodel: {MODEL}\nparameters: {{N: \"{large}\"}}\n"));
    hub.world.write("sweeps/json.yaml", &format!("{{\"sweep\": \"json\", \"model\": \"{large}\"}}"));
    hub.world.write("sweeps/toml.yaml", &format!("sweep = \"{large}\"\n"));
    hub.world.write("sweeps/larger.yaml", &large.repeat(2));
    hub.world.write("sweeps/one.yaml", &sweep("one", "[1]"));
    hub.world.write("sweeps/none.yaml", &sweep("none", "[]"));
    let number = hub.push_and_open("files", "Files");
    for (name, runs) in [("Sizes", "2 runs"), ("sizes", "3 runs"), ("one", "1 run")] {
        hub.until_said(number, &[&format!("/modelship run {name}"), runs]);
    }
    hub.until_said(number, &["sweeps/exe\u{FFFD}yaml.yaml", "is called `turned`"]);
    for file in ["scalar", "json", "toml"] {
        hub.until_said(number, &[&format!("sweeps/{file}.yaml"), "bytes; at most 1048576 are read"]);
    }
    hub.until_said(number, &["sweeps/larger.yaml", "20971520 bytes; at most"]);
    hub.until_said(number, &["sweeps/none.yaml", "the list of levels is empty"]);
    hub.world.until_idle();
    let ours = hub.ours(number);
    assert_eq!(ours.len(), 9, "one for each file: {ours:#?}");
    for comment in &ours {
        let body = &comment.body;
        assert!(!body.contains('\u{202E}') && !body.contains("*empty*") && body.len() < 10_000, "{body}");
    }
    hub.github.comment_as("ada", HUB, number, "/modelship run Sizes");
    hub.github.comment_as("ada", HUB, number, "/modelship run one");
    hub.until_said(number, &["`Sizes`", "2 runs done"]);
    hub.until_said(number, &["`one`", "1 run done"]);
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 2, "`sizes` was not meant");
}

#[test]
fn a_comment_of_the_largest_size_arrives_in_every_script_and_a_larger_one_is_not_sent() {
    let hub = Hub::empty();
    hub.world.write("README.md", "a hub\n");
    hub.world.push_branch("main", "Begin");
    // There is nothing to plan.
    hub.world.write("NOTES.md", "nothing\n");
    let number = hub.push_and_open("nothing", "Nothing");
    let state = tempfile::tempdir().unwrap();
    let remotes = RemoteSettings {
        directory: state.path().join("remotes"),
        folders: Vec::new(),
        hosts: Vec::new(),
        search_path: "/usr/bin:/bin".to_owned(),
        environment: Vec::new(),
    };
    let settings = GitHubSettings {
        api: hub.github.url(),
        git: hub.github.url(),
        login: Login::App { id: hub.github.app_id(), key: hub.github.private_key().into() },
        repositories: Vec::new(),
        mirrors: state.path().join("mirrors"),
        between_writes: None,
        sign_in: None,
    };
    let name = RepositoryName::new("urban", "hub").unwrap();
    let repository = Repository { id: i64::try_from(hub.repository).unwrap(), name };
    let pull = PullRef { repository, number: PullNumber(number) };
    let marker = "m".repeat(300);
    let frame = "\n\n<!-- modelship: -->".len() + marker.len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let forge = GitHub::new(settings, Arc::new(Remotes::new(remotes))).unwrap();
    let told = async {
        for unit in ["a", "\u{e9}", "\u{20ac}", "\u{1F600}"] {
            // As much as is ever said: whole, and cut.
            for body in [unit.repeat(COMMENT_LIMIT / unit.len()), fit(&unit.repeat(COMMENT_LIMIT), COMMENT_LIMIT)] {
                forge.upsert_comment(&pull, &marker, &body).await.unwrap();
                assert!(hub.ours(number)[0].body.starts_with(&body), "{unit}");
            }
            for (bytes, is_taken) in [(65_535, true), (65_536, true), (65_537, false)] {
                let room = bytes - frame;
                let body = format!("{}{}", unit.repeat(room / unit.len()), "a".repeat(room % unit.len()));
                let (before, asked) = (hub.ours(number)[0].body.clone(), hub.github.log().len());
                let said = forge.upsert_comment(&pull, &marker, &body).await;
                assert_eq!(said.is_ok(), is_taken, "{bytes} bytes of {unit}: {said:?}");
                let now = hub.ours(number)[0].body.clone();
                let expected = if is_taken { bytes } else { before.len() };
                assert_eq!(now.len(), expected, "{bytes} bytes of {unit}");
                assert!(is_taken || hub.github.log().len() == asked, "GitHub is not even asked");
            }
        }
    };
    runtime.block_on(told);
    assert_eq!(hub.ours(number).len(), 1, "one comment, edited in place");
}

#[test]
fn the_last_of_thousands_of_files_is_planned_all_the_same() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    // GitHub's API lists three thousand files of a pull request at most.
    for file in 0..3_100 {
        hub.world.write(&format!("data/{file:04}.txt"), "a number\n");
    }
    hub.world.write("sweeps/zz.yaml", &sweep("zz", "[1, 2]"));
    let number = hub.push_and_open("thousands", "Thousands of files");
    hub.until_said(number, &["/modelship run zz"]);
    hub.world.until_idle();
}
