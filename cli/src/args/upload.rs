//! The arguments of `data upload`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{PartyArg, Reading};

pub(crate) const ABOUT: &str = "\
Store CSV or Parquet files as a table. Nothing is stored unless every row is good, except for as many bad rows as --max-rejects \
allows.

Rows are read twice: first to find the columns' types and all errors, then to write. Files may lie in a store of the party \
(s3://bucket/folder), and are read there. Files compressed by gzip or zstd are recognised \
by their content. Compressed files, and input from a pipe or standard input, are first copied to a temporary file below the home \
folder. It takes the space of the uncompressed rows and is removed when the command ends, however it ends.

With --if-exists merge, the rows are added to the table. They must have the table's columns, by name; types, labels and ids are \
those of the table. --duplicates decides over all rows: fail refuses an id that the table has, first keeps the table's row, last \
keeps the file's row.

An inferred type keeps every value exactly as the file has it: a column with leading zeros, plus signs, or more digits than a number \
of 64 bits keeps stays text, and a note says so.

Types: int32, int64, float32, float64, bool, text, date (2024-01-31), timestamp (2024-01-31T12:30:00), timestamp_utc (with a zone), \
decimal(digits,digits after the point), category. Decimals and categories are never inferred; Parquet keeps its own types. A row is \
bad if its width differs, a value is not of the wanted type or not UTF-8, its id, match id, label or weight is missing, its weight \
is negative, or its id occurs in an earlier row.";

pub(crate) const USAGE: &str = "\
tributary data upload [--party ID] --namespace NAMESPACE --name NAME --file FILE... [OPTIONS]
       tributary data upload --config JSON [OPTIONS]";

pub(crate) const EXAMPLES: &str = "\
Examples:
  tributary data upload --namespace shop --name orders --file orders.csv
  tributary data upload --namespace shop --name orders --file 'orders-2024-*.csv.gz' --label returned --dry-run
  zcat orders.csv.Z | tributary data upload --namespace shop --name orders --file - --if-exists replace
  tributary data upload --namespace shop --name orders --file today.csv --if-exists merge
  tributary data upload --namespace shop --name orders --file orders.csv --max-rejects 100 --reject-to bad.csv
  tributary data upload -c upload.json";

#[derive(Debug, Args)]
pub(crate) struct Upload {
    #[command(flatten)]
    pub party: PartyArg,
    /// An upload file in FATE's format; other options override its keys.
    #[arg(long, short, value_name = "JSON")]
    pub config: Option<PathBuf>,
    /// A CSV or Parquet file, or several with the same columns; '*.csv' in quotes is all that match, sorted by name; a folder means the CSV or Parquet files in it; s3://… a file or folder in a store of the party; - is standard input.
    #[arg(long, short, num_args = 1.., value_name = "FILE", required_unless_present = "config")]
    pub file: Vec<PathBuf>,
    /// Namespace of the table, also `-ns`.
    #[arg(long, required_unless_present = "config")]
    pub namespace: Option<String>,
    /// Name of the table.
    #[arg(long, short, required_unless_present = "config")]
    pub name: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
    /// Partitions of the table [default: 4; when rows are added to a table, as many as it has].
    #[arg(long, value_name = "N")]
    pub partitions: Option<u32>,
    /// What to do when the table exists.
    #[arg(long, value_enum)]
    pub if_exists: Option<Existing>,
    /// What to do with a repeated id.
    #[arg(long, value_enum)]
    pub duplicates: Option<Duplicates>,
    /// Most bad rows to leave out; with more, nothing is stored [default: 0].
    #[arg(long, value_name = "N")]
    pub max_rejects: Option<u64>,
    /// Write all bad rows to this CSV file, each with its place and its error. Replaces the file. In a Parquet file, the place is the number of the row.
    #[arg(long, value_name = "FILE")]
    pub reject_to: Option<PathBuf>,
    /// Store nothing: check all rows, and show the columns and the first rows that would be stored.
    #[arg(long)]
    pub dry_run: bool,
    /// Show the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// For commands that make a new table.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum IfExists {
    Fail,
    Replace,
}

/// For uploads, which can also add rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Existing {
    /// Refuse [default].
    Fail,
    /// Replace the table.
    Replace,
    /// Add the rows to the table.
    Merge,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Duplicates {
    /// Refuse [default]; with --max-rejects, all but the first row are bad rows.
    Fail,
    /// Keep the first row.
    First,
    /// Keep the last row.
    Last,
}
