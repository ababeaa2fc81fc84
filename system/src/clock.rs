//! The time of day, as records keep it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the beginning of 1970, UTC; zero if the clock shows an earlier time.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the beginning of 1970, UTC.
pub fn now_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// A time since 1970 as records show it, UTC, to the millisecond: `2026-11-29T15:46:35.123Z`. A time after the year 9999 is shown as
/// its end.
pub fn rfc3339(since_1970: Duration) -> String {
    /// The last second of the year 9999, the last year of four digits.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let time = time::UtcDateTime::UNIX_EPOCH + since_1970.min(LAST);
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
}

/// What others wrote as a time in UTC, to the second: `2026-11-29 15:46:35`, with any mark between its numbers and anything behind them. `None` for
/// what is no time since 1970.
pub fn from_utc(text: &str) -> Option<Duration> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let [hour, minute, second] = [(); 3].map(|()| next().and_then(|number| u8::try_from(number).ok()));
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date =
        time::Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let clock = time::Time::from_hms(hour?, minute?, second?).ok()?;
    let since = time::UtcDateTime::new(date, clock) - time::UtcDateTime::UNIX_EPOCH;
    Duration::try_from(since).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_others_are_read() {
        for text in ["2026-11-22 12:00:00", "2026-11-22T12:00:00.123+00:00"] {
            assert_eq!(from_utc(text), Some(Duration::from_secs(1_795_348_800)), "{text}");
        }
        for text in ["", "2026-11-22", "2026-13-01 00:00:00", "1969-12-31 23:59:59", "2026-11-22 25:00:00"] {
            assert_eq!(from_utc(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (millis, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (1_795_348_800_123, "2026-11-22T12:00:00.123Z"),
            (u64::MAX, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_millis(millis)), shown);
        }
    }
}
