//! One row of each key: the first of those that lie next to each other.

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use crate::blob::Blob;
use crate::error::Result;
use crate::kernel::{Emit, FoldKernel, Keeps, PartContext};
use crate::layout::Keys;
use crate::schema::TableSchema;

/// Kernel `table.first`: of rows whose equal keys lie next to each other, the first one of each key.
#[derive(Debug)]
pub struct First;

impl FoldKernel for First {
    type Params = ();
    /// The key of the row before, an array of one.
    type State = Option<ArrayRef>;
    const NAME: &'static str = "table.first";
    const KEEPS: Keeps = Keeps::Groups;

    fn output((): &(), input: &TableSchema) -> Result<TableSchema> {
        input.expect_key("the first row of each key")?;
        Ok(input.clone())
    }

    fn open((): (), _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self)
    }

    fn start(&self, _: PartContext) -> Result<Option<ArrayRef>> {
        Ok(None)
    }

    fn fold(&self, before: &mut Option<ArrayRef>, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let Some(last) = rows.num_rows().checked_sub(1) else { return Ok(()) };
        let keys = Keys::of(rows.column(0))?;
        let follows = match before {
            None => false,
            Some(before) => same(&Keys::of(before)?, 0, &keys, 0),
        };
        let rest = (1..keys.len()).map(|row| !same(&keys, row - 1, &keys, row));
        let first: BooleanArray = std::iter::once(!follows).chain(rest).map(Some).collect();
        *before = Some(rows.column(0).slice(last, 1));
        out.emit(filter_record_batch(rows, &first)?)
    }

    fn finish(&self, _: Option<ArrayRef>, _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

fn same(left: &Keys<'_>, i: usize, right: &Keys<'_>, j: usize) -> bool {
    match (left, right) {
        (Keys::UInt64(left), Keys::UInt64(right)) => left[i] == right[j],
        (Keys::Utf8(left), Keys::Utf8(right)) => left.value(i) == right.value(j),
        (Keys::Binary(left), Keys::Binary(right)) => left.value(i) == right.value(j),
        _ => false,
    }
}
