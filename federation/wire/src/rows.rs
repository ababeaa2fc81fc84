//! Rows as records: one Arrow IPC record batch each, without its schema, which the header has.
//!
//! Decoding trusts nothing. Lengths and offsets are checked against the bytes before Arrow sees them, Arrow's own validation
//! is on (UTF-8, offsets, counts of nulls), and a panic inside it is caught and becomes the same error. Encoding sends only
//! what a receiver may see: what is in memory under a null is replaced by zeros first.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::Buffer;
use arrow_data::transform::MutableArrayData;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use bytes::Bytes;
use tributary_core::{Result, ResultExt, Shown, TableSchema};

/// Aimed at for one record: large enough that its metadata is negligible, small enough to be worked on while the
/// next one is on its way.
const RECORD_BYTES: usize = 1 << 20;

/// Buffers start at multiples of this: enough for any type here, so that receivers need not copy.
const ALIGNMENT: usize = 16;

/// What an Arrow message begins with; the length of its metadata follows.
const CONTINUES: [u8; 4] = [0xff; 4];

/// Turns batches into records.
pub(crate) struct Encoder(StreamEncoder);

impl Encoder {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).at(|| "encode rows")?;
        let encoder = StreamEncoder::try_new_with_options(schema, options);
        let mut encoder = encoder.at(|| "encode rows")?;
        // The schema goes before the first batch, and is in the header of the table already.
        drop(encoder.encode(&RecordBatch::new_empty(schema.clone())).at(|| "encode rows")?);
        Ok(Self(encoder))
    }

    /// A record, in parts. Most are the batch's own buffers, which are not copied.
    pub(crate) fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<Bytes>> {
        let columns = rows.columns().iter().map(without_hidden_values).collect::<Result<_, _>>()?;
        let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(rows.schema(), columns, &count)?;
        let parts = self.0.encode(&rows).at(|| "encode rows")?;
        Ok(parts.into_iter().map(|part| Bytes::from_owner(Owner(part))).collect())
    }
}

/// Keeps a buffer for as long as its bytes are on the way.
struct Owner(Buffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Cuts a batch so that each part makes a record of about [`RECORD_BYTES`].
pub(crate) fn cut(rows: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let bytes: usize = rows.columns().iter().map(bytes_of).sum();
    let step = (rows.num_rows().saturating_mul(RECORD_BYTES) / bytes.max(1)).max(1);
    (0..rows.num_rows()).step_by(step).map(move |from| rows.slice(from, step.min(rows.num_rows() - from)))
}

/// Bytes of the values of this slice; Arrow's own measure counts all items of a sliced list.
fn bytes_of(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::List(_) => {
            let offsets = column.as_list::<i32>().value_offsets();
            let items = offsets.last().zip(offsets.first()).map_or(0, |(end, start)| (end - start) as usize);
            4 * offsets.len() + 8 * items
        }
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    }
}

/// A null keeps its place; the value computed under it is not sent.
fn without_hidden_values(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let Some(nulls) = column.nulls().filter(|n| n.null_count() > 0) else { return Ok(column.clone()) };
    let data = column.to_data();
    let mut clean = MutableArrayData::new(vec![&data], true, data.len());
    let mut at = 0;
    for (start, end) in nulls.valid_slices() {
        clean.try_extend_nulls(start - at)?;
        clean.try_extend(0, start, end)?;
        at = end;
    }
    clean.try_extend_nulls(data.len() - at)?;
    Ok(make_array(clean.freeze()))
}

/// Rows of a record; the reason when it is not one of such rows.
pub(crate) fn decode(record: &Buffer, schema: &TableSchema) -> Result<RecordBatch, String> {
    let (mark, rest) = record.split_first_chunk().ok_or("no metadata")?;
    let (length, rest) = rest.split_first_chunk().ok_or("no metadata")?;
    let length = u32::from_le_bytes(*length) as usize;
    let metadata = rest.get(..length).ok_or("metadata longer than the record")?;
    let body_at = mark.len() + size_of::<u32>() + length;
    if *mark != CONTINUES || !body_at.is_multiple_of(ALIGNMENT) {
        return Err("no Arrow message".into());
    }
    let body = record.slice(body_at);
    let message = root_as_message(metadata).map_err(shown)?;
    if message.header_type() != MessageHeader::RecordBatch || message.version() != MetadataVersion::V5 {
        return Err(format!("a {:?} of version {:?}", message.header_type(), message.version()));
    }
    let batch = message.header_as_record_batch().ok_or("no record batch")?;
    check_ranges(&batch, body.len())?;
    let decode = || {
        let dictionaries = HashMap::new();
        RecordBatchDecoder::try_new(
            &body,
            batch,
            schema.arrow().clone(),
            &dictionaries,
            &MetadataVersion::V5,
        )?
        .read_record_batch()
    };
    let rows = catch_unwind(AssertUnwindSafe(decode))
        .map_err(|_| "columns that cannot be".to_string())?
        .map_err(|e: ArrowError| shown(e))?;
    schema.check(&rows).map_err(|e| e.to_string())?;
    check_items(&rows)?;
    check_slack(&rows, record.len())?;
    Ok(rows)
}

/// What a library says about bytes of a peer; names that the peer chose may be in it.
fn shown(error: impl std::fmt::Display) -> String {
    Shown::new(&error.to_string()).to_string()
}

/// What Arrow takes on trust or answers with a panic.
fn check_ranges(batch: &arrow_ipc::RecordBatch<'_>, body_bytes: usize) -> Result<(), String> {
    if batch.compression().is_some() || batch.variadicBufferCounts().is_some_and(|v| !v.is_empty()) {
        return Err("compression or views, which are not in use".into());
    }
    if batch.length() < 0 {
        return Err("a negative number of rows".into());
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let end = range.and_then(|(offset, length)| offset.checked_add(length));
        if end.is_none_or(|end| end > body_bytes) {
            return Err("a column outside of the record".into());
        }
    }
    for node in batch.nodes().into_iter().flatten() {
        // One bit is the least that a value takes.
        let most = body_bytes.saturating_mul(8);
        if usize::try_from(node.length()).is_ok_and(|n| n <= most)
            && (0..=node.length()).contains(&node.null_count())
        {
            continue;
        }
        return Err(format!("a column of {} values in {body_bytes} bytes", node.length()));
    }
    Ok(())
}

/// Rows keep their whole record in memory and are charged for what they show, so a record must not hold much else.
fn check_slack(rows: &RecordBatch, record_bytes: usize) -> Result<(), String> {
    const PADDING_OF_A_COLUMN: usize = 1 << 10;
    let shown: usize = rows.columns().iter().map(bytes_of).sum();
    let most = 2 * shown + (64 << 10) + rows.num_columns() * PADDING_OF_A_COLUMN;
    if record_bytes <= most {
        return Ok(());
    }
    Err(format!("a record of {record_bytes} bytes for rows of {shown}"))
}

/// Arrow does not look for nulls among a list's items.
fn check_items(rows: &RecordBatch) -> Result<(), String> {
    for column in rows.columns() {
        if let DataType::List(item) = column.data_type()
            && !item.is_nullable()
            && column.as_list::<i32>().values().null_count() > 0
        {
            return Err("nulls in a list that has none".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{Int32Array, StringArray};
    use arrow_buffer::NullBuffer;
    use proptest::prelude::*;
    use tributary_core::{Field, KeyType};

    use super::*;

    fn encoded(rows: &RecordBatch) -> Vec<u8> {
        Encoder::new(rows.schema_ref()).unwrap().encode(rows).unwrap().concat()
    }

    fn schema() -> TableSchema {
        let list = DataType::List(Arc::new(arrow_schema::Field::new("item", DataType::Float64, true)));
        let fields = vec![
            Field::new("n", DataType::Int32).nullable(),
            Field::new("flag", DataType::Boolean),
            Field::new("list", list).nullable(),
        ];
        TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
    }

    fn rows(count: usize) -> RecordBatch {
        let mut list = ListBuilder::new(Float64Builder::new());
        for i in 0..count {
            list.values().append_slice(&[0.5; 3][..i % 4]);
            list.append(i % 3 != 0);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("id-{i}")))),
            Arc::new((0..count).map(|i| (i % 5 != 0).then_some(i as i32)).collect::<Int32Array>()),
            Arc::new((0..count).map(|i| Some(i % 2 == 0)).collect::<arrow_array::BooleanArray>()),
            Arc::new(list.finish()),
        ];
        RecordBatch::try_new(schema().arrow().clone(), columns).unwrap()
    }

    #[test]
    fn a_record_with_much_more_than_its_rows_is_refused() {
        let mut bytes = encoded(&rows(2));
        bytes.resize(bytes.len() + (1 << 20), 0);
        assert!(decode(&Buffer::from(bytes), &schema()).unwrap_err().contains("for rows of"));
    }

    #[test]
    fn rows_survive_their_encoding_also_when_sliced() {
        let all = rows(100);
        for part in [all.clone(), all.slice(0, 0), all.slice(13, 50), all.slice(99, 1)] {
            let record = Buffer::from(encoded(&part));
            assert_eq!(decode(&record, &schema()).unwrap(), part);
        }
    }

    #[test]
    fn a_slice_sends_only_its_own_values() {
        let rows = rows(1000);
        let part = encoded(&rows.slice(500, 1));
        assert!(part.len() < 1500, "{} bytes", part.len());
        assert!(!part.windows(6).any(|w| w == b"id-499" || w == b"id-501"));
    }

    #[test]
    fn what_is_under_a_null_is_not_sent() {
        let secret = 0x5ec2_e7e5;
        let nulls = NullBuffer::from(vec![true, false, true]);
        let column = Int32Array::new(vec![1, secret, 3].into(), Some(nulls));
        let fields = vec![Field::new("n", DataType::Int32).nullable()];
        let schema = TableSchema::new(None, fields).unwrap();
        let rows = RecordBatch::try_new(schema.arrow().clone(), vec![Arc::new(column)]).unwrap();
        let record = encoded(&rows);
        assert!(!record.windows(4).any(|w| w == secret.to_le_bytes()));
        assert_eq!(decode(&Buffer::from(record), &schema).unwrap(), rows);
    }

    #[test]
    fn a_table_without_columns_keeps_its_number_of_rows() {
        let schema = TableSchema::new(None, vec![]).unwrap();
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let rows = RecordBatch::try_new_with_options(schema.arrow().clone(), vec![], &options).unwrap();
        let record = Buffer::from(encoded(&rows));
        assert_eq!(decode(&record, &schema).unwrap().num_rows(), 7);
    }

    #[test]
    fn large_batches_are_cut_and_nothing_is_lost() {
        let rows = rows(200_000);
        let parts: Vec<RecordBatch> = cut(&rows).collect();
        assert!(parts.len() > 3, "{}", parts.len());
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), rows.num_rows());
        assert!(parts.iter().all(|p| encoded(p).len() < 2 * RECORD_BYTES));
        assert_eq!(cut(&rows.slice(0, 0)).count(), 0);
    }

    #[test]
    fn rows_of_other_columns_are_refused() {
        let record = Buffer::from(encoded(&rows(10)));
        let other = schema().with_fields(vec![Field::new("n", DataType::Int64)]).unwrap();
        assert!(decode(&record, &other).is_err());
        let none_missing = schema().fields().iter().map(|f| Field { nullable: false, ..f.clone() }).collect();
        assert!(decode(&record, &schema().with_fields(none_missing).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&Buffer::from(bytes), &schema());
        }

        /// Either it is noticed, or what comes out is a batch that fits and that can be read to its last value.
        #[test]
        fn damaged_rows_never_give_a_batch_that_panics(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(), whole in any::<bool>(),
        ) {
            let mut record = encoded(&rows(20));
            for (at, to) in damage {
                let at = at.index(record.len());
                record[at] = to;
            }
            if !whole {
                record.truncate(cut.index(record.len()));
            }
            if let Ok(rows) = decode(&Buffer::from(record), &schema()) {
                schema().check(&rows).unwrap();
                let _ = format!("{rows:?}");
            }
        }
    }
}
