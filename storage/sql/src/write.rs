//! Writing one partition: rows are encoded where they are made, and sent by the store's threads.
//!
//! PostgreSQL gets one `COPY`, which is one transaction. MySQL gets inserts of many rows, some of them a transaction; rows of a try that did not
//! come to its end are named by nothing.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::TryStreamExt;
use sqlx::mysql::MySqlArguments;
use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use tributary_core::rows::{PartSize, RowStream};
use tributary_core::storage::{Part, Write};
use tributary_core::{Error, ErrorKind, Result, TableSchema};
use tributary_database::{Connection, Database, Failure, Product};
use tributary_threads::Work;

use crate::catalog::Catalog;
use crate::column::columns;
use crate::copy::{self, cannot_hold};
use crate::insert::bind;
use crate::part::{Digest, Piece};
use crate::shape;

/// Pieces on their way while the next is made.
const AHEAD: usize = 1;
/// About how many bytes a piece has.
const PIECE_BYTES: usize = 1 << 20;
/// Most values of one statement of MySQL, and most rows.
const MOST_VALUES: usize = 65_535;
const MOST_ROWS: usize = 1024;
/// Inserts between two commits of MySQL.
const INSERTS: usize = 32;

/// What is sent: some rows, and that these were all.
enum Piecewise<T> {
    Rows(T),
    End,
}

/// How many rows, how many bytes in the form of a copy, and their digest.
pub(crate) struct Summary {
    schema: TableSchema,
    piece: Piece,
    pub digest: Digest,
    pub rows: u64,
    bytes: u64,
    copied: Vec<u8>,
}

impl Summary {
    pub(crate) fn new(schema: &TableSchema, piece: Piece) -> Self {
        let mut digest = Digest::default();
        // The same bytes are other values of another type.
        schema.arrow().fields().iter().for_each(|field| digest.add(field.data_type().to_string().as_bytes()));
        Self { schema: schema.clone(), piece, digest, rows: 0, bytes: 0, copied: Vec::new() }
    }

    /// The rows, copied.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<&[u8]> {
        self.copied.clear();
        copy::write(batch, self.piece, self.rows, &self.schema, &mut self.copied)?;
        self.digest.add(&self.copied);
        self.rows += batch.num_rows() as u64;
        self.bytes += self.copied.len() as u64;
        Ok(&self.copied)
    }

    fn part(&self) -> (Piece, Part) {
        let size = PartSize { rows: self.rows, bytes: self.bytes };
        (self.piece, Part { file: self.piece.file(), size, digest: self.digest.text() })
    }
}

/// Writes the rows of a try, and notes it as whole.
pub(crate) async fn write_rows(
    database: &Database,
    catalog: &Arc<Catalog>,
    write: &Write,
    piece: Piece,
    rows: RowStream,
) -> Result<Part> {
    let (pool, table) = (database.pool(), catalog.names.data(&write.attempt)?);
    let (catalog, attempt) = (catalog.clone(), write.attempt.clone());
    match pool.source().product() {
        Product::MySql => {
            let (to, from) = channel(AHEAD);
            let sent = database.threads()?.run(async move {
                let mut lease = pool.lease().await?;
                let mut done = insert(lease.connection(), from).await;
                if done.is_ok() {
                    done = catalog.note_piece(lease.connection(), &attempt, piece, true).await;
                }
                done.map_err(|why| pool.error(why)).map(|()| lease.done())
            });
            finish(write, encode_inserts(write, &table, piece, rows, &to).await, to, sent).await
        }
        _ => {
            let (to, from) = channel(AHEAD);
            let sent = database.threads()?.run(async move {
                let mut lease = pool.lease().await?;
                let mut done =
                    copy_in(lease.connection(), &format!("COPY {table} FROM STDIN (FORMAT binary)"), from)
                        .await;
                if done.is_ok() {
                    done = catalog.note_piece(lease.connection(), &attempt, piece, true).await;
                }
                done.map_err(|why| pool.error(why)).map(|()| lease.done())
            });
            finish(write, encode_copy(write, piece, rows, &to).await, to, sent).await
        }
    }
}

/// Says that these were all rows, if they are as the layout says; else the other end hears that nothing more comes, and gives up.
async fn finish<T>(
    write: &Write,
    part: Result<(Piece, Part)>,
    to: Sender<Piecewise<T>>,
    sent: Work<()>,
) -> Result<Part> {
    let check = |(piece, part): (Piece, Part)| {
        write.layout.check_rows(piece.partition.unsigned_abs(), part.size.rows).map(|()| part)
    };
    match part.and_then(check) {
        Ok(part) => {
            // Its error says why, if the other end is gone.
            drop(to.send(Piecewise::End).await);
            drop(to);
            sent.await.map(|()| part)
        }
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            drop(to);
            Err(sent.await.err().unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

async fn send<T>(to: &Sender<Piecewise<T>>, rows: T) -> Result<()> {
    let gone = |_| Error::new(ErrorKind::Cancelled, "the rows are not sent any more");
    to.send(Piecewise::Rows(rows)).await.map_err(gone)
}

async fn encode_copy(
    write: &Write,
    piece: Piece,
    mut rows: RowStream,
    to: &Sender<Piecewise<Vec<u8>>>,
) -> Result<(Piece, Part)> {
    let mut summary = Summary::new(&write.schema, piece);
    let mut waiting = copy::HEAD.to_vec();
    while let Some(batch) = rows.try_next().await? {
        write.schema.check(&batch)?;
        waiting.extend_from_slice(summary.add(&batch)?);
        if waiting.len() >= PIECE_BYTES {
            send(to, std::mem::take(&mut waiting)).await?;
        }
    }
    waiting.extend_from_slice(copy::END);
    send(to, waiting).await?;
    Ok(summary.part())
}

async fn copy_in(
    to: &mut Connection,
    statement: &str,
    mut from: Receiver<Piecewise<Vec<u8>>>,
) -> Result<(), Failure> {
    let Connection::PostgreSql(client) = to else {
        return Err(Error::bug("a copy to another database").into());
    };
    let failed = |why| Failure::of_client(Product::PostgreSql, why);
    let mut copy = client.copy_in_raw(statement).await.map_err(failed)?;
    loop {
        match from.recv().await {
            Some(Piecewise::Rows(bytes)) => drop(copy.send(bytes).await.map_err(failed)?),
            Some(Piecewise::End) => return copy.finish().await.map(drop).map_err(failed),
            None => {
                drop(copy.abort("the rows end in the middle").await);
                return Err(Error::new(ErrorKind::Cancelled, "the rows end in the middle").into());
            }
        }
    }
}

/// A statement and its values.
type Insert = (Arc<str>, MySqlArguments);

/// The inserts of a table, by how many rows they have: powers of two, so that the server prepares few of them.
struct Inserts {
    head: String,
    row: String,
    most: usize,
    known: Vec<Option<Arc<str>>>,
}

impl Inserts {
    fn of(table: &str, schema: &TableSchema) -> Result<Self> {
        let mut names = vec![shape::PART.to_owned(), shape::TRY.to_owned(), shape::ROW.to_owned()];
        names.extend(shape::columns(Product::MySql, schema)?);
        names.extend(shape::has_rest(Product::MySql, schema).then(|| shape::REST.to_owned()));
        let most = (MOST_VALUES / names.len()).clamp(1, MOST_ROWS);
        let most = 1 << most.ilog2();
        let row = format!("({})", vec!["?"; names.len()].join(", "));
        let head = format!("INSERT INTO {table} ({}) VALUES ", names.join(", "));
        Ok(Self { head, row, most, known: Vec::new() })
    }

    fn statement(&mut self, rows: usize) -> Arc<str> {
        let at = rows.ilog2() as usize;
        if self.known.len() <= at {
            self.known.resize(at + 1, None);
        }
        let made = || format!("{}{}", self.head, vec![self.row.as_str(); rows].join(", ")).into();
        match self.known.get_mut(at) {
            Some(known) => known.get_or_insert_with(made).clone(),
            None => made(),
        }
    }
}

async fn encode_inserts(
    write: &Write,
    table: &str,
    piece: Piece,
    mut rows: RowStream,
    to: &Sender<Piecewise<Insert>>,
) -> Result<(Piece, Part)> {
    let mut summary = Summary::new(&write.schema, piece);
    let mut inserts = Inserts::of(table, &write.schema)?;
    let has_rest = shape::has_rest(Product::MySql, &write.schema);
    while let Some(batch) = rows.try_next().await? {
        write.schema.check(&batch)?;
        let first = summary.rows;
        let bytes = summary.add(&batch)?.len();
        // Rows of this batch that make about a piece.
        let enough = (PIECE_BYTES / (bytes / batch.num_rows().max(1)).max(1)).max(1);
        let mut begin = 0;
        while begin < batch.num_rows() {
            let count = (batch.num_rows() - begin).min(inserts.most).min(enough);
            let count = 1 << count.ilog2();
            let values = values(&batch, begin..begin + count, (piece, first), has_rest, &write.schema)?;
            send(to, (inserts.statement(count), values)).await?;
            begin += count;
        }
    }
    Ok(summary.part())
}

fn values(
    batch: &RecordBatch,
    rows: std::ops::Range<usize>,
    (piece, first): (Piece, u64),
    has_rest: bool,
    schema: &TableSchema,
) -> Result<MySqlArguments> {
    let columns = columns(batch)?;
    let mut values = MySqlArguments::default();
    for row in rows {
        let number = first + row as u64;
        bind(&mut values, &columns, row, (piece, number), has_rest)?
            .map_err(|place| cannot_hold(schema, place, number, "MySQL"))?;
    }
    Ok(values)
}

async fn insert(to: &mut Connection, mut from: Receiver<Piecewise<Insert>>) -> Result<(), Failure> {
    // Otherwise, a server may cut what does not fit.
    to.say("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')").await?;
    to.begin().await?;
    let mut waiting = 0;
    loop {
        match from.recv().await {
            Some(Piecewise::Rows((statement, values))) => {
                let Connection::MySql(client) = to else {
                    return Err(Error::bug("an insert of another database").into());
                };
                let query = sqlx::query_with(AssertSqlSafe(statement), values);
                client.execute(query).await.map_err(|why| Failure::of_client(Product::MySql, why))?;
                waiting += 1;
                if waiting == INSERTS {
                    to.say("COMMIT").await?;
                    to.begin().await?;
                    waiting = 0;
                }
            }
            Some(Piecewise::End) => return to.say("COMMIT").await,
            None => return Err(Error::new(ErrorKind::Cancelled, "the rows end in the middle").into()),
        }
    }
}
