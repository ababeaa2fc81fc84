//! What is asked of the catalogue, each as one try on one connection.
//!
//! Whoever publishes, gives up or deletes locks the table's row first; a write that is published must still be among those under way, so
//! that of a commit and a clean-up one wins.

use std::sync::Arc;

use tributary_core::storage::{IfExists, Part, StoredTable, Write};
use tributary_core::{Error, ErrorKind, Result, TableName};
use tributary_database::{Connection, Failure, Operation, Product, Try, Value};

use crate::catalog::{Catalog, Entry};
use crate::manifest::Manifest;
use crate::part::Piece;
use crate::shape::{PART, ROW, TRY};

/// A table's row.
pub(crate) struct Look(pub Arc<Catalog>, pub TableName);

impl Operation for Look {
    type Output = Option<Entry>;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Self::Output, Failure> {
        self.0.prepare(to).await?;
        self.0.entry(to, &self.1, "").await
    }
}

/// Makes the table of a write, and notes the write, or one of its parts.
pub(crate) struct Begin {
    pub catalog: Arc<Catalog>,
    pub name: TableName,
    pub attempt: String,
    /// The statement that creates the table, unless the rows are another program's.
    pub create: Option<String>,
    pub piece: Option<Piece>,
}

impl Operation for Begin {
    type Output = ();

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<(), Failure> {
        let Self { catalog, name, attempt, create, piece } = self;
        catalog.prepare(to).await?;
        // The note first: a table without one is a leftover.
        catalog.touch(to, attempt, name).await?;
        if let Some(create) = create {
            match to.say(create).await {
                // Two that create it at once may both be told that it is not there.
                Err(why) if why.is_taken() => {}
                made => made?,
            }
        }
        match piece {
            Some(piece) => catalog.note_piece(to, attempt, *piece, false).await,
            None => Ok(()),
        }
    }
}

/// Makes a write's rows ready: those of its parts are there, others are removed, and PostgreSQL has an index.
pub(crate) struct Settle {
    pub catalog: Arc<Catalog>,
    pub name: TableName,
    pub attempt: String,
    pub pieces: Vec<Piece>,
}

impl Operation for Settle {
    type Output = ();

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<(), Failure> {
        let (names, attempt) = (&self.catalog.names, &self.attempt);
        self.catalog.prepare(to).await?;
        let there = self.catalog.pieces(to, attempt).await?;
        if let Some(gone) = self.pieces.iter().find(|piece| !there.contains(&(**piece, true))) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "part {} is gone: the write was aborted, or was idle for so long that clean-up removed it",
                    gone.file()
                ),
            )
            .into());
        }
        self.catalog.touch(to, attempt, &self.name).await?;
        let data = names.data(attempt)?;
        if names.product == Product::PostgreSql {
            let index = names.index(attempt)?;
            let of = format!("({}, {}, {})", PART, TRY, ROW);
            to.say(&format!("CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {data} {of}")).await?;
        }
        let extra = format!("DELETE FROM {data} WHERE {} = ? AND {} = ?", PART, TRY);
        for (piece, _) in there.iter().filter(|(piece, _)| !self.pieces.contains(piece)) {
            to.execute(&extra, &[i64::from(piece.partition).into(), i64::from(piece.attempt).into()]).await?;
        }
        Ok(())
    }
}

/// Makes a table exist, or be another snapshot.
pub(crate) struct Publish {
    pub catalog: Arc<Catalog>,
    pub name: TableName,
    pub manifest: Manifest,
    pub how: IfExists,
}

/// What a publication did.
pub(crate) struct Published {
    pub table: StoredTable,
    /// The snapshot that nothing names any more.
    pub unnamed: Option<String>,
}

impl Publish {
    async fn publish(&self, to: &mut Connection) -> Result<Published, Failure> {
        let (catalog, table) = (&self.catalog, &self.manifest.table);
        let there = catalog.entry(to, &self.name, "FOR UPDATE").await?;
        if let Some(done) = decide(there.as_ref(), &self.how, &self.manifest)? {
            return Ok(Published { table: done, unnamed: None });
        }
        if !catalog.forget(to, &table.snapshot).await? {
            let text =
                "the write was aborted, or was idle for so long that clean-up removed it; write it again";
            return Err(Error::new(ErrorKind::NotFound, text).into());
        }
        let (replaced, unnamed) = there.map(|entry| (entry.snapshot, entry.previous)).unzip();
        let manifest = self.manifest.encode()?;
        let mut values: Vec<Value> =
            [table.snapshot.as_str(), replaced.as_deref().unwrap_or_default(), &manifest]
                .map(Value::from)
                .to_vec();
        values.extend(catalog.of(&self.name));
        let (tables, now) = (&catalog.names.tables, catalog.now());
        let statement = match replaced {
            Some(_) => format!(
                "UPDATE {tables} SET replaced = {now}, snapshot = ?, previous = ?, manifest = ? WHERE party = ? AND namespace = ? AND name = ?"
            ),
            None => format!(
                "INSERT INTO {tables} (replaced, snapshot, previous, manifest, party, namespace, name) VALUES ({now}, ?, ?, ?, ?, ?, ?)"
            ),
        };
        to.execute(&statement, &values).await?;
        Ok(Published { table: table.clone(), unnamed: unnamed.filter(|snapshot| !snapshot.is_empty()) })
    }
}

/// The table, if it was published before; an error if it must not be.
fn decide(there: Option<&Entry>, how: &IfExists, new: &Manifest) -> Result<Option<StoredTable>> {
    let attempt = &new.table.snapshot;
    match (there, how) {
        (Some(entry), _) if entry.snapshot == *attempt => {
            let known = Manifest::decode(&entry.manifest)?;
            match known.table.parts == new.table.parts {
                true => Ok(Some(known.table)),
                false => {
                    Err(Error::new(ErrorKind::Conflict, "this write was committed before, of other parts"))
                }
            }
        }
        (Some(entry), IfExists::ReplaceSnapshot(_)) if entry.previous == *attempt => {
            Ok(Some(new.table.clone()))
        }
        (there, how) => check(there, how).map(|()| None),
    }
}

/// `AlreadyExists` or `Conflict` if a table must not take the place of what is there.
pub(crate) fn check(there: Option<&Entry>, how: &IfExists) -> Result<()> {
    match (there, how) {
        (Some(_), IfExists::Fail) => {
            Err(Error::new(ErrorKind::AlreadyExists, "the table exists; choose another name, or replace it"))
        }
        (there, IfExists::ReplaceSnapshot(expected))
            if there.is_none_or(|entry| entry.snapshot != *expected) =>
        {
            let text = "the table was replaced or deleted since it was read; read it again";
            Err(Error::new(ErrorKind::Conflict, text))
        }
        _ => Ok(()),
    }
}

impl Operation for Publish {
    type Output = Published;

    /// Of two that publish a new name at once, one is told that there is a row: it looks again.
    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Published, Failure> {
        self.catalog.prepare(to).await?;
        for _ in 0..3 {
            to.begin().await?;
            let done = self.publish(to).await;
            match to.end(done).await {
                Err(why) if why.is_taken() => {}
                done => return done,
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others write and delete the same table all the time; try again")
            .into())
    }
}

/// Gives a write up. True if its table is nobody's any more.
pub(crate) struct Abort(pub Arc<Catalog>, pub Write, pub TableName);

impl Operation for Abort {
    type Output = bool;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<bool, Failure> {
        let Self(catalog, write, name) = self;
        catalog.prepare(to).await?;
        to.begin().await?;
        let done = async {
            let there = catalog.entry(to, name, "FOR UPDATE").await?;
            let is_named = |entry: &Entry| entry.snapshot == write.attempt || entry.previous == write.attempt;
            Ok(catalog.forget(to, &write.attempt).await? && !there.as_ref().is_some_and(is_named))
        };
        let done = done.await;
        to.end(done).await
    }
}

/// Removes a table's row; the snapshots that it named, or none if there was none.
pub(crate) struct Delete(pub Arc<Catalog>, pub TableName);

impl Operation for Delete {
    type Output = Option<[String; 2]>;

    async fn attempt(&self, to: &mut Connection, which: Try) -> Result<Self::Output, Failure> {
        let Self(catalog, name) = self;
        catalog.prepare(to).await?;
        to.begin().await?;
        let done = async {
            let there = catalog.entry(to, name, "FOR UPDATE").await?;
            let gone = format!(
                "DELETE FROM {} WHERE party = ? AND namespace = ? AND name = ?",
                catalog.names.tables
            );
            to.execute(&gone, &catalog.of(name)).await?;
            Ok(there.map(|entry| [entry.snapshot, entry.previous]))
        };
        let done = done.await;
        match to.end(done).await? {
            // An earlier try has removed it; clean-up finds its rows.
            None if which == Try::Again => Ok(Some([String::new(), String::new()])),
            done => Ok(done),
        }
    }
}

/// Removes tables that nothing names; one that is being read stays, for the next clean-up.
pub(crate) struct Drop(pub Arc<Catalog>, pub Vec<String>);

impl Operation for Drop {
    type Output = ();

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<(), Failure> {
        let Self(catalog, snapshots) = self;
        for snapshot in snapshots {
            let gone = format!("DROP TABLE IF EXISTS {}", catalog.names.data(snapshot)?);
            let dropped = match catalog.names.product {
                Product::MySql => {
                    to.say("SET SESSION lock_wait_timeout = 1").await?;
                    let dropped = to.say(&gone).await;
                    to.say("SET SESSION lock_wait_timeout = DEFAULT").await?;
                    dropped
                }
                _ => {
                    to.begin().await?;
                    to.say("SET LOCAL lock_timeout = '1s'").await?;
                    let dropped = to.say(&gone).await;
                    to.end(dropped).await
                }
            };
            match dropped {
                Err(why) if why.is_contended() => {}
                dropped => dropped?,
            }
        }
        Ok(())
    }
}

/// The pieces of parts.
pub(crate) fn pieces(parts: &[Part]) -> Result<Vec<Piece>> {
    (0..).zip(parts).map(|(partition, part)| Piece::of_file(&part.file, partition)).collect()
}
