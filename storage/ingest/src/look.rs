//! What the columns of a CSV file look like, for someone who has not said yet what they mean: which could be ids, which a label, and how many
//! values of one column another file has too.
//!
//! All rows are read once. Of each column the values with the least hashes are remembered, which are the same values in every file: so two files
//! are compared by a fixed number of values a column, and a column that repeats values is found, whatever the number of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tributary_core::layout::hash_bytes;
use tributary_core::{Error, ErrorKind, Result};
use tributary_csv::block::{self, Block, CHUNK_BYTES, Turns};
use tributary_csv::{Dialect, Kind, Quoting, Records, kind_of};

use crate::csv::{BYTE_ORDER_MARK, CsvFiles, Place};
use crate::input::{self, Input, Inputs, Once};
use crate::options::UploadOptions;
use crate::progress::Meter;

/// Values that are remembered of each column.
const REMEMBERED: usize = 4_096;
/// The most different values that are listed, and the most bytes of each.
const LISTED: (usize, usize) = (32, 64);
/// Bytes and rows from which the delimiter is told.
const TRIED: (u64, usize) = (64 << 10, 20);

/// A CSV file with a header.
#[derive(Debug, Clone)]
pub struct Look {
    /// The file.
    pub file: PathBuf,
    /// What separates its values.
    pub delimiter: u8,
    /// Number of its rows.
    pub rows: u64,
    /// Its columns, in order.
    pub columns: Vec<LookedColumn>,
}

/// One column of a file.
#[derive(Debug, Clone, Default)]
pub struct LookedColumn {
    /// Its name.
    pub name: String,
    /// Rows without a value.
    pub missing: u64,
    /// Whether all values are finite numbers.
    pub is_numeric: bool,
    /// Whether all values are integers.
    pub is_integer: bool,
    /// All different values, if they are few.
    pub values: Option<BTreeSet<String>>,
    sketch: Sketch,
}

impl Look {
    /// The column of `FILE=COLUMN`, if this is the file: by its path or its name.
    pub fn of_file<'a>(&self, given: &'a str) -> Option<&'a str> {
        let (path, name) = (self.file.to_str()?, self.file.file_name()?.to_str()?);
        [path, name].into_iter().find_map(|file| given.strip_prefix(file)?.strip_prefix('='))
    }
}

/// The values of a column with the least hashes, and how often each occurs.
#[derive(Debug, Clone, Default)]
struct Sketch(BTreeMap<u64, u64>);

impl Sketch {
    fn add(&mut self, hash: u64) {
        let Self(known) = self;
        let full = known.len() == REMEMBERED;
        if full && known.last_key_value().is_some_and(|(last, _)| hash > *last) {
            return;
        }
        *known.entry(hash).or_default() += 1;
        if known.len() > REMEMBERED {
            known.pop_last();
        }
    }

    /// The greatest hash up to which all values are known.
    fn reach(&self) -> u64 {
        let full = self.0.len() == REMEMBERED;
        self.0.last_key_value().filter(|_| full).map_or(u64::MAX, |(last, _)| *last)
    }
}

impl LookedColumn {
    fn new(name: &str) -> Self {
        let values = Some(BTreeSet::new());
        Self { name: name.into(), is_numeric: true, is_integer: true, values, ..Self::default() }
    }

    fn see(&mut self, cell: &str) {
        let kind = kind_of(cell);
        if matches!(kind, Kind::Empty | Kind::Blank) {
            self.missing += 1;
            return;
        }
        self.is_numeric &= kind.is_number();
        self.is_integer &= kind.is_integer();
        self.sketch.add(hash_bytes(cell.as_bytes()));
        if let Some(values) = &mut self.values
            && !values.contains(cell)
        {
            values.insert(cell.into());
            if values.len() > LISTED.0 || cell.len() > LISTED.1 {
                self.values = None;
            }
        }
    }

    /// Whether it has values at all.
    pub fn is_empty(&self) -> bool {
        self.sketch.0.is_empty()
    }

    /// Which part of its values differ from each other, about: 1 if none is repeated.
    pub fn distinct_part(&self) -> f64 {
        let rows: u64 = self.sketch.0.values().sum();
        self.sketch.0.len() as f64 / rows.max(1) as f64
    }

    /// Which part of the values of the column that has fewer the other one has too, about.
    pub fn shared_part(&self, other: &Self) -> f64 {
        let reach = self.sketch.reach().min(other.sketch.reach());
        let within = |sketch: &Sketch| sketch.0.range(..=reach).count();
        let shared = self.sketch.0.range(..=reach).filter(|(hash, _)| other.sketch.0.contains_key(hash));
        let fewer = within(&self.sketch).min(within(&other.sketch));
        shared.count() as f64 / fewer.max(1) as f64
    }
}

/// Reads the file of an upload that is being prepared, and sets the delimiter in its options to that of the file.
///
/// Errors: `InvalidInput` with its place for what an upload would refuse as well; `Unsupported` for Parquet, `NotFound`.
pub fn look(options: &mut UploadOptions) -> Result<Look> {
    let [file] = &options.files[..] else {
        return Err(Error::bug("one file is looked at at a time"));
    };
    let file = file.clone();
    let meter = Meter::new(|_| {});
    let Inputs::Csv(inputs, keys) = input::open_all(options, Once::Copied, &meter)? else {
        let text = format!("{} is Parquet, expected CSV; upload it (tributary data upload)", file.display());
        return Err(Error::new(ErrorKind::Unsupported, text));
    };
    if let [input] = &inputs[..] {
        options.delimiter = delimiter(input)?;
    }
    let source = CsvFiles::open(options, inputs, keys)?;
    let columns = source.names().iter().map(|name| LookedColumn::new(name)).collect();
    let mut look = Look { file, delimiter: options.delimiter, rows: 0, columns };
    read(&source, &mut look)?;
    match look.rows {
        0 => Err(Error::invalid(format!("{} has a header, but no rows", source.describe()))),
        _ => Ok(look),
    }
}

fn read(source: &CsvFiles, look: &mut Look) -> Result<()> {
    let chunks = source.chunks(CHUNK_BYTES);
    let turns = Turns::new(source.dialect().quoting());
    let mut records = Records::new(source.dialect());
    let (mut open, mut line) = (None, 1);
    for index in 0..chunks.count() {
        let chunk = chunks.get(index);
        if chunk.is_first {
            line = source.start(chunk.file).1;
            open = Some(source.inputs()[chunk.file].open()?);
            source.append_to(&mut records, chunk.file);
        }
        let Some(file) = &open else { continue };
        if let Some(block) = block::block(&**file, &chunk, index, &turns, records.unload())? {
            records.load(Block { line, ..block });
            rows(source, chunk.file, &mut records, look)?;
            line = records.next_line();
        }
    }
    Ok(())
}

/// The rows of a block.
fn rows(source: &CsvFiles, file: usize, records: &mut Records, look: &mut Look) -> Result<()> {
    while records.advance().map_err(|fault| source.of_fault(file, fault))? {
        let place = Place { file, line: records.line() };
        if records.width() != source.width() {
            let reason = format!("{} values, expected {}", records.width(), source.width());
            return Err(source.fault(place, None, &reason));
        }
        if let Some(column) = records.not_text() {
            return Err(source.fault(place, Some(column), tributary_csv::NOT_TEXT));
        }
        look.rows += 1;
        look.columns.iter_mut().enumerate().for_each(|(i, column)| column.see(records.get(i)));
    }
    Ok(())
}

/// The delimiter with which the first records have most values, all of them as many.
fn delimiter(input: &Input) -> Result<u8> {
    let source = input.open()?;
    let mut first = vec![0; source.bytes().min(TRIED.0) as usize];
    source.read_at(0, &mut first)?;
    if (first.len() as u64) < source.bytes() {
        let end = first.iter().rposition(|byte| *byte == b'\n').map_or(first.len(), |end| end + 1);
        first.truncate(end);
    }
    Ok(likely_delimiter(first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&first)))
}

/// As [`delimiter`], of the first bytes of a file; a comma where none divides them.
fn likely_delimiter(first: &[u8]) -> u8 {
    let width = |delimiter: u8| -> Option<usize> {
        let mut records = Records::new(Dialect::new(delimiter, Quoting::Rfc4180).ok()?);
        records.load(Block { bytes: first.to_vec(), byte: 0, line: 1, whole: true });
        let mut width = None;
        for _ in 0..TRIED.1 {
            match records.advance() {
                Ok(true) if *width.get_or_insert(records.width()) == records.width() => {}
                Ok(true) => return None,
                // A record that the end of the piece cuts.
                Ok(false) | Err(_) => break,
            }
        }
        width.filter(|width| *width > 1)
    };
    let widths = b",;\t|".iter().rev().filter_map(|delimiter| Some((width(*delimiter)?, *delimiter)));
    widths.max_by_key(|(width, _)| *width).map_or(b',', |(_, delimiter)| delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: impl IntoIterator<Item = u64>) -> LookedColumn {
        let mut column = LookedColumn::new("c");
        values.into_iter().for_each(|value| column.see(&value.to_string()));
        column
    }

    #[test]
    fn delimiters_are_told_from_texts_and_decimal_commas() {
        for (text, expected) in [
            ("id,a\n1,2\n", b','),
            ("id;a;b\n1;2,5;3,5\n", b';'),
            ("id\ta\n1\t2\n", b'\t'),
            ("id|a\n1|2\n", b'|'),
            ("id,note\n1,\"a;b;c\nd\"\n2,\"x;y\"\"\"\n", b','),
            ("id;note,with;a\n1;2;3\n", b';'),
            ("id\n1\n", b','),
        ] {
            assert_eq!(likely_delimiter(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn columns_are_compared_by_some_of_their_values() {
        let (few, many) = (column(0..500), column(250..750));
        assert_eq!((few.distinct_part(), few.shared_part(&many)), (1.0, 0.5));
        let (half, all) = (column(0..100_000), column(50_000..150_000));
        assert!((half.shared_part(&all) - 0.5).abs() < 0.05, "{}", half.shared_part(&all));
        assert_eq!(column((0..100_000).map(|i| i / 2)).distinct_part(), 0.5);
        assert_eq!(half.values, None);
        assert_eq!(column([1, 0, 1]).values.map(|values| values.len()), Some(2));
        assert_eq!(column(0..10).shared_part(&column(20..30)), 0.0);
    }

    #[test]
    fn what_values_are_is_seen() {
        let mut column = LookedColumn::new("c");
        ["1", " ", "", "2.5"].iter().for_each(|cell| column.see(cell));
        assert_eq!((column.missing, column.is_numeric, column.is_integer), (2, true, false));
        column.see("x");
        assert!(!column.is_numeric);
    }
}
