//! Reads one part of our tables as rows, a row group at a time. The manifest decides: a file whose columns, rows or bytes
//! differ from it is `Corrupt`, and the error names file and column.
//!
//! The decoder is `parquet`'s push decoder: it requests bytes, which we read from the store. It was written for trusted
//! files and asserts some properties of its input. So those that are cheap to check are checked first, and a panic is caught
//! and reported as corruption.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, stream};
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::push_decoder::ParquetPushDecoderBuilder;
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};
use sha2::{Digest, Sha256};

use tributary_core::computing::RowStream;
use tributary_core::media::coalesce;
use tributary_core::storage::Part;
use tributary_core::wanted::Wanted;
use tributary_core::{Error, ErrorKind, Result, TableSchema};

use crate::encode::{digest_text, rows_in};
use crate::scan::{Groups, Scan};
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
    /// All of its bytes, if they came with the footer.
    whole: Option<Bytes>,
}

impl PartFile {
    /// A part at a path of a store. Nothing is read.
    pub fn new(store: Arc<dyn ByteStore>, path: String, part: Part) -> Self {
        Self { store, path, part, whole: None }
    }

    /// The wanted rows and columns; others are not fetched, as far as columns are apart and rows are of other groups. Checks columns
    /// and counts of the footer first.
    pub async fn rows(mut self, schema: &TableSchema, wanted: &Wanted) -> Result<RowStream> {
        let rows = wanted.rows.clone().unwrap_or(0..self.part.size.rows);
        if rows.is_empty() {
            self.check_footer(schema).await?;
            return Ok(stream::empty().boxed());
        }
        let footer = self.check_footer(schema).await?;
        let groups = Groups::of(&footer, &rows, wanted.columns.as_deref());
        let left = rows.end - rows.start;
        let decoder = self.guard(|| {
            let options = ArrowReaderOptions::new().with_schema(schema.arrow().clone());
            let mut decoder = ParquetPushDecoderBuilder::try_new_decoder_with_options(footer, options)?
                .with_batch_size(rows_in(schema, BATCH_BYTES));
            if let Some(columns) = &wanted.columns {
                let mask = ProjectionMask::roots(decoder.parquet_schema(), columns.iter().copied());
                decoder = decoder.with_projection(mask);
            }
            if wanted.rows.is_some() {
                decoder = decoder
                    .with_row_groups(groups.numbers.clone())
                    .with_offset((rows.start - groups.skipped) as usize)
                    .with_limit(left as usize);
            }
            decoder.build()
        })?;
        Ok(Scan::new(self, decoder, groups, left).rows())
    }

    /// Compares size, digest and footer with the manifest.
    pub async fn verify(&mut self, schema: &TableSchema) -> Result<()> {
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

    async fn check_footer(&mut self, schema: &TableSchema) -> Result<Arc<ParquetMetaData>> {
        let footer = self.footer().await?;
        self.check_columns(&footer, schema)?;
        self.check_row_groups(&footer)?;
        Ok(Arc::new(footer))
    }

    async fn footer(&mut self) -> Result<ParquetMetaData> {
        let bytes = self.part.size.bytes;
        let mut decoder = self.guard(|| {
            Ok(ParquetMetaDataPushDecoder::try_new(bytes)?.with_page_index_policy(PageIndexPolicy::Skip))
        })?;
        let tail = bytes.saturating_sub(TAIL_BYTES)..bytes;
        let mut wanted: Vec<_> = std::iter::once(tail).collect();
        loop {
            let fetched = self.fetch(&wanted).await?;
            if let ([range], [all]) = (wanted.as_slice(), fetched.as_slice())
                && *range == (0..bytes)
            {
                self.whole = Some(all.clone());
            }
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
    pub(crate) async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let slices = slices(&self.fetch_spans(ranges).await?, ranges);
        slices.ok_or_else(|| Error::bug("merged ranges do not cover what was asked for"))
    }

    /// The bytes of the fewest ranges that cover these.
    pub(crate) async fn fetch_spans(&self, ranges: &[Range<u64>]) -> Result<Vec<(Range<u64>, Bytes)>> {
        if ranges.iter().any(|range| range.start > range.end || range.end > self.part.size.bytes) {
            return Err(self.corrupt("its footer points outside of it"));
        }
        let fetched = coalesce(ranges, GAP_BYTES).into_iter().map(async |range| {
            let bytes = self.exactly(range.clone()).await?;
            Ok((range, bytes))
        });
        try_join_all(fetched).await
    }

    async fn exactly(&self, range: Range<u64>) -> Result<Bytes> {
        if let Some(whole) = &self.whole {
            return Ok(whole.slice(range.start as usize..range.end as usize));
        }
        let bytes = self.store.get(&self.path, range.clone()).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(self.corrupt(format!("it ends before byte {}", range.end)));
        }
        Ok(bytes)
    }

    pub(crate) fn guard<T>(&self, decode: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(self.corrupt("it cannot be decoded").because(reason)),
            Err(_) => Err(self.corrupt("the decoder panicked")),
        }
    }

    pub(crate) fn corrupt(&self, what: impl Into<String>) -> Error {
        let file = format!("{}/{}", self.store.base(), self.path);
        Error::new(ErrorKind::Corrupt, format!("{}; restore the file, or write the table again", what.into()))
            .at(file)
    }
}

/// The bytes of ranges that lie within these spans.
pub(crate) fn slices(spans: &[(Range<u64>, Bytes)], ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
    let slice = |range: &Range<u64>| {
        let (span, bytes) =
            spans.iter().find(|(span, _)| span.start <= range.start && range.end <= span.end)?;
        Some(bytes.slice((range.start - span.start) as usize..(range.end - span.start) as usize))
    };
    ranges.iter().map(slice).collect()
}
