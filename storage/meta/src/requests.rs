//! What is asked of the records, each as one try on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tributary_core::meta::{Expect, TableRecord, Version};
use tributary_core::{Error, ErrorKind, TableName};
use tributary_database::{Connection, Failure, Operation, Try, Versioned, bring_up_to_date};

use crate::record::{decode, version_of};
use crate::schema::{FILE, Statements, WHAT, steps};

/// One party's records in a database.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub statements: Statements,
    /// For people.
    pub place: String,
    is_up_to_date: AtomicBool,
}

impl Shelf {
    pub(crate) fn new(statements: Statements, place: String) -> Self {
        Self { statements, place, is_up_to_date: AtomicBool::new(false) }
    }

    async fn prepare(&self, to: &mut Connection) -> Result<(), Failure> {
        if self.is_up_to_date.load(Ordering::Acquire) {
            return Ok(());
        }
        let steps = steps(to.product());
        let it = Versioned { what: WHAT, kind: FILE, steps: &steps, place: &self.place };
        bring_up_to_date(to, it).await?;
        self.is_up_to_date.store(true, Ordering::Release);
        Ok(())
    }

    async fn get(
        &self,
        to: &mut Connection,
        table: &TableName,
    ) -> Result<Option<(Version, TableRecord)>, Failure> {
        let found = to.first(&self.statements.get, &self.of(table)).await?;
        Ok(found.map(|row| decode(&self.place, &row)).transpose()?)
    }

    async fn version(&self, to: &mut Connection, table: &TableName) -> Result<Option<Version>, Failure> {
        let found = to.first(&self.statements.version, &self.of(table)).await?;
        let version = found.as_ref().and_then(|row| row.first());
        Ok(version.map(|value| version_of(&self.place, value)).transpose()?)
    }

    /// Removes the record if it has this version.
    async fn take(&self, to: &mut Connection, table: &TableName, expect: Version) -> Result<bool, Failure> {
        let Ok(version) = i64::try_from(expect.0) else { return Ok(false) };
        let mut values = self.of(table);
        values.push(version.into());
        Ok(to.execute(&self.statements.delete, &values).await? > 0)
    }

    /// Why there is no record of this version.
    async fn miss(&self, to: &mut Connection, table: &TableName, expect: Version) -> Result<Error, Failure> {
        Ok(match self.version(to, table).await? {
            Some(found) => Error::new(
                ErrorKind::Conflict,
                format!("it is at version {}, expected {}; read it again", found.0, expect.0),
            ),
            None => Error::new(ErrorKind::NotFound, "there is no such record"),
        })
    }

    fn of(&self, table: &TableName) -> Vec<tributary_database::Value> {
        self.statements.values([table.namespace.as_str(), table.name.as_str()])
    }
}

/// A record.
pub(crate) struct Get(pub Arc<Shelf>, pub TableName);

impl Operation for Get {
    type Output = Option<(Version, TableRecord)>;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Self::Output, Failure> {
        self.0.prepare(to).await?;
        self.0.get(to, &self.1).await
    }
}

/// All records, or those of a namespace.
pub(crate) struct List(pub Arc<Shelf>, pub Option<String>);

impl Operation for List {
    type Output = Vec<(Version, TableRecord)>;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Self::Output, Failure> {
        let Self(shelf, namespace) = self;
        shelf.prepare(to).await?;
        let statements = &shelf.statements;
        let query = if namespace.is_some() { &statements.list_namespace } else { &statements.list };
        let rows = to.rows(query, &statements.values(namespace.as_deref())).await?;
        Ok(rows.iter().map(|row| decode(&shelf.place, row)).collect::<Result<_, Error>>()?)
    }
}

/// Their names.
pub(crate) struct Names(pub Arc<Shelf>, pub Option<String>);

impl Operation for Names {
    type Output = Vec<TableName>;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Self::Output, Failure> {
        let Self(shelf, namespace) = self;
        shelf.prepare(to).await?;
        let statements = &shelf.statements;
        let query = if namespace.is_some() { &statements.names_namespace } else { &statements.names };
        let rows = to.rows(query, &statements.values(namespace.as_deref())).await?;
        let name = |row: &tributary_database::Row| {
            let text = |at: usize| row.get(at).and_then(|value| value.text()).unwrap_or_default();
            TableName::new(text(0), text(1))
        };
        Ok(rows.iter().map(name).collect::<Result<_, Error>>()?)
    }
}

/// Writes a record.
pub(crate) struct Set {
    pub shelf: Arc<Shelf>,
    pub record: TableRecord,
    pub text: String,
    pub expect: Expect,
}

impl Set {
    /// The version of the record, if it is the one that an earlier try has written.
    async fn written(&self, to: &mut Connection) -> Result<Option<Version>, Failure> {
        let there = self.shelf.get(to, &self.record.table).await?;
        let ours =
            there.filter(|(version, record)| Expect::At(*version) != self.expect && *record == self.record);
        Ok(ours.map(|(version, _)| version))
    }

    async fn put(&self, to: &mut Connection) -> Result<Version, Failure> {
        let (shelf, table) = (&self.shelf, &self.record.table);
        if let Expect::At(version) = self.expect
            && !shelf.take(to, table, version).await?
        {
            let miss = shelf.miss(to, table, version).await?;
            let gone = || conflict(format!("it was removed, expected version {}", version.0));
            return Err(if miss.kind() == ErrorKind::NotFound { gone() } else { miss }.into());
        }
        let values =
            shelf.statements.values([table.namespace.as_str(), table.name.as_str(), self.text.as_str()]);
        match (to.execute(&shelf.statements.insert, &values).await, self.expect) {
            (Err(why), Expect::Absent) if why.is_taken() => {
                let text = "there is one; read it and change that";
                return Err(Error::new(ErrorKind::AlreadyExists, text).into());
            }
            (Err(why), Expect::At(_)) if why.is_taken() => {
                return Err(conflict("another one was written meanwhile; read it again").into());
            }
            (done, _) => done?,
        };
        let version = shelf.version(to, table).await?;
        Ok(version.ok_or_else(|| Error::bug("a record was written, and is not there"))?)
    }
}

impl Operation for Set {
    type Output = Version;

    async fn attempt(&self, to: &mut Connection, which: Try) -> Result<Version, Failure> {
        self.shelf.prepare(to).await?;
        if which == Try::Again
            && let Some(version) = self.written(to).await?
        {
            return Ok(version);
        }
        to.begin().await?;
        let done = self.put(to).await;
        to.end(done).await
    }
}

/// Removes a record.
pub(crate) struct Remove(pub Arc<Shelf>, pub TableName, pub Version);

impl Operation for Remove {
    type Output = ();

    async fn attempt(&self, to: &mut Connection, which: Try) -> Result<(), Failure> {
        let Self(shelf, table, expect) = self;
        shelf.prepare(to).await?;
        to.begin().await?;
        let taken = shelf.take(to, table, *expect).await;
        match to.end(taken).await? {
            true => Ok(()),
            false => match shelf.miss(to, table, *expect).await? {
                // an earlier try has removed it
                gone if gone.kind() == ErrorKind::NotFound && which == Try::Again => Ok(()),
                miss => Err(miss.into()),
            },
        }
    }
}

fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, message)
}
