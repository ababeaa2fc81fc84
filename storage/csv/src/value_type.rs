//! The types that a column of a file can be given, or that can be inferred for it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};
use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};
use tributary_suggest::{quoted, suggestion};

use crate::kind::{Kind, is_nan, kind_of};
use crate::value::{boolean, date, decimal, float32, has_exponent, integer, timestamp, timestamp_utc};

/// The type of a column of a file, given or inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValueType {
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `float32`
    Float32,
    /// `float64`
    Float64,
    /// `bool`: true or false in any case, 1 or 0.
    Bool,
    /// `text`
    Text,
    /// `date`: 2024-01-31.
    Date,
    /// `timestamp`: a date, or date and time of day, without a zone, of at most microseconds.
    Timestamp,
    /// `timestamp_utc`: date, time of day, and a zone; kept as UTC, of at most microseconds.
    TimestampUtc,
    /// `decimal(precision,scale)`: the number of digits in all, and of those after the point. Exact, and so never inferred.
    Decimal(Digits),
    /// `category`: a text that is one of a few. Never inferred, because no number of different texts makes a category.
    Category,
}

/// How many digits a decimal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digits {
    precision: u8,
    scale: u8,
}

impl Digits {
    /// `precision` digits, from 1 to 38, `scale` of them after the point.
    pub fn new(precision: u8, scale: u8) -> Result<Self> {
        if (1..=DECIMAL128_MAX_PRECISION).contains(&precision) && scale <= precision {
            return Ok(Self { precision, scale });
        }
        Err(Error::invalid(format!(
            "decimal({precision},{scale}), expected 1 to 38 digits, and no more of them after the point"
        )))
    }

    /// Digits in all.
    pub(crate) fn precision(self) -> u8 {
        self.precision
    }

    /// Digits after the point.
    pub(crate) fn scale(self) -> u8 {
        self.scale
    }
}

impl ValueType {
    /// The names users write; and `decimal(precision,scale)`.
    pub const NAMES: [(&str, Self); 10] = [
        ("int32", Self::Int32),
        ("int64", Self::Int64),
        ("float32", Self::Float32),
        ("float64", Self::Float64),
        ("bool", Self::Bool),
        ("text", Self::Text),
        ("date", Self::Date),
        ("timestamp", Self::Timestamp),
        ("timestamp_utc", Self::TimestampUtc),
        ("category", Self::Category),
    ];

    /// Arrow's type for it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Text | Self::Category => DataType::Utf8,
            Self::Decimal(Digits { precision, scale }) => DataType::Decimal128(precision, scale as i8),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The form of a cell of this type, for messages.
    pub fn form(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Int32 => "an integer of 32 bits",
            Self::Int64 => "an integer of 64 bits",
            Self::Float32 | Self::Float64 => "a number",
            Self::Bool => "true or false",
            Self::Text | Self::Category => "text",
            Self::Date => "a date like 2024-01-31",
            Self::Timestamp => "a time without zone like 2024-01-31T12:30:00",
            Self::TimestampUtc => "a time with zone like 2024-01-31T12:30:00Z",
            Self::Decimal(Digits { precision, scale }) => {
                let whole = precision - scale;
                return format!("a number of {whole} digits before the point and {scale} after it").into();
            }
        })
    }

    /// Whether a cell without a value of this type always means a missing value: a cell of spaces only, unless the type is
    /// text; and NaN for numbers, as numpy, pandas and FATE write a missing value.
    #[inline]
    pub fn is_missing(self, cell: &str) -> bool {
        match self {
            Self::Text | Self::Category => false,
            Self::Bool | Self::Date | Self::Timestamp | Self::TimestampUtc => cell.trim_ascii().is_empty(),
            _ => cell.trim_ascii().is_empty() || is_nan(cell),
        }
    }

    /// Whether a cell has a value of this type, that is, whether its column accepts it.
    #[inline]
    pub fn fits(self, cell: &str) -> bool {
        match self {
            Self::Int32 => integer::<i32>(cell).is_some(),
            Self::Int64 => integer::<i64>(cell).is_some(),
            Self::Float32 => match kind_of(cell) {
                Kind::Integer | Kind::Infinite => true,
                // a short number is not too large
                kind if kind.is_number() => {
                    cell.len() <= 30 && !has_exponent(cell) || float32(cell).is_some()
                }
                _ => false,
            },
            Self::Float64 => matches!(kind_of(cell), kind if kind.is_number() || kind == Kind::Infinite),
            Self::Bool => boolean(cell).is_some(),
            Self::Text | Self::Category => true,
            Self::Date => date(cell).is_some(),
            Self::Timestamp => timestamp(cell).is_some(),
            Self::TimestampUtc => timestamp_utc(cell).is_some(),
            Self::Decimal(digits) => decimal(cell, digits).is_some(),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Decimal(Digits { precision, scale }) = self {
            return write!(f, "decimal({precision},{scale})");
        }
        let name = Self::NAMES.iter().find(|(_, value)| value == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for ValueType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(digits) = text.strip_prefix("decimal") {
            return decimal_type(digits).ok_or_else(|| {
                Error::invalid(format!("type {}, expected digits such as decimal(10,2)", quoted(text)))
            })?;
        }
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let help = suggestion(text, Self::NAMES.map(|(name, _)| name)).unwrap_or_default();
            Error::invalid(format!("unknown type {} ({help})", quoted(text)))
        })
    }
}

/// `(10,2)`, or `(10)` for whole numbers.
fn decimal_type(digits: &str) -> Option<Result<ValueType>> {
    let digits = digits.strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    Some(Digits::new(precision, scale).map(ValueType::Decimal))
}

impl TryFrom<String> for ValueType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ValueType> for String {
    fn from(value_type: ValueType) -> Self {
        value_type.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_by_its_name_or_the_nearest_is_suggested() {
        for (name, value) in ValueType::NAMES {
            assert_eq!(name.parse::<ValueType>().unwrap(), value);
            assert_eq!(value.to_string(), name);
        }
        let error = "flaot32".parse::<ValueType>().unwrap_err();
        assert!(error.to_string().contains("did you mean \"float32\""), "{error}");
        for (text, expected) in
            [("decimal(10,2)", (10, 2)), ("decimal( 38 , 38 )", (38, 38)), ("decimal(5)", (5, 0))]
        {
            let (precision, scale) = expected;
            let found = text.parse::<ValueType>().unwrap();
            assert_eq!(found, ValueType::Decimal(Digits::new(precision, scale).unwrap()));
            assert_eq!(found.to_string().parse::<ValueType>().unwrap(), found);
        }
        for (text, message) in [
            ("decimal", "expected digits such as decimal(10,2)"),
            ("decimal(x,2)", "expected digits such as decimal(10,2)"),
            ("decimal(39,0)", "decimal(39,0), expected 1 to 38 digits"),
            ("decimal(2,3)", "no more of them after the point"),
            ("number", "(known: int32, int64"),
        ] {
            let error = text.parse::<ValueType>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
