//! A table to a sink, in one of three formats.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use arrow_array::RecordBatch;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use serde::Serialize;
use tributary_core::bytestore::Upload;
use tributary_core::computing::RowStream;
use tributary_core::storage::{Storage, StoredTable};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableSchema};

use crate::csv::{CsvOptions, Encoder};
use crate::ordered::{self, write_failed};
use crate::selection::Selection;
use crate::sink::Sink;

/// Batches read ahead of a single encoder.
const AHEAD: usize = 4;

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180.
    Csv(CsvOptions),
    /// One Parquet file.
    Parquet,
    /// Arrow IPC: its file format.
    ArrowFile,
    /// Arrow IPC: its stream format, for pipes.
    ArrowStream,
}

/// How to export.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExportOptions {
    /// The format.
    pub format: Format,
    /// How many threads encode CSV. The other formats use one thread to read and one to write.
    pub threads: usize,
    /// Which part of the table; all of it if none.
    pub selection: Option<Selection>,
}

impl ExportOptions {
    /// Options for this format, with two threads.
    pub fn new(format: Format) -> Self {
        Self { format, threads: 2, selection: None }
    }
}

/// Asks an export to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Requests the stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Cancelled, "stopped; nothing was written")),
            false => Ok(()),
        }
    }
}

/// The summary of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Whether the reader of the output closed it before the end.
    pub closed_early: bool,
    /// All columns, key first.
    pub columns: Vec<ColumnSummary>,
}

/// A column, its type and its missing values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: String,
    /// Missing values.
    pub nulls: u64,
}

/// Writes a table in the order of its rows. Blocks the caller.
///
/// `report` is called with rows and bytes written so far, one call at a time. Errors: `InvalidInput` for a column or value
/// that the format cannot hold; `Cancelled` after a request to stop; errors of the store and of the sink. After an error
/// there is no file. A reader that closes the other end of a pipe is no error.
pub fn export(
    storage: &Arc<dyn Storage>,
    table: &StoredTable,
    options: &ExportOptions,
    mut sink: Sink,
    stop: &Stop,
    report: impl Fn(u64, u64) + Send + Sync,
) -> Result<Summary> {
    let selection = options.selection.clone().unwrap_or_else(|| Selection::all(&table.schema));
    let schema = selection.schema();
    let mut rows = Rows {
        storage,
        table,
        selection: &selection,
        stop,
        partition: 0,
        open: None,
        left: selection.most(),
        nulls: vec![0; schema.arrow().fields().len()],
    };
    // Before anything is written, so that standard output stays empty if the table cannot be read.
    rows.open()?;
    let written = match &options.format {
        Format::Csv(csv) => {
            let encoder = Encoder::new(csv, schema)?;
            sink.write_all(&encoder.header())
                .map_err(write_failed)
                .and_then(|()| write_csv(&encoder, &mut rows, options.threads, &mut sink, &report))
        }
        Format::Parquet => write_parquet(schema, &mut rows, &mut sink, &report),
        Format::ArrowFile => write_arrow(&mut rows, &mut sink, &report, |out| {
            FileWriter::try_new(out, schema.arrow()).map(|writer| Box::new(writer) as Box<dyn ArrowWriter<_>>)
        }),
        Format::ArrowStream => write_arrow(&mut rows, &mut sink, &report, |out| {
            StreamWriter::try_new(out, schema.arrow())
                .map(|writer| Box::new(writer) as Box<dyn ArrowWriter<_>>)
        }),
    };
    let described = sink.described();
    let (rows_written, closed_early) = match written {
        Ok(rows) => (rows, false),
        Err(error) if is_closed(&error) => (0, true),
        Err(error) => return Err(error),
    };
    if !closed_early && selection.has_all_rows() && rows_written != table.rows() {
        let text = format!("{rows_written} rows were stored, expected {}", table.rows());
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    let bytes = match closed_early {
        true => sink.bytes(),
        false => match sink.finish() {
            Err(error) if is_closed(&error) => 0,
            finished => finished.at(|| described)?,
        },
    };
    let column = |(field, nulls): (&Arc<arrow_schema::Field>, &u64)| ColumnSummary {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
        nulls: *nulls,
    };
    let columns = schema.arrow().fields().iter().zip(&rows.nulls).map(column).collect();
    Ok(Summary { rows: rows_written, bytes, closed_early, columns })
}

fn is_closed(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

/// The selected rows of all partitions, one after another.
struct Rows<'a> {
    storage: &'a Arc<dyn Storage>,
    table: &'a StoredTable,
    selection: &'a Selection,
    stop: &'a Stop,
    partition: u32,
    open: Option<RowStream>,
    /// Rows that may still go out.
    left: u64,
    nulls: Vec<u64>,
}

/// The first selected rows of a table as text.
pub fn preview(
    storage: &Arc<dyn Storage>,
    table: &StoredTable,
    selection: &Selection,
) -> Result<Vec<Vec<Option<String>>>> {
    let stop = &Stop::default();
    let (left, nulls) = (selection.most(), vec![0; selection.schema().arrow().fields().len()]);
    let mut rows = Rows { storage, table, selection, stop, partition: 0, open: None, left, nulls };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next()? {
        batches.push(batch);
    }
    tributary_text::preview(&batches)
}

impl Rows<'_> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.stop.check()?;
            if self.left == 0 {
                return Ok(None);
            }
            if let Some(rows) = &mut self.open {
                if let Some(batch) = block_on(rows.next()).transpose()? {
                    let batch = self.selection.of(batch, self.left)?;
                    if batch.num_rows() == 0 {
                        continue;
                    }
                    self.left -= batch.num_rows() as u64;
                    for (nulls, column) in self.nulls.iter_mut().zip(batch.columns()) {
                        *nulls += column.null_count() as u64;
                    }
                    return Ok(Some(batch));
                }
                self.open = None;
                self.partition += 1;
            }
            if self.partition >= self.table.layout.partitions() {
                return Ok(None);
            }
            self.open()?;
        }
    }

    fn open(&mut self) -> Result<()> {
        let rows = self.table.parts.get(self.partition as usize).map_or(0, |part| part.size.rows);
        let wanted = self.selection.wanted(rows, self.left);
        self.open = Some(block_on(self.storage.scan_some(self.table, self.partition, &wanted))?);
        Ok(())
    }
}

fn write_csv(
    encoder: &Encoder,
    rows: &mut Rows<'_>,
    threads: usize,
    sink: &mut Sink,
    report: &(dyn Fn(u64, u64) + Sync),
) -> Result<u64> {
    let mut next = || rows.next();
    ordered::run(threads.max(1), &mut next, &|batch| encoder.rows(batch), sink, report)
}

/// Passes batches to `write` while another thread reads them.
fn read_ahead<T>(
    rows: &mut Rows<'_>,
    write: impl FnOnce(mpsc::IntoIter<Result<RecordBatch>>) -> Result<T>,
) -> Result<T> {
    thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(AHEAD);
        let read = move || {
            while let Some(batch) = rows.next().transpose() {
                let failed = batch.is_err();
                // the writer is gone after its error
                if send.send(batch).is_err() || failed {
                    break;
                }
            }
        };
        thread::Builder::new().name("export".into()).spawn_scoped(scope, read)?;
        // the receiver is dropped before the scope waits for the reader
        write(receive.into_iter())
    })
}

fn write_parquet(
    schema: &TableSchema,
    rows: &mut Rows<'_>,
    sink: &mut Sink,
    report: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<u64> {
    let done = Arc::new(AtomicU64::new(0));
    read_ahead(rows, |batches| {
        let counted = done.clone();
        let batches = batches.inspect(move |batch| {
            let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
            counted.fetch_add(rows as u64, Ordering::Relaxed);
        });
        let mut upload = SinkUpload { sink, done, report };
        let rows = stream::iter(batches).boxed();
        let written = block_on(tributary_parquet::write_rows(schema, rows, &mut upload))?;
        report(written.size.rows, written.size.bytes);
        Ok(written.size.rows)
    })
}

/// The upload that the Parquet encoder writes to.
struct SinkUpload<'a> {
    sink: &'a mut Sink,
    done: Arc<AtomicU64>,
    report: &'a (dyn Fn(u64, u64) + Send + Sync),
}

#[async_trait]
impl Upload for SinkUpload<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.sink.write_all(&bytes).map_err(write_failed).at(|| self.sink.described())?;
        (self.report)(self.done.load(Ordering::Relaxed), self.sink.bytes());
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}

/// Either format of Arrow IPC.
trait ArrowWriter<W> {
    fn push(&mut self, batch: &RecordBatch) -> std::result::Result<(), arrow_schema::ArrowError>;
    fn end(self: Box<Self>) -> std::result::Result<W, arrow_schema::ArrowError>;
}

impl<W: Write> ArrowWriter<W> for FileWriter<W> {
    fn push(&mut self, batch: &RecordBatch) -> std::result::Result<(), arrow_schema::ArrowError> {
        self.write(batch)
    }
    fn end(self: Box<Self>) -> std::result::Result<W, arrow_schema::ArrowError> {
        self.into_inner()
    }
}

impl<W: Write> ArrowWriter<W> for StreamWriter<W> {
    fn push(&mut self, batch: &RecordBatch) -> std::result::Result<(), arrow_schema::ArrowError> {
        self.write(batch)
    }
    fn end(self: Box<Self>) -> std::result::Result<W, arrow_schema::ArrowError> {
        self.into_inner()
    }
}

type Buffered<'a> = BufWriter<&'a mut Sink>;

fn write_arrow<'a>(
    rows: &mut Rows<'_>,
    sink: &'a mut Sink,
    report: &(dyn Fn(u64, u64) + Send + Sync),
    open: impl FnOnce(
        Buffered<'a>,
    )
        -> std::result::Result<Box<dyn ArrowWriter<Buffered<'a>> + 'a>, arrow_schema::ArrowError>,
) -> Result<u64> {
    let mut writer = open(BufWriter::with_capacity(1 << 20, sink)).map_err(arrow_failed)?;
    let done = read_ahead(rows, |batches| {
        let (mut done, mut bytes) = (0, 0);
        for batch in batches {
            let batch = batch?;
            writer.push(&batch).map_err(arrow_failed)?;
            done += batch.num_rows() as u64;
            bytes += batch.get_array_memory_size() as u64;
            report(done, bytes);
        }
        Ok(done)
    })?;
    let mut out = writer.end().map_err(arrow_failed)?;
    out.flush().map_err(write_failed)?;
    Ok(done)
}

fn arrow_failed(reason: arrow_schema::ArrowError) -> Error {
    match reason {
        arrow_schema::ArrowError::IoError(_, reason) => write_failed(reason),
        other => Error::bug("the rows cannot be written as Arrow IPC").because(other),
    }
}
