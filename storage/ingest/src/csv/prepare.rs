//! CSV files to content that can be written: all steps before anything is stored.

use std::sync::Arc;

use tributary_core::{Error, Result};

use crate::columns::{Columns, KeySource, TypedColumn};
use crate::csv::again::CsvRows;
use crate::csv::batches::Cells;
use crate::csv::source::CsvFiles;
use crate::csv::survey::{Survey, survey};
use crate::duplicates::{Repeated, Search};
use crate::input::Input;
use crate::old::OldTable;
use crate::options::UploadOptions;
use crate::progress::Meter;
use crate::rejects::Rejects;
use crate::summary::ColumnSummary;
use crate::upload::Prepared;

/// Reads and checks all rows; `old`: the table that the rows are added to.
pub(crate) fn prepare(
    options: &UploadOptions,
    inputs: Vec<Input>,
    keys: Vec<String>,
    old: Option<&Arc<OldTable>>,
    meter: &Meter,
) -> Result<Prepared> {
    let source = Arc::new(CsvFiles::open(options, inputs, keys)?);
    let columns = match old {
        None => Columns::resolve(options, source.names(), &source.hints())?,
        Some(old) => Columns::of_table(options, source.names(), source.inputs()[0].name(), old.schema())?,
    };
    columns.check_cells()?;
    let mut rejects = Rejects::open(options, &*source)?;
    let mut survey = survey(&source, &columns, options, &mut rejects, meter)?;
    if survey.rows == 0 {
        return Err(Error::invalid(format!("{} has a header, but no rows", source.describe())));
    }
    let mut dropped = std::mem::take(&mut survey.rejected);
    let repeated = match columns.key {
        KeySource::Column(position) if !rejects.too_many() => {
            let rows = CsvRows { source: &source, marks: &survey.marks, position, meter };
            let search = Search { rows: &rows, old, options, meter };
            search.run(std::mem::take(&mut survey.ids), &mut dropped, &mut rejects)?
        }
        _ => Repeated::default(),
    };
    rejects.finish(&*source)?;
    if survey.rows == rejects.count() {
        return Err(Error::invalid(format!("{}: every row is bad, so nothing is stored", source.describe())));
    }
    let (typed, described) = decide(&survey, &columns, &source)?;
    let (roles, mut notes) = (columns.roles(), columns.notes.clone());
    notes.extend(survey.padded_id.map(|place| {
        let place = source.locate(place);
        format!("ids have spaces or NUL bytes around them ({place}), which are part of the ids; other parties need the same")
    }));
    let schema = columns.schema(&typed)?;
    let content = Cells {
        rows: survey.rows - dropped.len(),
        read: columns.in_files(&schema)?,
        schema,
        columns: columns.in_records(&typed),
        key: columns.key,
        marks: survey.marks,
        source,
        dropped,
    };
    let rejected = rejects.count();
    Ok(Prepared { content: Arc::new(content), columns: described, roles, notes, repeated, rejected })
}

/// The type of each column, and the notes about it.
fn decide(
    survey: &Survey,
    columns: &Columns,
    source: &CsvFiles,
) -> Result<(Vec<TypedColumn>, Vec<ColumnSummary>)> {
    let decided = columns.values.iter().zip(&survey.columns).map(|(column, seen)| {
        let (typed, missing, note) = seen.decide(column, source)?;
        let summary = ColumnSummary {
            name: column.name.clone(),
            data_type: typed.value_type.data_type(),
            purpose: typed.purpose(),
            nulls: Some(missing),
            distinct: None,
            extent: None,
            note,
        };
        Ok((typed, summary))
    });
    decided.collect()
}
