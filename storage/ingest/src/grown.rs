//! A table with added rows: those of the existing table, then those of the files.

use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use futures::executor::block_on_stream;
use tributary_core::computing::RowStream;
use tributary_core::{Error, Field, Result, TableSchema};

use crate::content::{Content, Preview, shown};
use crate::old::OldTable;
use crate::progress::Meter;
use crate::rowset::RowSet;

/// The merged schema: the table's columns, where features may be missing if the files lack some values.
#[derive(Debug)]
pub(crate) struct Grown {
    old: Arc<OldTable>,
    /// Rows of the table that rows of the files replace.
    replaced: Arc<RowSet>,
    new: Arc<dyn Content>,
    schema: TableSchema,
}

impl Grown {
    /// The new rows have the table's columns, in its order.
    pub fn new(old: Arc<OldTable>, replaced: RowSet, new: Arc<dyn Content>) -> Result<Self> {
        let fields = old.schema().fields().iter().zip(new.schema().fields());
        let both = fields.map(|(old, new)| {
            let same = (&old.name, &old.data_type, &old.purpose) == (&new.name, &new.data_type, &new.purpose);
            let field = Field { nullable: old.nullable || new.nullable, ..old.clone() };
            same.then_some(field)
                .ok_or_else(|| Error::bug(format!("column {:?} was read as another one", old.name)))
        });
        let schema = old.schema().with_fields(both.collect::<Result<_>>()?)?;
        Ok(Self { old, replaced: Arc::new(replaced), new, schema })
    }

    /// The number of rows of the table that stay.
    pub fn kept(&self) -> u64 {
        self.old.rows() - self.replaced.len()
    }
}

impl Content for Grown {
    fn schema(&self) -> &TableSchema {
        &self.schema
    }

    fn rows(&self) -> u64 {
        self.kept() + self.new.rows()
    }

    fn bytes(&self) -> u64 {
        self.old.bytes() + self.new.bytes()
    }

    fn describe(&self) -> String {
        self.new.describe()
    }

    fn batches(self: Arc<Self>, rows: Range<u64>, meter: &Arc<Meter>) -> RowStream {
        let kept = self.kept();
        let of_old = rows.start.min(kept)..rows.end.min(kept);
        let of_new = rows.start.saturating_sub(kept)..rows.end.saturating_sub(kept);
        let old = self.old.clone().batches(of_old, &self.replaced, Some(meter.clone()));
        let new = self.new.clone().batches(of_new, meter);
        old.chain(new).map(move |batch| self.schema.batch(batch?.columns().to_vec())).boxed()
    }

    fn preview(self: Arc<Self>, limit: usize, meter: &Meter) -> Result<Preview> {
        let of_old = 0..self.kept().min(limit as u64);
        let mut rows = Preview::new();
        for batch in block_on_stream(self.old.clone().batches(of_old, &self.replaced, None)) {
            rows.append(&mut shown(batch?)?);
        }
        rows.append(&mut self.new.clone().preview(limit - rows.len(), meter)?);
        Ok(rows)
    }
}
