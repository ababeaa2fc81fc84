//! The storage contract: tables at rest, each a set of parts, one a partition.
//!
//! **A table exists from its commit on**, and only then: what `begin` and `write_part` leave before that is invisible and is
//! removed by `abort`, or by the next clean-up after a crash. Parts are written independently, also by several processes
//! (a [`Write`] travels), and repeated parts are harmless: the commit names those that count. **A reader sees a snapshot**: a
//! [`StoredTable`] goes on reading what it was opened on while the table is replaced; after `delete` it may fail with
//! `NotFound`, never mix. **Reads and writes stream**: memory does not grow with the table. Futures may be polled by any
//! executor: a store that needs a runtime brings its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::bound::{BoundPart, ForeignTable};
use crate::check::{self, Finding};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::TableName;
use crate::layout::Layout;
use crate::rows::{PartSize, RowStream};
use crate::schema::TableSchema;
use crate::stores::copy_rows;
use crate::wanted::Wanted;

/// Where a table is: `scheme://…`. Only the store with that scheme understands the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableUri(String);

impl TableUri {
    /// `InvalidInput` unless it has a scheme.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        match text.split_once("://") {
            Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => Ok(Self(text)),
            _ => Err(Error::invalid(format!("table address {text:?}, expected scheme://place"))),
        }
    }

    /// The scheme: `file`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// What follows the scheme.
    pub fn place(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, place)| place)
    }

    /// The address of a table below a base. The name is checked again, because its fields are public.
    pub fn below(base: &str, name: &TableName) -> Result<Self> {
        let name = TableName::new(name.namespace.as_str(), name.name.as_str())?;
        Self::new(format!("{base}/{name}"))
    }

    /// The name of the table that has this address below `base`. Exactly `base/namespace/name`, so that no table is in another's
    /// place; `InvalidInput` otherwise.
    pub fn name_below(&self, base: &str) -> Result<TableName> {
        let wrong = || Error::invalid(format!("table address {self}, expected {base}/namespace/name"));
        let path = self.0.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).ok_or_else(wrong)?;
        let (namespace, name) = path.split_once('/').ok_or_else(wrong)?;
        TableName::new(namespace, name).map_err(|reason| wrong().because(reason))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TableUri {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<TableUri> for String {
    fn from(uri: TableUri) -> Self {
        uri.0
    }
}

/// What a store is, and which of the contract's requests it grants beside those that all stores do. A request that it does not
/// declare is `Unsupported`, before anything is read or written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StorageInfo {
    /// As in `service_conf.yaml`: `file`.
    pub name: &'static str,
    /// [`Storage::bind`].
    pub binds: bool,
    /// [`IfExists::ReplaceSnapshot`].
    pub replaces_snapshots: bool,
    /// [`Storage::copy`] moves no rows through this machine.
    pub copies_cheaply: bool,
}

impl StorageInfo {
    /// A store of this name that grants what all do.
    pub const fn new(name: &'static str) -> Self {
        Self { name, binds: false, replaces_snapshots: false, copies_cheaply: false }
    }

    /// It binds files.
    #[must_use]
    pub const fn binding(self) -> Self {
        Self { binds: true, ..self }
    }

    /// It replaces a snapshot and no other.
    #[must_use]
    pub const fn replacing_snapshots(self) -> Self {
        Self { replaces_snapshots: true, ..self }
    }

    /// It copies where the rows are.
    #[must_use]
    pub const fn copying_cheaply(self) -> Self {
        Self { copies_cheaply: true, ..self }
    }

    /// `Unsupported`: the store does not do this.
    pub fn cannot(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("the {} store cannot {what}", self.name))
    }

    /// `Unsupported` unless the store binds files.
    pub fn expect_binding(&self) -> Result<()> {
        self.binds.then_some(()).ok_or_else(|| self.cannot("bind files where they are; upload them to it"))
    }

    /// `Unsupported` if the store cannot write in this way.
    pub fn expect_writing(&self, options: &WriteOptions) -> Result<()> {
        let asked = matches!(options.if_exists, IfExists::ReplaceSnapshot(_));
        (self.replaces_snapshots || !asked).then_some(()).ok_or_else(|| {
            self.cannot(
                "replace a table only if nobody changed it; write another one, or replace it as it is",
            )
        })
    }
}

/// What to do when the table exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IfExists {
    /// Refuse with `AlreadyExists`; the table stays as it is.
    #[default]
    Fail,
    /// The new table takes its place at the commit. Where the medium compares and replaces in one step, of two at once one comes after the other, and
    /// takes the place of the first.
    Replace,
    /// The new table takes the place of this snapshot ([`StoredTable::snapshot`]) and of no other: for a table made of the rows
    /// that it has. `Conflict` if the table was replaced or deleted since it was opened, decided at the commit in one step with
    /// the replacing, so that no rows are lost. For stores with [`StorageInfo::replaces_snapshots`].
    ReplaceSnapshot(String),
}

/// How to write a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WriteOptions {
    /// What to do when the table exists.
    pub if_exists: IfExists,
}

impl WriteOptions {
    /// With another rule for an existing table.
    #[must_use]
    pub fn with_if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

/// A table being written. Serializable, so that executors can write parts of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Where the table will be.
    pub uri: TableUri,
    /// Distinguishes this write from any other of the same table.
    pub attempt: String,
    /// Columns of every part.
    pub schema: TableSchema,
    /// How parts will be laid out.
    pub layout: Layout,
    /// How to write.
    pub options: WriteOptions,
}

/// One stored partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The store's name for it.
    pub file: String,
    /// Rows, and bytes on the medium.
    pub size: PartSize,
    /// Digest of the stored bytes, as the store computes it, for `verify`.
    pub digest: String,
}

/// A stored table, as it was when opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTable {
    /// Where it is.
    pub uri: TableUri,
    /// Distinguishes it from earlier and later tables at the same place.
    pub snapshot: String,
    /// Its columns.
    pub schema: TableSchema,
    /// Where its rows are.
    pub layout: Layout,
    /// One for each partition.
    pub parts: Vec<Part>,
}

impl StoredTable {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.size.rows).sum()
    }

    /// Bytes on the medium.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.size.bytes).sum()
    }
}

/// What a clean-up takes; see [`Storage::sweep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Only what was last written to at least this long ago, by the clock of the medium.
    pub idle: Duration,
    /// Whether to remove it.
    pub mode: SweepMode,
}

impl Sweep {
    /// How long a store waits before it takes something by itself: further back than any pause of a writer, and than
    /// any reader of a replaced table.
    pub const IDLE: Duration = Duration::from_secs(24 * 3600);
}

impl Default for Sweep {
    fn default() -> Self {
        Self { idle: Self::IDLE, mode: SweepMode::Remove }
    }
}

/// Whether running jobs use a table.
pub type InUse<'a> = dyn Fn(&TableName) -> bool + Sync + 'a;

/// What a clean-up does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    /// Remove it.
    Remove,
    /// Only count it.
    Count,
}

/// What a clean-up did, or would do.
#[derive(Debug, Default)]
pub struct Swept {
    /// Files removed.
    pub files: u64,
    /// Bytes they had.
    pub bytes: u64,
    /// Tables that were left as they are, and why: above all those whose manifest cannot be read.
    pub failed: Vec<Error>,
}

impl Swept {
    /// With files of these sizes more.
    pub fn add(&mut self, sizes: impl IntoIterator<Item = u64>) {
        for bytes in sizes {
            self.files += 1;
            self.bytes += bytes;
        }
    }

    /// With what another clean-up did.
    pub fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.failed.extend(other.failed);
    }
}

/// One store of a site, or all of them ([`Stores`](crate::stores::Stores)); see the module for the rules.
#[async_trait]
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Name and capabilities of the store where new tables go.
    fn info(&self) -> &StorageInfo;
    /// The same of the store that has an address. `InvalidInput` if this site has no such store.
    fn info_of(&self, _uri: &TableUri) -> Result<&StorageInfo> {
        Ok(self.info())
    }
    /// Where other processes of this site find its stores: what every address of a table there begins with. None for a store
    /// that lives in one process.
    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }
    /// Where a new table of this name would be.
    fn locate(&self, name: &TableName) -> Result<TableUri>;
    /// The same in the store of this name. `InvalidInput` if this site has none.
    fn locate_in(&self, store: &str, name: &TableName) -> Result<TableUri> {
        match self.info().name == store {
            true => self.locate(name),
            false => Err(Error::invalid(format!("no store {store:?}, only {:?}", self.info().name))),
        }
    }
    /// The same in the store that has another table.
    fn locate_beside(&self, _other: &TableUri, name: &TableName) -> Result<TableUri> {
        self.locate(name)
    }
    /// What the table holds. `NotFound`, or `Corrupt` when what is there is not a whole table.
    async fn open(&self, uri: &TableUri) -> Result<StoredTable>;
    /// The rows of one partition, in order.
    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream>;
    /// Some columns and rows of one partition, in order. A store that can, reads no more than these.
    async fn scan_some(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        wanted.check(table, partition)?;
        Ok(wanted.of(self.scan(table, partition).await?))
    }
    /// Begins a write. `AlreadyExists` and `Conflict` early where the options say so (the commit decides).
    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write>;
    /// Writes one partition, also an empty one. May be repeated; each returned [`Part`] stays until commit or abort.
    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part>;
    /// Makes the table exist with these parts, one for each partition in order. Atomic. Asked again, because the answer was
    /// lost, it answers as the first time.
    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable>;
    /// Removes what a write left. No error if nothing is there. What a commit may have published, although no answer said so, stays for clean-up.
    async fn abort(&self, write: Write) -> Result<()>;
    /// Makes a table of rows that are stored elsewhere, without copying: one partition for each part, in order, read there by every
    /// scan. A file that changes later makes scans fail with `Corrupt`. For stores with [`StorageInfo::binds`]; `Unsupported` for
    /// a format that it does not know; `InvalidInput` for a description that its format refuses.
    async fn bind(
        &self,
        _uri: &TableUri,
        _schema: &TableSchema,
        _parts: Vec<BoundPart>,
        _options: WriteOptions,
    ) -> Result<StoredTable> {
        Err(self
            .info()
            .expect_binding()
            .err()
            .unwrap_or_else(|| Error::bug("a store binds files, and has no way to")))
    }
    /// The same of a table or view of another program in the store's own database. It is cut by its ids; rows in an order that does not
    /// change. A source whose columns are others later, or whose partitions have other numbers of rows, makes scans fail with `Corrupt`. `Unsupported`
    /// for a store that is no database, and, with its name, for a column of a type that tables do not hold; `NotFound`.
    async fn bind_table(
        &self,
        _uri: &TableUri,
        _foreign: &ForeignTable,
        _options: WriteOptions,
    ) -> Result<StoredTable> {
        Err(self.info().cannot("bind tables: it is no database"))
    }
    /// Whether a table's rows are elsewhere: it was made by [`Storage::bind`] or [`Storage::bind_table`].
    fn is_bound(&self, _table: &StoredTable) -> bool {
        false
    }
    /// Makes the same table in another place, and leaves this one. `AlreadyExists` if there is one. By reading and writing its
    /// rows, unless the store is one of [`StorageInfo::copies_cheaply`].
    async fn copy(&self, table: &StoredTable, to: &TableUri) -> Result<StoredTable> {
        copy_rows(self, table, self, to, Arc::new(|_| {})).await
    }
    /// Removes a table, but no file that it was bound to. `NotFound` if there is none.
    async fn delete(&self, uri: &TableUri) -> Result<()>;
    /// Compares the stored bytes with the manifest: digests, counts, columns. `Corrupt` names the first part that differs.
    async fn verify(&self, table: &StoredTable) -> Result<()>;
    /// Removes what unfinished writes left, and replaced snapshots. A write that is committed meanwhile keeps its parts, or
    /// its commit fails with `NotFound`: never a table without them. Tables that are `in_use` stay as they are, whatever
    /// their age. A store whose writes leave nothing has nothing to do.
    async fn sweep(&self, _what: &Sweep, _in_use: &InUse<'_>) -> Result<Swept> {
        Ok(Swept::default())
    }
    /// Looks whether tables can be written, read and removed there. By a probe of this contract, unless the store has more to say.
    async fn examine(&self) -> Vec<Finding> {
        check::storage(self).await
    }
}

/// No store: everything is `Unsupported`. For programs that only compute.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Nowhere {
    fn refuse<T>(self) -> Result<T> {
        Err(Error::new(ErrorKind::Unsupported, "this site has no storage engine"))
    }
}

#[async_trait]
impl Storage for Nowhere {
    fn info(&self) -> &StorageInfo {
        const INFO: StorageInfo = StorageInfo::new("none");
        &INFO
    }
    fn locate(&self, _: &TableName) -> Result<TableUri> {
        self.refuse()
    }
    async fn open(&self, _: &TableUri) -> Result<StoredTable> {
        self.refuse()
    }
    async fn scan(&self, _: &StoredTable, _: u32) -> Result<RowStream> {
        self.refuse()
    }
    async fn begin(&self, _: &TableUri, _: &TableSchema, _: &Layout, _: WriteOptions) -> Result<Write> {
        self.refuse()
    }
    async fn write_part(&self, _: &Write, _: u32, _: RowStream) -> Result<Part> {
        self.refuse()
    }
    async fn commit(&self, _: Write, _: Vec<Part>) -> Result<StoredTable> {
        self.refuse()
    }
    async fn abort(&self, _: Write) -> Result<()> {
        self.refuse()
    }
    async fn delete(&self, _: &TableUri) -> Result<()> {
        self.refuse()
    }
    async fn verify(&self, _: &StoredTable) -> Result<()> {
        self.refuse()
    }
}
