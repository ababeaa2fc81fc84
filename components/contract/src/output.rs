//! What a component gives back.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_core::{Table, TableName};

/// The outputs of one task of one party, by the keys of its definition.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Tables.
    pub data: Vec<(String, DataOutput)>,
    /// Models.
    pub models: Vec<(String, Model)>,
    /// What was measured, in order.
    pub metrics: Vec<Metric>,
    /// By key of a table: its columns that keep the name of an input's column, but not its values.
    pub recoded: BTreeMap<String, Vec<String>>,
}

/// What training found, as it is registered.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// A JSON value: what people look at and other programs read.
    Json(Value),
    /// Bytes in a form of the component's own.
    Bytes(Bytes),
    /// Several files by name, without folders.
    Files(BTreeMap<String, Bytes>),
}

impl From<Value> for Model {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// A table that a component gives back.
#[derive(Debug)]
pub enum DataOutput {
    /// To be stored under the task's name.
    Table(Table),
    /// One that the site has already.
    Existing(TableName),
}

impl Outputs {
    /// With a table to be stored.
    #[must_use]
    pub fn table(mut self, key: &str, table: Table) -> Self {
        self.data.push((key.into(), DataOutput::Table(table)));
        self
    }

    /// With the columns of an output table that keep the name of an input's column, but not its values. Nothing about them is
    /// released any more: where new values are cut says nothing of where the old ones were.
    #[must_use]
    pub fn recoded(mut self, key: &str, columns: Vec<String>) -> Self {
        self.recoded.insert(key.into(), columns);
        self
    }

    /// With a model.
    #[must_use]
    pub fn model(mut self, key: &str, model: impl Into<Model>) -> Self {
        self.models.push((key.into(), model.into()));
        self
    }

    /// With a metric.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }
}

/// One metric, in FATE's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `summary`, `lr_loss`.
    pub name: String,
    /// `loss`, `custom`, or nothing.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Enclosing contexts, outermost first.
    pub groups: Vec<Group>,
    /// What the steps count: `iterations`; nothing for a one-off.
    pub step_axis: Option<String>,
    /// Any JSON for a one-off; `[{metric, step, timestamp}]` for a step.
    pub data: Value,
}

/// One level of context of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `default`, `train`.
    pub name: String,
    /// Inside a loop: which round.
    pub index: Option<u64>,
}

impl Metric {
    /// A value measured once.
    pub fn one_off(name: &str, kind: Option<&str>, data: Value) -> Self {
        let groups = vec![Group { name: "default".into(), index: None }];
        Self { name: name.into(), kind: kind.map(Into::into), groups, step_axis: None, data }
    }

    /// A value measured at one step of a series, `axis` saying what the steps count. `at_ms`: milliseconds since 1970.
    pub fn step(name: &str, axis: &str, step: u64, value: f64, at_ms: u64) -> Self {
        let data = json!([{"metric": value, "step": step, "timestamp": at_ms as f64 / 1000.0}]);
        Self { step_axis: Some(axis.into()), ..Self::one_off(name, None, data) }
    }

    /// Adds a metric to those measured so far: a further step goes on with its series, a value measured again replaces the
    /// earlier one.
    pub fn add_to(self, metrics: &mut Vec<Metric>) {
        let key = |m: &Metric| (m.name.clone(), m.groups.clone(), m.step_axis.clone());
        match metrics.iter_mut().find(|earlier| key(earlier) == key(&self)) {
            None => metrics.push(self),
            Some(earlier) => match (&mut earlier.data, self.data) {
                (Value::Array(steps), Value::Array(more)) if earlier.step_axis.is_some() => {
                    steps.extend(more)
                }
                (data, other) => *data = other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_series_are_one_metric_and_a_value_measured_again_replaces_the_earlier_one() {
        let mut metrics = Vec::new();
        for step in 0..3 {
            Metric::step("loss", "iterations", step, 0.5, 1000).add_to(&mut metrics);
            Metric::one_off("rows", None, step.into()).add_to(&mut metrics);
        }
        assert_eq!(metrics.len(), 2);
        assert_eq!(metrics[0].data.as_array().unwrap().len(), 3);
        assert_eq!(metrics[0].data[2], json!({"metric": 0.5, "step": 2, "timestamp": 1.0}));
        assert_eq!(metrics[1].data, 2);
    }
}
