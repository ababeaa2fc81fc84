//! How files are written, and what their columns mean: the same options for an upload and a bind.

use clap::Args;

/// How to read files.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Character between the values of a row; `\t` for tab [default: ,].
    #[arg(long)]
    pub delimiter: Option<String>,
    /// The file has no header; columns are x0, x1, … or those named.
    #[arg(long, num_args = 0.., value_delimiter = ',', value_name = "NAMES")]
    pub no_header: Option<Vec<String>>,
    /// Treat `"` as an ordinary character.
    #[arg(long)]
    pub no_quotes: bool,
    /// Column with a row's id [default: the first].
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Generate ids, because the file has none.
    #[arg(long, conflicts_with = "id")]
    pub extend_sid: bool,
    /// Column on which parties match, if it is not the id.
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
    /// Types of columns; all others are inferred: `age=int64,price=decimal(10,2)`. Ids are text.
    #[arg(long, value_name = "COLUMN=TYPE,…")]
    pub types: Vec<String>,
    /// Texts that mean a missing value [default: the empty text]. In columns of numbers, times and truth values an empty cell always means one; in columns of numbers so does NaN.
    #[arg(long, value_delimiter = ',', value_name = "TEXTS")]
    pub nulls: Option<Vec<String>>,
    /// Most bytes that all compressed files together may decompress to, such as 4GiB [default: 200 times their size, but at least 1GiB].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_unpacked: Option<u64>,
}

/// `512MiB`, `4GiB`, or a plain number.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => Some(1_u64),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes = text[..digits].parse().ok().zip(unit).and_then(|(n, unit): (u64, u64)| n.checked_mul(unit));
    bytes.ok_or_else(|| "expected bytes such as 512MiB or 4GiB".to_owned())
}
