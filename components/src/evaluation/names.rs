//! The names of metrics.

use serde::Deserialize;
use tributary_evaluation::binary;

/// What jobs may name, as they name it.
pub(super) const ALL: [&str; 22] = [
    "auc",
    "ks",
    "confusion_matrix",
    "gain",
    "lift",
    "biclass_precision_table",
    "biclass_recall_table",
    "biclass_accuracy_table",
    "fscore_table",
    "binary_accuracy",
    "binary_recall",
    "binary_precision",
    "binary_f1_score",
    "psi",
    "multi_accuracy",
    "multi_precision",
    "multi_recall",
    "multi_f1_score",
    "rmse",
    "mae",
    "mse",
    "r2_score",
];

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    Psi,
    MultiAccuracy,
    MultiPrecision,
    MultiRecall,
    MultiF1Score,
    Rmse,
    Mae,
    Mse,
    R2Score,
    #[serde(untagged)]
    Binary(binary::Metric),
}

/// Which metrics, where none are named.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Setting {
    Binary,
    Multi,
    Regression,
}

impl Setting {
    pub(super) fn names(self) -> Vec<Name> {
        use binary::Metric as B;
        match self {
            Self::Binary => [
                B::Auc,
                B::Ks,
                B::ConfusionMatrix,
                B::Gain,
                B::Lift,
                B::BiclassPrecisionTable,
                B::BiclassRecallTable,
                B::BiclassAccuracyTable,
                B::FscoreTable,
            ]
            .map(Name::Binary)
            .to_vec(),
            Self::Multi => vec![Name::MultiAccuracy, Name::MultiPrecision, Name::MultiRecall],
            Self::Regression => vec![Name::Rmse, Name::Mae, Name::Mse, Name::R2Score],
        }
    }
}

impl Name {
    /// The metric of two classes that it is.
    pub(super) fn binary(&self) -> Option<binary::Metric> {
        match self {
            Self::Binary(metric) => Some(*metric),
            _ => None,
        }
    }

    /// Whether it is measured on scores in order.
    pub(super) fn needs_order(&self) -> bool {
        matches!(self, Self::Binary(_) | Self::Psi)
    }

    pub(super) fn is_multi(&self) -> bool {
        matches!(self, Self::MultiAccuracy | Self::MultiPrecision | Self::MultiRecall | Self::MultiF1Score)
    }

    pub(super) fn is_regression(&self) -> bool {
        matches!(self, Self::Rmse | Self::Mae | Self::Mse | Self::R2Score)
    }

    /// As results have it, of a metric that is one number.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::MultiAccuracy => "multi_accuracy",
            Self::MultiPrecision => "multi_precision",
            Self::MultiRecall => "multi_recall",
            Self::MultiF1Score => "multi_f1_score",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::Mse => "mse",
            Self::R2Score => "r2_score",
            Self::Psi => "psi",
            Self::Binary(_) => "binary",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_definition_is_a_metric() {
        for name in ALL {
            let read = serde_json::from_value::<Name>(name.into()).unwrap();
            let kinds = [read.needs_order(), read.is_multi(), read.is_regression()];
            assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{name}");
            assert!(read.binary().is_some() || read.text() == name, "{name}");
        }
    }
}
