//! How files are written, and what their columns mean: said alike for an upload and a bind.

use clap::Args;

/// How to read files.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Between the values of a row; `\t` for tab [default: ,].
    #[arg(long)]
    pub delimiter: Option<String>,
    /// The file has no header; columns are x0, x1, … or those named.
    #[arg(long, num_args = 0.., value_delimiter = ',', value_name = "NAMES")]
    pub no_header: Option<Vec<String>>,
    /// `"` is a letter like any other.
    #[arg(long)]
    pub no_quotes: bool,
    /// Column with a row's id [default: the first].
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Make ids: the file has none.
    #[arg(long, conflicts_with = "id")]
    pub extend_sid: bool,
    /// Column on which parties match, if that is not the id.
    #[arg(long, value_name = "COLUMN")]
    pub match_id: Option<String>,
    /// Column to be predicted.
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Column of row weights.
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// Columns to leave out.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    pub skip: Vec<String>,
    /// Types, inferred otherwise: `age=int64,price=decimal(10,2)`.
    #[arg(long, value_name = "COLUMN=TYPE,…")]
    pub types: Vec<String>,
    /// Spellings of a missing value [default: the empty one].
    #[arg(long, value_delimiter = ',', value_name = "TEXTS")]
    pub nulls: Option<Vec<String>>,
}
