//! What a component gives back.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_core::{Table, TableName};

/// The outputs of one task of one party, by the keys of its definition.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Tables.
    pub data: Vec<(String, DataOutput)>,
    /// Models, as JSON.
    pub models: Vec<(String, Value)>,
    /// What was measured, in order.
    pub metrics: Vec<Metric>,
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

    /// With a model.
    #[must_use]
    pub fn model(mut self, key: &str, model: Value) -> Self {
        self.models.push((key.into(), model));
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
}
