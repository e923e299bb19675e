//! The Dockerfile of a model that names its environment and brings no Dockerfile along.
//!
//! Nothing of a manifest reaches a shell: commands are in exec form, and the names of packages were checked when the
//! manifest was read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Build, Environment};

/// Where the packages of a requirements file lie within the built model, whoever built it. Python finds them there by
/// `PYTHONPATH`.
pub const PACKAGES: &str = ".python-packages";

/// The folder of the model in its image.
const MODEL: &str = "/model";

/// Variables that tell pip where to look. They are declared, so that builds can be given them.
const PIP_ARGUMENTS: [&str; 5] =
    ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES"];

/// The images that generated environments begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    /// Has Debian's package manager.
    pub debian: String,
    /// Has `python3` with pip too.
    pub python: String,
}

/// What a requirements file needs beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirements {
    /// Nothing: each line names a package. Packages are installed again only when the file changes.
    Alone,
    /// Something of the source: another file, or the model's own package.
    WithSource,
}

impl Requirements {
    /// What the requirements file with this text needs.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let local = |line: &str| {
            let line = line.trim();
            line.starts_with(['-', '.', '/']) || line.contains("file:") || line.ends_with('\\') || line.contains("/ ")
        };
        let path = |line: &str| line.contains('/') && !line.contains("://");
        let lines = || text.lines().map(|line| line.split('#').next().unwrap_or_default());
        if lines().any(|line| local(line) || path(line)) { Self::WithSource } else { Self::Alone }
    }
}

/// What a command of a built model finds around it on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// `PATH`.
    pub search_path: String,
    /// Further variables.
    pub variables: BTreeMap<String, String>,
}

impl Build {
    /// What commands find around them when the model, built as processes, lies in the folder `model` of a machine whose
    /// `PATH` is `search_path`: the packages that were installed beside it.
    #[must_use]
    pub fn surroundings(&self, model: &str, search_path: &str) -> Surroundings {
        match &self.environment {
            Some(Environment { python: Some(_), .. }) => Surroundings {
                search_path: format!("{model}/{PACKAGES}/bin:{search_path}"),
                variables: BTreeMap::from([("PYTHONPATH".to_owned(), format!("{model}/{PACKAGES}"))]),
            },
            Some(Environment { python: None, .. }) | None => {
                Surroundings { search_path: search_path.to_owned(), variables: BTreeMap::new() }
            }
        }
    }
}

/// The build arguments that the Dockerfile with this text declares.
#[must_use]
pub fn declared_arguments(text: &str) -> BTreeSet<String> {
    let names = |line: &str| -> Vec<String> {
        let Some((word, rest)) = line.trim().split_once(char::is_whitespace) else { return Vec::new() };
        if !word.eq_ignore_ascii_case("ARG") {
            return Vec::new();
        }
        rest.split_whitespace().map(|name| name.split('=').next().unwrap_or_default().to_owned()).collect()
    };
    text.lines().flat_map(names).collect()
}

impl Environment {
    /// The commands, run in the source, that put the packages of the requirements file into [`PACKAGES`]; none when there
    /// is no such file.
    #[must_use]
    pub fn install(&self) -> Vec<Vec<String>> {
        let Some(requirements) = &self.python else { return Vec::new() };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        vec![
            // A requirements file may turn out to ask for nothing.
            words(&["mkdir", "-p", PACKAGES]),
            words(&[
                "python3",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--root-user-action",
                "ignore",
                "--no-warn-conflicts",
                "--no-cache-dir",
                "--no-compile",
                "--target",
                PACKAGES,
                "-r",
                requirements,
            ]),
            // Compiled once, in files that stay good wherever the folder is moved, and that name no place.
            words(&["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", PACKAGES]),
        ]
    }

    /// The Dockerfile: the environment, the source in it, and `build`'s commands run there.
    #[must_use]
    pub fn dockerfile(&self, build: &Build, bases: &Bases, requirements: Requirements) -> String {
        let mut lines = Vec::new();
        if let Some(file) = &self.python {
            lines.push(format!("FROM {} AS packages", bases.python));
            lines.extend(self.debian_packages());
            lines.extend(PIP_ARGUMENTS.map(|name| format!("ARG {name}")));
            lines.push(format!("WORKDIR {MODEL}"));
            lines.push(match requirements {
                Requirements::Alone => format!("COPY {}", json(&[file, file])),
                Requirements::WithSource => "COPY . .".to_owned(),
            });
            lines.extend(self.install().iter().map(|command| format!("RUN {}", json(command))));
            lines.push(String::new());
        }
        lines.push(format!("FROM {}", if self.python.is_some() { &bases.python } else { &bases.debian }));
        lines.extend(self.debian_packages());
        lines.push(format!("WORKDIR {MODEL}"));
        if self.python.is_some() {
            lines.push(format!("ENV PYTHONPATH={MODEL}/{PACKAGES} PATH={MODEL}/{PACKAGES}/bin:$PATH"));
            lines.push(format!("COPY --from=packages {MODEL}/{PACKAGES} {PACKAGES}"));
        }
        lines.push("COPY . .".to_owned());
        lines.extend(build.process.iter().flatten().map(|command| format!("RUN {}", json(command))));
        // Models need no rights in their image.
        lines.push("USER 10001:10001".to_owned());
        lines.push(String::new());
        lines.join("\n")
    }

    fn debian_packages(&self) -> Option<String> {
        if self.debian.is_empty() {
            return None;
        }
        Some(format!(
            "RUN apt-get update \\\n && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {} \\\n \
             && rm -rf /var/lib/apt/lists/*",
            self.debian.join(" ")
        ))
    }
}

/// Words in the exec form of a Dockerfile, which is JSON.
fn json<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&words).expect("a list of texts is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(environment: &Environment, process: Option<Vec<Vec<String>>>, requirements: Requirements) -> String {
        let bases = Bases { debian: "debian:bookworm-slim".to_owned(), python: "python:3.12-slim".to_owned() };
        let build = Build { process, docker: None, environment: Some(environment.clone()), ..Build::default() };
        environment.dockerfile(&build, &bases, requirements)
    }

    #[test]
    fn a_compiled_model_gets_its_packages_and_its_commands_without_a_shell() {
        let environment = Environment { python: None, debian: vec!["gfortran".to_owned(), "make".to_owned()] };
        let process = vec![vec!["make".to_owned(), "CFLAGS=\"-O2\" $(id)\n".to_owned()]];
        insta::assert_snapshot!(generated(&environment, Some(process), Requirements::Alone), @r#"
        FROM debian:bookworm-slim
        RUN apt-get update \
         && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends gfortran make \
         && rm -rf /var/lib/apt/lists/*
        WORKDIR /model
        COPY . .
        RUN ["make","CFLAGS=\"-O2\" $(id)\n"]
        USER 10001:10001
        "#);
    }

    #[test]
    fn a_python_model_gets_its_packages_in_a_stage_of_their_own() {
        let environment = Environment { python: Some("requirements.txt".to_owned()), debian: Vec::new() };
        insta::assert_snapshot!(generated(&environment, None, Requirements::Alone), @r#"
        FROM python:3.12-slim AS packages
        ARG PIP_INDEX_URL
        ARG PIP_EXTRA_INDEX_URL
        ARG PIP_TRUSTED_HOST
        ARG PIP_DEFAULT_TIMEOUT
        ARG PIP_RETRIES
        WORKDIR /model
        COPY ["requirements.txt","requirements.txt"]
        RUN ["mkdir","-p",".python-packages"]
        RUN ["python3","-m","pip","install","--quiet","--disable-pip-version-check","--root-user-action","ignore","--no-warn-conflicts","--no-cache-dir","--no-compile","--target",".python-packages","-r","requirements.txt"]
        RUN ["python3","-m","compileall","-q","--invalidation-mode","unchecked-hash",".python-packages"]

        FROM python:3.12-slim
        WORKDIR /model
        ENV PYTHONPATH=/model/.python-packages PATH=/model/.python-packages/bin:$PATH
        COPY --from=packages /model/.python-packages .python-packages
        COPY . .
        USER 10001:10001
        "#);
        let with_source = generated(&environment, None, Requirements::WithSource);
        assert!(with_source.contains("WORKDIR /model\nCOPY . .\nRUN"), "{with_source}");
    }

    #[test]
    fn arguments_are_found_wherever_they_are_declared() {
        let text =
            "ARG BASE=debian:bookworm-slim\nFROM $BASE\n  arg PIP_INDEX_URL\nARG A=1 B\n# ARG NO\nRUN echo ARG NOT\n";
        let names: Vec<_> = declared_arguments(text).into_iter().collect();
        assert_eq!(names, ["A", "B", "BASE", "PIP_INDEX_URL"]);
    }

    #[test]
    fn requirements_that_name_only_packages_stand_alone() {
        let check = |text: &str, expect: Requirements| assert_eq!(Requirements::of(text), expect, "{text}");
        check("", Requirements::Alone);
        check("numpy==2.1.0  # as in ./the paper\npandas[excel]>=2; python_version > '3.9'\n", Requirements::Alone);
        check("x @ https://example.org/x.whl\n", Requirements::Alone);
        for text in ["-r base.txt", "-e .", ".", "./vendor/x.whl", "vendor/x.whl", "x @ file:///model/x", "--hash \\\n"]
        {
            check(text, Requirements::WithSource);
        }
    }
}
