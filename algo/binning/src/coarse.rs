//! Bins merged until each has enough rows to be shown to others, and so that two ways to cut a column do not show fewer together.
//!
//! A partner that sees the same column cut twice can subtract: that gives a number for the rows between a cut of one and a cut of
//! the other. So rows are counted by the *pieces* between all cuts, old and new, and a new cut is left out where it would make a
//! piece of too few rows. A piece or bin without rows may stay: it shows no row. A column that ends as one bin says only what is
//! known of all rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_array::{RecordBatch, UInt16Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel};
use tributary_core::{Error, Result, TableSchema};

use crate::cuts::Cuts;

/// A column's values between all the cuts that others have seen or are to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    cuts: Cuts,
    /// The inner ends of pieces, ascending.
    ends: Vec<End>,
    last: Option<f64>,
}

/// Where a piece ends, and whose cut that is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct End {
    at: f64,
    is_new: bool,
    is_old: bool,
}

/// Bins that may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Coarse {
    /// Where they end: some of the cuts that were given.
    pub cuts: Cuts,
    /// The bin that missing values are counted in, if they are too few for one of their own.
    pub missing_in: Option<u16>,
}

impl Pieces {
    /// Of the cuts that are to be shown, and the inner ones ([`Pieces::inner`]) of those that were shown before.
    pub fn new(cuts: &Cuts, shown: &[f64]) -> Result<Self> {
        let new = Self::inner(cuts);
        let mut points: Vec<f64> = new.iter().chain(shown).copied().collect();
        points.sort_by(f64::total_cmp);
        points.dedup();
        let end = |at: &f64| End { at: *at, is_new: new.contains(at), is_old: shown.contains(at) };
        let ends: Vec<End> = points.iter().map(end).collect();
        // The last bin is open upwards, wherever its cut is said to be.
        points.extend((points.last() != Some(&f64::MAX)).then_some(f64::MAX));
        let last = cuts.points().last().copied();
        let points = if last.is_some() { points } else { Vec::new() };
        Ok(Self { cuts: Cuts::new(points)?, ends, last })
    }

    /// The cuts between bins: all but the last.
    pub fn inner(cuts: &Cuts) -> &[f64] {
        cuts.points().split_last().map_or(&[], |(_, inner)| inner)
    }

    /// By which to count rows.
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The bins to show. `rows`: by piece, that of missing values last; `least`: rows that a bin must have, if it has any.
    pub fn coarsen(&self, rows: &[u64], least: u64) -> Result<Coarse> {
        let Some((missing, rows)) = rows.split_last().filter(|(_, rows)| rows.len() == self.cuts.bins())
        else {
            return Err(Error::bug(format!(
                "rows of {} pieces, expected {}",
                rows.len(),
                self.cuts.bins() + 1
            )));
        };
        let Some(last) = self.last else { return Ok(Coarse { cuts: Cuts::default(), missing_in: None }) };
        let total: u64 = rows.iter().sum();
        let may = |rows: u64| rows == 0 || rows >= least;
        let (mut kept, mut bin, mut piece, mut before) = (Vec::new(), 0, 0, 0);
        let mut last_with_rows = 0;
        for (i, end) in self.ends.iter().enumerate() {
            bin += rows[i];
            piece += rows[i];
            before += rows[i];
            let to_old = self.ends[i + 1..].iter().position(|end| end.is_old);
            let to_old: u64 = rows[i + 1..to_old.map_or(rows.len(), |next| i + next + 2)].iter().sum();
            let is_safe = end.is_old || (may(piece) && may(to_old));
            let is_kept = end.is_new && is_safe && may(bin) && may(total - before);
            if is_kept {
                if bin > 0 {
                    last_with_rows = kept.len();
                }
                kept.push(end.at);
                bin = 0;
            }
            if is_kept || end.is_old {
                piece = 0;
            }
        }
        if bin + rows.last().copied().unwrap_or_default() > 0 {
            last_with_rows = kept.len();
        }
        let joins = !may(*missing) || (*missing > 0 && !may(total));
        kept.push(last);
        Ok(Coarse { cuts: Cuts::new(kept)?, missing_in: joins.then_some(last_with_rows as u16) })
    }
}

/// A column of bin numbers in which one bin is counted with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedBin {
    /// A column of `UInt16`.
    pub column: String,
    /// The number to replace.
    pub from: u16,
    /// What it becomes.
    pub to: u16,
}

/// Parameters of [`JoinBins`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinParams {
    /// The columns to change.
    pub columns: Vec<JoinedBin>,
}

/// Kernel `binning.join`: one bin of each named column becomes another. Shape: nothing else changes.
#[derive(Debug)]
pub struct JoinBins {
    columns: Vec<(usize, u16, u16)>,
    output: TableSchema,
}

impl MapKernel for JoinBins {
    type Params = JoinParams;
    const NAME: &'static str = "binning.join";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &JoinParams, input: &TableSchema) -> Result<TableSchema> {
        for JoinedBin { column, .. } in &params.columns {
            let found = input.arrow().field(input.column_index(column)?).data_type().clone();
            if found != DataType::UInt16 {
                return Err(Error::invalid(format!(
                    "column {column:?} has type {found}, expected bin numbers (UInt16)"
                )));
            }
        }
        Ok(input.clone())
    }

    fn open(params: JoinParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let columns = params.columns.into_iter().map(|c| Ok((input.column_index(&c.column)?, c.from, c.to)));
        Ok(Self { columns: columns.collect::<Result<_>>()?, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (column, from, to) in &self.columns {
            let bins = columns[*column].as_primitive::<UInt16Type>().values();
            let joined = bins.iter().map(|bin| if bin == from { *to } else { *bin });
            columns[*column] = Arc::new(UInt16Array::from_iter_values(joined));
        }
        self.output.batch(columns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coarse(cuts: &[f64], shown: &[f64], rows: &[u64], least: u64) -> (Vec<f64>, Option<u16>) {
        let pieces = Pieces::new(&Cuts::new(cuts.to_vec()).unwrap(), shown).unwrap();
        let Coarse { cuts, missing_in } = pieces.coarsen(rows, least).unwrap();
        (cuts.points().to_vec(), missing_in)
    }

    #[test]
    fn small_bins_go_to_their_neighbours_and_empty_ones_stay() {
        let check = |rows: &[u64], expected: &[f64], missing: Option<u16>| {
            assert_eq!(coarse(&[1.0, 2.0, 3.0, 4.0], &[], rows, 5), (expected.to_vec(), missing), "{rows:?}");
        };
        check(&[5, 6, 7, 8, 0], &[1.0, 2.0, 3.0, 4.0], None);
        check(&[3, 2, 7, 8, 5], &[2.0, 3.0, 4.0], None);
        check(&[5, 6, 7, 4, 0], &[1.0, 2.0, 4.0], None);
        check(&[7, 0, 0, 7, 0], &[1.0, 2.0, 3.0, 4.0], None);
        check(&[7, 0, 0, 3, 0], &[4.0], None);
        check(&[5, 5, 5, 0, 2], &[1.0, 2.0, 3.0, 4.0], Some(2));
        check(&[5, 5, 5, 5, 2], &[1.0, 2.0, 3.0, 4.0], Some(3));
        check(&[1, 1, 1, 1, 0], &[4.0], None);
        check(&[1, 1, 1, 1, 9], &[4.0], Some(0));
        check(&[1, 0, 0, 1, 1], &[4.0], Some(0));
    }

    #[test]
    fn a_cut_beside_one_that_was_shown_is_left_out() {
        // Pieces: up to 2, to 2.5, to 4, above. Between 2 and 2.5 are three rows.
        let check = |rows: &[u64], expected: &[f64]| {
            assert_eq!(coarse(&[2.5, 4.0, 9.0], &[2.0], rows, 5), (expected.to_vec(), None), "{rows:?}");
        };
        check(&[10, 3, 10, 10, 0], &[4.0, 9.0]);
        check(&[10, 5, 10, 10, 0], &[2.5, 4.0, 9.0]);
        check(&[10, 0, 10, 10, 0], &[2.5, 4.0, 9.0]);
        // The same cuts again show nothing new.
        assert_eq!(coarse(&[2.0, 4.0, 9.0], &[2.0, 4.0], &[10, 10, 10, 0], 5), (vec![2.0, 4.0, 9.0], None));
        // Before a shown cut as after it.
        assert_eq!(coarse(&[1.5, 9.0], &[2.0], &[10, 3, 10, 0], 5), (vec![9.0], None));
        // More was shown than there is now: rows above the largest value.
        assert_eq!(coarse(&[1.0, 2.0], &[7.0], &[10, 10, 0, 0], 5), (vec![1.0, 2.0], None));
    }

    #[test]
    fn a_column_without_values_has_nothing_to_merge() {
        assert_eq!(coarse(&[], &[], &[7], 5), (Vec::new(), None));
        assert_eq!(coarse(&[], &[1.0], &[7], 5), (Vec::new(), None));
    }

    proptest! {
        #[test]
        fn no_bin_and_no_piece_that_two_releases_show_has_too_few_rows(
            values in proptest::collection::vec(0u8..40, 1..120),
            first in proptest::collection::btree_set(0u8..40, 1..12),
            second in proptest::collection::btree_set(0u8..40, 1..12),
            least in 1u64..9,
        ) {
            let cuts = |points: &std::collections::BTreeSet<u8>| {
                Cuts::new(points.iter().map(|p| f64::from(*p)).collect()).unwrap()
            };
            let count = |cuts: &Cuts| {
                let mut rows = vec![0; cuts.bins() + 1];
                values.iter().for_each(|v| rows[usize::from(cuts.bin_of(Some(f64::from(*v))))] += 1);
                rows
            };
            let release = |cuts: &Cuts, shown: &[f64]| {
                let pieces = Pieces::new(cuts, shown).unwrap();
                pieces.coarsen(&count(pieces.cuts()), least).unwrap().cuts
            };
            let one = release(&cuts(&first), &[]);
            let two = release(&cuts(&second), Pieces::inner(&one));
            let both = Pieces::new(&two, Pieces::inner(&one)).unwrap();
            let alone = |rows: &[u64]| rows.iter().filter(|rows| **rows > 0).count() == 1;
            for rows in [count(&one), count(&two), count(both.cuts())] {
                prop_assert!(alone(&rows) || rows.iter().all(|rows| *rows == 0 || *rows >= least), "{rows:?}");
            }
            prop_assert_eq!(release(&one, Pieces::inner(&one)), one);
        }
    }
}
