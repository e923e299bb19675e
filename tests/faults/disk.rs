//! A disk that is full for a while: nothing is acknowledged that is not kept, and everything goes on by itself once there
//! is room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::trouble::{self, executed, sweep};
use crate::world::World;
use crate::world::tables::numbers;

/// A small file system of the test's own. Only root can mount one.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn new(size: &str) -> Self {
        let path = tempfile::Builder::new().prefix("modelship-disk-").tempdir().unwrap().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "modelship-tests"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "the tests of a full disk mount a file system, so run them as root where that is allowed: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { path }
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let filler = self.path.join("filler");
        let filled = Command::new("dd")
            .args(["if=/dev/zero", "bs=4k", "oflag=append", "conv=notrunc"])
            .arg(format!("of={}", filler.display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&filled.stderr);
        assert!(said.contains("No space left on device"), "{said}");
    }

    /// Gives it back.
    fn free(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if unmounted.is_ok_and(|status| status.success()) {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// What the server's log may say while a disk is full.
const FULL: &[&str] = &["full", "No space left on device", "the database does not answer"];

fn has_version(world: &World, branch: &str) -> bool {
    world.modelship(&["versions", "examples/trouble", branch]).status == 0
}

fn answer(world: &World, path: &Path) -> String {
    let url = format!("{}{}", world.url(), path.display());
    let said = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url]).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn a_full_disk_under_the_database_loses_nothing_and_everything_goes_on_once_there_is_room() {
    let disk = Disk::new("16m");
    let mut world = trouble::world(&format!("database: sqlite:{}/modelship.db\n", disk.path.display()));
    world.expected_errors.extend(FULL);
    disk.fill();

    // Until the database's own spare room is used up, deliveries are still kept; then they are refused.
    let mut refused = 0;
    for n in 0..40 {
        world.checkout("main");
        world.write("models/trouble/NOTES.md", &format!("thought {n}\n"));
        let pushed = world.push_branch(&format!("thought-{n}"), "Think while the disk is full");
        disk.fill();
        if pushed.stderr.contains("503") {
            refused += 1;
            assert!(pushed.stderr.contains("the forge has it") && pushed.stderr.contains("by itself"), "{pushed:?}");
            if refused == 3 {
                disk.free();
                for n in 0..=n {
                    let branch = format!("thought-{n}");
                    world.until("every push has a version", |world| has_version(world, &branch).then_some(()));
                }
                world.until_idle();
                let listed = world.modelship(&["versions", "examples/trouble", "--output", "json"]).ok().json();
                assert_eq!(listed.as_array().unwrap().len(), n + 2, "each once: {listed}");
                assert_eq!(answer(&world, Path::new("/healthz")), "200");
                return;
            }
        }
    }
    panic!("the disk was never full for the database");
}

#[test]
fn a_full_disk_under_the_artifacts_holds_a_sweep_up_and_loses_none_of_its_runs() {
    let disk = Disk::new("2m");
    let mut world = trouble::world(&format!("artifacts: {}\n", disk.path.display()));
    world.expected_errors.extend(FULL);
    std::os::unix::fs::symlink(&disk.path, world.state().join("artifacts")).unwrap();
    let values = ["N: {range: {start: 1, stop: 30, step: 1}}", "SLEEP: 0.2", "MARK: 1"];
    world.write("sweeps/held.yaml", &sweep("held", &values));
    world.push_branch("held", "Sweep");
    let number = world.open_pull("held", "Held up");
    world.until_comment(number, &["/modelship run held"]);
    world.comment(number, "/modelship run");
    world.until("some runs are done", |world| {
        let said = world.modelship(&["sweep", "status", "held", "--output", "json"]);
        (said.status == 0 && said.json()[0]["succeeded"].as_u64() > Some(4)).then_some(())
    });
    disk.fill();
    world.until("somebody notices", |world| {
        disk.fill();
        world.server_log().contains("No space left on device").then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(2));
    disk.free();

    world.until_comment(number, &["30 runs done", "analysis.csv"]);
    world.until_idle();
    let table = world.analysis("held");
    assert_eq!(numbers(&table, "n"), (1..=30).map(f64::from).collect::<Vec<_>>());
    let mut runs = executed(&world.state());
    let all = runs.len();
    runs.dedup();
    assert_eq!(runs.len(), 30);
    // What ended while it could not be written down had to be done again: at most what ran at once.
    assert!(all <= 30 + 8, "{all} executions");
    assert_eq!(world.comments(number).len(), 2, "told once");
}

#[test]
fn a_run_that_fills_its_disk_fails_alone_and_leaves_the_room_to_the_next() {
    let disk = Disk::new("8m");
    let world = trouble::world("");
    let scratch = world.state().join("scratch");
    fs::create_dir(disk.path.join("scratch")).unwrap();
    let _ = fs::remove_dir(&scratch);
    std::os::unix::fs::symlink(disk.path.join("scratch"), &scratch).unwrap();
    let moved = ["MODE: [fine, filling]", "N: {range: {start: 1, stop: 10, step: 1}}"];
    world.write("sweeps/fill.yaml", &(sweep("fill", &moved) + "run: {max_parallel: 1, max_failures: 100%}\n"));
    world.push_branch("fill", "Sweep");
    let number = world.open_pull("fill", "Fill the disk");
    world.until_comment(number, &["/modelship run fill"]);
    world.comment(number, "/modelship run");

    let told = world.until_comment(number, &["10 of 20 runs done", "analysis.csv"]);
    assert!(told.contains("10 model error") && told.contains("the command ended with status 6"), "{told}");
    assert!(told.contains("No space left on device"), "in the model's own words: {told}");
    world.until_idle();
    let table = world.analysis("fill");
    let kept: Vec<f64> = numbers(&table, "n").into_iter().filter(|n| n.is_finite()).collect();
    assert_eq!(kept, (1..=10).map(f64::from).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(disk.path.join("scratch")).unwrap().count(), 0, "nothing is left there");
}
