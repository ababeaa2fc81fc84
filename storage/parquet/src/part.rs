//! Reads one part of our tables as rows, a row group at a time. The manifest decides: a file whose columns, rows or bytes
//! differ from it is `Corrupt`, and the error names file and column.
//!
//! The decoder is `parquet`'s push decoder: it requests bytes, which we read from the store. It was written for trusted
//! files and asserts some properties of its input. So those that are cheap to check are checked first, and a panic is caught
//! and reported as corruption.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt, stream};
use parquet::DecodeResult;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};
use sha2::{Digest, Sha256};

use tributary_core::computing::RowStream;
use tributary_core::storage::Part;
use tributary_core::{Error, ErrorKind, Result, TableSchema};

use crate::encode::{digest_text, rows_in};
use tributary_core::bytestore::ByteStore;

/// Bytes fetched first: nearly every footer fits, and many small parts fit completely.
const TAIL_BYTES: u64 = 64 << 10;
/// Ranges closer than this are fetched as one; a row group's columns are adjacent.
const GAP_BYTES: u64 = 64 << 10;
/// Bytes fetched at once to compute a digest.
const DIGEST_BYTES: u64 = 8 << 20;
/// Memory of a decoded batch, about.
const BATCH_BYTES: usize = 4 << 20;

/// One stored part, for reading.
#[derive(Debug, Clone)]
pub struct PartFile {
    /// The store that holds it.
    pub store: Arc<dyn ByteStore>,
    /// Its path within the store.
    pub path: String,
    /// The part as the manifest describes it.
    pub part: Part,
}

impl PartFile {
    /// The rows. Checks columns and counts of the footer first.
    pub async fn rows(self, schema: &TableSchema) -> Result<RowStream> {
        let footer = self.check_footer(schema).await?;
        let decoder = self.guard(|| {
            let options = ArrowReaderOptions::new().with_schema(schema.arrow().clone());
            ParquetPushDecoderBuilder::try_new_decoder_with_options(footer, options)?
                .with_batch_size(rows_in(schema, BATCH_BYTES))
                .build()
        })?;
        let left = self.part.size.rows;
        let scan = Scan { file: self, decoder, left };
        Ok(stream::try_unfold(
            scan,
            |mut scan| async move { Ok(scan.next().await?.map(|rows| (rows, scan))) },
        )
        .boxed())
    }

    /// Compares size, digest and footer with the manifest.
    pub async fn verify(&self, schema: &TableSchema) -> Result<()> {
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        loop {
            let chunk = self.store.get(&self.path, bytes..bytes + DIGEST_BYTES).await?;
            digest.update(&chunk);
            bytes += chunk.len() as u64;
            if (chunk.len() as u64) < DIGEST_BYTES {
                break;
            }
        }
        if bytes != self.part.size.bytes {
            return Err(self.corrupt(format!("{bytes} bytes, expected {}", self.part.size.bytes)));
        }
        let digest = digest_text(digest);
        if digest != self.part.digest {
            return Err(
                self.corrupt(format!("its bytes have the digest {digest}, expected {}", self.part.digest))
            );
        }
        self.check_footer(schema).await.map(|_| ())
    }

    async fn check_footer(&self, schema: &TableSchema) -> Result<Arc<ParquetMetaData>> {
        let footer = self.footer().await?;
        self.check_columns(&footer, schema)?;
        self.check_row_groups(&footer)?;
        Ok(Arc::new(footer))
    }

    async fn footer(&self) -> Result<ParquetMetaData> {
        let bytes = self.part.size.bytes;
        let mut decoder = self.guard(|| {
            Ok(ParquetMetaDataPushDecoder::try_new(bytes)?.with_page_index_policy(PageIndexPolicy::Skip))
        })?;
        let tail = bytes.saturating_sub(TAIL_BYTES)..bytes;
        let mut wanted: Vec<_> = std::iter::once(tail).collect();
        loop {
            let fetched = self.fetch(&wanted).await?;
            let step = self.guard(|| {
                decoder.push_ranges(wanted, fetched)?;
                decoder.try_decode()
            })?;
            match step {
                DecodeResult::Data(footer) => return Ok(footer),
                DecodeResult::NeedsData(ranges) => wanted = ranges,
                DecodeResult::Finished => return Err(self.corrupt("no footer")),
            }
        }
    }

    fn check_columns(&self, footer: &ParquetMetaData, schema: &TableSchema) -> Result<()> {
        let expected = ArrowSchemaConverter::new()
            .convert(schema.arrow())
            .map_err(|e| self.corrupt("no Parquet file has the manifest's columns").because(e))?;
        let expected = expected.root_schema().get_fields();
        let found = footer.file_metadata().schema_descr().root_schema().get_fields();
        if let Some((expected, _)) = expected.iter().zip(found).find(|(expected, found)| expected != found) {
            return Err(self.corrupt(format!("column {:?} is not as the manifest says", expected.name())));
        }
        if found.len() != expected.len() {
            return Err(self.corrupt(format!("{} columns, expected {}", found.len(), expected.len())));
        }
        Ok(())
    }

    fn check_row_groups(&self, footer: &ParquetMetaData) -> Result<()> {
        let mut rows = 0i64;
        for group in footer.row_groups() {
            let total = (group.num_rows() >= 0).then(|| rows.checked_add(group.num_rows())).flatten();
            rows = total.ok_or_else(|| self.corrupt("impossible row counts"))?;
            for column in group.columns() {
                let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
                let end = start.checked_add(column.compressed_size());
                let fits = start >= 0
                    && column.compressed_size() >= 0
                    && end.is_some_and(|end| end as u64 <= self.part.size.bytes);
                if !fits {
                    let name = column.column_path().string();
                    return Err(self.corrupt(format!("column {name:?} is outside of the file")));
                }
            }
        }
        if u64::try_from(rows) != Ok(self.part.size.rows) {
            return Err(self.corrupt(format!("{rows} rows, expected {}", self.part.size.rows)));
        }
        Ok(())
    }

    /// The bytes of each range; near ranges are fetched together.
    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.iter().any(|range| range.start > range.end || range.end > self.part.size.bytes) {
            return Err(self.corrupt("its footer points outside of it"));
        }
        let mut spans: Vec<(Range<u64>, Bytes)> =
            merge(ranges).into_iter().map(|r| (r, Bytes::new())).collect();
        for (span, bytes) in &mut spans {
            *bytes = self.exactly(span.clone()).await?;
        }
        let slice = |range: &Range<u64>| {
            let (span, bytes) =
                spans.iter().find(|(span, _)| span.start <= range.start && range.end <= span.end)?;
            Some(bytes.slice((range.start - span.start) as usize..(range.end - span.start) as usize))
        };
        let slices: Option<Vec<Bytes>> = ranges.iter().map(slice).collect();
        slices.ok_or_else(|| Error::bug("merged ranges do not cover what was asked for"))
    }

    async fn exactly(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.store.get(&self.path, range.clone()).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(self.corrupt(format!("it ends before byte {}", range.end)));
        }
        Ok(bytes)
    }

    fn guard<T>(&self, decode: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(self.corrupt("it cannot be decoded").because(reason)),
            Err(_) => Err(self.corrupt("the decoder panicked")),
        }
    }

    fn corrupt(&self, what: impl Into<String>) -> Error {
        let file = format!("{}/{}", self.store.base(), self.path);
        Error::new(ErrorKind::Corrupt, format!("{}; restore the file, or write the table again", what.into()))
            .at(file)
    }
}

struct Scan {
    file: PartFile,
    decoder: ParquetPushDecoder,
    left: u64,
}

impl Scan {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.file.guard(|| self.decoder.try_decode())? {
                DecodeResult::NeedsData(ranges) => {
                    let fetched = self.file.fetch(&ranges).await?;
                    self.file.guard(|| self.decoder.push_ranges(ranges, fetched))?;
                }
                DecodeResult::Data(rows) => {
                    let left = self.left.checked_sub(rows.num_rows() as u64);
                    self.left = left.ok_or_else(|| self.file.corrupt("more rows than its footer says"))?;
                    return Ok(Some(rows));
                }
                DecodeResult::Finished if self.left > 0 => {
                    return Err(self.file.corrupt(format!("{} rows fewer than its footer says", self.left)));
                }
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}

/// The fewest ranges that cover these, across gaps of at most [`GAP_BYTES`].
fn merge(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES) => {
                last.end = last.end.max(range.end)
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranges_are_fetched_together_and_far_ones_apart() {
        assert_eq!(merge(&[100..200, 0..100, 150..180]), vec![0..200]);
        assert_eq!(merge(&[0..10, 1 << 20..(1 << 20) + 5]), vec![0..10, 1 << 20..(1 << 20) + 5]);
        assert_eq!(merge(&[]), Vec::<Range<u64>>::new());
    }
}
