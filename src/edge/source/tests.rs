//! Through real repositories; the hostile ones are written object by object, as git itself refuses to make them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::domain::version::Tree;

/// A bare repository in a directory of its own.
struct Hub {
    directory: tempfile::TempDir,
}

/// What a test commits at a path.
#[derive(Clone)]
enum Put {
    File(&'static str),
    Executable(&'static str),
    Link(&'static str),
    Submodule,
}

use Put::{Executable, File, Link, Submodule};

impl Hub {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).initial_head("main").external_template(false);
        GitRepository::init_opts(directory.path(), &options).unwrap();
        Self { directory }
    }

    fn source(&self) -> Source {
        Source::open(self.directory.path()).unwrap()
    }

    fn commit(&self, branch: &str, files: &[(&str, Put)]) -> CommitSha {
        let source = self.source();
        let entries: Vec<(Vec<&str>, Put)> =
            files.iter().map(|(path, put)| (path.split('/').collect(), put.clone())).collect();
        let tree = tree_of(&source.git, &entries);
        commit_tree(&source, branch, tree)
    }
}

fn tree_of(git: &GitRepository, entries: &[(Vec<&str>, Put)]) -> Oid {
    let mut folders: BTreeMap<&str, Vec<(Vec<&str>, Put)>> = BTreeMap::new();
    let mut rows = Vec::new();
    for (path, put) in entries {
        if path.len() > 1 {
            folders.entry(path[0]).or_default().push((path[1..].to_vec(), put.clone()));
            continue;
        }
        let (mode, content) = match put {
            File(text) => ("100644", *text),
            Executable(text) => ("100755", *text),
            Link(target) => ("120000", *target),
            Submodule => {
                rows.push(("160000", path[0], Oid::from_str(&"1".repeat(40)).unwrap()));
                continue;
            }
        };
        rows.push((mode, path[0], git.blob(content.as_bytes()).unwrap()));
    }
    for (name, inside) in folders {
        rows.push(("40000", name, tree_of(git, &inside)));
    }
    raw_tree(git, &rows)
}

fn raw_tree(git: &GitRepository, rows: &[(&str, &str, Oid)]) -> Oid {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(mode, name, _)| if *mode == "40000" { format!("{name}/") } else { (*name).to_owned() });
    let mut bytes = Vec::new();
    for (mode, name, id) in rows {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        bytes.extend_from_slice(id.as_bytes());
    }
    git.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}

fn commit_tree(source: &Source, branch: &str, tree: Oid) -> CommitSha {
    let who = git2::Signature::new("Ada", "ada@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let reference = format!("refs/heads/{branch}");
    let parent = source.git.find_reference(&reference).ok().map(|found| found.peel_to_commit().unwrap());
    let parents: Vec<_> = parent.iter().collect();
    let tree = source.git.find_tree(tree).unwrap();
    sha(source.git.commit(Some(&reference), &who, &who, "a change\n\nmore", &tree, &parents).unwrap())
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.unwrap_err() {
        SourceError::Refused(reason) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

#[test]
fn names_resolve_to_commits_and_operators_do_not() {
    let hub = Hub::new();
    let first = hub.commit("main", &[("a", File("1"))]);
    let second = hub.commit("main", &[("a", File("2"))]);
    let odd = "-o\"$(id)\";#";
    hub.commit(odd, &[("a", File("3"))]);
    let source = hub.source();
    let commit = source.git.find_commit(oid(&first)).unwrap();
    let who = git2::Signature::now("Ada", "ada@example.org").unwrap();
    source.git.tag("v1", commit.as_object(), &who, "annotated", false).unwrap();

    assert_eq!(source.resolve("main").unwrap(), second);
    assert_eq!(source.resolve("HEAD").unwrap(), second);
    assert_eq!(source.resolve("refs/heads/main").unwrap(), second);
    assert_eq!(source.resolve("v1").unwrap(), first);
    assert_eq!(source.resolve(first.as_str()).unwrap(), first);
    assert_eq!(source.resolve(first.short()).unwrap(), first);
    assert_eq!(source.resolve(odd).unwrap(), source.branch(odd).unwrap().unwrap());
    assert_eq!(source.head_branch().unwrap().as_deref(), Some("main"));
    for name in ["main~1", "main@{1}", ":/change", "nowhere", "", "ffff", "refs/heads/../main", "a\nb", "--help"] {
        assert!(matches!(source.resolve(name), Err(SourceError::Absent(_))), "{name:?}");
    }
    let unknown = CommitSha::parse("f".repeat(40)).unwrap();
    assert!(matches!(source.resolve(unknown.as_str()), Err(SourceError::Absent(_))));
    let branches = source.branches().unwrap();
    assert_eq!(branches.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [odd, "main"]);
}

#[test]
fn an_empty_repository_has_a_branch_and_no_commit() {
    let hub = Hub::new();
    let source = hub.source();
    assert_eq!(source.resolve("HEAD").unwrap_err().to_string(), "the repository has no commit yet");
    assert!(source.branches().unwrap().is_empty());
    assert_eq!(source.head_branch().unwrap().as_deref(), Some("main"));
}

#[test]
fn a_directory_without_repository_is_absent() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Source::open(directory.path()), Err(SourceError::Absent(_))));
}

#[test]
fn merge_base_is_the_fork_point_or_nothing() {
    let hub = Hub::new();
    let root = hub.commit("main", &[("a", File("1"))]);
    let source = hub.source();
    source.git.reference("refs/heads/work", oid(&root), false, "").unwrap();
    let work = hub.commit("work", &[("a", File("2"))]);
    let main = hub.commit("main", &[("a", File("3"))]);
    let other = hub.commit("orphan", &[("b", File("4"))]);
    assert_eq!(source.merge_base(&work, &main).unwrap(), Some(root.clone()));
    assert_eq!(source.merge_base(&work, &other).unwrap(), None);
    assert!(source.contains(&work, &root).unwrap());
    assert!(!source.contains(&root, &work).unwrap());
    assert_eq!(source.commits(&work, &[root], 10).unwrap(), std::slice::from_ref(&work));
    let note = source.describe(&work).unwrap();
    assert_eq!((note.summary.as_str(), note.author.as_str(), note.at), ("a change", "Ada", Time(1_700_000_000_000)));
}

#[test]
fn files_are_read_and_links_are_not_followed() {
    let hub = Hub::new();
    let commit = hub.commit(
        "main",
        &[
            ("d/f", File("text")),
            ("link", Link("d/f")),
            ("up", Link("/etc")),
            ("sub", Submodule),
            ("x", Executable("x")),
        ],
    );
    let source = hub.source();
    assert_eq!(source.read_file(&commit, "d/f").unwrap().unwrap(), b"text");
    assert_eq!(source.read_file(&commit, "d/none").unwrap(), None);
    assert_eq!(source.read_file(&commit, "d/f/deeper").unwrap(), None);
    assert_eq!(refusal(source.read_file(&commit, "link")), "`link` is a symbolic link; put the file itself there");
    assert_eq!(refusal(source.read_file(&commit, "up/passwd")), "`up/passwd` goes through the symbolic link `up`");
    assert_eq!(refusal(source.read_file(&commit, "sub/f")), "`sub/f` goes through the submodule `sub`");
    assert_eq!(refusal(source.read_file(&commit, "sub")), "`sub` is a submodule, not a file");
    assert_eq!(refusal(source.read_file(&commit, "d")), "`d` is a folder, not a file");
    let kinds: Vec<_> = source.list(&commit, ".").unwrap().into_iter().map(|it| (it.name, it.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("d".to_owned(), EntryKind::Folder),
            ("link".to_owned(), EntryKind::Symlink),
            ("sub".to_owned(), EntryKind::Submodule),
            ("up".to_owned(), EntryKind::Symlink),
            ("x".to_owned(), EntryKind::Executable),
        ]
    );
    assert!(source.list(&commit, "none").unwrap().is_empty());
    assert_eq!(source.tree_of(&commit, ".").unwrap().unwrap(), object(source.root(&commit).unwrap()));
    assert!(source.tree_of(&commit, "d").unwrap().is_some());
    assert_eq!(source.tree_of(&commit, "d/").unwrap(), source.tree_of(&commit, "d").unwrap());
    assert_eq!(source.tree_of(&commit, "e").unwrap(), None);
}

#[test]
fn paths_that_are_no_paths_are_refused() {
    let hub = Hub::new();
    let commit = hub.commit("main", &[("a/b", File("1"))]);
    let source = hub.source();
    let long = "x/".repeat(3000);
    for path in [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "",
        "a\\b",
        "a\nb",
        "a\0b",
        ".git/config",
        "a/.GIT",
        &long,
    ] {
        refusal(source.read_file(&commit, path));
        refusal(source.tree_of(&commit, path));
    }
    assert_eq!(source.read_file(&commit, "%2e%2e/passwd").unwrap(), None);
    assert_eq!(source.read_file(&commit, "A/b").unwrap(), None, "names keep their case");
    assert_eq!(source.read_file(&commit, &"x".repeat(255)).unwrap(), None);
    refusal(source.read_file(&commit, &"x".repeat(300)));
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_loaded() {
    let hub = Hub::new();
    let source = hub.source();
    let blob = source.git.blob(&vec![0; MAX_FILE_BYTES + 1]).unwrap();
    let tree = raw_tree(&source.git, &[("100644", "big", blob)]);
    let commit = commit_tree(&source, "main", tree);
    assert_eq!(refusal(source.read_file(&commit, "big")), "`big` has 16777217 bytes; at most 16777216 are read");
}

/// Reads `path: FOLDER` out of a manifest, as the real parser would.
fn folder_of(_: &str, text: &str) -> Option<String> {
    text.strip_prefix("path: ").map(str::to_owned)
}

#[test]
fn manifests_are_found_where_they_belong() {
    let hub = Hub::new();
    let commit = hub.commit(
        "main",
        &[
            ("config/urban/tax.yaml", File("path: models/tax")),
            ("config/urban/notes.md", File("")),
            ("config/policy.yaml", File("")),
            ("config/urban/deep/er.yaml", File("")),
            ("config/a/linked.yaml", Link("../urban/tax.yaml")),
            ("modelship.yaml", File("path: .")),
        ],
    );
    let paths: Vec<_> = hub.source().manifests(&commit).unwrap().into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["config/a/linked.yaml", "config/urban/tax.yaml", "modelship.yaml"]);
}

#[test]
fn a_model_is_touched_when_its_manifest_or_its_source_differs() {
    let hub = Hub::new();
    let base = [
        ("config/urban/tax.yaml", File("path: models/tax")),
        ("config/urban/rent.yaml", File("path: models/rent")),
        ("config/urban/broken.yaml", File("?")),
        ("models/tax/main.c", File("1")),
        ("models/rent/main.c", File("1")),
        ("README.md", File("1")),
    ];
    let start = hub.commit("main", &base);
    let with = |path: &str, text: &'static str| {
        base.clone().map(|(at, put)| if at == path { (at, File(text)) } else { (at, put) })
    };
    let readme = hub.commit("main", &with("README.md", "2"));
    let code = hub.commit("main", &with("models/tax/main.c", "2"));
    let manifest = hub.commit("main", &with("config/urban/rent.yaml", "path: models/tax"));
    let broken = hub.commit("main", &with("config/urban/broken.yaml", "!"));
    let source = hub.source();
    let touched = |from: Option<&CommitSha>, to: &CommitSha| -> Vec<String> {
        source.touched(from, to, &folder_of).unwrap().into_iter().map(|it| it.path).collect()
    };
    assert!(touched(Some(&start), &readme).is_empty());
    assert_eq!(touched(Some(&start), &code), ["config/urban/tax.yaml"]);
    assert_eq!(touched(Some(&start), &manifest), ["config/urban/rent.yaml"]);
    assert_eq!(touched(Some(&start), &broken), ["config/urban/broken.yaml"]);
    assert_eq!(touched(None, &start).len(), 3);
    let gone = CommitSha::parse("e".repeat(40)).unwrap();
    assert_eq!(touched(Some(&gone), &start).len(), 3, "an unknown start means everything");
    assert!(source.touched(Some(&start), &gone, &folder_of).is_err());
    let tax = &source.touched(Some(&start), &code, &folder_of).unwrap()[0];
    assert_eq!(tax.source_path.as_deref(), Some("models/tax"));
    assert_eq!(tax.source_tree, source.tree_of(&code, "models/tax").unwrap());
}

#[test]
fn a_hostile_source_path_touches_nothing_outside() {
    let hub = Hub::new();
    let one = hub.commit("main", &[("config/a/b.yaml", File("path: ../../etc")), ("x", File("1"))]);
    let two = hub.commit("main", &[("config/a/b.yaml", File("path: ../../etc")), ("x", File("2"))]);
    assert!(hub.source().touched(Some(&one), &two, &folder_of).unwrap().is_empty());
}

#[test]
fn a_push_that_touches_none_of_two_hundred_manifests_touches_no_model() {
    let hub = Hub::new();
    let mut stream = String::new();
    for n in 0..100 {
        stream.push_str(&format!(
            "commit refs/heads/main\ncommitter A <a@b> {} +0000\ndata 1\nx\nM 100644 inline README.md\ndata {}\n{n}\n",
            1_700_000_000 + n,
            n.to_string().len(),
        ));
        if n == 0 {
            for model in 0..200 {
                let text = format!("path: models/m{model}");
                stream.push_str(&format!(
                    "M 100644 inline config/urban/m{model}.yaml\ndata {}\n{text}\nM 100644 inline models/m{model}/f\ndata 1\n1\n",
                    text.len()
                ));
            }
        }
        stream.push('\n');
    }
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(hub.directory.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut import.stdin.take().unwrap(), stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());

    let source = hub.source();
    let head = source.resolve("main").unwrap();
    let before = source.commits(&head, &[], 50).unwrap().pop().unwrap();
    assert!(source.touched(Some(&before), &head, &folder_of).unwrap().is_empty());
}

#[test]
fn changed_files_are_told_with_renames_as_two() {
    let hub = Hub::new();
    let base = hub.commit(
        "main",
        &[("sweeps/a.yaml", File("a")), ("sweeps/b.yaml", File("b")), ("sweeps/c.yaml", File("c")), ("o", File("1"))],
    );
    let head = hub.commit(
        "main",
        &[
            ("sweeps/a.yaml", File("a")),
            ("sweeps/b.yaml", File("bb")),
            ("sweeps/d.yaml", File("c")),
            ("sweeps/e/f.yaml", File("")),
            ("o", File("2")),
        ],
    );
    let source = hub.source();
    let told = |prefix: &str| -> Vec<String> {
        let files = source.changed_files(&base, &head, prefix).unwrap();
        files.into_iter().map(|file| format!("{:?} {}", file.change, file.path)).collect()
    };
    assert_eq!(
        told("sweeps"),
        ["Modified sweeps/b.yaml", "Deleted sweeps/c.yaml", "Added sweeps/d.yaml", "Added sweeps/e/f.yaml"]
    );
    assert_eq!(told("sweeps/"), told("sweeps"));
    assert_eq!(told(".").len(), 5);
    assert!(told("nowhere").is_empty());
    assert_eq!(source.files_of(&base, 100).unwrap().len(), 4);
}

#[test]
fn a_tree_that_unfolds_to_billions_of_files_is_refused_at_once() {
    let hub = Hub::new();
    let source = hub.source();
    let base = hub.commit("main", &[("a", File("1"))]);
    let mut folder = raw_tree(&source.git, &[]);
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    for _ in 0..10 {
        let rows: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), folder)).collect();
        folder = raw_tree(&source.git, &rows);
    }
    let bomb = raw_tree(&source.git, &[("40000", "sweeps", folder)]);
    let head = commit_tree(&source, "main", bomb);
    assert!(refusal(source.changed_files(&base, &head, "sweeps")).contains("would have to be compared"));
    let begin = Instant::now();
    assert!(source.files_of(&head, 20).unwrap().len() <= 20);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_checkout_holds_the_committed_bytes_modes_and_inner_links() {
    let hub = Hub::new();
    let commit = hub.commit(
        "main",
        &[
            (".gitattributes", File("* text eol=crlf\n*.dat filter=evil\n")),
            ("m/run", Executable("#!/bin/sh\n")),
            ("m/a.dat", File("one\r\ntwo\n")),
            ("m/d/link", Link("../a.dat")),
            ("m/d/here", Link("./deeper")),
            ("other", File("")),
        ],
    );
    let into = tempfile::tempdir().unwrap();
    let at = into.path().join("copy");
    hub.source().checkout(&commit, "m", &at).unwrap();
    assert_eq!(std::fs::read(at.join("a.dat")).unwrap(), b"one\r\ntwo\n");
    assert_eq!(std::fs::read(at.join("d/link")).unwrap(), b"one\r\ntwo\n");
    assert_ne!(std::fs::metadata(at.join("run")).unwrap().permissions().mode() & 0o100, 0);
    assert_eq!(std::fs::metadata(at.join("a.dat")).unwrap().permissions().mode() & 0o111, 0);
    assert!(!at.join("other").exists());
    assert!(hub.source().checkout(&commit, "m", &at).is_err(), "the directory is not empty any more");
    assert!(matches!(hub.source().checkout(&commit, "none", &into.path().join("x")), Err(SourceError::Absent(_))));
}

#[test]
fn links_that_lead_out_are_refused_also_through_other_links() {
    for (path, target) in [
        ("l", "/etc/passwd"),
        ("l", "../up"),
        ("d/l", "../../up"),
        ("d/l", "a/../../up"),
        // By its letters this is `d/e`; but `d/e/root` is the root, so that `..` after it leaves.
        ("d/a/b/m", "../../e/root/.."),
    ] {
        let hub = Hub::new();
        let commit = hub.commit("main", &[(path, Link(target)), ("d/e/root", Link("../..")), ("d/a/f", File("1"))]);
        let into = tempfile::tempdir().unwrap();
        assert!(refusal(hub.source().checkout(&commit, ".", into.path())).contains(target), "{path} -> {target}");
    }
}

#[test]
fn submodules_and_names_that_escape_are_refused() {
    let hub = Hub::new();
    let commit = hub.commit("main", &[("lib/sub", Submodule)]);
    let into = || tempfile::tempdir().unwrap();
    assert_eq!(
        refusal(hub.source().checkout(&commit, ".", into().path())),
        "`lib/sub` is a submodule; copy its files into the repository"
    );
    let source = hub.source();
    let blob = source.git.blob(b"gotcha").unwrap();
    for name in ["..", ".", ".git", ".GIT", "a/../../b", "/tmp/x", "a\\b", "new\nline"] {
        let tree = raw_tree(&source.git, &[("100644", name, blob)]);
        let commit = commit_tree(&source, "hostile", tree);
        let parent = into();
        refusal(source.checkout(&commit, ".", &parent.path().join("copy")));
        assert!(!parent.path().join("b").exists());
    }
    // One name twice: a link out and a file that would be written through it.
    let link = source.git.blob(b"inside").unwrap();
    let tree = raw_tree(&source.git, &[("120000", "twice", link), ("100644", "twice", blob)]);
    let commit = commit_tree(&source, "hostile", tree);
    let parent = into();
    assert!(source.checkout(&commit, ".", &parent.path().join("copy")).is_err());
    assert!(!parent.path().join("copy/inside").exists());
}

#[test]
fn a_dirty_work_tree_becomes_a_commit_that_nobody_sees() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    git(at, &["init", "-q", "-b", "main"]);
    for (name, text) in [("kept", "1"), ("changed", "1"), ("gone", "1"), (".gitignore", "ignored\n")] {
        std::fs::write(at.join(name), text).unwrap();
    }
    git(at, &["add", "-A"]);
    git(at, &["commit", "-qm", "start"]);
    let source = Source::open(at).unwrap();
    let head = source.resolve("HEAD").unwrap();
    std::fs::create_dir_all(at.join(".modelship/store")).unwrap();
    std::fs::write(at.join(".modelship/store/db"), "x").unwrap();
    std::fs::write(at.join("ignored"), "x").unwrap();
    std::fs::create_dir(at.join("nested")).unwrap();
    git(&at.join("nested"), &["init", "-q"]);
    std::fs::write(at.join("nested/f"), "x").unwrap();
    git(&at.join("nested"), &["add", "f"]);
    git(&at.join("nested"), &["commit", "-qm", "inner"]);
    assert_eq!(source.first_change().unwrap(), None);
    assert_eq!(source.commit_dirty().unwrap(), (head.clone(), Tree::Committed));

    std::fs::write(at.join("changed"), "2").unwrap();
    std::fs::remove_file(at.join("gone")).unwrap();
    std::fs::create_dir(at.join("new folder")).unwrap();
    std::fs::write(at.join("new folder/file"), "1").unwrap();
    git(at, &["add", "changed"]);
    std::fs::write(at.join("changed"), "3").unwrap();
    let index = std::fs::read(at.join(".git/index")).unwrap();
    assert_eq!(source.first_change().unwrap().as_deref(), Some("changed"));
    let (commit, tree) = source.commit_dirty().unwrap();
    assert_eq!(tree, Tree::Dirty);
    assert_eq!(source.commit_dirty().unwrap().0, commit, "equal content, equal commit");
    assert_eq!(Source::open(at).unwrap().commit_dirty().unwrap().0, commit);
    let names: Vec<_> = source.list(&commit, ".").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [".gitignore", "changed", "kept", "new folder"]);
    assert_eq!(source.read_file(&commit, "changed").unwrap().unwrap(), b"3");
    assert_eq!(source.parent(&commit).unwrap(), Some(head.clone()));
    assert_eq!(std::fs::read(at.join(".git/index")).unwrap(), index, "the user's index is as it was");
    assert_eq!(source.resolve("HEAD").unwrap(), head);
    assert_eq!(source.branches().unwrap().len(), 1);
    let bare = Hub::new();
    refusal(bare.source().commit_dirty());
    refusal(bare.source().first_change());
}

#[test]
fn a_subfolder_finds_its_repository() {
    let directory = tempfile::tempdir().unwrap();
    git(directory.path(), &["init", "-q", "-b", "main"]);
    std::fs::create_dir(directory.path().join("inner")).unwrap();
    let found = Source::discover(&directory.path().join("inner")).unwrap();
    let expected = directory.path().canonicalize().unwrap();
    assert_eq!(found.work_tree().unwrap().canonicalize().unwrap(), expected);
    assert!(Source::open(&directory.path().join("inner")).is_err(), "`open` does not search");
}

#[test]
fn merging_makes_a_commit_with_two_parents_or_names_the_conflict() {
    let hub = Hub::new();
    let root = hub.commit("main", &[("a", File("1")), ("b", File("1"))]);
    let source = hub.source();
    source.git.reference("refs/heads/work", oid(&root), false, "").unwrap();
    source.git.reference("refs/heads/clash", oid(&root), false, "").unwrap();
    let main = hub.commit("main", &[("a", File("2")), ("b", File("1"))]);
    let work = hub.commit("work", &[("a", File("1")), ("b", File("2"))]);
    let clash = hub.commit("clash", &[("a", File("3")), ("b", File("1"))]);
    let ada = MergeAuthor { name: "ada".into(), email: "ada@local".into(), at: Time(1_700_000_000_000) };

    let merged = source.merge_commit("main", &work, "Merge", &ada).unwrap();
    assert_eq!(source.branch("main").unwrap().unwrap(), merged);
    assert_eq!(source.read_file(&merged, "a").unwrap().unwrap(), b"2");
    assert_eq!(source.read_file(&merged, "b").unwrap().unwrap(), b"2");
    let parents: Vec<_> = source.commit(&merged).unwrap().parent_ids().map(sha).collect();
    assert_eq!(parents, [main, work.clone()]);
    assert!(matches!(source.merge_commit("main", &work, "Merge", &ada), Err(MergeError::Nothing(_))));
    let error = source.merge_commit("main", &clash, "Merge", &ada).unwrap_err();
    assert_eq!(
        error.to_string(),
        "both branches changed `a`; merge the base branch into the head branch and resolve it there"
    );
    assert_eq!(source.branch("main").unwrap().unwrap(), merged);
}
