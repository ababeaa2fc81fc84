//! Days and times as MySQL writes them: years, months, hours; ours are numbers since 1970.

use time::{Date, Month};

const EPOCH: i32 = 2_440_588; // Julian day of 1970-01-01
const DAY: i64 = 86_400_000_000; // microseconds

/// `2025-01-31`, for the years that MySQL has.
pub(crate) fn day_text(days: i32) -> Option<String> {
    let date = days.checked_add(EPOCH).and_then(|day| Date::from_julian_day(day).ok())?;
    let (year, month, day) = date.to_calendar_date();
    (1..=9999).contains(&year).then(|| format!("{year:04}-{:02}-{day:02}", u8::from(month)))
}

/// `2025-01-31 23:59:59.000001`.
pub(crate) fn time_text(micros: i64) -> Option<String> {
    let day = day_text(i32::try_from(micros.div_euclid(DAY)).ok()?)?;
    let rest = micros.rem_euclid(DAY);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    Some(format!("{day} {:02}:{:02}:{:02}.{micros:06}", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

/// Days since 1970 of what MySQL's binary protocol has for a date: a length and its fields.
pub(crate) fn day(packed: &[u8]) -> Option<i32> {
    let [_, low, high, month, day, ..] = packed else { return None };
    let year = i32::from(u16::from_le_bytes([*low, *high]));
    let date = Date::from_calendar_date(year, Month::try_from(*month).ok()?, *day).ok()?;
    Some(date.to_julian_day() - EPOCH)
}

/// Microseconds since 1970 of a date with a time.
pub(crate) fn time(packed: &[u8]) -> Option<i64> {
    let of_day = match packed.get(5..)? {
        [] => 0,
        [hour, minute, second, rest @ ..] if *hour < 24 && *minute < 60 && *second < 60 => {
            let micros = match rest {
                [] => 0,
                [a, b, c, d] => i64::from(u32::from_le_bytes([*a, *b, *c, *d])),
                _ => return None,
            };
            ((i64::from(*hour) * 60 + i64::from(*minute)) * 60 + i64::from(*second)) * 1_000_000 + micros
        }
        _ => return None,
    };
    Some(i64::from(day(packed)?) * DAY + of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_have_mysqls_form() {
        assert_eq!(day_text(0).unwrap(), "1970-01-01");
        assert_eq!(day_text(-719_162).unwrap(), "0001-01-01");
        assert_eq!(day_text(-719_163), None);
        assert_eq!(day_text(i32::MAX), None);
        assert_eq!(time_text(-1).unwrap(), "1969-12-31 23:59:59.999999");
        assert_eq!(time_text(i64::MAX), None);
        assert_eq!(day(&[4, 0xb2, 7, 1, 1]), Some(0));
        assert_eq!(time(&[4, 0xb2, 7, 1, 1]), Some(0));
        assert_eq!(time(&[7, 0xb2, 7, 1, 1, 0, 1, 0]), Some(60_000_000));
        assert_eq!(time(&[11, 0xb1, 7, 12, 31, 23, 59, 59, 0x3f, 0x42, 0x0f, 0]), Some(-1));
        for bad in [
            &[][..],
            &[0],
            &[4, 0, 0, 0, 0],
            &[4, 1, 1, 13, 1],
            &[7, 0xb2, 7, 1, 1, 24, 0, 0],
            &[5, 0xb2, 7, 1, 1, 0],
        ] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }
}
