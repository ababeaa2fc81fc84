//! A handle on rows that a session holds.

use std::fmt;
use std::sync::Arc;

use crate::ids::SessionId;
use crate::layout::Layout;
use crate::rows::PartSize;
use crate::schema::TableSchema;

/// Frees what a handle or blob stood for; called once, when the last clone is dropped. Must not block.
pub trait Release: Send + Sync {
    /// The item with this number is no longer wanted.
    fn release(&self, number: u64);
}

/// Rows that a session holds.
pub struct Handle {
    session: SessionId,
    number: u64,
    schema: TableSchema,
    layout: Layout,
    parts: Vec<PartSize>,
    owner: Arc<dyn Release>,
}

impl Handle {
    /// For engines: a handle on item `number` of the session.
    pub fn new(
        session: SessionId,
        number: u64,
        schema: TableSchema,
        layout: Layout,
        parts: Vec<PartSize>,
        owner: Arc<dyn Release>,
    ) -> Arc<Self> {
        Arc::new(Self { session, number, schema, layout, parts, owner })
    }

    /// The session that holds it; no other may read it.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// The engine's name for it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its columns.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Where its rows are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Size of each partition.
    pub fn parts(&self) -> &[PartSize] {
        &self.parts
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.rows).sum()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{} {:?} {:?}, {} rows",
            self.session,
            self.number,
            self.schema,
            self.layout,
            self.rows()
        )
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.owner.release(self.number);
    }
}
