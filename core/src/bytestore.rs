//! What a medium must do to hold tables, and what sessions of engines in several processes leave for each other: six
//! operations on named bytes.
//!
//! Made for the least able medium. There is no rename and no append (object stores have neither), no folders (a path is
//! a name with slashes), and the condition that all have is "if absent". "If unchanged" is asked for by those alone who would lose
//! what others wrote, and only of stores that declare it ([`StorageInfo::replaces_snapshots`]). What makes each of them one step:
//!
//! | medium | if absent | if unchanged | revision |
//! |---|---|---|---|
//! | local files | a hard link | a rename under the lock of the folder | the bytes |
//! | object stores | a conditional put | a conditional put | entity tag, generation |
//! | HDFS | a rename that overwrites nothing | a rename out of the lock of the folder, which fails if the lock was lost | the bytes |
//!
//! Paths are relative to [`ByteStore::base`], with `/` between components; callers make them from checked names, and no
//! component is empty, `.` or `..`. A store of local files still refuses those.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::check::Finding;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::StorageInfo;

/// Start of the file names that a store may use for uploads that are not finished; `list` may show what a crash left.
pub const UNFINISHED: &str = ".unfinished-";

/// Named bytes on a medium.
///
/// **What `put`, `put_if_absent` and `delete` did is durable** when they return, unless the store was made for passing
/// things. **An upload appears whole or not at
/// all**, taking the place of what had its name. Reading after writing sees what was written.
#[async_trait]
pub trait ByteStore: fmt::Debug + Send + Sync + 'static {
    /// Name and capabilities of the storage that it makes.
    fn info(&self) -> &StorageInfo;
    /// The address of a path is `{base}/{path}`: `file:///srv/tables`, `s3://bucket/tables`.
    fn base(&self) -> &str;
    /// The bytes in a range, fewer where they end before it. `NotFound`.
    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes>;
    /// At most so many bytes from the beginning, and the revision that they are of. `NotFound`.
    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)>;
    /// What the medium says of a name now. `NotFound`. By a list of its folder, unless the medium knows better.
    async fn stat(&self, path: &str) -> Result<FileState> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let found = self.list(folder).await?.into_iter().find(|entry| entry.path == path);
        let found = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "it does not exist").at(format!("read {}/{path}", self.base()))
        })?;
        Ok(FileState { bytes: found.bytes, modified: found.modified, tag: None })
    }
    /// As [`ByteStore::get`], with the state that the bytes are of; a later one if the name changes meanwhile. Unless the medium says both in one
    /// answer, the name is looked at afterwards.
    async fn get_with_state(&self, path: &str, range: Range<u64>) -> Result<(Bytes, FileState)> {
        let bytes = self.get(path, range).await?;
        Ok((bytes, self.stat(path).await?))
    }
    /// Begins an upload.
    async fn put(&self, path: &str) -> Result<Box<dyn Upload>>;
    /// A small upload that fails with `AlreadyExists`, and changes nothing, when the name is taken.
    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()>;
    /// A small upload that takes the place of this revision, or fails with `Conflict`, and changes nothing, when the name has
    /// another one or does not exist. Comparing and replacing are one step to `put`, `delete` and every other change of the name,
    /// in any process. `Unsupported` where the medium cannot do that.
    async fn put_if_unchanged(&self, _path: &str, _expected: &Revision, _bytes: Bytes) -> Result<()> {
        Err(self.info().cannot("compare and replace in one step"))
    }
    /// Gives the bytes of a name a second one, taking the place of what had it. By reading and writing them, unless the medium
    /// knows better.
    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        copy_bytes(self, from, to).await
    }
    /// Everything below a folder (`""`: all there is), at any depth, in any order. Empty if there is nothing.
    async fn list(&self, folder: &str) -> Result<Vec<Entry>>;
    /// Removes names, the last one after all others; those that do not exist are no error.
    async fn delete(&self, paths: &[String]) -> Result<()>;
    /// Makes `link` lead to `folder`, where the medium has links. For people and their tools: we never read it, so that
    /// failing is no error. `delete` removes it.
    async fn link(&self, _link: &str, _folder: &str) {}
    /// What an operator should know of the medium beside what a probe of this contract finds: room, rights.
    async fn examine(&self) -> Vec<Finding> {
        Vec::new()
    }
}

/// One state of a named value, as its medium tells states apart: an entity tag, a generation, or the bytes themselves where
/// it has neither. Only the store that gave it understands it.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision(Bytes);

impl Revision {
    /// What a medium says.
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// The same, for its store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Its length alone: it may be what is stored.
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a revision ({} bytes)", self.0.len())
    }
}

/// What tells one state of a file from another where its bytes are not read: what its medium says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Its size.
    pub bytes: u64,
    /// When it was last written, as exactly as the medium says.
    pub modified: SystemTime,
    /// An entity tag, a generation: what changes with every write. None where the medium has neither.
    pub tag: Option<String>,
}

/// An upload in progress. Dropped or aborted, it leaves nothing, or what clean-up finds.
#[async_trait]
pub trait Upload: Send {
    /// Appends. All calls but the last bring at least 8 MiB, so that they can be the parts of a multipart upload.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;
    /// Makes it appear under its name.
    async fn finish(self: Box<Self>) -> Result<()>;
    /// Gives it up.
    async fn abort(self: Box<Self>);
}

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the base.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// A second name with the same bytes, which are read and written.
pub async fn copy_bytes<B: ByteStore + ?Sized>(store: &B, from: &str, to: &str) -> Result<()> {
    const CHUNK: u64 = 8 << 20;
    let mut upload = store.put(to).await?;
    let mut at = 0;
    loop {
        let bytes = store.get(from, at..at + CHUNK).await?;
        let read = bytes.len() as u64;
        upload.write(bytes).await?;
        if read < CHUNK {
            return upload.finish().await;
        }
        at += read;
    }
}

/// Everything below a folder, and what time it is by the clock that stamps [`Entry::modified`]: that of the medium, which
/// need not be this machine's. Writes the small file `clock`, a new name below the folder, and removes it.
pub async fn list_with_time(
    store: &dyn ByteStore,
    folder: &str,
    clock: &str,
) -> Result<(SystemTime, Vec<Entry>)> {
    let clock = clock.to_owned();
    store.put_if_absent(&clock, Bytes::from_static(b"what time is it\n")).await?;
    let entries = store.list(folder).await;
    let deleted = store.delete(std::slice::from_ref(&clock)).await;
    let mut entries = entries?;
    deleted?;
    let at = entries.iter().position(|entry| entry.path == clock);
    let at = at.ok_or_else(|| Error::bug(format!("{clock} was written, and is not in the list")))?;
    Ok((entries.swap_remove(at).modified, entries))
}
