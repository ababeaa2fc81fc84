//! Names made of the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tributary_core::{JobId, Result};
use tributary_system::clock::since_1970;

/// A new job id: date and time to the microsecond and a counter, digits only, as FATE's clients expect. The date comes
/// first, in UTC.
pub fn new_job_id() -> Result<JobId> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let micros = since_1970().as_micros() as u64;
    // Two jobs of one process within a microsecond get following numbers.
    let next = |last: u64| Some(micros.max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(micros);
    // Processes that start at once differ in their number.
    JobId::new(format!("{}{:03}0", digits(micros.max(last + 1)), std::process::id() % 1000))
}

/// `YYYYMMDDhhmmssuuuuuu`.
fn digits(micros: u64) -> String {
    let time = time::UtcDateTime::UNIX_EPOCH + Duration::from_micros(micros);
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}{:06}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.microsecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "19700101000000"),
            (951_782_400, "20000229000000"),
            (1_709_164_799, "20240228235959"),
            (1_795_348_800, "20261122120000"),
            (4_102_444_799, "20991231235959"),
        ] {
            assert_eq!(&digits(seconds * 1_000_000)[..14], date);
        }
    }

    #[test]
    fn job_ids_differ_however_fast_they_are_made() {
        let ids: std::collections::BTreeSet<String> =
            (0..1000).map(|_| new_job_id().unwrap().to_string()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
