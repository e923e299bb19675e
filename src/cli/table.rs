//! Tables as a terminal or a pipe shows them.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::domain::report::escape::visible;

/// A table as text: two blanks between columns, no lines. `width` none means as wide as need be.
pub(super) fn render_table(header: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).enforce_styling();
    }
    table.set_header(header.iter().map(|name| Cell::new(one_line(name)).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.iter().map(|text| Cell::new(one_line(text))));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if is_numeric(rows, place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

pub(super) fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// Whether every cell of the column is a number, a share or a blank, and one is a number.
fn is_numeric(rows: &[Vec<String>], place: usize) -> bool {
    let cells = || rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.trim_end_matches(" %"));
    let number = |cell: &str| cell.replace(',', "").parse::<f64>().is_ok();
    cells().any(number) && cells().all(|cell| matches!(cell, "" | "-") || number(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn a_piped_table_has_no_lines_and_no_colour() {
        let rows = rows(&[&["urban/simple-tax", "12", "1.2 s"], &["identity", "1,234", "-"]]);
        insta::assert_snapshot!(render_table(&["MODEL", "RUNS", "TIME"], &rows, None), @r"
        MODEL              RUNS  TIME
        urban/simple-tax     12  1.2 s
        identity          1,234  -
        ");
    }

    #[test]
    fn a_terminals_width_is_kept() {
        let rows = rows(&[&["a", "a long description that does not fit into a narrow terminal"]]);
        let text = anstream::adapter::strip_str(&render_table(&["NAME", "WHAT"], &rows, Some(30))).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert_eq!(text.split_whitespace().skip(2).collect::<Vec<_>>().join(" "), rows[0].join(" "));
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        let text = render_table(&["NAME"], &rows(&[&["\u{1b}[2Jgone\nx\u{202E}"]]), None);
        assert_eq!(text, "NAME\ngone x\u{FFFD}\n");
    }
}
