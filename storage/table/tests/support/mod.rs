//! Byte stores for tests: one in memory, with a clock that tests set, and one that breaks at a chosen step.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use tributary_core::storage::StorageInfo;
use tributary_core::{Error, ErrorKind, Result};
use tributary_table::{ByteStore, Entry, Revision, UNFINISHED, Upload};

const BASE: &str = "memory://tables";

/// Hours on the tests' clock.
pub fn hour(hours: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600)
}

#[derive(Debug, Clone)]
pub struct Memory {
    info: StorageInfo,
    state: Arc<Mutex<State>>,
}

/// The content of a store, and its clock: one lock, so that each operation of the contract is one step.
#[derive(Debug, Clone)]
struct State {
    names: BTreeMap<String, Named>,
    now: SystemTime,
    uploads: u64,
    changes: u64,
}

#[derive(Debug, Clone)]
struct Named {
    bytes: Bytes,
    modified: SystemTime,
    /// The number of the change that made it.
    change: u64,
}

impl Named {
    fn revision(&self) -> Revision {
        Revision::new(self.change.to_string())
    }
}

impl State {
    fn set(&mut self, path: &str, bytes: impl Into<Bytes>) {
        self.changes += 1;
        let named = Named { bytes: bytes.into(), modified: self.now, change: self.changes };
        self.names.insert(path.to_owned(), named);
    }

    fn get(&self, path: &str) -> Result<&Named> {
        self.names.get(path).ok_or_else(|| Error::new(ErrorKind::NotFound, path))
    }
}

impl Memory {
    pub fn new() -> Self {
        let state = State { names: BTreeMap::new(), now: hour(0), uploads: 0, changes: 0 };
        Self { info: StorageInfo::new("memory").replacing_snapshots(), state: Arc::new(Mutex::new(state)) }
    }

    /// A copy with the current content.
    pub fn copy(&self) -> Self {
        Self { info: self.info.clone(), state: Arc::new(Mutex::new(self.state().clone())) }
    }

    pub fn set_time(&self, now: SystemTime) {
        self.state().now = now;
    }

    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub fn bytes(&self, path: &str) -> Bytes {
        self.state().names[path].bytes.clone()
    }

    pub fn set(&self, path: &str, bytes: impl Into<Bytes>) {
        self.state().set(path, bytes);
    }

    pub fn remove(&self, path: &str) -> Option<Bytes> {
        self.state().names.remove(path).map(|named| named.bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl ByteStore for Memory {
    fn info(&self) -> &StorageInfo {
        &self.info
    }

    fn base(&self) -> &str {
        BASE
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let state = self.state();
        let bytes = &state.get(path)?.bytes;
        let end = range.end.min(bytes.len() as u64);
        Ok(bytes.slice(range.start.min(end) as usize..end as usize))
    }

    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        let state = self.state();
        let named = state.get(path)?;
        let end = named.bytes.len().min(most as usize);
        Ok((named.bytes.slice(..end), named.revision()))
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        let (folder, name) = path.rfind('/').map_or(("", path), |at| path.split_at(at + 1));
        let mut state = self.state();
        // two uploads of one name must not share what is unfinished
        let number = state.uploads;
        state.uploads += 1;
        let unfinished = format!("{folder}{UNFINISHED}{number}-{name}");
        state.set(&unfinished, Bytes::new());
        Ok(Box::new(MemoryUpload { store: self.clone(), path: path.to_owned(), unfinished }))
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(Error::new(ErrorKind::AlreadyExists, path));
        }
        state.set(path, bytes);
        Ok(())
    }

    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
        let mut state = self.state();
        if state.names.get(path).is_none_or(|there| there.revision() != *expected) {
            return Err(Error::new(ErrorKind::Conflict, path));
        }
        state.set(path, bytes);
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let inside = |path: &str| folder.is_empty() || path.starts_with(&format!("{folder}/"));
        let state = self.state();
        let entry = |(path, named): (&String, &Named)| Entry {
            path: path.clone(),
            bytes: named.bytes.len() as u64,
            modified: named.modified,
        };
        Ok(state.names.iter().filter(|(path, _)| inside(path)).map(entry).collect())
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        for path in paths {
            self.remove(path);
        }
        Ok(())
    }
}

/// On drop, it leaves its unfinished name, as a crash does.
struct MemoryUpload {
    store: Memory,
    path: String,
    unfinished: String,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut state = self.store.state();
        let so_far = state.names[&self.unfinished].bytes.clone();
        state.set(&self.unfinished, [so_far, bytes].concat());
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.store.state();
        let unfinished = state.names.remove(&self.unfinished).unwrap();
        state.set(&self.path, unfinished.bytes);
        Ok(())
    }

    async fn abort(self: Box<Self>) {
        self.store.remove(&self.unfinished);
    }
}

/// How a step breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// The step is not done, nor any after it: the process was killed.
    Before,
    /// The step is done, its result is lost, and no later one is done.
    After,
    /// The step is not done; later ones work again.
    OnceBefore,
    /// The step is done, its result is lost; later ones work again.
    OnceAfter,
    /// Nothing breaks, but the medium's client repeats a request: its first conditional put conflicts with its second.
    AskedTwice,
    /// Nothing breaks, but another process acts just before the step.
    Meanwhile,
}

/// The action of another process, once.
#[derive(Clone, Default)]
struct Meanwhile(Arc<Mutex<Option<Other>>>);

type Other = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// Counts steps (each name of a `delete` is one) and breaks at one of them.
#[derive(Debug, Clone)]
pub struct Breaking {
    inner: Memory,
    how: Break,
    left: Arc<Mutex<i64>>,
    meanwhile: Meanwhile,
}

impl Breaking {
    pub fn new(inner: Memory, at: usize, how: Break) -> Self {
        Self { inner, how, left: Arc::new(Mutex::new(at as i64)), meanwhile: Meanwhile::default() }
    }

    /// Runs `other` just before one of the steps.
    pub fn meanwhile(inner: Memory, at: usize, other: impl FnOnce() + Send + 'static) -> Self {
        let breaking = Self::new(inner, at, Break::Meanwhile);
        *breaking.meanwhile.0.lock().unwrap() = Some(Box::new(other));
        breaking
    }

    pub fn broke(&self) -> bool {
        *self.left.lock().unwrap() < 0
    }

    async fn step<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let left = {
            let mut left = self.left.lock().unwrap();
            *left -= 1;
            *left
        };
        let lost = || Error::new(ErrorKind::Unavailable, "the store is gone");
        if self.how == Break::Meanwhile {
            let other = self.meanwhile.0.lock().unwrap().take_if(|_| left < 0);
            if let Some(other) = other {
                other();
            }
            return work.await;
        }
        match (left, self.how) {
            (0.., _) | (..=-2, Break::OnceBefore | Break::OnceAfter) => work.await,
            (-1, Break::After | Break::OnceAfter) => work.await.and(Err(lost())),
            _ => Err(lost()),
        }
    }
}

#[async_trait]
impl ByteStore for Breaking {
    fn info(&self) -> &StorageInfo {
        self.inner.info()
    }

    fn base(&self) -> &str {
        self.inner.base()
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.step(self.inner.get(path, range)).await
    }

    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        self.step(self.inner.get_with_revision(path, most)).await
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        let inner = self.step(self.inner.put(path)).await?;
        Ok(Box::new(BreakingUpload { store: self.clone(), inner }))
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        if self.how == Break::AskedTwice {
            self.inner.put_if_absent(path, bytes.clone()).await?;
        }
        self.step(self.inner.put_if_absent(path, bytes)).await
    }

    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
        if self.how == Break::AskedTwice {
            self.inner.put_if_unchanged(path, expected, bytes.clone()).await?;
        }
        self.step(self.inner.put_if_unchanged(path, expected, bytes)).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.step(self.inner.list(folder)).await
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        for path in paths {
            self.step(self.inner.delete(std::slice::from_ref(path))).await?;
        }
        Ok(())
    }
}

struct BreakingUpload {
    store: Breaking,
    inner: Box<dyn Upload>,
}

#[async_trait]
impl Upload for BreakingUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.store.step(self.inner.write(bytes)).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.store.step(self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) {
        let Self { store, inner } = *self;
        let done = async {
            inner.abort().await;
            Ok(())
        };
        drop(store.step(done).await);
    }
}

/// A store that gives no answer to the publication of a manifest, and does it later.
#[derive(Debug, Clone)]
pub struct Late {
    inner: Memory,
    asked: Arc<Mutex<Option<(String, Bytes)>>>,
}

impl Late {
    pub fn new(inner: Memory) -> Self {
        Self { inner, asked: Arc::default() }
    }

    /// Does what it was asked for.
    pub fn catch_up(&self) {
        let (path, bytes) = self.asked.lock().unwrap().take().expect("a publication");
        self.inner.set(&path, bytes);
    }

    fn later(&self, path: &str, bytes: Bytes) -> Result<()> {
        *self.asked.lock().unwrap() = Some((path.to_owned(), bytes));
        Err(Error::new(ErrorKind::Unavailable, "no answer"))
    }
}

#[async_trait]
impl ByteStore for Late {
    fn info(&self) -> &StorageInfo {
        self.inner.info()
    }

    fn base(&self) -> &str {
        self.inner.base()
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.inner.get(path, range).await
    }

    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        self.inner.get_with_revision(path, most).await
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.inner.put(path).await
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.later(path, bytes)
    }

    async fn put_if_unchanged(&self, path: &str, _: &Revision, bytes: Bytes) -> Result<()> {
        self.later(path, bytes)
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.inner.list(folder).await
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        self.inner.delete(paths).await
    }
}
