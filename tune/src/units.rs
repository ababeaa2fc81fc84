//! Numbers as people read them: times of one table in one unit, three digits that count.

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

impl Unit {
    /// For times that are shown together: that of the (geometric) middle between the least and the most, so that neither has many
    /// digits.
    pub(crate) fn of(times: impl IntoIterator<Item = f64>) -> Self {
        let (least, most) = times.into_iter().fold((f64::INFINITY, 0.0f64), |(a, b), t| (a.min(t), b.max(t)));
        match least.sqrt() * most.sqrt() {
            middle if middle >= 1.0 => Self::Seconds,
            middle if middle >= 1e-3 => Self::Milliseconds,
            _ => Self::Microseconds,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
        }
    }

    /// The number alone.
    pub(crate) fn show(self, seconds: f64) -> String {
        significant(match self {
            Self::Seconds => seconds,
            Self::Milliseconds => seconds * 1e3,
            Self::Microseconds => seconds * 1e6,
        })
    }
}

/// `12.3 ms`.
pub(crate) fn time(seconds: f64) -> String {
    let unit = Unit::of([seconds]);
    format!("{} {}", unit.show(seconds), unit.name())
}

/// Three digits that count, and all digits before the point.
pub(crate) fn significant(number: f64) -> String {
    if number <= 0.0 || !number.is_finite() {
        return format!("{number:.0}");
    }
    let decimals = |n: f64| (2.0 - n.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{number:.0$}", decimals(number));
    // 9.996 has three digits after rounding as well: 10.0.
    let rounded = text.parse().unwrap_or(number);
    format!("{number:.0$}", decimals(rounded))
}

/// `1,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let cases =
            [(0.001234, "0.00123"), (1.0, "1.00"), (9.996, "10.0"), (12.345, "12.3"), (999.6, "1000")];
        for (number, expected) in cases {
            assert_eq!(significant(number), expected);
        }
        assert_eq!(significant(123_456.0), "123456");
        assert_eq!(significant(0.0), "0");
    }

    #[test]
    fn times_have_the_unit_of_their_middle() {
        assert_eq!(time(1.5), "1.50 s");
        assert_eq!(time(0.0123), "12.3 ms");
        assert_eq!(time(0.000_012_3), "12.3 µs");
        assert_eq!(Unit::of([0.000_085, 1.84, 0.5]).show(1.84), "1840");
        assert_eq!(Unit::of([0.5, 8.0]), Unit::Seconds);
        assert_eq!(Unit::of([]), Unit::Microseconds);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(["7", "999", "1,000", "1,234,567"], [7, 999, 1000, 1_234_567].map(grouped)[..]);
    }
}
