//! `sample`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Columns, PARTITIONS, Run, column, ids, label, metric, output, values};

const ROWS: usize = 400;

fn tables(place: usize) -> Vec<(&'static str, Columns)> {
    let mut columns = vec![column("row", (0..ROWS).map(|row| Some(row as f64)))];
    if place == 0 {
        columns.push(label((0..ROWS).map(|row| i32::from(row % 4 == 0))));
    }
    vec![("input_data", columns)]
}

/// Row numbers and ids by party.
fn sampled(parameters: Value, partitions: u32) -> Vec<(Vec<usize>, Vec<String>)> {
    let run = Run { partitions, ..Run::new("sample", parameters, &tables) };
    let outputs = run.at(2).into_iter().map(|outputs| {
        let outputs = outputs.unwrap();
        let table = output(&outputs, "output_data").unwrap();
        (values(table, "row").into_iter().map(|row| row.unwrap() as usize).collect(), ids(table))
    });
    outputs.collect()
}

#[test]
fn both_parties_draw_the_same_rows_whatever_the_partitions() {
    let cases = [
        (json!({"frac": 0.25, "random_state": 5}), 100),
        (json!({"n": 33, "random_state": 5}), 33),
        (json!({"n": 900, "replace": true, "random_state": 5}), 900),
        (json!({"frac": 1.5, "replace": true, "random_state": 5}), 600),
        (json!({"frac": {"1": 0.5}, "random_state": 5}), 350),
        (json!({"frac": {"0": 0.1, "1": 2.0}, "replace": true, "random_state": 5}), 230),
        (json!({}), 400),
    ];
    for (parameters, count) in cases {
        let first = sampled(parameters.clone(), 1);
        assert_eq!(first[0].0.len(), count, "{parameters}");
        assert!(first[0].0.is_sorted(), "{parameters}");
        for partitions in PARTITIONS {
            let again = sampled(parameters.clone(), partitions);
            assert_eq!(again[0].0, again[1].0, "{parameters} {partitions}");
            if parameters.get("random_state").is_some() {
                assert_eq!(again, first, "{parameters} {partitions}");
            }
        }
    }
}

#[test]
fn rows_that_are_drawn_again_have_ids_of_their_own_but_at_hosts_which_count_rows_by_id() {
    let mut parties = sampled(json!({"n": 900, "replace": true}), 3);
    let (rows, ids) = parties.remove(1);
    assert!(rows.iter().zip(&ids).all(|(row, id)| *id == format!("host_10000-{row}")));
    let (rows, ids) = parties.remove(0);
    assert!(rows.iter().collect::<BTreeSet<_>>().len() < ROWS, "some rows are not drawn");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 900);
    for (row, id) in rows.iter().zip(&ids) {
        assert!(*id == format!("guest_9999-{row}") || id.starts_with(&format!("guest_9999-{row}_")), "{id}");
    }
}

/// Who draws decides how much memory a sample takes at all parties.
#[test]
fn a_sample_of_very_many_times_the_rows_is_refused() {
    for parameters in [
        json!({"n": 40_001, "replace": true}),
        json!({"frac": 1e300, "replace": true}),
        json!({"frac": {"1": 401.0}, "replace": true}),
    ] {
        let guest = Run::new("sample", parameters, &tables).at(2).remove(0).unwrap_err();
        assert!(guest.to_string().contains("at most 40000: 100 times as many"), "{guest}");
    }
    assert_eq!(sampled(json!({"n": 40_000, "replace": true}), 2)[1].0.len(), 40_000);
}

#[test]
fn a_fraction_for_each_label_is_counted_by_label() {
    let parameters = json!({"frac": {"0": 0.1, "1": 0.5}, "random_state": 2});
    let (rows, _) = sampled(parameters.clone(), 2).remove(1);
    assert_eq!(rows.iter().filter(|row| *row % 4 == 0).count(), 50);
    assert_eq!(rows.len(), 80);
    let guest = Run::new("sample", parameters, &tables).at(2).remove(0).unwrap();
    assert_eq!(
        *metric(&guest, "summary"),
        json!({
            "original_count": 400, "sampled_count": 80,
            "by_label": {"0": {"original_count": 300, "sampled_count": 30}, "1": {"original_count": 100, "sampled_count": 50}},
        })
    );
    let unknown =
        Run::new("sample", json!({"frac": {"7": 0.5}, "hetero_sync": false}), &tables).at(1).remove(0);
    assert!(unknown.unwrap_err().to_string().contains("no row has the label \"7\""));
    let many = Run::new("sample", json!({"n": 401, "hetero_sync": false}), &tables).at(1).remove(0);
    assert!(many.unwrap_err().to_string().contains("n is 401, and the table has 400 rows"));
}
