//! `data_split`.

use serde_json::{Value, json};
use tributary_core::{ErrorKind, Limits};

use super::{Columns, PARTITIONS, Run, column, ids, label, metric, output, values};

const ROWS: usize = 500;
const KEYS: [&str; 3] = ["train_output_data", "validate_output_data", "test_output_data"];

/// The row's number at every party, and the label at the guest: one row in five is 1.
fn tables(place: usize) -> Vec<(&'static str, Columns)> {
    let mut columns = vec![column("row", (0..ROWS).map(|row| Some(row as f64)))];
    if place == 0 {
        columns.push(label((0..ROWS).map(|row| i32::from(row % 5 == 0))));
    }
    vec![("input_data", columns)]
}

/// The row numbers of each part, by party.
fn parts(parameters: &Value, partitions: u32, parties: usize) -> Vec<[Vec<usize>; 3]> {
    let run = Run { partitions, ..Run::new("data_split", parameters.clone(), &tables) };
    let outputs = run.at(parties).into_iter().map(Result::unwrap);
    let rows = |outputs: &_, key: &str| {
        let table = output(outputs, key).map(|table| values(table, "row")).unwrap_or_default();
        table.into_iter().map(|row| row.unwrap() as usize).collect()
    };
    outputs.map(|outputs| KEYS.map(|key| rows(&outputs, key))).collect()
}

#[test]
fn every_party_gets_the_same_rows_in_the_same_order_whatever_the_partitions() {
    let parameters = json!({"train_size": 0.7, "validate_size": 0.2, "random_state": 7});
    let first = parts(&parameters, 1, 3);
    assert_eq!(first[0].each_ref().map(Vec::len), [350, 100, 50]);
    let mut all: Vec<usize> = first[0].concat();
    all.sort_unstable();
    assert_eq!(all, (0..ROWS).collect::<Vec<_>>());
    assert!(first[0].iter().all(|part| part.is_sorted()), "parts keep the order of rows");
    assert!(!first[0][0].iter().enumerate().all(|(i, row)| i == *row), "rows are drawn, not cut");
    for partitions in PARTITIONS {
        for party in parts(&parameters, partitions, 3) {
            assert_eq!(party, first[0], "{partitions} partitions");
        }
    }
    let other = parts(&json!({"train_size": 0.7, "validate_size": 0.2, "random_state": 8}), 1, 2);
    assert_ne!(other[0], first[0]);
    assert_ne!(
        parts(&json!({}), 1, 2)[0],
        parts(&json!({}), 1, 2)[0],
        "without a state each draw is another"
    );
}

#[test]
fn a_part_of_nothing_is_no_output_and_rows_are_counted_as_given() {
    assert_eq!(parts(&json!({}), 2, 2)[1].each_ref().map(Vec::len), [400, 100, 0]);
    assert_eq!(parts(&json!({"test_size": 17}), 2, 2)[0].each_ref().map(Vec::len), [483, 0, 17]);
    let run = Run::new("data_split", json!({"train_size": 501}), &tables);
    assert!(
        run.at(1)[0].as_ref().unwrap_err().to_string().contains("501 rows together, and the table has 500")
    );
}

#[test]
fn stratified_parts_have_their_share_of_each_label() {
    let parameters = json!({"train_size": 0.7, "test_size": 0.3, "stratified": true, "random_state": 1});
    let parties = parts(&parameters, 3, 2);
    assert_eq!(parties[0], parties[1], "the host has no label, and the same rows");
    let events = |part: &[usize]| part.iter().filter(|row| *row % 5 == 0).count();
    assert_eq!(parties[0].each_ref().map(|part| events(part)), [70, 0, 30]);
    let run = Run::new("data_split", parameters, &tables);
    let guest = run.at(2).remove(0).unwrap();
    assert_eq!(
        *metric(&guest, "summary"),
        json!({
            "original_count": 500, "train_count": 350, "validate_count": 0, "test_count": 150,
        })
    );
    assert_eq!(metric(&guest, "1_summary")["train_count"], 70);
    assert_eq!(metric(&guest, "0_summary")["test_count"], 120);
}

#[test]
fn without_sync_each_party_draws_by_its_own_ids() {
    let parameters = json!({"hetero_sync": false, "random_state": 3});
    let parties = parts(&parameters, 2, 2);
    assert_eq!(parties[1].each_ref().map(Vec::len), [400, 100, 0]);
    assert_ne!(parties[0], parties[1]);
    assert_eq!(parties, parts(&parameters, 7, 2));
}

#[test]
fn a_host_takes_no_part_of_fewer_rows_than_its_limits_want() {
    let limits = Limits { min_common_rows: 20, ..Limits::NONE };
    let run = |test: u64| {
        let parameters = json!({"test_size": test});
        Run { limits: limits.clone(), ..Run::new("data_split", parameters, &tables) }.at(2).remove(1)
    };
    assert_eq!(run(19).unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(ids(output(&run(20).unwrap(), "test_output_data").unwrap()).len(), 20);
}
