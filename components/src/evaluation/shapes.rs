//! Metrics as records have them: a name and a number, or a name and a map of columns; two that belong together are a list.

use serde_json::{Map, Value, json};
use tributary_evaluation::binary::{Column, Measured};

/// A metric that is one number; null if it is none.
pub(super) fn number(metric: &str, value: f64) -> Value {
    json!({"metric": metric, "val": value})
}

/// What one name measured.
pub(super) fn entry(measured: Vec<Measured>) -> Value {
    let mut all: Vec<Value> = measured.into_iter().map(one).collect();
    match all.len() {
        1 => all.remove(0),
        _ => all.into(),
    }
}

fn one(measured: Measured) -> Value {
    match measured {
        Measured::Number(metric, value) => number(metric, value),
        Measured::Table(metric, columns) => {
            let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), values(column)));
            json!({"metric": metric, "val": columns.collect::<Map<_, _>>()})
        }
    }
}

fn values(column: Column) -> Value {
    match column {
        Column::Numbers(values) => json!(values),
        Column::Counts(values) => json!(values),
        Column::ByLabel(values) => json!(values),
        Column::Texts(values) => json!(values),
    }
}
