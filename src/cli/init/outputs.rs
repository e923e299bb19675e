//! What a model leaves: files of an earlier run in the folder, and names that its source writes.

use serde_json::Value;

use super::folder::{Folder, ending, stem};

/// Most columns that are proposed.
const COLUMNS: usize = 20;

/// What was found of a model's outputs.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outputs {
    /// The summary's name, or `stdout`; none when nothing looks like one.
    pub(super) summary: Option<String>,
    /// Names of numbers in an existing summary.
    pub(super) columns: Vec<String>,
    /// Other files.
    pub(super) files: Vec<String>,
    /// From what it was read.
    pub(super) from: Option<String>,
}

/// Looks at existing outputs first, then at what `source` writes. `known` are files that are no outputs.
pub(super) fn look(folder: &Folder, source: &str, known: &[String]) -> Outputs {
    let mut found = existing(folder, known);
    let written = written(source, known);
    if found.summary.is_none() {
        found.summary = written.iter().find(|name| is_summary(name)).cloned();
    }
    if found.summary.is_none() && prints_json(source) {
        found.summary = Some("stdout".to_owned());
    }
    for name in written {
        if found.summary.as_ref() != Some(&name) && !found.files.contains(&name) {
            found.files.push(name);
        }
    }
    found
}

/// Outputs of an earlier run that lie in the folder.
fn existing(folder: &Folder, known: &[String]) -> Outputs {
    let mut found = Outputs::default();
    for file in folder.ending(&[".json", ".csv", ".parquet"]).filter(|file| !known.iter().any(|known| known == file)) {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
        let is_place =
            ["out", "output", "outputs", "result", "results"].contains(&directory.to_ascii_lowercase().as_str());
        let stands_at_the_top = directory.is_empty() && is_summary(name);
        if !is_place && !stands_at_the_top {
            continue;
        }
        let columns = folder.text(file).and_then(|text| summary_columns(name, &text));
        match columns {
            Some(columns) if found.summary.is_none() => {
                found.summary = Some(name.to_owned());
                found.columns = columns;
                found.from = Some(file.to_owned());
            }
            _ => found.files.push(name.to_owned()),
        }
    }
    found
}

/// The names of the numbers in a summary: flat JSON, a table of two columns, or one of one row. None when it is none.
fn summary_columns(name: &str, text: &str) -> Option<Vec<String>> {
    let columns: Vec<String> = if ending(name) == "json" {
        let Value::Object(entries) = serde_json::from_str(text).ok()? else { return None };
        if entries.values().any(|value| value.is_object() || value.is_array()) {
            return None;
        }
        entries.into_iter().filter(|(_, value)| value.is_number()).map(|(name, _)| name).collect()
    } else if ending(name) == "csv" {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().ok()?;
        let is_number = |cell: &str| cell.trim().parse::<f64>().is_ok();
        match rows.as_slice() {
            [header, row] => {
                header.iter().zip(row).filter(|(_, cell)| is_number(cell)).map(|(name, _)| name.to_owned()).collect()
            }
            rows if rows.iter().all(|row| row.len() == 2)
                && rows.iter().filter(|row| !is_number(&row[1])).count() <= 1 =>
            {
                rows.iter().filter(|row| is_number(&row[1])).map(|row| row[0].to_owned()).collect()
            }
            _ => return None,
        }
    } else {
        return None;
    };
    let plain =
        |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (!columns.is_empty()).then(|| columns.into_iter().filter(plain).take(COLUMNS).collect())
}

/// Whether a file's name says that it holds results in short.
fn is_summary(name: &str) -> bool {
    let stem = stem(name).to_ascii_lowercase();
    let says = ["summary", "result", "metric", "totals"].iter().any(|word| stem.contains(word));
    ending(name) == "json" || (ending(name) == "csv" && says)
}

/// Names of files that the source writes, as far as they stand in quotes on lines that write.
fn written(source: &str, known: &[String]) -> Vec<String> {
    const WRITES: &[&str] = &[
        "\"w",
        "'w",
        "to_csv",
        "to_json",
        "to_parquet",
        "write",
        "dump",
        "save",
        "fopen",
        "ofstream",
        "status='replace'",
    ];
    let mut names = Vec::new();
    for line in source.lines().filter(|line| WRITES.iter().any(|word| line.contains(word))) {
        for word in line.split(['"', '\'', '/', '{', '}', '`']) {
            let is_file = matches!(ending(word), "json" | "csv" | "parquet") && !stem(word).is_empty();
            let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            let input = known.iter().any(|known| known.ends_with(word));
            if is_file && plain && !word.starts_with('.') && !input && !names.contains(&word.to_owned()) {
                names.push(word.to_owned());
            }
        }
    }
    names
}

fn prints_json(source: &str) -> bool {
    source.lines().any(|line| {
        line.contains("print") && (line.contains("dumps") || line.contains("toJSON") || line.contains("{\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_told_from_a_table() {
        assert_eq!(summary_columns("a.json", r#"{"revenue": 1, "name": "x"}"#).unwrap(), ["revenue"]);
        assert_eq!(summary_columns("a.csv", "revenue,units\n1.5,3\n").unwrap(), ["revenue", "units"]);
        assert_eq!(
            summary_columns("a.csv", "name,value\nrevenue,1\nunits,2\nmore,3\n").unwrap(),
            ["revenue", "units", "more"]
        );
        assert_eq!(summary_columns("a.csv", "id,wage,tax\n1,2,3\n2,3,4\n3,4,5\n"), None);
        assert_eq!(summary_columns("a.json", r#"{"deep": {"x": 1}}"#), None);
    }

    #[test]
    fn names_that_the_source_writes_are_found() {
        let source =
            "d = pd.read_csv('data.csv')\nopen(f\"{out}/summary.json\", \"w\")\nd.to_csv(out + '/table.csv')\n";
        assert_eq!(written(source, &["data.csv".to_owned()]), ["summary.json", "table.csv"]);
        assert!(prints_json("print(json.dumps(x))") && !prints_json("print(x)"));
    }
}
