//! The page of an analysis, `report.html`: what a person looks at before the table itself. It stands alone, whoever opens
//! it and wherever: no script, nothing to load, and every word of a user or a model escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::AnalysisSpec;
use super::cloud::Cloud;
use super::columns::{OutputColumn, Source, TableColumn};
use super::plot::{Join, Plot};
use crate::domain::ids::RunId;
use crate::domain::parameters::Value;
use crate::domain::report::{html, numbers, plain, told_move, warning_text, with_unit};
use crate::domain::sweep::analysis::{AnalysisSummary, OutputStatistics};
use crate::domain::sweep::plan::MovedParameter;
use crate::domain::sweep::record::{Outcome, OutputValue, Record};

/// How many rows and columns of the table does the page show?
const MOST_ROWS: usize = 500;
const MOST_COLUMNS: usize = 24;

/// How many parameters and outputs are plotted against each other, and by how many points each?
const MOST_ACROSS: usize = 4;
const MOST_UP: usize = 6;
const MOST_POINTS: usize = 1_000;

/// How many of the parameters that stand still does the page name?
const MOST_HELD: usize = 100;

/// How much of a text does a cell show, in characters?
const MOST_TEXT: usize = 200;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem 1.5rem 3rem;max-width:64rem;color:#1c2024}\
    h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}.quiet{color:#5b636b}code{font:14px ui-monospace,monospace}\
    .wide{overflow-x:auto}table{border-collapse:collapse}td,th{padding:.25rem 1rem .25rem 0;text-align:right;\
    border-bottom:1px solid #eceff2;font-variant-numeric:tabular-nums;white-space:nowrap}td:first-child,th:first-child{text-align:left}\
    .plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));gap:1.5rem}figure{margin:0}figcaption{font-weight:600;overflow-wrap:anywhere}\
    svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#5b636b}svg .end{text-anchor:end}svg .mid{text-anchor:middle}\
    .warn{border-left:4px solid #c2571a;padding-left:.75rem}a{color:#0b5cad}svg.key{width:2rem;height:.5rem;vertical-align:middle}\
    dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1.5rem}dt{color:#5b636b}dd{margin:0;overflow-wrap:anywhere}\
    svg .name{fill:#1c2024}.grid{stroke:#eceff2;fill:none}.axis{stroke:#98a0a8;fill:none}.base{stroke:#c2571a;stroke-dasharray:5 4;fill:none}\
    .line{stroke:#0b5cad;stroke-width:1.5;fill:none}circle{fill:#0b5cad;fill-opacity:.75}li{overflow-wrap:anywhere}";

/// What the page is made of, gathered while the rows stream by. Bounded, however many there are.
pub(super) struct Report {
    sources: Vec<Source>,
    rows: Vec<(RunId, Vec<String>)>,
    clouds: Vec<(String, Cloud)>,
    /// Runs without a result, by what became of them.
    without: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(super) fn new(spec: &AnalysisSpec, columns: &[TableColumn], outputs: &[OutputColumn]) -> Self {
        let wanted = |source: &Source| match source {
            Source::RunId | Source::Output(_) | Source::Difference(_) => true,
            Source::Parameter(place) => spec.moves(*place),
            Source::Role
            | Source::Status
            | Source::Failure
            | Source::Rows(_)
            | Source::WallSeconds
            | Source::CpuSeconds
            | Source::PeakMemory => false,
        };
        let sources = columns.iter().map(|column| column.source).filter(wanted).take(MOST_COLUMNS).collect();
        let numeric = outputs.iter().enumerate().filter(|(_, column)| column.kind.is_numeric());
        let up: Vec<(usize, &OutputColumn)> = numeric.take(MOST_UP).collect();
        let across = (0..spec.parameters.len()).filter(|place| spec.moves(*place)).take(MOST_ACROSS);
        let cloud = |parameter, (output, column): (usize, &OutputColumn)| {
            (column.output.clone(), Cloud::new(parameter, output, MOST_POINTS))
        };
        let clouds = across.flat_map(|parameter| up.iter().map(move |output| cloud(parameter, *output))).collect();
        Self { sources, rows: Vec::new(), clouds, without: BTreeMap::new() }
    }

    /// Takes note of how a run ended.
    pub(super) fn see(&mut self, record: Option<&Record>) {
        let became = match record.map(|record| &record.outcome) {
            Some(Outcome::Succeeded) => return,
            Some(Outcome::Failed { class, .. }) => class.words(),
            None => "not run to its end",
        };
        *self.without.entry(became).or_default() += 1;
    }

    /// Whether one more row is shown.
    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < MOST_ROWS
    }

    /// The columns of the page's table.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(super) fn push_row(&mut self, run: &RunId, shown: Vec<String>) {
        self.rows.push((run.clone(), shown));
    }

    pub(super) fn push_points(&mut self, values: &[Value], outputs: &[Option<&OutputValue>]) {
        for (_, cloud) in &mut self.clouds {
            cloud.push(values, outputs);
        }
    }

    /// The page. `names` are those of its table's columns.
    pub(super) fn finish(self, spec: &AnalysisSpec, names: &[String], summary: &AnalysisSummary) -> String {
        let origin = &spec.origin;
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sweep {0}</title>\n<style>{STYLE}</style>\n\
             <h1>Sweep {0}</h1>\n<p><b>{1}</b> version <code>{2}</code>: {3}. \
             <span class=\"quiet\">Plan <code>{4}</code>.</span>\n",
            html(origin.sweep.as_str()),
            html(&origin.model.to_string()),
            origin.version,
            numbers::plural(summary.rows, "run"),
            origin.plan.short(),
        );
        page.push_str(&self.incomplete(summary));
        page.push_str(&declared(spec));
        let remarks: Vec<String> = summary
            .warnings
            .iter()
            .map(|it| plain(&warning_text(it)))
            .chain(summary.notes.iter().map(|it| plain(it)))
            .collect();
        if !remarks.is_empty() {
            page.push_str("<h2>Worth a look</h2>\n<ul>\n");
            for remark in remarks {
                let _ = writeln!(page, "<li>{}", html(&remark));
            }
            page.push_str("</ul>\n");
        }
        page.push_str(&statistics(&summary.statistics));
        page.push_str(&self.plots(spec, summary));
        page.push_str(&self.table(spec, names, summary.rows));
        page
    }

    /// What is said first of a table that lacks results.
    fn incomplete(&self, summary: &AnalysisSummary) -> String {
        if summary.missing == 0 {
            return String::new();
        }
        let why: Vec<String> =
            self.without.iter().map(|(became, runs)| format!("{} {became}", numbers::count(*runs))).collect();
        format!(
            "<p class=\"warn\"><b>Incomplete:</b> {} of {} without a result ({}). What follows is of the others.\n",
            numbers::count(summary.missing),
            numbers::plural(summary.rows, "run"),
            why.join(", ")
        )
    }

    fn plots(&self, spec: &AnalysisSpec, summary: &AnalysisSummary) -> String {
        let mut figures = String::new();
        let mut baseline = false;
        for (name, cloud) in &self.clouds {
            let mut points = cloud.points.clone();
            points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            // One place on the axis across shows nothing of what moves.
            if points.first().is_none_or(|first| points.iter().all(|point| point.0 == first.0)) {
                continue;
            }
            let parameter = &spec.parameters[cloud.parameter];
            let output = summary.statistics.iter().find(|row| row.output == *name);
            // Nor does an output that never moves.
            let Some(output) = output.filter(|row| row.min < row.max) else { continue };
            let alone = points.windows(2).any(|pair| pair[0].0 == pair[1].0) || spec.moved.len() > 1;
            let scale = spec.scale(cloud.parameter).unwrap_or_default();
            let across = with_unit(&parameter.name, &parameter.unit);
            let up = with_unit(&output.output, &output.unit);
            let join = if alone { Join::Alone } else { Join::Line };
            let plot = Plot { across: &across, scale, up: &up, points: &points, baseline: output.baseline, join };
            if let Some(svg) = plot.svg() {
                baseline |= output.baseline.is_some();
                let caption = format!("{up} by {}", parameter.name);
                let _ = writeln!(figures, "<figure><figcaption>{}</figcaption>{svg}</figure>", html(&caption));
            }
        }
        if figures.is_empty() {
            return figures;
        }
        let key = if baseline {
            "<p class=\"quiet\"><svg class=\"key\" viewBox=\"0 0 32 8\" aria-hidden=\"true\"><path class=\"base\" \
             d=\"M0 4H32\"/></svg> The dashed line is the baseline's value.\n"
        } else {
            ""
        };
        format!("<h2>Plots</h2>\n{key}<div class=\"plots\">\n{figures}</div>\n")
    }

    fn table(&self, spec: &AnalysisSpec, names: &[String], rows: u64) -> String {
        let mut table = String::from("<h2>Runs</h2>\n<div class=\"wide\"><table>\n<tr>");
        for name in names {
            let _ = write!(table, "<th>{}", html(name));
        }
        table.push('\n');
        for (run, row) in &self.rows {
            table.push_str("<tr>");
            let address = spec.links.run_address(run);
            for (source, cell) in self.sources.iter().zip(row) {
                let cut: String = cell.chars().take(MOST_TEXT).collect();
                let more = if cut.len() < cell.len() { "…" } else { "" };
                let _ = match (source, &address) {
                    (Source::RunId, Some(address)) => {
                        write!(table, "<td><a href=\"{}\">{}</a>", html(address), html(&cut))
                    }
                    _ => write!(table, "<td>{}{more}", html(&cut)),
                };
            }
            table.push('\n');
        }
        table.push_str("</table></div>\n");
        let shown = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        if shown < rows {
            let _ = writeln!(
                table,
                "<p class=\"quiet\">The first {} of {} rows; all of them are in <code>analysis.csv</code>.",
                numbers::count(shown),
                numbers::count(rows)
            );
        }
        table
    }
}

/// What the sweep moves, what it holds at a value, and its baseline.
fn declared(spec: &AnalysisSpec) -> String {
    let pairs = |pairs: &[(String, String)]| {
        let shown = pairs.iter().take(MOST_HELD).map(|(name, value)| format!("{} = {}", html(name), html(value)));
        let mut shown: Vec<String> = shown.collect();
        if pairs.len() > shown.len() {
            shown.push(format!("and {} more", pairs.len() - shown.len()));
        }
        shown.join("<br>")
    };
    let moves = |moved: &MovedParameter| html(&told_move(moved));
    let moved: Vec<String> = spec.moved.iter().map(moves).collect();
    let mut list = String::from("<dl>");
    for (what, said) in
        [("moves", moved.join("<br>")), ("held at", pairs(&spec.fixed)), ("baseline", pairs(&spec.baseline))]
    {
        if !said.is_empty() {
            let _ = write!(list, "<dt>{what}<dd>{said}");
        }
    }
    let told = |name: &str| spec.moved.iter().any(|it| it.name == name) || spec.fixed.iter().any(|it| it.0 == name);
    if spec.parameters.iter().any(|parameter| !told(&parameter.name)) {
        list.push_str("<dt>all others<dd>at their defaults");
    }
    list.push_str("</dl>\n");
    list
}

fn statistics(statistics: &[OutputStatistics]) -> String {
    if statistics.is_empty() {
        return String::new();
    }
    let with_baseline = statistics.iter().any(|row| row.baseline.is_some());
    let mut table = String::from(
        "<h2>Outputs</h2>\n<div class=\"wide\"><table>\n<tr><th>output<th>unit<th>runs<th>min<th>mean<th>max<th>std. dev.",
    );
    table.push_str(if with_baseline { "<th>baseline\n" } else { "\n" });
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| html(&numbers::number(value)));
    for row in statistics {
        let _ = write!(table, "<tr><td>{}<td>{}<td>{}", html(&row.output), html(&row.unit), numbers::count(row.count));
        for value in [row.min, row.mean, row.max] {
            let _ = write!(table, "<td>{}", html(&numbers::number(value)));
        }
        let _ = write!(table, "<td>{}", optional(row.deviation));
        if with_baseline {
            let _ = write!(table, "<td>{}", optional(row.baseline));
        }
        table.push('\n');
    }
    table.push_str("</table></div>\n");
    table
}
