//! What a server says of itself in numbers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The numbers as Prometheus' own library reads them: a sample's name and labels, and its value.
pub(crate) fn figures(text: &str) -> BTreeMap<String, f64> {
    // The system's own Python has the system's packages.
    let mut python = Command::new("/usr/bin/python3");
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/world/read_metrics.py");
    let mut python = python.arg(reader).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let read = python.wait_with_output().unwrap();
    assert!(read.status.success(), "`python3-prometheus-client` cannot read this:\n{text}");
    serde_json::from_slice(&read.stdout).unwrap()
}
