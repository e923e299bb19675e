//! The numbers and functions of expressions: what `+`, `<` and `min` do.
//!
//! Whole and broken numbers mix, dividing is exact, and floats that differ by less than one part in 10^12 are equal.

use std::cmp::Ordering;

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString};

/// Relative distance below which two floats are equal.
const CLOSE: f64 = 1e-12;

/// The functions that an expression can call.
pub(super) const FUNCTIONS: [&str; 11] =
    ["min", "max", "abs", "floor", "ceil", "round", "sqrt", "exp", "ln", "log10", "pow"];

/// What an operation says that has no value at these numbers: a division by zero, the root of a negative number.
pub(super) const NO_VALUE: &str = "no value";

type Outcome = Result<Dynamic, Box<EvalAltResult>>;

/// Teaches `engine` its operators and functions.
pub(super) fn teach(engine: &mut Engine) {
    arithmetic(engine);
    comparison(engine);
    functions(engine);
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "mixed arithmetic is float arithmetic")]
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (left, right) => {
                let (left, right) = (left.float(), right.float());
                if (left - right).abs() <= CLOSE * left.abs().max(right.abs()) {
                    Some(Ordering::Equal)
                } else {
                    left.partial_cmp(&right)
                }
            }
        }
    }

    /// The exact result where it is whole and fits, else the float one.
    fn combine(self, other: Self, whole: fn(i64, i64) -> Option<i64>, broken: fn(f64, f64) -> f64) -> Outcome {
        if let (Self::Int(left), Self::Int(right)) = (self, other)
            && let Some(result) = whole(left, right)
        {
            return Ok(result.into());
        }
        finite(broken(self.float(), other.float()))
    }

    /// The same for an operation on one number.
    fn change(self, whole: fn(i64) -> Option<i64>, broken: fn(f64) -> f64) -> Outcome {
        match self {
            Self::Int(value) => whole(value).map_or_else(|| finite(broken(self.float())), |result| Ok(result.into())),
            Self::Float(value) => finite(broken(value)),
        }
    }
}

fn finite(result: f64) -> Outcome {
    if result.is_finite() { Ok(result.into()) } else { Err(NO_VALUE.into()) }
}

fn arithmetic(engine: &mut Engine) {
    binary(engine, "+", |a, b| a.combine(b, i64::checked_add, |a, b| a + b));
    binary(engine, "-", |a, b| a.combine(b, i64::checked_sub, |a, b| a - b));
    binary(engine, "*", |a, b| a.combine(b, i64::checked_mul, |a, b| a * b));
    binary(engine, "/", |a, b| a.combine(b, |_, _| None, |a, b| a / b));
    binary(engine, "%", |a, b| a.combine(b, i64::checked_rem, |a, b| a % b));
    for power in ["**", "pow"] {
        binary(engine, power, |a, b| a.combine(b, whole_power, f64::powf));
    }
    unary(engine, "-", |a| a.change(i64::checked_neg, |a| -a));
    unary(engine, "+", |a| a.change(Some, |a| a));
    engine.register_fn("!", |value: bool| !value);
}

fn whole_power(base: i64, exponent: i64) -> Option<i64> {
    base.checked_pow(u32::try_from(exponent).ok()?)
}

/// rhai would call two values of different types unequal; here that is a mistake.
macro_rules! incomparable {
    ($engine:ident, $operator:ident, $one:ty, $other:ty, $what:literal) => {
        $engine.register_fn($operator, |_: $one, _: $other| refuse($what));
        $engine.register_fn($operator, |_: $other, _: $one| refuse($what));
    };
}

fn refuse(what: &str) -> Result<bool, Box<EvalAltResult>> {
    Err(format!("{what} cannot be compared").into())
}

fn comparison(engine: &mut Engine) {
    binary(engine, "==", |a, b| Ok((a.compare(b) == Some(Ordering::Equal)).into()));
    binary(engine, "!=", |a, b| Ok((a.compare(b) != Some(Ordering::Equal)).into()));
    binary(engine, "<", |a, b| Ok((a.compare(b) == Some(Ordering::Less)).into()));
    binary(engine, "<=", |a, b| Ok(a.compare(b).is_some_and(Ordering::is_le).into()));
    binary(engine, ">", |a, b| Ok((a.compare(b) == Some(Ordering::Greater)).into()));
    binary(engine, ">=", |a, b| Ok(a.compare(b).is_some_and(Ordering::is_ge).into()));
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        incomparable!(engine, operator, ImmutableString, i64, "a text and a number");
        incomparable!(engine, operator, ImmutableString, f64, "a text and a number");
        incomparable!(engine, operator, ImmutableString, bool, "a text and a boolean");
        incomparable!(engine, operator, bool, i64, "a boolean and a number");
        incomparable!(engine, operator, bool, f64, "a boolean and a number");
    }
}

fn functions(engine: &mut Engine) {
    binary(engine, "min", |a, b| a.combine(b, |a, b| Some(a.min(b)), f64::min));
    binary(engine, "max", |a, b| a.combine(b, |a, b| Some(a.max(b)), f64::max));
    unary(engine, "abs", |a| a.change(i64::checked_abs, f64::abs));
    unary(engine, "floor", |a| a.change(|_| None, f64::floor));
    unary(engine, "ceil", |a| a.change(|_| None, f64::ceil));
    unary(engine, "round", |a| a.change(|_| None, f64::round));
    unary(engine, "sqrt", |a| a.change(|_| None, f64::sqrt));
    unary(engine, "exp", |a| a.change(|_| None, f64::exp));
    unary(engine, "ln", |a| a.change(|_| None, f64::ln));
    unary(engine, "log10", |a| a.change(|_| None, f64::log10));
}

fn binary(engine: &mut Engine, name: &str, operation: fn(Number, Number) -> Outcome) {
    engine.register_fn(name, move |a: i64, b: i64| operation(Number::Int(a), Number::Int(b)));
    engine.register_fn(name, move |a: i64, b: f64| operation(Number::Int(a), Number::Float(b)));
    engine.register_fn(name, move |a: f64, b: i64| operation(Number::Float(a), Number::Int(b)));
    engine.register_fn(name, move |a: f64, b: f64| operation(Number::Float(a), Number::Float(b)));
}

fn unary(engine: &mut Engine, name: &str, operation: fn(Number) -> Outcome) {
    engine.register_fn(name, move |a: i64| operation(Number::Int(a)));
    engine.register_fn(name, move |a: f64| operation(Number::Float(a)));
}
