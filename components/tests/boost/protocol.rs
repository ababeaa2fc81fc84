//! What happens around trees: sampling, validation, warm start, attempts that go on, folds, limits, and peers that send what no honest
//! party sends.

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt16Array};
use serde_json::{Value, json};
use tributary_boost::columns::node_schema;
use tributary_boost::encrypted::{Sharing, gradient_schema};
use tributary_boost::quantise::packing;
use tributary_component::Stage;
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::{ErrorKind, Layout, Limits, Party, Table, TableSchema};
use tributary_paillier::{Additive, Encrypt, KeyBits, ProvenKey, SecretKey};

use super::exact::{models, numbers, of_goal, parts, quick};
use super::parties::{Ended, Part, all_well, meet, parties, run, session, together};
use super::tables::{Goal, Rows, made};

fn trees(ended: &[Ended]) -> Vec<Value> {
    ended.iter().map(|ended| ended.model()["parts"]["trees"].clone()).collect()
}

async fn train(rows: &[Rows], parameters: &Value, partitions: &[u32]) -> Vec<Ended> {
    all_well(Stage::Train, parts("train_data", rows, parameters, partitions)).await
}

/// The part of pairs that scores order rightly.
fn auc(scores: &[f64], labels: &[f64]) -> f64 {
    let (mut right, mut pairs) = (0.0, 0.0);
    for (a, y) in scores.iter().zip(labels) {
        for (b, z) in scores.iter().zip(labels).filter(|(_, z)| **z < *y) {
            let _ = z;
            pairs += 1.0;
            right += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    right / pairs
}

#[tokio::test]
async fn sampled_rows_give_other_trees_that_are_as_good_and_the_same_for_any_partitions() {
    let rows = made(400, 2, Goal::Binary);
    let of = |goss: bool| of_goal(Goal::Binary, json!({"num_trees": 4, "goss": goss, "goss_start_iter": 1}));
    let (all, some) = (train(&rows, &of(false), &[2]).await, train(&rows, &of(true), &[2]).await);
    let [all_trees, some_trees] = [&all, &some].map(|ended| trees(ended)[0].as_array().unwrap().clone());
    assert_eq!(all_trees[0], some_trees[0], "the first tree is of all rows");
    assert_eq!(some_trees[1]["tree"]["nodes"][0]["rows"], 120, "top_rate and other_rate of 400 rows");
    let labels = rows[0].label.clone().unwrap();
    let scores = numbers(&some[0], "predict_score").await;
    assert!(auc(&scores, &labels) > 0.9, "{}", auc(&scores, &labels));
    let again = train(&rows, &of(true), &[1, 3, 5]).await;
    assert_eq!(trees(&again), trees(&some));
    assert_eq!(numbers(&again[0], "predict_score").await, scores);
}

#[tokio::test]
async fn trees_are_added_to_a_model_as_if_it_had_been_trained_on() {
    let rows = made(220, 2, Goal::Binary);
    let of = |count: u32| of_goal(Goal::Binary, json!({"num_trees": count}));
    let whole = train(&rows, &of(3), &[2]).await;
    let first = train(&rows, &of(1), &[2]).await;
    let mut more = parts("train_data", &rows, &of(2), &[3]);
    for (part, model) in more.iter_mut().zip(models(&first)) {
        part.models.insert("warm_start_model".into(), model);
    }
    let second = all_well(Stage::Train, more.clone()).await;
    assert_eq!(trees(&second), trees(&whole));
    assert_eq!(numbers(&second[0], "predict_score").await, numbers(&whole[0], "predict_score").await);
    assert_eq!(second[0].model()["loss_history"], whole[0].model()["loss_history"]);
    // A host's part of another training.
    more[2].models.insert("warm_start_model".into(), whole[2].model());
    let ended = together(Stage::Train, more).await;
    let text = ended[0].outputs.as_ref().unwrap_err().chain();
    assert!(text.contains("host_10001") && text.contains("not a part of the same model"), "{text}");
}

#[tokio::test]
async fn another_attempt_goes_on_after_the_trees_that_all_parties_have_kept() {
    let rows = made(220, 2, Goal::Classes(3));
    let parameters = of_goal(Goal::Classes(3), json!({"num_trees": 3}));
    let whole = train(&rows, &parameters, &[2]).await;
    // The guest has kept one round, hosts a tree and two trees more.
    let mut again = parts("train_data", &rows, &parameters, &[3]);
    for (part, (ended, kept)) in again.iter_mut().zip(whole.iter().zip([0, 3, 4])) {
        part.kept = Some(ended.kept[kept].clone());
    }
    let second = all_well(Stage::Train, again.clone()).await;
    assert!(second[0].says("goes on after 3 trees"), "{:?}", second[0].lines);
    assert_eq!(trees(&second), trees(&whole));
    assert_eq!(models(&second)[0]["parts"]["id"], models(&whole)[0]["parts"]["id"]);
    assert_eq!(numbers(&second[0], "predict_score").await, numbers(&whole[0], "predict_score").await);
    let losses = |ended: &Ended| {
        let loss = ended.metrics.iter().find(|metric| metric.name == "sbt_loss").unwrap();
        loss.data.as_array().unwrap().iter().map(|step| step["metric"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(losses(&second[0]), losses(&whole[0]));
    let sent =
        |ended: &Ended| ended.traffic.slots.iter().filter(|slot| slot.slot.name == "gradients").count();
    assert_eq!((sent(&whole[0]), sent(&second[0])), (18, 12), "three trees of nine are not trained again");
    // One party knows nothing: from the start.
    again[1].kept = None;
    let third = all_well(Stage::Train, again.clone()).await;
    assert!(!third[0].says("goes on after"), "{:?}", third[0].lines);
    assert_eq!(trees(&third), trees(&whole));
    // Other rows under the same names.
    again.iter_mut().for_each(|part| part.data.iter_mut().for_each(|(_, rows)| rows.ids.reverse()));
    let other = all_well(Stage::Train, again).await;
    assert!(!other[0].says("goes on after"), "{:?}", other[0].lines);
}

#[tokio::test]
async fn each_tree_is_measured_on_rows_to_validate_on() {
    let all = made(360, 1, Goal::Binary);
    let part =
        |range: std::ops::Range<usize>| all.iter().map(|rows| rows.taken(range.clone())).collect::<Vec<_>>();
    let (rows, held) = (part(0..240), part(240..360));
    let parameters = of_goal(Goal::Binary, json!({"num_trees": 3}));
    let mut given = parts("train_data", &rows, &parameters, &[2]);
    for (part, held) in given.iter_mut().zip(&held) {
        part.data.insert("validate_data".into(), held.clone());
    }
    let ended = all_well(Stage::Train, given.clone()).await;
    assert_eq!(trees(&ended), trees(&train(&rows, &parameters, &[2]).await), "validation changes no tree");
    let metric = ended[0].metrics.iter().find(|metric| metric.name == "validate_auc").unwrap();
    let steps = metric.data.as_array().unwrap();
    assert_eq!(steps.len(), 3);
    let scores = numbers(&ended[0], "predict_score").await;
    assert_eq!(scores.len(), 360, "both sets are predicted");
    let expected = auc(&scores[240..], held[0].label.as_ref().unwrap());
    assert!((steps[2]["metric"].as_f64().unwrap() - expected).abs() < 1e-12);
    given[1].data.remove("validate_data");
    let ended = together(Stage::Train, given).await;
    let text = ended[0].outputs.as_ref().unwrap_err().chain();
    assert!(text.contains("validate_data"), "{text}");
}

#[tokio::test]
async fn folds_predict_every_row_by_a_model_that_did_not_see_it() {
    let rows = made(240, 2, Goal::Binary);
    let parameters = quick(json!({"cv_param": {"n_splits": 3, "shuffle": true, "random_state": 7}}));
    let ended = all_well(Stage::CrossValidation, parts("cv_data", &rows, &parameters, &[2])).await;
    let scores = numbers(&ended[0], "predict_score").await;
    let labels = numbers(&ended[0], "label").await;
    assert_eq!(scores.len(), 240);
    assert!(auc(&scores, &labels) > 0.6, "{}", auc(&scores, &labels));
    let folds: Vec<&str> =
        ended[0].outputs.as_ref().unwrap().metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(folds, ["fold_0", "fold_1", "fold_2"]);
    assert!(ended[1].outputs.as_ref().unwrap().data.is_empty());
}

/// What the guest is told of a host's column are sums of at least so many rows; of siblings too.
#[tokio::test]
async fn limits_of_a_host_bound_what_it_releases() {
    let rows = made(300, 1, Goal::Binary);
    let parameters = of_goal(Goal::Binary, json!({}));
    let mut given = parts("train_data", &rows, &parameters, &[2]);
    given[1].limits = Limits { min_rows: 25, ..Limits::default() };
    let ended = all_well(Stage::Train, given.clone()).await;
    assert!(ended[1].says("limits.min_rows"), "{:?}", ended[1].lines);
    // Two trees of at most seven divided nodes, of at most eight bins and missing values.
    let booked = ended[1].booked.0.lock().unwrap().clone();
    assert!(!booked.is_empty() && booked.values().all(|sums| *sums <= 2 * 7 * 9), "{booked:?}");
    // A prediction counts, too: an answer for each division.
    let mut rows = rows;
    (rows[0].names, rows[0].columns) = (Vec::new(), Vec::new());
    let models = models(&train(&rows, &parameters, &[2]).await);
    let divided =
        models[1]["parts"]["trees"].as_array().unwrap().iter().map(|tree| tree.as_array().unwrap().len());
    let divided = divided.sum::<usize>() as u64;
    let mut predicting = parts("test_data", &rows, &json!({}), &[1]);
    for (part, model) in predicting.iter_mut().zip(models) {
        part.models.insert("input_model".into(), model);
    }
    let predicted = all_well(Stage::Predict, predicting.clone()).await;
    assert!(divided > 0 && predicted[1].booked.0.lock().unwrap().values().sum::<u64>() == divided);
    predicting[1].limits = Limits { gradient_sums: 0, ..Limits::default() };
    let refused = together(Stage::Predict, predicting).await;
    assert_eq!(refused[1].outputs.as_ref().unwrap_err().kind(), ErrorKind::Denied);

    given[1].limits = Limits { gradient_sums: 20, ..Limits::default() };
    let ended = together(Stage::Train, given.clone()).await;
    let error = ended[1].outputs.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.chain());
    assert!(error.to_string().contains("limits.gradient_sums"), "{error}");
    let told = ended[0].traffic.slots.iter().any(|slot| slot.slot.name == "told" && slot.bytes > 2_000);
    assert!(ended[0].outputs.is_err() && !told);
}

/// A guest whose rows repeat a host's row counts it once.
#[tokio::test]
async fn a_row_that_a_guest_repeats_is_still_one_row_behind_a_sum() {
    let mut rows = made(120, 1, Goal::Binary);
    for rows in &mut rows {
        rows.ids = (0..120).map(|row| row / 4).collect();
    }
    if let Some(super::tables::Values::Numbers(values)) = rows[1].columns.get_mut(0) {
        (0..120).for_each(|row| values[row] = Some((row / 4) as f64));
    }
    let mut given = parts("train_data", &rows, &of_goal(Goal::Binary, json!({"max_bin": 30})), &[2]);
    given[1].limits = Limits { min_rows: 5, ..Limits::default() };
    let ended = all_well(Stage::Train, given).await;
    let cuts = ended[1].model()["parts"]["columns"][0]["cuts"].as_array().unwrap().len();
    assert!(cuts <= 6, "30 ids in bins of at least 5 make {cuts}");
}

#[tokio::test]
async fn a_model_is_of_no_use_without_its_other_part() {
    let rows = made(150, 2, Goal::Binary);
    let parameters = of_goal(Goal::Binary, json!({}));
    let (one, two) = (train(&rows, &parameters, &[1]).await, train(&rows, &parameters, &[1]).await);
    let predict = |models: Vec<Value>, rows: &[Rows]| {
        let mut given: Vec<Part> = parts("test_data", rows, &json!({}), &[1]);
        given.truncate(models.len());
        for (part, model) in given.iter_mut().zip(models) {
            part.models.insert("input_model".into(), model);
        }
        together(Stage::Predict, given)
    };
    let ended = predict(vec![one[0].model(), one[1].model(), two[2].model()], &rows).await;
    let text = ended[2].outputs.as_ref().unwrap_err().chain();
    assert!(text.contains("parts of different ones"), "{text}");
    let ended = predict(vec![one[0].model(), one[1].model()], &rows).await;
    let text = ended[0].outputs.as_ref().unwrap_err().chain();
    assert!(text.contains("host_10001, which does not take part"), "{text}");
    let mut broken = one[0].model();
    broken["parts"]["trees"][0]["tree"]["nodes"][0]["fate"] = json!({"Own": {"split": {"column": 99, "left": {"UpTo": 0}, "missing_left": false}, "children": [1, 2]}});
    let ended = predict(vec![broken, one[1].model(), one[2].model()], &rows).await;
    assert_eq!(ended[0].outputs.as_ref().unwrap_err().kind(), ErrorKind::Corrupt);
    // What a model says at the guest names none of a host's columns, and no cut of theirs.
    let said = one[0].model().to_string();
    assert!(!said.contains("p1_") && said.contains("p0_"), "{said}");
}

/// As the component's own messages, which no other crate sees.
mod said {
    use serde::{Deserialize, Serialize};
    use tributary_core::federation::Message;
    use tributary_paillier::ProvenKey;

    #[derive(Serialize, Deserialize)]
    pub struct Told {
        pub rows: u64,
        pub columns: Vec<(u32, u16, bool)>,
        pub kept: Option<([u8; 16], u32)>,
        pub warm: Option<([u8; 16], u32)>,
        pub validated: Option<u64>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Begins {
        pub model: [u8; 16],
        pub key: Option<ProvenKey>,
        pub trees: u32,
        pub own: u32,
        pub from: u32,
        pub sampled_from: Option<u32>,
        pub pairs: bool,
        pub packs: bool,
    }

    /// Nodes as (node, parent, sibling), and how many there are.
    #[derive(Serialize, Deserialize)]
    pub struct Level(pub Vec<(u16, Option<u16>, Option<u16>)>, pub u16);

    /// For each node and column: groups as (of, rows), whether missing values are apart, and the rest.
    #[derive(Serialize, Deserialize)]
    pub struct Grouped(pub Vec<Vec<Groups>>);

    pub type Groups = (Vec<(u16, u32)>, bool, u16);

    impl Message for Told {
        const NAME: &'static str = "boost.told";
        const MAX_BYTES: usize = 1 << 20;
    }
    impl Message for Begins {
        const NAME: &'static str = "boost.begins";
    }
    impl Message for Level {
        const NAME: &'static str = "boost.level";
        const MAX_BYTES: usize = 1 << 20;
    }
    impl Message for Grouped {
        const NAME: &'static str = "boost.grouped";
        const MAX_BYTES: usize = 128 << 20;
    }
}

fn blames(ended: &Ended, culprit: &Party, what: &str) {
    let error = ended.outputs.as_ref().unwrap_err();
    let text = error.chain();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
    assert!(text.contains(&culprit.to_string()) && text.contains(what), "{text}");
}

/// A table without a key, held by a session of its own.
async fn held(schema: &TableSchema, columns: Vec<ArrayRef>) -> Table {
    let rows = schema.batch(columns).unwrap();
    let table = Table::parallelize(&session(1).await, schema, vec![rows], Layout::Loose(1)).await.unwrap();
    table.keep_rows().await.unwrap()
}

/// Two hosts, one of which says what no honest host says: the guest names it.
#[tokio::test]
async fn a_host_that_sends_what_no_honest_host_sends_is_named() {
    let rows = made(40, 2, Goal::Binary);
    let who = parties(2);
    let honest = (40, vec![(0, 1, false)]);
    let grouped =
        |groups: &[(u16, u32)], rest: u16| said::Grouped(vec![vec![(groups.to_vec(), false, rest)]]);
    let cases = [
        ((39, honest.1.clone()), grouped(&[], 0), "39 rows"),
        ((40, vec![(3, 1, false), (2, 1, false)]), grouped(&[], 0), "out of order"),
        (honest.clone(), grouped(&[(1, 39)], 0), "groups that do not belong"),
        (honest.clone(), grouped(&[(2, 40)], 0), "groups that do not belong"),
        (honest.clone(), grouped(&[(1, 40)], 1), "groups that do not belong"),
        (honest.clone(), said::Grouped(Vec::new()), "other nodes or columns"),
    ];
    for ((told_rows, columns), grouped, what) in cases {
        let [guest, good, evil]: [_; 3] = meet(&who).await.try_into().ok().unwrap();
        let parameters = of_goal(Goal::Binary, json!({}));
        let parts = parts("train_data", &rows, &parameters, &[1]);
        let lies = async {
            let to = [who[0].clone()];
            let told = said::Told { rows: told_rows, columns, kept: None, warm: None, validated: None };
            evil.push_message(&Slot::new("told").tagged("begin"), &to, &told).await.unwrap();
            let slot = Slot::new("grouped").tagged("tree.0.level.0");
            drop(evil.push_message(&slot, &to, &grouped).await);
        };
        let (ended, _, ()) = futures::join!(
            run(Stage::Train, guest, &who, parts[0].clone()),
            run(Stage::Train, good, &who, parts[1].clone()),
            lies
        );
        blames(&ended, &who[2], what);
    }
}

/// A guest that says what no honest guest says: each host names it.
#[tokio::test]
async fn a_guest_that_sends_what_no_honest_guest_sends_is_named() {
    let rows = made(40, 1, Goal::Binary);
    let who = parties(1);
    let root = || said::Level(vec![(0, None, None)], 1);
    let all = || vec![0; 40];
    let but_one = || (0..40).map(|row| if row == 7 { u16::MAX } else { 0 }).collect::<Vec<u16>>();
    let cases = [
        (3, None, root(), all(), "other trees than the job says"),
        (2, Some(1), root(), all(), "another way of training than the job says"),
        (2, None, said::Level(vec![(0, Some(0), None)], 1), all(), "with a parent that is not there"),
        (2, None, said::Level(vec![(0, None, None), (0, None, None)], 1), all(), "not there, or twice"),
        (2, None, said::Level(vec![(0, None, None)], 2), all(), "does not say of all where they are from"),
        (
            2,
            None,
            said::Level(vec![(0, None, None), (1, None, None)], 2),
            all(),
            "more than two are of one node",
        ),
        (2, None, root(), but_one(), "a root without all rows"),
        (2, None, root(), all(), "encrypted gradients are not usable"),
    ];
    for (trees, sampled_from, level, nodes, what) in cases {
        let [evil, host]: [_; 2] = meet(&who).await.try_into().ok().unwrap();
        let parts = parts("train_data", &rows, &of_goal(Goal::Binary, json!({})), &[1]);
        let lies = async {
            let to = [who[1].clone()];
            let context = format!("{}\n{}", evil.spec().session, who[0]);
            let owner = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
            let key = Some(ProvenKey::new(&owner, context.as_bytes()).unwrap());
            let (model, own, from) = ([1; 16], 0, 0);
            let begins =
                said::Begins { model, key, trees, own, from, sampled_from, pairs: true, packs: true };
            evil.push_message(&Slot::new("begins").tagged("begin"), &to, &begins).await.unwrap();
            let sharing = Sharing {
                packing: packing(40, owner.public().plaintext_bits()).unwrap(),
                pairs: true,
                packs: true,
            };
            let row = vec![0; owner.public().row_bytes()];
            let zeros = FixedSizeBinaryArray::try_from_iter((0..40).map(|_| &row)).unwrap();
            let gradients =
                held(&gradient_schema(owner.public(), sharing).unwrap(), vec![Arc::new(zeros)]).await;
            drop(evil.push_table(&Slot::new("gradients").tagged("tree.0"), &to, &gradients).await);
            drop(evil.push_message(&Slot::new("level").tagged("tree.0.level.0"), &to, &level).await);
            let nodes = held(&node_schema().unwrap(), vec![Arc::new(UInt16Array::from(nodes))]).await;
            drop(evil.push_table(&Slot::new("nodes").tagged("tree.0.level.0"), &to, &nodes).await);
        };
        let (ended, ()) = futures::join!(run(Stage::Train, host, &who, parts[1].clone()), lies);
        blames(&ended, &who[0], what);
    }
}
