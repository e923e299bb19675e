//! `modelship man`: the manual, made of what can be typed.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use serde_json::json;

use super::arguments::Arguments;
use super::output::{CliError, Output};

/// Prints the page of modelship itself, or writes it and one for each verb into `to`.
pub(crate) fn man(to: Option<&Path>, output: &Output) -> Result<(), CliError> {
    let command = Arguments::command();
    let Some(directory) = to else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return if output.is_json() {
            output.json(&json!({"page": String::from_utf8_lossy(&page)}))
        } else {
            output.raw(&page)
        };
    };
    fs_err::create_dir_all(directory)?;
    let mut written = Vec::new();
    for (name, page) in pages(command)? {
        let path = directory.join(format!("{name}.1"));
        fs_err::write(&path, page)?;
        written.push(path);
    }
    if output.is_json() {
        return output.json(&json!({"pages": written}));
    }
    for path in &written {
        output.line(&path.display().to_string())?;
    }
    output.next_step(&format!("man {}", directory.join("modelship.1").display()));
    Ok(())
}

/// The page of `command` and those of every verb below it that people type, by name: `modelship-sweep-run`.
fn pages(command: Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, "modelship", &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(name.to_owned()).render(&mut page)?;
    pages.push((name.to_owned(), page));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, &format!("{name}-{}", verb.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_that_names_it() {
        let pages = pages(Arguments::command()).unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["modelship", "modelship-build", "modelship-sweep", "modelship-sweep-replay", "modelship-pr-open"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"modelship-forge-hook"), "what nobody types needs no page");
        for (name, page) in pages {
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(&format!(".TH {name} ")), "{name}: {}", page.lines().take(4).collect::<String>());
            assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH DESCRIPTION"), "{name}");
        }
    }
}
