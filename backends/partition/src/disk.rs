//! Rows on disk that memory has no room for: Arrow IPC, batch by batch, in files without a name.
//!
//! A file without a name is seen by no other user, and its place on the disk comes back when the last row in it is no
//! longer wanted, however that comes about: dropped, cancelled, panicked or killed. So nothing ever has to be found and
//! cleaned up. Batches are read with `pread` into memory of their own and not mapped: what a reader holds is then what it
//! asked for, a broken disk is an error and not a signal, and no `unsafe` is needed.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow_ipc::{Block, MetadataVersion};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::schema::TableSchema;

/// A folder for rows that memory has no room for.
pub struct Disk {
    folder: PathBuf,
    limit_bytes: u64,
    used: AtomicU64,
    written: AtomicU64,
}

impl Disk {
    /// The folder is made when the first row goes there, readable by its owner only. Beyond `limit_bytes` rows are refused.
    pub fn new(folder: PathBuf, limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { folder, limit_bytes, used: AtomicU64::new(0), written: AtomicU64::new(0) })
    }

    /// Bytes in use now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes ever written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn create(&self) -> Result<File> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let file = made.and_then(|()| tempfile::tempfile_in(&self.folder)).and_then(|file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        });
        file.map_err(|e| self.refused("make a file without a name", e))
    }

    fn take(&self, bytes: u64) -> Result<()> {
        let taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit_bytes)
        });
        taken.map(drop).map_err(|used| {
            let (folder, limit) = (self.folder.display(), self.limit_bytes);
            Error::new(
                ErrorKind::Exhausted,
                format!(
                    "rows take {used} bytes of {folder} and {bytes} more are needed, the limit is {limit}; raise \
                     spill_limit or memory in service_conf.yaml"
                ),
            )
        })
    }

    fn refused(&self, attempt: &str, reason: io::Error) -> Error {
        use io::ErrorKind as E;
        let (kind, mend) = match reason.kind() {
            E::StorageFull | E::QuotaExceeded => (
                ErrorKind::Exhausted,
                "; make room there, or set spill_folder or memory in service_conf.yaml",
            ),
            E::PermissionDenied | E::NotADirectory | E::ReadOnlyFilesystem => {
                (ErrorKind::Io, "; set spill_folder in service_conf.yaml to a folder that can be written to")
            }
            _ => (ErrorKind::Io, ""),
        };
        let (folder, used) = (self.folder.display(), self.used());
        Error::new(kind, format!("{attempt} in {folder}, where rows take {used} bytes{mend}")).because(reason)
    }
}

/// One file, for batches of one schema. Threads write and read it side by side.
pub(crate) struct SpillFile {
    disk: Arc<Disk>,
    file: File,
    end: AtomicU64,
    decoder: FileDecoder,
}

/// Batches begin at multiples of this, as Arrow's buffers should.
const ALIGNMENT_BYTES: u64 = 64;

impl SpillFile {
    pub(crate) fn new(disk: &Arc<Disk>, schema: &TableSchema) -> Result<Arc<Self>> {
        Ok(Arc::new(Self::over(disk.create()?, disk, schema)))
    }

    fn over(file: File, disk: &Arc<Disk>, schema: &TableSchema) -> Self {
        let decoder = FileDecoder::new(schema.arrow().clone(), MetadataVersion::V5);
        Self { disk: disk.clone(), file, end: AtomicU64::new(0), decoder }
    }

    /// Writes a batch, whose rows take `memory_bytes`.
    pub(crate) fn write(self: &Arc<Self>, batch: &RecordBatch, memory_bytes: u64) -> Result<Away> {
        let options = IpcWriteOptions::default();
        let (mut dictionaries, mut context) = (DictionaryTracker::new(true), IpcWriteContext::default());
        let (_, encoded) =
            IpcDataGenerator::default().encode(batch, &mut dictionaries, &options, &mut context)?;
        let mut bytes = Vec::with_capacity(encoded.ipc_message.len() + encoded.arrow_data.len() + 128);
        let (header, body) = write_message(&mut bytes, encoded, &options)?;
        let room = (bytes.len() as u64).next_multiple_of(ALIGNMENT_BYTES);
        self.disk.take(room)?;
        let start = self.end.fetch_add(room, Ordering::AcqRel);
        let written = self.file.write_all_at(&bytes, start);
        written.map_err(|e| self.disk.refused(&format!("write {room} bytes"), e))?;
        self.disk.written.fetch_add(room, Ordering::Relaxed);
        let block = Block::new(start as i64, header as i32, body as i64);
        Ok(Away {
            file: self.clone(),
            block,
            all_rows: batch.num_rows(),
            memory_bytes,
            rows: 0..batch.num_rows(),
        })
    }

    fn read(&self, block: &Block) -> Result<RecordBatch> {
        let length = block.metaDataLength() as usize + block.bodyLength() as usize;
        let mut bytes = MutableBuffer::from_len_zeroed(length);
        let read = self.file.read_exact_at(&mut bytes, block.offset() as u64);
        read.map_err(|e| {
            let text = format!("read rows from {}", self.disk.folder.display());
            Error::new(ErrorKind::Io, text).because(e)
        })?;
        let batch = self.decoder.read_record_batch(block, &Buffer::from(bytes))?;
        batch.ok_or_else(|| Error::bug("a batch on disk is none"))
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.disk.used.fetch_sub(self.end.load(Ordering::Acquire), Ordering::AcqRel);
    }
}

/// Rows of a batch that is on disk.
#[derive(Clone)]
pub struct Away {
    file: Arc<SpillFile>,
    block: Block,
    all_rows: usize,
    memory_bytes: u64,
    rows: Range<usize>,
}

impl Away {
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What they would take in memory: a share of the batch.
    pub(crate) fn bytes(&self) -> u64 {
        (u128::from(self.memory_bytes) * self.rows.len() as u128 / self.all_rows.max(1) as u128) as u64
    }

    pub(crate) fn slice(&self, first: usize, rows: usize) -> Self {
        let start = self.rows.start + first;
        Self { rows: start..start + rows, ..self.clone() }
    }

    pub(crate) fn load(&self) -> Result<RecordBatch> {
        let batch = self.file.read(&self.block)?;
        Ok(batch.slice(self.rows.start, self.rows.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use arrow_schema::DataType;
    use tributary_core::schema::{Field, KeyType};

    use super::*;

    fn rows(count: i64) -> (TableSchema, RecordBatch) {
        let fields = vec![Field::new("x", DataType::Int64).nullable()];
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|i| i.to_string())));
        let xs: Int64Array = (0..count).map(|i| (i % 3 > 0).then_some(i)).collect();
        let batch = schema.batch(vec![ids, Arc::new(xs)]).unwrap();
        (schema, batch)
    }

    #[test]
    fn rows_come_back_also_some_of_them_and_their_place_when_nobody_wants_them() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("made/when/needed");
        let disk = Disk::new(below.clone(), u64::MAX);
        let (schema, batch) = rows(1000);
        let file = SpillFile::new(&disk, &schema).unwrap();
        let all = file.write(&batch, 12_000).unwrap();
        let middle = file.write(&batch.slice(100, 700), 8_400).unwrap().slice(5, 10);
        drop(file);
        assert_eq!(all.load().unwrap(), batch);
        assert_eq!(middle.load().unwrap(), batch.slice(105, 10));
        assert_eq!((middle.rows(), middle.bytes()), (10, 120));
        assert!(disk.used() > 12_000);
        assert_eq!(fs::read_dir(&below).unwrap().count(), 0, "a file has a name");
        assert_eq!(fs::metadata(&below).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(all.file.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop((all, middle));
        assert_eq!(disk.used(), 0);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().into(), u64::MAX);
        let schema = TableSchema::new(None, vec![]).unwrap();
        let batch = crate::batches::wide_batch(&schema, vec![], 7).unwrap();
        let away = SpillFile::new(&disk, &schema).unwrap().write(&batch, 0).unwrap();
        assert_eq!(away.load().unwrap().num_rows(), 7);
    }

    #[test]
    fn beyond_the_limit_is_refused_with_what_was_needed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path().into(), 4096);
        let (schema, batch) = rows(1000);
        let file = SpillFile::new(&disk, &schema).unwrap();
        let error = file.write(&batch, 0).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        let text = error.to_string();
        assert!(
            text.contains(&folder.path().display().to_string()) && text.contains("the limit is 4096"),
            "{text}"
        );
        assert_eq!(disk.used(), 0);
    }

    /// The device that is always full.
    #[test]
    fn a_full_disk_is_named_with_what_was_needed() {
        let disk = Disk::new("/dev".into(), u64::MAX);
        let (schema, batch) = rows(1000);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let file = Arc::new(SpillFile::over(full, &disk, &schema));
        let error = file.write(&batch, 0).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
        let text = error.to_string();
        assert!(text.contains("write ") && text.contains(" bytes in /dev, where rows take"), "{text}");
        assert!(text.contains("make room there"), "{text}");
        drop(file);
        assert_eq!(disk.used(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let disk = Disk::new("/dev/null/rows".into(), u64::MAX);
        let error = SpillFile::new(&disk, &rows(0).0).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("in /dev/null/rows"), "{error}");
    }
}
