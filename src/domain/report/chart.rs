//! A line chart in the language that forges render: mermaid's `xychart-beta`.

use super::escape::block;
use crate::domain::sweep::analysis::Chart;

/// How many labels an axis with a label for each point holds before they overlap.
const MOST_LABELS: usize = 15;

/// The chart as a code block; none when fewer than two points can be drawn.
pub(super) fn mermaid(chart: &Chart) -> Option<String> {
    let points: Vec<(f64, f64)> =
        chart.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let even = evenly_spaced(&points);
    let points = if even { points.clone() } else { thin(&points, MOST_LABELS) };
    let lowest = points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
    let scale = Scale::of(lowest.abs().max(highest.abs()));
    let (bottom, top) = padded(lowest, highest);
    let x_axis = if even {
        format!("{} --> {}", plain(first.0), plain(last.0))
    } else {
        // Mermaid spreads points evenly; where they are not, each gets its own label.
        let labels: Vec<String> = points.iter().map(|(x, _)| format!("\"{}\"", super::numbers::number(*x))).collect();
        format!("[{}]", labels.join(", "))
    };
    let values: Vec<String> = points.iter().map(|(_, y)| plain(y / scale.divisor)).collect();
    let lines = format!(
        "xychart-beta\n    title \"{} by {}\"\n    x-axis \"{}\" {x_axis}\n    y-axis \"{}\" {} --> {}\n    line [{}]",
        label(&chart.output),
        label(&chart.parameter),
        axis(&chart.parameter, "", &chart.parameter_unit),
        axis(&chart.output, scale.word, &chart.output_unit),
        plain(bottom / scale.divisor),
        plain(top / scale.divisor),
        values.join(", ")
    );
    Some(block("mermaid", &lines))
}

/// Large values are drawn in thousands, millions and so on; the axis says which.
struct Scale {
    divisor: f64,
    word: &'static str,
}

impl Scale {
    fn of(size: f64) -> Self {
        let (divisor, word) = match size {
            size if size >= 1e16 => (1e15, "10^15"),
            size if size >= 1e12 => (1e12, "trillion"),
            size if size >= 1e9 => (1e9, "billion"),
            size if size >= 1e6 => (1e6, "million"),
            size if size >= 1e5 => (1e3, "thousand"),
            size if size > 0.0 && size < 1e-6 => (1e-9, "10^-9"),
            size if size > 0.0 && size < 1e-3 => (1e-6, "10^-6"),
            _ => (1.0, ""),
        };
        Self { divisor, word }
    }
}

/// The range of the y axis: the values with a margin.
fn padded(lowest: f64, highest: f64) -> (f64, f64) {
    let spread = highest - lowest;
    let margin = if spread > 0.0 && spread.is_finite() { spread * 0.05 } else { (highest.abs() * 0.05).max(1e-12) };
    (lowest - margin, highest + margin)
}

fn evenly_spaced(points: &[(f64, f64)]) -> bool {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return false };
    #[expect(clippy::cast_precision_loss, reason = "a chart has at most 60 points")]
    let step = (last.0 - first.0) / (points.len() - 1) as f64;
    step > 0.0 && points.windows(2).all(|pair| ((pair[1].0 - pair[0].0) / step - 1.0).abs() < 1e-3)
}

/// At most `most` points, evenly taken, the first and the last among them.
fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    (0..most).map(|index| points[index * (points.len() - 1) / (most - 1)]).collect()
}

/// A number as mermaid reads it: plain decimals without an exponent, eight significant digits.
fn plain(value: f64) -> String {
    let rounded: f64 = format!("{value:.7e}").parse().unwrap_or(value);
    format!("{rounded}")
}

/// A name without the signs that mean something to mermaid.
fn label(raw: &str) -> String {
    let kept: String = raw
        .chars()
        .map(
            |c| if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '(' | ')' | '+' | '^') { c } else { ' ' },
        )
        .take(60)
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn axis(name: &str, scale: &str, unit: &str) -> String {
    let unit = label(&unit.replace('%', "percent"));
    let parts: Vec<&str> = [scale, unit.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { label(name) } else { format!("{} ({})", label(name), parts.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        Chart {
            parameter: "STANDARD".to_owned(),
            parameter_unit: "USD".to_owned(),
            output: "revenue".to_owned(),
            output_unit: "USD".to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn even_points_get_a_numeric_axis_and_large_values_a_scale() {
        let drawn = mermaid(&chart(&[(1600.0, 3.930201e11), (1700.0, 3.91011221e11), (1800.0, 3.89e11)])).unwrap();
        insta::assert_snapshot!(drawn, @r#"
        ```mermaid
        xychart-beta
            title "revenue by STANDARD"
            x-axis "STANDARD (USD)" 1600 --> 1800
            y-axis "revenue (billion USD)" 388.79899 --> 393.22111
            line [393.0201, 391.01122, 389]
        ```
        "#);
    }

    #[test]
    fn uneven_points_get_a_label_each() {
        let drawn = mermaid(&chart(&[(1.0, 0.5), (10.0, -0.25), (100.0, 0.0)])).unwrap();
        insta::assert_snapshot!(drawn, @r#"
        ```mermaid
        xychart-beta
            title "revenue by STANDARD"
            x-axis "STANDARD (USD)" ["1", "10", "100"]
            y-axis "revenue (USD)" -0.2875 --> 0.5375
            line [0.5, -0.25, 0]
        ```
        "#);
        let many: Vec<(f64, f64)> = (0..60).map(|n| (f64::from(n * n), f64::from(n))).collect();
        let drawn = mermaid(&chart(&many)).unwrap();
        assert_eq!(drawn.matches('"').count(), 6 + 2 * MOST_LABELS, "{drawn}");
    }

    #[test]
    fn a_flat_line_still_has_a_range() {
        let drawn = mermaid(&chart(&[(1.0, 7.0), (2.0, 7.0)])).unwrap();
        assert!(drawn.contains("6.65 --> 7.35"), "{drawn}");
        let drawn = mermaid(&chart(&[(1.0, 0.0), (2.0, 0.0)])).unwrap();
        assert!(drawn.contains("--> 0.000000000001"), "{drawn}");
    }

    #[test]
    fn a_single_point_is_no_line() {
        assert_eq!(mermaid(&chart(&[(1.0, 7.0)])), None);
        assert_eq!(mermaid(&chart(&[])), None);
        assert_eq!(mermaid(&chart(&[(1.0, f64::NAN), (2.0, 1.0)])), None);
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        let mut chart = chart(&[(1.0, 1.0), (2.0, 2.0)]);
        chart.output = "x\"\n```\n%%{init: {}}%% <b>@org".to_owned();
        chart.output_unit = "% of \"GDP\"".to_owned();
        insta::assert_snapshot!(mermaid(&chart).unwrap(), @r#"
        ```mermaid
        xychart-beta
            title "x init b org by STANDARD"
            x-axis "STANDARD (USD)" 1 --> 2
            y-axis "x init b org (percent of GDP)" 0.95 --> 2.05
            line [1, 2]
        ```
        "#);
    }
}
