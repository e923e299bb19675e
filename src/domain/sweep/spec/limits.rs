//! The limits that a sweep file sets on its own execution.

use std::time::Duration;

use super::raw::{OutOfMemory, RawLimits, RawRetry, Threshold};
use crate::domain::sweep::plan::{MaxFailures, RunLimits};
use crate::domain::sweep::retry::RetryRules;
use crate::domain::yaml::{Placed, Reader, exact, shown};

/// Most runs that go ahead of the others.
const MOST_CANARIES: u64 = 100;

/// How often at most a failed run is done again.
const MOST_TIMES: u64 = 10;

/// By how much at most memory grows each time.
const MOST_FACTOR: f64 = 16.0;

/// How long a job should last.
const PACKED: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Reads the limits.
pub(super) fn limits(raw: Option<&RawLimits>, reader: &mut Reader) -> Option<RunLimits> {
    let Some(raw) = raw else { return Some(RunLimits::default()) };
    let max_parallel = raw.max_parallel.as_ref().map(|number| parallel(number, reader));
    let budget = raw.budget.as_ref().map(|text| budget_usd(text, reader));
    let failures = raw.max_failures.as_ref().map(|text| max_failures(text, reader));
    let canary = raw.canary.as_ref().map(|number| at_most(number, MOST_CANARIES, "canary", reader));
    let pack = raw.pack.as_ref().map(|text| pack_ms(text, reader));
    let retry = raw.retry.as_ref().map(|raw| retry(raw, reader));
    Some(RunLimits {
        max_parallel: well(max_parallel)?,
        max_failures: well(failures)?,
        budget_usd: well(budget)?,
        canary: well(canary)?,
        pack_ms: well(pack)?,
        retry: well(retry)?.unwrap_or_default(),
    })
}

/// What was read of something that may be left out; none when it is there and has a fault.
#[expect(clippy::option_option, reason = "outer: whether all is well; inner: whether it is there")]
fn well<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
        None => Some(None),
    }
}

fn at_most(number: &Placed<u64>, most: u64, key: &str, reader: &mut Reader) -> Option<u32> {
    match u32::try_from(number.value) {
        Ok(value) if number.value <= most => Some(value),
        Ok(_) | Err(_) => {
            reader.fault(number.place, format!("`{key}` is {}; it must be at most {most}", number.value), None);
            None
        }
    }
}

fn pack_ms(text: &Placed<String>, reader: &mut Reader) -> Option<u64> {
    let hint = Some("write how long a job should last: `4m`".to_owned());
    match humantime::parse_duration(&text.value) {
        Ok(duration) if PACKED.contains(&duration) => u64::try_from(duration.as_millis()).ok(),
        Ok(_) => {
            reader.fault(text.place, format!("`{}` must lie between 1 s and 24 h", shown(&text.value)), hint);
            None
        }
        Err(_) => {
            reader.fault(text.place, format!("`{}` is not a duration", shown(&text.value)), hint);
            None
        }
    }
}

fn retry(raw: &RawRetry, reader: &mut Reader) -> Option<RetryRules> {
    let mut rules = RetryRules::default();
    let mut read = |number: Option<&Placed<u64>>, key: &str, rule: &mut u32| {
        let times = number.map(|number| at_most(number, MOST_TIMES, key, reader));
        well(times).map(|times| *rule = times.unwrap_or(*rule)).is_some()
    };
    let (times, factor) = match &raw.oom {
        Some(OutOfMemory::Times(times)) => (Some(times), None),
        Some(OutOfMemory::Rule(rule)) => (Some(&rule.times), rule.memory.as_ref()),
        None => (None, None),
    };
    let counts = [
        read(raw.interruption.as_ref(), "interruption", &mut rules.interruption),
        read(times, "oom", &mut rules.oom),
        read(raw.timeout.as_ref(), "timeout", &mut rules.timeout),
        read(raw.error.as_ref(), "error", &mut rules.error),
    ];
    let factor = factor.map(|text| memory_factor(text, reader));
    rules.oom_factor = well(factor)?.unwrap_or(rules.oom_factor);
    counts.iter().all(|well| *well).then_some(rules)
}

/// A factor such as `x2`.
fn memory_factor(text: &Placed<String>, reader: &mut Reader) -> Option<f64> {
    let factor = text.value.trim().strip_prefix('x').and_then(|factor| exact(factor.trim()).ok());
    match factor.map(|factor| factor.float()) {
        Some(factor) if factor > 1.0 && factor <= MOST_FACTOR => Some(factor),
        Some(_) => {
            reader.fault(text.place, format!("memory must grow by more than x1 and at most x{MOST_FACTOR}"), None);
            None
        }
        None => {
            let hint = Some("write what it is multiplied with: `x2`".to_owned());
            reader.fault(text.place, format!("`{}` is no factor", shown(&text.value)), hint);
            None
        }
    }
}

/// A number of runs at once.
pub(crate) fn parallel(number: &Placed<u64>, reader: &mut Reader) -> Option<u32> {
    match u32::try_from(number.value) {
        Ok(parallel @ 1..) => Some(parallel),
        Ok(0) | Err(_) => {
            reader.fault(number.place, "`max_parallel` must be at least 1 and fit into 32 bits", None);
            None
        }
    }
}

/// An amount of money such as `2 USD`.
pub(crate) fn budget_usd(text: &Placed<String>, reader: &mut Reader) -> Option<f64> {
    let amount = text.value.trim().strip_suffix("USD").and_then(|amount| exact(amount.trim()).ok());
    match amount.map(|amount| amount.float()) {
        Some(amount) if amount > 0.0 => Some(amount),
        Some(_) => {
            reader.fault(text.place, "a budget must be above zero", None);
            None
        }
        None => {
            let hint = Some("write the amount and its currency: `2 USD`".to_owned());
            reader.fault(text.place, format!("`{}` is not an amount of money", shown(&text.value)), hint);
            None
        }
    }
}

fn max_failures(text: &Placed<Threshold>, reader: &mut Reader) -> Option<MaxFailures> {
    let written = text.value.0.as_str();
    let read = match written.strip_suffix('%') {
        Some(share) => exact(share.trim_end())
            .ok()
            .map(|share| share.float() / 100.0)
            .filter(|share| (0.0..=1.0).contains(share))
            .map(MaxFailures::Share),
        None => exact(written).ok().and_then(|count| u64::try_from(count.int()?).ok()).map(MaxFailures::Count),
    };
    if read.is_none() {
        let hint = Some("write a number of runs (`3`) or a share of them (`5%`)".to_owned());
        reader.fault(text.place, format!("`{}` is not a limit on failures", shown(written)), hint);
    }
    read
}
