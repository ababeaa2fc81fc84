//! Whole intersections in one process, by each protocol, against plain sets: rows aligned at all parties, whatever the
//! sizes, the hosts, repeated ids, and the number of partitions.

#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Map;
use tributary_component::output::{DataOutput, Metric, Outputs};
use tributary_component::release::{Charge, Ledger, Over, Source};
use tributary_component::task::{Level, Progress};
use tributary_component::{Input, Releases, Stage, Task};
use tributary_core::computing::{Computing, End};
use tributary_core::federation::{Direction, Federation, FederationExt, Slot};
use tributary_core::limits::Intersections;
use tributary_core::{
    Error, ErrorKind, Field, KeyType, Layout, Limits, Party, PartyId, Purpose, Result, Table, TableSchema,
};

use support::{meet, parties, session};

/// Keeps the lines that users see, and the last checkpoint.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>, Mutex<Option<Bytes>>);

impl Progress for Lines {
    fn line(&self, _: Level, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }

    fn metric(&self, _: Metric) {}

    fn checkpoint(&self, state: &[u8]) -> Result<()> {
        *self.1.lock().unwrap() = Some(Bytes::copy_from_slice(state));
        Ok(())
    }
}

/// One row an id, with its number and a key of its own.
async fn table(session: &Arc<dyn Computing>, ids: &[u32], partitions: u32) -> Table {
    let fields = vec![
        Field::new("phone", DataType::Utf8).purpose(Purpose::MatchId),
        Field::new("row", DataType::UInt64),
    ];
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values((0..ids.len()).map(|i| format!("key{i}")))),
        Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("p{id}")))),
        Arc::new(UInt64Array::from_iter_values(0..ids.len() as u64)),
    ];
    let rows: RecordBatch = schema.batch(columns).unwrap();
    Table::parallelize(session, &schema, vec![rows], Layout::Loose(partitions)).await.unwrap()
}

/// What one party ends with.
struct Ended {
    outputs: Result<Outputs>,
    lines: Vec<String>,
    kept: Option<Bytes>,
    sent: u64,
    booked: u64,
}

impl Ended {
    fn says(&self, start: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(start))
    }
}

/// How a party runs.
#[derive(Clone)]
struct How {
    protocol: &'static str,
    partitions: u32,
    kept: Option<Bytes>,
    limits: Limits,
}

/// Counts the ids that were booked.
#[derive(Debug, Default)]
struct Booked(AtomicU64);

impl Ledger for Booked {
    fn book(&self, tables: &[Source], _: &PartyId, charges: &[Charge]) -> Result<Option<Over>> {
        for Charge { item, amount, limit, .. } in charges {
            let used = self.0.fetch_add(*amount, Ordering::SeqCst);
            if used + amount > *limit {
                let (table, item) = (tables[0].table.clone(), item.clone());
                return Ok(Some(Over { table, item, used, amount: *amount, limit: *limit }));
            }
        }
        Ok(None)
    }

    fn cuts(&self, _: &[Source], _: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        Ok(vec![Vec::new(); columns.len()])
    }
}

async fn run(federation: Arc<dyn Federation>, parties: &[Party], ids: &[u32], how: How) -> Ended {
    let cut = how.partitions;
    let component = tributary_components::all().get("psi").unwrap().clone();
    let (own, computing) = (federation.spec().own.clone(), session(cut).await);
    let given = Map::from_iter([("protocol".to_string(), how.protocol.into())]);
    let parameters = component.definition().validate_parameters(Stage::Default, &given).unwrap().values;
    let table = table(&computing, ids, cut).await;
    let (lines, booked) = (Arc::<Lines>::default(), Arc::<Booked>::default());
    let source =
        Source { table: "t".into(), content: format!("{:?}", ids.iter().take(9).collect::<Vec<_>>()) };
    let task = Task {
        name: "psi".into(),
        stage: Stage::Default,
        own,
        parties: parties.to_vec(),
        parameters,
        inputs: BTreeMap::from([("input_data".to_string(), vec![Input::Table(table)])]),
        producers: BTreeMap::new(),
        computing,
        federation: federation.clone(),
        releases: Releases {
            limits: how.limits,
            ledger: booked.clone(),
            sources: BTreeMap::from([("input_data".to_string(), vec![source])]),
            recoded: BTreeMap::new(),
        },
        checkpoint: how.kept,
        progress: lines.clone(),
    };
    let outputs = component.run(&task).await;
    let sent = federation.traffic().bytes(Direction::Sent);
    federation.close(if outputs.is_err() { End::Failed } else { End::Done }).await.unwrap();
    let kept = lines.1.lock().unwrap().clone();
    Ended {
        outputs,
        lines: lines.0.lock().unwrap().clone(),
        kept,
        sent,
        booked: booked.0.load(Ordering::SeqCst),
    }
}

/// All parties at once. `ids`: of the guest, then of each host.
async fn intersect(ids: &[Vec<u32>], how: &[How]) -> Vec<Ended> {
    let parties = parties(ids.len() - 1);
    let sessions = meet(&parties).await;
    let runs = sessions.into_iter().zip(ids).zip(how).map(|((session, ids), how)| {
        let parties = &parties;
        async move { run(session, parties, ids, how.clone()).await }
    });
    futures::future::join_all(runs).await
}

fn hows(protocol: &'static str, cuts: &[u32]) -> Vec<How> {
    cuts.iter().map(|cut| How { protocol, partitions: *cut, kept: None, limits: Limits::NONE }).collect()
}

fn output(outputs: &Outputs) -> &Table {
    match &outputs.data[..] {
        [(_, DataOutput::Table(table))] => table,
        other => panic!("{} outputs", other.len()),
    }
}

/// Ids and row numbers, in order.
async fn rows(outputs: &Outputs) -> Vec<(String, u64)> {
    let mut rows = Vec::new();
    for batch in output(outputs).collect().await.unwrap() {
        let (ids, numbers) = (batch.column(1).as_string::<i32>(), batch.column(2));
        let numbers = numbers.as_primitive::<arrow_array::types::UInt64Type>();
        rows.extend((0..ids.len()).map(|i| (ids.value(i).to_string(), numbers.value(i))));
    }
    rows
}

/// As [`agree`], of a run.
async fn check(ids: &[Vec<u32>], cuts: &[u32], protocol: &'static str) {
    agree(ids, intersect(ids, &hows(protocol, cuts)).await).await;
}

/// That every party ends with the common rows, aligned, each of the guest's once, and with all its columns.
async fn agree(ids: &[Vec<u32>], ended: Vec<Ended>) {
    let common: BTreeSet<u32> =
        ids[1..].iter().fold(ids[0].iter().copied().collect(), |common: BTreeSet<u32>, ids| {
            let host: BTreeSet<u32> = ids.iter().copied().collect();
            &common & &host
        });
    let guest_rows: Vec<u64> =
        (0..ids[0].len()).filter(|row| common.contains(&ids[0][*row])).map(|row| row as u64).collect();
    if guest_rows.is_empty() {
        for ended in ended {
            assert!(ended.outputs.unwrap_err().to_string().contains("no id is in common"));
        }
        return;
    }
    let outputs: Vec<Outputs> = ended.into_iter().map(|ended| ended.outputs.unwrap()).collect();
    let first = rows(&outputs[0]).await;
    let mut numbers: Vec<u64> = first.iter().map(|(_, row)| *row).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, guest_rows);
    for (outputs, ids) in outputs.iter().zip(ids) {
        let rows = rows(outputs).await;
        assert_eq!(rows.len(), first.len());
        for ((id, row), (other, _)) in rows.iter().zip(&first) {
            assert_eq!(id, other, "rows are aligned");
            assert_eq!(*id, format!("p{}", ids[*row as usize]), "a row stays whole");
        }
        let schema = output(outputs).schema();
        assert_eq!(schema.key().unwrap().name, "id");
        assert_eq!(schema.fields().iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["phone", "row"]);
        assert_eq!(schema.with_purpose(&Purpose::MatchId).unwrap().name, "phone");
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn shuffled(mut ids: Vec<u32>, seed: u64) -> Vec<u32> {
    ids.sort_by_key(|id| (u64::from(*id) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31));
    ids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn both_protocols_give_what_plain_sets_give(
        guest in prop::collection::vec(0u32..60, 0..60),
        hosts in prop::collection::vec(prop::collection::btree_set(0u32..60, 0..50), 1..4),
        cuts in prop::collection::vec(1u32..4, 4), seed: u64,
    ) {
        let hosts = hosts.into_iter().map(|ids| shuffled(ids.into_iter().collect(), seed));
        let ids: Vec<Vec<u32>> = std::iter::once(guest).chain(hosts).collect();
        for protocol in ["rr22", "ecdh_psi"] {
            block_on(check(&ids, &cuts, protocol));
        }
    }
}

/// Large enough for several buckets and several rounds of them.
#[tokio::test]
async fn many_ids_go_through_buckets_and_rounds() {
    let guest = shuffled((0..90_000).chain(0..500).collect(), 1);
    let hosts = [shuffled((45_000..170_000).collect(), 2), shuffled((0..70_000).collect(), 3)];
    let ids = [vec![guest], hosts.to_vec()].concat();
    check(&ids, &[2, 3, 1], "rr22").await;
}

#[tokio::test]
async fn auto_takes_curves_for_few_rows_and_says_why() {
    let few = (50, "protocol ecdh_psi: quicker for 50 and 50 rows");
    for (rows, expected) in [few, (1_500, "protocol rr22: quicker")] {
        let ids = vec![(0..rows).collect(), (rows / 2..rows + rows / 2).collect()];
        check(&ids, &[2, 2], "auto").await;
        let ended = intersect(&ids, &hows("auto", &[2, 2])).await;
        assert!(ended[0].says(expected), "{:?}", ended[0].lines);
        assert!(
            ended[1].lines.iter().any(|line| line.contains("as the guest decided")),
            "{:?}",
            ended[1].lines
        );
    }
}

/// What is booked is what can be looked up, with either protocol at least the ids that are told.
#[tokio::test]
async fn ids_are_booked_before_they_are_looked_up() {
    let ids = [(0..3_000).collect::<Vec<u32>>(), (2_000..4_000).collect()];
    for (protocol, guest, host) in
        [("ecdh_psi", 2_000..=2_000, 3_000..=3_000), ("rr22", 2_000..=2_000, 3_300..=3_600)]
    {
        let ended = intersect(&ids, &hows(protocol, &[1, 1])).await;
        assert!(guest.contains(&ended[0].booked), "{protocol} {}", ended[0].booked);
        assert!(host.contains(&ended[1].booked), "{protocol} {}", ended[1].booked);
        let mut how = hows(protocol, &[1, 1]);
        how[1].limits = Limits { ids_per_row: 1, ..Limits::default() };
        let ended = intersect(&ids, &how).await;
        let error = ended[1].outputs.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.chain());
        assert!(ended[0].outputs.is_err());
    }
}

#[tokio::test]
async fn a_party_can_exclude_all_but_curves() {
    let ids = [(0..1_500).collect::<Vec<u32>>(), (500..2_000).collect()];
    for party in [0, 1] {
        let mut how = hows("auto", &[1, 1]);
        how[party].limits.intersection = Intersections::Curves;
        let ended = intersect(&ids, &how).await;
        assert!(ended[0].says("protocol ecdh_psi: the limits of"), "{:?}", ended[0].lines);
        agree(&ids, ended).await;
        how.iter_mut().for_each(|how| how.protocol = "rr22");
        let error = intersect(&ids, &how).await.swap_remove(0).outputs.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.chain());
        assert!(error.to_string().contains("limits.intersection"), "{error}");
    }
}

#[tokio::test]
async fn a_host_with_an_id_twice_is_told_so() {
    let ended = intersect(&[vec![1, 2], vec![1, 1]], &hows("rr22", &[1, 1])).await;
    let text = ended[1].outputs.as_ref().unwrap_err().chain();
    assert!(text.contains("those of a host must be unique"), "{text}");
}

/// An attempt leaves a checkpoint before its last round; another goes on from there, if all have one of the same attempt.
#[tokio::test]
async fn another_attempt_goes_on_after_the_last_buckets() {
    // Two buckets, one at a time.
    let guest = shuffled((0..270_000).chain(0..100).collect(), 1);
    let ids = [guest, shuffled((200_000..280_000).collect(), 2), shuffled((190_000..260_000).collect(), 3)];
    let mut how = hows("rr22", &[1, 1, 1]);
    let first = intersect(&ids, &how).await;
    for (how, ended) in how.iter_mut().zip(&first) {
        how.kept = ended.kept.clone();
    }
    let all = first[0].sent;
    assert!(!first[0].says("protocol rr22: goes on"));
    agree(&ids, first).await;
    // More at once than before: rounds are others.
    how[1].partitions = 2;
    let second = intersect(&ids, &how).await;
    assert!(second[0].says("protocol rr22: goes on after"), "{:?}", second[0].lines);
    assert!(second[0].sent < all, "{} of {all} bytes", second[0].sent);
    agree(&ids, second).await;
    // As many rows, but others.
    let others = [vec![ids[0].iter().map(|id| id + 1).collect()], ids[1..].to_vec()].concat();
    let other = intersect(&others, &how).await;
    assert!(!other[0].says("protocol rr22: goes on"), "{:?}", other[0].lines);
    agree(&others, other).await;
    how[2].kept = None;
    let third = intersect(&ids, &how).await;
    assert!(!third[0].says("protocol rr22: goes on"), "{:?}", third[0].lines);
    agree(&ids, third).await;
}

/// A host that follows the protocol up to a message, and then sends something else.
async fn evil_host(federation: &Arc<dyn Federation>, guest: &Party) -> Result<()> {
    use serde::{Deserialize, Serialize};
    #[derive(Serialize, Deserialize)]
    struct Told {
        rows: u64,
        buckets: u32,
        at_once: u32,
        nonce: [u8; 32],
        any: bool,
        kept: Option<[u8; 32]>,
    }
    impl tributary_core::federation::Message for Told {
        const NAME: &'static str = "psi.told";
    }
    #[derive(Serialize, Deserialize)]
    struct Seeds(Vec<u8>);
    impl tributary_core::federation::Message for Seeds {
        const NAME: &'static str = "psi.seeds";
        const MAX_BYTES: usize = 12 << 20;
    }
    let to = std::slice::from_ref(guest);
    let told = Told { rows: 10, buckets: 1, at_once: 1, nonce: [3; 32], any: true, kept: None };
    federation.push_message(&Slot::new("told"), to, &told).await?;
    federation.push_message(&Slot::new("choices"), to, &Seeds(vec![0xff; 8192])).await
}

#[tokio::test]
async fn a_host_that_sends_no_points_is_named_by_the_guest() {
    let parties = parties(2);
    let [guest, good, evil]: [_; 3] = meet(&parties).await.try_into().ok().unwrap();
    let ids: Vec<u32> = (0..10).collect();
    let how = How { protocol: "rr22", partitions: 1, kept: None, limits: Limits::NONE };
    let (error, _, ()) =
        futures::join!(run(guest, &parties, &ids, how.clone()), run(good, &parties, &ids, how), async {
            evil_host(&evil, &parties[0]).await.unwrap()
        });
    let error: Error = error.outputs.unwrap_err();
    let text = error.chain();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
    assert!(text.contains(&parties[2].to_string()) && !text.contains(&parties[1].to_string()), "{text}");
}
