//! A store that the processes of one machine share: files in a folder. It keeps the storage contract, can be made to fail,
//! and shows what a write left.
//!
//! Everything about a table, also that it is to fail, is in the one folder that its address names. So an address, a write
//! or a stored table is all that a process needs, and one store serves the tables of all: an executor that was started
//! once opens what each case saved. Meant to be awkward: scans come in small batches that are never ready at once, and an
//! existing table is noticed as late as the contract allows, at the commit.
//!
//! In a table's folder: `table`, absent before the first commit; `writes/ATTEMPT` while a write has not ended;
//! `parts/ATTEMPT/PARTITION-…` in Arrow's IPC format; `unreadable-PARTITION` and `unwritable-PARTITION`. Nothing that was
//! replaced or deleted is removed before the whole folder is.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::task::Poll;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream};
use tempfile::NamedTempFile;

use tributary_core::computing::{PartSize, RowStream};
use tributary_core::storage::{
    IfExists, Part, Storage, StorageInfo, StoredTable, TableUri, Write, WriteOptions,
};
use tributary_core::{Error, ErrorKind, Layout, Result, ResultExt, TableName, TableSchema};

const SCHEME: &str = "suite";
/// Rows of one batch of a scan.
const BATCH_ROWS: usize = 5;

/// See the module.
#[derive(Debug, Clone)]
pub struct Shared {
    folder: PathBuf,
}

impl Shared {
    /// A store of new tables in this folder, whose path begins at the root. It also reads and writes tables whose
    /// addresses were given by another such store.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where new tables are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a case's table of this name is, or would be.
    pub fn uri(&self, name: &str) -> TableUri {
        TableUri::new(format!("{SCHEME}://{}/{name}", self.folder.display())).unwrap()
    }

    /// From now on this partition of the table cannot be read, by any process.
    pub fn break_reading(&self, uri: &TableUri, partition: u32) {
        Place::of(uri).unwrap().mark("unreadable", partition);
    }

    /// From now on this partition of the table cannot be written, by any process.
    pub fn break_writing(&self, uri: &TableUri, partition: u32) {
        Place::of(uri).unwrap().mark("unwritable", partition);
    }

    /// Writes of the table that were begun and neither committed nor aborted.
    pub fn unfinished_writes(&self, uri: &TableUri) -> usize {
        match fs::read_dir(Place::of(uri).unwrap().writes()) {
            Ok(writes) => writes.count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => panic!("count the writes of {uri}: {error}"),
        }
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("made to fail to {what}"))
}

/// A table's folder.
struct Place(PathBuf);

impl Place {
    fn of(uri: &TableUri) -> Result<Self> {
        let inside = |segment: &str| !matches!(segment, "" | "." | "..");
        let steps = uri.place().strip_prefix('/').filter(|steps| steps.split('/').all(inside));
        match (uri.scheme(), steps) {
            (SCHEME, Some(_)) => Ok(Self(uri.place().into())),
            _ => Err(Error::invalid(format!("table {uri}, expected {SCHEME}:///folder/table"))),
        }
    }

    fn table(&self) -> PathBuf {
        self.0.join("table")
    }

    fn writes(&self) -> PathBuf {
        self.0.join("writes")
    }

    fn parts(&self, attempt: &str) -> PathBuf {
        self.0.join("parts").join(attempt)
    }

    fn mark(&self, what: &str, partition: u32) {
        fs::create_dir_all(&self.0).unwrap();
        File::create(self.mark_of(what, partition)).unwrap();
    }

    fn mark_of(&self, what: &str, partition: u32) -> PathBuf {
        self.0.join(format!("{what}-{partition}"))
    }

    /// Appears whole, or not at all.
    fn publish(&self, table: &StoredTable, if_exists: IfExists) -> Result<()> {
        let bytes = postcard::to_stdvec(table).map_err(|e| Error::bug("encode a table").because(e))?;
        let mut file = NamedTempFile::new_in(&self.0)?;
        file.write_all(&bytes)?;
        let published = match if_exists {
            IfExists::Fail => file.persist_noclobber(self.table()),
            // no suite of an engine has two writers of one snapshot
            IfExists::Replace | IfExists::ReplaceSnapshot(_) => file.persist(self.table()),
        };
        published.map_err(|error| error.error)?;
        Ok(())
    }
}

#[async_trait]
impl Storage for Shared {
    fn info(&self) -> &StorageInfo {
        static INFO: LazyLock<StorageInfo> = LazyLock::new(|| StorageInfo::new(SCHEME));
        &INFO
    }

    fn addresses(&self) -> Vec<String> {
        vec![format!("{SCHEME}://{}", self.folder.display())]
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        let uri = self.uri(&format!("{}/{}", name.namespace, name.name));
        Place::of(&uri).map(|_| uri)
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let bytes = fs::read(Place::of(uri)?.table()).at(|| format!("open table {uri}"))?;
        postcard::from_bytes(&bytes)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("open table {uri}")).because(e))
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        let place = Place::of(&table.uri)?;
        let part = table.parts.get(partition as usize).ok_or_else(|| Error::invalid("no such partition"))?;
        let file = File::open(place.parts(&table.snapshot).join(&part.file))?;
        let batches = StreamReader::try_new(BufReader::new(file), None)?;
        let failure = place.mark_of("unreadable", partition).exists().then(|| Err(broken("read")));
        let cut = |batch: Result<RecordBatch, _>| match batch {
            Ok(batch) => pieces(&batch),
            Err(error) => vec![Err(Error::from(error))],
        };
        Ok(stream::iter(batches.flat_map(cut).chain(failure)).then(later).boxed())
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let place = Place::of(uri)?;
        fs::create_dir_all(place.writes())?;
        let (_, path) = NamedTempFile::with_prefix_in("", place.writes())?.keep().map_err(|e| e.error)?;
        let attempt = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::create_dir_all(place.parts(&attempt))?;
        Ok(Write { uri: uri.clone(), attempt, schema: schema.clone(), layout: layout.clone(), options })
    }

    async fn write_part(&self, write: &Write, partition: u32, mut rows: RowStream) -> Result<Part> {
        let place = Place::of(&write.uri)?;
        let folder = place.parts(&write.attempt);
        // Also after an abort, which is how a late executor finds it: then the part is garbage that no commit names.
        fs::create_dir_all(&folder)?;
        let file = NamedTempFile::with_prefix_in(format!("{partition}-"), folder)?;
        let mut batches = StreamWriter::try_new(BufWriter::new(file), write.schema.arrow())?;
        let mut size = PartSize::default();
        while let Some(batch) = rows.try_next().await? {
            write.schema.check(&batch)?;
            batches.write(&batch)?;
            size.rows += batch.num_rows() as u64;
        }
        let file = batches.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        if place.mark_of("unwritable", partition).exists() {
            return Err(broken("write"));
        }
        size.bytes = file.as_file().metadata()?.len();
        let (_, path) = file.keep().map_err(|e| e.error)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Part { file, size, digest: String::new() })
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let place = Place::of(&write.uri)?;
        if parts.len() as u32 != write.layout.partitions() {
            return Err(Error::invalid("a commit without a part for each partition"));
        }
        let mark = place.writes().join(&write.attempt);
        let folder = place.parts(&write.attempt);
        for path in parts.iter().map(|part| folder.join(&part.file)).chain([mark.clone()]) {
            fs::metadata(&path).at(|| format!("commit {}: find {}", write.uri, path.display()))?;
        }
        let if_exists = write.options.if_exists;
        let table = StoredTable {
            uri: write.uri,
            snapshot: write.attempt,
            schema: write.schema,
            layout: write.layout,
            parts,
        };
        place.publish(&table, if_exists).at(|| format!("commit {}", table.uri))?;
        fs::remove_file(mark)?;
        Ok(table)
    }

    async fn abort(&self, write: Write) -> Result<()> {
        let place = Place::of(&write.uri)?;
        if unless_gone(fs::remove_file(place.writes().join(&write.attempt)))? {
            remove_folder(&place.parts(&write.attempt))?;
        }
        Ok(())
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        fs::remove_file(Place::of(uri)?.table()).at(|| format!("delete table {uri}"))
    }

    async fn verify(&self, table: &StoredTable) -> Result<()> {
        for (partition, part) in (0..).zip(&table.parts) {
            let batches: Vec<RecordBatch> = self.scan(table, partition).await?.try_collect().await?;
            let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            if rows != part.size.rows {
                let text = format!("partition {partition} has {rows} rows, expected {}", part.size.rows);
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
        }
        Ok(())
    }
}

/// Whether there was something to remove.
fn unless_gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a folder in which others may still begin files.
fn remove_folder(folder: &Path) -> io::Result<()> {
    loop {
        match unless_gone(fs::remove_dir_all(folder)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => return removed.map(drop),
        }
    }
}

fn pieces(batch: &RecordBatch) -> Vec<Result<RecordBatch>> {
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
    starts.map(|at| Ok(batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at)))).collect()
}

/// The value, at the second poll: a store is never ready at once.
async fn later<T>(value: T) -> T {
    let mut asked = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    value
}
