//! For engines: what a session holds under numbers, kept tables and blobs, until the last handle on them goes.
//!
//! Rows and blobs are of the engine's own types. Freeing them outside of the lock matters: to unmap a large table takes its
//! time, and to remove a file may wait for a store.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::computing::{BlobKind, BlobRef, Handle, PartSize, Release};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::SessionId;
use crate::layout::Layout;
use crate::schema::TableSchema;

/// One count for all sessions of the process: a blob's reference names no session, so that a number which meant one
/// thing here and another there could hand a kernel the wrong secret.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no other item of this process has.
pub fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What one session holds: rows as `R`, blobs as `B`.
pub struct Items<R, B> {
    session: SessionId,
    /// `None` once the session is closed.
    held: Mutex<Option<HashMap<u64, Item<R, B>>>>,
}

enum Item<R, B> {
    Rows(Arc<R>),
    Blob(BlobKind, Arc<B>),
}

impl<R: Send + Sync + 'static, B: Send + Sync + 'static> Items<R, B> {
    /// Of a session that holds nothing yet.
    pub fn new(session: SessionId) -> Arc<Self> {
        Arc::new(Self { session, held: Mutex::new(Some(HashMap::new())) })
    }

    /// A handle on rows. `Cancelled` once the session is closed, here and below.
    pub fn hold_rows(
        self: &Arc<Self>,
        rows: Arc<R>,
        schema: TableSchema,
        layout: Layout,
        parts: Vec<PartSize>,
    ) -> Result<Arc<Handle>> {
        let number = next_number();
        self.add(number, Item::Rows(rows))?;
        Ok(Handle::new(self.session.clone(), number, schema, layout, parts, self.clone()))
    }

    /// A reference to a blob, under a number of [`next_number`].
    pub fn hold_blob(self: &Arc<Self>, number: u64, kind: BlobKind, blob: Arc<B>) -> Result<BlobRef> {
        self.add(number, Item::Blob(kind, blob))?;
        Ok(BlobRef::new(number, kind, self.clone()))
    }

    /// The rows under a handle; `InvalidInput` if it is another session's.
    pub fn rows(&self, handle: &Handle) -> Result<Arc<R>> {
        let session = &self.session;
        if handle.session() != session {
            return Err(Error::invalid(format!(
                "session {session} was given a table of session {}; pull it, or put its rows here",
                handle.session()
            )));
        }
        match self.lock().as_ref().ok_or_else(closed)?.get(&handle.number()) {
            Some(Item::Rows(rows)) => Ok(rows.clone()),
            _ => Err(Error::invalid(format!("session {session} holds no table #{}", handle.number()))),
        }
    }

    /// What a reference stands for; `InvalidInput` unless this session holds it, as what it says it is.
    pub fn blob(&self, blob: &BlobRef) -> Result<Arc<B>> {
        match self.lock().as_ref().ok_or_else(closed)?.get(&blob.number()) {
            Some(Item::Blob(kind, found)) if *kind == blob.kind() => Ok(found.clone()),
            _ => {
                Err(Error::invalid(format!("session {} holds no {blob:?}; put it here first", self.session)))
            }
        }
    }

    /// Frees everything, for good.
    pub fn close(&self) {
        let held = self.lock().take();
        drop(held);
    }

    fn add(&self, number: u64, item: Item<R, B>) -> Result<()> {
        match self.lock().as_mut() {
            Some(items) => drop(items.insert(number, item)),
            None => return Err(closed()),
        }
        Ok(())
    }
}

impl<R, B> Items<R, B> {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, Item<R, B>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Send + Sync, B: Send + Sync> Release for Items<R, B> {
    fn release(&self, number: u64) {
        let item = self.lock().as_mut().and_then(|items| items.remove(&number));
        drop(item);
    }
}

impl<R, B> fmt::Debug for Items<R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.lock().as_ref().map_or(0, HashMap::len);
        write!(f, "{held} items of session {}", self.session)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the session is closed")
}

#[cfg(test)]
mod tests {
    use crate::schema::KeyType;

    use super::*;

    fn items(session: &str) -> Arc<Items<&'static str, &'static str>> {
        Items::new(format!("{session}.test.0").parse::<SessionId>().unwrap())
    }

    fn hold(items: &Arc<Items<&'static str, &'static str>>) -> Result<Arc<Handle>> {
        let schema = TableSchema::keyed("id", KeyType::UInt64, vec![])?;
        items.hold_rows(Arc::new("rows"), schema, Layout::Loose(1), vec![PartSize::default()])
    }

    #[test]
    fn an_item_lives_as_long_as_its_last_handle() {
        let items = items("a");
        let (rows, blob) = (
            hold(&items).unwrap(),
            items.hold_blob(next_number(), BlobKind::Plain, Arc::new("blob")).unwrap(),
        );
        assert_eq!((*items.rows(&rows).unwrap(), *items.blob(&blob).unwrap()), ("rows", "blob"));
        drop(rows.clone());
        assert_eq!(format!("{items:?}"), "2 items of session a.test.0");
        drop((rows, blob));
        assert_eq!(format!("{items:?}"), "0 items of session a.test.0");
    }

    #[test]
    fn what_another_session_holds_is_refused() {
        let (one, other) = (items("a"), items("b"));
        let (rows, blob) =
            (hold(&one).unwrap(), one.hold_blob(next_number(), BlobKind::Secret, Arc::new("blob")).unwrap());
        let error = other.rows(&rows).unwrap_err();
        assert!(error.to_string().contains("given a table of session a.test.0"), "{error}");
        assert_eq!(other.blob(&blob).unwrap_err().kind(), ErrorKind::InvalidInput);
        let claimed = BlobRef::new(blob.number(), BlobKind::Plain, other.clone());
        assert_eq!(
            one.blob(&claimed).unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "a secret as a plain one"
        );
    }

    #[test]
    fn a_closed_session_holds_nothing_and_takes_nothing() {
        let items = items("a");
        let rows = hold(&items).unwrap();
        items.close();
        assert_eq!(items.rows(&rows).unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(hold(&items).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
