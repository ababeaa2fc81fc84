//! [`Storage`] in a database.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::bound::ForeignTable;
use tributary_core::check::Finding;
use tributary_core::rows::RowStream;
use tributary_core::storage::{
    IfExists, InUse, Part, Storage, StorageInfo, StoredTable, Sweep, Swept, TableUri, Write, WriteOptions,
};
use tributary_core::wanted::Wanted;
use tributary_core::{Error, ErrorKind, Layout, Result, ResultExt, TableName, TableSchema};
use tributary_database::{Connection, Database, Failure, Product, Source as Place};
use tributary_system::random;

use crate::bind::{Inspect, Inspected};
use crate::catalog::{Catalog, Entry};
use crate::config::Config;
use crate::examine::examine;
use crate::manifest::Manifest;
use crate::part::Piece;
use crate::requests::{Abort, Begin, Delete, Drop, Look, Publish, Settle, check, pieces};
use crate::scan::{explained, rows};
use crate::select::Select;
use crate::shape::{self, Names};
use crate::source::Source;
use crate::sweep::sweep;
use crate::write::{Summary, write_rows};

/// The tables of a party in a database.
#[derive(Debug)]
pub struct SqlTables {
    info: StorageInfo,
    database: Database,
    catalog: Arc<Catalog>,
}

impl SqlTables {
    /// Asks the server nothing.
    pub fn new(config: &Config) -> Result<Arc<Self>> {
        let info = StorageInfo::new(config.server.product.name()).replacing_snapshots().copying_cheaply();
        let place = Place::Server(config.server.clone());
        let (names, address) = (Names::of(config)?, place.address());
        let catalog = Catalog::new(names, config.party.clone(), config.base(), address, &config.prefix);
        Ok(Arc::new(Self { info, database: Database::new(place), catalog: Arc::new(catalog) }))
    }

    fn product(&self) -> Product {
        self.catalog.names.product
    }

    fn name(&self, uri: &TableUri) -> Result<TableName> {
        uri.name_below(&self.catalog.base)
    }

    async fn look(&self, name: &TableName) -> Result<Option<Entry>> {
        self.database.patiently(Look(self.catalog.clone(), name.clone())).await
    }

    async fn begin_part(&self, write: &Write, create: Option<String>, piece: Option<Piece>) -> Result<()> {
        let (catalog, name) = (self.catalog.clone(), self.name(&write.uri)?);
        let begin = Begin { catalog, name, attempt: write.attempt.clone(), create, piece };
        self.database.patiently(begin).await
    }

    fn create(&self, write: &Write) -> Result<String> {
        shape::create(self.product(), &self.catalog.names.data(&write.attempt)?, &write.schema)
    }

    async fn begin_write(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let name = self.name(uri)?;
        layout.check()?;
        shape::check(self.product(), schema)?;
        self.info.expect_writing(&options)?;
        if options.if_exists != IfExists::Replace {
            check(self.look(&name).await?.as_ref(), &options.if_exists)?;
        }
        let attempt = format!("{:016x}{:016x}", random::u64()?, random::u64()?);
        let write =
            Write { uri: uri.clone(), attempt, schema: schema.clone(), layout: layout.clone(), options };
        self.begin_part(&write, Some(self.create(&write)?), None).await?;
        Ok(write)
    }

    async fn write_one(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        write.layout.check()?;
        shape::check(self.product(), &write.schema)?;
        if partition >= write.layout.partitions() {
            return Err(Error::invalid(format!("the table has {} partitions", write.layout.partitions())));
        }
        let piece = Piece::fresh(partition)?;
        self.begin_part(write, Some(self.create(write)?), Some(piece)).await?;
        write_rows(&self.database, &self.catalog, write, piece, rows).await
    }

    async fn commit_parts(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let (name, how) = (self.name(&write.uri)?, write.options.if_exists);
        let table = StoredTable {
            uri: write.uri,
            snapshot: write.attempt,
            schema: write.schema,
            layout: write.layout,
            parts,
        };
        let manifest = Manifest::new(table, None)?;
        let is_committed = |entry: &Entry| {
            let attempt = &manifest.table.snapshot;
            entry.snapshot == *attempt
                || (matches!(how, IfExists::ReplaceSnapshot(_)) && entry.previous == *attempt)
        };
        let there = self.look(&name).await?;
        if !there.as_ref().is_some_and(is_committed) {
            check(there.as_ref(), &how)?;
            let (attempt, pieces) = (manifest.table.snapshot.clone(), pieces(&manifest.table.parts)?);
            let settle = Settle { catalog: self.catalog.clone(), name: name.clone(), attempt, pieces };
            self.database.patiently(settle).await?;
        }
        self.publish(name, manifest, how).await
    }

    async fn publish(&self, name: TableName, manifest: Manifest, how: IfExists) -> Result<StoredTable> {
        let publish = Publish { catalog: self.catalog.clone(), name, manifest, how };
        let published = self.database.patiently(publish).await?;
        self.remove(published.unnamed.into_iter().collect()).await;
        Ok(published.table)
    }

    /// What cannot be removed now, clean-up finds.
    async fn remove(&self, snapshots: Vec<String>) {
        let snapshots: Vec<String> = snapshots.into_iter().filter(|snapshot| !snapshot.is_empty()).collect();
        if !snapshots.is_empty() {
            drop(self.database.patiently(Drop(self.catalog.clone(), snapshots)).await);
        }
    }

    /// The manifest of a table that is bound; none if its rows are here.
    async fn bound(&self, table: &StoredTable) -> Result<Option<Manifest>> {
        if table.parts.iter().all(|part| part.digest != BOUND) {
            return Ok(None);
        }
        let gone = || {
            Error::new(
                ErrorKind::NotFound,
                "the table was deleted or bound again since it was opened; open it again",
            )
        };
        let entry = self.look(&self.name(&table.uri)?).await?.ok_or_else(gone)?;
        let manifest = Manifest::decode(&entry.manifest)?;
        match entry.snapshot == table.snapshot && manifest.source.is_some() {
            true => Ok(Some(manifest)),
            false => Err(gone()),
        }
    }

    async fn scan_part(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        self.name(&table.uri)?;
        wanted.check(table, partition)?;
        if wanted.columns.as_ref().is_some_and(Vec::is_empty) {
            // A query gives at least one column.
            let mut first = wanted.clone();
            first.columns = Some(vec![0]);
            let rows = Box::pin(self.scan_part(table, partition, &first)).await?;
            return Ok(rows.map(|batch| Ok(batch?.project(&[])?)).boxed());
        }
        let source = self.bound(table).await?.and_then(|manifest| manifest.source);
        let select = Select::of(&self.catalog.names, table, partition, wanted, source)?;
        if wanted.rows.as_ref().is_some_and(|rows| rows.is_empty()) {
            return Ok(stream::empty().boxed());
        }
        rows(self.database.threads()?, self.database.pool(), select)
    }

    async fn verify_part(&self, table: &StoredTable, partition: u32) -> Result<()> {
        let mut rows = self.scan_part(table, partition, &Wanted::default()).await?;
        let part =
            table.parts.get(partition as usize).ok_or_else(|| Error::bug("a part that was scanned"))?;
        let piece = Piece::of_file(&part.file, partition)?;
        let mut summary = Summary::new(&table.schema, piece);
        while let Some(batch) = rows.try_next().await? {
            summary.add(&batch)?;
        }
        let digest = if part.digest == BOUND { BOUND.to_owned() } else { summary.digest.text() };
        match summary.rows == part.size.rows && digest == part.digest {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{} rows with the digest {digest}, expected {} with {}; write it again",
                    summary.rows, part.size.rows, part.digest
                ),
            )),
        }
    }

    /// In the server: the rows are copied with their numbers, so that parts keep their names and digests.
    async fn copy_rows(&self, table: &StoredTable, to: &TableUri) -> Result<StoredTable> {
        if let Some(manifest) = self.bound(table).await? {
            let source = manifest.source.ok_or_else(|| Error::bug("a bound table without a source"))?;
            return self.bind_source(to, table.clone(), source, WriteOptions::default()).await;
        }
        let (old, parts) = (self.catalog.names.data(&table.snapshot)?, pieces(&table.parts)?);
        let write = self.begin_write(to, &table.schema, &table.layout, WriteOptions::default()).await?;
        let statement =
            format!("INSERT INTO {} SELECT * FROM {old}", self.catalog.names.data(&write.attempt)?);
        let (pool, catalog, attempt) = (self.database.pool(), self.catalog.clone(), write.attempt.clone());
        let copied = self.database.threads()?.run(async move {
            let mut lease = pool.lease().await?;
            let done = copy_in_server(lease.connection(), &catalog, &statement, &attempt, &parts).await;
            lease.done();
            done.map_err(|why| explained(&pool, why))
        });
        let copied = match copied.await {
            Ok(()) => self.commit_parts(write.clone(), table.parts.clone()).await,
            Err(error) => Err(error),
        };
        match copied {
            Ok(copy) => Ok(copy),
            Err(error) => {
                // the first error is reported; clean-up finds the leftovers
                drop(self.abort(write).await);
                Err(error)
            }
        }
    }

    async fn bind_source(
        &self,
        uri: &TableUri,
        table: StoredTable,
        source: Source,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        let name = self.name(uri)?;
        check(self.look(&name).await?.as_ref(), &options.if_exists)?;
        let attempt = format!("{:016x}{:016x}", random::u64()?, random::u64()?);
        let table = StoredTable { uri: uri.clone(), snapshot: attempt.clone(), ..table };
        let manifest = Manifest::new(table, Some(source))?;
        let catalog = self.catalog.clone();
        let begin = Begin { catalog, name: name.clone(), attempt, create: None, piece: None };
        self.database.patiently(begin).await?;
        self.publish(name, manifest, options.if_exists).await
    }
}

/// In place of the digest of a part whose rows are another program's.
const BOUND: &str = "bound";

async fn copy_in_server(
    to: &mut Connection,
    catalog: &Catalog,
    statement: &str,
    attempt: &str,
    parts: &[Piece],
) -> Result<(), Failure> {
    to.begin().await?;
    let copied = async {
        to.say(statement).await?;
        for piece in parts {
            catalog.note_piece(to, attempt, *piece, true).await?;
        }
        Ok(())
    };
    let copied = copied.await;
    to.end(copied).await
}

fn not_found(uri: &TableUri) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no table at {uri}"))
}

#[async_trait]
impl Storage for SqlTables {
    fn info(&self) -> &StorageInfo {
        &self.info
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.catalog.base.clone()]
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        TableUri::below(&self.catalog.base, name)
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let at = || format!("open table {uri}");
        let entry = self.look(&self.name(uri).at(at)?).await.at(at)?.ok_or_else(|| not_found(uri))?;
        let manifest = Manifest::decode(&entry.manifest).at(at)?;
        Ok(StoredTable { uri: uri.clone(), ..manifest.table })
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        self.scan_some(table, partition, &Wanted::default()).await
    }

    async fn scan_some(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        let at = format!("read partition {partition} of table {}", table.uri);
        let rows = self.scan_part(table, partition, wanted).await.at(|| at.clone())?;
        Ok(rows.map(move |batch| batch.at(|| at.clone())).boxed())
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        self.begin_write(uri, schema, layout, options).await.at(|| format!("begin to write table {uri}"))
    }

    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        let at = || format!("write partition {partition} of table {}", write.uri);
        self.write_one(write, partition, rows).await.at(at)
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let at = format!("commit table {}", write.uri);
        self.commit_parts(write, parts).await.at(|| at)
    }

    async fn abort(&self, write: Write) -> Result<()> {
        let at = format!("abort the write of table {}", write.uri);
        let name = self.name(&write.uri).at(|| at.clone())?;
        let attempt = write.attempt.clone();
        if self.database.patiently(Abort(self.catalog.clone(), write, name)).await.at(|| at)? {
            self.remove(vec![attempt]).await;
        }
        Ok(())
    }

    async fn bind_table(
        &self,
        uri: &TableUri,
        foreign: &ForeignTable,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        let at = || format!("bind {:?} as table {uri}", foreign.table);
        self.info.expect_writing(&options)?;
        Layout::Loose(foreign.partitions).check().at(at)?;
        let inspect = Inspect(self.catalog.clone(), foreign.clone());
        let Inspected { schema, layout, parts, source } = self.database.patiently(inspect).await.at(at)?;
        let table = StoredTable { uri: uri.clone(), snapshot: String::new(), schema, layout, parts };
        self.bind_source(uri, table, source, options).await.at(at)
    }

    fn is_bound(&self, table: &StoredTable) -> bool {
        table.parts.iter().any(|part| part.digest == BOUND)
    }

    async fn copy(&self, table: &StoredTable, to: &TableUri) -> Result<StoredTable> {
        self.copy_rows(table, to).await.at(|| format!("copy table {} to {to}", table.uri))
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        let at = || format!("delete table {uri}");
        let delete = Delete(self.catalog.clone(), self.name(uri).at(at)?);
        let named = self.database.patiently(delete).await.at(at)?;
        self.remove(named.ok_or_else(|| not_found(uri).at(at()))?.to_vec()).await;
        Ok(())
    }

    async fn verify(&self, table: &StoredTable) -> Result<()> {
        for partition in 0..table.layout.partitions() {
            let at = || format!("verify partition {partition} of table {}", table.uri);
            self.verify_part(table, partition).await.at(at)?;
        }
        Ok(())
    }

    async fn sweep(&self, what: &Sweep, in_use: &InUse<'_>) -> Result<Swept> {
        sweep(&self.database, &self.catalog, what, in_use).await.at(|| "clean up tables")
    }

    async fn examine(&self) -> Vec<Finding> {
        examine(&self.database, &self.catalog, self).await
    }
}
