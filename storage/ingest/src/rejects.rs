//! Bad rows: the faults that a single row can have, and how they are handled.
//!
//! A fault belongs to one row if the other rows stay valid: its width, its bytes, a missing id, label or weight, a value
//! that is not of the given type, a repeated id. Where quotes break their rules the ends of rows are unknown, and an
//! *inferred* type depends on all rows; such faults belong to the file, and end the upload.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tributary_core::{Error, Result, ResultExt};
use tributary_csv::{Kind, NOT_TEXT, ValueType};

use crate::content::{Origin, types_option};
use crate::csv::Place;
use crate::options::UploadOptions;

/// A bad row.
#[derive(Debug, Clone)]
pub(crate) struct Reject {
    pub place: Place,
    /// Its bytes in the file, if rows are text.
    pub bytes: Range<u64>,
    pub column: Option<usize>,
    pub reason: Reason,
}

/// The source of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// The options, which may set another one.
    Options,
    /// The table that rows are added to.
    Table,
}

/// The fault of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    Width {
        got: usize,
        expected: usize,
        /// A possible cause.
        help: &'static str,
    },
    NotText,
    Missing(&'static str),
    Misfit(Kind, ValueType, SaidBy),
    NegativeWeight,
    InfiniteWeight,
    /// The id occurs in an earlier row of the files.
    Repeated,
    /// The id occurs in the table that rows are added to.
    Stored,
    /// A value of a Parquet file that the table cannot hold.
    Unfit(String),
}

impl Reason {
    fn describe(&self) -> String {
        match self {
            Self::Width { got, expected, .. } => {
                let more = if *got > tributary_core::TableSchema::MAX_FIELDS { "at least " } else { "" };
                format!("{more}{got} values, expected {expected}")
            }
            Self::NotText => NOT_TEXT.into(),
            Self::Missing(what) => format!("the {what} is missing"),
            Self::Misfit(kind, expected, _) => {
                format!("{}, expected {}", kind.described(), expected.form())
            }
            Self::NegativeWeight => "the weight is negative".into(),
            Self::InfiniteWeight => "the weight is infinite".into(),
            Self::Repeated => "the sample id already occurs in an earlier row".into(),
            Self::Stored => "the table has the sample id already".into(),
            Self::Unfit(reason) => reason.clone(),
        }
    }

    /// The remedy, if the description does not name it; `column` is the name of the column with the fault.
    fn help(&self, column: &str) -> String {
        match self {
            Self::Width { help, .. } => (*help).into(),
            Self::NotText => ", or convert it: iconv -f latin1 -t utf-8 FILE".into(),
            Self::Misfit(kind, expected, said_by) => help(*kind, *expected, *said_by, column),
            _ => String::new(),
        }
    }
}

/// The remedy for a cell that is not of the wanted type, or the type that it has.
fn help(kind: Kind, expected: ValueType, said_by: SaidBy, column: &str) -> String {
    let is_integer = matches!(expected, ValueType::Int32 | ValueType::Int64);
    let is_number =
        is_integer || matches!(expected, ValueType::Float32 | ValueType::Float64 | ValueType::Decimal(_));
    let option = |value_type| types_option(column, value_type);
    match kind {
        Kind::Comma if is_number => "; write a decimal point, and no thousands separator".into(),
        Kind::Text => "; if it means a missing value, name it (--nulls, na_values)".into(),
        _ if said_by == SaidBy::Table => String::new(),
        Kind::Decimal | Kind::LongDecimal | Kind::Exponent | Kind::Infinite if is_integer => {
            format!("; for such numbers: {}", option("float64"))
        }
        Kind::Integer | Kind::WideInteger if expected == ValueType::Int32 => {
            format!("; for larger ones: {}", option("int64"))
        }
        Kind::FineTime => {
            format!("; a time keeps microseconds: round it, or keep the text: {}", option("text"))
        }
        _ => String::new(),
    }
}

impl Reject {
    /// The error that it gives if no row may be bad.
    pub fn error(&self, origin: &dyn Origin) -> Error {
        let column = self.column.map_or("", |position| origin.column(position));
        let reason = format!("{}{}", self.reason.describe(), self.reason.help(column));
        origin.fault(self.place, self.column, &reason)
    }
}

/// Counts bad rows, and writes them to a file if there is one.
#[derive(Debug)]
pub(crate) struct Rejects {
    most: u64,
    count: u64,
    first: Option<Reject>,
    list: Option<List>,
}

#[derive(Debug)]
struct List {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Rejects {
    /// Errors: those of the disk; `InvalidInput` if the file is one of the uploaded files.
    pub fn open(options: &UploadOptions, origin: &dyn Origin) -> Result<Self> {
        let list = options.reject_to.as_ref().map(|path| List::create(path, origin)).transpose()?;
        Ok(Self { most: options.max_rejects, count: 0, first: None, list })
    }

    /// The number of bad rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are more than allowed.
    pub fn too_many(&self) -> bool {
        self.count > self.most
    }

    /// Whether the upload continues after a bad row.
    pub fn go_on(&self) -> bool {
        self.list.is_some() || self.most > 0
    }

    /// How many more bad rows are of interest.
    pub fn wanted(&self) -> u64 {
        if self.list.is_some() { u64::MAX } else { self.most.saturating_sub(self.count).saturating_add(1) }
    }

    /// Adds a bad row. An error if no more are allowed and no list of all was requested.
    pub fn add(&mut self, origin: &dyn Origin, reject: &Reject) -> Result<()> {
        self.count += 1;
        self.first.get_or_insert_with(|| reject.clone());
        match &mut self.list {
            Some(list) => list.add(origin, reject),
            None if self.count > self.most && self.most == 0 => Err(reject.error(origin)),
            None if self.count > self.most => {
                let most = self.most;
                Err(reject.error(origin).at(format!("more than {most} rows are bad (--max-rejects {most})")))
            }
            None => Ok(()),
        }
    }

    /// Call after the last bad row. An error if there are more than allowed.
    pub fn finish(&mut self, origin: &dyn Origin) -> Result<()> {
        let Some(list) = &mut self.list else { return Ok(()) };
        list.out.flush().at(|| list.at())?;
        match &self.first {
            Some(first) if self.count > self.most => {
                let (rows, path) = (self.count, list.path.display());
                let rows = if rows == 1 { "1 row is".into() } else { format!("{rows} rows are") };
                let most = self.most;
                Err(first.error(origin).at(format!(
                    "{rows} bad, listed in {path}, and nothing is stored (--max-rejects {most}); the first"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl List {
    fn create(path: &Path, origin: &dyn Origin) -> Result<Self> {
        let shown = path.display();
        let id = |about: fs::Metadata| (about.dev(), about.ino());
        if let Ok(there) = fs::metadata(path).map(id) {
            let same = |file: &&str| fs::metadata(file).map(id).ok() == Some(there);
            if let Some(file) = origin.files().into_iter().find(same) {
                let text = format!(
                    "the list of bad rows would overwrite {file}, which is uploaded; choose another file"
                );
                return Err(Error::invalid(text));
            }
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        let out = BufWriter::new(file.at(|| format!("write bad rows to {shown}"))?);
        let mut list = Self { path: path.into(), out };
        list.out.write_all(b"file,line,column,reason,row\n").at(|| list.at())?;
        Ok(list)
    }

    fn at(&self) -> String {
        format!("write bad rows to {}", self.path.display())
    }

    fn add(&mut self, origin: &dyn Origin, reject: &Reject) -> Result<()> {
        let mut row = origin.text(reject.place, reject.bytes.clone())?;
        for end in [b'\n', b'\r'] {
            row.pop_if(|last| *last == end);
        }
        let file = origin.files()[reject.place.file];
        let column = reject.column.map_or("", |position| origin.column(position));
        let reason = reject.reason.describe();
        let written = write_record(
            &mut self.out,
            &[
                file.as_bytes(),
                reject.place.line.to_string().as_bytes(),
                column.as_bytes(),
                reason.as_bytes(),
                &row,
            ],
        );
        written.at(|| self.at())
    }
}

/// A record of RFC 4180; the bytes of a value are kept.
fn write_record(out: &mut impl Write, values: &[&[u8]]) -> std::io::Result<()> {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        if memchr::memchr3(b'"', b',', b'\n', value).is_none() && !value.contains(&b'\r') {
            out.write_all(value)?;
            continue;
        }
        out.write_all(b"\"")?;
        for (i, piece) in value.split(|byte| *byte == b'"').enumerate() {
            out.write_all(if i > 0 { b"\"\"" } else { b"" })?;
            out.write_all(piece)?;
        }
        out.write_all(b"\"")?;
    }
    out.write_all(b"\n")
}
