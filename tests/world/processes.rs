//! Processes that a story left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Ends and complains about processes whose environment says that they work below `root`.
pub(super) fn complain_of_processes(root: &Path) {
    let root = root.to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes_below(root);
        if left.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            for (pid, _) in &left {
                let _ = Command::new("kill").args(["-9", pid]).status();
            }
            assert!(std::thread::panicking(), "processes were left behind: {left:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn processes_below(root: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let marked = String::from_utf8_lossy(&environment)
            .split('\0')
            .any(|variable| variable.starts_with("MODELSHIP_") && variable.contains(root));
        if marked || String::from_utf8_lossy(&command).contains(root) {
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}
