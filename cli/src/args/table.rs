//! The arguments of `table`, and of `data download`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{IfExists, PartyArg, Reading};

/// One table of a party.
#[derive(Debug, Args)]
pub(crate) struct TableArg {
    #[command(flatten)]
    pub party: PartyArg,
    /// Namespace of the table, also `-ns`.
    #[arg(long)]
    pub namespace: String,
    /// Name of the table.
    #[arg(long, short)]
    pub name: String,
    /// Show the output as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// List all tables of a party.
    List {
        #[command(flatten)]
        party: PartyArg,
        /// Only this namespace, also `-ns`.
        #[arg(long)]
        namespace: Option<String>,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show columns, rows, place and origin of a table.
    Query(TableArg),
    /// Show the columns of a table: name, type, purpose, whether values may be missing.
    Schema(TableArg),
    /// Show the first rows of a table, or of those for which a condition is true.
    Preview {
        #[command(flatten)]
        table: TableArg,
        /// Number of rows.
        #[arg(long, visible_alias = "limit", default_value_t = 10)]
        rows: usize,
        #[command(flatten)]
        selected: Selected,
    },
    /// Make a table of CSV or Parquet files in place, without copying them: on this machine, or in a store of the party.
    #[command(long_about = BIND)]
    Bind(Box<Bind>),
    /// Give a table another name.
    Rename {
        #[command(flatten)]
        table: TableArg,
        /// Its new namespace [default: unchanged].
        #[arg(long, value_name = "NAMESPACE")]
        to_namespace: Option<String>,
        /// Its new name [default: unchanged].
        #[arg(long, value_name = "NAME", required_unless_present = "to_namespace")]
        to_name: Option<String>,
        /// Seconds to wait for running jobs that read it.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
    /// Copy a table to another name, another store of the party, or another party of this site; partitions, order, columns and types stay.
    Copy {
        #[command(flatten)]
        party: PartyArg,
        /// The table, as NAMESPACE/NAME.
        #[arg(value_name = "SOURCE")]
        from: String,
        /// The name of the copy, as NAMESPACE/NAME.
        #[arg(value_name = "DESTINATION")]
        to: String,
        /// The party that gets the copy [default: the same].
        #[arg(long, value_name = "PARTY")]
        to_party: Option<String>,
        /// The store that gets the copy, such as file or s3 [default: the one of new tables].
        #[arg(long, value_name = "STORE")]
        store: Option<String>,
        /// Show no progress.
        #[arg(long, short)]
        quiet: bool,
        /// Show the record as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare a table's bytes, counts and columns with its manifest, and the site's record with both. Reads the whole table.
    Verify(TableArg),
    /// Delete a table; the files of a bound table stay. Refused while a job reads the table.
    Delete {
        #[command(flatten)]
        table: TableArg,
        /// Seconds to wait for running jobs that read it.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
}

const BIND: &str = "\
Make a table of CSV or Parquet files in place, without copying them: on this machine, or in a store of the party (s3://bucket/folder).

Any job reads it like an uploaded table. Its files must not change: a changed file (size, time, entity tag; on this machine a Parquet file's \
footer, the first and last 64 KiB of a CSV file) is an error and never gives other rows; bind it again with --if-exists replace. Deleting the table \
leaves the files. Options for files and columns mean the same as in `tributary data upload`.

CSV is read once, for types, bad rows and repeated ids; each bad row or repeated id is an error with its place. Compressed files and \
pipes cannot be bound; upload them. Every reading parses the files again; a table that many jobs read is better uploaded.

Of Parquet only footers and the first rows are read; a value that its column cannot hold, and a repeated id, are found by the job \
that reads them. A folder holds the output of one write of Spark or another program: files of one format, and names that begin with `_` \
or `.`, which are skipped. The keys of subfolders that are named by the value of a column (year=2024) become columns. Ids are text or whole \
numbers. Columns of lists, structs or times of day must be left out with --skip.

With --table, the rows are those of a table or view in PostgreSQL or MySQL, cut into partitions by the ids: by their span if they are whole \
numbers, else by a hash. A changed column, or another number of rows, is an error; a value that is changed in place is not noticed.";

#[derive(Debug, Args)]
pub(crate) struct Bind {
    #[command(flatten)]
    pub party: PartyArg,
    /// A CSV or Parquet file, or several with the same columns, by path or address; '*.csv' in quotes is all that match, sorted by name; or folders of such files.
    #[arg(long, short, visible_alias = "folder", num_args = 1.., value_name = "PATH", required_unless_present = "table")]
    pub file: Vec<PathBuf>,
    /// In place of files: a table or view in the database of a store, as TABLE or SCHEMA.TABLE; needs --id.
    #[arg(long, value_name = "TABLE", conflicts_with = "file", requires = "id")]
    pub table: Option<String>,
    /// The store that has it, such as postgresql or mysql [default: the one of new tables].
    #[arg(long, value_name = "STORE", requires = "table")]
    pub store: Option<String>,
    /// Namespace of the table, also `-ns`.
    #[arg(long)]
    pub namespace: String,
    /// Name of the table.
    #[arg(long, short)]
    pub name: String,
    #[command(flatten)]
    pub reading: Reading,
    /// Most partitions of the table; row groups of Parquet are not split.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub partitions: u32,
    /// What to do when the table exists.
    #[arg(long, value_enum, default_value = "fail")]
    pub if_exists: IfExists,
    /// Show the record as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Which part of a table.
#[derive(Debug, Args)]
pub(crate) struct Selected {
    /// Columns, in this order [default: all].
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    pub columns: Vec<String>,
    /// Only rows for which this is true: `age >= 18 and (city in ('Oslo', 'Bergen') or city is null)`. Names of columns that are no words are in double quotes, texts, days and times in single ones; and, or, not, in, is null, and comparisons.
    #[arg(long, value_name = "CONDITION")]
    pub r#where: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Download {
    #[command(flatten)]
    pub table: TableArg,
    /// The file to write, by path or address (s3://bucket/file.csv); `-` is standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub selected: Selected,
    /// Most rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Format [default: by the file's extension: .csv, .txt, .tsv, .parquet, .pq, .arrow, .feather; csv without an extension].
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// CSV: character between the values of a row; `\t` for tab [default: a comma, a tab for .tsv].
    #[arg(long)]
    pub delimiter: Option<String>,
    /// CSV: no line with the names of the columns.
    #[arg(long)]
    pub no_header: bool,
    /// CSV: how a missing value is written. A text value that equals it is refused.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub null: String,
    /// CSV: write ' before texts that a spreadsheet would run: those that begin with = + - @, a tab or a carriage return.
    #[arg(long)]
    pub escape_formulas: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    pub overwrite: bool,
    /// Threads [default: the machine's cores, at most 8].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// RFC 4180, UTF-8.
    Csv,
    /// One Parquet file.
    Parquet,
    /// Arrow IPC: the file format, on standard output the stream format.
    Arrow,
}
