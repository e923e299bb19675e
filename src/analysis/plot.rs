//! A plot of points as SVG that stands within a page: no script, no font of its own, nothing to load.

use std::fmt::Write as _;

use crate::domain::report::{html, numbers};
use crate::domain::sweep::plan::Scale;

/// The size of a plot, and of what is around it, in pixels.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// About how many marks does an axis have, and which share of it is kept free at each end?
const MARKS: f64 = 5.0;
const FREE: f64 = 0.04;

/// How many powers of ten does a logarithmic axis have before some of them go without a mark?
const MOST_POWERS: f64 = 7.0;

/// Points of one output against one parameter, with the words at the axes.
pub(super) struct Plot<'a> {
    pub(super) across: &'a str,
    /// How the axis across is divided.
    pub(super) scale: Scale,
    pub(super) up: &'a str,
    pub(super) points: &'a [(f64, f64)],
    /// The baseline's value, as a line across.
    pub(super) baseline: Option<f64>,
    pub(super) join: Join,
}

/// Whether the points are of one line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// They are joined in order of the axis across.
    Line,
    /// They stand alone.
    Alone,
}

impl Plot<'_> {
    /// The plot; none when there is nothing to see on either axis.
    pub(super) fn svg(&self) -> Option<String> {
        let x = Axis::over(self.points.iter().map(|point| point.0), self.scale)?;
        let y = Axis::over(self.points.iter().map(|point| point.1).chain(self.baseline), Scale::Linear)?;
        let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
        let up = |value: f64| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} by {}\">",
            html(self.up),
            html(self.across)
        );
        for mark in y.marks() {
            let (at, label) = (up(mark), html(&numbers::number(mark)));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{:.0}\" y=\"{:.1}\" class=\"end\">{label}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for mark in x.marks() {
            let (at, label) = (across(mark), html(&numbers::number(mark)));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/><text x=\"{at:.1}\" y=\"{:.0}\" class=\"mid\">{label}</text>",
                bottom + 16.0
            );
        }
        let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>");
        if let Some(baseline) = self.baseline {
            let _ = write!(svg, "<path class=\"base\" d=\"M{LEFT} {:.1}H{right}\"/>", up(baseline));
        }
        if self.join == Join::Line {
            let places = self.points.iter().map(|point| format!("{:.1} {:.1}", across(point.0), up(point.1)));
            let _ = write!(svg, "<path class=\"line\" d=\"M{}\"/>", places.collect::<Vec<_>>().join("L"));
        }
        for point in self.points {
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\"/>", across(point.0), up(point.1));
        }
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" class=\"mid name\">{}{}</text></svg>",
            f64::midpoint(LEFT, right),
            HEIGHT - 8.0,
            html(self.across),
            if x.scale == Scale::Log { ", logarithmic" } else { "" }
        );
        Some(svg)
    }
}

/// From where to where an axis goes: of a logarithmic one, the exponents of ten.
struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
}

impl Axis {
    /// An axis over the values; none when there are none, or when they are too far apart to tell. It is not logarithmic
    /// where a value has no logarithm.
    fn over(values: impl Iterator<Item = f64>, scale: Scale) -> Option<Self> {
        let (from, to) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |seen, it| (seen.0.min(it), seen.1.max(it)));
        if from > to || !(to - from).is_finite() {
            return None;
        }
        let scale = if from > 0.0 { scale } else { Scale::Linear };
        let (from, to) = match scale {
            Scale::Linear => (from, to),
            Scale::Log => (from.log10(), to.log10()),
        };
        // One value stands in the middle.
        let around = match () {
            () if from < to => (to - from) * FREE,
            () if from == 0.0 => 1.0,
            () => from.abs() / 2.0,
        };
        Some(Self { from: from - around, to: to + around, scale }).filter(|axis| (axis.to - axis.from).is_finite())
    }

    /// Where on the axis a value stands, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        };
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    /// Round values on the axis.
    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => round_between(self.from, self.to),
            Scale::Log => round_proportions(self.from, self.to),
        }
    }
}

/// Round values from `from` to `to`, in equal steps.
fn round_between(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / MARKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough);
    let Some(step) = step.filter(|step| step.is_normal()) else { return vec![from, to] };
    let first = (from / step).ceil();
    let marks = (0..=8).map(|place| (first + f64::from(place)) * step);
    marks.take_while(|mark| *mark <= to).collect()
}

/// Round values between two powers of ten: powers of ten, with values between them where those are few.
fn round_proportions(from: f64, to: f64) -> Vec<f64> {
    if to - from > MOST_POWERS {
        let powers = round_between(from, to).into_iter().filter(|power| power.fract() == 0.0);
        return powers.map(|power| 10_f64.powf(power)).collect();
    }
    let mut power = from.floor();
    let mut powers = Vec::new();
    while power <= to {
        powers.push(power);
        power += 1.0;
    }
    for digits in [&[1.0][..], &[1.0, 3.0], &[1.0, 2.0, 5.0]] {
        let marks = powers.iter().flat_map(|power| digits.iter().map(|digit| digit * 10_f64.powf(*power)));
        let marks: Vec<f64> = marks.filter(|mark| (from..=to).contains(&mark.log10())).collect();
        if marks.len() >= 3 {
            return marks;
        }
    }
    // So short an axis is nearly linear.
    round_between(10_f64.powf(from), 10_f64.powf(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Option<String> {
        Plot { across: "a<b", scale: Scale::Linear, up: "c\"d", points, baseline: Some(1.0), join: Join::Line }.svg()
    }

    #[test]
    fn words_at_the_axes_stay_words() {
        let svg = plot(&[(0.0, 1.0), (10.0, 3.0)]).unwrap();
        assert!(svg.contains("a&lt;b") && svg.contains("c&quot;d") && !svg.contains("a<b"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn marks_are_round_and_lie_on_the_axis() {
        let axis = |from, to| Axis::over([from, to].into_iter(), Scale::Linear).unwrap().marks();
        assert_eq!(axis(0.0, 10.0), [0.0, 5.0, 10.0]);
        assert_eq!(axis(1600.0, 3500.0), [2000.0, 2500.0, 3000.0, 3500.0]);
        assert_eq!(axis(-1.0, 1.0), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        for (from, to) in [(0.0, 1e-300), (-1e300, 1e300), (1e15, 1e15 + 1.0), (3.0, 3.0), (0.0, 0.0)] {
            let axis = Axis::over([from, to].into_iter(), Scale::Linear).unwrap();
            let marks = axis.marks();
            assert!(!marks.is_empty() && marks.len() <= 9, "{from} {to}: {marks:?}");
            assert!(marks.iter().all(|mark| (0.0..=1.0).contains(&axis.share(*mark))), "{marks:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_gives_equal_proportions_equal_room() {
        let axis = |from: f64, to: f64| Axis::over([from, to].into_iter(), Scale::Log).unwrap();
        let decades = axis(0.001, 10.0);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(
            near(decades.share(0.1), 0.5)
                && near(decades.share(1.0) - decades.share(0.1), decades.share(0.1) - decades.share(0.01))
        );
        let shown = |axis: Axis| axis.marks().iter().map(|mark| numbers::number(*mark)).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(decades), "0.001 0.01 0.1 1 10");
        assert_eq!(shown(axis(1.0, 100.0)), "1 10 100");
        assert_eq!(shown(axis(2.0, 40.0)), "3 10 30");
        assert_eq!(shown(axis(1.0, 9.0)), "1 2 5");
        assert_eq!(shown(axis(4.0, 5.0)), "4 4.5 5");
        for (from, to) in [(1e-300, 1e300), (5e-324, 1.0), (1e-9, 1e9), (3.0, 3.0), (1.0, 1.0)] {
            let axis = axis(from, to);
            let marks = axis.marks();
            assert!(!marks.is_empty() && marks.len() <= 9, "{from} {to}: {marks:?}");
            assert!(marks.iter().all(|mark| mark.is_finite() && (0.0..=1.0).contains(&axis.share(*mark))), "{marks:?}");
        }
        for (from, to) in [(0.0, 10.0), (-1.0, 10.0)] {
            let axis = axis(from, to);
            assert!(axis.scale == Scale::Linear, "there is no logarithm of {from}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        assert!(plot(&[]).is_none());
        assert!(plot(&[(f64::MIN, 0.0), (f64::MAX, 1.0)]).is_none(), "further apart than a number can tell");
        assert!(plot(&[(f64::NAN, 0.0)]).is_none());
        assert!(plot(&[(1.0, 1.0)]).is_some());
    }
}
