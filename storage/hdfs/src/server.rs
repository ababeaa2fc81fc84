//! The cluster as the store sees it: requests that are repeated, by their rules.
//!
//! **What is renamed or made has a name that nobody else uses**, so that a request may be repeated whatever became of it: of a rename whose
//! answer was lost, the second try finds nothing at the old name.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hdfs_native::client::{ContentSummary, FileStatus};
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, HdfsError, WriteOptions};

use tributary_core::bytestore::FileState;
use tributary_core::{Error, ErrorKind, Result};
use tributary_threads::Threads;

use crate::config::HdfsConfig;
use crate::error::{Fate, failed, fate, is_missing, is_taken, too_late};

/// Between two tries of a request; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Tables may hold medical records: the store's folder and all files are their owner's alone.
const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;

/// What runs on the store's own threads. Paths are relative to the store's folder, as in the byte store's contract.
pub(crate) struct Server {
    client: Client,
    pub(crate) threads: Threads,
    /// What addresses begin with.
    pub(crate) base: String,
    /// What names begin with.
    folder: String,
    /// Whether that folder was made, if it was not there.
    made: AtomicBool,
    options: WriteOptions,
    pub(crate) patience: Duration,
}

/// Whether a rename takes the place of what is at the new name: a file, or an empty folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Nothing,
    Anything,
}

/// What became of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renamed {
    /// It was done.
    Done,
    /// There is something at the new name.
    Taken,
    /// There is nothing at the old name, or no folder for the new one.
    Gone,
    /// The same, but an earlier try may have been carried out.
    Lost,
}

/// The last answer, and whether an earlier try may have been carried out.
struct Answer<T> {
    last: hdfs_native::Result<T>,
    lost: bool,
}

impl Server {
    pub(crate) fn new(config: &HdfsConfig) -> Result<Arc<Self>> {
        let threads = Threads::start("hdfs")?;
        let options = WriteOptions {
            replication: config.replication,
            permission: FILE,
            overwrite: true,
            ..WriteOptions::default()
        };
        Ok(Arc::new(Self {
            client: config.client(threads.handle()?)?,
            threads,
            base: config.base(),
            folder: config.folder.clone(),
            made: AtomicBool::new(config.folder.is_empty()),
            options,
            patience: config.patience,
        }))
    }

    fn name(&self, path: &str) -> String {
        match path.is_empty() {
            true if self.folder.is_empty() => "/".to_owned(),
            true => self.folder.clone(),
            false => format!("{}/{path}", self.folder),
        }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    pub(crate) fn failed(&self, operation: &str, path: &str, error: &HdfsError) -> Error {
        failed(operation, &self.address(path), error)
    }

    /// Repeats a request until it is answered for good, or patience ends.
    async fn call<T, F: Future<Output = hdfs_native::Result<T>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Answer<T> {
        let (began, mut pause, mut lost) = (Instant::now(), PAUSE, false);
        loop {
            let last = request().await;
            let Some(what) = last.as_ref().err().map(fate) else { return Answer { last, lost } };
            lost |= what == Fate::Unknown;
            if what == Fate::Refused || began.elapsed() + pause > self.patience {
                return Answer { last, lost };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A request to the name node that does not hang with it.
    async fn ask<T>(&self, request: impl Future<Output = hdfs_native::Result<T>>) -> hdfs_native::Result<T> {
        tokio::time::timeout(self.patience, request).await.unwrap_or_else(|_| Err(too_late()))
    }

    /// The bytes in a range, fewer where they end before it.
    pub(crate) async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let name = self.name(path);
        let read = || async {
            let reader = self.ask(self.client.read(&name)).await?;
            let end = range.end.min(reader.file_length() as u64);
            let wanted = end.saturating_sub(range.start) as usize;
            let bytes = match wanted {
                0 => Bytes::new(),
                _ => reader.read_range(range.start as usize, wanted).await?,
            };
            match bytes.len() == wanted {
                true => Ok(bytes),
                false => Err(HdfsError::DataTransferError(format!("{} bytes of {wanted} came", bytes.len()))),
            }
        };
        self.call(read).await.last.map_err(|why| self.failed("read", path, &why))
    }

    /// What the name node says of a name.
    pub(crate) async fn status(&self, path: &str) -> Result<FileStatus> {
        let name = self.name(path);
        let found = self.call(|| self.ask(self.client.get_file_info(&name))).await;
        found.last.map_err(|why| self.failed("look at", path, &why))
    }

    /// The same of a file. `NotFound` also for a folder, which has no bytes.
    pub(crate) async fn stat(&self, path: &str) -> Result<FileState> {
        let found = self.status(path).await?;
        if found.isdir {
            let text = format!("look at {}", self.address(path));
            return Err(Error::new(ErrorKind::NotFound, "it is a folder").at(text));
        }
        Ok(FileState { bytes: found.length as u64, modified: modified(&found), tag: None })
    }

    /// What is below a folder in all, and how much may be.
    pub(crate) async fn summary(&self, path: &str) -> Result<ContentSummary> {
        let name = self.name(path);
        let found = self.call(|| self.ask(self.client.get_content_summary(&name))).await;
        found.last.map_err(|why| self.failed("count what is in", path, &why))
    }

    /// Begins a file, in place of one that an earlier try began. Folders above it are made.
    pub(crate) async fn create(&self, path: &str) -> Result<FileWriter> {
        // HDFS would make it for all to look into.
        if !self.made.load(Ordering::Relaxed) {
            self.make_folder("").await?;
            self.made.store(true, Ordering::Relaxed);
        }
        let name = self.name(path);
        let made = self.call(|| self.ask(self.client.create(&name, &self.options))).await;
        made.last.map_err(|why| self.failed("begin to write", path, &why))
    }

    /// Makes a folder, and those above it, if it is not there.
    pub(crate) async fn make_folder(&self, path: &str) -> Result<()> {
        let name = self.name(path);
        let made = self.call(|| self.ask(self.client.mkdirs(&name, FOLDER, true))).await;
        made.last.map_err(|why| self.failed("make", path, &why))
    }

    pub(crate) async fn exists(&self, path: &str) -> Result<bool> {
        let name = self.name(path);
        match self.call(|| self.ask(self.client.get_file_info(&name))).await.last {
            Ok(_) => Ok(true),
            Err(why) if is_missing(&why) => Ok(false),
            Err(why) => Err(self.failed("look for", path, &why)),
        }
    }

    /// Errors other than those that [`Renamed`] tells apart.
    pub(crate) async fn rename(&self, from: &str, to: &str, over: Over) -> Result<Renamed> {
        let (old, new) = (self.name(from), self.name(to));
        let Answer { last, lost } =
            self.call(|| self.ask(self.client.rename(&old, &new, over == Over::Anything))).await;
        match last {
            Ok(()) => Ok(Renamed::Done),
            Err(why) if is_taken(&why) => Ok(Renamed::Taken),
            Err(why) if is_missing(&why) && lost => Ok(Renamed::Lost),
            Err(why) if is_missing(&why) => Ok(Renamed::Gone),
            Err(why) => Err(self.failed("write", to, &why)),
        }
    }

    /// Removes a file, or a folder with all that is in it. What does not exist is no error.
    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        let name = self.name(path);
        match self.call(|| self.ask(self.client.delete(&name, true))).await.last {
            Err(why) if !is_missing(&why) => Err(self.failed("remove", path, &why)),
            _ => Ok(()),
        }
    }

    /// Removes a folder if there is nothing in it; says whether there is none now.
    pub(crate) async fn remove_empty(&self, path: &str) -> bool {
        let name = self.name(path);
        self.ask(self.client.delete(&name, false)).await.is_ok()
    }

    /// What is in a folder, relative to the store's; with what is in folders below it, if all is wanted. Nothing if it does not exist.
    pub(crate) async fn list(&self, folder: &str, depth: Depth) -> Result<Vec<FileStatus>> {
        let name = self.name(folder);
        let list = || async {
            let entries = self.client.list_status_iter(&name, depth == Depth::All);
            let mut found = Vec::new();
            while let Some(next) = self.ask_next(&entries).await {
                match next {
                    // removed meanwhile
                    Err(why) if is_missing(&why) => {}
                    entry => found.push(entry?),
                }
            }
            Ok(found)
        };
        let mut found = self.call(list).await.last.map_err(|why| self.failed("list", folder, &why))?;
        for entry in &mut found {
            let path = entry.path.strip_prefix(&self.folder).unwrap_or(&entry.path);
            entry.path = path.trim_start_matches('/').to_owned();
        }
        Ok(found)
    }

    async fn ask_next(
        &self,
        entries: &hdfs_native::client::ListStatusIterator,
    ) -> Option<hdfs_native::Result<FileStatus>> {
        tokio::time::timeout(self.patience, entries.next()).await.unwrap_or_else(|_| Some(Err(too_late())))
    }
}

/// How deep a folder is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only what is in it.
    One,
    /// At any depth.
    All,
}

/// When a name node says that a file was last written.
pub(crate) fn modified(status: &FileStatus) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(status.modification_time)
}

/// The folder of a path; empty at the top.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A name in a folder.
pub(crate) fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
