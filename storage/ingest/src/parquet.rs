//! Parquet files of other programs to tables: their types are known, so the first pass reads only columns that can have
//! errors: ids, match ids, labels, weights, and columns whose values change their type.
//!
//! The first pass notes *which* rows are bad, with one bit for each. Then the bad rows are read again in the order of the
//! files, and reported or left out one by one. So all cores can read, memory stays small for any number of bad rows, and the
//! first fault of the files is the one that is reported.

mod content;
mod faults;

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow_schema::DataType;
use tributary_core::{Error, Field, KeyType, Purpose, Result};
use tributary_csv::{Quoting, ValueType};
use tributary_document::quoted;
use tributary_parquet::{Files, Index};

use crate::columns::{Column, Columns, Hints, KeySource};
use crate::content::Content as _;
use crate::duplicates::{Repeated, Search};
use crate::old::OldTable;
use crate::options::{Header, UploadOptions};
use crate::progress::{Meter, Pass};
use crate::rejects::Rejects;
use crate::rowset::RowSet;
use crate::sorter::Sorter;
use crate::summary::ColumnSummary;
use crate::upload::Prepared;
use content::{Foreign, ForeignRows};
use faults::Look;

/// Checks all rows; `old`: the table that they are added to.
pub(crate) fn prepare(
    options: &UploadOptions,
    files: Files,
    old: Option<&Arc<OldTable>>,
    meter: &Meter,
) -> Result<Prepared> {
    let mut foreign = open(options, files, old)?;
    if let Some(key) = foreign.schema.key().filter(|key| key.key_type != KeyType::Utf8) {
        let name = quoted(&key.name);
        return Err(Error::invalid(format!(
            "column {name} is Binary, expected text or whole numbers as ids"
        )));
    }
    let mut rejects = Rejects::open(options, &foreign)?;
    let look = Look::new(&foreign)?;
    let (ids, mut dropped) = all(&foreign, &look, options, meter)?;
    reject(&foreign, &look, &dropped, &mut rejects, meter)?;
    let repeated = match foreign.key {
        KeySource::Column(position) if !rejects.too_many() => {
            let rows = ForeignRows { foreign: &foreign, position, meter };
            Search { rows: &rows, old, options, meter }.run(ids, &mut dropped, &mut rejects)?
        }
        _ => Repeated::default(),
    };
    rejects.finish(&foreign)?;
    if foreign.files.rows() == rejects.count() {
        let first = foreign.files.files()[0].path.display();
        return Err(Error::invalid(format!("{first}: every row is bad, so nothing is stored")));
    }
    foreign.dropped = dropped;
    let rejected = rejects.count();
    Ok(Prepared { repeated, rejected, ..prepared(foreign) })
}

/// Checks the columns only: values are checked when the rows are read.
pub(crate) fn prepare_columns(options: &UploadOptions, files: Files) -> Result<Prepared> {
    open(options, files, None).map(prepared)
}

fn open(options: &UploadOptions, files: Files, old: Option<&Arc<OldTable>>) -> Result<Foreign> {
    check_options(options)?;
    let first = files.files()[0].path.display().to_string();
    let names: Vec<String> = files.columns().iter().map(|column| column.name.clone()).collect();
    let columns = match old {
        None => Columns::resolve(options, &names, &hints(&files, &names))?,
        Some(old) => Columns::of_table(options, &names, &first, old.schema())?,
    };
    let fields = columns.values.iter().map(|column| field(&files, column)).collect::<Result<Vec<_>>>()?;
    let key_type = match columns.key {
        KeySource::Column(i) if *files.columns()[i].data_type()? == DataType::Binary => KeyType::Binary,
        _ => KeyType::Utf8,
    };
    let schema = columns.schema_of(key_type, fields)?;
    let read = columns.in_files(&schema)?;
    files.check(&read)?;
    if files.rows() == 0 {
        return Err(Error::invalid(format!("{first} has no rows")));
    }
    let mut foreign = Foreign::new(files, schema, read, columns.key.clone());
    (foreign.roles, foreign.notes) = (columns.roles(), columns.notes);
    Ok(foreign)
}

/// Metadata of the writer: pandas names the column of its index, and puts it after all others.
fn hints(files: &Files, names: &[String]) -> Hints {
    let position = |name: &String| names.iter().position(|known| known == name);
    let mut hints = Hints::default();
    match files.index() {
        Index::None => {}
        Index::Named(name) => {
            hints.id = position(name).map(|i| (i, "pandas' index, as the file says".to_owned()));
        }
        Index::RowNumbers(name) => {
            hints.left_out = position(name).into_iter().collect();
            let name = quoted(name);
            hints.notes.push(format!(
                "pandas' index without a name, column {name}, is left out; if it has the ids, name it (--id)"
            ));
        }
        Index::Several(index) => hints.notes.push(format!(
            "pandas' index has several columns ({}), and ids are one; name the one that has them (--id)",
            index.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        )),
    }
    hints
}

fn prepared(mut foreign: Foreign) -> Prepared {
    let columns = foreign.schema.fields().iter().map(described).collect();
    let (roles, notes) = (std::mem::take(&mut foreign.roles), std::mem::take(&mut foreign.notes));
    Prepared { content: Arc::new(foreign), columns, roles, notes, repeated: Repeated::default(), rejected: 0 }
}

fn described(field: &Field) -> ColumnSummary {
    ColumnSummary {
        name: field.name.clone(),
        data_type: field.data_type.clone(),
        purpose: field.purpose.clone(),
        nulls: None,
        distinct: None,
        extent: None,
        note: None,
    }
}

/// Options without a meaning for files that define their columns.
fn check_options(options: &UploadOptions) -> Result<()> {
    let spelled = options.columns.values().any(|column| column.nulls.is_some());
    let refused = [
        (options.header != Header::FirstLine, "a list of names (--no-header)"),
        (options.delimiter != b',', "another delimiter (--delimiter)"),
        (options.quoting != Quoting::Rfc4180, "what quotes mean (--no-quotes)"),
        (
            spelled || options.nulls.iter().any(|spelling| !spelling.is_empty()),
            "a spelling of missing values (--nulls, na_values)",
        ),
    ];
    match refused.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, what)) => Err(Error::invalid(format!("{what} is for CSV files; leave it out for Parquet"))),
        None => Ok(()),
    }
}

fn field(files: &Files, column: &Column) -> Result<Field> {
    let data_type = column.stored.clone().or(column.given.map(ValueType::data_type));
    let mut field = match data_type {
        Some(data_type) => Field::new(column.name.as_str(), data_type),
        None => files.field(&column.name)?,
    };
    field.nullable = column.may_be_missing() && files.column(&column.name)?.nullable;
    let is_category = match column.given {
        None => column.stored.is_none() && files.column(&column.name)?.is_category,
        Some(given) => given == ValueType::Category,
    };
    field.purpose = match &column.purpose {
        Purpose::Value if is_category => Purpose::Category,
        purpose => purpose.clone(),
    };
    Ok(field)
}

/// Checks all row groups, on all cores. Returns the hashes of good rows' ids with their numbers, and the bad rows; if no row
/// may be bad, at least the first bad one.
fn all(
    foreign: &Foreign,
    look: &Look<'_>,
    options: &UploadOptions,
    meter: &Meter,
) -> Result<(Vec<Sorter<()>>, RowSet)> {
    if look.is_needless() {
        return Ok((Vec::new(), RowSet::default()));
    }
    meter.begin(Pass::Check, foreign.bytes());
    let stops = options.max_rejects == 0 && options.reject_to.is_none();
    let groups = foreign.groups.len();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(groups).max(1);
    let next = AtomicUsize::new(0);
    let stop = || next.store(groups, Ordering::Relaxed);
    // Groups are started in order, and started groups are checked to their end, so that all rows before the first fault are
    // checked.
    let work = || {
        let mut ids = Sorter::new(options.sort_bytes / workers, &options.scratch);
        let mut bad = RowSet::default();
        loop {
            let group = next.fetch_add(1, Ordering::Relaxed);
            if group >= groups {
                return (ids, bad, None);
            }
            let looked = look.at(group, &mut |batch| {
                batch.note(&mut ids, &mut bad)?;
                meter.add(batch.rows() as u64, foreign.groups[group].bytes_of(batch.rows()))
            });
            match looked {
                Ok(()) if bad.is_empty() || !stops => {}
                Ok(()) => stop(),
                Err(error) => {
                    stop();
                    return (ids, bad, Some((group, error)));
                }
            }
        }
    };
    let done: Result<Vec<_>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Error::bug("a thread of the first pass panicked");
        workers.into_iter().map(|worker| worker.join().map_err(panicked)).collect()
    });
    let (mut ids, mut bad, mut failed) = (Vec::new(), RowSet::default(), None::<(usize, Error)>);
    for (own_ids, own_bad, own_failed) in done? {
        ids.push(own_ids);
        bad.add(&own_bad);
        if let Some((group, error)) = own_failed
            && failed.as_ref().is_none_or(|(earlier, _)| group < *earlier)
        {
            failed = Some((group, error));
        }
    }
    match failed {
        // a bad row before an unreadable group is reported first, if it ends the upload anyway
        Some((group, error)) if !stops || bad.next(0).is_none_or(|row| row >= foreign.groups[group].row) => {
            Err(error)
        }
        _ => Ok((ids, bad)),
    }
}

/// Reads bad rows again, in order, and rejects them.
fn reject(
    foreign: &Foreign,
    look: &Look<'_>,
    bad: &RowSet,
    rejects: &mut Rejects,
    meter: &Meter,
) -> Result<()> {
    let mut next = bad.next(0);
    while let Some(first) = next {
        let group = foreign.group_of(first);
        look.at(group, &mut |batch| {
            meter.check()?;
            batch.rejects().try_for_each(|reject| rejects.add(foreign, &reject))
        })?;
        next = foreign.groups.get(group + 1).and_then(|after| bad.next(after.row));
    }
    Ok(())
}
