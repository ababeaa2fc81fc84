//! [`ByteStore`] on a bucket.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion,
};

use tributary_core::bytestore::{FileState, copy_bytes};
use tributary_core::storage::StorageInfo;
use tributary_core::{Error, ErrorKind, Result};
use tributary_table::{ByteStore, Entry, Revision, Upload};
use tributary_threads::{Threads, Work};

use crate::azure::AzureConfig;
use crate::config::Way;
use crate::error::{failed, is_behind_the_end, is_gone, is_undecided};
use crate::gcs::GcsConfig;
use crate::notes;
use crate::s3::S3Config;
use crate::upload::ObjectUpload;

/// Named bytes in a bucket, below a prefix.
pub struct ObjectBytes {
    info: StorageInfo,
    /// Larger objects the service does not copy in one request.
    copied_at_once: Option<u64>,
    server: Arc<Server>,
}

/// The server's end of it: what runs on the store's own threads.
pub(crate) struct Server {
    client: Arc<dyn ObjectStore>,
    pub(crate) multipart: Arc<dyn MultipartStore>,
    pub(crate) threads: Threads,
    /// What addresses begin with.
    base: String,
    /// What names of objects begin with, with a `/` at its end if there is one.
    prefix: String,
    pub(crate) patience: Duration,
}

/// Between two writings of the note of an upload: a clean-up of what is older than twice this leaves running uploads alone.
const RENEW: Duration = Duration::from_secs(30);
/// The same where patience is short.
const LEAST_RENEW: Duration = Duration::from_millis(500);
/// Between two tries of a conditional request.
const AGAIN: Duration = Duration::from_millis(500);

impl ObjectBytes {
    /// A bucket of S3, or of a server that speaks its protocol. Asks the server nothing.
    pub fn s3(config: &S3Config) -> Result<Self> {
        let client = Arc::new(config.client()?);
        let info = StorageInfo::new("s3").binding().replacing_snapshots().copying_cheaply();
        let store = Self::new(info, client.clone(), client, config.base(), &config.way)?;
        Ok(Self { copied_at_once: Some(config.copied_at_once), ..store })
    }

    /// A container of Azure. Asks the service nothing.
    pub fn azure(config: &AzureConfig) -> Result<Self> {
        let client = Arc::new(config.client()?);
        let info = StorageInfo::new("azure").binding().replacing_snapshots().copying_cheaply();
        Self::new(info, client.clone(), client, config.base(), &config.way)
    }

    /// A bucket of Google Cloud Storage. Asks the service nothing.
    pub fn gcs(config: &GcsConfig) -> Result<Self> {
        let client = Arc::new(config.client()?);
        let info = StorageInfo::new("gcs").binding().replacing_snapshots().copying_cheaply();
        Self::new(info, client.clone(), client, config.base(), &config.way)
    }

    fn new(
        info: StorageInfo,
        client: Arc<dyn ObjectStore>,
        multipart: Arc<dyn MultipartStore>,
        base: String,
        way: &Way,
    ) -> Result<Self> {
        let prefix = if way.prefix.is_empty() { String::new() } else { format!("{}/", way.prefix) };
        let (threads, patience) = (Threads::start("object store")?, way.patience);
        let server = Server { client, multipart, threads, base, prefix, patience };
        Ok(Self { info, copied_at_once: None, server: Arc::new(server) })
    }

    async fn on_server<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Server>) -> F,
    ) -> Result<T> {
        self.server.threads.run(work(self.server.clone())).await
    }
}

/// Where it is, and nothing of its credentials.
impl fmt::Debug for ObjectBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects in {}", self.server.base)
    }
}

impl Server {
    /// The name of an object. `InvalidInput` for one that no object can have.
    pub(crate) fn name(&self, path: &str) -> Result<Path> {
        let name = format!("{}{path}", self.prefix);
        Path::parse(&name)
            .map_err(|why| Error::invalid(format!("no object can be named {name:?}")).because(why))
    }

    pub(crate) fn address_of(&self, name: &Path) -> String {
        let path = name.as_ref();
        format!("{}/{}", self.base, path.strip_prefix(self.prefix.as_str()).unwrap_or(path))
    }

    fn failed(&self, operation: &str, name: &Path, error: object_store::Error) -> Error {
        failed(operation, &self.address_of(name), error)
    }

    /// A small object in one request, also from a thread that is not the store's.
    pub(crate) async fn put(self: &Arc<Self>, path: &str, payload: PutPayload) -> Result<()> {
        let (server, name) = (self.clone(), self.name(path)?);
        let put = async move {
            let put = server.client.put(&name, payload).await;
            put.map(drop).map_err(|why| server.failed("write", &name, why))
        };
        self.threads.run(put).await
    }

    /// Writes a note again and again until the work is dropped. One that cannot be written is written the next time.
    pub(crate) fn renew(self: &Arc<Self>, note: String, text: String) -> Work<()> {
        let (server, every) = (self.clone(), RENEW.min(self.patience / 2).max(LEAST_RENEW));
        self.threads.run(async move {
            let name = server.name(&note)?;
            loop {
                tokio::time::sleep(every).await;
                drop(server.client.put(&name, text.clone().into()).await);
            }
        })
    }

    /// Removes the note of an upload that is complete, also from a thread that is not the store's.
    pub(crate) async fn forget(self: &Arc<Self>, note: &str) -> Result<()> {
        let (server, note) = (self.clone(), note.to_owned());
        self.threads.run(async move { server.remove(&[note]).await }).await
    }

    async fn get(&self, name: &Path, range: Range<u64>) -> Result<Bytes> {
        match self.get_some(name, range).await {
            Ok((bytes, _)) => Ok(bytes),
            Err(why) if is_behind_the_end(&why) => Ok(Bytes::new()),
            Err(why) => Err(self.failed("read", name, why)),
        }
    }

    async fn get_some(&self, name: &Path, range: Range<u64>) -> object_store::Result<(Bytes, ObjectMeta)> {
        let asked = match range.end {
            u64::MAX => GetRange::Offset(range.start),
            _ => GetRange::Bounded(range),
        };
        let got = self.client.get_opts(name, GetOptions::new().with_range(Some(asked))).await?;
        let meta = got.meta.clone();
        Ok((got.bytes().await?, meta))
    }

    /// Nothing if there is no such object.
    async fn get_small(&self, name: &Path, most: u64) -> object_store::Result<(Bytes, ObjectMeta)> {
        let got = self.client.get(name).await?;
        let (meta, mut pieces, mut bytes) = (got.meta.clone(), got.into_stream(), BytesMut::new());
        while let Some(piece) = pieces.try_next().await? {
            let left = (most as usize).saturating_sub(bytes.len());
            bytes.extend_from_slice(&piece[..piece.len().min(left)]);
            if bytes.len() as u64 >= most {
                break;
            }
        }
        Ok((bytes.freeze(), meta))
    }

    /// A small object on a condition. The answer to an earlier try may have been lost, so that what is in the way may be this
    /// very object: then it is done. While it is not known whether it was written, the same condition decides it: the client itself repeats
    /// no request that has one.
    async fn put_if(&self, name: &Path, bytes: Bytes, mode: PutMode) -> Result<()> {
        let began = Instant::now();
        loop {
            let put = self.client.put_opts(name, bytes.clone().into(), mode.clone().into()).await;
            let Err(why) = put else { return Ok(()) };
            let refused = matches!(
                why,
                object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }
            );
            if refused
                && let Ok((there, _)) = self.get_small(name, bytes.len() as u64 + 1).await
                && there == bytes
            {
                return Ok(());
            }
            if !is_undecided(&why) || began.elapsed() >= self.patience {
                return Err(self.failed("write", name, why));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let name = self.name(folder)?;
        let within = (!name.as_ref().is_empty()).then_some(&name);
        let entry = |meta: ObjectMeta| {
            let path = meta.location.as_ref().strip_prefix(self.prefix.as_str())?.to_owned();
            Some(Entry { path, bytes: meta.size, modified: SystemTime::from(meta.last_modified) })
        };
        let found: Vec<ObjectMeta> =
            self.client.list(within).try_collect().await.map_err(|why| self.failed("list", &name, why))?;
        Ok(found.into_iter().filter_map(entry).collect())
    }

    /// Removes names, the last one after all others. With a note, the upload that it is of.
    pub(crate) async fn delete(self: Arc<Self>, paths: &[String]) -> Result<()> {
        for note in paths.iter().filter(|path| notes::is_note(path)) {
            self.abort_noted(&self.name(note)?).await?;
        }
        let Some((last, others)) = paths.split_last() else { return Ok(()) };
        self.remove(others).await?;
        self.remove(std::slice::from_ref(last)).await
    }

    async fn remove(&self, paths: &[String]) -> Result<()> {
        let names: Vec<Path> = paths.iter().map(|path| self.name(path)).collect::<Result<_>>()?;
        let Some(first) = names.first().cloned() else { return Ok(()) };
        let mut removed = self.client.delete_stream(stream::iter(names).map(Ok).boxed());
        while let Some(result) = removed.next().await {
            match result {
                Err(why) if !is_gone(&why) => return Err(self.failed("remove", &first, why)),
                Err(_) | Ok(_) => {}
            }
        }
        Ok(())
    }

    async fn abort_noted(&self, note: &Path) -> Result<()> {
        let text = match self.get_small(note, notes::MOST_BYTES).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            text => text.map_err(|why| self.failed("read", note, why))?.0,
        };
        // What is no note of ours has our name, and is removed like one.
        let Ok((target, id)) = notes::read(note, &text) else { return Ok(()) };
        match self.multipart.abort_multipart(&target, &id).await {
            // it was completed, or aborted before
            Err(why) if why.to_string().contains("NoSuchUpload") => Ok(()),
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            aborted => aborted.map_err(|why| self.failed("give up", &target, why)),
        }
    }
}

#[async_trait]
impl ByteStore for ObjectBytes {
    fn info(&self) -> &StorageInfo {
        &self.info
    }

    fn base(&self) -> &str {
        &self.server.base
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let name = self.server.name(path)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.on_server(|server| async move { server.get(&name, range).await }).await
    }

    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        let name = self.server.name(path)?;
        self.on_server(|server| async move {
            let read = server.get_small(&name, most).await;
            let (bytes, meta) = read.map_err(|why| server.failed("read", &name, why))?;
            Ok((bytes, revision(&meta).map_err(|error| error.at(server.address_of(&name)))?))
        })
        .await
    }

    async fn stat(&self, path: &str) -> Result<FileState> {
        let name = self.server.name(path)?;
        self.on_server(|server| async move {
            let found = server.client.head(&name).await;
            found.map(|meta| state(&meta)).map_err(|why| server.failed("look at", &name, why))
        })
        .await
    }

    /// One answer has both.
    async fn get_with_state(&self, path: &str, range: Range<u64>) -> Result<(Bytes, FileState)> {
        let name = self.server.name(path)?;
        if range.is_empty() {
            return Ok((Bytes::new(), self.stat(path).await?));
        }
        self.on_server(|server| async move {
            let read = server.get_some(&name, range).await;
            let (bytes, meta) = read.map_err(|why| server.failed("read", &name, why))?;
            Ok((bytes, state(&meta)))
        })
        .await
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(ObjectUpload::new(self.server.clone(), path)?))
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        let name = self.server.name(path)?;
        self.on_server(|server| async move { server.put_if(&name, bytes, PutMode::Create).await }).await
    }

    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
        let (name, version) = (self.server.name(path)?, version(expected)?);
        self.on_server(|server| async move { server.put_if(&name, bytes, PutMode::Update(version)).await })
            .await
    }

    /// At the server, without the bytes passing here, unless the object is too large for that.
    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        if let Some(most) = self.copied_at_once
            && self.stat(from).await?.bytes > most
        {
            return copy_bytes(self, from, to).await;
        }
        let (from, to) = (self.server.name(from)?, self.server.name(to)?);
        self.on_server(|server| async move {
            let copied = server.client.copy(&from, &to).await;
            copied.map_err(|why| server.failed("copy", &from, why))
        })
        .await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let folder = folder.to_owned();
        self.on_server(|server| async move { server.list(&folder).await }).await
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        let paths = paths.to_vec();
        self.on_server(|server| async move { server.delete(&paths).await }).await
    }
}

fn state(meta: &ObjectMeta) -> FileState {
    // a tag may be that of the bytes, and a generation of the write
    let tags: Vec<&str> = [&meta.e_tag, &meta.version].into_iter().flatten().map(String::as_str).collect();
    let tag = (!tags.is_empty()).then(|| tags.join(" "));
    FileState { bytes: meta.size, modified: SystemTime::from(meta.last_modified), tag }
}

/// Between entity tag and generation, which hold no line ends: both come from headers.
const BETWEEN: char = '\n';

fn revision(meta: &ObjectMeta) -> Result<Revision> {
    match (&meta.e_tag, &meta.version) {
        (None, None) => Err(Error::new(
            ErrorKind::Unsupported,
            "the server gives objects no entity tags, so that two writers would overwrite each other unseen",
        )),
        (tag, version) => {
            let (tag, version) = (tag.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
            Ok(Revision::new(format!("{tag}{BETWEEN}{version}")))
        }
    }
}

fn version(revision: &Revision) -> Result<UpdateVersion> {
    let parts = std::str::from_utf8(revision.as_bytes()).ok().and_then(|text| text.split_once(BETWEEN));
    let (tag, version) = parts.ok_or_else(|| Error::bug("a revision of another store"))?;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(UpdateVersion { e_tag: given(tag), version: given(version) })
}
