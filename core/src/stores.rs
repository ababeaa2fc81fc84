//! All stores of a site as one: an address is understood by the store of its scheme.
//!
//! New tables go to the first store; those of the others stay where they are, and are read, replaced and deleted there. So a
//! site that moves to another store keeps its old tables, and engines know no store by name.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};

use crate::bound::{BoundPart, ForeignTable};
use crate::error::{Error, Result, ResultExt};
use crate::ids::TableName;
use crate::layout::Layout;
use crate::rows::RowStream;
use crate::schema::TableSchema;
use crate::storage::{
    InUse, Part, Storage, StorageInfo, StoredTable, Sweep, Swept, TableUri, Write, WriteOptions,
};
use crate::wanted::Wanted;

/// The stores of a site; see the module.
#[derive(Debug)]
pub struct Stores {
    new_tables: Arc<dyn Storage>,
    /// By scheme; no scheme occurs twice.
    all: Vec<(&'static str, Arc<dyn Storage>)>,
}

impl Stores {
    /// New tables go to this store, whose addresses have this scheme.
    pub fn new(scheme: &'static str, store: Arc<dyn Storage>) -> Self {
        Self { new_tables: store.clone(), all: vec![(scheme, store)] }
    }

    /// With another store. `Bug` if there is one of its scheme.
    pub fn with(mut self, scheme: &'static str, store: Arc<dyn Storage>) -> Result<Self> {
        if self.all.iter().any(|(there, _)| *there == scheme) {
            return Err(Error::bug(format!("two stores have addresses {scheme}://…")));
        }
        self.all.push((scheme, store));
        Ok(self)
    }

    fn of(&self, uri: &TableUri) -> Result<&dyn Storage> {
        let found = self.all.iter().find(|(scheme, _)| *scheme == uri.scheme());
        found.map(|(_, store)| &**store).ok_or_else(|| {
            let known: Vec<String> = self.all.iter().map(|(scheme, _)| format!("{scheme}://")).collect();
            Error::invalid(format!(
                "table address {uri}: this site has stores for {} only; give it that store in service_conf.yaml",
                known.join(", ")
            ))
        })
    }
}

#[async_trait]
impl Storage for Stores {
    fn info(&self) -> &StorageInfo {
        self.new_tables.info()
    }

    fn info_of(&self, uri: &TableUri) -> Result<&StorageInfo> {
        self.of(uri)?.info_of(uri)
    }

    fn addresses(&self) -> Vec<String> {
        self.all.iter().flat_map(|(_, store)| store.addresses()).collect()
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        self.new_tables.locate(name)
    }

    fn locate_in(&self, store: &str, name: &TableName) -> Result<TableUri> {
        let found = self.all.iter().find(|(_, own)| own.info().name == store);
        let (_, found) = found.ok_or_else(|| {
            let known: Vec<&str> = self.all.iter().map(|(_, store)| store.info().name).collect();
            Error::invalid(format!(
                "the party has no store {store:?}, only {}; give it that store in service_conf.yaml",
                known.join(", ")
            ))
        })?;
        found.locate(name)
    }

    fn locate_beside(&self, other: &TableUri, name: &TableName) -> Result<TableUri> {
        self.of(other)?.locate(name)
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        self.of(uri)?.open(uri).await
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        self.of(&table.uri)?.scan(table, partition).await
    }

    async fn scan_some(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        self.of(&table.uri)?.scan_some(table, partition, wanted).await
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        self.of(uri)?.begin(uri, schema, layout, options).await
    }

    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        self.of(&write.uri)?.write_part(write, partition, rows).await
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        self.of(&write.uri)?.commit(write, parts).await
    }

    async fn abort(&self, write: Write) -> Result<()> {
        self.of(&write.uri)?.abort(write).await
    }

    async fn bind(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        parts: Vec<BoundPart>,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        self.of(uri)?.bind(uri, schema, parts, options).await
    }

    async fn bind_table(
        &self,
        uri: &TableUri,
        foreign: &ForeignTable,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        self.of(uri)?.bind_table(uri, foreign, options).await
    }

    fn is_bound(&self, table: &StoredTable) -> bool {
        self.of(&table.uri).is_ok_and(|store| store.is_bound(table))
    }

    /// Between two stores, the rows go through this machine.
    async fn copy(&self, table: &StoredTable, to: &TableUri) -> Result<StoredTable> {
        match table.uri.scheme() == to.scheme() {
            true => self.of(to)?.copy(table, to).await,
            false => {
                let copied = copy_rows(self, table, self, to, Arc::new(|_| {})).await;
                copied.at(|| format!("copy table {} to {to}", table.uri))
            }
        }
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        self.of(uri)?.delete(uri).await
    }

    async fn verify(&self, table: &StoredTable) -> Result<()> {
        self.of(&table.uri)?.verify(table).await
    }

    /// A store that cannot be reached keeps no other one from being cleaned up.
    async fn sweep(&self, what: &Sweep, in_use: &InUse<'_>) -> Result<Swept> {
        let mut swept = Swept::default();
        for (scheme, store) in &self.all {
            match store.sweep(what, in_use).await {
                Ok(more) => swept.merge(more),
                Err(error) => swept.failed.push(error.at(format!("clean up tables at {scheme}://"))),
            }
        }
        Ok(swept)
    }
}

/// Called with the number of rows of each batch that was read.
pub type OnRows = Arc<dyn Fn(u64) + Send + Sync>;

/// The same rows, in the same partitions and order, at a place in another store, or the same one, that has no table. `AlreadyExists` if it
/// has. Interrupted, it leaves what clean-up removes, and may be begun again.
pub async fn copy_rows(
    from: &(impl Storage + ?Sized),
    table: &StoredTable,
    into: &(impl Storage + ?Sized),
    to: &TableUri,
    on_rows: OnRows,
) -> Result<StoredTable> {
    let write = into.begin(to, &table.schema, &table.layout, WriteOptions::default()).await?;
    let copied = async {
        let mut parts = Vec::new();
        for partition in 0..table.layout.partitions() {
            let on_rows = on_rows.clone();
            let rows = from.scan(table, partition).await?;
            let rows = rows.inspect_ok(move |batch| on_rows(batch.num_rows() as u64)).boxed();
            parts.push(into.write_part(&write, partition, rows).await?);
        }
        into.commit(write.clone(), parts).await
    };
    match copied.await {
        Ok(copy) => Ok(copy),
        Err(error) => {
            // the first error is reported; clean-up finds the leftovers
            drop(into.abort(write).await);
            Err(error)
        }
    }
}
