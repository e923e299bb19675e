//! Names that are chosen to confuse: with spaces, line breaks, leading dashes, `..`, markup. They work, or they are
//! refused with a word; they never reach a shell, another folder, or a comment as markup.

use crate::trouble::{self, MANIFEST, sweep};
use crate::world::git;

/// Paths of sweep files that git takes.
const SWEEPS: &[&str] = &[
    "sweeps/with space.yaml",
    "sweeps/--help.yaml",
    "sweeps/line\nbreak.yaml",
    "sweeps/$(touch owned).yaml",
    "sweeps/`touch owned`.yaml",
    "sweeps/<b>bold</b>.yaml",
    "sweeps/..yaml",
    "sweeps/deep/er/name.yaml",
];

/// Branches that git takes.
const BRANCHES: &[&str] =
    &["--upload-pack=touch owned", "-d", "$(touch${IFS}owned)", "a`touch`b", "<img/src=x>", "ünï/cödé"];

/// What of a manifest is named in a way that leads elsewhere.
const MANIFESTS: &[(&str, &str, &str)] = &[
    ("path: models/trouble", "path: ../../../etc", "../../../etc"),
    ("path: models/trouble", "path: /etc", "/etc"),
    ("path: models/trouble", "path: \"models/a\\nb\"", "models/a b"),
    ("files: [kept.txt]", "files: [../../../../etc/passwd]", "../../../../etc/passwd"),
    ("files: [kept.txt]", "files: [/etc/passwd]", "/etc/passwd"),
    ("summary: summary.csv", "summary: ../summary.csv", "../summary.csv"),
    ("title: trouble", "title: \"../trouble\"", "../trouble"),
    ("title: trouble", "title: --help", "--help"),
    ("owner: examples", "owner: \"exa mples\"", "exa mples"),
    ("  N: {type", "  \"N; touch owned\": {type", "N; touch owned"),
    ("  N: {type", "  \"--N\": {type", "--N"),
    ("  N: {type", "  LD_PRELOAD: {type", "LD_PRELOAD"),
    ("name: base case", "name: \"a\\nb\"", "on one line"),
];

#[test]
fn names_that_lead_elsewhere_are_refused_by_name_in_a_manifest() {
    let laptop = trouble::laptop();
    for (from, to, word) in MANIFESTS {
        let manifest = MANIFEST.replacen(from, to, 1);
        assert_ne!(manifest, MANIFEST, "{from}");
        laptop.write("config/examples/trouble.yaml", &manifest);
        let said = laptop.modelship(&["validate", "config/examples/trouble.yaml"]);
        assert_eq!(said.status, 1, "{to}: {said:?}");
        assert!(said.stderr.contains("config/examples/trouble.yaml:"), "{to}: {said:?}");
        assert!(said.stderr.contains(word), "{to}: {said:?}");
        let said = laptop.modelship(&["build", "--dirty"]);
        assert_eq!(said.status, 1, "{to}: {said:?}");
    }
    assert!(!laptop.path().join("owned").exists());
}

#[test]
fn strange_names_of_files_branches_and_tags_are_just_names() {
    let mut world = trouble::world("");
    for path in SWEEPS {
        world.write(path, &sweep("strange", &["N: [1, 2]"]));
    }
    world.write("sweeps/plain.yaml", &sweep("plain", &["N: [1, 2]"]));
    world.push_branch("strange", "Bring strange names");
    let number = world.open_pull("strange", "<script>alert(1)</script> @everyone\n\n# strange");
    world.until_comment(number, &["/modelship run plain"]);
    world.comment(number, "/modelship run plain");
    world.until_comment(number, &["2 runs done"]);
    world.until_idle();
    let comments = world.comments(number);
    assert_eq!(comments.len(), SWEEPS.len() + 2, "one for each file, and the result: {comments:#?}");
    for comment in &comments {
        for markup in ["<b>", "<script>"] {
            let outside: String = comment.split('`').step_by(2).collect();
            assert!(!outside.contains(markup), "{comment}");
        }
        assert!(comment.lines().next().unwrap().starts_with("### Sweep"), "a name does not break its line: {comment}");
    }

    // A branch is made by the forge's own owner too, whom no check of a clone holds back.
    git(&world.clone, &["checkout", "--quiet", "main"]);
    world.write("models/trouble/NOTES.md", "strange\n");
    git(&world.clone, &["add", "--all"]);
    git(&world.clone, &["commit", "--quiet", "-m", "Note"]);
    let mut expected = 0;
    for branch in BRANCHES {
        let refspec = format!("HEAD:refs/heads/{branch}");
        let tag = format!("HEAD:refs/tags/{branch}");
        let allowed = std::process::Command::new("git")
            .args(["check-ref-format", &format!("refs/heads/{branch}")])
            .status()
            .unwrap()
            .success();
        if allowed {
            git(&world.clone, &["push", "--quiet", "origin", &refspec, &tag]);
            expected += 1;
        }
    }
    assert!(expected >= 4, "git takes most of them");
    world.push_branch("after", "After all these");
    world.until("a later branch has a version", |world| {
        (world.modelship(&["versions", "examples/trouble", "after"]).status == 0).then_some(())
    });
    world.until_idle();
    world.kill_server();
    world.start_server();
    world.until_idle();
    let owned = |directory: &std::path::Path| directory.join("owned").exists();
    assert!(!owned(&world.clone) && !owned(&world.state()) && !owned(&world.forge().join("example/hub.git")));
    let listed = world.modelship(&["versions", "examples/trouble", "--output", "json"]).ok().json();
    let commits: std::collections::BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|row| row["version"]["source"]["commit"].to_string()).collect();
    assert_eq!(commits.len(), listed.as_array().unwrap().len(), "each commit is built once: {listed}");
}
