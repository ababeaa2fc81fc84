//! The catalogue in the database: which snapshot each table is, which writes are under way, and which parts they have.

use std::sync::atomic::{AtomicBool, Ordering};

use tributary_core::TableName;
use tributary_database::{Connection, Failure, FileKind, Product, Step, Value, Versioned, bring_up_to_date};

use crate::part::Piece;
use crate::shape::Names;

/// One party's tables in a database.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub names: Names,
    pub party: String,
    pub base: String,
    /// For people.
    pub place: String,
    what: String,
    is_up_to_date: AtomicBool,
}

/// A table's row.
#[derive(Debug)]
pub(crate) struct Entry {
    pub snapshot: String,
    /// The one before, whose rows are kept for its readers; empty if there is none.
    pub previous: String,
    pub manifest: String,
}

impl Catalog {
    pub(crate) fn new(names: Names, party: String, base: String, place: String, prefix: &str) -> Self {
        let what = format!("{prefix}tables");
        Self { names, party, base, place, what, is_up_to_date: AtomicBool::new(false) }
    }

    /// The server's clock, in milliseconds since 1970.
    pub(crate) fn now(&self) -> &'static str {
        match self.names.product {
            Product::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            _ => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    pub(crate) async fn prepare(&self, to: &mut Connection) -> Result<(), Failure> {
        if self.is_up_to_date.load(Ordering::Acquire) {
            return Ok(());
        }
        let steps = [self.first_step()];
        let it = Versioned { what: &self.what, kind: FileKind(0), steps: &steps, place: &self.place };
        bring_up_to_date(to, it).await?;
        self.is_up_to_date.store(true, Ordering::Release);
        Ok(())
    }

    /// Never change it: add another.
    fn first_step(&self) -> Step {
        let Names { tables, writes, parts, .. } = &self.names;
        let (name, hex, text, end) = match self.names.product {
            Product::MySql => (
                "VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
                "VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL",
                "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
                " ENGINE = InnoDB",
            ),
            _ => ("TEXT COLLATE \"C\" NOT NULL", "TEXT COLLATE \"C\" NOT NULL", "TEXT NOT NULL", ""),
        };
        let whose = format!("party {name}, namespace {name}, name {name}");
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {tables} ({whose}, snapshot {hex}, previous {hex}, replaced BIGINT NOT NULL, \
                 manifest {text}, PRIMARY KEY (party, namespace, name)){end}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {writes} (attempt {hex}, {whose}, touched BIGINT NOT NULL, PRIMARY KEY (attempt)){end}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {parts} (attempt {hex}, part BIGINT NOT NULL, try BIGINT NOT NULL, whole BIGINT NOT NULL, \
                 PRIMARY KEY (attempt, part, try)){end}"
            ),
        ]
    }

    pub(crate) fn of(&self, name: &TableName) -> Vec<Value> {
        [&self.party, &name.namespace, &name.name].map(|text| Value::from(text.as_str())).to_vec()
    }

    /// A table's row; locked if it is about to be changed.
    pub(crate) async fn entry(
        &self,
        to: &mut Connection,
        name: &TableName,
        lock: &str,
    ) -> Result<Option<Entry>, Failure> {
        let query = format!(
            "SELECT snapshot, previous, manifest FROM {} WHERE party = ? AND namespace = ? AND name = ? {lock}",
            self.names.tables
        );
        let row = to.first(&query, &self.of(name)).await?;
        let text =
            |row: &[Value], at: usize| row.get(at).and_then(Value::text).unwrap_or_default().to_owned();
        Ok(row.map(|row| Entry { snapshot: text(&row, 0), previous: text(&row, 1), manifest: text(&row, 2) }))
    }

    /// Notes a write as under way, or that it still is.
    pub(crate) async fn touch(
        &self,
        to: &mut Connection,
        attempt: &str,
        name: &TableName,
    ) -> Result<(), Failure> {
        let Names { writes, .. } = &self.names;
        let now = self.now();
        if to
            .execute(&format!("UPDATE {writes} SET touched = {now} WHERE attempt = ?"), &[attempt.into()])
            .await?
            > 0
        {
            return Ok(());
        }
        let first = format!(
            "INSERT INTO {writes} (party, namespace, name, attempt, touched) VALUES (?, ?, ?, ?, {now})"
        );
        let mut values = self.of(name);
        values.push(attempt.into());
        match to.execute(&first, &values).await {
            Err(why) if why.is_taken() => Ok(()),
            done => done.map(drop),
        }
    }

    /// Notes a write as no longer under way. False if it was not.
    pub(crate) async fn forget(&self, to: &mut Connection, attempt: &str) -> Result<bool, Failure> {
        let Names { writes, parts, .. } = &self.names;
        let known =
            to.execute(&format!("DELETE FROM {writes} WHERE attempt = ?"), &[attempt.into()]).await? > 0;
        to.execute(&format!("DELETE FROM {parts} WHERE attempt = ?"), &[attempt.into()]).await?;
        Ok(known)
    }

    /// The tries of a write that wrote all of their rows, or not.
    pub(crate) async fn pieces(
        &self,
        to: &mut Connection,
        attempt: &str,
    ) -> Result<Vec<(Piece, bool)>, Failure> {
        let query = format!("SELECT part, try, whole FROM {} WHERE attempt = ?", self.names.parts);
        let rows = to.rows(&query, &[attempt.into()]).await?;
        let number =
            |row: &[Value], at: usize| row.get(at).and_then(Value::int).and_then(|n| i32::try_from(n).ok());
        let piece = |row: &Vec<Value>| {
            let piece = Piece { partition: number(row, 0)?, attempt: number(row, 1)? };
            Some((piece, number(row, 2)? != 0))
        };
        Ok(rows.iter().filter_map(piece).collect())
    }

    pub(crate) async fn note_piece(
        &self,
        to: &mut Connection,
        attempt: &str,
        piece: Piece,
        whole: bool,
    ) -> Result<(), Failure> {
        let Names { parts, .. } = &self.names;
        let mut values: Vec<Value> = vec![i64::from(whole).into(), attempt.into()];
        values.extend([piece.partition, piece.attempt].map(|number| Value::from(i64::from(number))));
        let known = format!("UPDATE {parts} SET whole = ? WHERE attempt = ? AND part = ? AND try = ?");
        if to.execute(&known, &values).await? == 0 {
            let first = format!("INSERT INTO {parts} (whole, attempt, part, try) VALUES (?, ?, ?, ?)");
            to.execute(&first, &values).await?;
        }
        Ok(())
    }
}
