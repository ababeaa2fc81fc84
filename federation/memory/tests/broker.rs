//! What a broker can do to two parties: lose and damage frames, repeat old ones, forge hellos, look inside. Each fault is
//! healed or reported within the session's patience, none gives a wrong value, and nothing is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout};
use tributary_core::computing::{End, RowStream};
use tributary_core::federation::*;
use tributary_core::layout::Layout;
use tributary_core::{Error, ErrorKind, Field, JobHash, Party, Result, SessionId, TableSchema};
use tributary_memory::Hub;
use tributary_wire::fault::{Faults, Faulty};
use tributary_wire::{Channel, Delivery, KeyRing, Options, Queue, Receipt, SecretKey, Wire};

const PATIENCE: Duration = Duration::from_secs(10);

type Joined = Arc<dyn Federation>;

fn guest() -> Party {
    Party::new("guest", "1").unwrap()
}

fn host() -> Party {
    Party::new("host", "2").unwrap()
}

fn session() -> SessionId {
    "job.psi_0.0".parse().unwrap()
}

fn wires(queue: Arc<dyn Queue>) -> (Wire, Wire) {
    let wire = |own| Wire::new(queue.clone(), ring(own), Options::default().with_piece_bytes(1000)).unwrap();
    let [a, b] = secrets();
    (wire(a), wire(b))
}

/// Keys of the guest's and the host's site.
fn secrets() -> [SecretKey; 2] {
    [1, 2].map(|byte| SecretKey::from_bytes([byte; 32]))
}

/// What a site that holds `own` knows.
fn ring(own: SecretKey) -> KeyRing {
    let [a, b] = secrets().map(|secret| secret.public());
    KeyRing::new(own).with(guest().id, a).unwrap().with(host().id, b).unwrap()
}

fn spec(own: Party, peer: Party) -> FederationSpec {
    FederationSpec {
        session: session(),
        own,
        peers: vec![peer],
        job_hash: JobHash::new([7; 32]),
        patience: PATIENCE,
        carriage: Default::default(),
    }
}

async fn pair(queue: Arc<dyn Queue>) -> (Joined, Joined) {
    let (a, b) = wires(queue);
    (a.join(spec(guest(), host())).await.unwrap(), b.join(spec(host(), guest())).await.unwrap())
}

fn slot(i: usize) -> Slot {
    Slot::new("x").tagged(i.to_string())
}

fn message(text: &str) -> Body {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Body::Message(MessageBody { name: "m".into(), version: 1, bytes })
}

async fn text(federation: &Joined, i: usize, from: &Party) -> Result<String> {
    match federation.pull(&slot(i), from).await? {
        Body::Message(body) => Ok(String::from_utf8(body.bytes.to_vec()).unwrap()),
        body => panic!("{body:?}"),
    }
}

struct Rows(RecordBatch);

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        Ok(stream::iter([Ok(self.0.clone())]).boxed())
    }
}

fn rows() -> RecordBatch {
    let schema = TableSchema::new(None, vec![Field::new("v", DataType::UInt64)]).unwrap();
    RecordBatch::try_new(schema.arrow().clone(), vec![Arc::new((0..2000).collect::<UInt64Array>())]).unwrap()
}

fn table() -> Body {
    let schema = TableSchema::new(None, vec![Field::new("v", DataType::UInt64)]).unwrap();
    let source = Box::new(Rows(rows()));
    Body::Table(TableBody { schema, layout: Layout::Loose(1), rows: 2000, source })
}

/// A queue that shows and changes what goes through it.
#[derive(Debug, Default)]
struct Tapped {
    hub: Hub,
    sent: Mutex<HashMap<Channel, Vec<Bytes>>>,
    /// Sealed frames with this number are lost.
    lost: Option<u64>,
}

#[async_trait]
impl Queue for Tapped {
    fn name(&self) -> &'static str {
        "tapped"
    }
    async fn open(&self, channel: &Channel) -> Result<()> {
        self.hub.open(channel).await
    }
    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        self.sent.lock().unwrap().entry(channel.clone()).or_default().extend_from_slice(frames);
        let is_lost = |f: &&Bytes| self.lost.is_some_and(|n| f[0] == 1 && f[1..9] == n.to_le_bytes());
        let frames: Vec<Bytes> = frames.iter().filter(|f| !is_lost(f)).cloned().collect();
        self.hub.send(channel, &frames).await
    }
    async fn flush(&self, channel: &Channel) -> Result<()> {
        self.hub.flush(channel).await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        self.hub.receive(channel).await
    }
    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        self.hub.acknowledge(channel, receipt).await
    }
    async fn remove(&self, channel: &Channel) -> Result<()> {
        self.hub.remove(channel).await
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        self.hub.finish(channel).await
    }
}

fn channels() -> [Channel; 2] {
    let key = ring(secrets()[0].clone()).channel_key(&host().id).unwrap();
    let name = |from: &Party, to: &Party| Channel::between(&key, &session(), from, to).unwrap();
    [name(&guest(), &host()), name(&host(), &guest())]
}

/// Both parties' results of a small job: three messages and a table there, one message back.
async fn job(guest: &Joined, host: &Joined) -> Vec<Result<bool>> {
    let (guest_party, host_party) = (self::guest(), self::host());
    let here = async {
        let mut results = Vec::new();
        for i in 0..3 {
            let long = format!("{i}").repeat(1500);
            results.push(guest.push(&slot(i), &[self::host()], message(&long)).await.map(|()| true));
        }
        results.push(guest.push(&slot(3), &[self::host()], table()).await.map(|()| true));
        results.push(text(guest, 4, &host_party).await.map(|t| t == "done"));
        results
    };
    let there = async {
        let mut results = Vec::new();
        for i in (0..3).rev() {
            results.push(text(host, i, &guest_party).await.map(|t| t == format!("{i}").repeat(1500)));
        }
        results.push(match host.pull(&slot(3), &guest_party).await {
            Ok(Body::Table(body)) => {
                let batches: Result<Vec<RecordBatch>> = body.source.open().await.unwrap().try_collect().await;
                batches.map(|b| {
                    b.iter().map(|b| b.num_rows()).sum::<usize>() == 2000
                        && b[0] == rows().slice(0, b[0].num_rows())
                })
            }
            other => other.map(|_| false),
        });
        results.push(host.push(&slot(4), &[self::guest()], message("done")).await.map(|()| true));
        results
    };
    let (mut here, there) = futures::future::join(here, there).await;
    here.extend(there);
    here
}

#[tokio::test(start_paused = true)]
async fn no_fault_gives_a_wrong_value_or_a_wait_without_end() {
    let none =
        Faults { delay: 0.2, delay_by: Duration::from_millis(100), duplicate: 0.1, ..Faults::default() };
    let kinds = [
        Faults { lose: 0.03, ..none },
        Faults { corrupt: 0.03, ..none },
        Faults { truncate: 0.03, ..none },
        Faults { lose: 0.2, corrupt: 0.2, truncate: 0.2, ..none },
    ];
    for faults in kinds {
        let (mut right, mut reported) = (0, 0);
        for seed in 0..40 {
            let queue = Faulty::new(Arc::new(Hub::new()), faults, seed).unwrap();
            let (guest, host) = pair(Arc::new(queue)).await;
            let results = timeout(PATIENCE * 12, job(&guest, &host)).await.expect("a wait without end");
            for result in results {
                match result {
                    Ok(as_sent) => {
                        assert!(as_sent, "a wrong value: {faults:?} seed {seed}");
                        right += 1;
                    }
                    Err(error) => {
                        let kinds = [ErrorKind::Timeout, ErrorKind::Cancelled];
                        assert!(kinds.contains(&error.kind()), "{error:?}");
                        reported += 1;
                    }
                }
            }
            guest.close(End::Failed).await.unwrap();
            host.close(End::Failed).await.unwrap();
        }
        assert!(right > 20 && reported > 20, "{right} right and {reported} reported with {faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_frame_is_named_and_what_came_before_it_can_be_pulled() {
    let (guest, host) = pair(Arc::new(Tapped { lost: Some(2), ..Tapped::default() })).await;
    for i in 0..4 {
        guest.push(&slot(i), &[self::host()], message("ok")).await.unwrap();
    }
    assert_eq!(text(&host, 0, &self::guest()).await.unwrap(), "ok");
    let error = text(&host, 3, &self::guest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("frame 2 from guest_1 is missing"), "{error}");
    assert!(error.to_string().contains("2 later ones came"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn frames_that_fail_authentication_are_counted_in_the_error() {
    let hub = Arc::new(Hub::new());
    let (guest, host) = pair(hub.clone()).await;
    guest.push(&slot(0), &[self::host()], message("ok")).await.unwrap();
    let forged = [&[1u8, 9, 0, 0, 0, 0, 0, 0, 0][..], &[5; 60]].concat();
    hub.send(&channels()[0], &[forged.into(), Bytes::from_static(&[1, 2]), Bytes::from_static(b"?")])
        .await
        .unwrap();
    assert_eq!(text(&host, 0, &self::guest()).await.unwrap(), "ok");
    let error = text(&host, 1, &self::guest()).await.unwrap_err();
    assert!(error.to_string().contains("3 frames from guest_1 failed authentication"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn frames_repeated_reflected_or_from_another_session_change_nothing() {
    let other = Arc::new(Tapped::default());
    let (a, b) = pair(other.clone()).await;
    assert!(job(&a, &b).await.into_iter().all(|r| r.unwrap()));

    let tapped = Arc::new(Tapped::default());
    let (guest, host) = pair(tapped.clone()).await;
    guest.push(&slot(10), &[self::host()], message("begin")).await.unwrap();
    host.push(&slot(10), &[self::guest()], message("begin")).await.unwrap();
    let record =
        |tapped: &Tapped| tapped.sent.lock().unwrap().values().flatten().cloned().collect::<Vec<_>>();
    let old = [record(&tapped), record(&other)].concat();
    assert!(old.iter().filter(|f| f[0] == 0).count() >= 4, "hellos of both sessions are among them");
    for channel in channels() {
        tapped.hub.send(&channel, &old).await.unwrap();
    }
    let traffic = guest.traffic().bytes(Direction::Received);
    assert!(job(&guest, &host).await.into_iter().all(|r| r.unwrap()));
    assert!(guest.traffic().bytes(Direction::Received) < traffic + 300, "what is repeated is not counted");
}

#[tokio::test(start_paused = true)]
async fn a_first_message_from_an_earlier_run_does_not_hinder_the_handshake() {
    let tapped = Arc::new(Tapped::default());
    let (a, b) = wires(tapped.clone());
    let early = a.join(spec(guest(), host())).await.unwrap();
    assert_eq!(text(&early, 0, &host()).await.unwrap_err().kind(), ErrorKind::Timeout);
    drop(early);
    tokio::task::yield_now().await;
    let stale = tapped.sent.lock().unwrap()[&channels()[0]].clone();
    assert_eq!(stale.len(), 1, "one hello");

    let host = b.join(spec(host(), guest())).await.unwrap();
    tapped.hub.send(&channels()[0], &stale).await.unwrap();
    let guest = a.join(spec(guest(), self::host())).await.unwrap();
    assert!(job(&guest, &host).await.into_iter().all(|r| r.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_sent_can_be_read_on_its_way() {
    let tapped = Arc::new(Tapped::default());
    let (guest, host) = pair(tapped.clone()).await;
    let named = Slot::new("salaries").tagged("secret-tag");
    guest.push(&named, &[self::host()], message("plain content")).await.unwrap();
    host.pull(&named, &self::guest()).await.unwrap();
    for frame in tapped.sent.lock().unwrap().values().flatten() {
        for part in ["salaries", "secret-tag", "plain content"] {
            assert!(!frame.windows(part.len()).any(|w| w == part.as_bytes()), "{part}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_have_closed_no_channel_is_left() {
    for (end_a, end_b) in [(End::Done, End::Done), (End::Failed, End::Done), (End::Done, End::Failed)] {
        for met in [true, false] {
            let tapped = Arc::new(Tapped::default());
            let (guest, host) = pair(tapped.clone()).await;
            if met {
                job(&guest, &host).await;
            }
            assert_eq!(tapped.hub.channels(), 2);
            guest.close(end_a).await.unwrap();
            host.close(end_b).await.unwrap();
            assert_eq!(tapped.hub.channels(), 0, "{end_a:?} {end_b:?} met: {met}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parties_that_miss_each_other_or_close_in_the_middle_leave_no_channel() {
    let hub = Arc::new(Hub::new());
    let (a, b) = wires(hub.clone());
    for ((first, second), (one, two)) in [((&a, &b), (guest(), host())), ((&b, &a), (host(), guest()))] {
        // One waits, gives up and closes before the other joins, which then does the same.
        for (wire, own, peer) in [(first, &one, &two), (second, &two, &one)] {
            let alone = wire.join(spec(own.clone(), peer.clone())).await.unwrap();
            assert_eq!(text(&alone, 0, peer).await.unwrap_err().kind(), ErrorKind::Timeout);
            alone.close(End::Failed).await.unwrap();
        }
        assert_eq!(hub.channels(), 0);
    }
    for steps in 0..12 {
        let (guest, host) =
            (a.join(spec(guest(), host())).await.unwrap(), b.join(spec(host(), guest())).await.unwrap());
        let start = Instant::now();
        let (guest_party, host_party) = (self::guest(), self::host());
        let waits = text(&guest, 0, &host_party);
        let closes = async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            host.close(End::Failed).await.unwrap();
        };
        let (waited, ()) = futures::future::join(waits, closes).await;
        let waited = waited.unwrap_err();
        assert_eq!(waited.kind(), ErrorKind::Cancelled, "after {steps}: {waited}");
        assert!(start.elapsed() < PATIENCE && waited.to_string().contains("host_2"), "{waited}");
        assert_eq!(text(&host, 0, &guest_party).await.unwrap_err().kind(), ErrorKind::Cancelled);
        guest.close(End::Failed).await.unwrap();
        assert_eq!(hub.channels(), 0, "after {steps}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_slots_at_once_on_many_threads() {
    let (guest, host) = pair(Arc::new(Hub::new())).await;
    let exchange = |own: Joined, i: usize| async move {
        let peer = own.spec().peers[0].clone();
        let text_of = |p: &Party| format!("{p} {i} ").repeat(500);
        own.push(&slot(i), std::slice::from_ref(&peer), message(&text_of(&own.spec().own))).await?;
        let got = text(&own, i, &peer).await?;
        assert_eq!(got, text_of(&peer));
        Ok::<_, Error>(())
    };
    let tasks: Vec<_> = (0..200)
        .flat_map(|i| [(guest.clone(), i), (host.clone(), i)])
        .map(|(own, i)| tokio::spawn(exchange(own, i)))
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(guest.traffic().bytes(Direction::Sent), host.traffic().bytes(Direction::Received));
}

#[test]
fn joining_outside_of_a_runtime_is_an_error() {
    let (a, _) = wires(Arc::new(Hub::new()));
    let joined = futures::executor::block_on(a.join(spec(guest(), host())));
    assert!(joined.unwrap_err().to_string().contains("runtime"));
}
