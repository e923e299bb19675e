//! Numbers as people write them, kept exactly: `0.3`, `3e-1` and the seventh level of a range are one number.

use std::str::FromStr;

use bigdecimal::num_traits::{ToPrimitive, Zero};
use bigdecimal::{BigDecimal, RoundingMode};

use super::shown;

/// Largest power of ten in a number, up or down. Wide enough for every float, small enough to calculate with exactly.
const MAX_EXPONENT: i64 = 400;

/// Longest number that is read, in characters.
const MAX_DIGITS: usize = 400;

/// A decimal number without rounding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exact(pub(crate) BigDecimal);

impl Exact {
    /// The nearest float. Zero has no sign.
    pub(crate) fn float(&self) -> f64 {
        // A decimal of at most 400 digits either way always parses; beyond the largest float it would be infinite,
        // which `exact` has ruled out.
        let nearest: f64 = self.0.to_scientific_notation().parse().unwrap_or(f64::NAN);
        if nearest == 0.0 { 0.0 } else { nearest }
    }

    /// The number as a whole one, when it is one and fits.
    pub(crate) fn int(&self) -> Option<i64> {
        if self.0.is_integer() { self.0.to_i64() } else { None }
    }

    /// Rounded to `digits` significant digits, halves to even.
    pub(crate) fn rounded(&self, digits: u64) -> Self {
        let digits = std::num::NonZeroU64::new(digits).unwrap_or(std::num::NonZeroU64::MIN);
        Self(self.0.with_precision_round(digits, RoundingMode::HalfEven))
    }

    /// The number in its shortest plain form, as hints propose it.
    pub(crate) fn plain(&self) -> String {
        super::super::parameters::float_text(self.float())
    }
}

/// Reads a number, or says what is wrong with it and what to write instead.
pub(crate) fn exact(text: &str) -> Result<Exact, (String, Option<String>)> {
    let written = shown(text);
    let too_far = || (format!("`{written}` is out of the range of numbers"), None);
    if text.len() > MAX_DIGITS {
        return Err((format!("`{written}` is too long for a number"), None));
    }
    if let Some(reason) = trap(text) {
        return Err(reason);
    }
    if !is_decimal(text) {
        return Err((format!("`{written}` is not a number"), None));
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| too_far())?;
    if exponent.abs() > MAX_EXPONENT {
        return Err(too_far());
    }
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let number = BigDecimal::from_str(&format!("{mantissa}e{exponent}")).map_err(|_| too_far())?;
    let number = Exact(number.normalized());
    let float = number.float();
    if !float.is_finite() || (float == 0.0 && !number.0.is_zero()) {
        return Err(too_far());
    }
    Ok(number)
}

/// `[+-] digits [. digits] [e [+-] digits]`, with a digit before the exponent.
pub(crate) fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && digits(exponent) && !exponent.is_empty()
}

/// Spellings that mean one thing to a person and another, or nothing, to a YAML reader.
fn trap(text: &str) -> Option<(String, Option<String>)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let word = unsigned.trim_start_matches('.').to_ascii_lowercase();
    if matches!(word.as_str(), "nan" | "inf" | "infinity") {
        return Some((format!("`{text}` is not a finite number"), None));
    }
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 1 && unsigned.starts_with('0') && is_decimal(text) {
        let plain = exact(unsigned.trim_start_matches('0')).map_or_else(|_| "0".to_owned(), |number| number.plain());
        let sign = if text.starts_with('-') { "-" } else { "" };
        let hint = format!("write `{sign}{plain}`; some readers take a leading zero for an octal number");
        return Some((format!("`{}` begins with a zero", shown(text)), Some(hint)));
    }
    if let Some(rest) = unsigned.strip_prefix("0x") {
        let value = i64::from_str_radix(rest, 16).ok()?;
        return Some((format!("`{}` is not a decimal number", shown(text)), Some(format!("write `{value}`"))));
    }
    let joined = text.replace(['_', ','], "");
    if joined.len() < text.len() && is_decimal(&joined) {
        return Some((format!("`{}` is not a number", shown(text)), Some(format!("write `{}`", shown(&joined)))));
    }
    let share = text.strip_suffix('%').and_then(|share| exact(share.trim_end()).ok())?;
    let hint = format!("write `{}`", Exact(share.0 / 100).plain());
    Some((format!("`{}` is not a number", shown(text)), Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        match exact(text) {
            Ok(number) => format!("{:?}", number.float()),
            Err((message, hint)) => format!("{message}; {}", hint.unwrap_or_default()),
        }
    }

    #[test]
    fn one_number_has_many_spellings() {
        for text in ["0.3", "3e-1", "+0.30", ".3", "0.3e0", "30E-2"] {
            assert_eq!(exact(text).unwrap(), exact("0.3").unwrap(), "{text}");
            assert_eq!(exact(text).unwrap().float().to_bits(), 0.3f64.to_bits(), "{text}");
        }
        assert_eq!(exact("-0.0").unwrap().float().to_bits(), 0.0f64.to_bits());
        assert_eq!(exact("5.").unwrap().int(), Some(5));
        assert_eq!(exact("1e3").unwrap().int(), Some(1000));
        assert_eq!(exact("1.5").unwrap().int(), None);
        assert_eq!(exact("9223372036854775808").unwrap().int(), None);
    }

    #[test]
    fn spellings_that_deceive_are_refused_with_the_right_one() {
        insta::assert_snapshot!(message("0777"), @"`0777` begins with a zero; write `777`; some readers take a leading zero for an octal number");
        insta::assert_snapshot!(message("1_000"), @"`1_000` is not a number; write `1000`");
        insta::assert_snapshot!(message("-1,500"), @"`-1,500` is not a number; write `-1500`");
        insta::assert_snapshot!(message("5%"), @"`5%` is not a number; write `0.05`");
        insta::assert_snapshot!(message("0x1F"), @"`0x1F` is not a decimal number; write `31`");
        insta::assert_snapshot!(message(".nan"), @"`.nan` is not a finite number; ");
        insta::assert_snapshot!(message("-.Inf"), @"`-.Inf` is not a finite number; ");
        insta::assert_snapshot!(message("1e400"), @"`1e400` is out of the range of numbers; ");
        insta::assert_snapshot!(message("1e-400"), @"`1e-400` is out of the range of numbers; ");
        insta::assert_snapshot!(message("1e99999999999999999999"), @"`1e99999999999999999999` is out of the range of numbers; ");
        for text in ["", "abc", "1e", "e5", ".", "-", "1.2.3", "--1", "1 2"] {
            assert!(exact(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_smallest_and_the_largest_float_are_numbers() {
        for float in [f64::MAX, f64::MIN_POSITIVE, 5e-324, -1.797e308, 123_456.789] {
            assert_eq!(exact(&format!("{float:e}")).unwrap().float().to_bits(), float.to_bits());
        }
    }
}
