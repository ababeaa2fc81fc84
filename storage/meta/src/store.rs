//! [`StorageMeta`] on a database.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::{Result, ResultExt, TableName};
use tributary_database::{Database, Server, Source};

use crate::record::encode;
use crate::requests::{Get, List, Names, Remove, Set, Shelf};
use crate::schema::{FILE, Statements};

/// The records in a file, which the first call opens or creates.
pub fn open(path: &Path) -> Result<Arc<Meta>> {
    let path = std::path::absolute(path).at(|| format!("find meta database {}", path.display()))?;
    Ok(Meta::new(Source::File(path, FILE), None))
}

/// A party's records in a server, whose tables the first call creates if they are not there.
pub fn shared(server: Server, party: &str) -> Arc<Meta> {
    Meta::new(Source::Server(server), Some(party.to_owned()))
}

/// Table records in a database.
#[derive(Debug)]
pub struct Meta {
    database: Database,
    shelf: Arc<Shelf>,
}

impl Meta {
    fn new(source: Source, party: Option<String>) -> Arc<Self> {
        let shelf = Arc::new(Shelf::new(Statements::of(party), source.address()));
        Arc::new(Self { database: Database::new(source), shelf })
    }
}

#[async_trait]
impl StorageMeta for Meta {
    async fn get(&self, table: &TableName) -> Result<Option<(Version, TableRecord)>> {
        let found = self.database.patiently(Get(self.shelf.clone(), table.clone())).await;
        found.at(|| format!("read record of table {table}"))
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<(Version, TableRecord)>> {
        let found = self.database.patiently(List(self.shelf.clone(), namespace.map(str::to_owned))).await;
        found.at(|| format!("list records of {}", namespace.unwrap_or("all namespaces")))
    }

    async fn names(&self, namespace: Option<&str>) -> Result<Vec<TableName>> {
        let found = self.database.patiently(Names(self.shelf.clone(), namespace.map(str::to_owned))).await;
        found.at(|| format!("list names of {}", namespace.unwrap_or("all namespaces")))
    }

    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version> {
        let at = || format!("write record of table {}", record.table);
        let text = encode(record).at(at)?;
        let set = Set { shelf: self.shelf.clone(), record: record.clone(), text, expect };
        self.database.patiently(set).await.at(at)
    }

    async fn remove(&self, table: &TableName, expect: Version) -> Result<()> {
        let at = || format!("remove record of table {table}");
        self.database.patiently(Remove(self.shelf.clone(), table.clone(), expect)).await.at(at)
    }
}
