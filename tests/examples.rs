//! The example models and sweeps that the repository carries are what its readers accept.

use std::path::{Path, PathBuf};

use modelship::domain::manifest::Manifest;
use modelship::domain::sweep::points::{Design, Limits};
use modelship::domain::sweep::spec::SweepSpec;
use modelship::domain::yaml::Files;

/// The repository itself.
struct Repository;

impl Files for Repository {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let path = root().join(path);
        path.is_file().then(|| fs_err::read_to_string(path).map_err(|error| error.to_string())).transpose()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files in `folder`, with their path in the repository and their text.
fn yaml_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(root().join(folder)).expect("the repository has its examples") {
        let path: PathBuf = folder.join(entry.expect("an entry").file_name());
        if root().join(&path).is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs_err::read_to_string(root().join(&path)).expect("a text");
            files.push((path.to_str().expect("a plain name").to_owned(), text));
        }
    }
    files
}

fn manifests() -> Vec<Manifest> {
    let files = yaml_files(Path::new("config")).into_iter().filter(|(path, _)| path != "config/policy.yaml");
    files
        .map(|(path, text)| Manifest::parse(&path, &text, &Repository).unwrap_or_else(|faults| panic!("{faults}")))
        .collect()
}

#[test]
fn every_example_manifest_is_in_order() {
    assert!(manifests().len() >= 5);
}

#[test]
fn every_example_sweep_makes_points_of_its_model() {
    let manifests = manifests();
    let sweeps = yaml_files(Path::new("sweeps"));
    assert!(sweeps.len() >= 4);
    for (path, text) in sweeps {
        let spec = SweepSpec::parse(&path, &text).unwrap_or_else(|faults| panic!("{faults}"));
        let manifest = manifests.iter().find(|manifest| manifest.model == spec.model);
        let manifest = manifest.unwrap_or_else(|| panic!("{path}: no manifest of {}", spec.model));
        let design = Design::new(&spec, manifest, &Repository, Limits::default());
        let design = design.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(design.points().count() as u64, design.runs(), "{path}");
        assert!(!design.moved().is_empty(), "{path} moves nothing");
    }
}
