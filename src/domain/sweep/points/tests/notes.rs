//! What is worth a note and stops nothing.

use super::*;

#[test]
fn points_where_the_condition_has_no_value_are_left_out_counted_and_told() {
    let design = design("parameters: {EXEMPT: [0, 1, 2, 4]}\nwhere: 4 / EXEMPT > 1\n");
    assert_eq!((design.rejected(), design.runs()), (2, 2));
    insta::assert_snapshot!(design.notes().join("\n"), @"1 point where the condition has no value (it divides by zero, say) was left out");
    insta::assert_snapshot!(fault("parameters: {EXEMPT: [0]}\nwhere: 4 / EXEMPT > 1\n"), @r"
    sweeps/s.yaml:4:8: the only point is rejected; at 1 `where` has no value because it divides by zero (hint: loosen `where` or `exclude`)
    | where: 4 / EXEMPT > 1
    |        ^^^^^^^^^^^^^^
    ");
}

#[test]
fn an_output_that_the_manifest_does_not_declare_is_worth_a_note() {
    let declared = MANIFEST.replace("{summary: s.json}", "{summary: s.json, columns: {revenue: {}}}");
    let declared = Manifest::parse("modelship.yaml", &declared, &NoFiles).unwrap();
    let text = "sweep: s\nmodel: urban/tax\noutputs: [revenu, revenue]\n";
    let spec = SweepSpec::parse("sweeps/s.yaml", text).unwrap();
    let notes =
        |manifest: &Manifest| Design::new(&spec, manifest, &NoFiles, Limits::default()).unwrap().notes().join("\n");
    insta::assert_snapshot!(notes(&declared), @"the manifest declares no output `revenu`; it is empty unless the model writes it (did you mean `revenue`?)");
    assert_eq!(notes(&manifest()), "", "a manifest that declares nothing says nothing about them");
}
