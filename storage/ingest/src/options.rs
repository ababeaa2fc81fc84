//! The options of an upload: where the rows are, how they are written, what their columns mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tributary_core::media::Media;
use tributary_core::{TableName, meta::TableRecord};
use tributary_csv::{Quoting, ValueType};
use tributary_system::LocalMedia;

/// An upload. [`UploadOptions::new`] sets the defaults.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadOptions {
    /// The table to make.
    pub table: TableName,
    /// The files, one after another, by path or address; all have the same columns. A name with `*`, `?` or `[…]` means all files that
    /// match, sorted by name; a folder means the Parquet or CSV files in it, and below folders that are named by the value of a column; `-` is
    /// standard input. gzip and zstd are decompressed.
    pub files: Vec<PathBuf>,
    /// What opens them: this machine.
    pub media: Arc<dyn Media>,
    /// The character between the values of a row: `,`.
    pub delimiter: u8,
    /// What `"` means.
    pub quoting: Quoting,
    /// Where the names of the columns are.
    pub header: Header,
    /// The source of a row's id.
    pub sample_id: SampleId,
    /// The column on which parties match, if that is not the sample id.
    pub match_id: Option<String>,
    /// The column to predict: `Int32` unless [`UploadOptions::columns`] says otherwise. Never missing.
    pub label: Option<String>,
    /// The column of row weights: `Float64` unless [`UploadOptions::columns`] says otherwise. Never missing or negative.
    pub weight: Option<String>,
    /// Columns to leave out.
    pub skip: Vec<String>,
    /// Options of single columns.
    pub columns: BTreeMap<String, ColumnOptions>,
    /// The type of every value column that [`UploadOptions::columns`] does not set; inferred if `None`.
    pub default_type: Option<ValueType>,
    /// Spellings of a missing value: the empty one. For any spellings, an empty cell is also missing in columns of numbers,
    /// times and truth values, and NaN in columns of numbers.
    pub nulls: Vec<String>,
    /// The number of partitions of the table, in the order of its rows: 4, or as many as the table that rows are added to
    /// has.
    pub partitions: Option<u32>,
    /// What to do when the table exists: fail.
    pub if_exists: Existing,
    /// What to do with a repeated sample id: fail.
    pub duplicates: Duplicates,
    /// The most bad rows that are left out; with more, nothing is stored: 0.
    pub max_rejects: u64,
    /// A file that bad rows are written to, as CSV with the columns file, line, column, reason, row; replaced if it is
    /// there. With this file all bad rows are listed, even if there are too many. For a Parquet file, the line is the number
    /// of the row, and the row is empty: it has no text.
    pub reject_to: Option<PathBuf>,
    /// Folder of temporary files, created if it does not exist: the system's. The files have no names, and disappear with
    /// the process.
    pub scratch: PathBuf,
    /// Memory for the comparison of ids, in bytes; more ids are sorted in temporary files: 64 MiB.
    pub sort_bytes: usize,
    /// The most bytes that all compressed files together may decompress to; by default 200 times their size, but at least 1
    /// GiB.
    pub max_unpacked: Option<u64>,
    /// Notes for the summary about the origin of these options.
    pub notes: Vec<String>,
    /// Rows kept in the site's record for display, at most and by default 100. They are private data: 0 keeps none.
    pub preview_rows: usize,
}

/// What to do when the table exists. This is not the store's rule of a similar name, which has no merge: added rows are
/// written together with the existing ones, over the snapshot that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse; the table stays as it is.
    #[default]
    Fail,
    /// Replace it by the new table.
    Replace,
    /// Add the files' rows to it. They get its columns, by name: types and purposes are those of the table, and nothing of
    /// it changes, except that features may be missing if the files lack some values. [`Duplicates`] decides about ids over
    /// all rows, those of the table first. A table that does not exist is created.
    Merge,
}

/// Options of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnOptions {
    /// Its type; inferred if there is none.
    pub value_type: Option<ValueType>,
    /// Its spellings of a missing value, if they differ from those of the upload.
    pub nulls: Option<Vec<String>>,
}

/// Where the names of the columns are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Header {
    /// In the first line of each file.
    #[default]
    FirstLine,
    /// These; the files have rows only.
    Names(Vec<String>),
    /// Generated: x0, x1, … by position.
    Numbered,
}

/// The source of a row's id. Ids are text, and unique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SampleId {
    /// In the first column.
    #[default]
    FirstColumn,
    /// In this column.
    Column(String),
    /// Generated in a new column `extend_sid`, from 32 random hex digits for the upload and the row's number from 0.
    Made,
}

/// What to do with a repeated sample id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the upload, naming the first two places; if bad rows are allowed, all but the first are bad.
    #[default]
    Fail,
    /// Keep the first row.
    First,
    /// Keep the last row.
    Last,
}

impl UploadOptions {
    /// The default number of partitions of a new table.
    pub(crate) const PARTITIONS: u32 = 4;

    /// Uploads these files as this table: comma separated, with a header, ids in the first column.
    pub fn new<F: Into<PathBuf>>(table: TableName, files: impl IntoIterator<Item = F>) -> Self {
        Self {
            table,
            files: files.into_iter().map(Into::into).collect(),
            media: Arc::new(LocalMedia),
            delimiter: b',',
            quoting: Quoting::default(),
            header: Header::default(),
            sample_id: SampleId::default(),
            match_id: None,
            label: None,
            weight: None,
            skip: Vec::new(),
            columns: BTreeMap::new(),
            default_type: None,
            nulls: vec![String::new()],
            partitions: None,
            if_exists: Existing::default(),
            duplicates: Duplicates::default(),
            max_rejects: 0,
            reject_to: None,
            scratch: std::env::temp_dir(),
            sort_bytes: 64 << 20,
            max_unpacked: None,
            notes: Vec::new(),
            preview_rows: TableRecord::MAX_PREVIEW_ROWS,
        }
    }
}
