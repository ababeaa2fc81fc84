//! Rows of MySQL: as the values of inserts of many rows, and out of the rows of a query.
//!
//! Its numbers have no infinity and no NaN. Such values go to a column of their own, [`REST`](crate::shape::REST), with their places, while
//! their columns have none: so what is written is what is read, and other programs see a missing value where there is no number.

use arrow_array::types::{Decimal128Type, DecimalType, Float64Type, UInt64Type};
use sqlx::mysql::{MySql, MySqlArguments, MySqlRow};
use sqlx::{Arguments, Decode, Row, ValueRef};

use tributary_core::{Error, ErrorKind, Result};

use crate::calendar;
use crate::column::{Builder, Column, Rows, items};
use crate::part::Piece;

/// A missing item of a list, and one that is there; its eight bytes follow.
const MISSING: u8 = 0;
const THERE: u8 = 1;
/// A number in the column of the rest: its place, its bits.
const REST_BYTES: usize = 10;

/// The values of a row, in the order of its table's columns. False with the place of a value that its type does not have.
pub(crate) fn bind(
    to: &mut MySqlArguments,
    columns: &[Column<'_>],
    row: usize,
    (piece, number): (Piece, u64),
    has_rest: bool,
) -> Result<std::result::Result<(), usize>> {
    add(to, piece.partition)?;
    add(to, piece.attempt)?;
    add(to, number)?;
    let mut rest = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        if column.is_null(row) {
            add(to, None::<&[u8]>)?;
        } else if let Some(bits) = beyond(column, row) {
            rest.extend_from_slice(&(place as u16).to_be_bytes());
            rest.extend_from_slice(&bits.to_be_bytes());
            add(to, None::<f64>)?;
        } else if !value(to, column, row)? {
            return Ok(Err(place));
        }
    }
    if has_rest {
        add(to, (!rest.is_empty()).then_some(rest))?;
    }
    Ok(Ok(()))
}

fn add<'t, T: sqlx::Encode<'t, MySql> + sqlx::Type<MySql>>(to: &mut MySqlArguments, value: T) -> Result<()> {
    to.add(value).map_err(|why| Error::bug("a value cannot be given to the database").because(why))
}

/// The bits of a number that the database does not have, or might change.
fn beyond(column: &Column<'_>, row: usize) -> Option<u64> {
    let is_beyond = |value: f64| !value.is_finite() || (value == 0.0 && value.is_sign_negative());
    match column {
        Column::Float32(a) => is_beyond(f64::from(a.value(row))).then(|| u64::from(a.value(row).to_bits())),
        Column::Float64(a) => is_beyond(a.value(row)).then(|| a.value(row).to_bits()),
        _ => None,
    }
}

fn value(to: &mut MySqlArguments, column: &Column<'_>, row: usize) -> Result<bool> {
    match column {
        Column::Boolean(a) => add(to, a.value(row))?,
        Column::Int32(a) => add(to, a.value(row))?,
        Column::Int64(a) => add(to, a.value(row))?,
        Column::UInt8(a) => add(to, a.value(row))?,
        Column::UInt16(a) => add(to, a.value(row))?,
        Column::UInt32(a) => add(to, a.value(row))?,
        Column::UInt64(a) => add(to, a.value(row))?,
        Column::Float32(a) => add(to, a.value(row))?,
        Column::Float64(a) => add(to, a.value(row))?,
        Column::Text(a) => add(to, a.value(row))?,
        Column::Bytes(a) => add(to, a.value(row))?,
        Column::Fixed(a) => add(to, a.value(row))?,
        Column::Date(a) => match calendar::day_text(a.value(row)) {
            Some(text) => add(to, text)?,
            None => return Ok(false),
        },
        Column::Time(a) => match calendar::time_text(a.value(row)) {
            Some(text) => add(to, text)?,
            None => return Ok(false),
        },
        Column::Decimal(a, scale) => add(to, Decimal128Type::format_decimal(a.value(row), 38, *scale as i8))?,
        Column::Floats(a) => add(to, list(&items::<Float64Type>(a, row), |item| item.to_bits()))?,
        Column::Numbers(a) => add(to, list(&items::<UInt64Type>(a, row), |item| *item))?,
    }
    Ok(true)
}

fn list<T>(items: &[Option<T>], bits: impl Fn(&T) -> u64) -> Vec<u8> {
    let item = |item: &Option<T>| {
        let mut bytes = [0; 9];
        bytes[0] = if item.is_some() { THERE } else { MISSING };
        bytes[1..].copy_from_slice(&item.as_ref().map_or(0, &bits).to_le_bytes());
        bytes
    };
    items.iter().flat_map(item).collect()
}

/// The items of a list, as bits; none for bytes that no list has.
pub(crate) fn list_items(bytes: &[u8]) -> Option<Vec<Option<u64>>> {
    let (items, []) = bytes.as_chunks::<9>() else { return None };
    let item = |[flag, bits @ ..]: &[u8; 9]| match *flag {
        MISSING => Some(None),
        THERE => Some(Some(u64::from_le_bytes(*bits))),
        _ => None,
    };
    items.iter().map(item).collect()
}

/// Takes over a row that was read: `places` of its columns among those of the table, then the rest, if the table has it.
pub(crate) fn read(rows: &mut Rows, row: &MySqlRow, places: &[usize], has_rest: bool) -> Result<usize> {
    let rest = match has_rest {
        true => raw(row, places.len())?.unwrap_or_default(),
        false => &[],
    };
    let mut bytes = 0;
    for ((at, place), builder) in places.iter().enumerate().zip(&mut rows.builders) {
        let appended = match raw(row, at)? {
            Some(value) => {
                bytes += value.len();
                append(builder, value)
            }
            None => match find(rest, *place) {
                Some(bits) => append_bits(builder, bits),
                None => {
                    builder.append_null();
                    Some(())
                }
            },
        };
        appended.ok_or_else(|| broken("a value is none of its column's type"))?;
    }
    Ok(bytes)
}

fn raw(row: &MySqlRow, at: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(at).map_err(|why| broken("a row ends early").because(why))?;
    if value.is_null() {
        return Ok(None);
    }
    <&[u8] as Decode<MySql>>::decode(value)
        .map(Some)
        .map_err(|why| broken("a value cannot be read").because(why))
}

fn find(rest: &[u8], place: usize) -> Option<u64> {
    let (entries, _) = rest.as_chunks::<REST_BYTES>();
    let found = entries.iter().find(|entry| usize::from(u16::from_be_bytes([entry[0], entry[1]])) == place);
    found.map(|[_, _, bits @ ..]| u64::from_be_bytes(*bits))
}

fn append_bits(builder: &mut Builder, bits: u64) -> Option<()> {
    match builder {
        Builder::Float32(b) => b.append_value(f32::from_bits(bits.try_into().ok()?)),
        Builder::Float64(b) => b.append_value(f64::from_bits(bits)),
        _ => return None,
    }
    Some(())
}

/// None if it is none of the column's type.
fn append(builder: &mut Builder, value: &[u8]) -> Option<()> {
    match builder {
        Builder::Boolean(b) => b.append_value(signed(value)? != 0),
        Builder::Int32(b) => b.append_value(signed(value)?.try_into().ok()?),
        Builder::Int64(b) => b.append_value(signed(value)?),
        Builder::UInt8(b) => b.append_value(unsigned(value)?.try_into().ok()?),
        Builder::UInt16(b) => b.append_value(unsigned(value)?.try_into().ok()?),
        Builder::UInt32(b) => b.append_value(unsigned(value)?.try_into().ok()?),
        Builder::UInt64(b) => b.append_value(unsigned(value)?),
        Builder::Float32(b) => b.append_value(f32::from_le_bytes(value.try_into().ok()?)),
        Builder::Float64(b) => b.append_value(f64::from_le_bytes(value.try_into().ok()?)),
        Builder::Text(b) => b.append_value(std::str::from_utf8(value).ok()?),
        Builder::Bytes(b) => b.append_value(value),
        Builder::Fixed(b) => b.append_value(value).ok()?,
        Builder::Date(b) => b.append_value(calendar::day(value)?),
        Builder::Time(b) => b.append_value(calendar::time(value)?),
        Builder::Decimal(b, scale) => b.append_value(decimal(value, *scale)?),
        Builder::Floats(b) => {
            let items = list_items(value)?;
            b.append_value(items.into_iter().map(|item| item.map(f64::from_bits)));
        }
        Builder::Numbers(b) => b.append_value(list_items(value)?),
    }
    Some(())
}

fn unsigned(value: &[u8]) -> Option<u64> {
    Some(match *value {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::from_le_bytes(value.try_into().ok()?),
    })
}

fn signed(value: &[u8]) -> Option<i64> {
    Some(match *value {
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        _ => i64::from_le_bytes(value.try_into().ok()?),
    })
}

/// `-12.30` with two decimals.
fn decimal(text: &[u8], scale: u8) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let missing = usize::from(scale).checked_sub(part.len())?;
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    digits.checked_mul(10i128.checked_pow(missing as u32)?)
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("what the server sends is no row of this table: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_read_as_written() {
        for (text, scale, expected) in [
            ("-12.30", 2, Some(-1230)),
            ("7", 3, Some(7000)),
            ("-0.05", 2, Some(-5)),
            ("1.234", 2, None),
            ("x", 0, None),
        ] {
            assert_eq!(decimal(text.as_bytes(), scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn lists_come_back_and_any_bytes_are_one_or_none(
            items in prop::collection::vec(any::<Option<u64>>(), 0..9), bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            prop_assert_eq!(list_items(&list(&items, |item| *item)), Some(items));
            let _ = list_items(&bytes);
        }
    }
}
