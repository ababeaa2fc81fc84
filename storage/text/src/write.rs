//! Values as text, appended to bytes. Hand-written, because a table may have a hundred million values: the general
//! formatters of dates take four times as long.

use arrow_array::types::{Decimal128Type, DecimalType};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The digits of an integer.
pub fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest digits that are read as the same number.
pub fn float(out: &mut Vec<u8>, value: impl zmij::Float) {
    out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
}

/// A decimal with all digits of its scale.
pub fn decimal(out: &mut Vec<u8>, value: i128, precision: u8, scale: i8) {
    out.extend_from_slice(Decimal128Type::format_decimal(value, precision, scale).as_bytes());
}

/// Two hex digits for each byte.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]));
}

/// `2024-01-31`, from days since 1970.
pub fn date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => out.extend(digits::<4>(year)),
        // ISO 8601 requires a sign and at least four digits for years beyond 9999
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            let year = year.unsigned_abs();
            out.extend(std::iter::repeat_n(
                b'0',
                (year < 1000) as usize + (year < 100) as usize + (year < 10) as usize,
            ));
            integer(out, year);
        }
    }
    out.push(b'-');
    out.extend(digits::<2>(month));
    out.push(b'-');
    out.extend(digits::<2>(day));
}

/// `2024-01-31T12:30:00`, and as many digits of the second as there are, from microseconds since 1970.
pub fn timestamp(out: &mut Vec<u8>, micros: i64) {
    date(out, micros.div_euclid(MICROS_PER_DAY));
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / MICROS_PER_SECOND, of_day % MICROS_PER_SECOND);
    for (mark, value) in [(b'T', seconds / 3600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        out.push(mark);
        out.extend(digits::<2>(value));
    }
    if fraction > 0 {
        out.push(b'.');
        out.extend(digits::<6>(fraction));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn digits<const N: usize>(mut value: i64) -> [u8; N] {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text
}

/// Year, month and day of the proleptic Gregorian calendar, whose years begin in March so that the leap day is a year's
/// last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn values_read_as_people_and_programs_expect() {
        check(|out| date(out, 0), "1970-01-01");
        check(|out| date(out, 19_782), "2024-02-29");
        check(|out| date(out, -719_162), "0001-01-01");
        check(|out| date(out, 2_932_896), "9999-12-31");
        check(|out| date(out, 2_932_897), "+10000-01-01");
        check(|out| date(out, -719_529), "-0001-12-31");
        check(|out| timestamp(out, -1), "1969-12-31T23:59:59.999999");
        check(|out| timestamp(out, 1_500_000), "1970-01-01T00:00:01.5");
        check(|out| timestamp(out, 0), "1970-01-01T00:00:00");
        check(|out| float(out, 0.1), "0.1");
        check(|out| float(out, 1.0), "1.0");
        check(|out| float(out, -0.0), "-0.0");
        check(|out| float(out, f64::NAN), "NaN");
        check(|out| float(out, f64::NEG_INFINITY), "-inf");
        check(|out| float(out, f32::MAX), "3.4028235e+38");
        check(|out| integer(out, i64::MIN), "-9223372036854775808");
        check(|out| decimal(out, -5, 9, 2), "-0.05");
        check(|out| hex(out, &[0, 255]), "00ff");
    }

    #[test]
    fn every_day_of_eight_centuries_is_the_next() {
        let (mut last, mut count) = (civil(-146_098), 0);
        for days in -146_097..146_097 {
            let (year, month, day) = civil(days);
            let next = match last {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if (y, m, d + 1) == (year, month, day) => (y, m, d + 1),
                (y, m, _) => (y, m + 1, 1),
            };
            assert_eq!((year, month, day), next);
            count += i32::from((month, day) == (2, 29));
            last = next;
        }
        assert_eq!(count, 194);
    }
}
