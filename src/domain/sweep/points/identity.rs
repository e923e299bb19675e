//! What makes two runs the same run, and two plans the same plan.
//!
//! A run's id is the hash of everything that decides its outcome, written as canonical JSON with sorted keys. The
//! parameters come last but one, so everything before them is hashed once and a million ids take about a second.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Role;
use crate::domain::ids::{Digest, RunId};
use crate::domain::manifest::Manifest;
use crate::domain::parameters::{Value, write_json_text};
use crate::domain::sweep::plan::RunLimits;

/// Changes whenever the meaning of what a run is handed or leaves changes, so that old results are not taken for new.
const CONTRACT: u32 = 1;

/// Everything but the parameters and the seed that decides the outcome of a version's runs.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    prefix: Sha256,
    /// Places of the parameters in the manifest with `"NAME":`, sorted by name.
    names: Vec<(usize, String)>,
}

impl RunIdentity {
    /// The identity of runs of `executable` under `manifest` with these input files.
    #[must_use]
    pub fn new(executable: &Digest, manifest: &Manifest, inputs: &BTreeMap<String, Digest>) -> Self {
        let mut text = format!("{{\"contract\":{CONTRACT},\"executable\":\"{executable}\",\"execution\":");
        text.push_str(&manifest.execution().to_string());
        text.push_str(",\"inputs\":{");
        for (index, (path, digest)) in inputs.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write_json_text(&mut text, path);
            text.push_str(":\"");
            text.push_str(digest.as_str());
            text.push('"');
        }
        text.push_str("},\"parameters\":{");
        let mut names: Vec<(usize, String)> = manifest
            .parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let mut name = String::new();
                write_json_text(&mut name, &parameter.name);
                name.push(':');
                (index, name)
            })
            .collect();
        names.sort_by(|(left, _), (right, _)| manifest.parameters[*left].name.cmp(&manifest.parameters[*right].name));
        Self { prefix: Sha256::new_with_prefix(text), names }
    }

    /// Makes ids of runs, one after another.
    #[must_use]
    pub fn ids(&self) -> RunIds<'_> {
        RunIds { identity: self, values: Vec::new(), texts: Vec::new(), text: String::new() }
    }

    /// The id of the run with these values, in the manifest's order, and this seed.
    ///
    /// # Panics
    /// When there are fewer values than the manifest has parameters.
    #[must_use]
    pub fn run_id(&self, values: &[Value], seed: Option<u64>) -> RunId {
        RunId::from_hash(&self.ids().next(values, seed))
    }
}

/// Makes ids of runs, one after another. From one point to the next most values stay, and their texts with them.
#[derive(Debug)]
pub struct RunIds<'i> {
    identity: &'i RunIdentity,
    values: Vec<Value>,
    texts: Vec<String>,
    text: String,
}

impl RunIds<'_> {
    /// The hash that is the id of the run with these values, in the manifest's order, and this seed.
    ///
    /// # Panics
    /// When there are fewer values than the manifest has parameters.
    #[must_use]
    pub fn next(&mut self, values: &[Value], seed: Option<u64>) -> [u8; 32] {
        self.write(values);
        let text = &mut self.text;
        text.clear();
        for (position, (index, name)) in self.identity.names.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(name);
            text.push_str(&self.texts[*index]);
        }
        text.push_str("},\"seed\":");
        match seed {
            Some(seed) => text.push_str(&seed.to_string()),
            None => text.push_str("null"),
        }
        text.push('}');
        let mut hash = self.identity.prefix.clone();
        hash.update(text);
        hash.finalize().into()
    }

    /// The canonical JSON of each value of the last run, in the manifest's order.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    fn write(&mut self, values: &[Value]) {
        self.values.truncate(values.len());
        self.texts.resize_with(values.len(), String::new);
        for (index, value) in values.iter().enumerate() {
            match self.values.get_mut(index) {
                Some(known) if known == value => continue,
                Some(known) => known.clone_from(value),
                None => self.values.push(value.clone()),
            }
            let text = &mut self.texts[index];
            text.clear();
            value.write_json(text);
        }
    }
}

/// Takes the digest of a plan: of everything that a person agrees to who starts it.
#[derive(Debug, Clone)]
pub struct PlanHasher(Sha256);

impl PlanHasher {
    /// Begins with what is common to all runs. The executable is part of every run's id; the commit that it was built
    /// from is none of the plan's business, so that a push which changes neither keeps the plan.
    #[must_use]
    pub fn new(manifest: &Digest, outputs: &[String], limits: &RunLimits) -> Self {
        let common = serde_json::json!({ "limits": limits, "outputs": outputs, "manifest": manifest });
        Self(Sha256::new_with_prefix(format!("modelship plan {CONTRACT}\n{common}\n")))
    }

    /// Adds the next run by its id.
    pub fn add(&mut self, run: &str, role: Role) {
        self.0.update([match role {
            Role::Baseline => b'b',
            Role::Design => b'd',
            Role::Both => b'x',
        }]);
        self.0.update(run);
    }

    /// The digest, once every run is added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::from_hash(self.0.finalize().as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::yaml::NoFiles;

    const MANIFEST: &str = "owner: o\ntitle: t\nbuild: {process: []}\n\
        run: {command: [\"{model}/m\", \"{params}\"]}\noutputs: {summary: s.json}\n\
        parameters: {B: {type: float, default: 1}, A: {type: string, default: x}}\n";

    fn identity(manifest: &str, executable: &str) -> RunIdentity {
        let manifest = Manifest::parse("modelship.yaml", manifest, &NoFiles).unwrap();
        let inputs = BTreeMap::from([("data/\"x\".csv".to_owned(), Digest::of("data"))]);
        RunIdentity::new(&Digest::of(executable), &manifest, &inputs)
    }

    #[test]
    fn a_run_id_is_the_hash_of_canonical_json() {
        let id = identity(MANIFEST, "e").run_id(&[Value::Float(1500.0), Value::Text("x".into())], None);
        let json = format!(
            concat!(
                r#"{{"contract":1,"executable":"{}","execution":{{"command":["{{model}}/m","{{params}}"],"files":[],"#,
                r#""network":"open","params":"csv","summarize":null,"summary":{{"file":"s.json"}}}},"#,
                r#""inputs":{{"data/\"x\".csv":"{}"}},"parameters":{{"A":"x","B":1500.0}},"seed":null}}"#
            ),
            Digest::of("e"),
            Digest::of("data")
        );
        assert_eq!(id.as_str(), Digest::of(json).hex());
    }

    #[test]
    fn an_id_is_the_same_whatever_run_came_before() {
        let identity = identity(MANIFEST, "e");
        let mut ids = identity.ids();
        // Numbers that are equal have one text, and a change back is seen as well as a change.
        for (float, text) in [(0.0, "x"), (-0.0, "x"), (1.5, "x"), (1.5, "y"), (0.0, "x")] {
            let values = [Value::Float(float), Value::Text(text.into())];
            let id = RunId::from_hash(&ids.next(&values, Some(7)));
            assert_eq!(id, identity.run_id(&values, Some(7)), "{values:?}");
            assert_eq!(ids.texts(), [format!("{:?}", float + 0.0), format!("\"{text}\"")]);
        }
    }

    #[test]
    fn whatever_decides_the_outcome_changes_the_id_and_nothing_else_does() {
        let values = [Value::Float(1.0), Value::Text("x".into())];
        let id = |manifest: &str, executable: &str| identity(manifest, executable).run_id(&values, None);
        let base = id(MANIFEST, "e");
        assert_eq!(base, id(&MANIFEST.replace("run: {", "run: {timeout: 3s, resources: {vcpu: 2}, "), "e"));
        assert_eq!(base, id(&MANIFEST.replace("title: t", "title: t\ndescription: other"), "e"));
        assert_ne!(base, id(MANIFEST, "f"));
        assert_ne!(base, id(&MANIFEST.replace("run: {", "run: {network: none, "), "e"));
        assert_ne!(base, id(&MANIFEST.replace("run: {", "run: {params: {format: json}, "), "e"));
        assert_ne!(base, identity(MANIFEST, "e").run_id(&values, Some(1)));
        assert_ne!(base, identity(MANIFEST, "e").run_id(&[Value::Float(2.0), values[1].clone()], None));
    }

    #[test]
    fn a_plan_s_digest_covers_runs_roles_order_outputs_and_limits() {
        let manifest = Digest::of("manifest");
        let digest = |outputs: &[String], limits: &RunLimits, runs: &[(&str, Role)]| {
            let mut hasher = PlanHasher::new(&manifest, outputs, limits);
            for (run, role) in runs {
                hasher.add(RunId::from_hash(run.as_bytes()).as_str(), *role);
            }
            hasher.finish()
        };
        let (none, limits) = (Vec::new(), RunLimits::default());
        let base = digest(&none, &limits, &[("a", Role::Baseline), ("b", Role::Design)]);
        assert_eq!(base, digest(&none, &limits, &[("a", Role::Baseline), ("b", Role::Design)]));
        assert_ne!(base, digest(&none, &limits, &[("b", Role::Design), ("a", Role::Baseline)]));
        assert_ne!(base, digest(&none, &limits, &[("a", Role::Both), ("b", Role::Design)]));
        assert_ne!(base, digest(&["x".to_owned()], &limits, &[("a", Role::Baseline), ("b", Role::Design)]));
        let tight = RunLimits { max_parallel: Some(1), ..RunLimits::default() };
        assert_ne!(base, digest(&none, &tight, &[("a", Role::Baseline), ("b", Role::Design)]));
    }
}
