//! The limits that a sweep file sets on its own execution.

use super::raw::{RawLimits, Threshold};
use crate::domain::sweep::plan::{MaxFailures, RunLimits};
use crate::domain::yaml::{Placed, Reader, exact, shown};

/// Reads the limits.
pub(super) fn limits(raw: Option<&RawLimits>, reader: &mut Reader) -> Option<RunLimits> {
    let Some(raw) = raw else { return Some(RunLimits::default()) };
    let max_parallel = raw.max_parallel.as_ref().map(|number| parallel(number, reader));
    let budget = raw.budget.as_ref().map(|text| budget_usd(text, reader));
    let failures = raw.max_failures.as_ref().map(|text| max_failures(text, reader));
    let missing = max_parallel == Some(None) || budget == Some(None) || failures == Some(None);
    (!missing).then_some(RunLimits {
        max_parallel: max_parallel.flatten(),
        max_failures: failures.flatten(),
        budget_usd: budget.flatten(),
    })
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
