//! Modules that train trees, and measure predictions.

use serde_json::{Value, json};
use tributary_document::Item;

use super::{Becomes, Module, NEED_RUN, Rule, Shape};
use crate::parameters::Taken;
use Becomes::{Changed, Kept, NoEffect, Only, Words};

const FAST: &str = "it is about how FATE trains; the result is the same";
const MODE: &str = "leave it out: only trees of all parties' columns are trained";

pub(super) const HETERO_SECURE_BOOST: Module = Module {
    name: "HeteroSecureBoost",
    component: "hetero_secureboost",
    shape: Shape::Fitted { model: "output_model", isometric: None, learns: true },
    at_guest: false,
    about: "all trees are trained; missing values take the side that fits them better; `cross_entropy` is of two classes: for more, convert the job, and set `objective: multi:ce` and `num_class`",
    rules: BOOST,
};

/// The name of the same in older versions.
pub(super) const HETERO_SECURE_BOOSTING_TREE: Module =
    Module { name: "HeteroSecureBoostingTree", ..HETERO_SECURE_BOOST };

const BOOST: &[Rule] = &[
    Rule::new("task_type", Changed(task_type, "classification or regression, as `objective` says")),
    Rule::new(
        "objective_param.objective",
        Words("objective", &[("cross_entropy", "binary:bce"), ("lse", "regression:l2")]),
    ),
    Rule::new("objective_param.params", Only(&["null", "[]"], "the objectives here have no parameters")),
    Rule::new("num_trees", Kept("num_trees")).or("num_trees", "5"),
    Rule::new("learning_rate", Kept("learning_rate")),
    Rule::new("bin_num", Kept("max_bin")),
    Rule::new("tree_param.criterion_method", Only(&["\"xgboost\""], "there is no other")),
    Rule::new(
        "tree_param.criterion_params",
        Changed(criterion, "`l2` and `l1`: [0.1, 0], or {l1: 0, l2: 0.1}"),
    ),
    Rule::new("tree_param.max_depth", Kept("max_depth")),
    Rule::new("tree_param.min_sample_split", Kept("min_sample_split")),
    Rule::new("tree_param.min_impurity_split", Kept("min_impurity_split")).or("min_impurity_split", "0.001"),
    Rule::new("tree_param.min_leaf_node", Kept("min_leaf_node")),
    Rule::new("tree_param.min_child_weight", Kept("min_child_weight")),
    Rule::new("tree_param.max_split_nodes", NoEffect(FAST)),
    Rule::new("tree_param.feature_importance_type", NoEffect("a model says gains and numbers of divisions")),
    Rule::new("tree_param.n_iter_no_change", NoEffect("all trees are trained")),
    Rule::new("tree_param.tol", NoEffect("all trees are trained")),
    Rule::new("tree_param.use_missing", NoEffect("missing values take the side that fits them better")),
    Rule::new("tree_param.zero_as_missing", Only(&["false"], ZERO)),
    Rule::new("subsample_feature_rate", Only(&["1", "1.0"], "each tree sees all columns")),
    Rule::new("n_iter_no_change", NoEffect("all trees are trained")),
    Rule::new("tol", NoEffect("all trees are trained")),
    Rule::new("encrypt_param.method", Words("he_param.kind", &[("Paillier", "paillier")])),
    Rule::new("encrypt_param.key_length", Kept("he_param.key_length")),
    Rule::new("encrypted_mode_calculator_param", NoEffect(FAST)),
    Rule::new("predict_param.threshold", Only(&["0.5"], "compare predict_score with it")),
    Rule::new("cv_param.need_cv", Changed(|_, _| (), "stage cross_validation, if true")),
    Rule::new(
        "cv_param.n_splits",
        Changed(|item, taken| taken.fold("cv_param.n_splits", item), "`cv_param.n_splits`, with need_cv"),
    ),
    Rule::new(
        "cv_param.shuffle",
        Changed(|item, taken| taken.fold("cv_param.shuffle", item), "`cv_param.shuffle`, with need_cv"),
    ),
    Rule::new(
        "cv_param.random_seed",
        Changed(
            |item, taken| taken.fold("cv_param.random_state", item),
            "`cv_param.random_state`, with need_cv",
        ),
    ),
    Rule::new("cv_param.mode", NoEffect("parties have different columns")),
    Rule::new("cv_param.role", NoEffect("every role of the task")),
    Rule::new("cv_param.output_fold_history", NoEffect("predictions of all folds are an output")),
    Rule::new("cv_param.history_value_type", NoEffect("predictions of all folds are an output")),
    Rule::new("validation_freqs", NoEffect("rows to validate are measured after every tree")),
    Rule::new("early_stopping_rounds", Only(&["null"], "all trees are trained")),
    Rule::new("metrics", NoEffect("training measures the loss; use Evaluation")),
    Rule::new("use_first_metric_only", NoEffect("all trees are trained")),
    Rule::new("use_missing", NoEffect("missing values take the side that fits them better")),
    Rule::new("zero_as_missing", Only(&["false"], ZERO)),
    Rule::new("complete_secure", Changed(complete_secure, "`complete_secure`: true is one tree")),
    Rule::new("random_seed", NoEffect("rows and columns are not drawn")),
    Rule::new("binning_error", NoEffect("quantiles are exact")),
    Rule::new("sparse_optimization", NoEffect(FAST)),
    Rule::new("run_goss", Kept("goss")),
    Rule::new("top_rate", Kept("top_rate")),
    Rule::new("other_rate", Kept("other_rate")),
    Rule::new("cipher_compress_error", NoEffect(FAST)),
    Rule::new("cipher_compress", Kept("split_info_pack")),
    Rule::new("new_ver", NoEffect(FAST)),
    Rule::new("boosting_strategy", Only(&["\"std\""], MODE)),
    Rule::new("work_mode", Only(&["null", "\"std\""], MODE)),
    Rule::new("tree_num_per_party", NoEffect("boosting_strategy is std")),
    Rule::new("guest_depth", NoEffect("boosting_strategy is std")),
    Rule::new("host_depth", NoEffect("boosting_strategy is std")),
    Rule::new("callback_param", Only(&["null", "{}"], "all trees are trained")),
    Rule::new("multi_mode", Only(&["\"single_output\""], "each class has trees of its own")),
    Rule::new("EINI_inference", Only(&["false"], "prediction walks the trees with the hosts")),
    Rule::new("EINI_random_mask", Only(&["false"], "prediction walks the trees with the hosts")),
    Rule::new("EINI_complexity_check", Only(&["false"], "prediction walks the trees with the hosts")),
];

const ZERO: &str = "upload with --null 0, if 0 means missing";

fn task_type(item: &Item<'_>, taken: &mut Taken) {
    let objective = item.choice(&[("classification", "binary:bce"), ("regression", "regression:l2")]);
    if let Some(objective) = objective {
        taken.set("objective", objective, item);
    }
}

/// L2 first, then L1.
fn criterion(item: &Item<'_>, taken: &mut Taken) {
    match item.json() {
        Some(Value::Array(values)) if values.len() == 2 && values.iter().all(Value::is_number) => {
            taken.set("l2", values[0].clone(), item);
            taken.set("l1", values[1].clone(), item);
        }
        Some(Value::Object(_)) => item.map(|keys| {
            for name in ["l1", "l2"] {
                taken.copy(name, &keys.required(name));
            }
        }),
        _ => item.problem("expected two numbers, l2 and l1, got something else"),
    }
}

fn complete_secure(item: &Item<'_>, taken: &mut Taken) {
    match item.json() {
        Some(Value::Bool(secure)) => taken.set("complete_secure", u64::from(secure), item),
        _ => taken.copy("complete_secure", item),
    }
}

pub(super) const EVALUATION: Module = Module {
    name: "Evaluation",
    component: "evaluation",
    shape: Shape::Simple { input: Some("input_datas"), multi: true, outputs: &[], model: None },
    at_guest: true,
    about: "at the guest, which has the predictions",
    rules: &[
        Rule::new(
            "eval_type",
            Words(
                "default_eval_setting",
                &[("binary", "binary"), ("multi", "multi"), ("regression", "regression")],
            ),
        ),
        Rule::new("pos_label", Only(&["1"], "the label of interest is 1")),
        Rule::new("metrics", Changed(metrics, "`metrics`, under our names")),
        Rule::new("run_clustering_arbiter_metric", Only(&["false"], "no component here finds clusters")),
        Rule::new("unfold_multi_result", Only(&["false"], "leave it out")),
        NEED_RUN,
    ],
};

/// Names of FATE, and ours for two classes, or else for any setting.
const METRICS: &[(&str, &str)] = &[
    ("auc", "auc"),
    ("ks", "ks"),
    ("lift", "lift"),
    ("gain", "gain"),
    ("confusion_mat", "confusion_matrix"),
    ("f1_score", "fscore_table"),
    ("quantile_pr", "biclass_precision_table"),
    ("psi", "psi"),
    ("accuracy", "biclass_accuracy_table"),
    ("precision", "biclass_precision_table"),
    ("recall", "biclass_recall_table"),
    ("mean_absolute_error", "mae"),
    ("mae", "mae"),
    ("mean_squared_error", "mse"),
    ("mse", "mse"),
    ("root_mean_squared_error", "rmse"),
    ("rmse", "rmse"),
    ("r2_score", "r2_score"),
    ("r2", "r2_score"),
];

fn metrics(item: &Item<'_>, taken: &mut Taken) {
    let multi = taken.is("default_eval_setting", "multi");
    let mut names: Vec<String> = Vec::new();
    for item in item.one_or_many() {
        let Some(name) = item.text() else { continue };
        let lower = name.to_ascii_lowercase();
        let ours = match lower.as_str() {
            "accuracy" | "precision" | "recall" if multi => Some(format!("multi_{lower}")),
            lower => METRICS.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| (*ours).to_owned()),
        };
        match ours {
            Some(ours) if names.contains(&ours) => {}
            Some(ours) => names.push(ours),
            None => item.unknown("metric", name, METRICS.iter().map(|(theirs, _)| *theirs)),
        }
    }
    if !names.is_empty() {
        taken.set("metrics", json!(names), item);
    }
}
