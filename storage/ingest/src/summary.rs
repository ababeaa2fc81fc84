//! What an upload did, for people and for programs.

use arrow_array::temporal_conversions;
use arrow_schema::DataType;
use serde::Serialize;
use tributary_core::storage::TableUri;
use tributary_core::{Purpose, TableName};

/// What an upload did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The table made.
    pub table: TableName,
    /// Where it is.
    pub uri: TableUri,
    /// Its rows.
    pub rows: u64,
    /// Its parts.
    pub partitions: u32,
    /// Its bytes on the medium.
    pub bytes: u64,
    /// Rows left out because their id stands twice.
    pub duplicates_dropped: u64,
    /// Its columns after the key.
    pub columns: Vec<ColumnSummary>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// As it is stored.
    pub data_type: DataType,
    /// What it means.
    pub purpose: Purpose,
    /// Missing values.
    pub nulls: u64,
    /// Least and greatest value; none for text, truth values, and where all are missing.
    pub extent: Option<Extent>,
    /// What one should know about the type that was found.
    pub note: Option<String>,
}

/// Least and greatest value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
}

impl Extent {
    /// Both ends as people write them.
    pub fn texts(self) -> (String, String) {
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
            Self::Numbers(a, b) => (a.to_string(), b.to_string()),
            Self::Days(a, b) => (day(a), day(b)),
            Self::Micros(a, b) => (micro(a), micro(b)),
        }
    }

    /// The extent that covers both.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integers(a, b), Self::Integers(c, d)) => Self::Integers(a.min(c), b.max(d)),
            (Self::Numbers(a, b), Self::Numbers(c, d)) => Self::Numbers(a.min(c), b.max(d)),
            (Self::Days(a, b), Self::Days(c, d)) => Self::Days(a.min(c), b.max(d)),
            (Self::Micros(a, b), Self::Micros(c, d)) => Self::Micros(a.min(c), b.max(d)),
            _ => self, // a column has one type
        }
    }
}
