//! What the models of earlier tasks say about columns.

use serde_json::{Map, Value};
use tributary_component::output::Model;
use tributary_component::task::{Input, Task};
use tributary_core::{Error, Party, Result};

/// The models under `input_models`.
pub(super) struct Models<'a> {
    statistics: Option<&'a Value>,
    binning: Option<&'a Value>,
}

impl<'a> Models<'a> {
    /// `InvalidInput` for a model that is neither of binning nor of statistics, and for two of one kind.
    pub(super) fn of(task: &'a Task) -> Result<Self> {
        let mut models = Self { statistics: None, binning: None };
        for input in task.inputs.get("input_models").into_iter().flatten() {
            let Input::Model(Model::Json(model)) = input else { return Err(other()) };
            let place = match (model["meta"]["model_type"].as_str(), model["data"].get("bin_count_dict")) {
                (Some("statistics"), _) => &mut models.statistics,
                (_, Some(_)) => &mut models.binning,
                _ => return Err(other()),
            };
            if place.replace(model).is_some() {
                return Err(Error::invalid("two models of one kind in input_models, and one is expected"));
            }
        }
        Ok(models)
    }

    fn binning(&self) -> Result<&'a Value> {
        self.binning.ok_or_else(|| {
            Error::invalid("method iv needs a model of hetero_feature_binning in input_models")
        })
    }

    /// A statistic of this party's columns.
    pub(super) fn statistics(&self, metric: &str) -> Result<&'a Map<String, Value>> {
        let model = self
            .statistics
            .ok_or_else(|| Error::invalid("method statistics needs a model of statistics in input_models"))?;
        model["data"]["metrics_summary"][metric].as_object().ok_or_else(|| {
            Error::invalid(format!("the model of statistics has no {metric}; name it in that task's metrics"))
        })
    }

    /// At the guest: information values of its own columns.
    pub(super) fn own_iv(&self) -> Result<&'a Map<String, Value>> {
        self.binning()?["data"]["metrics_summary"]["iv"].as_object().ok_or_else(without)
    }

    /// At the guest: information values of a host's columns, under anonymous names.
    pub(super) fn host_iv(&self, host: &Party) -> Result<&'a Map<String, Value>> {
        let hosts = &self.binning()?["data"]["host_metrics_summary"];
        hosts[host.to_string()]["iv"].as_object().ok_or_else(|| {
            Error::invalid(format!("the binning model has no information values of {host}; train it without local_only, or set select_federated to false"))
        })
    }

    /// At a host: its columns by anonymous name.
    pub(super) fn anonymous(&self) -> Result<&'a Map<String, Value>> {
        self.binning()?["meta"]["anonymous"].as_object().ok_or_else(without)
    }
}

fn other() -> Error {
    Error::invalid("input_models takes models of hetero_feature_binning and of statistics")
}

fn without() -> Error {
    Error::invalid(
        "the binning model has no information values; train it with a label, and without skip_metrics",
    )
}
