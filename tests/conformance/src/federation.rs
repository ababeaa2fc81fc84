//! The suite of the federation contract: what four parties of three sites (two of them the same site in two roles) may
//! expect of any transport, also of one that repeats frames and lets them overtake each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::builder::{Float64Builder, ListBuilder, UInt64Builder};
use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{join, join_all, join3, try_join_all};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tributary_core::computing::{End, RowStream};
use tributary_core::federation::{
    Body, Direction, Federation, FederationExt, FederationSpec, Message, MessageBody, Network, RowSource,
    Slot, TableBody,
};
use tributary_core::layout::RowRanges;
use tributary_core::{
    Error, ErrorKind, Field, KeyType, Layout, Party, PartyId, Result, SessionId, TableSchema,
};

/// Makes what the suite runs on.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Networks on one transport, one a site, that know each other's keys. The sites in `forged` hold another key than the
    /// one that the others know. Called at most once in a case.
    async fn networks(&self, sites: &[PartyId], forged: &[PartyId]) -> BTreeMap<PartyId, Arc<dyn Network>>;
    /// Long enough for the transport to bring anything, short enough to be waited out in a test.
    fn patience(&self) -> Duration;
}

/// All cases. Say `federation_suite!(factory)` in a test file of the transport.
#[macro_export]
macro_rules! federation_suite {
    ($factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::federation,
            [
                a_message_arrives_as_it_was,
                all_receivers_get_the_same_bytes,
                values_are_kept_until_they_are_pulled_in_any_order,
                slots_differ_by_name_tag_direction_and_peer,
                a_slot_is_used_once_in_each_direction,
                what_is_no_peer_or_no_slot_is_refused,
                another_kind_of_value_is_corrupt_and_names_peer_and_slot,
                tables_of_every_type_arrive_in_every_layout,
                a_table_of_many_batches_arrives,
                a_table_with_other_rows_than_it_says_is_an_error_on_both_sides,
                a_received_table_opens_once_and_on_any_thread,
                parties_that_push_to_each_other_do_not_block,
                a_silent_party_is_named,
                a_party_that_never_joins_is_named,
                a_pull_that_was_given_up_may_be_repeated,
                another_plan_is_refused_and_named,
                parties_with_other_keys_than_registered_do_not_meet_and_are_named,
                a_site_without_a_key_is_not_joined,
                a_party_that_failed_is_told_at_once,
                a_party_that_vanished_is_told_at_once,
                what_was_sent_before_a_close_can_be_pulled_after_it,
                after_its_close_a_session_refuses_everything,
                traffic_is_counted_by_slot_and_rounds,
                one_site_has_two_roles,
            ]
        );
    };
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note(Vec<u64>);

impl Message for Note {
    const NAME: &'static str = "suite.note";
    const MAX_BYTES: usize = 8 << 20;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Other(Vec<u64>);

impl Message for Other {
    const NAME: &'static str = "suite.other";
}

fn party(role: &str, id: &str) -> Party {
    Party::new(role, id).unwrap()
}

/// Guest, two hosts, and an arbiter at the guest's site.
fn parties() -> [Party; 4] {
    [party("guest", "9999"), party("host", "10000"), party("host", "10001"), party("arbiter", "9999")]
}

fn sites() -> Vec<PartyId> {
    ["9999", "10000", "10001"].map(|id| PartyId::new(id).unwrap()).to_vec()
}

fn new_session() -> SessionId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("suite-{}-{time}.case.{count}", std::process::id()).parse().unwrap()
}

fn spec(session: &SessionId, own: &Party, patience: Duration) -> FederationSpec {
    let peers = parties().into_iter().filter(|p| p != own).collect();
    FederationSpec { session: session.clone(), own: own.clone(), peers, plan_hash: [7; 32], patience }
}

type Joined = Arc<dyn Federation>;

/// A session of all four.
async fn meet(factory: &impl Factory) -> [Joined; 4] {
    let networks = factory.networks(&sites(), &[]).await;
    let (session, patience) = (new_session(), factory.patience());
    let join = |own: Party| {
        let (network, spec) = (networks[&own.id].clone(), spec(&session, &own, patience));
        async move { network.join(spec).await }
    };
    try_join_all(parties().map(join)).await.unwrap().try_into().unwrap()
}

async fn leave(all: &[Joined]) {
    for result in join_all(all.iter().map(|f| f.close(End::Done))).await {
        result.unwrap();
    }
}

fn own(federation: &Joined) -> Party {
    federation.spec().own.clone()
}

fn slot(name: &str) -> Slot {
    Slot::new(name)
}

struct Rows {
    batches: Vec<RecordBatch>,
    fails: bool,
}

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        let end = self.fails.then(|| Err(Error::new(ErrorKind::Io, "the source broke")));
        Ok(stream::iter(self.batches.clone().into_iter().map(Ok).chain(end)).boxed())
    }
}

fn table(schema: &TableSchema, layout: Layout, batches: &[RecordBatch]) -> Body {
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let source = Box::new(Rows { batches: batches.to_vec(), fails: false });
    Body::Table(TableBody { schema: schema.clone(), layout, rows, source })
}

fn message(bytes: &[u8]) -> Body {
    let bytes = Bytes::copy_from_slice(bytes);
    Body::Message(MessageBody { name: "suite.bytes".into(), version: 1, bytes })
}

async fn pull_table(federation: &Joined, slot: &Slot, from: &Party) -> TableBody {
    match federation.pull(slot, from).await.unwrap() {
        Body::Table(body) => body,
        other => panic!("{other:?} instead of a table"),
    }
}

async fn rows_of(schema: &TableSchema, body: &TableBody) -> RecordBatch {
    let batches: Vec<RecordBatch> = body.source.open().await.unwrap().try_collect().await.unwrap();
    joined(schema, &batches)
}

/// One batch, compared by value: how rows are cut on their way is the transport's business.
fn joined(schema: &TableSchema, batches: &[RecordBatch]) -> RecordBatch {
    let columns = (0..schema.arrow().fields().len()).map(|i| {
        let parts: Vec<_> = batches.iter().map(|b| b.column(i).to_data()).collect();
        let empty = new_empty_array(schema.arrow().field(i).data_type());
        let parts: Vec<_> = parts.iter().collect();
        if parts.is_empty() {
            return empty;
        }
        let total = parts.iter().map(|p| p.len()).sum();
        let mut all = arrow_data::transform::MutableArrayData::new(parts.clone(), true, total);
        parts.iter().enumerate().for_each(|(i, part)| all.try_extend(i, 0, part.len()).unwrap());
        make_array(all.freeze())
    });
    RecordBatch::try_new(schema.arrow().clone(), columns.collect()).unwrap()
}

fn every_type() -> TableSchema {
    let list = |of, nullable| DataType::List(Arc::new(arrow_schema::Field::new("item", of, nullable)));
    let types = [
        DataType::Boolean,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(3),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
        DataType::Decimal128(30, 4),
        list(DataType::Float64, true),
        list(DataType::UInt64, true),
    ];
    let named = |(i, t): (usize, DataType)| {
        [Field::new(format!("all{i}"), t.clone()), Field::new(format!("some{i}"), t).nullable()]
    };
    let fields = types.into_iter().enumerate().flat_map(named).collect();
    TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
}

/// `count` values of a type; every third is missing if `missing` allows it.
fn column(data_type: &DataType, count: u64, missing: bool) -> ArrayRef {
    let there = move |i: &u64| !missing || !i.is_multiple_of(3);
    let all = move || (0..count).map(move |i| there(&i).then_some(i));
    let text = |i: u64| format!("wert-{i}-ä");
    let array: ArrayRef = match data_type {
        DataType::Boolean => {
            Arc::new(all().map(|v| v.map(|i| i.is_multiple_of(2))).collect::<BooleanArray>())
        }
        DataType::Int32 => Arc::new(all().map(|v| v.map(|i| -(i as i32))).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(all().map(|v| v.map(|i| -(i as i64))).collect::<Int64Array>()),
        DataType::UInt8 => Arc::new(all().map(|v| v.map(|i| i as u8)).collect::<UInt8Array>()),
        DataType::UInt16 => Arc::new(all().map(|v| v.map(|i| i as u16)).collect::<UInt16Array>()),
        DataType::UInt32 => Arc::new(all().map(|v| v.map(|i| i as u32)).collect::<UInt32Array>()),
        DataType::UInt64 => Arc::new(all().map(|v| v.map(|i| u64::MAX - i)).collect::<UInt64Array>()),
        DataType::Float32 => Arc::new(all().map(|v| v.map(|i| i as f32 / 3.0)).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(all().map(|v| v.map(|i| i as f64 / 3.0)).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(all().map(|v| v.map(text)).collect::<StringArray>()),
        DataType::Binary => {
            Arc::new(all().map(|v| v.map(|i| vec![i as u8; i as usize % 5])).collect::<BinaryArray>())
        }
        DataType::FixedSizeBinary(width) => {
            let values = all().map(|v| v.map(|i| vec![i as u8; *width as usize]));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, *width).unwrap())
        }
        DataType::Date32 => Arc::new(all().map(|v| v.map(|i| i as i32)).collect::<Date32Array>()),
        DataType::Timestamp(_, zone) => {
            let values = all().map(|v| v.map(|i| i as i64)).collect::<TimestampMicrosecondArray>();
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let values = all().map(|v| v.map(|i| -i128::from(i))).collect::<Decimal128Array>();
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::List(item) if *item.data_type() == DataType::Float64 => {
            let mut list = ListBuilder::new(Float64Builder::new());
            all().for_each(|v| {
                (0..v.unwrap_or(0) % 4).for_each(|i| list.values().append_option((i != 1).then_some(0.5)));
                list.append(v.is_some());
            });
            Arc::new(list.finish())
        }
        DataType::List(_) => {
            let mut list = ListBuilder::new(UInt64Builder::new());
            all().for_each(|v| {
                (0..v.unwrap_or(0) % 4).for_each(|i| list.values().append_value(i));
                list.append(v.is_some());
            });
            Arc::new(list.finish())
        }
        other => panic!("no test values of type {other}"),
    };
    array
}

fn batch(schema: &TableSchema, count: u64) -> RecordBatch {
    let column = |field: &arrow_schema::FieldRef| column(field.data_type(), count, field.is_nullable());
    let columns = schema.arrow().fields().iter().map(column).collect();
    RecordBatch::try_new(schema.arrow().clone(), columns).unwrap()
}

fn check_error(error: Error, kind: ErrorKind, named: &[&str]) {
    let text = error.chain();
    assert_eq!(error.kind(), kind, "{text}");
    for name in named {
        assert!(text.contains(name), "{name:?} is not in {text:?}");
    }
}

pub async fn a_message_arrives_as_it_was(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    for (i, size) in [0, 1, 100, 1_000_000].into_iter().enumerate() {
        let (slot, note) = (slot("note").tagged(i.to_string()), Note((0..size).collect()));
        guest.push_message(&slot, &[own(host)], &note).await.unwrap();
        assert_eq!(host.pull_message::<Note>(&slot, &own(guest)).await.unwrap(), note);
    }
    leave(&all).await;
}

pub async fn all_receivers_get_the_same_bytes(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, others @ ..] = &all;
    let (schema, to) = (every_type(), parties()[1..].to_vec());
    let rows = batch(&schema, 500);
    guest.push(&slot("bytes"), &to, message(b"\0\x01\xff")).await.unwrap();
    guest
        .push(&slot("table"), &to, table(&schema, Layout::Loose(1), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    for other in others {
        match other.pull(&slot("bytes"), &own(guest)).await.unwrap() {
            Body::Message(body) => assert_eq!(body.bytes, &b"\0\x01\xff"[..]),
            body => panic!("{body:?}"),
        }
        let body = pull_table(other, &slot("table"), &own(guest)).await;
        assert_eq!(rows_of(&schema, &body).await, rows);
    }
    leave(&all).await;
}

pub async fn values_are_kept_until_they_are_pulled_in_any_order(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let at = |i: u64| slot("early").tagged(format!("iteration.{i}"));
    for i in 0..20 {
        guest.push_message(&at(i), &[own(host)], &Note(vec![i])).await.unwrap();
    }
    for i in (0..20).rev() {
        assert_eq!(host.pull_message::<Note>(&at(i), &own(guest)).await.unwrap(), Note(vec![i]));
    }
    leave(&all).await;
}

pub async fn slots_differ_by_name_tag_direction_and_peer(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let slots = [slot("a"), slot("b"), slot("a").tagged("2"), slot("a@default")];
    for (i, slot) in slots.iter().enumerate() {
        guest.push_message(slot, &[own(host)], &Note(vec![i as u64])).await.unwrap();
        guest.push_message(slot, &[own(other)], &Note(vec![10 + i as u64])).await.unwrap();
        host.push_message(slot, &[own(guest)], &Note(vec![20 + i as u64])).await.unwrap();
    }
    for (i, slot) in slots.iter().enumerate() {
        let i = i as u64;
        assert_eq!(host.pull_message::<Note>(slot, &own(guest)).await.unwrap(), Note(vec![i]));
        assert_eq!(other.pull_message::<Note>(slot, &own(guest)).await.unwrap(), Note(vec![10 + i]));
        assert_eq!(guest.pull_message::<Note>(slot, &own(host)).await.unwrap(), Note(vec![20 + i]));
    }
    leave(&all).await;
}

pub async fn a_slot_is_used_once_in_each_direction(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let (slot, note) = (slot("once"), Note(vec![1]));
    guest.push_message(&slot, &[own(host)], &note).await.unwrap();
    let again = guest.push_message(&slot, &[own(other), own(host)], &note).await.unwrap_err();
    check_error(again, ErrorKind::AlreadyExists, &["once@default", "host_10000"]);
    let twice = guest.push_message(&slot, &[own(other), own(other)], &note).await.unwrap_err();
    check_error(twice, ErrorKind::AlreadyExists, &["once@default", "host_10001"]);
    guest.push_message(&slot, &[own(other)], &note).await.unwrap();
    host.pull_message::<Note>(&slot, &own(guest)).await.unwrap();
    let again = host.pull_message::<Note>(&slot, &own(guest)).await.unwrap_err();
    check_error(again, ErrorKind::AlreadyExists, &["once@default", "guest_9999"]);
    leave(&all).await;
}

pub async fn what_is_no_peer_or_no_slot_is_refused(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let note = Note(vec![]);
    let nobody = party("host", "77");
    let push = guest.push_message(&slot("x"), &[own(host), nobody.clone()], &note).await.unwrap_err();
    check_error(push, ErrorKind::InvalidInput, &["host_77"]);
    check_error(guest.pull(&slot("x"), &nobody).await.unwrap_err(), ErrorKind::InvalidInput, &["host_77"]);
    check_error(
        guest.pull(&slot("x"), &own(guest)).await.unwrap_err(),
        ErrorKind::InvalidInput,
        &["guest_9999"],
    );
    check_error(guest.push_message(&slot("x"), &[], &note).await.unwrap_err(), ErrorKind::InvalidInput, &[]);
    let long = slot(&"x".repeat(5000));
    check_error(
        guest.push_message(&long, &[own(host)], &note).await.unwrap_err(),
        ErrorKind::InvalidInput,
        &[],
    );
    guest.push_message(&slot("x"), &[own(host)], &note).await.unwrap();
    leave(&all).await;
}

pub async fn another_kind_of_value_is_corrupt_and_names_peer_and_slot(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let to = [own(host)];
    guest.push_message(&slot("kind"), &to, &Other(vec![1])).await.unwrap();
    guest.push(&slot("table"), &to, table(&schema, Layout::Loose(1), &[batch(&schema, 3)])).await.unwrap();
    let short =
        MessageBody { name: Note::NAME.into(), version: Note::VERSION, bytes: Bytes::from_static(&[9, 1]) };
    guest.push(&slot("short"), &to, Body::Message(short)).await.unwrap();
    for name in ["kind", "table", "short"] {
        let error = host.pull_message::<Note>(&slot(name), &own(guest)).await.unwrap_err();
        check_error(error, ErrorKind::Corrupt, &["guest_9999", &format!("{name}@default"), "suite.note"]);
    }
    let long =
        MessageBody { name: Other::NAME.into(), version: Other::VERSION, bytes: vec![0; 70_000].into() };
    guest.push(&slot("long"), &to, Body::Message(long)).await.unwrap();
    let error = host.pull_message::<Other>(&slot("long"), &own(guest)).await.unwrap_err();
    check_error(error, ErrorKind::Corrupt, &["guest_9999", "long@default", "70000 bytes"]);
    leave(&all).await;
}

pub async fn tables_of_every_type_arrive_in_every_layout(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 100);
    let cuts = [rows.slice(0, 33), rows.slice(33, 0), rows.slice(33, 60), rows.slice(93, 7)];
    let ranges = |starts: &[u64]| Layout::Rows(RowRanges::new(starts.to_vec()).unwrap());
    let cases: [(Layout, &[RecordBatch]); 5] = [
        (Layout::Loose(4), &cuts),
        (Layout::Keyed(7), &cuts),
        (ranges(&[900, 950, 950, 1000]), &cuts),
        (Layout::Loose(3), &[]),
        (ranges(&[0, 0]), &[rows.slice(0, 0)]),
    ];
    for (i, (layout, batches)) in cases.into_iter().enumerate() {
        let slot = slot("rows").tagged(i.to_string());
        guest.push(&slot, &[own(host)], table(&schema, layout.clone(), batches)).await.unwrap();
        let body = pull_table(host, &slot, &own(guest)).await;
        let sent = joined(&schema, batches);
        assert_eq!((&body.schema, &body.layout, body.rows), (&schema, &layout, sent.num_rows() as u64));
        assert_eq!(rows_of(&schema, &body).await, sent);
    }
    leave(&all).await;
}

pub async fn a_table_of_many_batches_arrives(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let fields = vec![Field::new("v", DataType::UInt64), Field::new("t", DataType::Utf8)];
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    let batches: Vec<RecordBatch> = (0..300).map(|i| batch(&schema, 10 + i)).collect();
    let (sent, received) =
        join(guest.push(&slot("many"), &[own(host)], table(&schema, Layout::Loose(1), &batches)), async {
            let body = pull_table(host, &slot("many"), &own(guest)).await;
            rows_of(&schema, &body).await
        })
        .await;
    sent.unwrap();
    assert_eq!(received, joined(&schema, &batches));
    leave(&all).await;
}

pub async fn a_table_with_other_rows_than_it_says_is_an_error_on_both_sides(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    for (i, (count, fails)) in [(5, false), (7, false), (6, true)].into_iter().enumerate() {
        let slot = slot("wrong").tagged(i.to_string());
        let source = Box::new(Rows { batches: vec![batch(&schema, count)], fails });
        let body = TableBody { schema: schema.clone(), layout: Layout::Loose(1), rows: 6, source };
        assert!(guest.push(&slot, &[own(host)], Body::Table(body)).await.is_err());
        let received = match host.pull(&slot, &own(guest)).await {
            Ok(Body::Table(body)) => {
                body.source.open().await.unwrap().try_collect::<Vec<_>>().await.map(drop)
            }
            other => other.map(drop),
        };
        check_error(received.unwrap_err(), ErrorKind::Cancelled, &["guest_9999", "wrong"]);
    }
    guest.push_message(&slot("after"), &[own(host)], &Note(vec![1])).await.unwrap();
    host.pull_message::<Note>(&slot("after"), &own(guest)).await.unwrap();
    leave(&all).await;
}

pub async fn a_received_table_opens_once_and_on_any_thread(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 2000);
    guest
        .push(&slot("t"), &[own(host)], table(&schema, Layout::Loose(1), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    let body = pull_table(host, &slot("t"), &own(guest)).await;
    let stream = body.source.open().await.unwrap();
    assert_eq!(body.source.open().await.err().unwrap().kind(), ErrorKind::AlreadyExists);
    let (done, elsewhere) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        done.send(futures::executor::block_on(stream.try_collect::<Vec<RecordBatch>>())).unwrap();
    });
    assert_eq!(joined(&schema, &elsewhere.await.unwrap().unwrap()), rows);
    leave(&all).await;
}

pub async fn parties_that_push_to_each_other_do_not_block(factory: impl Factory) {
    let all = meet(&factory).await;
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("v", DataType::UInt64)]).unwrap();
    let rows = batch(&schema, 300_000);
    let work = |own: Joined| {
        let (schema, rows) = (&schema, &rows);
        async move {
            let body = table(schema, Layout::Loose(1), std::slice::from_ref(rows));
            own.push(&slot("big"), &own.spec().peers, body).await.unwrap();
            for peer in &own.spec().peers {
                let body = pull_table(&own, &slot("big"), peer).await;
                assert_eq!(rows_of(schema, &body).await, *rows);
            }
        }
    };
    join_all(all.clone().map(work)).await;
    leave(&all).await;
}

pub async fn a_silent_party_is_named(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    guest.push_message(&slot("hello"), &[own(host)], &Note(vec![])).await.unwrap();
    let start = Instant::now();
    let error = guest.pull(&slot("answer"), &own(host)).await.unwrap_err();
    assert!(start.elapsed() >= factory.patience());
    check_error(error, ErrorKind::Timeout, &["host_10000", "answer@default"]);
    leave(&all).await;
}

pub async fn a_party_that_never_joins_is_named(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let guest = party("guest", "9999");
    let guest = networks[&guest.id].join(spec(&new_session(), &guest, factory.patience())).await.unwrap();
    let host = party("host", "10000");
    let pull = guest.pull(&slot("x"), &host).await.unwrap_err();
    check_error(pull, ErrorKind::Timeout, &["host_10000", "x@default", "join"]);
    let push = guest.push_message(&slot("x"), &[host], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Timeout, &["host_10000", "x@default", "join"]);
    leave(&[guest]).await;
}

pub async fn a_pull_that_was_given_up_may_be_repeated(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let (slot, note) = (slot("late"), Note(vec![4]));
    assert!(host.pull(&slot, &own(guest)).now_or_never().is_none());
    let (pulled, pushed) = join(host.pull_message::<Note>(&slot, &own(guest)), async {
        assert_eq!(host.pull(&slot, &own(guest)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        guest.push_message(&slot, &[own(host)], &note).await
    })
    .await;
    pushed.unwrap();
    assert_eq!(pulled.unwrap(), note);
    leave(&all).await;
}

pub async fn another_plan_is_refused_and_named(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let (session, patience) = (new_session(), factory.patience());
    let [guest, host, ..] = parties();
    let other = FederationSpec { plan_hash: [0xcd; 32], ..spec(&session, &host, patience) };
    let guest = networks[&guest.id].join(spec(&session, &guest, patience)).await.unwrap();
    let host = networks[&host.id].join(other).await.unwrap();
    let start = Instant::now();
    let (pull, push) = join(
        guest.pull(&slot("x"), &own(&host)),
        host.push_message(&slot("x"), &[own(&guest)], &Note(vec![])),
    )
    .await;
    check_error(
        pull.unwrap_err(),
        ErrorKind::Denied,
        &["host_10000", "another plan", "cdcd", "0707", "x@default"],
    );
    check_error(push.unwrap_err(), ErrorKind::Denied, &["guest_9999", "another plan", "cdcd", "0707"]);
    assert!(start.elapsed() < factory.patience());
    leave(&[guest, host]).await;
}

pub async fn parties_with_other_keys_than_registered_do_not_meet_and_are_named(factory: impl Factory) {
    let forged = PartyId::new("10000").unwrap();
    let networks = factory.networks(&sites(), &[forged]).await;
    let (session, start) = (new_session(), Instant::now());
    let join_as = |own: Party| {
        let (network, spec) = (networks[&own.id].clone(), spec(&session, &own, factory.patience()));
        async move { network.join(spec).await.unwrap() }
    };
    let [guest, host, ..] = parties();
    let (guest, host) = join(join_as(guest), join_as(host)).await;
    let (push, pull) = join(
        guest.push_message(&slot("x"), &[own(&host)], &Note(vec![])),
        host.pull(&slot("x"), &own(&guest)),
    )
    .await;
    // They wait at channels with different names: only who has the right key can compute them.
    check_error(push.unwrap_err(), ErrorKind::Timeout, &["host_10000", "compare", "10000 has key"]);
    check_error(pull.unwrap_err(), ErrorKind::Timeout, &["guest_9999", "compare", "9999 has key"]);
    assert!(start.elapsed() >= factory.patience());
    leave(&[guest, host]).await;
}

pub async fn a_site_without_a_key_is_not_joined(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let [guest, ..] = parties();
    let mut spec = spec(&new_session(), &guest, factory.patience());
    spec.peers.push(party("host", "77"));
    check_error(networks[&guest.id].join(spec).await.unwrap_err(), ErrorKind::Denied, &["77"]);
}

pub async fn a_party_that_failed_is_told_at_once(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, arbiter] = &all;
    let start = Instant::now();
    host.push_message(&slot("before"), &[own(guest)], &Note(vec![3])).await.unwrap();
    let (after, name) = (slot("after"), own(host));
    let (pending, unmet) = (guest.pull(&after, &name), other.pull(&after, &name));
    let (pending, unmet, closed) = join3(pending, unmet, async {
        // By now the others wait, and have met.
        host.push_message(&slot("before"), &[own(other)], &Note(vec![])).await.unwrap();
        host.close(End::Failed).await
    })
    .await;
    closed.unwrap();
    for error in [pending.unwrap_err(), unmet.unwrap_err()] {
        check_error(error, ErrorKind::Cancelled, &["host_10000", "failed", "after@default"]);
    }
    let push = guest.push_message(&slot("x"), &[own(arbiter), own(host)], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Cancelled, &["host_10000", "failed"]);
    assert_eq!(guest.pull_message::<Note>(&slot("before"), &own(host)).await.unwrap(), Note(vec![3]));
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}

pub async fn a_party_that_vanished_is_told_at_once(factory: impl Factory) {
    let [guest, host, other, arbiter] = meet(&factory).await;
    guest.push_message(&slot("x"), &[own(&host)], &Note(vec![])).await.unwrap();
    host.pull(&slot("x"), &own(&guest)).await.unwrap();
    let (start, name) = (Instant::now(), own(&host));
    drop(host);
    check_error(
        guest.pull(&slot("y"), &name).await.unwrap_err(),
        ErrorKind::Cancelled,
        &["host_10000", "failed"],
    );
    assert!(start.elapsed() < factory.patience());
    leave(&[guest, other, arbiter]).await;
}

pub async fn what_was_sent_before_a_close_can_be_pulled_after_it(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 5000);
    guest
        .push(&slot("last"), &[own(host)], table(&schema, Layout::Loose(2), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    guest.close(End::Done).await.unwrap();
    let body = pull_table(host, &slot("last"), &own(guest)).await;
    assert_eq!(rows_of(&schema, &body).await, rows);
    let start = Instant::now();
    let never = host.pull(&slot("never"), &own(guest)).await.unwrap_err();
    check_error(never, ErrorKind::Cancelled, &["guest_9999", "never@default"]);
    // Nobody will pull it, which is no fault of its sender.
    host.push_message(&slot("thanks"), &[own(guest)], &Note(vec![])).await.unwrap();
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}

pub async fn after_its_close_a_session_refuses_everything(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let start = Instant::now();
    guest.push_message(&slot("y"), &[own(host)], &Note(vec![])).await.unwrap();
    let (pending, closed) = join(host.pull(&slot("x"), &own(guest)), host.close(End::Done)).await;
    closed.unwrap();
    check_error(pending.unwrap_err(), ErrorKind::Cancelled, &["closed"]);
    let pull = host.pull(&slot("y"), &own(guest)).await.unwrap_err();
    check_error(pull, ErrorKind::Cancelled, &["closed"]);
    let push = host.push_message(&slot("z"), &[own(guest)], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Cancelled, &["closed"]);
    host.close(End::Failed).await.unwrap();
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}

pub async fn traffic_is_counted_by_slot_and_rounds(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let to = [own(host), own(other)];
    guest.push(&slot("big"), &to, message(&[1; 300_000])).await.unwrap();
    guest.push(&slot("small"), &to[..1], message(b"x")).await.unwrap();
    for (peer, name) in [(host, "big"), (other, "big"), (host, "small")] {
        peer.pull(&slot(name), &own(guest)).await.unwrap();
    }
    host.push(&slot("back"), &[own(guest)], message(b"y")).await.unwrap();
    guest.pull(&slot("back"), &own(host)).await.unwrap();
    let sent = guest.traffic();
    let of = |name: &str, peer: &Party| {
        let same = |s: &&tributary_core::federation::SlotTraffic| s.slot == slot(name) && s.peer == *peer;
        let found = sent.slots.iter().find(same).unwrap();
        (found.direction, found.bytes, found.messages)
    };
    let (direction, bytes, messages) = of("big", &to[0]);
    assert_eq!(direction, Direction::Sent);
    assert!(
        (300_000..310_000).contains(&bytes) && (4..40).contains(&messages),
        "{bytes} bytes, {messages} frames"
    );
    assert_eq!(of("big", &to[1]).0, Direction::Sent);
    let (_, bytes, messages) = of("small", &to[0]);
    assert!((1..200).contains(&bytes) && messages == 1, "{bytes} bytes, {messages} frames");
    assert_eq!(of("back", &to[0]).0, Direction::Received);
    assert_eq!(sent.rounds, 1);
    let received = host.traffic();
    assert_eq!(received.bytes(Direction::Received), of("big", &to[0]).1 + of("small", &to[0]).1);
    assert_eq!(received.messages(Direction::Sent), 1);
    assert_eq!(received.rounds, 0);
    leave(&all).await;
}

pub async fn one_site_has_two_roles(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, _, arbiter] = &all;
    let note = Note(vec![9999]);
    guest.push_message(&slot("x"), &[own(arbiter)], &note).await.unwrap();
    arbiter.push_message(&slot("x"), &[own(guest), own(host)], &note).await.unwrap();
    assert_eq!(arbiter.pull_message::<Note>(&slot("x"), &own(guest)).await.unwrap(), note);
    assert_eq!(guest.pull_message::<Note>(&slot("x"), &own(arbiter)).await.unwrap(), note);
    assert_eq!(host.pull_message::<Note>(&slot("x"), &own(arbiter)).await.unwrap(), note);
    leave(&all).await;
}
