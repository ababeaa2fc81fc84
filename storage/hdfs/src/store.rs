//! [`ByteStore`] on HDFS.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::client::FileStatus;

use tributary_core::bytestore::FileState;
use tributary_core::check::Finding;
use tributary_core::storage::StorageInfo;
use tributary_core::{Error, ErrorKind, Result};
use tributary_table::{ByteStore, Entry, Revision, UNFINISHED, Upload};

use crate::config::HdfsConfig;
use crate::examine::examine;
use crate::lock::{self, FolderLock, Step};
use crate::server::{Depth, Server, modified, parent};
use crate::upload::{Draft, HdfsUpload, Published};

/// Named bytes in a folder of HDFS.
pub struct HdfsBytes {
    info: StorageInfo,
    server: Arc<Server>,
}

impl HdfsBytes {
    /// Asks the cluster nothing. `InvalidInput` for settings that do not fit together.
    pub fn new(config: &HdfsConfig) -> Result<Self> {
        Ok(Self {
            info: StorageInfo::new("hdfs").binding().replacing_snapshots(),
            server: Server::new(config)?,
        })
    }

    async fn on_server<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Server>) -> F,
    ) -> Result<T> {
        self.server.threads.run(work(self.server.clone())).await
    }
}

/// Where it is, and nothing of its user.
impl fmt::Debug for HdfsBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files in {}", self.server.base)
    }
}

async fn put_if_absent(server: Arc<Server>, path: String, bytes: Bytes) -> Result<()> {
    let Some(mut draft) = Draft::of(&server, &path, bytes).await?.publish_if_absent().await? else {
        return Ok(());
    };
    draft.discard().await;
    Err(Error::new(ErrorKind::AlreadyExists, "it exists").at(format!("write {}", server.address(&path))))
}

async fn put_if_unchanged(server: Arc<Server>, path: String, expected: Revision, bytes: Bytes) -> Result<()> {
    let mut draft = Draft::of(&server, &path, bytes).await?;
    loop {
        let mut lock = FolderLock::take(&server, parent(&path)).await?;
        let placed = match has_bytes(&server, &path, expected.as_bytes()).await {
            Ok(true) => draft.publish_under(&mut lock).await,
            Ok(false) => {
                let text = format!("write {}", server.address(&path));
                Err(Error::new(ErrorKind::Conflict, "another process changed it").at(text))
            }
            Err(error) => Err(error),
        };
        lock.release().await;
        match placed {
            Ok(Published::Yes) => return Ok(()),
            Ok(Published::LockBroken) => {}
            Err(error) => {
                draft.discard().await;
                return Err(error);
            }
        }
    }
}

/// Whether a file has exactly these bytes; false if there is no file.
async fn has_bytes(server: &Server, path: &str, expected: &[u8]) -> Result<bool> {
    match server.get(path, 0..expected.len() as u64 + 1).await {
        Ok(found) => Ok(found == expected),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Names of one folder, of which none is an unfinished one, in this order.
async fn remove_from(server: &Arc<Server>, folder: &str, paths: &[String]) -> Result<()> {
    let there = server.list(folder, Depth::One).await?;
    let there: HashSet<String> = there.into_iter().map(|entry| entry.path).collect();
    let mut left: VecDeque<&String> = paths.iter().filter(|path| there.contains(*path)).collect();
    while !left.is_empty() {
        let mut lock = match FolderLock::take(server, folder).await {
            // There is no room for a lock: nobody else gets one, and who has it loses it.
            Err(error) if error.kind() == ErrorKind::Exhausted => {
                server.remove(&lock::place(folder)).await?;
                for path in left {
                    server.remove(path).await?;
                }
                break;
            }
            lock => lock?,
        };
        let removed = remove_under(&mut lock, &mut left).await;
        lock.release().await;
        removed?;
    }
    prune(server, folder).await;
    Ok(())
}

/// Until the lock is broken.
async fn remove_under(lock: &mut FolderLock, left: &mut VecDeque<&String>) -> Result<()> {
    while let Some(path) = left.front() {
        match lock.take_away(path).await? {
            Step::Done | Step::Absent => drop(left.pop_front()),
            Step::Broken => break,
        }
    }
    Ok(())
}

/// Removes folders with nothing in them, from this one up to that of the store.
async fn prune(server: &Server, folder: &str) {
    let mut folder = folder;
    while !folder.is_empty() && server.remove_empty(folder).await {
        folder = parent(folder);
    }
}

async fn delete(server: Arc<Server>, paths: Vec<String>) -> Result<()> {
    for group in paths.chunk_by(|one, next| same_way(one) == same_way(next)) {
        match same_way(&group[0]) {
            (folder, false) => remove_from(&server, folder, group).await?,
            (folder, true) => {
                // Nobody replaces them on a condition.
                for path in group {
                    server.remove(path).await?;
                }
                prune(&server, folder).await;
            }
        }
    }
    Ok(())
}

/// The folder of a name, and whether it is an unfinished one.
fn same_way(path: &str) -> (&str, bool) {
    let folder = parent(path);
    (folder, path[folder.len()..].trim_start_matches('/').starts_with(UNFINISHED))
}

/// Files; and folders with unfinished names, such as locks, as if each were a file, so that clean-up removes what a crash left of them.
fn entries(found: Vec<FileStatus>) -> Vec<Entry> {
    let mut all: BTreeMap<String, Entry> = BTreeMap::new();
    for status in found {
        let modified = modified(&status);
        let unfinished = unfinished_folder(&status.path, status.isdir);
        if status.isdir && unfinished.is_none() {
            continue;
        }
        let path = unfinished.unwrap_or(&status.path).to_owned();
        let entry = all.entry(path.clone()).or_insert(Entry { path, bytes: 0, modified });
        entry.bytes += if status.isdir { 0 } else { status.length as u64 };
        entry.modified = entry.modified.max(modified);
    }
    all.into_values().collect()
}

/// The outermost folder with an unfinished name that a path is, or is in.
fn unfinished_folder(path: &str, is_folder: bool) -> Option<&str> {
    let mut at = 0;
    for component in path.split('/') {
        let end = at + component.len();
        if component.starts_with(UNFINISHED) && (is_folder || end < path.len()) {
            return path.get(..end);
        }
        at = end + 1;
    }
    None
}

#[async_trait]
impl ByteStore for HdfsBytes {
    fn info(&self) -> &StorageInfo {
        &self.info
    }

    fn base(&self) -> &str {
        &self.server.base
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let path = path.to_owned();
        self.on_server(|server| async move { server.get(&path, range).await }).await
    }

    /// Files have numbers of their own in HDFS, which the client does not say; their bytes are the revision.
    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        let bytes = self.get(path, 0..most).await?;
        Ok((bytes.clone(), Revision::new(bytes)))
    }

    async fn stat(&self, path: &str) -> Result<FileState> {
        let path = path.to_owned();
        self.on_server(|server| async move { server.stat(&path).await }).await
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(HdfsUpload::new(&self.server, path)))
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        let path = path.to_owned();
        self.on_server(|server| put_if_absent(server, path, bytes)).await
    }

    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
        let (path, expected) = (path.to_owned(), expected.clone());
        self.on_server(|server| put_if_unchanged(server, path, expected, bytes)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let folder = folder.to_owned();
        self.on_server(|server| async move {
            let mut found = entries(server.list(&folder, Depth::All).await?);
            // of a file, HDFS lists the file itself
            found.retain(|entry| entry.path != folder);
            Ok(found)
        })
        .await
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        let paths = paths.to_vec();
        self.on_server(|server| delete(server, paths)).await
    }

    async fn examine(&self) -> Vec<Finding> {
        let examined = self.on_server(|server| async move { Ok(examine(&server).await) }).await;
        examined.unwrap_or_else(|error| vec![Finding::of_error("folder", &error)])
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::server::within;

    fn status(path: &str, isdir: bool, time: u64) -> FileStatus {
        FileStatus {
            path: path.into(),
            length: 7,
            isdir,
            permission: 0,
            owner: String::new(),
            group: String::new(),
            modification_time: time,
            access_time: 0,
            replication: None,
            blocksize: None,
        }
    }

    #[test]
    fn what_a_lock_leaves_is_one_entry_that_clean_up_knows() {
        let lock = within("n/t", &format!("{UNFINISHED}lock"));
        let found = vec![
            status("n", true, 1),
            status("n/t/m", false, 2),
            status(&lock, true, 3),
            status(&format!("{lock}/a"), true, 4),
            status(&format!("{lock}/a/new"), false, 5),
            status("n/t/.unfinished-0", false, 6),
        ];
        let listed: Vec<_> = entries(found).into_iter().map(|e| (e.path, e.bytes, e.modified)).collect();
        let time = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(
            listed,
            [
                ("n/t/.unfinished-0".into(), 7, time(6)),
                (lock.clone(), 7, time(5)),
                ("n/t/m".into(), 7, time(2))
            ]
        );
        assert_eq!(same_way(&lock), ("n/t", true));
        assert_eq!(same_way("n/t/m"), ("n/t", false));
        assert_eq!(same_way(".unfinished-0"), ("", true));
    }
}
