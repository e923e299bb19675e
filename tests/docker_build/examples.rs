//! The project's own models, built as images by the manifests by which they are built as processes.

use crate::place::{Place, docker};

/// Builds each model and looks at its version.
fn builds(models: &[(&str, &str)]) {
    let titles: Vec<&str> = models.iter().map(|(_, title)| *title).collect();
    let place = Place::with_models(&titles);
    for (owner, title) in models {
        let name = format!("{owner}/{title}");
        place.laptop.modelship(&["build", &name]).ok();
        let listed = place.laptop.modelship(&["versions", &name, "--output", "json"]).ok().json();
        let version = &listed[0]["version"];
        assert_eq!(version["builder"], "docker");
        assert_eq!(version["image"]["workdir"], "/model");
        assert!(version["tests"].as_array().unwrap().len() >= 2, "{version}");
        let reference = version["image"]["reference"].as_str().unwrap();
        assert!(reference.ends_with(version["executable"].as_str().unwrap()), "{reference}");
        let repository = reference.split('@').next().unwrap();
        let tag = &version["source"]["commit"].as_str().unwrap()[..10];
        docker(&["image", "rm", "--force", "--no-prune", reference, &format!("{repository}:{tag}")]);
    }
}

#[test]
fn the_small_models_are_built_and_tested_as_images() {
    builds(&[
        ("examples", "identity-matrix"),
        ("urban", "simple-tax-cpp"),
        ("urban", "simple-tax-fortran"),
        ("urban", "simple-tax-python"),
    ]);
}

#[test]
fn the_published_tax_calculator_is_built_and_tested_as_an_image() {
    builds(&[("psl", "tax-calculator")]);
}
