//! Two parties and what they exchange in every bench of a transport: a table of a million rows of 260 bytes, and empty messages.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use tributary_core::computing::RowStream;
use tributary_core::federation::*;
use tributary_core::{Field, JobHash, Layout, Party, Result, TableSchema};
use tributary_wire::Wire;

pub const ROWS: usize = 1_000_000;
pub const ROW_BYTES: usize = 260;
const BATCH_ROWS: usize = 8192;

struct Rows(RecordBatch);

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        let batch = self.0.clone();
        let starts = (0..ROWS).step_by(BATCH_ROWS);
        Ok(stream::iter(starts).map(move |at| Ok(batch.slice(0, BATCH_ROWS.min(ROWS - at)))).boxed())
    }
}

pub fn schema() -> TableSchema {
    let mut fields: Vec<Field> = (0..32).map(|i| Field::new(format!("v{i}"), DataType::UInt64)).collect();
    fields.push(Field::new("w", DataType::Int32));
    TableSchema::new(None, fields).expect("columns have names of their own")
}

pub fn batch(schema: &TableSchema) -> RecordBatch {
    let column = |i: u64| {
        Arc::new((0..BATCH_ROWS as u64).map(|r| r.wrapping_mul(i + 1)).collect::<UInt64Array>()) as ArrayRef
    };
    let mut columns: Vec<ArrayRef> = (0..32).map(column).collect();
    columns.push(Arc::new((0..BATCH_ROWS as i32).collect::<Int32Array>()));
    RecordBatch::try_new(schema.arrow().clone(), columns).expect("columns have equal lengths")
}

/// Sessions of two parties that have met.
pub struct Pair {
    /// What else must live meanwhile.
    _with: Box<dyn Any>,
    guest: Arc<dyn Federation>,
    host: Arc<dyn Federation>,
    count: u64,
}

impl Pair {
    /// Of a guest, 9999, and a host, 10000.
    pub async fn join(wires: [Wire; 2], with: Box<dyn Any>) -> Result<Self> {
        let (guest, host) = (Party::new("guest", "9999")?, Party::new("host", "10000")?);
        let spec = |own: &Party, peer: &Party| -> Result<FederationSpec> {
            let (own, peers) = (own.clone(), vec![peer.clone()]);
            let (session, job_hash) = ("job.bench.0".parse()?, JobHash::new([7; 32]));
            let (patience, carriage) = (Duration::from_secs(60), Carriage::default());
            Ok(FederationSpec { session, own, peers, job_hash, patience, carriage })
        };
        let (a, b) = (wires[0].join(spec(&guest, &host)?).await?, wires[1].join(spec(&host, &guest)?).await?);
        let mut pair = Self { _with: with, guest: a, host: b, count: 0 };
        pair.round_trips(1).await?;
        Ok(pair)
    }

    fn slot(&mut self) -> Slot {
        self.count += 1;
        Slot::new("x").tagged(self.count.to_string())
    }

    pub async fn send_table(&mut self, schema: &TableSchema, batch: &RecordBatch) -> Result<()> {
        let slot = self.slot();
        let source = Box::new(Rows(batch.clone()));
        let body = Body::Table(TableBody {
            schema: schema.clone(),
            layout: Layout::Loose(1),
            rows: ROWS as u64,
            source,
        });
        let (sender, sent_slot) = (self.guest.clone(), slot.clone());
        let push = tokio::spawn(async move { sender.push(&sent_slot, &sender.spec().peers, body).await });
        let mut received = 0;
        if let Body::Table(table) = self.host.pull(&slot, &self.host.spec().peers[0]).await? {
            let mut rows = table.source.open().await?;
            while let Some(batch) = rows.try_next().await? {
                received += batch.num_rows();
            }
        }
        push.await.expect("pushing does not panic")?;
        assert_eq!(received, ROWS);
        Ok(())
    }

    /// So many empty messages there and back, one after the other.
    pub async fn round_trips(&mut self, count: u64) -> Result<()> {
        let body = || Body::Message(MessageBody { name: "m".into(), version: 1, bytes: Bytes::new() });
        let slots: Vec<Slot> = (0..count).map(|_| self.slot()).collect();
        let (host, there) = (self.host.clone(), slots.clone());
        let answers = tokio::spawn(async move {
            let guest = &host.spec().peers[0];
            for slot in &there {
                host.pull(slot, guest).await?;
                host.push(slot, std::slice::from_ref(guest), body()).await?;
            }
            Result::Ok(())
        });
        let host = self.guest.spec().peers[0].clone();
        for slot in &slots {
            self.guest.push(slot, std::slice::from_ref(&host), body()).await?;
            self.guest.pull(slot, &host).await?;
        }
        answers.await.expect("answering does not panic")
    }
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}
