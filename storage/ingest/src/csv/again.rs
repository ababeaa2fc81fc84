//! Rows of the first pass, read again by number; blocks without requested rows are not read.

use std::sync::Arc;

use tributary_core::Result;

use crate::content::{Again, Origin, Row};
use crate::csv::source::{CsvFiles, Mark, Rows};
use crate::csv::survey::row_of;
use crate::progress::Meter;
use crate::rowset::RowSet;

/// The rows of CSV files, with their ids.
pub(crate) struct CsvRows<'a> {
    pub source: &'a Arc<CsvFiles>,
    pub marks: &'a Arc<[Mark]>,
    /// The column of the id.
    pub position: usize,
    pub meter: &'a Meter,
}

impl Again for CsvRows<'_> {
    fn origin(&self) -> &dyn Origin {
        &**self.source
    }

    fn id_column(&self) -> usize {
        self.position
    }

    fn row_of(&self, noted: u64) -> u64 {
        row_of(noted, self.marks)
    }

    fn visit(&self, set: &RowSet, each: &mut dyn FnMut(Row<'_>) -> Result<()>) -> Result<()> {
        let mut wanted = set.next(0);
        while let Some(first) = wanted {
            self.meter.check()?;
            let mark = self.marks.partition_point(|mark| mark.row <= first) - 1;
            let end = self.marks.get(mark + 1).map_or(u64::MAX, |next| next.row);
            let mut rows = Rows::from_mark(self.source, self.marks, mark);
            while let Some(row) = wanted.filter(|row| *row < end) {
                while rows.next_number() <= row {
                    rows.advance()?;
                }
                let (id, place) = (rows.records().get(self.position), rows.place());
                let bytes = rows.records().span();
                each(Row { number: row, id, place, bytes })?;
                wanted = set.next(row + 1);
            }
        }
        Ok(())
    }
}
