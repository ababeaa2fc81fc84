//! The metadata of pandas in a file: the columns of its index, which pandas writes after all others.

use parquet::file::metadata::FileMetaData;
use serde::Deserialize;

use arrow_schema::DataType;

use crate::column::Column;

/// The index of pandas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Index {
    /// None, or a range of numbers that is in no column.
    #[default]
    None,
    /// This column.
    Named(String),
    /// This column of integers without its own name: row numbers, as they are after filtering.
    RowNumbers(String),
    /// Several columns.
    Several(Vec<String>),
}

/// Prefix of the names of unnamed index columns.
const UNNAMED: &str = "__index_level_";

#[derive(Deserialize)]
struct Noted {
    index_columns: Vec<serde_json::Value>,
}

impl Index {
    /// `None` without metadata, or if it is invalid.
    pub(crate) fn of(file: &FileMetaData, columns: &[Column]) -> Self {
        let noted = file.key_value_metadata().into_iter().flatten().find(|pair| pair.key == "pandas");
        let noted = noted.and_then(|pair| serde_json::from_str::<Noted>(pair.value.as_deref()?).ok());
        let named = noted.into_iter().flat_map(|noted| noted.index_columns);
        // a range is an object, not a column
        let known = |name: &&str| columns.iter().any(|column| column.name == *name);
        let named: Vec<String> =
            named.filter_map(|name| name.as_str().filter(known).map(str::to_owned)).collect();
        let is_integer = |name: &str| {
            let column = columns.iter().find(|column| column.name == name);
            column.and_then(|column| column.becomes.as_ref().ok()).is_some_and(DataType::is_integer)
        };
        match named.as_slice() {
            [] => Self::None,
            [only] if only.starts_with(UNNAMED) && is_integer(only) => Self::RowNumbers(only.clone()),
            [only] => Self::Named(only.clone()),
            _ => Self::Several(named),
        }
    }
}
