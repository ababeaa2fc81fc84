//! Kernels for tests.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::error::{Error, Result};
use tributary_core::kernel::{Emit, FoldKernel, Keeps, Kernels, MapKernel, PartContext, Repeats};
use tributary_core::layout::Keys;
use tributary_core::schema::{Field, KeyType, TableSchema};

pub fn all() -> Kernels {
    Kernels::default()
        .map::<Add>()
        .map::<AddSecret>()
        .map::<Odd>()
        .map::<Rekey>()
        .map::<Slow>()
        .map::<Short>()
        .map::<Reverse>()
        .map::<Noise>()
        .fold::<Bad>()
        .fold::<SumKeys>()
        .fold::<Sum>()
}

fn values(rows: &RecordBatch) -> &Int64Array {
    rows.column(1).as_primitive::<Int64Type>()
}

fn with_values(rows: &RecordBatch, values: impl Iterator<Item = i64>) -> Result<RecordBatch> {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    Ok(RecordBatch::try_new(rows.schema(), vec![rows.column(0).clone(), values])?)
}

/// Adds to column `v`; remembers which threads did, and how many rows they saw, for the test with this number.
#[derive(Serialize, Deserialize)]
pub struct Add {
    pub amount: i64,
    pub test: usize,
}

pub static ROWS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
pub static THREADS: Mutex<Vec<(usize, ThreadId)>> = Mutex::new(Vec::new());

pub fn threads_of(test: usize) -> usize {
    let seen = THREADS.lock().unwrap();
    seen.iter().filter(|(number, _)| *number == test).map(|(_, id)| *id).collect::<HashSet<_>>().len()
}

impl MapKernel for Add {
    type Params = Self;
    const NAME: &'static str = "test.add";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.test > 0 {
            ROWS[self.test].fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
            THREADS.lock().unwrap().push((self.test, thread::current().id()));
        }
        with_values(rows, values(rows).values().iter().map(|value| value + self.amount))
    }
}

/// Adds the first byte of its blob.
#[derive(Serialize, Deserialize)]
pub struct AddSecret(pub u8);

impl MapKernel for AddSecret {
    type Params = Self;
    const NAME: &'static str = "test.add_secret";
    const KEEPS: Keeps = Keeps::Both;

    fn open(_: Self, _: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        Ok(Self(blobs[0].bytes()[0]))
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        with_values(rows, values(rows).values().iter().map(|value| value + i64::from(self.0)))
    }
}

/// Rows with an odd value.
#[derive(Serialize, Deserialize)]
pub struct Odd;

impl MapKernel for Odd {
    type Params = Self;
    const NAME: &'static str = "test.odd";
    const KEEPS: Keeps = Keeps::Keys;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let odd = values(rows).values().iter().map(|value| Some(value % 2 != 0)).collect::<BooleanArray>();
        Ok(filter_record_batch(rows, &odd)?)
    }
}

/// The row's number becomes the key, if there is one; else the value does.
#[derive(Serialize, Deserialize)]
pub struct Rekey;

impl MapKernel for Rekey {
    type Params = Self;
    const NAME: &'static str = "test.rekey";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(_: &Self, input: &TableSchema) -> Result<TableSchema> {
        TableSchema::keyed("k", KeyType::UInt64, input.fields().to_vec())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, first_row: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys: ArrayRef = Arc::new(match first_row {
            Some(first) => UInt64Array::from_iter_values(first..first + rows.num_rows() as u64),
            None => values(rows).values().iter().map(|value| *value as u64).collect(),
        });
        let schema = TableSchema::keyed("k", KeyType::UInt64, vec![Field::new("v", DataType::Int64)])?;
        schema.batch(vec![keys, rows.column(1).clone()])
    }
}

/// A millisecond a row; counts rows for the test with this number.
#[derive(Serialize, Deserialize)]
pub struct Slow(pub usize);

impl MapKernel for Slow {
    type Params = Self;
    const NAME: &'static str = "test.slow";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        for _ in 0..rows.num_rows() {
            thread::sleep(Duration::from_millis(1));
            ROWS[self.0].fetch_add(1, Ordering::Relaxed);
        }
        Ok(rows.clone())
    }
}

/// Says that it keeps rows, and drops one.
#[derive(Serialize, Deserialize)]
pub struct Short;

impl MapKernel for Short {
    type Params = Self;
    const NAME: &'static str = "test.short";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        Ok(rows.slice(1, rows.num_rows() - 1))
    }
}

/// Says that it keeps keys, and changes them.
#[derive(Serialize, Deserialize)]
pub struct Reverse;

impl MapKernel for Reverse {
    type Params = Self;
    const NAME: &'static str = "test.reverse";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = rows.column(0).as_primitive::<UInt64Type>().values();
        let keys: ArrayRef = Arc::new(keys.iter().map(|key| !key).collect::<UInt64Array>());
        Ok(RecordBatch::try_new(rows.schema(), vec![keys, rows.column(1).clone()])?)
    }
}

/// Fresh randomness, as far as plans know.
#[derive(Serialize, Deserialize)]
pub struct Noise;

impl MapKernel for Noise {
    type Params = Self;
    const NAME: &'static str = "test.noise";
    const KEEPS: Keeps = Keeps::Both;
    const REPEATS: Repeats = Repeats::Fresh;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        Ok(rows.clone())
    }
}

/// Fails in one place.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Bad {
    PanicInOpen,
    PanicInStart,
    PanicInFold,
    PanicInFinish,
    PanicInDrop,
    PanicWithRows,
    ErrorInFold,
    WrongColumns,
}

pub struct Bomb(Bad);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 == Bad::PanicInDrop && !thread::panicking() {
            panic!("drop");
        }
    }
}

impl FoldKernel for Bad {
    type Params = Self;
    type State = Bomb;
    const NAME: &'static str = "test.bad";

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        if params == Self::PanicInOpen {
            panic!("open");
        }
        Ok(params)
    }
    fn start(&self, _: PartContext) -> Result<Bomb> {
        if *self == Self::PanicInStart {
            panic!("start");
        }
        Ok(Bomb(*self))
    }
    fn fold(&self, _: &mut Bomb, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        match self {
            Self::PanicInFold => panic!("fold"),
            Self::PanicWithRows => panic!("row {rows:?}"),
            Self::ErrorInFold => Err(Error::invalid("a value is missing")),
            Self::WrongColumns => out.emit(rows.project(&[0])?),
            _ => Ok(()),
        }
    }
    fn finish(&self, _: Bomb, _: &mut dyn Emit) -> Result<()> {
        if *self == Self::PanicInFinish {
            panic!("finish");
        }
        Ok(())
    }
}

/// Sums the values of neighbours with one key.
#[derive(Serialize, Deserialize)]
pub struct SumKeys;

impl SumKeys {
    fn flush(state: &mut Option<(ArrayRef, i64)>, out: &mut dyn Emit, schema: &TableSchema) -> Result<()> {
        match state.take() {
            Some((key, sum)) => out.emit(schema.batch(vec![key, Arc::new(Int64Array::from(vec![sum]))])?),
            None => Ok(()),
        }
    }
}

impl FoldKernel for SumKeys {
    type Params = Self;
    type State = (Option<(ArrayRef, i64)>, Option<TableSchema>);
    const NAME: &'static str = "test.sum_keys";
    const KEEPS: Keeps = Keeps::Groups;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok((None, None))
    }
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let key_type = match rows.column(0).data_type() {
            DataType::UInt64 => KeyType::UInt64,
            DataType::Utf8 => KeyType::Utf8,
            _ => KeyType::Binary,
        };
        let schema = super::schema(key_type);
        let keys = Keys::of(rows.column(0))?;
        for (row, value) in values(rows).values().iter().enumerate() {
            let same = match &state.0 {
                Some((last, _)) => Keys::of(last)?.compare(0, &keys, row).is_eq(),
                None => false,
            };
            if !same {
                Self::flush(&mut state.0, out, &schema)?;
                state.0 = Some((rows.column(0).slice(row, 1), 0));
            }
            if let Some((_, sum)) = &mut state.0 {
                *sum += value;
            }
        }
        state.1 = Some(schema);
        Ok(())
    }
    fn finish(&self, mut state: Self::State, out: &mut dyn Emit) -> Result<()> {
        match &state.1 {
            Some(schema) => Self::flush(&mut state.0, out, schema),
            None => Ok(()),
        }
    }
}

/// One row a partition, also of an empty one: its number and the sum.
#[derive(Serialize, Deserialize)]
pub struct Sum;

impl FoldKernel for Sum {
    type Params = Self;
    type State = (u64, i64);
    const NAME: &'static str = "test.sum";

    fn output(_: &Self, _: &TableSchema) -> Result<TableSchema> {
        Ok(super::schema(KeyType::UInt64))
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, part: PartContext) -> Result<Self::State> {
        Ok((u64::from(part.partition), 0))
    }
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        state.1 += values(rows).values().iter().sum::<i64>();
        Ok(())
    }
    fn finish(&self, (partition, sum): Self::State, out: &mut dyn Emit) -> Result<()> {
        out.emit(super::batch(KeyType::UInt64, &[(partition, sum)]))
    }
}
