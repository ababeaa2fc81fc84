//! Checked rows, described in place: split where files and partitions begin.

use tributary_core::bound::BoundPart;
use tributary_core::layout::RowRanges;
use tributary_core::{Error, Result};
use tributary_csv::{Part, Span};

use crate::csv::batches::Cells;
use crate::csv::source::Place;
use crate::progress::Meter;

/// Where a row begins, and what begins with it.
struct Border {
    row: u64,
    place: Place,
    byte: u64,
}

/// All rows in at most this many parts of nearly equal length, each with at least one row.
pub(crate) fn parts(cells: &Cells, partitions: u32, meter: &Meter) -> Result<Vec<BoundPart>> {
    if !cells.dropped.is_empty() {
        return Err(Error::bug("rows that are left out cannot be bound"));
    }
    let source = &cells.source;
    let rows = cells.rows;
    let ranges = RowRanges::even(rows, u32::try_from(rows).unwrap_or(u32::MAX).min(partitions));
    let mut borders: Vec<Border> = (0..source.inputs().len()).map(|file| of_file(cells, file)).collect();
    for partition in 1..ranges.partitions() {
        borders.push(of_row(cells, ranges.range(partition).start, meter)?);
    }
    borders.sort_by_key(|border| (border.place.file, border.byte));
    let stamps = source.inputs().iter().map(|input| input.stamp()).collect::<Result<Vec<_>>>()?;
    let mut spans: Vec<Vec<Span>> = vec![Vec::new(); ranges.partitions() as usize];
    for (i, border) in borders.iter().enumerate() {
        let next = borders.get(i + 1);
        let end = next.filter(|next| next.place.file == border.place.file).map(|next| next.byte);
        let count = next.map_or(rows, |next| next.row) - border.row;
        let Some(partition) = ranges.partition_of(border.row).filter(|_| count > 0) else { continue };
        let (path, stamp) = stamps[border.place.file].clone();
        let bytes = (border.byte, end.unwrap_or(stamp.bytes()));
        spans[partition as usize].push(Span { path, stamp, bytes, line: border.place.line, rows: count });
    }
    let part = |spans| {
        let (width, keys) = (source.width(), source.keys().to_vec());
        Part::new(source.dialect(), width, keys, cells.columns.clone(), spans)?.describe()
    };
    spans.into_iter().map(part).collect()
}

fn of_file(cells: &Cells, file: usize) -> Border {
    // a file without rows may have no mark
    let first = cells.marks.iter().find(|mark| mark.place.file >= file);
    let row = first.map_or(cells.rows, |mark| mark.row);
    let (byte, line) = cells.source.start(file);
    Border { row, place: Place { file, line }, byte }
}

fn of_row(cells: &Cells, row: u64, meter: &Meter) -> Result<Border> {
    meter.check()?;
    let mut rows = cells.rows_at(row, meter)?;
    rows.advance()?;
    Ok(Border { row, place: rows.place(), byte: rows.records().span().start })
}
