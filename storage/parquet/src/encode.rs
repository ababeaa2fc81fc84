//! Rows into one Parquet file, streaming: memory holds one row group, whatever the length of the part.
//!
//! A row group ends at 256 Ki rows or 16 MiB, whichever comes first: large enough for tools that skip by statistics,
//! small enough that sixteen parts written at once take half a gigabyte. Settings per column are in [`properties`].

use std::future::poll_fn;
use std::mem::take;
use std::sync::Arc;
use std::task::Poll;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef, Schema};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use tributary_core::computing::{PartSize, RowStream};
use tributary_core::{Error, Purpose, Result, TableSchema};

use tributary_core::bytestore::Upload;

const ROW_GROUP_ROWS: usize = 256 << 10;
const ROW_GROUP_BYTES: usize = 16 << 20;
/// Bytes passed to the store at once; see [`Upload::write`].
const CHUNK_BYTES: usize = 8 << 20;
/// Bytes of rows encoded between two yields: about 10 ms, so that a cancelled action stops in time.
const SLICE_BYTES: usize = 4 << 20;
/// A column with more distinct values than fit here is written plain. An eighth of the usual: for distinct numbers the
/// attempt costs a tenth of the time, while the usual limit doubles it, and columns with few values still gain.
const DICTIONARY_BYTES: usize = 128 << 10;

/// The written file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Rows and bytes.
    pub size: PartSize,
    /// The digest of the bytes: `sha256:` and hex.
    pub digest: String,
}

/// Encodes a stream into an upload, which the caller finishes. `InvalidInput` for a batch that does not fit `schema`.
pub async fn write_rows(
    schema: &TableSchema,
    mut rows: RowStream,
    upload: &mut dyn Upload,
) -> Result<Written> {
    let mut part = PartEncoder::new(schema)?;
    let slice_rows = rows_in(schema, SLICE_BYTES);
    while let Some(batch) = rows.next().await {
        let batch = adopt(schema, batch?)?;
        for start in (0..batch.num_rows()).step_by(slice_rows) {
            part.push(&batch.slice(start, slice_rows.min(batch.num_rows() - start)))?;
            if let Some(bytes) = part.take_chunk() {
                upload.write(bytes).await?;
            }
            yield_once().await;
        }
    }
    let (bytes, written) = part.finish()?;
    upload.write(bytes).await?;
    Ok(written)
}

/// `InvalidInput` for a schema that no Parquet file can hold.
pub fn check_schema(schema: &TableSchema) -> Result<()> {
    if schema.arrow().fields().is_empty() {
        return Err(Error::invalid("a stored table needs at least one column"));
    }
    PartEncoder::new(schema).map(|_| ())
}

/// About how many rows of this schema take this many bytes in memory: at least 1, at most 16 Ki.
pub(crate) fn rows_in(schema: &TableSchema, bytes: usize) -> usize {
    let width = |data_type: &DataType| match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(0),
        DataType::List(_) => 128,
        other => other.primitive_width().unwrap_or(32),
    };
    let row: usize = schema.arrow().fields().iter().map(|f| width(f.data_type())).sum();
    (bytes / row.max(1)).clamp(1, 16 << 10)
}

/// The batch with the schema's names: engines may use others.
fn adopt(schema: &TableSchema, batch: RecordBatch) -> Result<RecordBatch> {
    schema.check(&batch)?;
    let (_, columns, _) = batch.into_parts();
    schema.batch(columns)
}

struct PartEncoder {
    writer: ArrowWriter<Vec<u8>>,
    digest: Sha256,
    size: PartSize,
}

impl PartEncoder {
    fn new(schema: &TableSchema) -> Result<Self> {
        let mut properties = properties(schema);
        add_encoded_arrow_schema_to_metadata(&as_others_see_it(schema), &mut properties);
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.arrow().clone(), options)
            .map_err(|e| Error::invalid(format!("Parquet cannot hold {schema:?}")).because(e))?;
        Ok(Self { writer, digest: Sha256::new(), size: PartSize::default() })
    }

    fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        self.size.rows += rows.num_rows() as u64;
        self.writer.write(rows).map_err(encode_failed)
    }

    /// The encoded bytes, once there are enough to send.
    fn take_chunk(&mut self) -> Option<Bytes> {
        let done = self.writer.inner_mut();
        if done.len() < CHUNK_BYTES {
            return None;
        }
        let bytes = take(done);
        Some(self.count(bytes))
    }

    fn finish(mut self) -> Result<(Bytes, Written)> {
        self.writer.finish().map_err(encode_failed)?;
        let bytes = take(self.writer.inner_mut());
        let bytes = self.count(bytes);
        Ok((bytes, Written { size: self.size, digest: digest_text(self.digest) }))
    }

    fn count(&mut self, bytes: Vec<u8>) -> Bytes {
        self.digest.update(&bytes);
        self.size.bytes += bytes.len() as u64;
        bytes.into()
    }
}

fn encode_failed(reason: parquet::errors::ParquetError) -> Error {
    Error::invalid("the rows cannot be encoded as Parquet").because(reason)
}

/// The digest of some bytes, in the form of a part: `sha256:` and hex.
pub fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new().chain_update(bytes))
}

/// `sha256:` and the digest as hex.
pub(crate) fn digest_text(digest: Sha256) -> String {
    let hex = HEXLOWER.encode(&digest.finalize());
    format!("sha256:{hex}")
}

/// Snappy, a dictionary where it may help, statistics for each row group. None of these for fixed-size bytes, because
/// hashes, points and ciphertexts are random.
fn properties(schema: &TableSchema) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("tributary ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for field in schema.fields() {
        let column = ColumnPath::from(field.name.clone());
        properties = match field.data_type {
            DataType::FixedSizeBinary(_) => properties
                .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            DataType::Binary | DataType::List(_) => properties,
            _ => properties.set_column_dictionary_enabled(column, true),
        };
    }
    properties.build()
}

/// The Arrow schema in a file: categories are dictionaries there, which pandas turns into its own categories. For us, and
/// for readers that ignore this schema, the values are text.
fn as_others_see_it(schema: &TableSchema) -> Schema {
    let shown = |(field, known): (&FieldRef, Option<&Purpose>)| match known {
        Some(Purpose::Category) => {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(dictionary))
        }
        _ => field.clone(),
    };
    let key = schema.key().map(|_| None);
    let purposes = key.into_iter().chain(schema.fields().iter().map(|field| Some(&field.purpose)));
    Schema::new(schema.arrow().fields().iter().zip(purposes).map(shown).collect::<Vec<_>>())
}

/// Yields to the executor: a store of local files never waits, and a future that never yields cannot be dropped.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tributary_core::{Field, KeyType};

    use super::*;

    #[test]
    fn categories_are_dictionaries_to_others_and_text_to_us() {
        let fields = vec![
            Field::new("plain", DataType::Utf8),
            Field::new("kind", DataType::Utf8).nullable().purpose(Purpose::Category),
        ];
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
        let text = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let some = text([Some("a"), Some("b"), Some("c")]);
        let rows = schema.batch(vec![some.clone(), some, text([Some("red"), None, Some("red")])]).unwrap();
        let mut part = PartEncoder::new(&schema).unwrap();
        part.push(&rows).unwrap();
        let (bytes, _) = part.finish().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
        let types: Vec<String> =
            reader.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
        assert_eq!(types, ["Utf8", "Utf8", "Dictionary(Int32, Utf8)"]);
        // as our own reader requests it
        let options =
            parquet::arrow::arrow_reader::ArrowReaderOptions::new().with_schema(schema.arrow().clone());
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
        let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(read, [rows]);
    }
}
