//! `setup`: the program is built once for each state of its source, kept in the job's cache, and found by later steps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::driver::{PROJECT, Runner};
use crate::steps::passed;

/// A stand-in for cargo: what it makes says its version, and it notes what it was asked.
const CARGO: &str = r#"#!/bin/sh
set -eu
printf 'cargo %s\n' "$*" >>"$NOTES"
out=target/release name=modelship
while [ $# -gt 0 ]; do
    case $1 in
        --bin) name=$2 ;;
        --target) target=$2 ;;
        --target-dir) out=$2/$target/runner ;;
    esac
    shift
done
mkdir -p "$out"
printf '#!/bin/sh\necho "%s VERSION"\n' "$name" >"$out/$name"
chmod +x "$out/$name"
"#;

const INSTALL: &str = "#!/bin/sh\nprintf 'install-needs %s\\n' \"$*\" >>\"$NOTES\"\n";

/// A copy of what `setup` reads of this project, with nothing installed or compiled in earnest.
fn project(folder: &Path) {
    let put = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for path in [".github/actions/setup/action.yml", "build.rs", "Cargo.toml", "Cargo.lock", "scripts/build-runner"] {
        put(path, &fs::read_to_string(Path::new(PROJECT).join(path)).unwrap());
    }
    put("src/main.rs", "fn main() {}\n");
    put("scripts/install-needs", INSTALL);
}

#[test]
fn setup_builds_once_what_later_steps_find() {
    let mut runner = Runner::new();
    runner.path.clear();
    runner.project = runner.temp().join("project");
    project(&runner.project);
    let notes = runner.temp().join("notes");
    runner.environment = vec![("NOTES".to_owned(), notes.to_str().unwrap().to_owned())];
    runner.stub("cargo", &CARGO.replace("VERSION", env!("CARGO_PKG_VERSION")));
    runner.stub("rustc", "#!/bin/sh\necho 'host: here'\n");
    // Whatever this machine has is not the job's.
    runner.stub("modelship", "#!/bin/sh\nexit 127\n");
    let noted = || fs::read_to_string(&notes).unwrap();

    let first = passed(runner.run("setup", &[]));
    assert_eq!(first.outputs["version"], env!("CARGO_PKG_VERSION"));
    let [cache] = first.uses.as_slice() else { panic!("{first:?}") };
    assert!(cache.starts_with("actions/cache@"), "{cache}");
    let asked = noted();
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!(asked[..2], ["install-needs build", "cargo build --release --locked --bin modelship"], "{asked:?}");
    assert!(asked.len() == 3 && asked[2].contains("--bin modelship-runner"), "{asked:?}");
    let [folder] = first.path.as_slice() else { panic!("{first:?}") };
    for program in ["modelship", "modelship-runner"] {
        let said = std::process::Command::new(folder.join(program)).output().unwrap();
        let expected = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(said.stdout).unwrap(), expected, "what was built lies in {folder:?}");
    }

    // The next job: the cache has the folder, and `PATH` does not yet.
    let second = passed(runner.run("setup", &[]));
    assert_eq!((second.path.as_slice(), noted().lines().count()), ([folder.clone()].as_slice(), 3), "nothing is built");

    // A later step of the same job.
    runner.path.insert(0, folder.clone());
    let third = passed(runner.run("setup", &[]));
    assert!(third.path.is_empty() && third.uses.is_empty(), "it is there: {third:?}");
    runner.path.remove(0);

    // Another state of the source is another program.
    fs::write(runner.project.join("src/main.rs"), "fn main() { }\n").unwrap();
    let other = passed(runner.run("setup", &[]));
    assert!(other.path.len() == 1 && other.path[0] != *folder, "{other:?}");
    assert_eq!(noted().lines().count(), 6);
}
