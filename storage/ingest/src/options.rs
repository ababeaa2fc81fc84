//! What a user says about an upload: where the rows are, how they are written, what their columns mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tributary_core::{TableName, meta::TableRecord};
use tributary_csv::{Quoting, ValueType};

/// An upload. [`UploadOptions::new`] has the defaults; change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadOptions {
    /// The table to make.
    pub table: TableName,
    /// The files, one after another; all have the same columns. A name with `*`, `?` or `[…]` stands for all files that match, sorted
    /// by name; a folder for the Parquet files in it; `-` is standard input. gzip and zstd are unpacked.
    pub files: Vec<PathBuf>,
    /// Between the values of a row: `,`.
    pub delimiter: u8,
    /// What `"` means.
    pub quoting: Quoting,
    /// Where the names of the columns are.
    pub header: Header,
    /// Where a row's id is.
    pub sample_id: SampleId,
    /// The column on which parties match, if that is not the sample id.
    pub match_id: Option<String>,
    /// The column to be predicted: `Int32` unless [`UploadOptions::columns`] says otherwise. Never missing.
    pub label: Option<String>,
    /// The column of row weights: `Float64` unless [`UploadOptions::columns`] says otherwise. Never missing or negative.
    pub weight: Option<String>,
    /// Columns to leave out.
    pub skip: Vec<String>,
    /// What is known of single columns.
    pub columns: BTreeMap<String, ColumnOptions>,
    /// The type of every value column that [`UploadOptions::columns`] does not know; inferred if there is none.
    pub default_type: Option<ValueType>,
    /// Spellings of a missing value: the empty one. Whatever they are, nothing is no number, time or truth value either, and NaN
    /// among numbers is a missing one.
    pub nulls: Vec<String>,
    /// How many parts the table is cut into, in order of its rows: 4, or as many as the table has that rows are added to.
    pub partitions: Option<u32>,
    /// What to do when the table exists: fail.
    pub if_exists: Existing,
    /// What to do with a sample id that stands twice: fail.
    pub duplicates: Duplicates,
    /// So many rows may be bad and are left out; a row more, and nothing is stored: 0.
    pub max_rejects: u64,
    /// A file that bad rows are written to, as CSV with the columns file, line, column, reason, row; replaced if it is there.
    /// With it all bad rows are looked for, also where they are too many. For a Parquet file, the line is the number of the row,
    /// and the row is empty: it has no text.
    pub reject_to: Option<PathBuf>,
    /// Folder of temporary files, made if it is not there: the system's. They have no names, and vanish with the process.
    pub scratch: PathBuf,
    /// Memory in which ids are compared, in bytes; beyond, they are sorted in temporary files: 64 MiB.
    pub sort_bytes: usize,
    /// Bytes that compressed files may unfold to, all together; by default 200 times their size, and 1 GiB in any case.
    pub max_unpacked: Option<u64>,
    /// What the summary is to say of how these options came about.
    pub notes: Vec<String>,
    /// Rows kept in the site's record for display, at most and by default 100. They are private data: 0 keeps none.
    pub preview_rows: usize,
}

/// What to do when the table exists. Not the store's rule of nearly that name, which knows nothing of rows that are added: they are
/// written with those that are there, over the snapshot that was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse; the table stays as it is.
    #[default]
    Fail,
    /// The new table takes its place.
    Replace,
    /// The files' rows are added to it. They get its columns, by name: types and what they mean are those of the table, and
    /// nothing of it changes, but that a feature may be missing if the files lack some. [`Duplicates`] decides about ids over all
    /// rows, those of the table first. A table that does not exist is made.
    Merge,
}

/// What is known of one column.
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
    /// Here; the files have rows only.
    Names(Vec<String>),
    /// Nowhere: x0, x1, … by position.
    Numbered,
}

/// Where a row's id is. Ids are text, and unique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SampleId {
    /// In the first column.
    #[default]
    FirstColumn,
    /// In this column.
    Column(String),
    /// Nowhere: made in a new column `extend_sid`, of 32 random hex digits for the upload and the row's number from 0.
    Made,
}

/// What to do with a sample id that stands twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// Refuse the upload, naming the first two places; where rows may be bad, all but the first are.
    #[default]
    Fail,
    /// Keep the first row.
    First,
    /// Keep the last row.
    Last,
}

impl UploadOptions {
    /// Parts of a new table, where nothing else is said.
    pub(crate) const PARTITIONS: u32 = 4;

    /// Uploads these files as this table: comma separated, with a header, ids in the first column.
    pub fn new<F: Into<PathBuf>>(table: TableName, files: impl IntoIterator<Item = F>) -> Self {
        Self {
            table,
            files: files.into_iter().map(Into::into).collect(),
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
