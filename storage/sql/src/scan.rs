//! Reading one partition: a query on a connection of its own, rows in pieces from the store's threads, decoded where they are asked for.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlRow;
use tokio::sync::mpsc::Sender;

use tributary_core::rows::RowStream;
use tributary_core::{Error, ErrorKind, Result};
use tributary_database::{Connection, Failure, Pool, Product};
use tributary_threads::Threads;

use crate::column::Rows;
use crate::copy::Reader;
use crate::insert;
use crate::select::Select;

/// Pieces that are read ahead.
const AHEAD: usize = 2;
/// About how many bytes a piece of a copy has, and how many rows one of a query: enough that passing it on costs nothing.
const PIECE_BYTES: usize = 256 << 10;
const PIECE_ROWS: usize = 1024;

/// The rows. A table that is gone, and rows that are too many or too few, are errors of the stream.
pub(crate) fn rows(threads: &Threads, pool: Arc<Pool>, select: Select) -> Result<RowStream> {
    let (expected, is_bound) = (select.expected, select.source.is_some());
    let batches = match pool.source().product() {
        Product::MySql => from_mysql(threads, pool, select)?,
        _ => from_postgresql(threads, pool, select)?,
    };
    Ok(counted(batches, expected, is_bound))
}

fn from_postgresql(threads: &Threads, pool: Arc<Pool>, select: Select) -> Result<RowStream> {
    let mut reader = Reader::new(&select.schema)?;
    let pieces = threads.stream(AHEAD, |to| async move {
        let mut lease = pool.lease().await?;
        match copy_out(lease.connection(), &select, to).await {
            Ok(()) => lease.done(),
            Err(why) => return Err(explained(&pool, why)),
        }
        Ok(())
    });
    let with_end = pieces.map_ok(Some).chain(stream::once(future::ready(Ok(None))));
    let batches = with_end.map(move |piece| -> Result<Vec<RecordBatch>> {
        Ok(match piece? {
            Some(bytes) => reader.read(&bytes)?,
            None => reader.end()?.into_iter().collect(),
        })
    });
    Ok(one_by_one(batches))
}

async fn copy_out(to: &mut Connection, select: &Select, pieces: Sender<Bytes>) -> Result<(), Failure> {
    begin(to, select).await?;
    let Connection::PostgreSql(client) = to else {
        return Err(Error::bug("a copy from another database").into());
    };
    let failed = |why| Failure::of_client(Product::PostgreSql, why);
    let mut copy = client
        .copy_out_raw(&format!("COPY ({}) TO STDOUT (FORMAT binary)", select.query))
        .await
        .map_err(failed)?;
    let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
    while let Some(bytes) = copy.try_next().await.map_err(failed)? {
        piece.extend_from_slice(&bytes);
        if piece.len() >= PIECE_BYTES {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
            send(&pieces, full.into()).await?;
        }
    }
    send(&pieces, piece.into()).await?;
    drop(copy);
    to.say("COMMIT").await
}

/// Rows of ours lie in their order, with an index: sorting, or reading all partitions for one, is never better.
async fn begin(to: &mut Connection, select: &Select) -> Result<(), Failure> {
    to.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    match &select.source {
        Some(source) => source.check_unchanged(to).await,
        None => to.say("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off").await,
    }
}

fn from_mysql(threads: &Threads, pool: Arc<Pool>, select: Select) -> Result<RowStream> {
    let mut rows = Rows::of(&select.schema)?;
    let (places, has_rest) = (select.places.clone(), select.has_rest);
    let pieces = threads.stream(AHEAD, |to| async move {
        let mut lease = pool.lease().await?;
        match fetch(lease.connection(), &select, to).await {
            Ok(()) => lease.done(),
            Err(why) => return Err(explained(&pool, why)),
        }
        Ok(())
    });
    let with_end = pieces.map_ok(Some).chain(stream::once(future::ready(Ok(None))));
    let batches = with_end.map(move |piece| -> Result<Vec<RecordBatch>> {
        let Some(piece) = piece? else { return Ok(rows.take()?.into_iter().collect()) };
        let mut whole = Vec::new();
        for row in &piece {
            let bytes = insert::read(&mut rows, row, &places, has_rest)?;
            whole.extend(rows.row(bytes)?);
        }
        Ok(whole)
    });
    Ok(one_by_one(batches))
}

async fn fetch(to: &mut Connection, select: &Select, pieces: Sender<Vec<MySqlRow>>) -> Result<(), Failure> {
    if let Some(source) = &select.source {
        source.check_unchanged(to).await?;
    }
    let Connection::MySql(client) = to else { return Err(Error::bug("a query of another database").into()) };
    // Prepared, although it has no values: numbers come in binary, as they are.
    let query = sqlx::query(AssertSqlSafe(select.query.as_str())).persistent(false);
    let mut found = query.fetch(client);
    let mut piece = Vec::with_capacity(PIECE_ROWS);
    while let Some(row) = found.try_next().await.map_err(|why| Failure::of_client(Product::MySql, why))? {
        piece.push(row);
        if piece.len() >= PIECE_ROWS {
            send(&pieces, std::mem::replace(&mut piece, Vec::with_capacity(PIECE_ROWS))).await?;
        }
    }
    send(&pieces, piece).await
}

async fn send<T>(pieces: &Sender<T>, piece: T) -> Result<(), Failure> {
    pieces
        .send(piece)
        .await
        .map_err(|_| Error::new(ErrorKind::Cancelled, "nobody reads the rows any more").into())
}

/// Of a table that was there when it was opened.
pub(crate) fn explained(pool: &Pool, why: Failure) -> Error {
    match why.is_absent() {
        true => {
            let text = "the table was deleted, or replaced twice, since it was opened; open it again";
            Error::new(ErrorKind::NotFound, text).because(pool.error(why))
        }
        false => pool.error(why),
    }
}

/// Their batches one by one.
fn one_by_one(batches: impl futures::Stream<Item = Result<Vec<RecordBatch>>> + Send + 'static) -> RowStream {
    batches.map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten().boxed()
}

/// `Corrupt` unless there are as many rows as the table says. Nothing follows an error.
fn counted(batches: RowStream, expected: u64, is_bound: bool) -> RowStream {
    let mut found = 0;
    let end = stream::once(future::ready(Ok(None)));
    let checked = batches.map_ok(Some).chain(end).map(move |batch| {
        if let Some(batch) = batch? {
            found += batch.num_rows() as u64;
            if found <= expected {
                return Ok(Some(batch));
            }
        } else if found == expected {
            return Ok(None);
        }
        let advice = match is_bound {
            true => "its source has changed; bind it again with --if-exists replace",
            false => "others have changed its rows in the database; write it again",
        };
        Err(Error::new(ErrorKind::Corrupt, format!("{found} rows or more, expected {expected}: {advice}")))
    });
    stop_at_error(checked.boxed())
}

fn stop_at_error(batches: futures::stream::BoxStream<'static, Result<Option<RecordBatch>>>) -> RowStream {
    let ending = batches.scan(false, |failed, batch| {
        let ended = std::mem::replace(failed, *failed || batch.is_err());
        future::ready((!ended).then_some(batch))
    });
    ending.try_filter_map(future::ok).boxed()
}
