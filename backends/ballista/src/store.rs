//! The session's store: what driver and executors leave for each other, on a medium that all of them reach.
//!
//! ```text
//! sessions/<session>/lease                       renewed while the driver lives; `gc` goes by its age
//!                    files/<nonce>               rows, Arrow IPC
//!                    moved/<action>/<nonce>      rows that an exchange moves, until the action ends
//!                    blobs/<number>              kernel parameters, secret ones sealed
//!                    done/<action>/<partition>   commits: the task that writes one first has done the partition
//! ```
//!
//! A partition that is computed twice (an executor was lost, or thought to be) leaves two files and one commit, so that
//! a kernel with fresh randomness never mixes two runs.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tributary_core::bytestore::{ByteStore, Upload, list_with_time};
use tributary_core::computing::{Blob, BlobKind, BlobRef};
use tributary_core::error::{ErrorKind, Result, ResultExt};
use tributary_core::storage::{Sweep, SweepMode};
use tributary_system::random;

use crate::fragment::{Commit, decode, encode};
use crate::seal::ClusterKey;

const WHOLE: std::ops::Range<u64> = 0..u64::MAX;

/// One session's part of the store.
#[derive(Clone)]
pub(crate) struct SessionStore {
    bytes: Arc<dyn ByteStore>,
    key: ClusterKey,
    folder: String,
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bytes.base(), self.folder)
    }
}

impl SessionStore {
    /// `name` is the session's in the cluster, see [`crate::state::State::name`].
    pub(crate) fn new(bytes: Arc<dyn ByteStore>, key: ClusterKey, name: &str) -> Self {
        Self { bytes, key, folder: format!("sessions/{name}") }
    }

    pub(crate) async fn read(&self, file: &str) -> Result<Bytes> {
        self.bytes.get(file, WHOLE).await
    }

    pub(crate) async fn read_range(&self, file: &str, bytes: std::ops::Range<u64>) -> Result<Bytes> {
        self.bytes.get(file, bytes).await
    }

    /// A new file of rows: its name, and where to write it.
    pub(crate) async fn create(&self) -> Result<(String, Box<dyn Upload>)> {
        self.create_in(&format!("{}/files", self.folder)).await
    }

    /// The same for rows that an exchange of this action moves.
    pub(crate) async fn create_moved(&self, action: u64) -> Result<(String, Box<dyn Upload>)> {
        self.create_in(&self.moved_folder(action)).await
    }

    async fn create_in(&self, folder: &str) -> Result<(String, Box<dyn Upload>)> {
        let file = format!("{folder}/{:016x}", random::u64()?);
        let upload = self.bytes.put(&file).await?;
        Ok((file, upload))
    }

    /// Where an action's exchanges leave rows.
    pub(crate) fn moved_folder(&self, action: u64) -> String {
        format!("{}/moved/{action}", self.folder)
    }

    pub(crate) async fn delete_folder(&self, folder: &str) -> Result<()> {
        let paths: Vec<String> = self.bytes.list(folder).await?.into_iter().map(|entry| entry.path).collect();
        self.bytes.delete(&paths).await
    }

    /// `false` if another task did the partition before.
    pub(crate) async fn commit(&self, action: u64, partition: u32, commit: &Commit) -> Result<bool> {
        let place = self.commit_place(action, partition);
        match self.bytes.put_if_absent(&place, encode(commit)?.into()).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn committed(&self, action: u64, partition: u32) -> Result<Commit> {
        let bytes = self.bytes.get(&self.commit_place(action, partition), WHOLE).await;
        decode("a commit", &bytes.at(|| format!("partition {partition}"))?)
    }

    pub(crate) fn commit_place(&self, action: u64, partition: u32) -> String {
        format!("{}/done/{action}/{partition}", self.folder)
    }

    pub(crate) fn blob_place(&self, number: u64) -> String {
        format!("{}/blobs/{number}", self.folder)
    }

    pub(crate) async fn put_blob(&self, number: u64, blob: &Blob) -> Result<()> {
        let place = self.blob_place(number);
        let bytes = match blob {
            Blob::Plain(bytes) => bytes.clone(),
            Blob::Secret(_) => self.key.seal(place.as_bytes(), blob.bytes())?.into(),
        };
        let mut upload = self.bytes.put(&place).await?;
        upload.write(bytes).await?;
        upload.finish().await
    }

    pub(crate) async fn blob(&self, blob: &BlobRef) -> Result<Blob> {
        let place = self.blob_place(blob.number());
        let bytes = self.bytes.get(&place, WHOLE).await?;
        Ok(match blob.kind() {
            BlobKind::Plain => Blob::Plain(bytes),
            BlobKind::Secret => Blob::secret(self.key.open(place.as_bytes(), &bytes)?),
        })
    }

    pub(crate) async fn delete(&self, paths: &[String]) -> Result<()> {
        self.bytes.delete(paths).await
    }

    /// Says that the session's driver lives.
    pub(crate) async fn renew_lease(&self) -> Result<()> {
        let mut upload = self.bytes.put(&format!("{}/lease", self.folder)).await?;
        upload.write(Bytes::from_static(b"lives\n")).await?;
        upload.finish().await
    }

    /// Removes everything that the session left, the lease last.
    pub(crate) async fn clear(&self) -> Result<u64> {
        let mut paths: Vec<String> =
            self.bytes.list(&self.folder).await?.into_iter().map(|entry| entry.path).collect();
        paths.sort_by_key(|path| path.ends_with("/lease"));
        let count = paths.len() as u64;
        self.bytes.delete(&paths).await.map(|()| count)
    }
}

/// Removes, or counts, what sessions left whose driver has not been heard of for `what.idle`. Gives the number of sessions.
///
/// Ages are by the clock of the medium, which stamps the leases.
pub async fn sweep(bytes: &Arc<dyn ByteStore>, key: &ClusterKey, what: &Sweep) -> Result<u64> {
    let nonce = random::u64()?;
    // left by a crash, it is a session like any other
    let clock = format!("sessions/clock-{nonce:016x}/lease");
    let (now, entries) = list_with_time(&**bytes, "sessions", &clock).await?;
    let mut latest: std::collections::BTreeMap<String, std::time::SystemTime> = Default::default();
    for entry in entries {
        let Some(session) = entry.path.split('/').nth(1) else { continue };
        let time = latest.entry(session.to_owned()).or_insert(entry.modified);
        *time = entry.modified.max(*time);
    }
    let mut swept = 0;
    for (session, time) in latest {
        if now.duration_since(time).is_ok_and(|since| since >= what.idle) {
            if what.mode == SweepMode::Remove {
                SessionStore::new(bytes.clone(), key.clone(), &session).clear().await?;
            }
            swept += 1;
        }
    }
    Ok(swept)
}
