//! A file on its way: written under another name, and visible under its own when it is whole.
//!
//! A data node that is down fails a file whose first block was to begin there, since the name node learns of it some seconds later. So the
//! beginning of a file is kept until there is more of it, and written again into another one. Later, the client goes on with the data nodes
//! that are left; where it cannot, the upload fails and nothing of it is seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::file::FileWriter;

use tributary_core::bytestore::{UNFINISHED, Upload};
use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;

use crate::error::{Fate, fate};
use crate::lock::{FolderLock, Step};
use crate::server::{Over, Renamed, Server, parent, within};

/// How much of a file's beginning is kept.
const KEPT_BYTES: u64 = 16 << 20;
/// Between two beginnings.
const PAUSE: Duration = Duration::from_secs(1);

/// A file that is not visible yet. Dropped, it is removed.
pub(crate) struct Draft {
    server: Arc<Server>,
    path: String,
    writer: Option<FileWriter>,
    /// All that was written, unless it is much.
    kept: Option<Vec<Bytes>>,
    bytes: u64,
    /// Its name now, while there is something to remove.
    name: Option<String>,
}

impl Draft {
    /// Asks the cluster nothing.
    pub(crate) fn new(server: &Arc<Server>, path: &str) -> Self {
        let (server, path) = (server.clone(), path.to_owned());
        Self { server, path, writer: None, kept: Some(Vec::new()), bytes: 0, name: None }
    }

    /// The same, with all of its bytes, and written.
    pub(crate) async fn of(server: &Arc<Server>, path: &str, bytes: Bytes) -> Result<Self> {
        let mut draft = Self::new(server, path);
        draft.write(bytes).await?;
        draft.close().await?;
        Ok(draft)
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            kept.push(bytes.clone());
        }
        let sent = match self.writer.as_mut() {
            Some(writer) => writer.write_bytes(bytes).await.map(drop),
            None => return self.begin(Last::No).await,
        };
        match sent {
            Ok(()) => self.keep_no_more(),
            Err(why) => self.again(why, Last::No).await?,
        }
        Ok(())
    }

    fn keep_no_more(&mut self) {
        if self.bytes > KEPT_BYTES {
            self.kept = None;
        }
    }

    /// All of it is at the data nodes.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let closed = match self.writer.as_mut() {
            Some(writer) => writer.close().await,
            None => return self.begin(Last::Yes).await,
        };
        match closed {
            Ok(()) => {
                self.writer = None;
                Ok(())
            }
            Err(why) => self.again(why, Last::Yes).await,
        }
    }

    /// After an error: from the beginning, if it was kept and another try may help.
    async fn again(&mut self, why: hdfs_native::HdfsError, last: Last) -> Result<()> {
        if self.kept.is_none() || fate(&why) == Fate::Refused {
            return Err(self.server.failed("write", &self.path, &why));
        }
        self.begin(last).await
    }

    /// Writes what is kept into a new file, again and again until patience ends.
    async fn begin(&mut self, last: Last) -> Result<()> {
        let began = Instant::now();
        loop {
            self.discard().await;
            let name = within(parent(&self.path), &format!("{UNFINISHED}{:016x}", random::u64()?));
            let writer = self.server.create(&name).await?;
            (self.name, self.writer) = (Some(name), Some(writer));
            let why = match self.send_kept(last).await {
                Ok(()) => {
                    self.keep_no_more();
                    return Ok(());
                }
                Err(why) => why,
            };
            if fate(&why) == Fate::Refused || began.elapsed() + PAUSE > self.server.patience {
                return Err(self.server.failed("write", &self.path, &why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_kept(&mut self, last: Last) -> hdfs_native::Result<()> {
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        for bytes in self.kept.iter().flatten() {
            writer.write_bytes(bytes.clone()).await?;
        }
        if last == Last::Yes {
            writer.close().await?;
            self.writer = None;
        }
        Ok(())
    }

    /// Appears under its name, taking the place of what had it.
    pub(crate) async fn publish(self) -> Result<()> {
        let Some(mut draft) = self.publish_if_absent().await? else { return Ok(()) };
        loop {
            let mut lock = FolderLock::take(&draft.server, parent(&draft.path)).await?;
            let placed = draft.publish_under(&mut lock).await;
            lock.release().await;
            if placed? == Published::Yes {
                return Ok(());
            }
        }
    }

    /// Appears under its name, if nothing has it; otherwise it comes back.
    pub(crate) async fn publish_if_absent(mut self) -> Result<Option<Self>> {
        let name = self.name.as_deref().ok_or_else(unwritten)?;
        match self.server.rename(name, &self.path, Over::Nothing).await? {
            Renamed::Taken => return Ok(Some(self)),
            Renamed::Done => {}
            // Nobody else renames it.
            Renamed::Lost if self.server.exists(&self.path).await? => {}
            Renamed::Lost | Renamed::Gone => return Err(self.removed()),
        }
        self.name = None;
        Ok(None)
    }

    /// Takes the place of what has its name, in a lock of its folder.
    pub(crate) async fn publish_under(&mut self, lock: &mut FolderLock) -> Result<Published> {
        let name = self.name.as_deref().ok_or_else(unwritten)?;
        match lock.place(name, &self.path).await? {
            Step::Absent => Err(self.removed()),
            Step::Broken => Ok(Published::LockBroken),
            Step::Done => {
                self.name = None;
                Ok(Published::Yes)
            }
        }
    }

    fn removed(&self) -> Error {
        let text = "another process removed the file before it was finished; write it again";
        Error::new(ErrorKind::Unavailable, text).at(format!("write {}", self.server.address(&self.path)))
    }

    /// Removes what there is of it.
    pub(crate) async fn discard(&mut self) {
        self.writer = None;
        if let Some(name) = self.name.take() {
            drop(self.server.remove(&name).await);
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let server = self.server.clone();
        self.server.threads.leave(async move { drop(server.remove(&name).await) });
    }
}

/// Whether a file has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    Yes,
    /// It is as before, and the lock is to be taken again.
    LockBroken,
}

fn unwritten() -> Error {
    Error::bug("a file that was not written")
}

/// Whether a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

/// See the module.
pub(crate) struct HdfsUpload {
    server: Arc<Server>,
    /// None while it is on the store's threads; a write that was given up ends there.
    draft: Option<Draft>,
}

impl HdfsUpload {
    pub(crate) fn new(server: &Arc<Server>, path: &str) -> Self {
        Self { server: server.clone(), draft: Some(Draft::new(server, path)) }
    }

    fn draft(&mut self) -> Result<Draft> {
        self.draft.take().ok_or_else(|| Error::invalid("an upload that failed cannot go on; write it again"))
    }
}

#[async_trait]
impl Upload for HdfsUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut draft = self.draft()?;
        let written = self.server.threads.run(async move { draft.write(bytes).await.map(|()| draft) });
        self.draft = Some(written.await?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let mut draft = self.draft()?;
        let finished = async move {
            draft.close().await?;
            draft.publish().await
        };
        self.server.threads.run(finished).await
    }

    async fn abort(mut self: Box<Self>) {
        let Some(mut draft) = self.draft.take() else { return };
        let discarded = async move {
            draft.discard().await;
            Ok(())
        };
        drop(self.server.threads.run(discarded).await);
    }
}
