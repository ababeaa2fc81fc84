//! The summary of an upload or a dry run, for users and for programs.

use std::fmt;

use arrow_array::temporal_conversions;
use arrow_schema::DataType;
use serde::{Serialize, Serializer};
use tributary_core::storage::TableUri;
use tributary_core::{Purpose, TableName};

/// A column that is no feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Role {
    /// `sample id`, `match id`, `label` or `weight`.
    pub role: String,
    /// Its name.
    pub column: String,
    /// Why it is this column.
    pub why: String,
}

/// The summary of an upload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The stored table.
    pub table: TableName,
    /// Its address.
    pub uri: TableUri,
    /// Its rows.
    pub rows: u64,
    /// Its parts.
    pub partitions: u32,
    /// Its bytes on the medium.
    pub bytes: u64,
    /// Rows of the files left out because their id occurs twice.
    pub duplicates_dropped: u64,
    /// Rows left out because they had errors.
    pub rejected: u64,
    /// How the existing rows were merged; `None` unless rows were added to a table.
    pub merged: Option<Merged>,
    /// Its columns after the key.
    pub columns: Vec<ColumnSummary>,
    /// The columns with the ids, the label and other roles.
    pub roles: Vec<Role>,
    /// Notes about the files and the options.
    pub notes: Vec<String>,
}

/// The summary of a dry run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DryRun {
    /// The table that would be stored.
    pub table: TableName,
    /// Its rows.
    pub rows: u64,
    /// Its parts.
    pub partitions: u32,
    /// Rows of the files that would be left out because their id occurs twice.
    pub duplicates_dropped: u64,
    /// Rows that would be left out because they have errors.
    pub rejected: u64,
    /// How the existing rows would be merged; `None` unless rows would be added to a table.
    pub merged: Option<Merged>,
    /// Name of the key column.
    pub key: String,
    /// The columns after the key; missing values are counted over all rows of the files.
    pub columns: Vec<ColumnSummary>,
    /// The columns with the ids, the label and other roles.
    pub roles: Vec<Role>,
    /// Notes about the files and the options.
    pub notes: Vec<String>,
    /// The first rows as text, key first.
    pub preview: Vec<Vec<Option<String>>>,
}

/// Row counts of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Merged {
    /// Rows of the table that stay.
    pub kept: u64,
    /// Rows of the table that are replaced by rows with the same id.
    pub replaced: u64,
    /// Rows of the files that are added.
    pub added: u64,
}

/// The summary of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its stored type.
    pub data_type: DataType,
    /// Its purpose.
    pub purpose: Purpose,
    /// Missing values; for Parquet files `None` before the table is written.
    pub nulls: Option<u64>,
    /// The estimated number of different values, ± 5 %; exact below about ten. `None` before the table is written.
    pub distinct: Option<u64>,
    /// Least and greatest value; `None` for truth values, if all are missing, and before the table is written.
    pub extent: Option<Extent>,
    /// A note about the inferred type.
    pub note: Option<String>,
}

/// Least and greatest value of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Of integers.
    Integers(i64, i64),
    /// Of numbers.
    Numbers(f64, f64),
    /// Of dates, in days since 1970.
    Days(i64, i64),
    /// Of timestamps, in microseconds since 1970.
    Micros(i64, i64),
    /// Of decimals.
    Decimals(Decimal, Decimal),
    /// Of texts, in the order of their bytes; long texts are cut after their first characters.
    Texts(String, String),
}

/// An exact number; as decimal text in output and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub(crate) unscaled: i128,
    pub(crate) scale: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, digits) = (usize::from(self.scale), self.unscaled.unsigned_abs().to_string());
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let sign = if self.unscaled < 0 { "-" } else { "" };
        match digits.split_at(digits.len() - scale) {
            (whole, "") => write!(f, "{sign}{whole}"),
            (whole, fraction) => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Extent {
    /// Both ends as text.
    pub fn texts(&self) -> (String, String) {
        let day = |days: i64| {
            let date = i32::try_from(days).ok().and_then(temporal_conversions::date32_to_datetime);
            date.map_or_else(|| days.to_string(), |d| d.date().to_string())
        };
        let micro = |micros: i64| {
            let time = temporal_conversions::timestamp_us_to_datetime(micros);
            time.map_or_else(|| micros.to_string(), |t| t.to_string())
        };
        match self {
            Self::Integers(a, b) => (a.to_string(), b.to_string()),
            Self::Numbers(a, b) => (number(*a), number(*b)),
            Self::Days(a, b) => (day(*a), day(*b)),
            Self::Micros(a, b) => (micro(*a), micro(*b)),
            Self::Decimals(a, b) => (a.to_string(), b.to_string()),
            Self::Texts(a, b) => (a.clone(), b.clone()),
        }
    }

    /// The extent that covers both.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integers(a, b), Self::Integers(c, d)) => Self::Integers(a.min(c), b.max(d)),
            (Self::Numbers(a, b), Self::Numbers(c, d)) => Self::Numbers(a.min(c), b.max(d)),
            (Self::Days(a, b), Self::Days(c, d)) => Self::Days(a.min(c), b.max(d)),
            (Self::Micros(a, b), Self::Micros(c, d)) => Self::Micros(a.min(c), b.max(d)),
            (Self::Decimals(a, b), Self::Decimals(c, d)) => {
                let (low, high) = (a.unscaled.min(c.unscaled), b.unscaled.max(d.unscaled));
                Self::Decimals(Decimal { unscaled: low, ..a }, Decimal { unscaled: high, ..a })
            }
            (Self::Texts(a, b), Self::Texts(c, d)) => Self::Texts(a.min(c), b.max(d)),
            (one, _) => one, // a column has one type
        }
    }
}

/// A number in bounded width, with all its digits.
fn number(value: f64) -> String {
    const WIDEST: usize = 20;
    let plain = value.to_string();
    if plain.len() <= WIDEST { plain } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_bounded_width_and_all_digits() {
        for (value, text) in [
            (1.5, "1.5"),
            (-3.0, "-3"),
            (1e-320, "1e-320"),
            (1.7e308, "1.7e308"),
            (123456789012345680000.0, "1.2345678901234568e20"),
        ] {
            assert_eq!(Extent::Numbers(value, value).texts().0, text);
        }
    }

    #[test]
    fn decimals_are_shown_as_they_are_written() {
        for (unscaled, scale, text) in
            [(12345, 2, "123.45"), (-5, 2, "-0.05"), (0, 0, "0"), (-7, 0, "-7"), (1, 3, "0.001")]
        {
            assert_eq!(Decimal { unscaled, scale }.to_string(), text);
        }
        let extent =
            Extent::Decimals(Decimal { unscaled: -5, scale: 2 }, Decimal { unscaled: 100, scale: 2 });
        assert_eq!(serde_json::to_string(&extent).unwrap(), r#"{"decimals":["-0.05","1.00"]}"#);
    }
}
