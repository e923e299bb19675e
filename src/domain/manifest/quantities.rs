//! Durations, memory and processors, each written with its unit.

use std::time::Duration;

use crate::domain::yaml::{Exact, Placed, Reader, shown};

/// Longest time limit.
const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Smallest and largest amount of memory or of files, in bytes.
const BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 46;

/// A duration such as `10m` or `1h 30m`.
pub(super) fn duration(text: &Placed<String>, reader: &mut Reader) -> Option<Duration> {
    let hint = Some("write a number with its unit: `30s`, `10m`, `1h 30m`".to_owned());
    match humantime::parse_duration(&text.value) {
        Ok(duration) if duration >= Duration::from_millis(1) && duration <= MAX_TIME => Some(duration),
        Ok(_) => {
            let message =
                format!("`{}` is no useful time limit: it must lie between 1 ms and 7 days", shown(&text.value));
            reader.fault(text.place, message, None);
            None
        }
        Err(_) => {
            reader.fault(text.place, format!("`{}` is not a duration", shown(&text.value)), hint);
            None
        }
    }
}

/// An amount of memory such as `512 MiB`, in bytes.
pub(super) fn memory(text: &Placed<String>, reader: &mut Reader) -> Option<u64> {
    bytes(text, ("an", "amount of memory"), reader)
}

/// A size of files such as `200 MiB`, in bytes.
pub(super) fn size(text: &Placed<String>, reader: &mut Reader) -> Option<u64> {
    bytes(text, ("a", "size"), reader)
}

fn bytes(text: &Placed<String>, (article, what): (&str, &str), reader: &mut Reader) -> Option<u64> {
    let with_unit = text.value.ends_with(|last: char| last.is_ascii_alphabetic());
    match text.value.parse::<bytesize::ByteSize>() {
        Ok(size) if with_unit && BYTES.contains(&size.as_u64()) => Some(size.as_u64()),
        Ok(_) if with_unit => {
            let message = format!("`{}` is no useful {what}: it must lie between 1 MiB and 64 TiB", shown(&text.value));
            reader.fault(text.place, message, None);
            None
        }
        Ok(_) | Err(_) => {
            let hint = Some("write a number with its unit: `512 MiB`, `2 GiB`".to_owned());
            reader.fault(text.place, format!("`{}` is not {article} {what}", shown(&text.value)), hint);
            None
        }
    }
}

/// Processors, in thousandths of one.
pub(super) fn milli_cpus(number: &Placed<Exact>, reader: &mut Reader) -> Option<u32> {
    let thousandths = Exact(&number.value.0 * 1000).int().and_then(|thousandths| u32::try_from(thousandths).ok());
    match thousandths {
        Some(thousandths @ 1..=1_024_000) => Some(thousandths),
        Some(_) | None => {
            let message =
                format!("`vcpu` is {}; it must lie between 0.001 and 1024, in steps of 0.001", number.value.plain());
            reader.fault(number.place, message, None);
            None
        }
    }
}
