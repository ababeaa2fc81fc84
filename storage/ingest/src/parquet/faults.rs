//! The possible faults of a row of a Parquet file: a value that does not fit its type; a missing id, match id, label or
//! weight; a negative weight.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use tributary_core::layout::hash_bytes;
use tributary_core::{Error, Field, Purpose, Result, TableSchema};
use tributary_parquet::Checked;

use crate::parquet::content::Foreign;
use crate::rejects::{Reason, Reject};
use crate::rowset::RowSet;
use crate::sorter::Sorter;

/// A first pass over files: the columns that are read, and the conditions on each.
pub(super) struct Look<'a> {
    foreign: &'a Foreign,
    schema: TableSchema,
    columns: Vec<Looked>,
}

struct Looked {
    /// Its position in the files.
    position: usize,
    is_key: bool,
    is_weight: bool,
    /// The name of its values in messages, if none may be missing.
    needed: Option<&'static str>,
}

impl<'a> Look<'a> {
    pub fn new(foreign: &'a Foreign) -> Result<Self> {
        let files = &foreign.files;
        let mut fields = Vec::new();
        for field in foreign.read.fields() {
            if needed(&field.purpose).is_some() || files.column(&field.name)?.is_converted(&field.data_type) {
                fields.push(field.clone());
            }
        }
        let key = foreign.read.key().map(|key| (key.name.as_str(), Some("sample id"), Purpose::Value));
        let rest = fields
            .iter()
            .map(|field: &Field| (field.name.as_str(), needed(&field.purpose), field.purpose.clone()));
        let columns = key.into_iter().chain(rest).enumerate().map(|(i, (name, needed, purpose))| {
            let position = files.columns().iter().position(|column| column.name == name);
            let position = position.ok_or_else(|| Error::bug("a column was found before"))?;
            let is_key = i == 0 && foreign.read.key().is_some();
            Ok(Looked { position, is_key, is_weight: purpose == Purpose::Weight, needed })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { foreign, schema: foreign.read.with_fields(fields)?, columns })
    }

    /// Whether no row can be bad, and no id can be repeated.
    pub fn is_needless(&self) -> bool {
        self.columns.is_empty()
    }

    /// Reads a row group, batch by batch.
    pub fn at(&self, group: usize, each: &mut dyn FnMut(Batch<'_>) -> Result<()>) -> Result<()> {
        let mut first = self.foreign.groups[group].row;
        for span in self.foreign.files.spans(group..group + 1) {
            let mut rows = span.rows(&self.schema)?;
            while let Some(checked) = rows.next_checked() {
                let checked = checked?;
                let (rows, faults) = (checked.rows as u64, self.faults(&checked));
                each(Batch { look: self, first, checked, faults })?;
                first += rows;
            }
        }
        Ok(())
    }

    /// The faults: a column and a reason for each bad row.
    fn faults(&self, checked: &Checked) -> BTreeMap<usize, (usize, Reason)> {
        let mut faults = BTreeMap::new();
        for (i, (column, values)) in self.columns.iter().zip(&checked.columns).enumerate() {
            let mut fault = |row: usize, reason: Reason| {
                faults.entry(row).or_insert((column.position, reason));
            };
            for misfit in checked.misfits.iter().filter(|misfit| misfit.column == i && !misfit.is_missing) {
                fault(misfit.row, Reason::Unfit(misfit.reason.clone()));
            }
            if let Some(what) = column.needed.filter(|_| values.null_count() > 0) {
                let missing = (0..values.len()).filter(|row| values.is_null(*row));
                missing.for_each(|row| fault(row, Reason::Missing(what)));
            }
            if column.is_key {
                let ids = values.as_string::<i32>();
                let empty = (0..ids.len()).filter(|row| ids.value_length(*row) == 0 && ids.is_valid(*row));
                empty.for_each(|row| fault(row, Reason::Missing("sample id")));
            }
            if column.is_weight {
                for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
                    match float(values, row) {
                        Some(weight) if weight.is_nan() => fault(row, Reason::Missing("weight")),
                        Some(weight) if weight.is_infinite() => fault(row, Reason::InfiniteWeight),
                        _ if is_negative(values, row) => fault(row, Reason::NegativeWeight),
                        _ => {}
                    }
                }
            }
        }
        faults
    }
}

/// The name of a value in messages, if it may not be missing.
fn needed(purpose: &Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::MatchId => Some("match id"),
        Purpose::Label => Some("label"),
        Purpose::Weight => Some("weight"),
        _ => None,
    }
}

/// Consecutive rows.
pub(super) struct Batch<'a> {
    look: &'a Look<'a>,
    /// Number of the first row, from 0 over all files.
    first: u64,
    checked: Checked,
    faults: BTreeMap<usize, (usize, Reason)>,
}

impl Batch<'_> {
    pub fn rows(&self) -> usize {
        self.checked.rows
    }

    /// Adds the ids of good rows, and the bad rows.
    pub fn note(&self, ids: &mut Sorter<()>, bad: &mut RowSet) -> Result<()> {
        self.faults.keys().for_each(|row| bad.insert(self.first + *row as u64));
        if !self.look.columns.first().is_some_and(|column| column.is_key) {
            return Ok(());
        }
        for (row, id) in self.checked.columns[0].as_string::<i32>().iter().enumerate() {
            if let Some(id) = id.filter(|_| !self.faults.contains_key(&row)) {
                ids.push(hash_bytes(id.as_bytes()), self.first + row as u64, ())?;
            }
        }
        Ok(())
    }

    /// Its bad rows, in order.
    pub fn rejects(&self) -> impl Iterator<Item = Reject> {
        self.faults.iter().map(|(row, (column, reason))| Reject {
            place: self.look.foreign.place(self.first + *row as u64),
            bytes: 0..0,
            column: Some(*column),
            reason: reason.clone(),
        })
    }
}

fn float(values: &ArrayRef, i: usize) -> Option<f64> {
    let double = values.as_primitive_opt::<Float64Type>().map(|values| values.value(i));
    double.or_else(|| values.as_primitive_opt::<Float32Type>().map(|values| values.value(i).into()))
}

fn is_negative(values: &ArrayRef, i: usize) -> bool {
    if let Some(value) = float(values, i) {
        return value < 0.0;
    }
    if let Some(values) = values.as_primitive_opt::<Int64Type>() {
        return values.value(i) < 0;
    }
    values.as_primitive_opt::<Int32Type>().is_some_and(|values| values.value(i) < 0)
}
