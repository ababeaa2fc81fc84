//! What a session holds under numbers: kept tables and blobs, until the last handle on them goes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tributary_core::computing::{Blob, BlobKind, BlobRef, Handle, Release};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;
use tributary_partition::batches::Held;
use tributary_partition::cancel::lock;
use tributary_partition::memory::Hold;

/// One count for all sessions of the process: a blob's reference names no session, so that a number which meant one
/// thing here and another there could hand a kernel the wrong secret.
static NEXT: AtomicU64 = AtomicU64::new(1);

enum Item {
    Rows(Arc<Held>),
    Blob(Blob, #[expect(dead_code, reason = "gives its share of the budget back when dropped")] Hold),
}

/// `None` once the session is closed.
pub(crate) struct Items(Mutex<Option<HashMap<u64, Item>>>);

impl Items {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(HashMap::new()))))
    }

    fn add(&self, item: Item) -> Result<u64> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        match lock(&self.0).as_mut() {
            Some(items) => drop(items.insert(number, item)),
            None => return Err(closed()),
        }
        Ok(number)
    }

    pub(crate) fn add_rows(&self, held: Arc<Held>) -> Result<u64> {
        self.add(Item::Rows(held))
    }

    pub(crate) fn add_blob(&self, bytes: Bytes, kind: BlobKind, hold: Hold) -> Result<u64> {
        self.add(Item::Blob(Blob::new(bytes, kind), hold))
    }

    /// The rows under a handle; `InvalidInput` if it is another session's.
    pub(crate) fn rows(&self, session: &SessionId, handle: &Handle) -> Result<Arc<Held>> {
        if handle.session() != session {
            return Err(Error::invalid(format!(
                "session {session} was given a table of session {}; pull it, or put its rows here",
                handle.session()
            )));
        }
        match lock(&self.0).as_ref().ok_or_else(closed)?.get(&handle.number()) {
            Some(Item::Rows(held)) => Ok(held.clone()),
            _ => Err(Error::invalid(format!("session {session} holds no table #{}", handle.number()))),
        }
    }

    pub(crate) fn blob(&self, session: &SessionId, blob: &BlobRef) -> Result<Blob> {
        match lock(&self.0).as_ref().ok_or_else(closed)?.get(&blob.number()) {
            Some(Item::Blob(found, _)) if found.kind == blob.kind() => Ok(found.clone()),
            _ => Err(Error::invalid(format!("session {session} holds no {blob:?}; put it here first"))),
        }
    }

    /// Frees everything, for good.
    pub(crate) fn clear(&self) {
        let items = lock(&self.0).take();
        drop(items);
    }
}

impl Release for Items {
    fn release(&self, number: u64) {
        // Freed outside of the lock: unmapping a large table takes its time.
        let item = lock(&self.0).as_mut().and_then(|items| items.remove(&number));
        drop(item);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the session is closed")
}
