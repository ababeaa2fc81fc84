//! Rows on their way to a reader: piece by piece, each read from the session's store when it is its turn.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::error::{Error, Result};
use tributary_core::schema::TableSchema;
use tributary_partition::cancel::Guard;

use crate::items::Stretch;
use crate::rows::Decoder;
use crate::state::State;

/// The rows of these pieces, in order, with the columns of `schema`.
pub(crate) fn read(state: Arc<State>, schema: TableSchema, pieces: Vec<Piece>, guard: Guard) -> RowStream {
    let reading = Reading { state, schema, guard };
    stream::unfold((Some(reading), stream::iter(pieces), None), next_batch).fuse().boxed()
}

/// Rows that a reader gets.
pub(crate) enum Piece {
    Held(Stretch),
    Inline(Bytes, u64),
}

/// What a stream of rows needs until its end. Dropping it drops the rows.
struct Reading {
    state: Arc<State>,
    schema: TableSchema,
    guard: Guard,
}

impl Reading {
    /// A session that closes takes its files with it.
    fn reason(&self, error: Error) -> Error {
        self.guard.0.check().err().unwrap_or(error)
    }
}

type At<S> = (Option<Reading>, S, Option<(Decoder, Option<Stretch>)>);

async fn next_batch<S>(at: At<S>) -> Option<(Result<RecordBatch>, At<S>)>
where
    S: Stream<Item = Piece> + Unpin,
{
    let (reading, mut pieces, mut open) = at;
    let reading = reading?;
    loop {
        if let Err(error) = reading.guard.0.check() {
            return Some((Err(error), (None, pieces, None)));
        }
        match open.as_mut().and_then(|(rows, _)| rows.next()) {
            Some(Ok(batch)) => return Some((Ok(batch), (Some(reading), pieces, open))),
            Some(Err(error)) => return Some((Err(reading.reason(error)), (None, pieces, None))),
            None => {}
        }
        let opened = match pieces.next().await? {
            Piece::Inline(bytes, rows) => {
                Decoder::new(&reading.schema, bytes, 0..rows).map(|rows| (rows, None))
            }
            Piece::Held(stretch) => {
                let file = stretch.segment().file;
                let bytes = reading.guard.0.race(reading.state.store.read(&file)).await;
                let rows = stretch.rows.clone();
                bytes.and_then(|bytes| Decoder::new(&reading.schema, bytes, rows)).map(|d| (d, Some(stretch)))
            }
        };
        match opened {
            Ok(rows) => open = Some(rows),
            Err(error) => return Some((Err(reading.reason(error)), (None, pieces, None))),
        }
    }
}
