//! The first pass: what is in the files, row by row, and which type each column therefore has.
//!
//! It keeps one small state a column, a mark every so many rows, and, while ids are compared, 16 bytes a row.

use std::sync::Arc;

use tributary_core::layout::hash_bytes;
use tributary_core::{Purpose, Result};

use crate::columns::{Column, Columns, KeySource, TypedColumn};
use crate::csv::source::{Mark, Place, Rows, Source};
use crate::progress::{Meter, Stage};
use crate::value::{Kind, ValueType, float64, kind_of};

/// Most marks kept; when there are more, every second goes.
const MAX_MARKS: usize = 4096;
/// Rows between two looks at the meter.
const STRIDE: u64 = 4096;

/// What the first pass found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub rows: u64,
    /// Places to begin at, in order; the first is row 0.
    pub marks: Vec<Mark>,
    /// Hash of each sample id and its row; nothing if ids are made.
    pub ids: Vec<(u64, u64)>,
    pub columns: Vec<SeenColumn>,
}

/// What was seen of one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenColumn {
    /// Missing values.
    pub nulls: u64,
    /// Where each kind was first seen, by [`Kind`].
    first: [Option<Place>; Kind::ALL.len()],
}

/// Reads everything once. `InvalidInput`, with its place, for whatever no type could mend: a row of another width, a
/// missing id, label or weight.
pub(crate) fn survey(source: &Arc<Source>, columns: &Columns, meter: &Meter) -> Result<Survey> {
    meter.begin(Stage::Check, source.bytes());
    let mut rows = source.rows(None)?;
    let mut found = Survey {
        rows: 0,
        marks: Vec::new(),
        ids: Vec::new(),
        columns: vec![SeenColumn::default(); columns.values.len()],
    };
    let (mut reported, mut mark_every) = (0, STRIDE);
    while rows.advance()? {
        if found.rows.is_multiple_of(mark_every) {
            found.marks.push(rows.mark());
            mark_every = thin(&mut found.marks, mark_every);
        }
        see_id(&rows, columns, &mut found.ids)?;
        for (column, seen) in columns.values.iter().zip(&mut found.columns) {
            seen.see(column, &rows)?;
        }
        found.rows += 1;
        if found.rows.is_multiple_of(STRIDE) {
            let done = rows.bytes();
            meter.add(STRIDE, done - reported)?;
            reported = done;
        }
    }
    meter.add(found.rows % STRIDE, source.bytes() - reported)?;
    Ok(found)
}

/// Bounds the marks. The distance between those that remain.
fn thin(marks: &mut Vec<Mark>, every: u64) -> u64 {
    if marks.len() < MAX_MARKS {
        return every;
    }
    marks.retain(|mark| mark.row.is_multiple_of(2 * every));
    2 * every
}

fn see_id(rows: &Rows, columns: &Columns, ids: &mut Vec<(u64, u64)>) -> Result<()> {
    let KeySource::Column(position) = columns.key else { return Ok(()) };
    let id = rows.get(position);
    if id.is_empty() || is_null(id, &columns.key_nulls) {
        return Err(rows.fault(Some(position), "the sample id is missing"));
    }
    ids.push((hash_bytes(id.as_bytes()), rows.number()));
    Ok(())
}

/// Whether a cell stands for a missing value.
#[inline]
pub(crate) fn is_null(cell: &str, spellings: &[String]) -> bool {
    spellings.iter().any(|spelling| spelling == cell)
}

impl SeenColumn {
    #[inline]
    fn see(&mut self, column: &Column, rows: &Rows) -> Result<()> {
        let cell = rows.get(column.position);
        if is_null(cell, &column.nulls) {
            self.nulls += 1;
            return self.check_missing(column, rows);
        }
        if column.given.is_none() {
            let first = &mut self.first[kind_of(cell) as usize];
            if first.is_none() {
                *first = Some(rows.place());
            }
        } else if column.purpose == Purpose::Weight && float64(cell).is_some_and(|weight| weight < 0.0) {
            return Err(rows.fault(Some(column.position), "the weight is negative"));
        }
        Ok(())
    }

    fn check_missing(&self, column: &Column, rows: &Rows) -> Result<()> {
        let what = match column.purpose {
            Purpose::MatchId => "match id",
            Purpose::Label => "label",
            Purpose::Weight => "weight",
            _ => return Ok(()),
        };
        Err(rows.fault(Some(column.position), &format!("the {what} is missing")))
    }

    /// The type of the column, and what to tell the user about the choice.
    pub fn decide(&self, column: &Column, source: &Source) -> Result<(TypedColumn, Option<String>)> {
        let (value_type, note) = match column.given {
            Some(given) => (given, None),
            None => self.infer(column, source)?,
        };
        let nullable = column.may_be_missing() && self.nulls > 0;
        Ok((TypedColumn { column: column.clone(), value_type, nullable }, note))
    }

    fn infer(&self, column: &Column, source: &Source) -> Result<(ValueType, Option<String>)> {
        let first = |kind: Kind| self.first[kind as usize];
        let only =
            |kinds: &[Kind]| Kind::ALL.iter().all(|kind| kinds.contains(kind) || first(*kind).is_none());
        let numbers = [Kind::Integer, Kind::LongInteger, Kind::Decimal, Kind::NotFinite];
        if only(&[]) {
            return Ok((ValueType::Float64, Some("no values".into())));
        }
        if only(&numbers) {
            if let Some(place) = first(Kind::NotFinite) {
                let reason = "a number that is not finite; give its spelling as one of a missing value, or the \
                              column the type text";
                return Err(source.fault(place, Some(column.position), reason));
            }
            return match (first(Kind::Decimal), first(Kind::LongInteger)) {
                (Some(_), _) => Ok((ValueType::Float64, None)),
                (None, None) => Ok((ValueType::Int64, None)),
                (None, Some(place)) => {
                    let reason =
                        "an integer beyond 64 bits; give the column the type text, or float64 to round it";
                    Err(source.fault(place, Some(column.position), reason))
                }
            };
        }
        let simple = [
            (&[Kind::Truth][..], ValueType::Bool),
            (&[Kind::Date], ValueType::Date),
            (&[Kind::Date, Kind::Timestamp], ValueType::Timestamp),
            (&[Kind::TimestampUtc], ValueType::TimestampUtc),
        ];
        let found = simple.iter().find(|(kinds, _)| only(kinds));
        Ok(found
            .map_or_else(|| (ValueType::Text, self.mixture(source)), |(_, value_type)| (*value_type, None)))
    }

    /// For a column that is text because it holds different things: most often one of them is a spelling of a missing
    /// value that was not given.
    fn mixture(&self, source: &Source) -> Option<String> {
        let mut seen: Vec<(Place, Kind)> =
            Kind::ALL.iter().filter_map(|kind| Some((self.first[*kind as usize]?, *kind))).collect();
        seen.sort_by_key(|(place, _)| (place.file, place.line));
        let is_number = |kind: Kind| [Kind::Integer, Kind::LongInteger, Kind::Decimal].contains(&kind);
        let (first, one) = *seen.first()?;
        let (second, other) = *seen.iter().skip(1).find(|(_, kind)| !(is_number(one) && is_number(*kind)))?;
        let (first, second) = (source.locate(first), source.locate(second));
        Some(format!("text, for it holds {} ({first}) and {} ({second})", one.described(), other.described()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_few_and_evenly_spread() {
        let (mut marks, mut every) = (Vec::new(), STRIDE);
        for row in (0..10 * MAX_MARKS as u64).map(|i| i * STRIDE) {
            if row.is_multiple_of(every) {
                marks.push(Mark { row, place: Place { file: 0, line: row + 1 }, byte: row });
                every = thin(&mut marks, every);
            }
        }
        assert!(marks.len() <= MAX_MARKS && marks.len() > MAX_MARKS / 2);
        assert!(marks.windows(2).all(|pair| pair[1].row - pair[0].row == every));
        assert_eq!(marks[0].row, 0);
    }
}
