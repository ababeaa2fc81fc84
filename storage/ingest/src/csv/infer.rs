//! Observations about a column's cells, and the type inferred from them.
//!
//! An inferred type keeps every value exactly as the file has it. If no type of numbers or times does, the column stays
//! text, and a note says why and which type would make numbers of it.

use tributary_core::Result;
use tributary_csv::{Kind, ValueType, is_null, kind_of};

use crate::columns::{Column, TypedColumn};
use crate::content::types_option;
use crate::csv::source::{CsvFiles, Place};

/// Whether a requested float type changes an exact number: an integer, or one with more digits than any float prints. A user
/// who requests `float32` expects it to round decimals.
#[inline]
fn is_rounded(given: ValueType, cell: &str) -> bool {
    match given {
        // a shorter number is kept
        ValueType::Float64 if cell.len() > 15 => {
            matches!(kind_of(cell), Kind::WideInteger | Kind::LongestInteger | Kind::LongDecimal)
        }
        ValueType::Float32 if cell.len() > 7 => {
            cell.trim_ascii().parse::<i64>().is_ok_and(|number| number as f32 as i64 != number)
        }
        _ => false,
    }
}

/// Observations about one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenColumn {
    /// Missing values, in the spellings of the options.
    nulls: u64,
    /// Cells that are empty or have spaces only, and are no such spelling.
    blanks: u64,
    /// Cells that are NaN.
    nans: u64,
    /// The first place where the given type does not keep a number.
    rounded: Option<Place>,
    /// The first place of each [`Kind`].
    first: [Option<Place>; Kind::ALL.len()],
}

/// Kinds that a column of numbers may have.
const NUMBERS: [Kind; 12] = [
    Kind::Integer,
    Kind::WideInteger,
    Kind::LongInteger,
    Kind::LongestInteger,
    Kind::Plus,
    Kind::LeadingZeros,
    Kind::Decimal,
    Kind::LongDecimal,
    Kind::Exponent,
    Kind::NotANumber,
    Kind::Infinite,
    Kind::TooLarge,
];

impl SeenColumn {
    /// Adds a good cell; its line counts from the chunk's beginning.
    #[inline]
    pub fn see(&mut self, column: &Column, cell: &str, line: u64) {
        if is_null(cell, &column.nulls) {
            self.nulls += 1;
            return;
        }
        match column.given {
            None => self.see_kind(kind_of(cell), line),
            Some(given) if given.is_missing(cell) => self.nulls += 1,
            Some(given) if self.rounded.is_none() && is_rounded(given, cell) => {
                self.rounded = Some(Place { file: 0, line });
            }
            Some(_) => {}
        }
    }

    #[inline]
    fn see_kind(&mut self, kind: Kind, line: u64) {
        match kind {
            Kind::Empty | Kind::Blank => self.blanks += 1,
            Kind::NotANumber => self.nans += 1,
            _ => {}
        }
        let first = &mut self.first[kind as usize];
        if first.is_none() {
            *first = Some(Place { file: 0, line });
        }
    }

    /// Adds the observations of a later chunk, whose lines count from this line on.
    pub fn merge(&mut self, later: &Self, file: usize, line: u64) {
        self.nulls += later.nulls;
        self.blanks += later.blanks;
        self.nans += later.nans;
        let moved = |place: Option<Place>| place.map(|place| Place { file, line: place.line + line });
        self.rounded = self.rounded.or(moved(later.rounded));
        for (first, later) in self.first.iter_mut().zip(&later.first) {
            *first = first.or(moved(*later));
        }
    }

    /// The type of the column, the count of its missing values, and the note about the choice.
    pub fn decide(&self, column: &Column, source: &CsvFiles) -> Result<(TypedColumn, u64, Option<String>)> {
        let (value_type, note) = match column.given {
            Some(given) => (given, self.note_rounded(given, source)),
            None => Infer { seen: self, column, source }.value_type()?,
        };
        let missing = match value_type {
            _ if column.given.is_some() => self.nulls,
            ValueType::Text => self.nulls,
            ValueType::Int64 | ValueType::Float64 => self.nulls + self.blanks + self.nans,
            _ => self.nulls + self.blanks,
        };
        let nullable = column.may_be_missing() && missing > 0;
        Ok((TypedColumn { column: column.clone(), value_type, nullable }, missing, note))
    }

    /// For a column of a given type: a note about what the type does not keep.
    fn note_rounded(&self, given: ValueType, source: &CsvFiles) -> Option<String> {
        let place = source.locate(self.rounded?);
        Some(format!("rounded to {given}, which keeps fewer digits than there are; the first is at {place}"))
    }

    fn first(&self, kind: Kind) -> Option<Place> {
        self.first[kind as usize]
    }

    /// The first place with one of these kinds.
    fn earliest(&self, kinds: &[Kind]) -> Option<(Place, Kind)> {
        let seen = kinds.iter().filter_map(|kind| Some((self.first(*kind)?, *kind)));
        seen.min_by_key(|(place, _)| *place)
    }

    /// Whether all cells are of these kinds, except for empty cells and cells of spaces.
    fn only(&self, kinds: &[Kind]) -> bool {
        let blank = [Kind::Empty, Kind::Blank];
        Kind::ALL
            .iter()
            .all(|kind| kinds.contains(kind) || blank.contains(kind) || self.first[*kind as usize].is_none())
    }
}

type Found = (ValueType, Option<String>);

/// A column whose type is inferred.
struct Infer<'a> {
    seen: &'a SeenColumn,
    column: &'a Column,
    source: &'a CsvFiles,
}

impl Infer<'_> {
    fn value_type(&self) -> Result<Found> {
        if self.seen.only(&[]) {
            return Ok((ValueType::Float64, Some("no values".into())));
        }
        if self.seen.only(&NUMBERS) {
            return self.number();
        }
        let midnights = || self.note(Kind::Date, "days become their midnights");
        let in_utc = || self.note(Kind::TimestampZone, "times of other zones are kept in UTC");
        let (value_type, note) = if self.seen.only(&[Kind::Truth]) {
            (ValueType::Bool, None)
        } else if self.seen.only(&[Kind::Date]) {
            (ValueType::Date, None)
        } else if self.seen.only(&[Kind::Date, Kind::Timestamp]) {
            (ValueType::Timestamp, midnights())
        } else if self.seen.only(&[Kind::TimestampUtc, Kind::TimestampZone]) {
            (ValueType::TimestampUtc, in_utc())
        } else {
            return Ok((ValueType::Text, self.of_text()));
        };
        Ok((value_type, joined([note, self.blanks()])))
    }

    fn number(&self) -> Result<Found> {
        let has_point = self.seen.earliest(&[Kind::Decimal, Kind::LongDecimal]).is_some();
        if let Some((place, kind)) = self.lost(has_point) {
            let integers =
                [Kind::Integer, Kind::WideInteger, Kind::Plus, Kind::LeadingZeros, Kind::NotANumber];
            let number = if self.seen.only(&integers) { "int64" } else { "float64" };
            let (what, place, option) = (kind.described(), self.source.locate(place), self.option(number));
            let note = format!(
                "text, because a number would not keep {what} ({place}) as it is; for numbers: {option}"
            );
            return Ok((ValueType::Text, Some(note)));
        }
        self.check_bounds(has_point)?;
        let nan = self.note(Kind::NotANumber, "NaN means a missing value");
        let plus = self.note(Kind::Plus, "plus signs are not kept");
        let integers = [Kind::Integer, Kind::WideInteger];
        let is_whole = self.seen.only(&[Kind::Integer, Kind::WideInteger, Kind::NotANumber])
            && self.seen.earliest(&integers).is_some();
        let value_type = if is_whole { ValueType::Int64 } else { ValueType::Float64 };
        Ok((value_type, joined([nan, plus, self.blanks()])))
    }

    /// The first cell that a number would not keep. In a column with decimal points, plus signs and exponents belong to
    /// numbers, and integers must fit a double.
    fn lost(&self, has_point: bool) -> Option<(Place, Kind)> {
        match has_point {
            true => self.seen.earliest(&[
                Kind::LeadingZeros,
                Kind::LongDecimal,
                Kind::WideInteger,
                Kind::LongestInteger,
            ]),
            false => self.seen.earliest(&[Kind::LeadingZeros, Kind::Plus, Kind::Exponent]),
        }
    }

    /// `InvalidInput` for a number that does not fit 64 bits.
    fn check_bounds(&self, has_point: bool) -> Result<()> {
        let refused =
            |place, reason: String| Err(self.source.fault(place, Some(self.column.position), &reason));
        if let Some(place) = self.seen.first(Kind::Infinite) {
            return refused(
                place,
                format!(
                    "an infinite number; if it means a missing value, name it (--nulls), else give the column the type text, \
                     or float64 to keep it ({})",
                    self.option("float64")
                ),
            );
        }
        let long: &[Kind] = if has_point { &[] } else { &[Kind::LongInteger, Kind::LongestInteger] };
        let Some((place, kind)) = self.seen.earliest(&[&[Kind::TooLarge], long].concat()) else {
            return Ok(());
        };
        let round = if kind == Kind::TooLarge { "" } else { ", or float64 to round it" };
        refused(
            place,
            format!("{}; give the column the type text{round} ({})", kind.described(), self.option("text")),
        )
    }

    /// For a column of text with two kinds: one of them is most often a spelling of a missing value that was not given.
    fn of_text(&self) -> Option<String> {
        let note = |place, kind: Kind, why: &str| {
            let place = self.source.locate(place);
            Some(format!("text, because it holds {} ({place}); {why}", kind.described()))
        };
        if self.seen.only(&[Kind::Comma, Kind::Integer, Kind::Decimal, Kind::WideInteger, Kind::Plus])
            && let Some(place) = self.seen.first(Kind::Comma)
        {
            return note(place, Kind::Comma, "for numbers write a decimal point, and no thousands separator");
        }
        let times = [Kind::Date, Kind::Timestamp, Kind::TimestampUtc, Kind::TimestampZone, Kind::FineTime];
        if self.seen.only(&times)
            && let Some(place) = self.seen.first(Kind::FineTime)
        {
            return note(place, Kind::FineTime, "a time keeps microseconds; for times round them first");
        }
        joined([self.note(Kind::Padded, "text padded with NUL bytes is kept as it is"), self.mixture()])
    }

    fn mixture(&self) -> Option<String> {
        let is_silent = |kind: &Kind| matches!(kind, Kind::Empty | Kind::Blank | Kind::Padded);
        let mut seen: Vec<(Place, Kind)> = (Kind::ALL.iter().filter(|kind| !is_silent(kind)))
            .filter_map(|kind| Some((self.seen.first(*kind)?, *kind)))
            .collect();
        seen.sort_by_key(|(place, _)| *place);
        let (first, one) = *seen.first()?;
        let mut others = seen.iter().skip(1);
        let (second, other) = *others.find(|(_, kind)| !(one.is_number() && kind.is_number()))?;
        let (first, second) = (self.source.locate(first), self.source.locate(second));
        Some(format!(
            "text, because it holds {} ({first}) and {} ({second}); if one means a missing value: --nulls",
            one.described(),
            other.described()
        ))
    }

    fn blanks(&self) -> Option<String> {
        self.note(Kind::Blank, "cells of spaces are missing values")
    }

    /// The note about a kind, if it was seen.
    fn note(&self, kind: Kind, what: &str) -> Option<String> {
        let place = self.seen.first(kind)?;
        Some(format!("{what} ({})", self.source.locate(place)))
    }

    fn option(&self, value_type: &str) -> String {
        types_option(&self.column.name, value_type)
    }
}

fn joined<const N: usize>(notes: [Option<String>; N]) -> Option<String> {
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}
