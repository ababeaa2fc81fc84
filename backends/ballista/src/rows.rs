//! Rows as files: Arrow IPC, written in pieces and read without copying.

use std::io::{self, Write};
use std::mem::take;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use arrow_ipc::writer::FileWriter;
use bytes::Bytes;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::schema::TableSchema;
use tributary_partition::batches::{Gather, fit};
use tributary_partition::cancel::lock;

/// Bytes handed to a store at once; object stores want at least as many.
const CHUNK_BYTES: usize = 8 << 20;
/// What ends an IPC file: the footer's length and a magic word.
const TRAILER_BYTES: usize = 10;

/// Where encoders write, one after another: taken away in pieces.
#[derive(Clone, Default)]
pub(crate) struct Chunk(Arc<Mutex<Vec<u8>>>);

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Makes room for so many bytes more, which spares moving what is there.
    pub(crate) fn reserve(&self, bytes: usize) {
        lock(&self.0).reserve(bytes);
    }

    /// All that is there.
    pub(crate) fn take(&self) -> Bytes {
        Bytes::from(take(&mut *lock(&self.0)))
    }

    /// All that is there, once it is enough for a store.
    pub(crate) fn take_enough(&self) -> Option<Bytes> {
        let mut chunk = lock(&self.0);
        (chunk.len() >= CHUNK_BYTES).then(|| Bytes::from(take(&mut *chunk)))
    }
}

impl Write for Chunk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Batches into the bytes of one file.
pub(crate) struct Encoder {
    writer: FileWriter<Chunk>,
    chunk: Chunk,
    gather: Gather,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Encoder {
    pub(crate) fn new(schema: &TableSchema) -> Result<Self> {
        Self::behind(schema, Chunk::default())
    }

    /// Writes a file behind what is in the chunk.
    pub(crate) fn behind(schema: &TableSchema, chunk: Chunk) -> Result<Self> {
        let writer = FileWriter::try_new(chunk.clone(), schema.arrow())?;
        Ok(Self { writer, chunk, gather: Gather::new(schema), rows: 0, bytes: 0 })
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.gather.push(batch)?;
        for batch in self.gather.take() {
            self.writer.write(&batch)?;
        }
        Ok(())
    }

    /// What is ready, once it is enough for a store.
    pub(crate) fn take_chunk(&mut self) -> Option<Bytes> {
        self.chunk.take_enough().inspect(|bytes| self.bytes += bytes.len() as u64)
    }

    /// Ends the file in the chunk. Its rows.
    pub(crate) fn end(mut self) -> Result<u64> {
        for batch in self.gather.finish()? {
            self.writer.write(&batch)?;
        }
        self.writer.finish()?;
        Ok(self.rows)
    }

    /// The rest, and how many rows and bytes there were in all.
    pub(crate) fn finish(self) -> Result<(Bytes, u64, u64)> {
        let (chunk, before) = (self.chunk.clone(), self.bytes);
        let rows = self.end()?;
        let rest = chunk.take();
        let bytes = before + rest.len() as u64;
        Ok((rest, rows, bytes))
    }
}

/// Some rows of a file, batch by batch. What they show shares the file's bytes.
pub(crate) struct Decoder {
    schema: TableSchema,
    file: Buffer,
    decoder: FileDecoder,
    blocks: std::vec::IntoIter<arrow_ipc::Block>,
    /// Rows before the next block.
    passed: u64,
    wanted: Range<u64>,
}

impl Decoder {
    /// `Corrupt` if the bytes are no whole file.
    pub(crate) fn new(schema: &TableSchema, bytes: Bytes, wanted: Range<u64>) -> Result<Self> {
        let file = Buffer::from(bytes);
        let (decoder, blocks) = open(&file).map_err(corrupt)?;
        let blocks = blocks.into_iter();
        Ok(Self { schema: schema.clone(), file, decoder, blocks, passed: 0, wanted })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        while self.passed < self.wanted.end
            && let Some(block) = self.blocks.next()
        {
            let batch = self.batch(&block).map_err(corrupt)?;
            let (first, end) = (self.passed, self.passed + batch.num_rows() as u64);
            self.passed = end;
            let (from, to) = (self.wanted.start.max(first), self.wanted.end.min(end));
            if from < to {
                let shown = batch.slice((from - first) as usize, (to - from) as usize);
                return fit(&self.schema, shown).map(Some);
            }
        }
        if self.passed < self.wanted.end {
            let text = format!("a file of {} rows, expected rows {:?}", self.passed, self.wanted);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(None)
    }

    fn batch(&self, block: &arrow_ipc::Block) -> Result<RecordBatch> {
        let start = usize::try_from(block.offset()).ok();
        let length = usize::try_from(block.bodyLength()).ok();
        let length = length.and_then(|body| body.checked_add(usize::try_from(block.metaDataLength()).ok()?));
        let within = start
            .zip(length)
            .filter(|(start, length)| start.checked_add(*length).is_some_and(|end| end <= self.file.len()));
        let (start, length) = within.ok_or_else(|| Error::invalid("a block beyond the end of the file"))?;
        let bytes = self.file.slice_with_length(start, length);
        let batch = self.decoder.read_record_batch(block, &bytes)?;
        batch.ok_or_else(|| Error::invalid("a block that is no batch"))
    }
}

impl Iterator for Decoder {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn open(file: &Buffer) -> Result<(FileDecoder, Vec<arrow_ipc::Block>)> {
    let short = || Error::invalid(format!("{} bytes", file.len()));
    let trailer_start = file.len().checked_sub(TRAILER_BYTES).ok_or_else(short)?;
    let trailer = file[trailer_start..].try_into().map_err(|_| short())?;
    let footer_start = trailer_start.checked_sub(read_footer_length(trailer)?).ok_or_else(short)?;
    let footer = root_as_footer(&file[footer_start..trailer_start])
        .map_err(|e| Error::invalid("the footer does not decode").because(e.to_string()))?;
    let schema = footer.schema().ok_or_else(|| Error::invalid("a footer without columns"))?;
    let decoder = FileDecoder::new(Arc::new(fb_to_schema(schema)), footer.version());
    let blocks = footer.recordBatches().map(|blocks| blocks.iter().copied().collect());
    Ok((decoder, blocks.unwrap_or_default()))
}

fn corrupt(reason: Error) -> Error {
    Error::new(ErrorKind::Corrupt, "a file of rows is not whole").because(reason)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::DataType;
    use tributary_core::schema::{Field, KeyType};

    use super::*;

    fn file(batches: &[std::ops::Range<i64>]) -> (TableSchema, Bytes) {
        let fields = vec![Field::new("x", DataType::Int64).nullable()];
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
        let mut encoder = Encoder::new(&schema).unwrap();
        for rows in batches {
            let ids = StringArray::from_iter_values(rows.clone().map(|i| i.to_string()));
            let xs: Int64Array = rows.clone().map(|i| (i % 3 > 0).then_some(i)).collect();
            encoder.push(schema.batch(vec![Arc::new(ids), Arc::new(xs)]).unwrap()).unwrap();
        }
        let (bytes, rows, length) = encoder.finish().unwrap();
        assert_eq!(rows, batches.iter().map(|rows| (rows.end - rows.start) as u64).sum::<u64>());
        assert_eq!(length, bytes.len() as u64);
        (schema, bytes)
    }

    #[test]
    fn rows_come_back_also_some_of_them() {
        let (schema, bytes) = file(&[0..2000, 2000..2003, 2003..9000]);
        for wanted in [0..9000, 0..0, 5..6, 1999..2004, 8000..9000] {
            let read = Decoder::new(&schema, bytes.clone(), wanted.clone()).unwrap();
            let read: Vec<RecordBatch> = read.collect::<Result<_>>().unwrap();
            let ids: Vec<u64> = read
                .iter()
                .flat_map(|batch| {
                    let ids = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
                    ids.iter().map(|id| id.unwrap().parse().unwrap()).collect::<Vec<u64>>()
                })
                .collect();
            assert_eq!(ids, wanted.collect::<Vec<u64>>());
        }
        let beyond = Decoder::new(&schema, bytes, 0..9001).unwrap().collect::<Result<Vec<_>>>();
        assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_table_without_rows_is_a_file_as_well() {
        let (schema, bytes) = file(&[]);
        assert_eq!(Decoder::new(&schema, bytes, 0..0).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_was_cut_is_corrupt() {
        let (schema, bytes) = file(std::slice::from_ref(&(0..50)));
        for end in 0..bytes.len() {
            let read = Decoder::new(&schema, bytes.slice(..end), 0..50);
            let read = read.and_then(|rows| rows.collect::<Result<Vec<_>>>());
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "cut at {end}");
        }
    }
}
