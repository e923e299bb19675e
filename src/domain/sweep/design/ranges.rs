//! Levels that are calculated: so many at equal distances or in equal proportions, going up or down all the way.

use bigdecimal::BigDecimal;

use crate::domain::parameters::{Parameter, Value};
use crate::domain::sweep::spec::{RawLogRange, RawRange};
use crate::domain::yaml::{Exact, Place, Placed, Reader, exact};

/// Significant digits of levels that are calculated rather than written.
const DIGITS: u64 = 15;

/// `num` levels at equal distances.
pub(super) fn even(
    parameter: &Parameter,
    range: &RawRange,
    count: u64,
    place: Place,
    reader: &mut Reader,
) -> Option<Vec<Value>> {
    let (start, stop) = (&range.start.value.0, &range.stop.value.0);
    let last = count - 1;
    let inner = (1..last).map(|index| Exact((start * (last - index) + stop * index) / last).rounded(DIGITS));
    calculated(parameter, &Ends { start: &range.start, stop: &range.stop, place }, inner, reader)
}

/// `num` levels in equal proportions: each is the one before it times the same ratio, which is calculated far more
/// precisely than a level is kept. No logarithm is taken, so every machine finds the same levels.
pub(super) fn proportional(
    parameter: &Parameter,
    range: &RawLogRange,
    count: u64,
    place: Place,
    reader: &mut Reader,
) -> Option<Vec<Value>> {
    let ratio = ratio(&range.start.value, &range.stop.value, count - 1);
    let next = |level: &BigDecimal| Some(rounded(level * &ratio));
    let inner = std::iter::successors(next(&range.start.value.0), next).map(|level| Exact(level).rounded(DIGITS));
    let inner = inner.take(usize::try_from(count - 2).unwrap_or(usize::MAX));
    calculated(parameter, &Ends { start: &range.start, stop: &range.stop, place }, inner, reader)
}

/// The number whose power `steps` leads from `start` to `stop`, by Newton's method.
fn ratio(start: &Exact, stop: &Exact, steps: u64) -> BigDecimal {
    let whole = rounded(&stop.0 / &start.0);
    #[expect(clippy::cast_precision_loss, reason = "only a first guess")]
    let guess = ((stop.float().ln() - start.float().ln()) / steps as f64).exp();
    // Between the smallest and the largest float lie 2100 powers of two; for one step alone the guess may overflow.
    let mut ratio = exact(&format!("{guess:e}")).map_or_else(|_| whole.clone(), |guess| guess.0);
    for _ in 0..5 {
        let excess = (rounded(&whole / power(&ratio, steps)) - 1) / steps;
        ratio = rounded(&ratio * (excess + 1));
    }
    ratio
}

fn power(base: &BigDecimal, exponent: u64) -> BigDecimal {
    let (mut power, mut square, mut rest) = (BigDecimal::from(1), base.clone(), exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            power = rounded(&power * &square);
        }
        square = rounded(&square * &square);
        rest /= 2;
    }
    power
}

/// Kept to far more digits than a level has.
fn rounded(number: BigDecimal) -> BigDecimal {
    Exact(number).rounded(60).0
}

fn calculated(
    parameter: &Parameter,
    ends: &Ends<'_>,
    inner: impl Iterator<Item = Exact>,
    reader: &mut Reader,
) -> Option<Vec<Value>> {
    let first = std::iter::once((ends.start.value.clone(), ends.start.place));
    let last = std::iter::once((ends.stop.value.clone(), ends.stop.place));
    let mut values: Vec<Value> = Vec::new();
    for (level, place) in first.chain(inner.map(|level| (level, ends.place))).chain(last) {
        let value = match parameter.number(&level).and_then(|value| parameter.check(&value).map(|()| value)) {
            Ok(value) => value,
            Err(misfit) => {
                misfit.at(place, reader);
                return None;
            }
        };
        if values.last() == Some(&value) {
            let message = format!("two neighbouring levels are both {value}");
            reader.fault(ends.place, message, Some("take fewer levels".to_owned()));
            return None;
        }
        values.push(value);
    }
    Some(values)
}

/// The ends of calculated levels, and the place for faults of the others.
struct Ends<'s> {
    start: &'s Placed<Exact>,
    stop: &'s Placed<Exact>,
    place: Place,
}
