//! The least that runs kernels: partitions of batches in, batches out, every one checked against the declared schema.

#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; no test uses them all

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::DataType;
use tributary_core::computing::{Blob, BlobKind};
use tributary_core::kernel::{FoldKernel, Keeps, MapKernel, PartContext};
use tributary_core::layout::Keys;
use tributary_core::{Field, Result, TableSchema};

/// A table in partitions.
pub struct Parts {
    pub schema: TableSchema,
    pub parts: Vec<Vec<RecordBatch>>,
}

pub fn secret(bytes: &[u8]) -> Blob {
    Blob { bytes: bytes.to_vec().into(), kind: BlobKind::Secret }
}

impl Parts {
    /// Cuts columns into `partitions` of batches of at most `batch` rows.
    pub fn cut(schema: TableSchema, columns: Vec<ArrayRef>, partitions: usize, batch: usize) -> Self {
        let whole = schema.batch(columns).unwrap();
        let rows = whole.num_rows();
        let part = |p: usize| {
            let (start, end) = (rows * p / partitions, rows * (p + 1) / partitions);
            (start..end).step_by(batch).map(|i| whole.slice(i, batch.min(end - i))).collect()
        };
        Self { schema, parts: (0..partitions).map(part).collect() }
    }

    /// Nullable columns of numbers without a key, by name.
    pub fn of_numbers(columns: &[(&str, Vec<Option<f64>>)], partitions: usize, batch: usize) -> Self {
        let fields =
            columns.iter().map(|(name, _)| Field::new(*name, DataType::Float64).nullable()).collect();
        let arrays =
            columns.iter().map(|(_, values)| Arc::new(Float64Array::from(values.clone())) as ArrayRef);
        Self::cut(TableSchema::new(None, fields).unwrap(), arrays.collect(), partitions, batch)
    }

    pub fn rows(&self) -> Vec<RecordBatch> {
        self.parts.iter().flatten().cloned().collect()
    }

    pub fn map<K: MapKernel>(&self, params: K::Params, blobs: &[Blob]) -> Result<Self> {
        let schema = K::output(&params, &self.schema)?;
        let kernel = K::open(params, &self.schema, blobs)?;
        let map = |rows: &RecordBatch| {
            let mapped = kernel.map(None, rows)?;
            schema.check(&mapped)?;
            let one_for_each = matches!(K::KEEPS, Keeps::Rows | Keeps::Both);
            assert!(!one_for_each || mapped.num_rows() == rows.num_rows());
            Ok(mapped)
        };
        let parts = self.parts.iter().map(|part| part.iter().map(map).collect()).collect::<Result<_>>()?;
        Ok(Self { schema, parts })
    }

    pub fn fold<K: FoldKernel>(&self, params: K::Params) -> Result<Self> {
        let schema = K::output(&params, &self.schema)?;
        let kernel = K::open(params, &self.schema, &[])?;
        let fold = |(partition, part): (u32, &Vec<RecordBatch>)| {
            let partitions = self.parts.len() as u32;
            let mut state = kernel.start(PartContext { partition, partitions, first_row: None })?;
            let mut out = Vec::new();
            part.iter().try_for_each(|rows| kernel.fold(&mut state, rows, &mut out))?;
            kernel.finish(state, &mut out)?;
            out.iter().try_for_each(|rows| schema.check(rows))?;
            Ok(out)
        };
        let parts = (0..).zip(&self.parts).map(fold).collect::<Result<_>>()?;
        Ok(Self { schema, parts })
    }

    /// An exchange to one `Keyed` partition, equal keys adjacent, every row a batch of its own.
    pub fn by_key(&self) -> Self {
        let rows = self.rows().into_iter().flat_map(|b| (0..b.num_rows()).map(move |i| b.slice(i, 1)));
        let mut rows: Vec<RecordBatch> = rows.collect();
        rows.sort_by_key(|row| Keys::of(row.column(0)).unwrap().hash(0));
        Self { schema: self.schema.clone(), parts: vec![rows] }
    }

    /// Two tables side by side.
    pub fn zip(&self, right: &Self) -> Self {
        let fields = [self.schema.fields(), right.schema.fields()].concat();
        let schema = self.schema.with_fields(fields).unwrap();
        let wide =
            |(a, b): (&RecordBatch, &RecordBatch)| schema.batch([a.columns(), b.columns()].concat()).unwrap();
        let parts = self.parts.iter().zip(&right.parts).map(|(a, b)| a.iter().zip(b).map(wide).collect());
        Self { schema: schema.clone(), parts: parts.collect() }
    }
}
