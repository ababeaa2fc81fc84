//! Reads a value that is there or still coming: records, a length before each, and out of them a message or rows.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::{Buffer, MutableBuffer};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures::stream;
use tributary_core::computing::RowStream;
use tributary_core::federation::{Body, MessageBody, RowSource, Slot, TableBody};
use tributary_core::{Error, ErrorKind, Result};

use crate::frame::{Frame, Last};
use crate::header::{Header, MAX_HEADER_BYTES, TableHeader};
use crate::link::{Link, Patience};
use crate::rows;
use crate::store::Taken;

/// The longest message of any kind; each kind has a limit of its own, which is checked before it is decoded.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Longest record: a message, or the rows of one batch.
pub(crate) const MAX_RECORD_BYTES: usize = 256 << 20;

/// One claimed value. Dropping it gives up what was not read.
pub(crate) struct Reader {
    link: Arc<Link>,
    slot: Slot,
    number: u64,
    piece: Bytes,
    patience: Patience,
    /// That were read.
    bytes: u64,
}

impl Reader {
    /// Waits for the value of a slot to begin.
    pub(crate) async fn wait(link: &Arc<Link>, slot: &Slot) -> Result<Self> {
        link.want();
        let mut patience = link.patience();
        let number = link.wait(&mut patience, |state| state.store.claim(slot).map(Ok)).await?;
        Ok(Self { link: link.clone(), slot: slot.clone(), number, piece: Bytes::new(), patience, bytes: 0 })
    }

    pub(crate) async fn body(mut self) -> Result<Body> {
        let header = self.expect_record(MAX_HEADER_BYTES).await?;
        let header = Header::decode(&header).map_err(|why| self.corrupt(&format!("a header with {why}")))?;
        match header {
            Header::Message { name, version } => {
                let bytes = Bytes::copy_from_slice(&self.expect_record(MAX_MESSAGE_BYTES).await?);
                if self.record(0).await?.is_some() {
                    return Err(self.corrupt("more than one message"));
                }
                Ok(Body::Message(MessageBody { name, version, bytes }))
            }
            Header::Table(table) => {
                if let Some(why) = self.link.limits.refuse(&table) {
                    return Err(self.too_much(&why));
                }
                let TableHeader { schema, layout, rows } = table;
                let received = Received { reader: Mutex::new(Some(self)), schema: schema.clone(), rows };
                Ok(Body::Table(TableBody { schema, layout, rows, source: Box::new(received) }))
            }
        }
    }

    async fn expect_record(&mut self, limit: usize) -> Result<Buffer> {
        self.record(limit).await?.ok_or_else(|| self.corrupt("a value that ends too early"))
    }

    /// The next record, aligned in memory as Arrow needs it; `None` at the end of the value.
    async fn record(&mut self, limit: usize) -> Result<Option<Buffer>> {
        if self.piece.is_empty() && !self.next_piece().await? {
            return Ok(None);
        }
        let mut length = [0; 4];
        for byte in &mut length {
            while self.piece.is_empty() {
                self.require_piece().await?;
            }
            *byte = self.piece.get_u8();
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > limit {
            return Err(self.corrupt(&format!("a record of {length} bytes, at most {limit} are possible")));
        }
        // What was announced is not believed: memory grows with what has come.
        let mut record = MutableBuffer::new(length.min(2 << 20));
        while record.len() < length {
            if self.piece.is_empty() {
                self.require_piece().await?;
            }
            let part = self.piece.split_to(self.piece.len().min(length - record.len()));
            record.extend_from_slice(&part);
        }
        self.bytes += 4 + length as u64;
        Ok(Some(record.into()))
    }

    async fn require_piece(&mut self) -> Result<()> {
        if self.next_piece().await? { Ok(()) } else { Err(self.corrupt("a value cut in the middle")) }
    }

    /// Waits for the next piece; `false` at the end of the value.
    async fn next_piece(&mut self) -> Result<bool> {
        let number = self.number;
        match self.link.wait(&mut self.patience, |state| state.store.take(number)).await? {
            Taken::Piece(piece) => self.piece = piece,
            Taken::Sealed(frame) => self.piece = self.open_again(&frame)?,
            Taken::End(Last::Whole { .. }) => return Ok(false),
            Taken::End(Last::Broken) => {
                let text =
                    format!("{} could not finish slot {}; its log says why", self.link.peer(), self.slot);
                return Err(Error::new(ErrorKind::Cancelled, text));
            }
        }
        Ok(true)
    }

    fn open_again(&self, frame: &[u8]) -> Result<Bytes> {
        let transport = self.link.lock().transport.clone();
        transport
            .and_then(|t| t.open(frame))
            .and_then(|(_, plain)| Frame::decode(&plain))
            .map(|(_, piece)| piece)
            .ok_or_else(|| Error::new(ErrorKind::Io, "a frame that was kept on disk came back damaged"))
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, self.sent(what))
    }

    /// It may be right, and is more than this site takes.
    fn too_much(&self, what: &str) -> Error {
        Error::new(ErrorKind::Exhausted, self.sent(what))
    }

    fn sent(&self, what: &str) -> String {
        format!("{} sent in slot {} {what}", self.link.peer(), self.slot)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.link.lock().store.abandon(self.number);
    }
}

/// A table's rows on the receiving side.
struct Received {
    reader: Mutex<Option<Reader>>,
    schema: tributary_core::TableSchema,
    rows: u64,
}

#[async_trait]
impl RowSource for Received {
    async fn open(&self) -> Result<RowStream> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reader = reader.ok_or_else(|| {
            Error::new(
                ErrorKind::AlreadyExists,
                "a received table can be opened once; put it into a session first",
            )
        })?;
        let (schema, missing) = (self.schema.clone(), self.rows);
        let batches = stream::try_unfold((reader, missing), move |(mut reader, missing)| {
            let schema = schema.clone();
            async move {
                let at = |e: Error| e.at("read a table on its way");
                let Some(record) = reader.record(MAX_RECORD_BYTES).await.map_err(at)? else {
                    return match missing {
                        0 => Ok(None),
                        _ => Err(reader.corrupt(&format!("a table that lacks {missing} rows"))),
                    };
                };
                if let Some(why) = reader.link.limits.refuse_bytes(reader.bytes) {
                    return Err(reader.too_much(&why));
                }
                let rows = rows::decode(&record, &schema)
                    .map_err(|why| reader.corrupt(&format!("rows that do not fit the header: {why}")))?;
                let missing = missing
                    .checked_sub(rows.num_rows() as u64)
                    .ok_or_else(|| reader.corrupt("more rows than its header says"))?;
                Ok(Some((rows, (reader, missing))))
            }
        });
        Ok(Box::pin(batches))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, RecordBatch};
    use arrow_schema::DataType;
    use futures::TryStreamExt;
    use proptest::prelude::*;
    use tributary_core::{Field, Layout, TableSchema};

    use super::*;
    use crate::limits::Limits;
    use crate::link::tests::alone;
    use crate::rows::Encoder;

    /// What a receiver makes of a value whose bytes the peer chose freely, read to its end.
    async fn received(bytes: &[u8], piece_bytes: usize) -> Result<String> {
        received_within(Limits::default(), bytes, piece_bytes).await
    }

    async fn received_within(limits: Limits, bytes: &[u8], piece_bytes: usize) -> Result<String> {
        let (mut link, slot) = (alone(), Slot::new("x"));
        Arc::get_mut(&mut link).unwrap().limits = limits;
        {
            let store = &mut link.lock().store;
            store.begin(0, slot.clone())?;
            for piece in bytes.chunks(piece_bytes) {
                store.add(0, Bytes::copy_from_slice(piece), None, &Bytes::new())?;
            }
            store.add(0, Bytes::new(), Some(Last::Whole { bytes: bytes.len() as u64 }), &Bytes::new())?;
        }
        match Reader::wait(&link, &slot).await?.body().await? {
            Body::Message(message) => Ok(format!("{message:?}", message = message.bytes)),
            Body::Table(table) => {
                let batches: Vec<RecordBatch> = table.source.open().await?.try_collect().await?;
                Ok(batches.iter().map(|b| b.num_rows()).sum::<usize>().to_string())
            }
        }
    }

    fn record(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
    }

    fn message_header() -> Vec<u8> {
        record(&Header::Message { name: "m".into(), version: 1 }.encode().unwrap())
    }

    fn table(says: u64, has: &[usize]) -> Vec<u8> {
        let schema = TableSchema::new(None, vec![Field::new("v", DataType::Int32)]).unwrap();
        let header = TableHeader { schema: schema.clone(), layout: Layout::Loose(1), rows: says };
        let mut bytes = record(&Header::Table(header).encode().unwrap());
        for count in has {
            let column = Arc::new(Int32Array::from(vec![5; *count]));
            let rows = RecordBatch::try_new(schema.arrow().clone(), vec![column]).unwrap();
            let encoded = Encoder::new(schema.arrow()).unwrap().encode(&rows).unwrap();
            bytes.extend(record(&encoded.concat()));
        }
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn values_are_read_however_they_were_cut() {
        let message = [message_header(), record(b"content")].concat();
        for piece_bytes in [1, 3, 5, 1000] {
            assert_eq!(received(&message, piece_bytes).await.unwrap(), "b\"content\"");
            assert_eq!(received(&table(12, &[5, 0, 7]), piece_bytes).await.unwrap(), "12");
            assert_eq!(received(&table(0, &[]), piece_bytes).await.unwrap(), "0");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_wrong_with_a_value_names_peer_and_slot() {
        let header = message_header();
        let cases = [
            (vec![], "too early"),
            (header.clone(), "too early"),
            (header[..header.len() - 1].to_vec(), "cut in the middle"),
            ([&header[..], &[9, 0]].concat(), "cut in the middle"),
            ([header.clone(), record(b"a"), record(b"")].concat(), "more than one"),
            ([&header[..], &u32::MAX.to_le_bytes()].concat(), "a record of 4294967295 bytes"),
            ([&header[..], &(10u32 << 20).to_le_bytes()].concat(), "cut in the middle"),
            ([&header[..], &(200u32 << 20).to_le_bytes()].concat(), "a record of 209715200 bytes"),
            (record(&[9; 20]), "a header with"),
            (record(&[]), "a header with"),
            (table(13, &[5, 7]), "lacks 1 rows"),
            (table(11, &[5, 7]), "more rows"),
            ([table(5, &[]), record(&[1; 40])].concat(), "do not fit the header"),
            ([table(0, &[]), record(&[])].concat(), "do not fit the header"),
        ];
        for (bytes, expected) in cases {
            let error = received(&bytes, 1000).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            for part in [expected, "host_2", "x@default"] {
                assert!(error.to_string().contains(part), "{part:?} is not in {error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_beyond_a_limit_is_refused_by_its_header_and_while_its_rows_come() {
        let rows = Limits::default().with_table_rows(11);
        let cases = [
            // No row has come when it is refused.
            (rows, table(12, &[]), "12 rows, at most 11"),
            (rows, table(u64::MAX, &[]), "18446744073709551615 rows, at most 11"),
            (Limits::default().with_table_bytes(47), table(12, &[]), "48 bytes or more, at most 47"),
            // The header alone would fit.
            (Limits::default().with_table_bytes(300), table(12, &[5, 7]), "at most 300 are taken here"),
        ];
        for (limits, bytes, expected) in cases {
            let error = received_within(limits, &bytes, 1000).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
            for part in [expected, "host_2", "x@default", "raise federation.table_"] {
                assert!(error.to_string().contains(part), "{part:?} is not in {error}");
            }
        }
        assert_eq!(received_within(rows, &table(11, &[4, 7]), 1000).await.unwrap(), "11");
    }

    /// What a peer called a column, an item or a message.
    #[tokio::test(start_paused = true)]
    async fn text_of_a_peer_is_escaped_and_bounded_in_errors() {
        let evil = format!("\u{1b}]0;x\u{7}\u{202e}{}", "y".repeat(5000));
        let list = DataType::List(Arc::new(arrow_schema::Field::new(evil.as_str(), DataType::Float64, true)));
        let schema =
            TableSchema::new(None, vec![Field::new(evil.clone(), list), Field::new("v", DataType::Int32)])
                .unwrap();
        let header = |rows| {
            let header = TableHeader { schema: schema.clone(), layout: Layout::Loose(1), rows };
            record(&Header::Table(header).encode().unwrap())
        };
        let errors = [
            received(&header(u64::MAX), 1000).await.unwrap_err(),
            received(&header(1 << 29), 1000).await.unwrap_err(),
            received(&[header(1), record(&[1; 40])].concat(), 1000).await.unwrap_err(),
            // A row of another table.
            received(&[header(1), table(1, &[1])[table(1, &[]).len()..].to_vec()].concat(), 1000)
                .await
                .unwrap_err(),
        ];
        for error in errors {
            let text = error.chain();
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.len() < 2000, "{text}");
            assert!(text.contains("host_2"), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_value_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let bytes = if whole { [message_header(), record(&bytes)].concat() } else { [table(3, &[]), bytes].concat() };
            let result = runtime.block_on(received(&bytes, 7));
            prop_assert!(whole == result.is_ok());
        }
    }
}
