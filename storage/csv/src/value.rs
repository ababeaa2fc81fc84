//! The value of a cell, once the column's type is known. Forms are strict where readers disagree: a date is `2024-01-31` and
//! nothing else.

use std::str::FromStr;

use crate::kind::is_infinite;
use crate::value_type::Digits;

/// Whether a number is written with an exponent.
pub(crate) fn has_exponent(cell: &str) -> bool {
    memchr::memchr2(b'e', b'E', cell.as_bytes()).is_some()
}

/// Number of leading digits, and what follows them.
pub(crate) fn digits(bytes: &[u8]) -> (usize, &[u8]) {
    let n = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (n, &bytes[n..])
}

pub(crate) fn truth(cell: &str) -> Option<bool> {
    if cell.eq_ignore_ascii_case("true") {
        Some(true)
    } else {
        cell.eq_ignore_ascii_case("false").then_some(false)
    }
}

/// An integer of the wanted width, also if it is written with a point and zeros: `1.0`.
pub(crate) fn integer<T: FromStr>(cell: &str) -> Option<T> {
    let cell = cell.trim_ascii();
    cell.parse().ok().or_else(|| {
        let (whole, fraction) = cell.split_once('.')?;
        let is_zero = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
        whole.parse().ok().filter(|_| is_zero)
    })
}

/// A number; infinity only by its name, because a number beyond the largest double is not rounded to it.
#[inline]
pub fn float64(cell: &str) -> Option<f64> {
    let value = cell.trim_ascii().parse::<f64>().ok()?;
    (value.is_finite() || value.is_infinite() && is_infinite(cell)).then_some(value)
}

/// See [`float64`].
pub(crate) fn float32(cell: &str) -> Option<f32> {
    let value = cell.trim_ascii().parse::<f32>().ok()?;
    (value.is_finite() || value.is_infinite() && is_infinite(cell)).then_some(value)
}

/// The digits of a number without an exponent, as an integer of this scale. None if it has more digits than it may: nothing
/// is rounded.
pub(crate) fn decimal(cell: &str, digits_of: Digits) -> Option<i128> {
    let (precision, scale) = (digits_of.precision(), digits_of.scale());
    let bytes = cell.trim_ascii().as_bytes();
    let unsigned = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let (whole, rest) = digits(unsigned);
    let fraction = match rest {
        [] => rest,
        [b'.', fraction @ ..] if digits(fraction).0 == fraction.len() => fraction,
        _ => return None,
    };
    if whole + fraction.len() == 0 {
        return None;
    }
    let (kept, beyond) = fraction.split_at(fraction.len().min(scale.into()));
    if beyond.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let zeros = std::iter::repeat_n(&b'0', usize::from(scale) - kept.len());
    let mut value = 0_i128;
    for digit in unsigned[..whole].iter().chain(kept).chain(zeros) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let fits = value < 10_i128.checked_pow(precision.into())?;
    fits.then_some(if bytes.first() == Some(&b'-') { -value } else { value })
}

/// A truth value, also as 1 or 0 where the type was given.
pub(crate) fn boolean(cell: &str) -> Option<bool> {
    match cell.trim_ascii() {
        "1" => Some(true),
        "0" => Some(false),
        word => truth(word),
    }
}

/// Days since 1970.
pub(crate) fn date(cell: &str) -> Option<i32> {
    let bytes = cell.trim_ascii().as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    ((1..=length).contains(&day) && year > 0).then(|| days_since_1970(year, month, day))
}

/// The proleptic Gregorian calendar: years begin in March, so that the leap day is a year's last.
fn days_since_1970(year: i32, month: i32, day: i32) -> i32 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The zone of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Without a zone.
    Absent,
    /// This many minutes ahead of UTC.
    Ahead(i64),
}

/// A date with a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    /// Since 1970; in UTC if the zone is given.
    pub micros: i64,
    pub zone: Zone,
    /// Whether the text has no digits beyond microseconds.
    pub is_exact: bool,
}

/// `2024-01-31T12:30`, also with seconds, their fraction, and a zone.
pub(crate) fn time(cell: &str) -> Option<Time> {
    const MINUTE: i64 = 60_000_000;
    let bytes = cell.trim_ascii().as_bytes();
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' {
        return None;
    }
    let days = date(std::str::from_utf8(&bytes[..10]).ok()?)?;
    let minutes = minutes_of(&bytes[11..13], &bytes[14..16])?;
    let (micros, is_exact, zone) = seconds(&bytes[16..])?;
    let local = i64::from(days) * 1440 * MINUTE + minutes * MINUTE + micros;
    Some(match offset(zone)? {
        None => Time { micros: local, zone: Zone::Absent, is_exact },
        Some(ahead) => Time { micros: local - ahead * MINUTE, zone: Zone::Ahead(ahead), is_exact },
    })
}

/// Microseconds of `:SS.fraction`, if present; whether no digits were dropped; and what follows.
fn seconds(rest: &[u8]) -> Option<(i64, bool, &[u8])> {
    let Some(rest) = rest.strip_prefix(b":") else { return Some((0, true, rest)) };
    let whole = number(rest.get(..2)?).filter(|seconds| *seconds < 60)?;
    let rest = &rest[2..];
    let micros = i64::from(whole) * 1_000_000;
    let Some(rest) = rest.strip_prefix(b".") else { return Some((micros, true, rest)) };
    let (n, after) = digits(rest);
    if n == 0 {
        return None;
    }
    let fraction = (0..6).fold(0, |sum, i| 10 * sum + if i < n { i64::from(rest[i] - b'0') } else { 0 });
    let is_exact = rest[n.min(6)..n].iter().all(|digit| *digit == b'0');
    Some((micros + fraction, is_exact, after))
}

/// Minutes ahead of UTC of `Z`, `+01:00`, `+0100`, `+01`; `Some(None)` for nothing at all.
fn offset(zone: &[u8]) -> Option<Option<i64>> {
    let (sign, rest) = match zone {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes = match rest.len() {
        2 => minutes_of(rest, b"00"),
        4 => minutes_of(&rest[..2], &rest[2..]),
        5 if rest[2] == b':' => minutes_of(&rest[..2], &rest[3..]),
        _ => None,
    };
    minutes.map(|minutes| Some(sign * minutes))
}

fn minutes_of(hours: &[u8], minutes: &[u8]) -> Option<i64> {
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(i64::from(hours * 60 + minutes))
}

/// A number of digits only.
fn number(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| 10 * sum + i32::from(b - b'0')))
}

/// A timestamp, if it has no zone and no more digits than microseconds; a date is its midnight.
pub(crate) fn timestamp(cell: &str) -> Option<i64> {
    match time(cell) {
        Some(time) => (time.zone == Zone::Absent && time.is_exact).then_some(time.micros),
        None => date(cell).map(|days| i64::from(days) * 86_400_000_000),
    }
}

/// A timestamp in UTC, if it has a zone and no more digits than microseconds.
pub(crate) fn timestamp_utc(cell: &str) -> Option<i64> {
    time(cell).filter(|time| time.zone != Zone::Absent && time.is_exact).map(|time| time.micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_and_times_count_from_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2000-03-01"), Some(11_017));
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        let read = |cell: &str| time(cell).map(|time| (time.micros, time.zone));
        assert_eq!(read("1970-01-01T00:00:01.5"), Some((1_500_000, Zone::Absent)));
        assert_eq!(read("1970-01-01 01:00-01:30"), Some((9_000_000_000, Zone::Ahead(-90))));
        assert_eq!(timestamp("1970-01-02"), Some(86_400_000_000));
        assert_eq!(timestamp("1970-01-02T00:00Z"), None);
        assert_eq!(timestamp_utc("1970-01-02T00:00"), None);
        assert_eq!(timestamp_utc("1970-01-01T00:00:00.000001000Z"), Some(1));
        assert_eq!(timestamp_utc("1970-01-01T00:00:00.000001999Z"), None, "nothing is cut");
        assert_eq!(timestamp("1970-01-01T00:00:00.0000001"), None);
    }

    #[test]
    fn whole_numbers_and_infinite_ones_have_more_than_one_form() {
        assert_eq!(integer::<i32>(" 1.0 "), Some(1));
        assert_eq!(integer::<i64>("-3.000"), Some(-3));
        for cell in ["1.", ".0", "1.01", "1.0e0", "1.0.0", "3000000000.0"] {
            assert_eq!(integer::<i32>(cell), None, "{cell}");
        }
        assert_eq!(float64("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(float32("Infinity"), Some(f32::INFINITY));
        assert_eq!((float64("1e999"), float32("1e39"), float64("nan")), (None, None, None));
    }

    #[test]
    fn consecutive_days_have_consecutive_numbers() {
        let mut expected = date("1899-12-31").unwrap();
        for year in 1900..=2104 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(found) = date(&format!("{year:04}-{month:02}-{day:02}")) {
                        expected += 1;
                        assert_eq!(found, expected);
                    }
                }
            }
        }
        assert_eq!(date("2104-12-31"), Some(expected));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(cell in "\\PC{0,30}", time_like in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{0,20}") {
            for cell in [&cell, &time_like] {
                boolean(cell);
                prop_assert_eq!(timestamp(cell).is_some() && timestamp_utc(cell).is_some(), false);
            }
        }
    }
}
