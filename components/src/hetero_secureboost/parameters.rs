//! What a user may say about a training, and what is wrong with it.

use serde::Deserialize;
use serde_json::json;
use tributary_boost::tree::MAX_DEPTH;
use tributary_boost::{Objective, Rules, Scale, sampling::Rates};
use tributary_component::definition::{Artifact, Definition, Kind, Parameter, Stage, above};
use tributary_component::{Ask, Asked, Assignment, ParameterProblem as Problem};
use tributary_core::{Result, Role};

use crate::hetero_feature_binning::parameters::HeParam;

/// Most trees of a training: a model must be readable.
const MAX_TREES: i64 = 100_000;

/// A number between 0 and 1, neither of them.
fn part(name: &'static str) -> Parameter {
    let open = (std::ops::Bound::Excluded(0.0), std::ops::Bound::Excluded(1.0));
    Parameter::new(name, Kind::float(open))
}

/// The published description.
pub(super) fn definition() -> Definition {
    let train = [Stage::Train, Stage::CrossValidation];
    let (fit, predict, folds) = ([Stage::Train], [Stage::Predict], [Stage::CrossValidation]);
    let parameters = [
        Parameter::int("num_trees", 1..=MAX_TREES)
            .default(3)
            .describe("trees, for each class where there are several"),
        Parameter::float("learning_rate", above(0.0))
            .default(0.3)
            .describe("what part of a tree's weights counts"),
        Parameter::int("max_depth", 1..=i64::from(MAX_DEPTH)).default(3).describe("levels below the root"),
        Parameter::int("complete_secure", 0..)
            .default(0)
            .describe("so many first trees use the guest's columns alone, which hides its label best"),
        Parameter::int("max_bin", 2..=4_096)
            .default(32)
            .describe("bins of each numeric column, of equal numbers of rows"),
        Parameter::choice("objective", &["binary:bce", "multi:ce", "regression:l2"])
            .default("binary:bce")
            .describe("what is predicted: a label of two values, of several, or a number"),
        Parameter::int("num_class", 2..=1_000).default(2).describe("classes of multi:ce; labels are 0, 1, …"),
        Parameter::bool("goss")
            .default(false)
            .describe("train each tree on the rows with the largest gradients and some others"),
        Parameter::int("goss_start_iter", 0..).default(5).describe("from this tree on"),
        part("top_rate").default(0.2).describe("part of the rows that is taken for its gradients"),
        part("other_rate").default(0.1).describe("part of the rows that is taken of the others"),
        Parameter::float("l1", 0.0..).default(0.0).describe("makes weights of leaves smaller by their size"),
        Parameter::float("l2", 0.0..).default(0.1).describe("and by their square"),
        Parameter::float("min_impurity_split", above(0.0))
            .default(0.01)
            .describe("a division must gain more"),
        Parameter::int("min_sample_split", 1..).default(2).describe("rows of a node that is divided"),
        Parameter::int("min_leaf_node", 1..).default(1).describe("rows of each of its two sides"),
        Parameter::float("min_child_weight", above(0.0))
            .default(1.0)
            .describe("sum of second derivatives of each of its two sides"),
        Parameter::bool("gh_pack")
            .default(true)
            .describe("encrypt both derivatives of a row in one ciphertext"),
        Parameter::bool("split_info_pack").default(true).describe("hosts send many sums in one ciphertext"),
        Parameter::bool("hist_sub")
            .default(true)
            .describe("of two sibling nodes add up the smaller one, and subtract for the other"),
        Parameter::record(
            "he_param",
            [
                Parameter::choice("kind", &["paillier"]).default("paillier").describe("the scheme"),
                Parameter::int("key_length", 1024..=3072)
                    .default(2048)
                    .describe("bits of the modulus: 1024 (weak), 2048 or 3072"),
            ],
        )
        .default(json!({"kind": "paillier", "key_length": 2048}))
        .describe("how gradients are encrypted for hosts"),
    ];
    let definition = Definition::new("hetero_secureboost")
        .describe("Trains trees by gradient boosting on the columns of all parties; each division stays with the party whose column it uses")
        .label("trainable")
        .roles(["guest", "host"])
        .stages([Stage::Train, Stage::Predict, Stage::CrossValidation]);
    parameters
        .into_iter()
        .fold(definition, |definition, parameter| definition.parameter(parameter.stages(train)))
        .parameter(
            Parameter::record(
                "cv_param",
                [
                    Parameter::int("n_splits", 2..=1_000).default(5).describe("folds"),
                    Parameter::bool("shuffle")
                        .default(false)
                        .describe("rows of a fold are drawn; else they follow one another"),
                    Parameter::int("random_state", 0..).default(0).describe("seed of the draw"),
                ],
            )
            .default(json!({"n_splits": 5, "shuffle": false, "random_state": 0}))
            .stages(folds)
            .describe("how rows are cut into folds"),
        )
        .parameter(
            Parameter::bool("output_cv_data")
                .default(true)
                .stages(folds)
                .describe("give the predictions of all folds"),
        )
        .input(Artifact::data("train_data").stages(fit).describe("aligned rows, from psi"))
        .input(
            Artifact::data("validate_data")
                .optional()
                .stages(fit)
                .describe("aligned rows to measure each tree on"),
        )
        .input(
            Artifact::model("warm_start_model")
                .optional()
                .stages(fit)
                .describe("a trained model to add trees to"),
        )
        .input(Artifact::data("test_data").stages(predict).describe("aligned rows, from psi"))
        .input(Artifact::model("input_model").stages(predict).describe("a trained model"))
        .input(Artifact::data("cv_data").stages(folds).describe("aligned rows, from psi"))
        .output(
            Artifact::data("train_output_data")
                .optional()
                .roles(["guest"])
                .stages(fit)
                .describe("predictions"),
        )
        .output(Artifact::data("test_output_data").roles(["guest"]).stages(predict).describe("predictions"))
        .output(
            Artifact::data("cv_output_datas")
                .optional()
                .roles(["guest"])
                .stages(folds)
                .describe("predictions of the rows of all folds, each by a model that did not see it"),
        )
        .output(
            Artifact::model("output_model").optional().stages(fit).describe("the party's part of the trees"),
        )
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Goal {
    #[serde(rename = "binary:bce")]
    Binary,
    #[serde(rename = "multi:ce")]
    Multi,
    #[serde(rename = "regression:l2")]
    Regression,
}

/// Parameters of training and of cross validation.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parameters {
    pub num_trees: u32,
    pub learning_rate: f64,
    pub max_depth: u32,
    pub complete_secure: u32,
    pub max_bin: u32,
    objective: Goal,
    num_class: u32,
    goss: bool,
    goss_start_iter: u32,
    top_rate: f64,
    other_rate: f64,
    l1: f64,
    l2: f64,
    min_impurity_split: f64,
    min_sample_split: u64,
    min_leaf_node: u64,
    min_child_weight: f64,
    pub gh_pack: bool,
    pub split_info_pack: bool,
    pub hist_sub: bool,
    pub he_param: HeParam,
}

/// What only cross validation has.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FoldParameters {
    pub cv_param: CvParam,
    pub output_cv_data: bool,
}

/// How rows are cut into folds.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CvParam {
    pub n_splits: u32,
    pub shuffle: bool,
    pub random_state: u64,
}

impl Parameters {
    /// The loss.
    pub(super) fn objective(&self) -> Objective {
        match self.objective {
            Goal::Binary => Objective::Binary,
            Goal::Multi => Objective::Multi { classes: self.num_class },
            Goal::Regression => Objective::Squares,
        }
    }

    /// What a division must be worth, in sums of this scale.
    pub(super) fn rules(&self, scale: Scale) -> Rules {
        let Self { l1, l2, min_impurity_split, min_sample_split, min_leaf_node, min_child_weight, .. } =
            *self;
        Rules { l1, l2, min_impurity_split, min_sample_split, min_leaf_node, min_child_weight, scale }
    }

    /// How many rows a tree of this round is trained on; none for all.
    pub(super) fn rates(&self, round: u32) -> Option<Rates> {
        let sampled = self.goss && round >= self.goss_start_iter;
        sampled.then_some(Rates { top: self.top_rate, other: self.other_rate })
    }

    /// The first tree that is trained on a sample; none if all are trained on all rows.
    pub(super) fn sampled_from(&self) -> Option<u32> {
        let first = (0..self.num_trees).find(|round| self.rates(*round).is_some());
        first.map(|round| round * self.objective().outputs() as u32)
    }

    /// Trees of the whole training.
    pub(super) fn trees(&self) -> u64 {
        u64::from(self.num_trees) * self.objective().outputs() as u64
    }

    /// The most sums that a guest may get about a column of so many bins by so many trees: one for each bin, and missing values, of each
    /// node that may be divided.
    pub(super) fn sums(&self, trees: u64, bins: u64) -> u64 {
        trees.saturating_mul((1u64 << self.max_depth) - 1).saturating_mul(bins + 1)
    }
}

/// Every mistake that shows without a table.
pub(super) fn problems(assignment: &Assignment<'_>) -> Result<Vec<Problem>> {
    let guests = assignment.expect_one_guest();
    if assignment.stage == Stage::Predict {
        return Ok(guests.into_iter().collect());
    }
    let parameters: Parameters = assignment.parameters()?;
    let Parameters { top_rate, other_rate, .. } = parameters;
    let rates = (parameters.goss && top_rate + other_rate > 1.0).then(|| {
        let text = format!("with top_rate {top_rate} it is more than all rows");
        Problem::of("other_rate", text).help("lower one of them")
    });
    let bits = parameters.he_param.key_length;
    let key = parameters.he_param.bits().err().map(|_| {
        Problem::of("he_param", format!("expected 1024, 2048 or 3072 bits, got {bits}")).key("key_length")
    });
    Ok(guests.into_iter().chain(rates).chain(key).collect())
}

/// What a host is asked to release.
pub(super) fn asks(assignment: &Assignment<'_>) -> Result<Vec<Asked>> {
    if assignment.stage == Stage::Predict
        || *assignment.own.role.as_str() != *Role::host().as_str()
        || !assignment.has_partners()
    {
        return Ok(Vec::new());
    }
    let parameters: Parameters = assignment.parameters()?;
    let secure = u64::from(parameters.complete_secure) * parameters.objective().outputs() as u64;
    let folds = match assignment.stage {
        Stage::CrossValidation => u64::from(assignment.parameters::<FoldParameters>()?.cv_param.n_splits),
        _ => 1,
    };
    let trees = parameters.trees().saturating_sub(secure).saturating_mul(folds);
    if trees == 0 {
        return Ok(Vec::new());
    }
    let bins = u64::from(parameters.max_bin);
    Ok(vec![
        Asked { ask: Ask::Bins(bins), parameter: "max_bin" },
        Asked { ask: Ask::Sums(parameters.sums(trees, bins)), parameter: "num_trees" },
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::HeteroSecureBoost;
    use super::*;
    use tributary_component::testing;

    const BOTH: [(&str, &str); 2] = [("guest", "1"), ("host", "2")];

    fn check(given: Value, expected: &[&str]) {
        let found = testing::problems(&HeteroSecureBoost::default(), Stage::Train, &BOTH, given.clone());
        assert_eq!(found, expected, "{given}");
    }

    #[test]
    fn parameters_that_do_not_go_together_are_reported() {
        check(json!({}), &[]);
        check(json!({"top_rate": 0.8, "other_rate": 0.5}), &[]);
        check(
            json!({"goss": true, "top_rate": 0.8, "other_rate": 0.5}),
            &["other_rate: with top_rate 0.8 it is more than all rows (lower one of them)"],
        );
        check(
            json!({"he_param": {"key_length": 1500}}),
            &["he_param/key_length: expected 1024, 2048 or 3072 bits, got 1500"],
        );
        assert_eq!(definition().mistakes(), Vec::<String>::new());
    }
}
