//! PostgreSQL's binary `COPY`: rows to bytes, and bytes to rows. Source: "File Formats / Binary Format" on its page about `COPY`.
//!
//! The same bytes, with the number of a part's try in them, are what its digest is of, in MySQL too: a digest of rows, which any reader can
//! make again, not of what a server keeps on its disk.

use arrow_array::RecordBatch;
use arrow_array::types::{Float64Type, UInt64Type};

use tributary_core::{Error, ErrorKind, Result, Shown, TableSchema};

use crate::column::{Builder, Column, Rows, columns, items};
use crate::numeric;
use crate::part::Piece;

/// What a copy begins with: signature, no flags, no extension.
pub(crate) const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with: a row of -1 columns.
pub(crate) const END: &[u8] = &[0xff, 0xff];
/// Days, and microseconds, from 1970 to 2000, where PostgreSQL counts from.
const DAYS: i32 = 10_957;
const MICROS: i64 = 946_684_800_000_000;
/// The first day of its calendar, and the first microsecond that has none, counted from 2000.
const FIRST_DAY: i32 = -2_451_545;
const FIRST_MICRO: i64 = -211_813_488_000_000_000;
const END_MICRO: i64 = 9_223_371_331_200_000_000;
/// Its numbers for the types of items.
const FLOAT8: u32 = 701;
const NUMERIC: u32 = 1700;
/// Longest field, and most columns, that are believed.
const MOST_FIELD: usize = 1 << 30;

/// Appends rows, numbered from `first`.
pub(crate) fn write(
    batch: &RecordBatch,
    piece: Piece,
    first: u64,
    schema: &TableSchema,
    to: &mut Vec<u8>,
) -> Result<()> {
    let columns = columns(batch)?;
    let count = columns.len() as u16 + 3;
    for row in 0..batch.num_rows() {
        to.extend_from_slice(&count.to_be_bytes());
        field(to, &piece.partition.to_be_bytes());
        field(to, &piece.attempt.to_be_bytes());
        field(to, &(first + row as u64).to_be_bytes());
        for (place, column) in columns.iter().enumerate() {
            if column.is_null(row) {
                to.extend_from_slice(&(-1i32).to_be_bytes());
            } else if !value(column, row, to) {
                return Err(cannot_hold(schema, place, first + row as u64, "PostgreSQL"));
            }
        }
    }
    Ok(())
}

/// `InvalidInput`: a value that the type of its column in the database does not have.
pub(crate) fn cannot_hold(schema: &TableSchema, place: usize, row: u64, product: &str) -> Error {
    let name = schema.arrow().fields().get(place).map(|field| field.name().as_str()).unwrap_or_default();
    Error::invalid(format!(
        "column {:?}, row {row} of its partition: {product} cannot hold the value (a text with a zero character, a date or time beyond its \
         calendar); change it, or use another store",
        Shown::new(name)
    ))
}

fn field(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// A field whose length is known when it has been written.
fn measured(to: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = to.len();
    to.extend_from_slice(&[0; 4]);
    fill(to);
    let length = (to.len() - at - 4) as u32;
    if let Some(place) = to.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// False if the type has no such value.
fn value(column: &Column<'_>, row: usize, to: &mut Vec<u8>) -> bool {
    match column {
        Column::Boolean(a) => field(to, &[u8::from(a.value(row))]),
        Column::Int32(a) => field(to, &a.value(row).to_be_bytes()),
        Column::Int64(a) => field(to, &a.value(row).to_be_bytes()),
        Column::UInt8(a) => field(to, &i16::from(a.value(row)).to_be_bytes()),
        Column::UInt16(a) => field(to, &i32::from(a.value(row)).to_be_bytes()),
        Column::UInt32(a) => field(to, &i64::from(a.value(row)).to_be_bytes()),
        Column::UInt64(a) => measured(to, |to| numeric::write(i128::from(a.value(row)), 0, to)),
        Column::Float32(a) => field(to, &a.value(row).to_be_bytes()),
        Column::Float64(a) => field(to, &a.value(row).to_be_bytes()),
        Column::Text(a) if memchr::memchr(0, a.value(row).as_bytes()).is_some() => return false,
        Column::Text(a) => field(to, a.value(row).as_bytes()),
        Column::Bytes(a) => field(to, a.value(row)),
        Column::Fixed(a) => field(to, a.value(row)),
        Column::Date(a) => match a.value(row).checked_sub(DAYS).filter(|day| *day >= FIRST_DAY) {
            Some(day) => field(to, &day.to_be_bytes()),
            None => return false,
        },
        Column::Time(a) => {
            let micro = a.value(row).checked_sub(MICROS);
            match micro.filter(|micro| (FIRST_MICRO..END_MICRO).contains(micro)) {
                Some(micro) => field(to, &micro.to_be_bytes()),
                None => return false,
            }
        }
        Column::Decimal(a, scale) => measured(to, |to| numeric::write(a.value(row), *scale, to)),
        Column::Floats(a) => measured(to, |to| {
            list(&items::<Float64Type>(a, row), FLOAT8, to, |item, to| field(to, &item.to_be_bytes()));
        }),
        Column::Numbers(a) => measured(to, |to| {
            let number =
                |item: &u64, to: &mut Vec<u8>| measured(to, |to| numeric::write(i128::from(*item), 0, to));
            list(&items::<UInt64Type>(a, row), NUMERIC, to, number);
        }),
    }
    true
}

/// An array of one dimension, or of none if it is empty.
fn list<T>(items: &[Option<T>], kind: u32, to: &mut Vec<u8>, item: impl Fn(&T, &mut Vec<u8>)) {
    let has_nulls = items.iter().any(Option::is_none);
    for word in [u32::from(!items.is_empty()), u32::from(has_nulls), kind] {
        to.extend_from_slice(&word.to_be_bytes());
    }
    if !items.is_empty() {
        to.extend_from_slice(&(items.len() as u32).to_be_bytes());
        to.extend_from_slice(&1u32.to_be_bytes());
    }
    for each in items {
        match each {
            Some(each) => item(each, to),
            None => to.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
}

/// Reads what a server copies out, in pieces of any length.
pub(crate) struct Reader {
    rows: Rows,
    left: Vec<u8>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Head,
    Rows,
    Ended,
}

impl Reader {
    pub(crate) fn new(schema: &TableSchema) -> Result<Self> {
        Ok(Self { rows: Rows::of(schema)?, left: Vec::new(), state: State::Head })
    }

    /// The batches that are whole after these bytes. `Corrupt` for what no server sends.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        let mut kept = std::mem::take(&mut self.left);
        let mut whole = Vec::new();
        let all = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            kept.as_slice()
        };
        let mut at = 0;
        while let Some(next) = self.step(all.get(at..).unwrap_or_default(), &mut whole)? {
            at += next;
        }
        self.left = all.get(at..).unwrap_or_default().to_vec();
        Ok(whole)
    }

    /// The last rows. `Corrupt` if the server said not that they are.
    pub(crate) fn end(&mut self) -> Result<Option<RecordBatch>> {
        match self.state == State::Ended && self.left.is_empty() {
            true => self.rows.take(),
            false => Err(broken("it ends in the middle")),
        }
    }

    /// How many bytes the next thing took; none if it is not whole yet.
    fn step(&mut self, bytes: &[u8], whole: &mut Vec<RecordBatch>) -> Result<Option<usize>> {
        match self.state {
            State::Head => self.head(bytes),
            State::Ended if bytes.is_empty() => Ok(None),
            State::Ended => Err(broken("something follows its end")),
            State::Rows => {
                let Some(count) = word(bytes, 0) else { return Ok(None) };
                if count == u16::MAX {
                    self.state = State::Ended;
                    return Ok(Some(2));
                }
                if usize::from(count) != self.rows.builders.len() {
                    return Err(broken("a row has another number of columns"));
                }
                let Some(length) = row_length(bytes, count)? else { return Ok(None) };
                fill(&mut self.rows.builders, bytes.get(2..length).unwrap_or_default())?;
                whole.extend(self.rows.row(length)?);
                Ok(Some(length))
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let begin = HEAD.len().min(bytes.len());
        if bytes.get(..begin) != HEAD.get(..begin) {
            return Err(broken("it begins with something else"));
        }
        if begin < HEAD.len() {
            return Ok(None);
        }
        self.state = State::Rows;
        Ok(Some(begin))
    }
}

/// Length of a row with its number of columns, if it is whole.
fn row_length(bytes: &[u8], count: u16) -> Result<Option<usize>> {
    let mut at = 2;
    for _ in 0..count {
        let Some(length) = double(bytes, at) else { return Ok(None) };
        at += 4 + field_length(length)?.unwrap_or_default();
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// None for a missing value.
fn field_length(length: u32) -> Result<Option<usize>> {
    match length {
        u32::MAX => Ok(None),
        length if length as usize > MOST_FIELD => Err(broken("a value is too long")),
        length => Ok(Some(length as usize)),
    }
}

fn fill(builders: &mut [Builder], mut row: &[u8]) -> Result<()> {
    for builder in builders {
        let (length, rest) = row.split_at_checked(4).ok_or_else(|| broken("a row ends early"))?;
        match field_length(double(length, 0).unwrap_or_default())? {
            None => {
                builder.append_null();
                row = rest;
            }
            Some(length) => {
                let (value, rest) =
                    rest.split_at_checked(length).ok_or_else(|| broken("a row ends early"))?;
                append(builder, value).ok_or_else(|| broken("a value is none of its column's type"))?;
                row = rest;
            }
        }
    }
    Ok(())
}

/// None if it is none of the column's type.
fn append(builder: &mut Builder, value: &[u8]) -> Option<()> {
    match builder {
        Builder::Boolean(b) => b.append_value(match value {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        Builder::Int32(b) => b.append_value(i32::from_be_bytes(value.try_into().ok()?)),
        Builder::Int64(b) => b.append_value(i64::from_be_bytes(value.try_into().ok()?)),
        Builder::UInt8(b) => b.append_value(i16::from_be_bytes(value.try_into().ok()?).try_into().ok()?),
        Builder::UInt16(b) => b.append_value(i32::from_be_bytes(value.try_into().ok()?).try_into().ok()?),
        Builder::UInt32(b) => b.append_value(i64::from_be_bytes(value.try_into().ok()?).try_into().ok()?),
        Builder::UInt64(b) => b.append_value(numeric::read(value, 0)?.try_into().ok()?),
        Builder::Float32(b) => b.append_value(f32::from_be_bytes(value.try_into().ok()?)),
        Builder::Float64(b) => b.append_value(f64::from_be_bytes(value.try_into().ok()?)),
        Builder::Text(b) => b.append_value(std::str::from_utf8(value).ok()?),
        Builder::Bytes(b) => b.append_value(value),
        Builder::Fixed(b) => b.append_value(value).ok()?,
        Builder::Date(b) => b.append_value(i32::from_be_bytes(value.try_into().ok()?).checked_add(DAYS)?),
        Builder::Time(b) => {
            let micro = i64::from_be_bytes(value.try_into().ok()?);
            let is_time = (FIRST_MICRO..END_MICRO).contains(&micro);
            b.append_value(micro.checked_add(MICROS).filter(|_| is_time)?);
        }
        Builder::Decimal(b, scale) => b.append_value(numeric::read(value, *scale)?),
        Builder::Floats(b) => {
            let items = list_items(value, FLOAT8, |item| Some(f64::from_be_bytes(item.try_into().ok()?)))?;
            b.append_value(items);
        }
        Builder::Numbers(b) => {
            b.append_value(list_items(value, NUMERIC, |item| numeric::read(item, 0)?.try_into().ok())?);
        }
    }
    Some(())
}

fn list_items<T>(value: &[u8], kind: u32, read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<Option<T>>> {
    let (dimensions, found) = (double(value, 0)?, double(value, 8)?);
    let (count, mut rest) = match dimensions {
        0 => (0, value.get(12..)?),
        1 => (double(value, 12)? as usize, value.get(20..)?),
        _ => return None,
    };
    // Each item has at least its length.
    if found != kind || count > rest.len() / 4 {
        return None;
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let length = field_length(double(rest, 0)?).ok()?;
        let (item, after) = rest.get(4..)?.split_at_checked(length.unwrap_or_default())?;
        items.push(match length {
            Some(_) => Some(read(item)?),
            None => None,
        });
        rest = after;
    }
    rest.is_empty().then_some(items)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn double(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("what the server copies out is no copy of this table: {what}"))
}

/// The number of rows in what a server copies out. `Corrupt` for anything else.
pub fn read_copied(schema: &TableSchema, bytes: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(schema)?;
    let batches = reader.read(bytes)?;
    let last = reader.end()?;
    Ok(batches.iter().chain(&last).map(RecordBatch::num_rows).sum())
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
    use proptest::prelude::*;
    use tributary_core::{Field, KeyType};

    use super::*;

    /// Three rows of these columns, as PostgreSQL 15 copies them out.
    const GOLDEN: &[u8] = include_bytes!("../tests/golden/copy-v1.bin");

    fn schema() -> TableSchema {
        let list = |of| DataType::List(ArrowField::new_list_field(of, true).into());
        let types = [
            DataType::Boolean,
            DataType::UInt64,
            DataType::Utf8,
            DataType::FixedSizeBinary(2),
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Decimal128(12, 2),
            list(DataType::Float64),
            list(DataType::UInt64),
        ];
        let fields =
            types.into_iter().enumerate().map(|(i, kind)| Field::new(format!("c{i}"), kind).nullable());
        TableSchema::keyed("id", KeyType::Utf8, fields.collect()).unwrap()
    }

    fn read(pieces: impl Iterator<Item = usize>) -> RecordBatch {
        let (mut reader, mut left) = (Reader::new(&schema()).unwrap(), GOLDEN);
        for length in pieces {
            let (piece, rest) = left.split_at(length.min(left.len()));
            assert!(reader.read(piece).unwrap().is_empty());
            left = rest;
        }
        assert!(reader.read(left).unwrap().is_empty());
        reader.end().unwrap().unwrap()
    }

    #[test]
    fn what_a_server_copies_out_is_read_in_pieces_of_any_length() {
        let whole = read(std::iter::empty());
        assert_eq!(whole.num_rows(), 3);
        for length in 1..40 {
            assert_eq!(read(std::iter::repeat_n(length, GOLDEN.len() / length)), whole, "{length}");
        }
    }

    /// The server writes the same bytes, after our three columns.
    #[test]
    fn rows_are_written_as_a_server_writes_them() {
        let mut written = Vec::new();
        let piece = Piece { partition: 1, attempt: 2 };
        write(&read(std::iter::empty()), piece, 0, &schema(), &mut written).unwrap();
        let ours = |row: u64| {
            let mut bytes = 13u16.to_be_bytes().to_vec();
            field(&mut bytes, &1u32.to_be_bytes());
            field(&mut bytes, &2u32.to_be_bytes());
            field(&mut bytes, &row.to_be_bytes());
            bytes
        };
        let mut expected = Vec::new();
        let mut left = &GOLDEN[HEAD.len()..GOLDEN.len() - END.len()];
        for row in 0..3 {
            let length = row_length(left, 10).unwrap().unwrap();
            expected.extend(ours(row));
            expected.extend_from_slice(&left[2..length]);
            left = &left[length..];
        }
        assert_eq!(written, expected);
    }

    proptest! {
        #[test]
        fn damaged_copies_never_panic(at in 0..GOLDEN.len(), with in any::<u8>(), end in 0..GOLDEN.len()) {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] = with;
            drop(read_copied(&schema(), &bytes));
            drop(read_copied(&schema(), &bytes[..end]));
        }
    }
}
