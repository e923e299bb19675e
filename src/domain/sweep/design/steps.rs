//! Levels in equal steps, as exact decimals: a million of them take no more room than two.

use bigdecimal::num_traits::ToPrimitive;

use crate::domain::parameters::{Parameter, ParameterType, Value};
use crate::domain::sweep::spec::RawRange;
use crate::domain::yaml::{Exact, Placed, Reader};

/// Levels in equal steps: level `i` is `(start + i * step) / 10^scale`.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    start: i128,
    step: i128,
    scale: u32,
    count: u64,
    kind: ParameterType,
}

impl Steps {
    /// The levels of `parameter` from one end of `range` to the other.
    pub(super) fn new(
        parameter: &Parameter,
        range: &RawRange,
        step: &Placed<Exact>,
        count: u64,
        reader: &mut Reader,
    ) -> Option<Self> {
        for end in [&range.start, &range.stop] {
            let fits = parameter.number(&end.value).and_then(|value| parameter.check(&value));
            if let Err(misfit) = fits {
                misfit.at(end.place, reader);
                return None;
            }
        }
        let second = Exact(&range.start.value.0 + &step.value.0);
        if let Err(misfit) = parameter.number(&second) {
            misfit.at(step.place, reader);
            return None;
        }
        let Some(steps) = Self::exact(parameter.kind, &range.start.value, &step.value, count) else {
            reader.fault(step.place, "the range has more digits than can be calculated with", None);
            return None;
        };
        if steps.level(0) == steps.level(1) || steps.level(count - 2) == steps.level(count - 1) {
            reader.fault(
                step.place,
                "two neighbouring levels are the same number",
                Some("take a larger step".to_owned()),
            );
            return None;
        }
        // Whoever has few choices refuses one of the first few levels.
        let tried = count.min(parameter.choices.len() as u64 + 1);
        for index in 0..tried {
            if let Err(misfit) = parameter.check(&steps.level(index)) {
                misfit.at(step.place, reader);
                return None;
            }
        }
        Some(steps)
    }

    fn exact(kind: ParameterType, start: &Exact, step: &Exact, count: u64) -> Option<Self> {
        let scale = start.0.fractional_digit_count().max(step.0.fractional_digit_count()).max(0);
        let whole = |number: &Exact| {
            let shift = scale - number.0.fractional_digit_count();
            // Forty digits are more than an i128 holds; anything longer is refused without being calculated.
            (shift <= 40 && number.0.digits() <= 40)
                .then(|| number.0.with_scale(scale).into_bigint_and_exponent().0.to_i128())?
        };
        let (first, by) = (whole(start)?, whole(step)?);
        first.checked_add(by.checked_mul(i128::from(count))?)?;
        Some(Self { start: first, step: by, scale: u32::try_from(scale).ok()?, count, kind })
    }

    /// Level `index`, from 0.
    pub(super) fn level(&self, index: u64) -> Value {
        let whole = self.start + self.step * i128::from(index);
        match self.kind {
            // Whole ends and a whole step have no digits after the point.
            ParameterType::Int => Value::Int(i64::try_from(whole).expect("both ends fit, so all between do")),
            ParameterType::Float | ParameterType::Bool | ParameterType::String | ParameterType::List => {
                Value::Float(nearest(whole, self.scale))
            }
        }
    }

    /// How many levels.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether `value` is one of the levels.
    pub(super) fn contains(&self, value: &Value) -> bool {
        let Some(number) = value.number() else { return false };
        let power = 10f64.powi(i32::try_from(self.scale).unwrap_or(i32::MAX));
        #[expect(clippy::cast_precision_loss, reason = "only a guess that is checked against the levels around it")]
        let guess = (number * power - self.start as f64) / self.step as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
        let guess = guess.round() as u64;
        (guess.saturating_sub(1)..=guess.saturating_add(1))
            .any(|index| index < self.count && self.level(index) == *value)
    }
}

/// The float nearest to `whole / 10^scale`.
fn nearest(whole: i128, scale: u32) -> f64 {
    // Both are exact floats here, so one division rounds once, to the nearest.
    if whole.unsigned_abs() < 1 << 53 && scale <= 22 {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let whole = whole as f64;
        return whole / 10f64.powi(i32::try_from(scale).expect("at most 22")) + 0.0;
    }
    format!("{whole}e-{scale}").parse().expect("digits and an exponent are a float")
}
