//! The suite's own kernels: each shows one thing that engines must get right.

mod watch;
mod wrong;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, Kernels, MapKernel, PartContext};
use tributary_core::{Field, KeyType, Result, TableSchema};

use super::model::{self, Row};

pub use watch::{Inflate, InflateParams, Watch, Watched, WatchedParams};
pub use wrong::{Fail, FailParams, Fresh, How, Lie, Lose, Unlisted, Version1, Version2, When};

/// What an engine under test must know, its executors included: the contract's kernels and the suite's.
pub fn kernels() -> Kernels {
    tributary_core::ops::kernels()
        .map::<Scale>()
        .map::<Shift>()
        .map::<Explode>()
        .fold::<Tag>()
        .fold::<GroupList>()
        .fold::<LastKey>()
        .map::<Watched>()
        .map::<Inflate>()
        .fold::<Fail>()
        .map::<Lie>()
        .fold::<Lose>()
        .fold::<Fresh>()
        .map::<Version1>()
        .map::<ShowBlobs>()
}

fn key_type(input: &TableSchema) -> Result<KeyType> {
    Ok(input.expect_key("a kernel of the suite")?.key_type)
}

fn with_column(output: &TableSchema, rows: &RecordBatch, column: ArrayRef) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns.push(column);
    output.batch(columns)
}

fn with_fields(input: &TableSchema, more: impl IntoIterator<Item = Field>) -> Result<TableSchema> {
    input.with_fields(input.fields().iter().cloned().chain(more).collect())
}

/// Multiplies `x`. Keeps rows and keys.
#[derive(Serialize, Deserialize)]
pub struct Scale {
    /// By how much.
    pub factor: i64,
}

impl MapKernel for Scale {
    type Params = Scale;
    const NAME: &'static str = "suite.scale";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Scale, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let x = model::numbers(rows, 1).into_iter().flatten();
        let x: Int64Array = x.map(|x| x * self.factor).collect();
        let mut columns = rows.columns().to_vec();
        columns[1] = Arc::new(x);
        Ok(RecordBatch::try_new(rows.schema(), columns)?)
    }
}

/// Adds to the key. Keeps rows, not keys.
#[derive(Serialize, Deserialize)]
pub struct Shift {
    /// How much.
    pub by: u64,
}

impl MapKernel for Shift {
    type Params = Shift;
    const NAME: &'static str = "suite.shift";
    const KEEPS: Keeps = Keeps::Rows;

    fn open(params: Shift, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let ids = model::ids(rows.column(0)).into_iter().map(|id| id + self.by);
        let mut columns = rows.columns().to_vec();
        columns[0] = model::keys(key_type_of(rows), ids);
        Ok(RecordBatch::try_new(rows.schema(), columns)?)
    }
}

fn key_type_of(rows: &RecordBatch) -> KeyType {
    match rows.column(0).data_type() {
        DataType::Utf8 => KeyType::Utf8,
        DataType::Binary => KeyType::Binary,
        _ => KeyType::UInt64,
    }
}

/// Gives each row `x` modulo 3 times, numbered in `y`.
#[derive(Serialize, Deserialize)]
pub struct Explode;

impl Explode {
    /// What becomes of one row.
    pub fn row(row: &Row) -> impl Iterator<Item = Row> + use<> {
        let (id, x) = (row.id, row.x);
        (0..x.rem_euclid(3)).map(move |copy| Row { id, x, y: Some(copy) })
    }
}

impl MapKernel for Explode {
    type Params = Explode;
    const NAME: &'static str = "suite.explode";
    const KEEPS: Keeps = Keeps::Nothing;

    fn open(params: Explode, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let exploded: Vec<Row> =
            model::rows(std::slice::from_ref(rows)).iter().flat_map(Explode::row).collect();
        Ok(model::batch(key_type_of(rows), &exploded))
    }
}

/// Adds what a kernel knows about its partition: columns `partition`, `partitions` and `first_row`.
pub struct Tag(TableSchema);

impl FoldKernel for Tag {
    type Params = ();
    type State = PartContext;
    const NAME: &'static str = "suite.tag";
    const KEEPS: Keeps = Keeps::Keys;

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        let number = |name| Field::new(name, DataType::UInt32);
        let first_row = Field::new("first_row", DataType::UInt64).nullable();
        with_fields(input, [number("partition"), number("partitions"), first_row])
    }

    fn open(_: (), input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Self::output(&(), input)?))
    }

    fn start(&self, part: PartContext) -> Result<PartContext> {
        Ok(part)
    }

    fn fold(&self, part: &mut PartContext, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let n = rows.num_rows();
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(UInt32Array::from(vec![part.partition; n])));
        columns.push(Arc::new(UInt32Array::from(vec![part.partitions; n])));
        columns.push(Arc::new(UInt64Array::from(vec![part.first_row; n])));
        out.emit(self.0.batch(columns)?)
    }

    fn finish(&self, _: PartContext, _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

/// One row for each run of equal keys: `xs`, the values of `x` in the order they came.
pub struct GroupList(TableSchema);

impl FoldKernel for GroupList {
    type Params = ();
    type State = Vec<(u64, String)>;
    const NAME: &'static str = "suite.group_list";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        input.with_fields(vec![Field::new("xs", DataType::Utf8)])
    }

    fn open(_: (), input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Self::output(&(), input)?))
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(Vec::new())
    }

    fn fold(&self, groups: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for row in model::rows(std::slice::from_ref(rows)) {
            match groups.last_mut() {
                Some((id, list)) if *id == row.id => list.push_str(&format!(",{}", row.x)),
                _ => groups.push((row.id, row.x.to_string())),
            }
        }
        Ok(())
    }

    fn finish(&self, groups: Self::State, out: &mut dyn Emit) -> Result<()> {
        let keys = model::keys(key_type(&self.0)?, groups.iter().map(|(id, _)| *id));
        let lists = StringArray::from_iter_values(groups.iter().map(|(_, list)| list));
        out.emit(self.0.batch(vec![keys, Arc::new(lists)])?)
    }
}

/// One row for each partition that has rows: its last key, and the sum of `x`.
pub struct LastKey(TableSchema);

impl FoldKernel for LastKey {
    type Params = ();
    type State = Option<(u64, i64)>;
    const NAME: &'static str = "suite.last_key";

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        input.with_fields(vec![Field::new("sum", DataType::Int64)])
    }

    fn open(_: (), input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Self::output(&(), input)?))
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(None)
    }

    fn fold(&self, last: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for row in model::rows(std::slice::from_ref(rows)) {
            *last = Some((row.id, row.x + last.map_or(0, |(_, sum)| sum)));
        }
        Ok(())
    }

    fn finish(&self, last: Self::State, out: &mut dyn Emit) -> Result<()> {
        let Some((id, sum)) = last else {
            return Ok(());
        };
        let key = model::keys(key_type(&self.0)?, [id]);
        out.emit(self.0.batch(vec![key, Arc::new(Int64Array::from(vec![sum]))])?)
    }
}

/// Adds a column that shows the blobs it was opened with: `Plain:abc Secret:de`.
pub struct ShowBlobs(String, TableSchema);

impl MapKernel for ShowBlobs {
    type Params = ();
    const NAME: &'static str = "suite.show_blobs";
    const KEEPS: Keeps = Keeps::Both;

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        with_fields(input, [Field::new("blobs", DataType::Utf8)])
    }

    fn open(_: (), input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        let show = |blob: &Blob| format!("{:?}:{}", blob.kind(), String::from_utf8_lossy(blob.bytes()));
        let text: Vec<String> = blobs.iter().map(show).collect();
        Ok(Self(text.join(" "), Self::output(&(), input)?))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = StringArray::from(vec![self.0.as_str(); rows.num_rows()]);
        with_column(&self.1, rows, Arc::new(column))
    }
}
