//! `union`.

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::DataType;
use serde_json::json;
use std::sync::Arc;
use tributary_core::Field;

use super::{Columns, PARTITIONS, Run, column, label, metric, output, values};

fn whole(name: &str, values: impl IntoIterator<Item = i64>) -> (Field, ArrayRef) {
    (Field::new(name, DataType::Int64), Arc::new(Int64Array::from_iter_values(values)))
}

#[test]
fn rows_of_all_tables_in_their_order_with_columns_by_name() {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        vec![
            ("input_datas", vec![whole("a", 0..5), label([0, 1, 0, 1, 0]), whole("b", 10..15)]),
            ("input_datas", vec![column("b", [Some(0.5), None]), label([1, 1]), whole("a", 5..7)]),
        ]
    };
    for partitions in PARTITIONS {
        let outputs = Run { partitions, ..Run::new("union", json!({}), &tables) }.alone();
        let table = output(&outputs, "output_data").unwrap();
        let numbers = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
        assert_eq!(values(table, "a"), numbers(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(values(table, "y"), numbers(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0]));
        assert_eq!(values(table, "b")[4..], [Some(14.0), Some(0.5), None]);
        let types: Vec<&DataType> = table.schema().fields().iter().map(|field| &field.data_type).collect();
        assert_eq!(types, [&DataType::Int64, &DataType::Int32, &DataType::Float64]);
        let summary = json!({"input_count": {"task_0": 5, "task_1": 2}, "union_count": 7});
        assert_eq!(*metric(&outputs, "summary"), summary);
    }
}

#[test]
fn tables_of_other_columns_are_refused_by_name() {
    let refused = |second: Columns| {
        let second = std::cell::RefCell::new(Some(second));
        let tables = |_: usize| -> Vec<(&'static str, Columns)> {
            vec![
                ("input_datas", vec![whole("a", 0..3)]),
                ("input_datas", second.borrow_mut().take().unwrap()),
            ]
        };
        Run::new("union", json!({}), &tables).at(1).remove(0).unwrap_err().chain()
    };
    let error = refused(vec![whole("a", 0..3), whole("c", 0..3)]);
    assert!(error.contains("union of task_0 and task_1") && error.contains("only one has: c"), "{error}");
    assert!(refused(vec![super::texts("a", ["x"])]).contains("\"a\" has another type"));
    let (field, values) = label([1]);
    let error = refused(vec![(Field { name: "a".into(), ..field }, values)]);
    assert!(error.contains("\"a\" has another purpose"), "{error}");
}
