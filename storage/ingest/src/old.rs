//! The table that rows are added to, as it was at the start of the upload.
//!
//! It is read as often as the files, never changed, and recognised by its snapshot: the commit replaces only that snapshot,
//! so that rows that other processes store during the upload are not lost.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use futures::executor::{block_on, block_on_stream};
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tributary_catalog::place;
use tributary_core::computing::RowStream;
use tributary_core::layout::{RowRanges, hash_bytes};
use tributary_core::meta::StorageMeta;
use tributary_core::storage::{IfExists, Storage, StoredTable, TableUri};
use tributary_core::wanted::Wanted;
use tributary_core::{Error, ErrorKind, KeyType, Purpose, Result, TableName, TableSchema};
use tributary_document::quoted;

use crate::content::staying;
use crate::options::UploadOptions;
use crate::progress::{Meter, Pass};
use crate::rowset::RowSet;
use crate::sorter::Sorter;

/// A stored table, for reading.
#[derive(Debug)]
pub(crate) struct OldTable {
    storage: Arc<dyn Storage>,
    table: StoredTable,
    /// Numbers of its rows, by partition.
    ranges: RowRanges,
}

/// A batch, and the number of its first row.
type Numbered = (u64, RecordBatch);

impl OldTable {
    /// The table of that name; `None` if there is none. `InvalidInput` for one that no rows can be added to.
    pub fn open(
        storage: &Arc<dyn Storage>,
        meta: &Arc<dyn StorageMeta>,
        name: &TableName,
    ) -> Result<Option<Arc<Self>>> {
        let uri = block_on(place(storage, meta, name))?;
        let table = match block_on(storage.open(&uri)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            table => table?,
        };
        if storage.is_bound(&table) {
            return Err(Error::invalid(
                "the table is bound to files elsewhere, which merging would copy; upload those files to a table of its own \
                 first, or bind all files together",
            ));
        }
        check_schema(&table.schema)?;
        let ranges = RowRanges::from_counts(table.parts.iter().map(|part| part.size.rows));
        Ok(Some(Arc::new(Self { storage: storage.clone(), table, ranges })))
    }

    /// Its columns.
    pub fn schema(&self) -> &TableSchema {
        &self.table.schema
    }

    /// The number of its rows.
    pub fn rows(&self) -> u64 {
        self.table.rows()
    }

    /// Its bytes on the medium.
    pub fn bytes(&self) -> u64 {
        self.table.bytes()
    }

    /// Its parts.
    pub fn partitions(&self) -> u32 {
        self.table.layout.partitions()
    }

    /// Its address.
    pub fn uri(&self) -> &TableUri {
        &self.table.uri
    }

    /// The mode in which a table with its rows replaces it.
    pub fn successor(&self) -> IfExists {
        IfExists::ReplaceSnapshot(self.table.snapshot.clone())
    }

    /// The hashes of its ids, with their row numbers. All cores read.
    pub fn ids(self: &Arc<Self>, options: &UploadOptions, meter: &Meter) -> Result<Vec<Sorter<()>>> {
        meter.begin(Pass::Compare, self.bytes());
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(self.partitions() as usize);
        let next = AtomicU32::new(0);
        let work = || {
            let mut ids = Sorter::new(options.sort_bytes / workers, &options.scratch);
            loop {
                let partition = next.fetch_add(1, Ordering::Relaxed);
                if partition >= self.partitions() {
                    return Ok(ids);
                }
                let failed = self.ids_of(partition, &mut ids, meter);
                failed.inspect_err(|_| next.store(self.partitions(), Ordering::Relaxed))?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let panicked = |_| Err(Error::bug("a thread that reads the table panicked"));
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
        })
    }

    fn ids_of(self: &Arc<Self>, partition: u32, ids: &mut Sorter<()>, meter: &Meter) -> Result<()> {
        for batch in block_on_stream(self.partition(partition, &ids_only())) {
            let (begin, batch) = batch?;
            for (row, id) in (begin..).zip(batch.column(0).as_string::<i32>()) {
                ids.push(hash_bytes(id.unwrap_or_default().as_bytes()), row, ())?;
            }
            meter.add(batch.num_rows() as u64, self.bytes_of(batch.num_rows()))?;
        }
        Ok(())
    }

    /// Calls `each` with number and id of every row of a set, in order. Partitions without such rows are not read.
    pub fn visit(
        self: &Arc<Self>,
        set: &RowSet,
        meter: &Meter,
        each: &mut dyn FnMut(u64, &str) -> Result<()>,
    ) -> Result<()> {
        let mut wanted = set.next(0);
        while let Some(partition) = wanted.and_then(|row| self.ranges.partition_of(row)) {
            let end = self.ranges.range(partition).end;
            let mut batches = block_on_stream(self.partition(partition, &ids_only()));
            while wanted.is_some_and(|row| row < end) {
                meter.check()?;
                let (begin, batch) = batches.next().ok_or_else(changed)??;
                let ids = batch.column(0).as_string::<i32>();
                while let Some(row) = wanted.filter(|row| *row < begin + ids.len() as u64) {
                    each(row, ids.value((row - begin) as usize))?;
                    wanted = set.next(row + 1);
                }
            }
        }
        Ok(())
    }

    /// A range of the rows that stay.
    pub fn batches(
        self: Arc<Self>,
        rows: Range<u64>,
        dropped: &Arc<RowSet>,
        meter: Option<Arc<Meter>>,
    ) -> RowStream {
        if rows.is_empty() {
            return stream::empty().boxed();
        }
        let wanted = dropped.row_of(rows.start)..dropped.row_of(rows.end - 1) + 1;
        let partition = |row| self.ranges.partition_of(row).unwrap_or(0);
        let partitions = partition(wanted.start)..partition(wanted.end - 1) + 1;
        let (old, dropped, end) = (self.clone(), dropped.clone(), wanted.end);
        let all = Wanted::default();
        let batches = stream::iter(partitions).flat_map(move |partition| self.partition(partition, &all));
        batches
            .try_take_while(move |(begin, _)| ready(Ok(*begin < end)))
            .and_then(move |(begin, batch)| ready(staying(&batch, begin, &wanted, &dropped)))
            .try_filter_map(|batch| ready(Ok(batch)))
            .and_then(move |batch| {
                let rows = batch.num_rows();
                let counted =
                    meter.as_ref().map_or(Ok(()), |meter| meter.add(rows as u64, old.bytes_of(rows)));
                ready(counted.map(|()| batch))
            })
            .boxed()
    }

    /// All rows of a partition, with the wanted columns.
    fn partition(self: &Arc<Self>, partition: u32, wanted: &Wanted) -> BoxStream<'static, Result<Numbered>> {
        let (old, wanted) = (self.clone(), wanted.clone());
        let mut next = self.ranges.range(partition).start;
        let number = move |batch: RecordBatch| {
            let begin = next;
            next += batch.num_rows() as u64;
            (begin, batch)
        };
        let rows = async move { old.storage.scan_some(&old.table, partition, &wanted).await };
        stream::once(rows).try_flatten().map_ok(number).map_err(gone).boxed()
    }

    /// About the bytes of this many rows.
    fn bytes_of(&self, rows: usize) -> u64 {
        (u128::from(self.bytes()) * rows as u128 / u128::from(self.rows().max(1))) as u64
    }
}

/// The column of ids, which is the first.
fn ids_only() -> Wanted {
    Wanted::default().with_columns([0])
}

/// The error for a table that has changed or is gone.
pub(crate) fn changed() -> Error {
    let text = "the table changed while rows were added; nothing was stored, run it again";
    Error::new(ErrorKind::Conflict, text)
}

/// Whether a store's error means that the table was replaced twice or deleted since.
fn gone(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => changed().because(error),
        _ => error,
    }
}

/// `InvalidInput` for a table whose rows no file can hold.
fn check_schema(schema: &TableSchema) -> Result<()> {
    let refused = |what: String| Err(Error::invalid(format!("no rows can be added to the table: {what}")));
    match schema.key() {
        None => return refused("it has no column of ids".into()),
        Some(key) if key.key_type != KeyType::Utf8 => {
            let (name, key_type) = (quoted(&key.name), key.key_type.data_type());
            return refused(format!("its ids ({name}) are {key_type}, and those of files are text"));
        }
        Some(_) => {}
    }
    for field in schema.fields() {
        let name = quoted(&field.name);
        match (&field.purpose, &field.data_type) {
            (Purpose::Ciphertext(_), _) => return refused(format!("column {name} has ciphertexts")),
            (_, DataType::List(_)) => {
                return refused(format!("column {name} is {}, which no file format gives", field.data_type));
            }
            _ => {}
        }
    }
    Ok(())
}
