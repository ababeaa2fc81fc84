//! What a cell looks like, and its value once the column's type is known.
//!
//! [`kind_of`] decides by form alone and quickly, because the first pass asks it of every cell; the parsers accept exactly
//! what it accepts. Forms are strict where readers disagree: a date is `2024-01-31` and nothing else.

use std::str::FromStr;

use crate::value_type::Digits;

/// The form of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An integer of 64 bits.
    Integer,
    /// An integer of more bits.
    LongInteger,
    /// A number with a point or an exponent.
    Decimal,
    /// `nan`, `inf`, `infinity`, and numbers too large for 64 bits.
    NotFinite,
    /// `true`, `false`.
    Truth,
    /// A day.
    Date,
    /// A time without a zone.
    Timestamp,
    /// A time with a zone.
    TimestampUtc,
    /// None of these.
    Text,
}

impl Kind {
    /// All of them, by their number.
    pub const ALL: [Self; 9] = [
        Self::Integer,
        Self::LongInteger,
        Self::Decimal,
        Self::NotFinite,
        Self::Truth,
        Self::Date,
        Self::Timestamp,
        Self::TimestampUtc,
        Self::Text,
    ];

    /// For messages, which never show a cell itself.
    pub fn described(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::LongInteger => "an integer beyond 64 bits",
            Self::Decimal => "a number with a point or exponent",
            Self::NotFinite => "a number that is not finite",
            Self::Truth => "a truth value",
            Self::Date => "a date",
            Self::Timestamp => "a time without a zone",
            Self::TimestampUtc => "a time with a zone",
            Self::Text => "text",
        }
    }
}

/// What a cell looks like. Spaces around it do not count.
#[inline]
pub fn kind_of(cell: &str) -> Kind {
    let cell = cell.trim_ascii();
    let bytes = cell.as_bytes();
    match bytes.first() {
        Some(b'0'..=b'9') if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' => time_kind(cell),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number_kind(cell),
        Some(b't' | b'T' | b'f' | b'F') if truth(cell).is_some() => Kind::Truth,
        Some(b'n' | b'N' | b'i' | b'I') if is_not_finite(cell) => Kind::NotFinite,
        _ => Kind::Text,
    }
}

fn number_kind(cell: &str) -> Kind {
    let bytes = cell.as_bytes();
    let unsigned = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let (whole, rest) = digits(unsigned);
    if rest.is_empty() && whole > 0 {
        return match whole {
            ..=18 => Kind::Integer,
            _ if cell.parse::<i64>().is_ok() => Kind::Integer,
            _ if whole <= 308 || float64(cell).is_some() => Kind::LongInteger,
            _ => Kind::NotFinite,
        };
    }
    let (fraction, rest) = rest.strip_prefix(b".").map_or((0, rest), digits);
    if whole + fraction == 0 {
        return if is_not_finite(cell) { Kind::NotFinite } else { Kind::Text };
    }
    let exponent = match rest {
        // 308 digits before the point are a finite number
        [] if whole <= 308 => return Kind::Decimal,
        [] => b"0",
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => exponent,
        _ => return Kind::Text,
    };
    match digits(exponent) {
        (1.., []) if float64(cell).is_some() => Kind::Decimal,
        (1.., []) => Kind::NotFinite,
        _ => Kind::Text,
    }
}

/// Whether a number is written with an exponent.
pub(crate) fn has_exponent(cell: &str) -> bool {
    memchr::memchr2(b'e', b'E', cell.as_bytes()).is_some()
}

/// Number of leading digits, and what follows them.
fn digits(bytes: &[u8]) -> (usize, &[u8]) {
    let n = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (n, &bytes[n..])
}

fn time_kind(cell: &str) -> Kind {
    match (date(cell), time(cell)) {
        (Some(_), _) => Kind::Date,
        (_, Some((_, Zone::Absent))) => Kind::Timestamp,
        (_, Some((_, Zone::Given))) => Kind::TimestampUtc,
        _ => Kind::Text,
    }
}

fn is_not_finite(cell: &str) -> bool {
    let unsigned = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word))
}

fn truth(cell: &str) -> Option<bool> {
    if cell.eq_ignore_ascii_case("true") {
        Some(true)
    } else {
        cell.eq_ignore_ascii_case("false").then_some(false)
    }
}

/// An integer of the wanted width.
pub(crate) fn integer<T: FromStr>(cell: &str) -> Option<T> {
    cell.trim_ascii().parse().ok()
}

/// A finite number.
#[inline]
pub fn float64(cell: &str) -> Option<f64> {
    cell.trim_ascii().parse().ok().filter(|value: &f64| value.is_finite())
}

/// A finite number.
pub(crate) fn float32(cell: &str) -> Option<f32> {
    cell.trim_ascii().parse().ok().filter(|value: &f32| value.is_finite())
}

/// The digits of a number without an exponent, as an integer of this scale. None if it has more digits than it may: nothing is
/// rounded.
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

/// Whether a time says where it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// It does not.
    Absent,
    /// It does; the value is UTC.
    Given,
}

/// Microseconds since 1970 of a date with a time of day: `2024-01-31T12:30`, also with seconds, their fraction, and a zone.
pub(crate) fn time(cell: &str) -> Option<(i64, Zone)> {
    const MINUTE: i64 = 60_000_000;
    let bytes = cell.trim_ascii().as_bytes();
    if bytes.len() < 16 || !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' {
        return None;
    }
    let days = date(std::str::from_utf8(&bytes[..10]).ok()?)?;
    let minutes = minutes_of(&bytes[11..13], &bytes[14..16])?;
    let (micros, zone) = seconds(&bytes[16..])?;
    let local = i64::from(days) * 1440 * MINUTE + minutes * MINUTE + micros;
    match offset(zone)? {
        None => Some((local, Zone::Absent)),
        Some(ahead) => Some((local - ahead * MINUTE, Zone::Given)),
    }
}

/// Microseconds of `:SS.fraction`, if it is there, and what follows.
fn seconds(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = rest.strip_prefix(b":") else { return Some((0, rest)) };
    let whole = number(rest.get(..2)?).filter(|seconds| *seconds < 60)?;
    let rest = &rest[2..];
    let micros = i64::from(whole) * 1_000_000;
    let Some(rest) = rest.strip_prefix(b".") else { return Some((micros, rest)) };
    let (n, after) = digits(rest);
    if n == 0 || n > 9 {
        return None;
    }
    let fraction = (0..6).fold(0, |sum, i| 10 * sum + if i < n { i64::from(rest[i] - b'0') } else { 0 });
    Some((micros + fraction, after))
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

/// A timestamp, if it has no zone; a date is its midnight.
pub(crate) fn timestamp(cell: &str) -> Option<i64> {
    match time(cell) {
        Some((micros, Zone::Absent)) => Some(micros),
        Some(_) => None,
        None => date(cell).map(|days| i64::from(days) * 86_400_000_000),
    }
}

/// A timestamp in UTC, if it has a zone.
pub(crate) fn timestamp_utc(cell: &str) -> Option<i64> {
    time(cell).filter(|(_, zone)| *zone == Zone::Given).map(|(micros, _)| micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_known_by_their_form() {
        for (cell, kind) in [
            ("0", Kind::Integer),
            (" -12 ", Kind::Integer),
            ("+007", Kind::Integer),
            ("9223372036854775807", Kind::Integer),
            ("9223372036854775808", Kind::LongInteger),
            ("-1.5", Kind::Decimal),
            (".5", Kind::Decimal),
            ("5.", Kind::Decimal),
            ("1E-3", Kind::Decimal),
            ("1e+05", Kind::Decimal),
            ("123e-5", Kind::Decimal),
            ("NaN", Kind::NotFinite),
            ("-Inf", Kind::NotFinite),
            ("+infinity", Kind::NotFinite),
            ("TRUE", Kind::Truth),
            ("false", Kind::Truth),
            ("2024-02-29", Kind::Date),
            ("2024-01-31 12:30", Kind::Timestamp),
            ("2024-01-31T12:30:00.123456789+01:00", Kind::TimestampUtc),
        ] {
            assert_eq!(kind_of(cell), kind, "{cell:?}");
        }
        for cell in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "1,5",
            "0x10",
            "1_000",
            "12 3",
            "t",
            "yes",
            "n/a",
            "٣",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-1",
            "0000-01-01",
            "2024-01-31T24:00",
            "2024-01-31T12:60",
            "2024-01-31T12:30:60",
            "2024-01-31T12:30:00.",
            "2024-01-31T12:30+1",
            "2024-01-31T12:30ZZ",
            "2024-",
            "2024-01-31T1٣:30",
        ] {
            assert_eq!(kind_of(cell), Kind::Text, "{cell:?}");
        }
    }

    #[test]
    fn days_and_times_count_from_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2000-03-01"), Some(11_017));
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        assert_eq!(time("1970-01-01T00:00:01.5"), Some((1_500_000, Zone::Absent)));
        assert_eq!(time("1970-01-01 01:00-01:30"), Some((9_000_000_000, Zone::Given)));
        assert_eq!(timestamp("1970-01-02"), Some(86_400_000_000));
        assert_eq!(timestamp("1970-01-02T00:00Z"), None);
        assert_eq!(timestamp_utc("1970-01-02T00:00"), None);
        assert_eq!(timestamp_utc("1970-01-01T00:00:00.000001999Z"), Some(1));
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
        fn numbers_by_form_are_those_that_parse(cell in "[-+]?[0-9]{0,20}(\\.[0-9]{0,5})?([eE][-+]?[0-9]{0,2})?|[ -~]{0,8}") {
            let is_number = matches!(kind_of(&cell), Kind::Integer | Kind::LongInteger | Kind::Decimal);
            prop_assert_eq!(is_number, float64(&cell).is_some());
            prop_assert_eq!(kind_of(&cell) == Kind::Integer, integer::<i64>(&cell).is_some());
        }

        #[test]
        fn no_text_makes_a_parser_panic(cell in "\\PC{0,30}", time_like in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{0,20}") {
            for cell in [&cell, &time_like] {
                kind_of(cell);
                boolean(cell);
                prop_assert_eq!(timestamp(cell).is_some() && timestamp_utc(cell).is_some(), false);
            }
        }
    }
}
