//! Three parties, one of which sends what no honest party sends: each of the others names it, and
//! no third party.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tributary_binning::BinColumn;
use tributary_binning::encrypted::{HostFeatures, LABEL, label_schema, packed_schema};
use tributary_component::release::{NoLedger, Source};
use tributary_component::{Component, Input, Releases, Stage, Task, Unwatched};
use tributary_core::computing::{Computing, End, Engine, SessionSpec};
use tributary_core::federation::{Federation, FederationExt, FederationSpec, Message, Slot};
use tributary_core::storage::Nowhere;
use tributary_core::{
    Error, ErrorKind, Field, JobHash, KeyType, Layout, Limits, Party, PartyId, Purpose, Result, Role,
    SessionId, Table, TableSchema,
};
use tributary_paillier::{Additive, Encrypt, KeyBits, ProvenKey, SecretKey};
use tributary_psi::points_schema;
use tributary_standalone::Standalone;

fn parties() -> [Party; 3] {
    let party = |role, id: &str| Party { role, id: PartyId::new(id).unwrap() };
    [party(Role::guest(), "9999"), party(Role::host(), "10000"), party(Role::host(), "10001")]
}

fn component(name: &str) -> Arc<dyn Component> {
    tributary_components::all().get(name).unwrap().clone()
}

async fn session() -> Arc<dyn Computing> {
    let engine = Standalone::new(tributary_components::all().kernels(), Arc::new(Nowhere));
    let placement = engine.place(&Default::default()).unwrap();
    let spec =
        SessionSpec { id: "blame.psi.0".parse::<SessionId>().unwrap(), placement, memory_bytes: 1 << 28 };
    engine.open(spec).await.unwrap()
}

/// The sessions of all three, in the order of [`parties`].
async fn meet() -> Vec<Arc<dyn Federation>> {
    let sites = parties().map(|party| party.id);
    let networks = tributary_memory::networks(&sites).unwrap();
    let mut sessions = Vec::new();
    for own in parties() {
        let peers = parties().into_iter().filter(|peer| *peer != own).collect();
        let (session, patience) = ("blame.psi.0".parse::<SessionId>().unwrap(), Duration::from_secs(30));
        let network = &networks[&own.id];
        let spec = FederationSpec {
            session,
            own,
            peers,
            job_hash: JobHash::new([7; 32]),
            patience,
            carriage: Default::default(),
        };
        sessions.push(network.join(spec).await.unwrap());
    }
    sessions
}

async fn kept(session: &Arc<dyn Computing>, schema: TableSchema, columns: Vec<ArrayRef>) -> Table {
    let rows: RecordBatch = schema.batch(columns).unwrap();
    let table = Table::parallelize(session, &schema, vec![rows], Layout::Loose(1)).await.unwrap();
    table.keep_rows().await.unwrap()
}

/// Ten rows of a party, and a label at the guest.
async fn table_of(party: &Party, session: &Arc<dyn Computing>) -> Table {
    let id: ArrayRef = Arc::new(StringArray::from_iter_values((0..10).map(|i| format!("id{i}"))));
    let value: ArrayRef = Arc::new(Float64Array::from_iter_values((0..10).map(f64::from)));
    let mut fields = vec![Field::new("x", DataType::Float64)];
    let mut columns = vec![id, value];
    if party.role == Role::guest() {
        fields.push(Field::new("y", DataType::Int64).purpose(Purpose::Label));
        columns.push(Arc::new(Int64Array::from_iter_values((0..10).map(|i| i % 2))));
    }
    kept(session, TableSchema::keyed("id", KeyType::Utf8, fields).unwrap(), columns).await
}

/// Runs a component as one of the parties, and gives the error it ends with, if any.
async fn run(name: &str, input: &str, federation: Arc<dyn Federation>) -> Option<Error> {
    let (component, own, computing) = (component(name), federation.spec().own.clone(), session().await);
    let stage = if input == "train_data" { Stage::Train } else { Stage::Default };
    let mut parameters = component.definition().validate_parameters(stage, &Map::new()).unwrap().values;
    if let Some(protocol) = parameters.get_mut("protocol") {
        *protocol = "ecdh_psi".into(); // the other has tests of its own
    }
    if let Some(he) = parameters.get_mut("he_param") {
        he["key_length"] = 1024.into(); // quicker
    }
    let table = table_of(&own, &computing).await;
    let task = Task {
        name: "blame".into(),
        stage,
        own,
        parties: parties().to_vec(),
        parameters,
        inputs: BTreeMap::from([(input.to_string(), vec![Input::Table(table)])]),
        producers: BTreeMap::new(),
        computing,
        federation: federation.clone(),
        releases: Releases {
            limits: Limits::NONE,
            ledger: Arc::new(NoLedger),
            sources: BTreeMap::from([(
                input.to_string(),
                vec![Source { table: "t".into(), content: "c".into() }],
            )]),
            recoded: BTreeMap::new(),
        },
        checkpoint: None,
        progress: Arc::new(Unwatched),
    };
    let error = component.run(&task).await.err();
    federation.close(if error.is_some() { End::Failed } else { End::Done }).await.unwrap();
    error
}

fn blames(error: &Option<Error>, culprit: &Party) {
    let error = error.as_ref().unwrap();
    let text = error.chain();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
    assert!(text.contains(&culprit.to_string()), "{culprit} is not named: {text}");
    for other in parties().iter().filter(|party| *party != culprit) {
        assert!(!text.contains(&other.to_string()), "{other} is named: {text}");
    }
}

/// As the component's own message, which no other crate sees.
#[derive(Serialize, Deserialize)]
struct Measure {
    key: Option<ProvenKey>,
}

impl Message for Measure {
    const NAME: &'static str = "binning.measure";
    const VERSION: u32 = 2;
}

fn binary(rows: usize, row: &[u8]) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter((0..rows).map(|_| row)).unwrap())
}

async fn send_points(federation: &Arc<dyn Federation>, slot: &str, to: &[Party]) -> Result<()> {
    let points = kept(&session().await, points_schema()?, vec![binary(10, &[0xff; 32])]).await;
    federation.push_table(&Slot::new(slot), to, &points).await
}

#[tokio::test]
async fn a_host_that_sends_no_points_is_named_by_the_guest() {
    let [guest, good, evil]: [_; 3] = meet().await.try_into().unwrap();
    let [to, _, culprit] = parties();
    let evil = async { send_points(&evil, "host_points", &[to]).await.unwrap() };
    let (error, _, ()) = tokio::join!(run("psi", "input_data", guest), run("psi", "input_data", good), evil);
    blames(&error, &culprit);
}

#[tokio::test]
async fn a_guest_that_sends_no_points_is_named_by_both_hosts() {
    let [evil, one, two]: [_; 3] = meet().await.try_into().unwrap();
    let [culprit, hosts @ ..] = parties();
    let evil = async { send_points(&evil, "guest_points", &hosts).await.unwrap() };
    let (one, two, ()) = tokio::join!(run("psi", "input_data", one), run("psi", "input_data", two), evil);
    blames(&one, &culprit);
    blames(&two, &culprit);
}

#[tokio::test]
async fn a_host_that_sends_no_sums_is_named_by_the_guest() {
    let [guest, good, evil]: [_; 3] = meet().await.try_into().unwrap();
    let [to, _, culprit] = parties();
    let evil = async {
        let measure: Measure = evil.pull_message(&Slot::new("measure"), &to).await.unwrap();
        let key = measure.key.unwrap().open(&context(&evil, &to)).unwrap();
        let columns = vec![BinColumn { column: format!("{culprit}_x0"), bins: 2 }];
        let to = [to.clone()];
        evil.push_message(&Slot::new("features"), &to, &HostFeatures { columns }).await.unwrap();
        let list = || {
            let item = arrow_schema::Field::new_list_field(DataType::UInt64, false);
            let mut list = ListBuilder::new(UInt64Builder::new()).with_field(item);
            list.append_value([Some(1), Some(2)]);
            Arc::new(list.finish()) as ArrayRef
        };
        let sums = vec![list(), list(), binary(1, &vec![0; key.row_bytes()])];
        let sums = kept(&session().await, packed_schema(&key).unwrap(), sums).await;
        evil.push_table(&Slot::new("sums"), &to, &sums).await.unwrap();
    };
    let (error, _, ()) = tokio::join!(
        run("hetero_feature_binning", "train_data", guest),
        run("hetero_feature_binning", "train_data", good),
        evil
    );
    blames(&error, &culprit);
}

/// What a key's proof is bound to, as the component has it.
fn context(federation: &Arc<dyn Federation>, owner: &Party) -> Vec<u8> {
    format!("{}\n{owner}", federation.spec().session).into_bytes()
}

#[tokio::test]
async fn a_guest_that_sends_no_ciphertexts_is_named_by_both_hosts() {
    let [evil, one, two]: [_; 3] = meet().await.try_into().unwrap();
    let [culprit, hosts @ ..] = parties();
    let evil = async {
        let owner = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
        let key = Some(ProvenKey::new(&owner, &context(&evil, &culprit)).unwrap());
        evil.push_message(&Slot::new("measure"), &hosts, &Measure { key }).await.unwrap();
        let schema = label_schema(owner.public()).unwrap();
        assert!(schema.field(LABEL).is_some());
        let labels = kept(&session().await, schema, vec![binary(10, &[0; 256])]).await;
        evil.push_table(&Slot::new("labels"), &hosts, &labels).await.unwrap();
    };
    let (one, two, ()) = tokio::join!(
        run("hetero_feature_binning", "train_data", one),
        run("hetero_feature_binning", "train_data", two),
        evil
    );
    blames(&one, &culprit);
    blames(&two, &culprit);
}

#[tokio::test]
async fn a_key_proved_for_another_session_is_refused_and_its_sender_named() {
    let [evil, one, two]: [_; 3] = meet().await.try_into().unwrap();
    let [culprit, hosts @ ..] = parties();
    let evil = async {
        let owner = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
        let key = Some(ProvenKey::new(&owner, format!("another\n{culprit}").as_bytes()).unwrap());
        evil.push_message(&Slot::new("measure"), &hosts, &Measure { key }).await.unwrap();
    };
    let (one, two, ()) = tokio::join!(
        run("hetero_feature_binning", "train_data", one),
        run("hetero_feature_binning", "train_data", two),
        evil
    );
    for error in [one, two] {
        blames(&error, &culprit);
        assert!(error.unwrap().chain().contains("does not prove"));
    }
}
