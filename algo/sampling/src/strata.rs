//! Strata: the rows of each value of a column, whatever its type, by the value as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, KernelCall, MapKernel, PartContext};
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Error, Field, Result, Table, TableSchema};

/// Most values of a column that tells strata apart.
const MAX_STRATA: usize = 10_000;

/// The column that [`NameStrata`] adds.
pub(crate) const STRATUM: &str = ":stratum";

/// The rows of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratum {
    /// The value as text.
    pub value: String,
    /// How many rows have it.
    pub rows: u64,
}

/// The strata of a column, by value. `InvalidInput` for a row without a value, or more than ten thousand values.
pub async fn strata(table: &Table, column: &str) -> Result<Vec<Stratum>> {
    let call = KernelCall::fold::<CountStrata>(&CountStrata { column: column.into() })?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for rows in table.map(call)?.collect().await? {
        let rows_of = rows.column(1).as_primitive::<UInt64Type>();
        for (value, rows) in rows.column(0).as_string::<i32>().iter().flatten().zip(rows_of.values()) {
            *counts.entry(value.to_owned()).or_default() += rows;
        }
    }
    Ok(counts.into_iter().map(|(value, rows)| Stratum { value, rows }).collect())
}

/// The rows of one stratum, with whatever columns they had and [`STRATUM`].
pub(crate) fn only(table: &Table, column: &str, value: &str) -> Result<Table> {
    let named = table.map(KernelCall::map::<NameStrata>(&NameStrata { column: column.into() })?)?;
    let value = Value::Text(value.into());
    named.filter(&Predicate { column: STRATUM.into(), comparison: Comparison::Eq, value })
}

/// A column as text. `InvalidInput` for a row without a value.
pub(crate) fn texts(rows: &RecordBatch, index: usize, name: &str) -> Result<StringArray> {
    let texts = arrow_cast::cast(rows.column(index), &DataType::Utf8)?.as_string::<i32>().clone();
    match texts.null_count() {
        0 => Ok(texts),
        _ => Err(Error::invalid(format!(
            "column {name:?} has a row without a value, so its stratum is not known"
        ))),
    }
}

/// Kernel `sampling.name_strata`: adds a column with the value of another as text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NameStrata {
    column: String,
}

impl NameStrata {
    fn index(&self, rows: &RecordBatch) -> Result<usize> {
        let index = rows.schema().index_of(&self.column);
        index.map_err(|e| Error::bug("a column that was there").because(e))
    }
}

impl MapKernel for NameStrata {
    type Params = NameStrata;
    const NAME: &'static str = "sampling.name_strata";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &NameStrata, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(&params.column)?;
        let more = Field::new(STRATUM, DataType::Utf8);
        input.with_fields(input.fields().iter().cloned().chain([more]).collect())
    }

    fn open(params: NameStrata, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let texts = texts(rows, self.index(rows)?, &self.column)?;
        let mut fields = rows.schema().fields().to_vec();
        fields.push(Arc::new(arrow_schema::Field::new(STRATUM, DataType::Utf8, false)));
        let columns = rows.columns().iter().cloned().chain([Arc::new(texts) as ArrayRef]).collect();
        Ok(RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns)?)
    }
}

/// Kernel `sampling.count_strata`: rows of each value in a partition; read and merged by [`strata`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CountStrata {
    column: String,
}

fn count_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new("value", DataType::Utf8), Field::new("rows", DataType::UInt64)])
}

impl FoldKernel for CountStrata {
    type Params = CountStrata;
    type State = BTreeMap<String, u64>;
    const NAME: &'static str = "sampling.count_strata";

    fn output(params: &CountStrata, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(&params.column)?;
        count_schema()
    }

    fn open(params: CountStrata, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(BTreeMap::new())
    }

    fn fold(&self, counts: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let index = rows.schema().index_of(&self.column);
        let index = index.map_err(|e| Error::bug("a column that was there").because(e))?;
        for value in texts(rows, index, &self.column)?.iter().flatten() {
            if let Some(count) = counts.get_mut(value) {
                *count += 1;
                continue;
            }
            if counts.len() == MAX_STRATA {
                return Err(Error::invalid(format!(
                    "column {:?} has more than {MAX_STRATA} values, too many for strata",
                    self.column
                )));
            }
            counts.insert(value.to_owned(), 1);
        }
        Ok(())
    }

    fn finish(&self, counts: Self::State, out: &mut dyn Emit) -> Result<()> {
        let (values, counts): (Vec<String>, Vec<u64>) = counts.into_iter().unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(values)), Arc::new(UInt64Array::from(counts))];
        out.emit(count_schema()?.batch(columns)?)
    }
}
