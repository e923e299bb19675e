//! Points of one output against one parameter, gathered while the rows stream by: evenly thinned out, so bounded however
//! many rows there are.

use super::summary::place_of;
use crate::domain::parameters::Value;
use crate::domain::sweep::record::OutputValue;

/// The points so far.
#[derive(Debug)]
pub(super) struct Cloud {
    /// The parameter's place among the spec's.
    pub(super) parameter: usize,
    /// The output's place among the columns.
    pub(super) output: usize,
    /// In the order in which they came.
    pub(super) points: Vec<(f64, f64)>,
    most: usize,
    stride: u64,
    seen: u64,
}

impl Cloud {
    /// A cloud of at most `most` points, and at least half as many once there were more.
    pub(super) fn new(parameter: usize, output: usize, most: usize) -> Self {
        Self { parameter, output, points: Vec::new(), most, stride: 1, seen: 0 }
    }

    /// Takes one run's point, if both its values are finite numbers.
    pub(super) fn push(&mut self, values: &[Value], outputs: &[Option<&OutputValue>]) {
        let x = values.get(self.parameter).and_then(place_of);
        let y = outputs.get(self.output).copied().flatten().and_then(OutputValue::number);
        let Some(point) = x.zip(y).filter(|(x, y)| x.is_finite() && y.is_finite()) else { return };
        let wanted = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !wanted {
            return;
        }
        if self.points.len() >= self.most {
            let mut place = 0_usize;
            self.points.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.stride *= 2;
        }
        self.points.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_keeps_points_from_everywhere_and_never_more_than_it_may() {
        let mut cloud = Cloud::new(0, 0, 100);
        for number in 0..10_000_i64 {
            cloud.push(&[Value::Int(number)], &[Some(&OutputValue::Float(1.0))]);
            assert!(cloud.points.len() <= 100);
        }
        cloud.push(&[Value::Int(1)], &[Some(&OutputValue::Float(f64::NAN))]);
        cloud.push(&[Value::Int(1)], &[None]);
        assert!(cloud.points.len() >= 50 && cloud.seen == 10_000);
        let gaps: Vec<f64> = cloud.points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.iter().all(|gap| (gap - gaps[0]).abs() < 1e-9), "{gaps:?}");
    }
}
