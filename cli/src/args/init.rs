//! The arguments of `init`.

use std::path::PathBuf;

use clap::Args;

pub(crate) const ABOUT: &str = "\
Make a first job of CSV files: one file of each party, with ids that some of them share.

Finds out what separates the values, which column of each file has the ids, and which column is to be predicted; says what it takes and why; stores \
each file as a table of a party in this home; and writes a job that finds the common rows, trains a model on the columns of all parties, and \
measures it on rows that it did not see. The party that has the label is the guest, 9999; the others are hosts, 10000, 10001, …

Where a choice is not sure, it asks on the terminal; without a terminal it takes the ids that fit best, and fails if it cannot tell the label. Rows \
whose id is repeated (all but the first), and rows without an id or label, are left out. Columns of text are categories if they have few different \
values, and left out otherwise.

This tries a job out, with all parties on one machine. Between sites each uploads its own file: docs/two-organisations.md.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  tributary init bank.csv shop.csv
  tributary init bank.csv shop.csv --label default --id customer
  tributary init bank.csv shop.csv --id bank.csv=customer --id shop.csv=client --label bank.csv=default --output first.yaml";

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Two or more CSV files, each with a header.
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Column with the ids, in all files that have it or in one; repeat it for several files.
    #[arg(long, value_name = "COLUMN | FILE=COLUMN")]
    pub id: Vec<String>,
    /// Column to be predicted: 0 and 1, several classes 0, 1, 2 …, or a number.
    #[arg(long, value_name = "COLUMN | FILE=COLUMN")]
    pub label: Option<String>,
    /// Predict nothing: find the common rows, and what each party's columns look like in them.
    #[arg(long, conflicts_with = "label")]
    pub no_label: bool,
    /// Ids of the parties, one for each file [default: 9999 with the label, 10000, 10001, … the others].
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub parties: Vec<String>,
    /// Namespace of the tables; they are named after the files.
    #[arg(long, default_value = "first")]
    pub namespace: String,
    /// The job file to write.
    #[arg(long, short, default_value = "job.yaml", value_name = "FILE")]
    pub output: PathBuf,
    /// Replace the job file, and tables that are there.
    #[arg(long)]
    pub overwrite: bool,
}
