//! A real model on real data: the published tax calculator on the microdata that it carries.

use crate::world::laptop::Laptop;
use crate::world::tables::{numbers, read_csv};

#[test]
fn a_sweep_of_the_published_tax_calculator_moves_its_revenue() {
    let laptop = Laptop::with_models(&["tax-calculator"]);
    let sweep = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps/top-rates.yaml")).unwrap();
    laptop.write("sweeps/top-rates.yaml", &sweep);
    laptop.commit("Sweep the top rate");

    let report = laptop.modelship(&["sweep", "run", "sweeps/top-rates.yaml", "--output", "json"]).ok().json();
    assert_eq!(report["phase"]["phase"], "succeeded", "{report}");
    let id = report["plan"]["id"].as_str().unwrap();
    let table = read_csv(&laptop.path().join(format!(".modelship/artifacts/sweeps/{id}/analysis.csv")));
    let rates = numbers(&table, "TOP_RATE");
    assert_eq!(rates.len(), 4, "the baseline and three points");
    let revenue = numbers(&table, "income_tax_revenue");
    let mut pairs: Vec<_> = rates.iter().zip(&revenue).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(b.0));
    assert!(pairs.windows(2).all(|pair| pair[0].1 < pair[1].1), "a higher top rate brings more: {pairs:?}");
}
