//! Numbers as people read them: counts, measured values, durations, sizes.
//!
//! Files hold every digit; this is for sentences and tables only, and nothing reads it back.

/// How many significant digits a measured value shows.
const SIGNIFICANT_DIGITS: i32 = 6;

/// A count with thousands separators: `12,345`.
#[must_use]
pub fn count(value: u64) -> String {
    group(&value.to_string())
}

/// A whole number with thousands separators: `-12,345`.
#[must_use]
pub fn integer(value: i64) -> String {
    let digits = group(&value.unsigned_abs().to_string());
    if value < 0 { format!("-{digits}") } else { digits }
}

/// A measured value: whole numbers exactly, others to six significant digits, with thousands separators; beyond
/// 10^15 and below 10^-4 in scientific notation.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "infinity".to_owned() } else { "-infinity".to_owned() };
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e15).contains(&size) {
        return scientific(value);
    }
    let digits = if value.fract() == 0.0 { format!("{size:.0}") } else { significant(size) };
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group(whole))
}

/// `size` rounded to the significant digits, in plain decimals.
fn significant(size: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a finite double is below 400")]
    let magnitude = size.log10().floor() as i32;
    let decimals = SIGNIFICANT_DIGITS - 1 - magnitude;
    match usize::try_from(decimals) {
        Ok(decimals) => format!("{size:.decimals$}"),
        Err(_) => {
            let unit = 10_f64.powi(-decimals);
            format!("{:.0}", (size / unit).round() * unit)
        }
    }
}

fn scientific(value: f64) -> String {
    let text = format!("{value:.5e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}e{exponent}")
}

/// Puts a comma between each three digits.
fn group(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 run`, `2 runs`.
#[must_use]
pub fn plural(value: u64, noun: &str) -> String {
    let ending = if value == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(value))
}

/// A duration in its two largest units: `350 ms`, `1.2 s`, `12 s`, `3 min 5 s`, `2 h 5 min`, `4 d 1 h`.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        return format!("{milliseconds} ms");
    }
    if milliseconds < 9_950 {
        let tenths = (milliseconds + 50) / 100;
        return match tenths % 10 {
            0 => format!("{} s", tenths / 10),
            tenth => format!("{}.{tenth} s", tenths / 10),
        };
    }
    let seconds = (milliseconds + 500) / 1_000;
    let (large, small, words) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => (seconds / 60, seconds % 60, ("min", "s")),
        3_600..86_400 => (seconds / 3_600, seconds % 3_600 / 60, ("h", "min")),
        _ => (seconds / 86_400, seconds % 86_400 / 3_600, ("d", "h")),
    };
    match small {
        0 => format!("{} {}", count(large), words.0),
        small => format!("{} {} {small} {}", count(large), words.0, words.1),
    }
}

/// How fast things get done: `3.2 a second`, `12 a minute`, `5 an hour`.
#[must_use]
pub fn rate(done: u64, milliseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
    let per_second = done as f64 * 1_000.0 / milliseconds.max(1) as f64;
    let (value, unit) = if per_second >= 1.0 {
        (per_second, "a second")
    } else if per_second * 60.0 >= 1.0 {
        (per_second * 60.0, "a minute")
    } else {
        (per_second * 3_600.0, "an hour")
    };
    let rounded = if value >= 10.0 { value.round() } else { (value * 10.0).round() / 10.0 };
    format!("{} {unit}", number(rounded))
}

/// An amount of money: `12.50 USD`, `0.034 USD`, `0 USD`.
#[must_use]
pub fn usd(amount: f64) -> String {
    let text = if amount >= 1.0 { format!("{amount:.2}") } else { format!("{amount:.4}") };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = if amount >= 1.0 { fraction } else { fraction.trim_end_matches('0') };
    match fraction {
        "" if amount > 0.0 && whole == "0" => "less than 0.0001 USD".to_owned(),
        "" | "00" => format!("{} USD", group(whole)),
        fraction => format!("{}.{fraction} USD", group(whole)),
    }
}

/// A size in bytes: `812 B`, `12.3 KiB`, `4 MiB`.
#[must_use]
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if size < 1_024 {
        return format!("{size} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "a size is shown with one decimal")]
    let mut value = size as f64 / 1_024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1_023.95 {
            break;
        }
        value /= 1_024.0;
        unit = larger;
    }
    format!("{} {unit}", number((value * 10.0).round() / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_cents_and_small_amounts_more_digits() {
        let shown: Vec<_> = [0.0, 0.000_01, 0.0421, 0.5, 2.0, 12.504, 1_234.999].map(usd).to_vec();
        let expected = ["0 USD", "less than 0.0001 USD", "0.0421 USD", "0.5 USD", "2 USD", "12.50 USD", "1,235 USD"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_show_six_significant_digits_and_separators() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (20_000.0, "20,000"),
            (1_234_567.0, "1,234,567"),
            (-1_234.5, "-1,234.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.333333"),
            (1_234.567_89, "1,234.57"),
            (999_999.96, "1,000,000"),
            (394_519_805_728.93, "394,520,000,000"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012_345_678, "1.23457e-5"),
            (1.5e15, "1.5e15"),
            (-3.0e300, "-3e300"),
            (5e-324, "4.94066e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-infinity"),
        ] {
            assert_eq!(number(value), expected, "for {value:e}");
        }
    }

    #[test]
    fn counts_are_exact() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(integer(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(plural(1, "run"), "1 run");
        assert_eq!(plural(1_500, "run"), "1,500 runs");
    }

    #[test]
    fn durations_show_two_units() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_240, "1.2 s"),
            (9_949, "9.9 s"),
            (9_950, "10 s"),
            (59_400, "59 s"),
            (59_600, "1 min"),
            (185_000, "3 min 5 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (349_200_000, "4 d 1 h"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn rates_choose_a_unit_that_gives_a_number_above_one() {
        assert_eq!(rate(32, 10_000), "3.2 a second");
        assert_eq!(rate(12, 60_000), "12 a minute");
        assert_eq!(rate(5, 3_600_000), "5 an hour");
        assert_eq!(rate(5, 0), "5,000 a second");
    }

    #[test]
    fn sizes_choose_a_unit() {
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(1_024), "1 KiB");
        assert_eq!(bytes(12_600), "12.3 KiB");
        assert_eq!(bytes(4 * 1_024 * 1_024), "4 MiB");
        assert_eq!(bytes(1_048_575), "1 MiB");
        assert_eq!(bytes(u64::MAX), "16,384 PiB");
    }
}
