//! Kernels that fail, break their promises, differ from run to run or from binary to binary.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, MapKernel, PartContext, Repeats};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

use super::{with_column, with_fields};

/// Fails as its parameters say; passes other rows on.
pub struct Fail(FailParams);

/// Parameters of [`Fail`].
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct FailParams {
    /// In which partition; opening is before all partitions.
    pub partition: u32,
    /// When.
    pub when: When,
    /// How.
    pub how: How,
}

/// When a kernel fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// While it is opened.
    Open,
    /// When the partition begins.
    Start,
    /// At the first rows.
    Rows,
    /// After the last row.
    Finish,
}

/// How a kernel fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// By an error.
    Error,
    /// By a panic.
    Panic,
}

impl FailParams {
    fn at(&self, when: When, partition: Option<u32>) -> Result<()> {
        if when != self.when || partition.is_some_and(|p| p != self.partition) {
            return Ok(());
        }
        match self.how {
            How::Error => Err(Error::new(ErrorKind::Denied, "made to fail")),
            How::Panic => panic!("made to panic"),
        }
    }
}

impl FoldKernel for Fail {
    type Params = FailParams;
    type State = u32;
    const NAME: &'static str = "suite.fail";
    const KEEPS: Keeps = Keeps::Keys;

    fn open(params: FailParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        params.at(When::Open, None)?;
        Ok(Self(params))
    }

    fn start(&self, part: PartContext) -> Result<u32> {
        self.0.at(When::Start, Some(part.partition))?;
        Ok(part.partition)
    }

    fn fold(&self, partition: &mut u32, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        self.0.at(When::Rows, Some(*partition))?;
        out.emit(rows.clone())
    }

    fn finish(&self, partition: u32, _: &mut dyn Emit) -> Result<()> {
        self.0.at(When::Finish, Some(partition))
    }
}

/// Emits batches that are not of the columns it announced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Lie {
    /// Too few.
    Columns,
    /// Of another type.
    Type,
    /// With nulls where it promised none.
    Nulls,
}

impl MapKernel for Lie {
    type Params = Lie;
    const NAME: &'static str = "suite.lie";
    const KEEPS: Keeps = Keeps::Nothing;

    fn open(params: Lie, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let key = rows.column(0).clone();
        let n = rows.num_rows();
        let x: ArrayRef = match self {
            Lie::Columns => return Ok(RecordBatch::try_from_iter([("id", key)])?),
            Lie::Type => Arc::new(UInt32Array::from(vec![1; n])),
            Lie::Nulls => Arc::new(Int64Array::from(vec![None; n])),
        };
        let columns = [("id", key), ("x", x), ("y", rows.column(2).clone())];
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}

/// Promises to keep every row, and loses the last ones of each partition.
pub struct Lose;

impl FoldKernel for Lose {
    type Params = ();
    type State = ();
    const NAME: &'static str = "suite.lose";
    const KEEPS: Keeps = Keeps::Both;

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }

    fn open(_: (), _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self)
    }

    fn start(&self, _: PartContext) -> Result<()> {
        Ok(())
    }

    fn fold(&self, _: &mut (), rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        out.emit(rows.slice(0, rows.num_rows().saturating_sub(1)))
    }

    fn finish(&self, _: (), _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

/// Adds a column that differs from run to run, and is the same all over one run of a partition.
pub struct Fresh(TableSchema);

impl FoldKernel for Fresh {
    type Params = ();
    type State = u64;
    const NAME: &'static str = "suite.fresh";
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(_: &(), input: &TableSchema) -> Result<TableSchema> {
        with_fields(input, [Field::new("fresh", DataType::UInt64)])
    }

    fn open(_: (), input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Self::output(&(), input)?))
    }

    fn start(&self, _: PartContext) -> Result<u64> {
        // From the system's randomness: a counter would start again in each process.
        Ok(RandomState::new().hash_one(0))
    }

    fn fold(&self, drawn: &mut u64, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let column = Arc::new(UInt64Array::from(vec![*drawn; rows.num_rows()]));
        out.emit(with_column(&self.0, rows, column)?)
    }

    fn finish(&self, _: u64, _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

macro_rules! versions {
    ($($type:ident = $version:literal),*) => { $(
        /// One of two versions of a kernel; the engine knows the first.
        #[derive(Serialize, Deserialize)]
        pub struct $type;

        impl MapKernel for $type {
            type Params = $type;
            const NAME: &'static str = "suite.versioned";
            const VERSION: u32 = $version;
            const KEEPS: Keeps = Keeps::Both;

            fn open(params: $type, _: &TableSchema, _: &[Blob]) -> Result<Self> {
                Ok(params)
            }

            fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
                Ok(rows.clone())
            }
        }
    )* };
}

versions!(Version1 = 1, Version2 = 2);

/// A kernel that no engine under test knows.
#[derive(Serialize, Deserialize)]
pub struct Unlisted;

impl MapKernel for Unlisted {
    type Params = Unlisted;
    const NAME: &'static str = "suite.unlisted";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Unlisted, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        Ok(rows.clone())
    }
}
