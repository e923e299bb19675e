//! How the model in a folder is started, as far as its files tell.

use super::dockerfile::{self, Stage};
use super::folder::{Folder, ending, stem};
use super::script;

/// Endings of scripts and what runs them.
const SCRIPTS: &[(&str, &str)] =
    &[("py", "python3"), ("R", "Rscript"), ("r", "Rscript"), ("jl", "julia"), ("sh", "sh")];

/// Endings of sources that have to be compiled.
const COMPILED: &[&str] =
    &[".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".f95", ".f03", ".f08", ".F90", ".for", ".go", ".rs"];

/// Names that the program of a model often has, the likeliest first.
const USUAL: &[&str] = &["model", "main", "run_model", "run", "simulate", "simulation", "cli", "app"];

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// A script of the folder.
    Script {
        /// What runs it.
        interpreter: Vec<String>,
        /// Its path.
        file: String,
        /// What else stands in the Dockerfile's command.
        rest: Vec<String>,
    },
    /// A program that `make` makes.
    Made(String),
    /// What an image starts; nothing of it lies in the folder.
    Image(Vec<String>),
    /// Nothing was found.
    Unknown,
}

/// A Dockerfile of the folder.
#[derive(Debug)]
pub(super) struct Image {
    /// Its path.
    pub(super) file: String,
    /// What it says.
    pub(super) stage: Stage,
}

/// The folder's Dockerfile; the plainest name goes first.
pub(super) fn image(folder: &Folder) -> Option<Image> {
    let is_one = |file: &&str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        name == "Dockerfile"
            || name.starts_with("Dockerfile.")
            || name.ends_with(".Dockerfile")
            || name == "Containerfile"
    };
    let file = folder.files().filter(is_one).min_by_key(|file| (file.matches('/').count(), file.len()))?;
    Some(Image { file: file.to_owned(), stage: dockerfile::read(&folder.text(file)?) })
}

/// What starts the model: what the Dockerfile starts, what `make` makes, or the likeliest script.
pub(super) fn find(folder: &Folder, image: Option<&Image>, title: &str) -> Program {
    let words =
        image.map(|image| [image.stage.entrypoint.clone(), image.stage.command.clone()].concat()).unwrap_or_default();
    let workdir = image.map_or("", |image| image.stage.workdir.as_str());
    let named = |word: &str| within(folder, workdir, word).filter(|file| interpreter(file).is_some());
    if let Some((at, file)) = words.iter().enumerate().find_map(|(at, word)| Some((at, named(word)?))) {
        let before: Vec<String> = words[..at].iter().map(|word| own_interpreter(word)).collect();
        let interpreter = if before.is_empty() { interpreter(&file).into_iter().collect() } else { before };
        return Program::Script { interpreter, file, rest: words[at + 1..].to_vec() };
    }
    if folder.ending(COMPILED).next().is_some()
        && let Some(made) = folder.text("Makefile").or_else(|| folder.text("makefile")).and_then(|text| made_by(&text))
    {
        return Program::Made(made);
    }
    if let Some(file) = likeliest(folder, title) {
        return Program::Script { interpreter: interpreter(&file).into_iter().collect(), file, rest: Vec::new() };
    }
    if words.is_empty() { Program::Unknown } else { Program::Image(words) }
}

/// What runs a script with this file's ending.
fn interpreter(file: &str) -> Option<String> {
    SCRIPTS.iter().find(|(own, _)| *own == ending(file)).map(|(_, program)| (*program).to_owned())
}

/// An interpreter as this machine knows it: images call Python `python`, or `/usr/local/bin/python3.12`.
fn own_interpreter(word: &str) -> String {
    let name = word.rsplit('/').next().unwrap_or(word);
    if word.starts_with('-') {
        word.to_owned()
    } else if name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') == "python" {
        "python3".to_owned()
    } else {
        name.to_owned()
    }
}

/// The file of the folder that a word in an image with this working directory means.
fn within(folder: &Folder, workdir: &str, word: &str) -> Option<String> {
    let below = match word.strip_prefix('/') {
        Some(absolute) => {
            absolute.strip_prefix(workdir.trim_start_matches('/')).unwrap_or(absolute).trim_start_matches('/')
        }
        None => word.trim_start_matches("./"),
    };
    // What is copied into an image often lies one folder deeper there, or here.
    let mut tails = std::iter::successors(Some(below), |path| path.split_once('/').map(|(_, rest)| rest));
    tails.find(|path| folder.has(path)).map(str::to_owned)
}

/// The first target of a Makefile that is a file.
fn made_by(makefile: &str) -> Option<String> {
    let variable = |name: &str| {
        makefile.lines().find_map(|line| {
            let (left, right) = line.split_once('=')?;
            (left.trim().trim_end_matches([':', '?', '+']).trim() == name).then(|| right.trim().to_owned())
        })
    };
    let filled = |word: &str| {
        let inner = word.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
        inner
            .or_else(|| word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')))
            .map_or_else(|| Some(word.to_owned()), variable)
    };
    let phony: Vec<&str> =
        makefile.lines().filter_map(|line| line.strip_prefix(".PHONY:")).flat_map(str::split_whitespace).collect();
    let mut rules = makefile.lines().filter(|line| !line.starts_with(['\t', ' ', '#', '.'])).filter_map(|line| {
        let (targets, needs) = line.split_once(':')?;
        (!needs.starts_with('=') && !targets.contains('=')).then_some((targets.trim(), needs.trim()))
    });
    let (target, needs) = rules.next()?;
    let is_name_only = phony.contains(&target) || matches!(target, "all" | "build" | "default");
    let first = if is_name_only { needs.split_whitespace().next()? } else { target.split_whitespace().next()? };
    filled(first).filter(|name| !name.contains(['$', '%', ' ']))
}

/// The script that is likeliest the model's own.
fn likeliest(folder: &Folder, title: &str) -> Option<String> {
    let helper = |file: &str| {
        let name = stem(file);
        file.split('/').any(|part| matches!(part, "tests" | "test" | "docs" | "scripts" | "tools" | "examples"))
            || name.starts_with("test_")
            || matches!(name, "setup" | "conftest" | "summarize" | "__init__" | "install" | "build" | "entrypoint")
    };
    let scripts = || folder.files().filter(|file| interpreter(file).is_some() && !helper(file));
    let title = title.replace(['-', '.'], "_");
    let score = |file: &str| {
        let name = stem(file).replace('-', "_");
        let usual = USUAL.iter().position(|usual| *usual == name).map_or(0, |at| 20 - at);
        let text = folder.text(file).unwrap_or_default();
        let arguments = script::read(ending(file), &text);
        let takes = !arguments.options.is_empty() || !arguments.positional.is_empty() || !arguments.paths.is_empty();
        let begins = text.contains("__main__") || text.contains("commandArgs") || text.contains("ARGS");
        let own = if name == title { 50 } else { 0 };
        own + usual
            + usize::from(takes) * 10
            + usize::from(begins) * 5
            + 2_usize.saturating_sub(file.matches('/').count())
    };
    scripts().max_by_key(|file| (score(file), std::cmp::Reverse(file.to_owned()))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let folder = Folder::look(dir.path()).unwrap();
        (dir, folder)
    }

    fn found(files: &[(&str, &str)]) -> Program {
        let (_dir, folder) = folder(files);
        find(&folder, image(&folder).as_ref(), "my-model")
    }

    fn script(interpreter: &[&str], file: &str, rest: &[&str]) -> Program {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Program::Script { interpreter: owned(interpreter), file: file.to_owned(), rest: owned(rest) }
    }

    #[test]
    fn what_the_image_starts_is_found_in_the_folder() {
        let dockerfile = "FROM python:3.12\nWORKDIR /app\nCOPY . .\nENTRYPOINT [\"/usr/local/bin/python3.12\", \"-u\", \"/app/code/go.py\"]\nCMD [\"--fast\"]\n";
        let files = [("Dockerfile", dockerfile), ("code/go.py", ""), ("main.py", "")];
        assert_eq!(found(&files), script(&["python3", "-u"], "code/go.py", &["--fast"]));
        let elsewhere = [("Dockerfile", "FROM x\nENTRYPOINT [\"/opt/model\"]\n")];
        assert_eq!(found(&elsewhere), Program::Image(vec!["/opt/model".to_owned()]));
    }

    #[test]
    fn what_make_makes_goes_before_a_script_beside_it() {
        let makefile =
            "CC = gcc\nPROGRAM = tax\n.PHONY: all clean\nall: $(PROGRAM)\n$(PROGRAM): tax.c\n\t$(CC) -o $@ tax.c\n";
        assert_eq!(
            found(&[("Makefile", makefile), ("tax.c", ""), ("summarize.py", "")]),
            Program::Made("tax".to_owned())
        );
        let chores = [("Makefile", "test:\n\tpytest\n"), ("model.R", "commandArgs()"), ("tests/test_x.py", "__main__")];
        assert_eq!(found(&chores), script(&["Rscript"], "model.R", &[]));
    }

    #[test]
    fn the_likeliest_script_is_chosen() {
        let files = [("helpers.py", "def f(): pass"), ("my_model.py", ""), ("run.py", "__main__"), ("setup.py", "")];
        assert_eq!(found(&files), script(&["python3"], "my_model.py", &[]));
        assert_eq!(found(&files[2..]), script(&["python3"], "run.py", &[]));
        assert_eq!(found(&[("README.md", "")]), Program::Unknown);
    }
}
