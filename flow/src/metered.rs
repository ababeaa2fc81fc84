//! A computing session that counts its actions: on a cluster each is a job, so their number shows what a task costs there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tributary_core::Result;
use tributary_core::computing::{Blob, BlobRef, Computing, End, Handle, RowStream, SessionSpec};
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::plan::Plan;
use tributary_core::schema::TableSchema;
use tributary_core::storage::{StoredTable, TableUri, WriteOptions};

/// See the module.
#[derive(Debug)]
pub(crate) struct Metered {
    session: Arc<dyn Computing>,
    actions: AtomicU64,
}

impl Metered {
    pub(crate) fn new(session: Arc<dyn Computing>) -> Arc<Self> {
        Arc::new(Self { session, actions: AtomicU64::new(0) })
    }

    /// Plans run and tables taken in so far.
    pub(crate) fn actions(&self) -> u64 {
        self.actions.load(Ordering::Relaxed)
    }

    fn act(&self) -> &dyn Computing {
        self.actions.fetch_add(1, Ordering::Relaxed);
        &*self.session
    }
}

#[async_trait]
impl Computing for Metered {
    fn spec(&self) -> &SessionSpec {
        self.session.spec()
    }

    fn kernels(&self) -> &Kernels {
        self.session.kernels()
    }

    async fn put(&self, schema: &TableSchema, rows: RowStream, to: Layout) -> Result<Arc<Handle>> {
        self.act().put(schema, rows, to).await
    }

    async fn put_blob(&self, blob: Blob) -> Result<BlobRef> {
        self.session.put_blob(blob).await
    }

    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        self.act().keep(plan).await
    }

    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream> {
        self.act().read(plan).await
    }

    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        self.act().save(plan, to, options).await
    }

    async fn stored(&self, uri: &TableUri) -> Result<StoredTable> {
        self.session.stored(uri).await
    }

    async fn close(&self, end: End) -> Result<()> {
        self.session.close(end).await
    }
}
