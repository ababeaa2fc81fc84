//! Parquet files of other programs to tables: their types are known, so the first pass reads only ids, labels and weights.
//!
//! A value that cannot become what it is to be is an error with file, row and column, also if it is only met while the table is
//! written; that is then taken back. Rows are never left out for what is wrong with them: such files were made by a program, and
//! the mistake is in that.

mod content;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use tributary_core::layout::{RowRanges, hash_bytes};
use tributary_core::{Error, Field, Purpose, Result, TableSchema};
use tributary_parquet::Files;

use crate::columns::{Column, Columns, KeySource};
use crate::duplicates::Search;
use crate::options::{Header, UploadOptions};
use crate::progress::{Meter, Stage};
use crate::rejects::Rejects;
use crate::rowset::RowSet;
use crate::sorter::Sorter;
use crate::summary::ColumnSummary;
use crate::upload::Prepared;
use crate::value_type::ValueType;
use content::Foreign;

/// Looks at the ids, labels and weights of all rows.
pub(crate) fn prepare(options: &UploadOptions, paths: &[PathBuf], meter: &Meter) -> Result<Prepared> {
    check_options(options)?;
    let files = Files::open(paths)?;
    let names: Vec<String> = files.columns().iter().map(|column| column.name.clone()).collect();
    let columns = Columns::resolve(options, &names)?;
    let fields = columns.values.iter().map(|column| field(&files, column)).collect::<Result<Vec<_>>>()?;
    let schema = columns.schema_of(fields.clone())?;
    let read = match columns.key {
        KeySource::Column(_) => schema.clone(),
        KeySource::Made(_) => TableSchema::new(None, fields)?,
    };
    files.check(&read)?;
    if files.rows() == 0 {
        return Err(Error::invalid(format!("{} has no rows", files.files()[0].path.display())));
    }
    let mut foreign = Foreign::new(files, schema, read, columns.key, options.partitions);
    let ids = look(&foreign, options, meter)?;
    let mut dropped = RowSet::default();
    let mut rejects = Rejects::none();
    let duplicates_dropped = match foreign.key {
        KeySource::Made(_) => 0,
        KeySource::Column(_) => {
            let rows = foreign.with_meter(meter);
            Search { rows: &rows, options, meter }.run(ids, &mut dropped, &mut rejects)?
        }
    };
    foreign.ranges = RowRanges::even(foreign.files.rows() - dropped.len(), options.partitions);
    foreign.dropped = dropped;
    let described = foreign.schema.fields().iter().map(|field| ColumnSummary {
        name: field.name.clone(),
        data_type: field.data_type.clone(),
        purpose: field.purpose.clone(),
        nulls: None,
        distinct: None,
        extent: None,
        note: None,
    });
    let columns = described.collect();
    Ok(Prepared { content: Arc::new(foreign), columns, duplicates_dropped, rejected: 0 })
}

/// What has no meaning for files that know their columns.
fn check_options(options: &UploadOptions) -> Result<()> {
    let refused =
        |what: &str| Err(Error::invalid(format!("{what} is for CSV files; leave it out for Parquet")));
    if options.header != Header::FirstLine {
        return refused("a list of names (--no-header)");
    }
    if options.max_rejects > 0 || options.reject_to.is_some() {
        return refused("leaving bad rows out (--max-rejects, --reject-to)");
    }
    let spelled = options.columns.values().any(|column| column.nulls.is_some());
    if spelled || options.nulls.iter().any(|spelling| !spelling.is_empty()) {
        return refused("a spelling of missing values (--nulls, na_values)");
    }
    Ok(())
}

fn field(files: &Files, column: &Column) -> Result<Field> {
    let mut field = match column.given {
        Some(given) => Field::new(column.name.as_str(), given.data_type()),
        None => files.field(&column.name)?,
    };
    field.nullable = column.may_be_missing() && files.column(&column.name)?.nullable;
    field.purpose = match (column.given, &column.purpose) {
        (Some(ValueType::Category), Purpose::Value) => Purpose::Category,
        (_, purpose) => purpose.clone(),
    };
    Ok(field)
}

/// Reads what may not be missing, on all cores. The hashes of ids with their rows.
fn look(foreign: &Foreign, options: &UploadOptions, meter: &Meter) -> Result<Vec<Sorter<()>>> {
    let needed = foreign.read.fields().iter().filter(|field| is_needed(&field.purpose));
    let schema = foreign.read.with_fields(needed.cloned().collect())?;
    if schema.arrow().fields().is_empty() {
        return Ok(Vec::new());
    }
    meter.begin(Stage::Check, foreign.bytes());
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(foreign.groups.len()).max(1);
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let work = || {
        let mut ids = Sorter::new(options.sort_bytes / workers, &options.scratch);
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= foreign.groups.len() {
                return ids;
            }
            if let Err(error) = look_at(foreign, group, &schema, &mut ids, meter) {
                next.store(foreign.groups.len(), Ordering::Relaxed);
                // the first fault in the files is told, whoever finds it
                let mut failed = failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if failed.as_ref().is_none_or(|(earlier, _)| group < *earlier) {
                    *failed = Some((group, error));
                }
            }
        }
    };
    let ids: Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Error::bug("a thread of the first pass panicked");
        workers.into_iter().map(|worker| worker.join().map_err(panicked)).collect()
    });
    match failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some((_, error)) => Err(error),
        None => ids,
    }
}

fn is_needed(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::MatchId | Purpose::Label | Purpose::Weight)
}

fn look_at(
    foreign: &Foreign,
    group: usize,
    schema: &TableSchema,
    ids: &mut Sorter<()>,
    meter: &Meter,
) -> Result<()> {
    let about = &foreign.groups[group];
    let mut row = about.row;
    for span in foreign.files.spans(group..group + 1) {
        for batch in span.rows(schema)? {
            let batch = batch?;
            if schema.key().is_some() {
                for (i, id) in batch.column(0).as_string::<i32>().iter().enumerate() {
                    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
                        foreign.fault(row + i as u64, &foreign.key_name(), "the sample id is missing")
                    })?;
                    ids.push(hash_bytes(id.as_bytes()), row + i as u64, ())?;
                }
            }
            check_weights(foreign, schema, &batch, row)?;
            row += batch.num_rows() as u64;
            meter.add(batch.num_rows() as u64, about.bytes_of(batch.num_rows()))?;
        }
    }
    Ok(())
}

fn check_weights(foreign: &Foreign, schema: &TableSchema, batch: &RecordBatch, first: u64) -> Result<()> {
    let Some(weight) = schema.with_purpose(&Purpose::Weight) else { return Ok(()) };
    let values = batch.column(schema.column_index(&weight.name)?);
    match (0..values.len()).find(|i| is_negative(values, *i)) {
        Some(i) => Err(foreign.fault(first + i as u64, &weight.name, "the weight is negative")),
        None => Ok(()),
    }
}

fn is_negative(values: &ArrayRef, i: usize) -> bool {
    if let Some(values) = values.as_primitive_opt::<Float64Type>() {
        return values.value(i) < 0.0;
    }
    if let Some(values) = values.as_primitive_opt::<Float32Type>() {
        return values.value(i) < 0.0;
    }
    if let Some(values) = values.as_primitive_opt::<Int64Type>() {
        return values.value(i) < 0;
    }
    values.as_primitive_opt::<Int32Type>().is_some_and(|values| values.value(i) < 0)
}
