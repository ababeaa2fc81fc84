//! The form of a cell. [`kind_of`] decides by form alone and quickly, because the first pass calls it for every cell; the
//! parsers of [`crate::value`] accept what it names.
//!
//! Numbers have several kinds, because an *inferred* type must keep every value exactly as the file has it: leading zeros
//! and signs are part of a code, and a double keeps about 16 digits.

use crate::value::{Zone, date, digits, float64, time, truth};

/// The form of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An integer of 64 bits that a double represents exactly.
    Integer,
    /// An integer of 64 bits that a double does not represent exactly.
    WideInteger,
    /// An integer of more bits that a double keeps as it is written.
    LongInteger,
    /// An integer of more bits that a double does not keep.
    LongestInteger,
    /// An integer with a plus sign.
    Plus,
    /// A number with leading zeros, or one of many digits with a plus sign.
    LeadingZeros,
    /// A number with a point or an exponent, or `-0`, that a double keeps as it is written.
    Decimal,
    /// A number with a point or an exponent that has more digits than a double keeps, or is too near to zero.
    LongDecimal,
    /// Digits, `e`, digits: a number, or a code.
    Exponent,
    /// `nan`.
    NotANumber,
    /// `inf`, `infinity`.
    Infinite,
    /// A number beyond the largest double.
    TooLarge,
    /// Digits with a comma among them: a decimal comma or a thousands separator.
    Comma,
    /// `true`, `false`.
    Truth,
    /// A day.
    Date,
    /// A time without a zone.
    Timestamp,
    /// A time in UTC.
    TimestampUtc,
    /// A time of another zone.
    TimestampZone,
    /// A time with more than six digits of a second.
    FineTime,
    /// An empty cell.
    Empty,
    /// Only spaces.
    Blank,
    /// Text that ends with a NUL byte, as fields of a fixed width do.
    Padded,
    /// None of these.
    Text,
}

impl Kind {
    /// All kinds, by their number.
    pub const ALL: [Self; 23] = [
        Self::Integer,
        Self::WideInteger,
        Self::LongInteger,
        Self::LongestInteger,
        Self::Plus,
        Self::LeadingZeros,
        Self::Decimal,
        Self::LongDecimal,
        Self::Exponent,
        Self::NotANumber,
        Self::Infinite,
        Self::TooLarge,
        Self::Comma,
        Self::Truth,
        Self::Date,
        Self::Timestamp,
        Self::TimestampUtc,
        Self::TimestampZone,
        Self::FineTime,
        Self::Empty,
        Self::Blank,
        Self::Padded,
        Self::Text,
    ];

    /// Whether it is a finite number.
    #[inline]
    pub fn is_number(self) -> bool {
        (self as u8) <= Self::Exponent as u8
    }

    /// Whether it is an integer, however it is written.
    pub fn is_integer(self) -> bool {
        (self as u8) <= Self::Plus as u8
    }

    /// The text for messages, which never show a cell itself.
    pub fn described(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::WideInteger => "an integer beyond 2^53",
            Self::LongInteger | Self::LongestInteger => "an integer beyond 64 bits",
            Self::Plus => "an integer with a plus sign",
            Self::LeadingZeros => "a number with leading zeros or a plus sign",
            Self::Decimal => "a number with a point or exponent",
            Self::LongDecimal => "a number of more digits than a double keeps",
            Self::Exponent => "digits with an exponent",
            Self::NotANumber => "NaN",
            Self::Infinite => "an infinite number",
            Self::TooLarge => "a number beyond the largest double",
            Self::Comma => "a number with a comma",
            Self::Truth => "a truth value",
            Self::Date => "a date",
            Self::Timestamp => "a time without a zone",
            Self::TimestampUtc => "a time with a zone",
            Self::TimestampZone => "a time with a zone other than UTC",
            Self::FineTime => "a time with more than six digits of a second",
            Self::Empty => "an empty cell",
            Self::Blank => "a cell of spaces only",
            Self::Padded => "text padded with NUL bytes",
            Self::Text => "text",
        }
    }
}

/// The form of a cell. Spaces around it do not count.
#[inline]
pub fn kind_of(cell: &str) -> Kind {
    let trimmed = cell.trim_ascii();
    let bytes = trimmed.as_bytes();
    match bytes.first() {
        Some(b'0'..=b'9') if bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' => time_kind(trimmed),
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number_kind(trimmed),
        Some(b't' | b'T' | b'f' | b'F') if truth(trimmed).is_some() => Kind::Truth,
        Some(b'n' | b'N' | b'i' | b'I') => word_kind(trimmed),
        None if cell.is_empty() => Kind::Empty,
        None => Kind::Blank,
        _ => text_kind(trimmed),
    }
}

/// Whether it is `nan`, which means a missing value in a column of numbers, as numpy and pandas write it.
#[inline]
pub fn is_nan(cell: &str) -> bool {
    unsigned(cell.trim_ascii()).eq_ignore_ascii_case("nan")
}

/// Whether it is an infinite number by name.
pub(crate) fn is_infinite(cell: &str) -> bool {
    let word = unsigned(cell.trim_ascii());
    word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity")
}

fn unsigned(cell: &str) -> &str {
    cell.strip_prefix(['-', '+']).unwrap_or(cell)
}

fn word_kind(cell: &str) -> Kind {
    match () {
        () if is_nan(cell) => Kind::NotANumber,
        () if is_infinite(cell) => Kind::Infinite,
        () => text_kind(cell),
    }
}

fn text_kind(cell: &str) -> Kind {
    if cell.ends_with('\0') { Kind::Padded } else { Kind::Text }
}

/// Any number of this many digits is kept by a double.
const SAFE_DIGITS: usize = 15;
/// Any number with this many digits before the point is no larger than the largest double.
const FINITE_DIGITS: usize = 308;

#[inline]
fn number_kind(cell: &str) -> Kind {
    let bytes = cell.as_bytes();
    let unsigned = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let (whole, rest) = digits(unsigned);
    let zeros = whole > 1 && unsigned[0] == b'0';
    if rest.is_empty() && whole > 0 {
        return match bytes[0] {
            _ if zeros => leading_zeros(cell),
            b'+' if whole <= SAFE_DIGITS => Kind::Plus,
            b'-' if unsigned == b"0" => Kind::Decimal,
            _ if whole <= SAFE_DIGITS => Kind::Integer,
            _ => long_integer(cell, whole),
        };
    }
    let (fraction, rest) = rest.strip_prefix(b".").map_or((0, rest), digits);
    if whole + fraction == 0 {
        return word_kind(cell);
    }
    match rest {
        [] if zeros => leading_zeros(cell),
        [] if whole + fraction <= SAFE_DIGITS => Kind::Decimal,
        [b'e' | b'E', exponent @ ..] => {
            let signed = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+"));
            let is_bare = whole == unsigned.len() - exponent.len() - 1 && signed.is_none();
            match digits(signed.unwrap_or(exponent)) {
                (1.., []) if zeros => leading_zeros(cell),
                (1.., []) if is_bare && is_kept(cell) => Kind::Exponent,
                (1.., []) => long_decimal(cell, whole),
                _ => text_kind(cell),
            }
        }
        [] => long_decimal(cell, whole),
        _ if is_comma_number(bytes) => Kind::Comma,
        _ => text_kind(cell),
    }
}

fn is_comma_number(bytes: &[u8]) -> bool {
    let digits = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b',' | b'-' | b'+');
    bytes.contains(&b',') && bytes.iter().all(digits) && bytes.last().is_some_and(u8::is_ascii_digit)
}

fn leading_zeros(cell: &str) -> Kind {
    if float64(cell).is_some() { Kind::LeadingZeros } else { Kind::TooLarge }
}

/// The kind of an integer with more digits than a double always keeps.
#[cold]
fn long_integer(cell: &str, digits: usize) -> Kind {
    match cell.parse::<i64>() {
        Ok(_) if cell.starts_with('+') => Kind::LeadingZeros,
        // the cast saturates; without the bound, the greatest integer would equal the next larger double
        Ok(value) if value as f64 as i64 == value && value < i64::MAX => Kind::Integer,
        // as some programs print a double: at most 17 digits, then zeros
        Ok(value) if (digits <= 17 || cell.ends_with('0')) && is_shortest(cell, value as f64) => {
            Kind::Integer
        }
        Ok(_) => Kind::WideInteger,
        Err(_) if digits > FINITE_DIGITS && float64(cell).is_none() => Kind::TooLarge,
        Err(_) if is_kept(cell) => Kind::LongInteger,
        Err(_) => Kind::LongestInteger,
    }
}

/// The kind of a number whose digits a double may not keep.
fn long_decimal(cell: &str, digits: usize) -> Kind {
    match is_kept(cell) {
        true => Kind::Decimal,
        false if digits <= FINITE_DIGITS && memchr::memchr2(b'e', b'E', cell.as_bytes()).is_none() => {
            Kind::LongDecimal
        }
        false if float64(cell).is_none() => Kind::TooLarge,
        false => Kind::LongDecimal,
    }
}

/// Whether the shortest text of a double has the digits of a number.
fn is_shortest(cell: &str, double: f64) -> bool {
    Mantissa::of(cell).is_same(&Mantissa::of(zmij::Buffer::new().format(double)))
}

/// Whether a double keeps the number as it is written: the double, printed with the same number of digits, gives the same
/// digits. This holds for the shortest text that is read as this double, for `%.17g`, and for numpy's `%.18e`.
fn is_kept(cell: &str) -> bool {
    if let Some(is_printed) = Written::of(cell).and_then(|written| written.is_printed()) {
        return is_printed;
    }
    let Some(value) = float64(cell) else { return false };
    is_shortest(cell, value) || value != 0.0 && is_printed(cell, value)
}

/// The same check for any number; it takes 1 µs.
fn is_printed(cell: &str, double: f64) -> bool {
    let written = Mantissa::of(cell);
    written.digits > SAFE_DIGITS
        && written.is_same(&Mantissa::of(&format!("{:.*e}", written.digits - 1, double)))
}

/// Powers of ten whose product with the fraction of a double fits 128 bits.
const POWERS: [u128; 23] = {
    let mut powers = [1; 23];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// `number` / 10^`places`: ordinary measured numbers. Integer arithmetic checks whether a double keeps them, because most
/// columns have only such numbers.
struct Written {
    number: u64,
    places: usize,
}

impl Written {
    /// None for what has more than 19 digits, or is very large or small.
    fn of(cell: &str) -> Option<Self> {
        let (mut number, mut digits, mut places, mut exponent) = (0u64, 0, None, 0i64);
        for (i, byte) in cell.bytes().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                    digits += usize::from(digits > 0 || byte != b'0');
                    places = places.map(|places: i64| places + 1);
                }
                b'.' => places = Some(0),
                b'e' | b'E' => {
                    exponent =
                        cell[i + 1..].parse().ok().filter(|exponent| (-999..=999).contains(exponent))?;
                    break;
                }
                _ => {}
            }
        }
        let mut places = places.unwrap_or(0).checked_sub(exponent)?;
        if digits > 19 {
            return None;
        }
        while number > 0 && number.is_multiple_of(10) {
            (number, places) = (number / 10, places - 1);
        }
        let places = usize::try_from(places).ok().filter(|places| *places < POWERS.len())?;
        Some(Self { number, places })
    }

    /// Whether a double is printed like this. `None` if the check takes more than 128 bits.
    fn is_printed(&self) -> Option<bool> {
        if self.number <= 1 << 52 {
            return Some(true); // doubles are closer to each other than numbers of this many places
        }
        // rounded twice, so the nearest number is this one or a neighbour
        let near = (self.number as f64 / POWERS[self.places] as f64).to_bits();
        let mut found = false;
        for bits in [near, near - 1, near + 1] {
            found |= self.is_printed_by(bits)?;
            if found {
                break;
            }
        }
        Some(found)
    }

    fn is_printed_by(&self, double: u64) -> Option<bool> {
        // the double is fraction / 2^shift
        let fraction = u128::from(double & ((1 << 52) - 1) | 1 << 52);
        let shift = 1075 - ((double >> 52) & 0x7FF) as i64;
        if !(0..=63).contains(&shift) {
            return None;
        }
        let (double, number) = (fraction * POWERS[self.places], u128::from(self.number) << shift);
        let distance = double.abs_diff(number) * 2;
        // Halfway between two numbers of so many digits, some programs print the even one and some the larger one.
        let is_chosen = self.number.is_multiple_of(2) || number > double;
        Some(distance < 1 << shift || distance == 1 << shift && is_chosen)
    }
}

/// The digits of a number, without leading and trailing zeros.
struct Mantissa<'a> {
    text: &'a [u8],
    digits: usize,
    /// The digits as a number, where they are at most 19.
    value: u64,
}

impl<'a> Mantissa<'a> {
    fn of(number: &'a str) -> Self {
        let bytes = number.as_bytes();
        let end = memchr::memchr2(b'e', b'E', bytes).unwrap_or(bytes.len());
        let (mut digits, mut zeros, mut value) = (0, 0, 0u64);
        for digit in bytes[..end].iter().filter(|byte| byte.is_ascii_digit()) {
            match digit {
                b'0' => zeros += usize::from(digits > 0),
                _ => {
                    for _ in 0..zeros {
                        value = value.wrapping_mul(10);
                    }
                    value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                    digits += zeros + 1;
                    zeros = 0;
                }
            }
        }
        Self { text: &bytes[..end], digits, value }
    }

    fn is_same(&self, other: &Mantissa<'_>) -> bool {
        self.digits == other.digits
            && self.value == other.value
            && (self.digits <= 19 || self.all().eq(other.all()))
    }

    fn all(&self) -> impl Iterator<Item = u8> {
        let digits = self.text.iter().copied().filter(u8::is_ascii_digit);
        digits.skip_while(|digit| *digit == b'0').take(self.digits)
    }
}

fn time_kind(cell: &str) -> Kind {
    if date(cell).is_some() {
        return Kind::Date;
    }
    match time(cell) {
        Some(time) if !time.is_exact => Kind::FineTime,
        Some(time) => match time.zone {
            Zone::Absent => Kind::Timestamp,
            Zone::Ahead(0) => Kind::TimestampUtc,
            Zone::Ahead(_) => Kind::TimestampZone,
        },
        None => text_kind(cell),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::integer;

    #[test]
    fn the_kind_of_a_cell_is_its_form() {
        for (cell, kind) in [
            ("0", Kind::Integer),
            (" -12 ", Kind::Integer),
            ("9007199254740992", Kind::Integer),
            ("9007199254740993", Kind::WideInteger),
            ("-9007199254740993", Kind::WideInteger),
            ("9223372036854775807", Kind::WideInteger),
            ("1000000000000000000", Kind::Integer),
            ("9223372036854775809", Kind::LongestInteger),
            ("100000000000000000000", Kind::LongInteger),
            ("+7", Kind::Plus),
            ("+9007199254740993", Kind::LeadingZeros),
            ("007", Kind::LeadingZeros),
            ("-01", Kind::LeadingZeros),
            ("00", Kind::LeadingZeros),
            ("01.5", Kind::LeadingZeros),
            ("01e5", Kind::LeadingZeros),
            ("01e999", Kind::TooLarge),
            ("-0", Kind::Decimal),
            ("-1.5", Kind::Decimal),
            ("+1.5", Kind::Decimal),
            (".5", Kind::Decimal),
            ("5.", Kind::Decimal),
            ("0.10", Kind::Decimal),
            ("1E-3", Kind::Decimal),
            ("1e+05", Kind::Decimal),
            ("123e-5", Kind::Decimal),
            ("1.e5", Kind::Decimal),
            ("12E5", Kind::Exponent),
            ("1e999", Kind::TooLarge),
            ("-1.5e999", Kind::TooLarge),
            ("1e-999", Kind::LongDecimal),
            ("10000e9223372036854775807", Kind::TooLarge),
            ("10000e-9223372036854775807", Kind::LongDecimal),
            ("1e-99999999999999999999", Kind::LongDecimal),
            // 2^64 without its point
            ("1844674407370955161.6", Kind::LongDecimal),
            ("1e-320", Kind::Decimal),
            ("1.23456e-320", Kind::LongDecimal),
            // what a double is printed as, to 16, 17, 19 and all digits
            ("0.1234567890123456", Kind::Decimal),
            ("0.10000000000000001", Kind::Decimal),
            ("1.000000000000000056e-01", Kind::Decimal),
            ("0.1000000000000000055511151231257827021181583404541015625", Kind::Decimal),
            ("0.1000000000000000055511151231257827021181583404541015626", Kind::LongDecimal),
            ("0.1234567890123456789", Kind::LongDecimal),
            ("9007199254740993.0", Kind::LongDecimal),
            ("12345678901234567.25", Kind::LongDecimal),
            ("NaN", Kind::NotANumber),
            ("-nan", Kind::NotANumber),
            ("-Inf", Kind::Infinite),
            ("+infinity", Kind::Infinite),
            ("1,5", Kind::Comma),
            ("-1.234,56", Kind::Comma),
            ("TRUE", Kind::Truth),
            ("false", Kind::Truth),
            ("2024-02-29", Kind::Date),
            ("2024-01-31 12:30", Kind::Timestamp),
            ("2024-01-31T12:30:00.123456000", Kind::Timestamp),
            ("2024-01-31T12:30:00.1234567", Kind::FineTime),
            ("2024-01-31T12:30:00.123456789+01:00", Kind::FineTime),
            ("2024-01-31T12:30Z", Kind::TimestampUtc),
            ("2024-01-31T12:30-00:00", Kind::TimestampUtc),
            ("2024-01-31T12:30+01:00", Kind::TimestampZone),
            ("", Kind::Empty),
            ("  ", Kind::Blank),
            ("ab\0", Kind::Padded),
            ("12\0\0", Kind::Padded),
        ] {
            assert_eq!(kind_of(cell), kind, "{cell:?}");
        }
        for cell in [
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "1,",
            ",",
            "0x10",
            "1_000",
            "12 3",
            "t",
            "yes",
            "n/a",
            "nano",
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
    fn kinds_are_numbered_in_their_order() {
        assert!(Kind::ALL.iter().enumerate().all(|(i, kind)| *kind as usize == i));
    }

    fn without_zeros(cell: &str) -> &str {
        if cell.contains('.') { cell.trim_end_matches('0') } else { cell }
    }

    proptest! {
        #[test]
        fn numbers_by_form_are_those_that_parse(
            cell in "[-+]?[0-9]{0,25}(\\.[0-9]{0,25})?([eE][-+]?[0-9]{0,3})?|[ -~]{0,8}",
        ) {
            let kind = kind_of(&cell);
            let is_infinite = kind == Kind::Infinite;
            prop_assert_eq!(kind.is_number() || is_infinite, float64(&cell).is_some());
            if matches!(kind, Kind::Integer | Kind::WideInteger) {
                prop_assert!(integer::<i64>(&cell).is_some());
            }
        }

        #[test]
        fn every_printed_form_of_a_double_that_is_halfway_is_kept(
            whole in (1u64 << 46)..(1 << 47), eighth in 0u64..4,
        ) {
            let value = whole as f64 + (2 * eighth + 1) as f64 / 8.0;
            let (up, even) = (value.to_string(), format!("{value:.2}"));
            prop_assert!([&up, &even].map(|text| kind_of(text)) == [Kind::Decimal; 2], "{} {}", up, even);
        }

        #[test]
        fn every_printed_form_of_a_double_is_kept(bits in any::<u64>(), digits in 16usize..40) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [value.to_string(), format!("{value:e}"), format!("{value:.digits$e}"), format!("{value:?}")] {
                prop_assert!(
                    !matches!(kind_of(&text), Kind::LongDecimal | Kind::LongestInteger | Kind::WideInteger),
                    "{}", text
                );
            }
        }

        #[test]
        fn both_ways_to_find_whether_a_number_is_kept_agree(
            cell in "-?[0-9]{1,9}\\.[0-9]{5,12}|[0-9]{9}\\.[0-9]{9}|[0-9]\\.[0-9]{15,18}e-[0-3]|-?[0-9]{1,3}\\.[0-9]{15}",
        ) {
            if let Some(found) = Written::of(&cell).and_then(|written| written.is_printed()) {
                let value = float64(&cell).unwrap();
                let is_short = Mantissa::of(&cell).digits <= SAFE_DIGITS;
                let is_shortest = Mantissa::of(&value.to_string()).is_same(&Mantissa::of(&cell));
                prop_assert_eq!(found, is_short || is_printed(&cell, value) || is_shortest, "{}", cell);
            }
        }

        /// A number that is inferred as one is written back with the same digits, except for zeros at the end of a fraction.
        #[test]
        fn a_kept_number_has_its_digits_again(cell in "-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?") {
            if matches!(kind_of(&cell), Kind::Integer | Kind::Decimal | Kind::LongInteger) {
                let (cell, value) = (without_zeros(&cell), float64(&cell).unwrap());
                let written = cell.trim_start_matches('-').replace('.', "");
                let places = cell.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                let printed = format!("{:.places$}", value.abs()).replace('.', "");
                let shortest = format!("{:.places$}", value.abs().to_string().parse::<f64>().unwrap());
                prop_assert!(printed == written || shortest.replace('.', "") == written
                    || Mantissa::of(&value.to_string()).is_same(&Mantissa::of(cell)), "{}", cell);
            }
        }

        #[test]
        fn no_text_makes_it_panic(cell in "\\PC{0,30}", time_like in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{0,20}") {
            kind_of(&cell);
            kind_of(&time_like);
        }
    }
}
