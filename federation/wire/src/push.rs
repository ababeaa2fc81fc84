//! Sends a value: encoded once, cut into pieces once, sealed for each receiver. So all of them get the same bytes, and the
//! rows are read once however many they are.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use tributary_core::federation::{Body, Direction, Slot, TableBody};
use tributary_core::{Error, Result};

use crate::frame::Last;
use crate::header::{Header, TableHeader};
use crate::link::Link;
use crate::reader::MAX_RECORD_BYTES;
use crate::rows;

/// How much goes to the queue at once: many frames, so that a distant broker confirms them in one round trip, yet little
/// beside the memory of a machine.
const BATCH_BYTES: usize = 1 << 20;

/// Returns when the queue has the value for all of `links`; the session's close waits until it is durable.
pub(crate) async fn push(links: &[Arc<Link>], slot: &Slot, body: Body, piece_bytes: usize) -> Result<()> {
    let marks = links.iter().map(|link| link.mark(slot, Direction::Sent)).collect::<Result<Vec<_>>>()?;
    try_join_all(links.iter().map(|link| link.meet())).await?;
    marks.into_iter().for_each(|mark| mark.keep());
    let receivers = links.iter().map(|link| (link, None)).collect();
    let mut value = Value { slot, receivers, cutter: Cutter::new(piece_bytes) };
    let written = match body {
        Body::Message(message) => {
            let header = Header::Message { name: message.name, version: message.version };
            value.write_message(&header, message.bytes)
        }
        Body::Table(table) => value.write_table(table).await,
    };
    match written {
        Ok(()) => value.finish().await,
        Err(error) => {
            value.give_up().await;
            Err(error)
        }
    }
}

struct Value<'a> {
    slot: &'a Slot,
    receivers: Vec<(&'a Arc<Link>, Option<u64>)>,
    cutter: Cutter,
}

impl Value<'_> {
    fn write_message(&mut self, header: &Header, bytes: Bytes) -> Result<()> {
        self.cutter.record(vec![header.encode()?.into()])?;
        self.cutter.record(vec![bytes])
    }

    async fn write_table(&mut self, table: TableBody) -> Result<()> {
        let TableBody { schema, layout, rows: expected, source } = table;
        let header = Header::Table(TableHeader { schema: schema.clone(), layout, rows: expected });
        self.cutter.record(vec![header.encode()?.into()])?;
        let mut encoder = rows::Encoder::new(schema.arrow())?;
        let mut batches = source.open().await?;
        let mut sent = 0u64;
        while let Some(batch) = batches.try_next().await? {
            schema.check(&batch)?;
            sent += batch.num_rows() as u64;
            for part in rows::cut(&batch) {
                self.cutter.record(encoder.encode(&part)?)?;
                if self.cutter.len() >= BATCH_BYTES {
                    let pieces = self.cutter.full();
                    self.send(&pieces, None).await?;
                }
            }
        }
        if sent != expected {
            return Err(Error::invalid(format!("a table of {expected} rows gave {sent}")));
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        let last = Last::Whole { bytes: self.cutter.total };
        let pieces = self.cutter.rest();
        self.send(&pieces, Some(last)).await
    }

    /// Informs the receivers that the rest will not come. The error that led here says why.
    async fn give_up(mut self) {
        let (slot, nothing) = (self.slot, [Piece::new()]);
        let inform = |(link, value): &mut (&Arc<Link>, Option<u64>)| {
            let (link, mut value) = (link.clone(), *value);
            let nothing = &nothing;
            async move { link.send(slot, &mut value, nothing, Some(Last::Broken)).await }
        };
        join_all(self.receivers.iter_mut().map(inform)).await;
    }

    async fn send(&mut self, pieces: &[Piece], last: Option<Last>) -> Result<()> {
        let slot = self.slot;
        let sends = self.receivers.iter_mut().map(|(link, value)| link.send(slot, value, pieces, last));
        try_join_all(sends).await?;
        if last.is_none() {
            // Sealing keeps a core busy; the inboxes on it need their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// A piece of a value, in parts that are where they were encoded.
pub(crate) type Piece = Vec<Bytes>;

/// Cuts records, each behind its length, into pieces of equal length. Nothing is copied.
struct Cutter {
    piece_bytes: usize,
    parts: VecDeque<Bytes>,
    bytes: usize,
    total: u64,
}

impl Cutter {
    fn new(piece_bytes: usize) -> Self {
        Self { piece_bytes, parts: VecDeque::new(), bytes: 0, total: 0 }
    }

    fn len(&self) -> usize {
        self.bytes
    }

    /// A record of these parts.
    fn record(&mut self, parts: Vec<Bytes>) -> Result<()> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        if length > MAX_RECORD_BYTES {
            return Err(Error::invalid(format!(
                "a message or row of {length} bytes, at most {MAX_RECORD_BYTES} can be sent; use a table or smaller rows"
            )));
        }
        let head = Bytes::copy_from_slice(&(length as u32).to_le_bytes());
        self.bytes += head.len() + length;
        self.total += (head.len() + length) as u64;
        self.parts.push_back(head);
        self.parts.extend(parts.into_iter().filter(|part| !part.is_empty()));
        Ok(())
    }

    fn piece(&mut self, bytes: usize) -> Piece {
        let (mut piece, mut missing) = (Piece::new(), bytes);
        while missing > 0
            && let Some(mut part) = self.parts.pop_front()
        {
            if part.len() > missing {
                piece.push(part.split_to(missing));
                self.parts.push_front(part);
                break;
            }
            missing -= part.len();
            piece.push(part);
        }
        self.bytes -= bytes;
        piece
    }

    fn full(&mut self) -> Vec<Piece> {
        let count = self.bytes / self.piece_bytes;
        (0..count).map(|_| self.piece(self.piece_bytes)).collect()
    }

    /// Everything; at least one piece, which may be empty.
    fn rest(&mut self) -> Vec<Piece> {
        let mut pieces = self.full();
        if self.bytes > 0 || pieces.is_empty() {
            pieces.push(self.piece(self.bytes));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_joined_are_the_records_with_their_lengths() {
        let mut cutter = Cutter::new(3);
        cutter.record(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"cd")]).unwrap();
        let mut pieces = cutter.full();
        assert_eq!(pieces.len(), 2);
        cutter.record(vec![Bytes::new()]).unwrap();
        pieces.extend(cutter.rest());
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.concat()).collect();
        assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() == 3));
        assert_eq!(pieces.concat(), b"\x04\0\0\0abcd\0\0\0\0");
        assert_eq!((cutter.total, cutter.len()), (12, 0));
        assert_eq!(cutter.rest(), [Piece::new()]);
    }

    #[test]
    fn a_record_too_long_for_its_reader_is_refused_by_its_writer() {
        let long = vec![0; MAX_RECORD_BYTES + 1];
        assert!(Cutter::new(3).record(vec![long.into()]).is_err());
    }
}
