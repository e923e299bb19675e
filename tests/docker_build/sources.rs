//! Sources in other repositories.

use std::path::Path;

use crate::place::{Place, RUN, SIM, TESTS};
use crate::world::git;

/// A repository beside the hub, with the model in its folder `sub`.
fn other(place: &Place) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--initial-branch", "main"]);
    change(dir.path(), "sub/sim", SIM);
    change(
        dir.path(),
        "sub/Dockerfile",
        "FROM modelship-test/busybox\nWORKDIR /model\nCOPY sim .\nRUN chmod 755 sim\n",
    );
    git(dir.path(), &["tag", "-a", "v1", "-m", "first"]);
    place.manifest(&manifest(dir.path(), "main"));
    dir
}

fn change(repository: &Path, path: &str, text: &str) {
    std::fs::create_dir_all(repository.join(path).parent().unwrap()).unwrap();
    std::fs::write(repository.join(path), text).unwrap();
    git(repository, &["add", "--all"]);
    git(repository, &["commit", "--quiet", "-m", "Change"]);
}

fn manifest(repository: &Path, reference: &str) -> String {
    format!(
        "source: {{repo: \"file://{}\", ref: \"{reference}\", path: sub}}\nbuild: {{dockerfile: Dockerfile, process: [[chmod, \"755\", sim]]}}\n{RUN}{TESTS}",
        repository.display()
    )
}

fn head(repository: &Path) -> String {
    git(repository, &["rev-parse", "HEAD"]).trim().to_owned()
}

fn allow(place: &Place, more: &str) {
    let path = place.laptop.path().join(".modelship/settings.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}{more}\n")).unwrap();
}

#[test]
fn a_source_in_another_repository_is_fetched_and_pinned() {
    let place = Place::new();
    let other = other(&place);
    let said = place.build();
    assert!(said.status == 1 && said.stderr.contains("list one under `source_folders`"), "{}", said.stderr);
    assert!(said.stderr.contains("tiny.yaml:4:16"), "{}", said.stderr);

    allow(&place, &format!("source_folders: [{}]", other.path().display()));
    place.build().ok();
    let first = place.version();
    assert_eq!(first["pinned"]["commit"], head(other.path()));
    assert_eq!(first["pinned"]["reference"], "main");
    let shown = place.laptop.modelship(&["versions", &place.model(), first["id"].as_str().unwrap()]).ok();
    assert!(shown.stdout.contains(&format!("main ({})", head(other.path()))), "{shown:?}");

    change(other.path(), "sub/sim", &SIM.replace("seven,7", "seven,7; echo eight,8"));
    place.build().ok();
    let second = place.version();
    assert_eq!(second["pinned"]["commit"], head(other.path()));
    assert_ne!(second["executable"], first["executable"]);

    for (reference, commit) in [("v1", &first), (first["pinned"]["commit"].as_str().unwrap(), &first)] {
        place.manifest(&manifest(other.path(), reference));
        place.build().ok();
        assert_eq!(place.version()["pinned"]["commit"], commit["pinned"]["commit"], "{reference}");
    }

    place.manifest(&manifest(other.path(), "no-such-branch"));
    let said = place.build();
    assert!(said.status == 1 && said.stderr.contains("has no branch and no tag `no-such-branch`"), "{}", said.stderr);
}

#[test]
fn the_process_builder_takes_sources_from_other_repositories_too() {
    let place = Place::new();
    let other = other(&place);
    let folders = format!("executor: process\nsource_folders: [{}]\n", other.path().display());
    place.laptop.write(".modelship/settings.yaml", &folders);
    place.build().ok();
    let version = place.version();
    assert_eq!(version["builder"], "process");
    assert_eq!(version["pinned"]["commit"], head(other.path()));
}

#[test]
fn a_link_does_not_lead_to_repositories_elsewhere() {
    let place = Place::new();
    let other = other(&place);
    let trusted = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(other.path(), trusted.path().join("link")).unwrap();
    allow(&place, &format!("source_folders: [{}]", trusted.path().display()));
    place.manifest(&manifest(&trusted.path().join("link"), "main"));
    let said = place.build();
    assert!(said.status == 1 && said.stderr.contains("lies in no folder"), "{}", said.stderr);
}
