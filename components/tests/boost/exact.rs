//! Trees and predictions beside those of the model of exactness.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use serde_json::{Value, json};
use tributary_binning::Cuts;
use tributary_boost::{Bins, Fate, Objective, Split, Tree};
use tributary_component::Stage;

use super::parties::{Ended, Part, all_well};
use super::plain::{PlainColumn, PlainNode, PlainRules, boost};
use super::tables::{Goal, Rows, Values, made, targets};

/// Parameters as jobs have them, and what they mean to the model.
pub fn quick(more: Value) -> Value {
    let mut all = json!({"he_param": {"key_length": 1024}, "max_bin": 8, "num_trees": 2, "max_depth": 3, "min_child_weight": 0.5});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn rules(parameters: &Value) -> PlainRules {
    let number = |key: &str, default: f64| parameters.get(key).and_then(Value::as_f64).unwrap_or(default);
    PlainRules {
        rounds: number("num_trees", 3.0) as usize,
        own_rounds: number("complete_secure", 0.0) as usize,
        rate: number("learning_rate", 0.3),
        depth: number("max_depth", 3.0) as usize,
        l1: number("l1", 0.0),
        l2: number("l2", 0.1),
        min_gain: number("min_impurity_split", 0.01),
        min_node: number("min_sample_split", 2.0) as usize,
        min_leaf: number("min_leaf_node", 1.0) as usize,
        min_hess: number("min_child_weight", 1.0),
    }
}

pub fn objective(goal: Goal) -> Objective {
    match goal {
        Goal::Binary | Goal::Signs => Objective::Binary,
        Goal::Classes(classes) => Objective::Multi { classes },
        Goal::Number => Objective::Squares,
    }
}

/// The parameters that a goal needs.
pub fn of_goal(goal: Goal, more: Value) -> Value {
    let mut all = more;
    let name = match goal {
        Goal::Binary | Goal::Signs => "binary:bce",
        Goal::Classes(classes) => {
            all["num_class"] = classes.into();
            "multi:ce"
        }
        Goal::Number => "regression:l2",
    };
    all["objective"] = name.into();
    quick(all)
}

/// A party's columns in the bins of its model.
fn binned(party: usize, rows: &Rows, model: &Value) -> Vec<PlainColumn> {
    let columns = model["parts"]["columns"].as_array().unwrap();
    let column = |(place, column): (usize, &Value)| {
        let cuts: Cuts = serde_json::from_value(column["cuts"].clone()).unwrap();
        let name = column["name"].as_str().unwrap();
        let at = rows.names.iter().position(|known| known == name);
        let bin = match at.map(|at| &rows.columns[at]) {
            Some(Values::Numbers(values)) => {
                values.iter().map(|value| usize::from(cuts.bin_of(*value))).collect()
            }
            Some(Values::Texts(values)) => {
                let known: Vec<&str> =
                    column["categories"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
                let code =
                    |text: &Option<String>| known.iter().position(|name| Some(*name) == text.as_deref());
                values.iter().map(|text| code(text).unwrap_or(cuts.bins())).collect()
            }
            None => (0..rows.ids.len()).map(|row| usize::from(cuts.bin_of(Some((row % 3) as f64)))).collect(),
        };
        let is_category = !column["categories"].is_null();
        PlainColumn { owner: (party, place as u32), bin, bins: cuts.bins(), is_category }
    };
    columns.iter().enumerate().map(column).collect()
}

/// The divisions of a host, by tree and node.
fn of_host(model: &Value) -> Vec<BTreeMap<u16, Split>> {
    let trees: Vec<Vec<(u16, Split)>> = serde_json::from_value(model["parts"]["trees"].clone()).unwrap();
    trees.into_iter().map(|tree| tree.into_iter().collect()).collect()
}

fn is_left(split: &Split, bin: usize, bins: usize) -> bool {
    match &split.left {
        _ if bin == bins => split.missing_left,
        Bins::UpTo(last) => bin <= usize::from(*last),
        Bins::In(all) => all.contains(&(bin as u16)),
    }
}

/// That the parts of a model at all parties are these trees.
pub fn same_trees(models: &[Value], columns: &[PlainColumn], expected: &[Vec<PlainNode>], said: &str) {
    let hosts: Vec<Vec<BTreeMap<u16, Split>>> = models[1..].iter().map(of_host).collect();
    let trees = models[0]["parts"]["trees"].as_array().unwrap();
    assert_eq!(trees.len(), expected.len(), "{said}");
    for (at, (tree, expected)) in trees.iter().zip(expected).enumerate() {
        let tree: Tree = serde_json::from_value(tree["tree"].clone()).unwrap();
        assert_eq!(tree.nodes.len(), expected.len(), "{said}: nodes of tree {at}");
        for (number, (node, expected)) in tree.nodes.iter().zip(expected).enumerate() {
            let place = format!("{said}: tree {at}, node {number}");
            assert_eq!(node.rows as usize, expected.rows, "{place}");
            assert_eq!(node.weight.to_bits(), expected.weight.to_bits(), "{place}");
            let (owner, split) = match &node.fate {
                Fate::Leaf => {
                    assert_eq!(expected.split, None, "{place}");
                    continue;
                }
                Fate::Own { split, .. } => ((0, split.column), split.clone()),
                Fate::Host { host, column, .. } => {
                    let split = hosts[usize::from(*host)][at][&(number as u16)].clone();
                    assert_eq!(split.column, *column, "{place}");
                    ((usize::from(*host) + 1, *column), split)
                }
            };
            let wanted = expected.split.as_ref().unwrap_or_else(|| panic!("{place} is a leaf"));
            assert_eq!(owner, wanted.owner, "{place}");
            assert_eq!(node.gain.to_bits(), wanted.gain.to_bits(), "{place}");
            assert_eq!(node.children().unwrap().map(usize::from), wanted.children, "{place}");
            let bins = columns.iter().find(|column| column.owner == owner).unwrap().bins;
            for (bin, left) in &wanted.left {
                assert_eq!(is_left(&split, *bin, bins), *left, "{place}: bin {bin} of {bins}");
            }
        }
    }
}

/// A column of numbers of a prediction.
pub async fn numbers(ended: &Ended, name: &str) -> Vec<f64> {
    let table = ended.table();
    let mut all = Vec::new();
    for batch in table.collect().await.unwrap() {
        let column = batch.column(table.schema().column_index(name).unwrap()).clone();
        let column = arrow_cast::cast(&column, &arrow_schema::DataType::Float64).unwrap();
        all.extend(column.as_primitive::<Float64Type>().values().iter().copied());
    }
    all
}

pub fn models(ended: &[Ended]) -> Vec<Value> {
    ended.iter().map(Ended::model).collect()
}

pub fn parts(input: &str, rows: &[Rows], parameters: &Value, partitions: &[u32]) -> Vec<Part> {
    let part = |(at, rows): (usize, &Rows)| {
        let partitions = partitions[at % partitions.len()];
        Part { partitions, ..Part::of(input, rows.clone(), parameters) }
    };
    rows.iter().enumerate().map(part).collect()
}

/// The model of exactness for these rows, and models in whose bins they are.
pub fn expected(
    rows: &[Rows],
    goal: Goal,
    parameters: &Value,
    models: &[Value],
) -> (Vec<PlainColumn>, Vec<Vec<PlainNode>>, Vec<Vec<f64>>) {
    let columns: Vec<PlainColumn> = rows
        .iter()
        .zip(models)
        .enumerate()
        .flat_map(|(party, (rows, model))| binned(party, rows, model))
        .collect();
    let (trees, scores) = boost(&columns, objective(goal), &targets(&rows[0], goal), rules(parameters));
    (columns, trees, scores)
}

/// Trains, compares with the model, predicts the same rows, and compares again. Gives what the training ended with.
pub async fn check(rows: &[Rows], goal: Goal, parameters: Value, partitions: &[u32]) -> Vec<Ended> {
    let said = format!("{} hosts, {goal:?}, {parameters}, {partitions:?}", rows.len() - 1);
    let ended = all_well(Stage::Train, parts("train_data", rows, &parameters, partitions)).await;
    let models = models(&ended);
    let (columns, trees, scores) = expected(rows, goal, &parameters, &models);
    same_trees(&models, &columns, &trees, &said);
    let divided = trees.iter().flatten().filter(|node| node.split.is_some()).count();
    assert!(divided > 0, "{said}: nothing was divided");

    let objective = objective(goal);
    let score = |row: usize| {
        let of_row: Vec<f64> = scores.iter().map(|of| of[row]).collect();
        objective.predicted(&of_row).into_iter().fold(f64::NEG_INFINITY, f64::max)
    };
    let score: Vec<u64> = (0..rows[0].ids.len()).map(|row| score(row).to_bits()).collect();
    let bits = |numbers: Vec<f64>| numbers.iter().map(|number| number.to_bits()).collect::<Vec<u64>>();
    assert_eq!(bits(numbers(&ended[0], "predict_score").await), score, "{said}");

    let mut again = parts("test_data", rows, &json!({}), partitions);
    for (part, model) in again.iter_mut().zip(&models) {
        part.models.insert("input_model".into(), model.clone());
    }
    let predicted = all_well(Stage::Predict, again).await;
    assert_eq!(bits(numbers(&predicted[0], "predict_score").await), score, "{said}: prediction");
    ended
}

#[tokio::test]
async fn one_two_and_three_hosts_and_all_objectives() {
    for hosts in 1..=3 {
        for goal in [Goal::Binary, Goal::Classes(3), Goal::Number] {
            let rows = made(240, hosts, goal);
            check(&rows, goal, of_goal(goal, json!({})), &[2, 1, 3]).await;
        }
    }
}

#[tokio::test]
async fn any_number_of_partitions_gives_the_same_model() {
    let rows = made(300, 1, Goal::Signs);
    let mut models: Vec<Vec<Value>> = Vec::new();
    for partitions in [1, 2, 7] {
        let ended = check(&rows, Goal::Signs, of_goal(Goal::Signs, json!({})), &[partitions]).await;
        let mut parts: Vec<Value> = ended.iter().map(|ended| ended.model()["parts"].clone()).collect();
        parts.iter_mut().for_each(|parts| parts["id"] = Value::Null);
        models.push(parts);
        assert!(numbers(&ended[0], "predict_result").await.iter().all(|class| class.abs() == 1.0));
    }
    assert_eq!(models[0], models[1]);
    assert_eq!(models[0], models[2]);
}

/// Each parameter changes what it is about, and encrypted trees stay those in the clear.
#[tokio::test]
async fn every_parameter_of_a_tree_has_its_effect() {
    let rows = made(260, 1, Goal::Binary);
    let base = json!({"num_trees": 1, "max_depth": 4});
    let model = |ended: &[Ended]| serde_json::to_string(&ended[0].model()["parts"]["trees"]).unwrap();
    let of = |more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of_goal(Goal::Binary, all)
    };
    let usual = model(&check(&rows, Goal::Binary, of(json!({})), &[2]).await);
    for more in [
        json!({"l1": 2.0}),
        json!({"l2": 5.0}),
        json!({"min_impurity_split": 3.0}),
        json!({"min_sample_split": 80}),
        json!({"min_leaf_node": 30}),
        json!({"min_child_weight": 8.0}),
        json!({"max_depth": 2}),
        json!({"max_bin": 3}),
        json!({"complete_secure": 1}),
        json!({"num_trees": 2}),
        json!({"learning_rate": 0.5}),
    ] {
        let other = model(&check(&rows, Goal::Binary, of(more.clone()), &[2]).await);
        assert_ne!(other, usual, "{more} changes nothing");
    }
}

/// How sums are made and travel changes how many bytes they take, and no tree.
#[tokio::test]
async fn packing_and_subtracting_save_bytes_and_change_nothing() {
    let rows = made(220, 1, Goal::Binary);
    let mut received = Vec::new();
    for more in
        [json!({}), json!({"gh_pack": false}), json!({"split_info_pack": false}), json!({"hist_sub": false})]
    {
        let ended = check(&rows, Goal::Binary, of_goal(Goal::Binary, more), &[2]).await;
        let of = |name: &str| {
            let slots = ended[0].traffic.slots.iter().filter(|slot| slot.slot.name == name);
            slots.map(|slot| slot.bytes).sum::<u64>()
        };
        received.push((of("gradients"), of("sums"), of("grouped")));
    }
    let [usual, pairs, packs, subtracting] = received[..] else { panic!() };
    assert!(pairs.0 > usual.0 * 19 / 10, "{received:?}");
    assert!(packs.1 > usual.1 * 4, "{received:?}");
    assert!(subtracting.2 > usual.2 * 5 / 4, "{received:?}");
}

#[tokio::test]
async fn weights_count_as_rows_do() {
    let mut rows = made(200, 1, Goal::Binary);
    rows[0].weights = Some((0..200).map(|row| f64::from(row % 4) / 2.0).collect());
    check(&rows, Goal::Binary, of_goal(Goal::Binary, json!({})), &[2]).await;
}

/// Plain boosting, with nobody to ask.
#[tokio::test]
async fn a_guest_may_train_alone() {
    check(&made(150, 0, Goal::Binary), Goal::Binary, of_goal(Goal::Binary, json!({})), &[2]).await;
}

/// A party without columns of its own, and a host whose columns say nothing.
#[tokio::test]
async fn a_party_may_have_no_columns() {
    for party in [0, 1] {
        let mut rows = made(150, 2, Goal::Binary);
        (rows[party].names, rows[party].columns) = (Vec::new(), Vec::new());
        check(&rows, Goal::Binary, of_goal(Goal::Binary, json!({})), &[2]).await;
    }
    let mut rows = made(150, 1, Goal::Binary);
    rows[1].columns = vec![Values::Numbers(vec![None; 150]), Values::Numbers(vec![Some(1.0); 150])];
    rows[1].names.truncate(2);
    check(&rows, Goal::Binary, of_goal(Goal::Binary, json!({})), &[1]).await;
}
