//! Times of 96 bits, as older Spark, Hive and Impala write them: nanoseconds over more years than 64 bits of nanoseconds
//! hold.
//!
//! The decoder returns them in microseconds, which keeps the years and drops the rest. To detect dropped digits, they are
//! decoded a second time in nanoseconds, which wrap: the difference of both, modulo 2^64, is exactly the dropped part.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};

use crate::footer::Opened;
use crate::guard::guarded;
use crate::pages::Pages;
use crate::rows::TablePart;

/// A second reader for such columns only, whose batches have the same rows as those of the first.
#[derive(Debug)]
pub(crate) struct Nanos {
    reader: ParquetRecordBatchReader,
}

impl Nanos {
    /// `None` if there are no such columns.
    pub(crate) fn open(
        opened: &Opened,
        pages: &Pages,
        parts: &[TablePart],
        groups: &Range<usize>,
        batch: usize,
    ) -> ParquetResult<Option<Self>> {
        let positions: Vec<usize> = parts
            .iter()
            .filter_map(TablePart::in_file)
            .filter(|part| part.is_int96)
            .map(|part| part.position)
            .collect();
        if positions.is_empty() {
            return Ok(None);
        }
        let field = |(position, field): (usize, &Arc<Field>)| match positions.contains(&position) {
            true => field.as_ref().clone().with_data_type(DataType::Timestamp(TimeUnit::Nanosecond, None)),
            false => field.as_ref().clone(),
        };
        let fields = opened.metadata.schema().fields().iter().enumerate().map(field);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::try_new(opened.metadata.metadata().clone(), options)?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), positions);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(pages.clone(), metadata)
            .with_row_groups(groups.clone().collect())
            .with_projection(mask)
            .with_batch_size(batch)
            .build()?;
        Ok(Some(Self { reader }))
    }

    /// The columns of the next batch, in the order of the file.
    pub(crate) fn next(&mut self) -> ParquetResult<RecordBatch> {
        let batch = guarded(|| self.reader.next().transpose().map_err(ParquetError::from))?;
        batch.ok_or_else(|| ParquetError::EOF("times end before other columns".into()))
    }
}
