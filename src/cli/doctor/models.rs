//! The programs that the models here need.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::Check;
use crate::cli::validate::WorkTree;
use crate::domain::manifest::{Manifest, TestKind};
use crate::runner::resolve_program;
use crate::settings::{ExecutorKind, ForgeSettings, Settings};

/// What Debian calls the package of a program, where that is not its name.
const PACKAGES: &[(&str, &str)] = &[
    ("Rscript", "r-base-core"),
    ("c++", "g++"),
    ("cc", "gcc"),
    ("javac", "default-jdk-headless"),
    ("java", "default-jre-headless"),
    ("pip", "python3-pip"),
    ("python", "python-is-python3"),
    ("pytest", "python3-pytest"),
];

/// Looks for the programs that the manifests of this work tree name. A server has no work tree, and with Docker the programs
/// are the images' own.
pub(super) fn programs(settings: &Settings, cwd: &Path) -> Vec<Check> {
    let (ForgeSettings::Laptop { .. }, ExecutorKind::Process) = (&settings.forge, settings.executor) else {
        return Vec::new();
    };
    let manifests = WorkTree::around(cwd).map(|tree| tree.manifests()).unwrap_or_default();
    let mut needed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for manifest in &manifests {
        for program in programs_of(manifest) {
            let models = needed.entry(program.to_owned()).or_default();
            let model = manifest.model.to_string();
            if !models.contains(&model) {
                models.push(model);
            }
        }
    }
    if needed.is_empty() {
        return Vec::new();
    }
    let is_missing =
        |program: &str| resolve_program(OsStr::new(program), Path::new("/"), &settings.process.search_path).is_err();
    let missing: Vec<_> = needed.iter().filter(|(program, _)| is_missing(program)).collect();
    if missing.is_empty() {
        let names: Vec<_> = needed.keys().map(String::as_str).collect();
        return vec![Check::good("models' programs", names.join(", "))];
    }
    missing
        .into_iter()
        .map(|(program, models)| {
            let package =
                PACKAGES.iter().find(|(name, _)| name == program).map_or(program.as_str(), |(_, package)| *package);
            Check::bad(
                "models' programs",
                format!("`{program}` is not on PATH; {} needs it", models.join(", ")),
                format!("install it, for instance with `apt-get install {package}`"),
            )
        })
        .collect()
}

/// The bare names that a manifest's commands begin with. What has a path lies in the model itself.
fn programs_of(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let tests = manifest.tests.iter().filter_map(|test| match &test.kind {
        TestKind::Command { command } => Some(command),
        TestKind::Run { .. } => None,
    });
    let commands = manifest
        .build
        .process
        .iter()
        .flatten()
        .chain([&manifest.run.command])
        .chain(&manifest.run.summarize)
        .chain(tests);
    commands.filter_map(|command| command.first()).map(String::as_str).filter(|program| !program.contains(['/', '{']))
}
