//! Modules that scale, bin and select columns.

use serde_json::Value;
use tributary_document::Item;

use super::{Becomes, Module, NEED_RUN, Rule, Shape};
use crate::parameters::Taken;
use Becomes::{Changed, Columns, Kept, NoEffect, Only, Refused, Words};

pub(super) const FEATURE_SCALE: Module = Module {
    name: "FeatureScale",
    component: "feature_scale",
    shape: Shape::Fitted { model: "output_model", isometric: None, learns: false },
    at_guest: false,
    about: "",
    rules: &[
        Rule::new("method", Words("method", &[("standard_scale", "standard"), ("min_max_scale", "min_max")])),
        Rule::new("mode", Only(&["\"normal\""], "cut off values before the upload")),
        Rule::new("feat_upper", Only(&["null"], "cut off values before the upload")),
        Rule::new("feat_lower", Only(&["null"], "cut off values before the upload")),
        Rule::new("scale_col_indexes", Columns("scale_idx")),
        Rule::new("scale_names", Kept("scale_col")),
        Rule::new("with_mean", Only(&["true"], "standard_scale takes the mean away")),
        Rule::new("with_std", Only(&["true"], "standard_scale divides by the deviation")),
        NEED_RUN,
    ],
};

pub(super) const HETERO_FEATURE_BINNING: Module = Module {
    name: "HeteroFeatureBinning",
    component: "hetero_feature_binning",
    shape: Shape::Fitted { model: "output_model", isometric: None, learns: false },
    at_guest: false,
    about: "cut points are exact quantiles, FATE's within `error` of them",
    rules: &[
        Rule::new("method", Words("method", &[("quantile", "quantile"), ("bucket", "bucket")])),
        Rule::new("bin_num", Kept("n_bins")),
        Rule::new("bin_indexes", Columns("bin_idx")),
        Rule::new("bin_names", Kept("bin_col")),
        Rule::new("category_indexes", Kept("category_idx")),
        Rule::new("category_names", Kept("category_col")),
        Rule::new("adjustment_factor", Kept("adjustment_factor")),
        Rule::new("local_only", Kept("local_only")),
        Rule::new("skip_static", Kept("skip_metrics")),
        Rule::new("error", NoEffect("quantiles are exact")),
        Rule::new("compress_thres", NoEffect("quantiles are exact")),
        Rule::new("head_size", NoEffect("quantiles are exact")),
        Rule::new(
            "transform_param.transform_type",
            Words("transform_method", &[("bin_num", "bin_idx"), ("woe", "woe")]),
        )
        .or("transform_method", "\"bin_idx\""),
        Rule::new(
            "transform_param.transform_cols",
            Changed(
                |item, taken| match item.json() {
                    Some(Value::Number(number)) if number.as_i64() == Some(-1) => {}
                    Some(Value::Null) => taken.set("transform_method", Value::Null, item),
                    Some(Value::Array(columns)) if columns.is_empty() => {
                        taken.set("transform_method", Value::Null, item);
                    }
                    _ => item.problem_with("only all columns that are binned can be transformed", all()),
                },
                "-1, or none with `[]` and null",
            ),
        ),
        Rule::new(
            "transform_param.transform_names",
            Only(&["null", "[]"], "all columns that are binned are transformed"),
        ),
        Rule::new("encrypt_param.method", Words("he_param.kind", &[("Paillier", "paillier")])),
        Rule::new("encrypt_param.key_length", Kept("he_param.key_length")),
        Rule::new("optimal_binning_param", NoEffect("the method is not optimal")),
        Rule::new("split_points_by_col_name", Kept("split_pt_dict")),
        Rule::new("split_points_by_index", Refused("name the columns, with split_points_by_col_name")),
        NEED_RUN,
    ],
};

fn all() -> String {
    "write -1 for all columns, or null for none".to_owned()
}

const FILTER_TYPES: &[(&str, &str)] =
    &[("threshold", "threshold"), ("top_k", "top_k"), ("top_percentile", "top_percentile")];
const OLD: &str = "FATE removed it; use iv_filter or statistic_filter";

pub(super) const HETERO_FEATURE_SELECTION: Module = Module {
    name: "HeteroFeatureSelection",
    component: "hetero_feature_selection",
    shape: Shape::Fitted { model: "train_output_model", isometric: Some("input_models"), learns: false },
    at_guest: false,
    about: "",
    rules: &[
        Rule::new(
            "filter_methods",
            Words(
                "method",
                &[("manually", "manual"), ("iv_filter", "iv"), ("statistic_filter", "statistics")],
            ),
        ),
        Rule::new("select_col_indexes", Only(&["-1", "null", "[]"], "name the columns, with select_names")),
        Rule::new("select_names", Kept("select_col")),
        Rule::new("manually_param.filter_out_names", Kept("manual_param.filter_out_col")),
        Rule::new(
            "manually_param.filter_out_indexes",
            Only(&["null", "[]"], "name the columns, with filter_out_names"),
        ),
        Rule::new(
            "manually_param.left_col_names",
            Refused("name the columns that go, with filter_out_names"),
        ),
        Rule::new(
            "manually_param.left_col_indexes",
            Only(&["null", "[]"], "name the columns that go, with filter_out_names"),
        ),
        Rule::new("iv_param.metrics", Words("iv_param.metrics", &[("iv", "iv")])),
        Rule::new("iv_param.filter_type", Words("iv_param.filter_type", FILTER_TYPES)),
        Rule::new("iv_param.threshold", Kept("iv_param.threshold")),
        Rule::new("iv_param.take_high", Kept("iv_param.take_high")),
        Rule::new(
            "iv_param.host_thresholds",
            Changed(host_thresholds, "`iv_param.host_threshold`: one number for all hosts"),
        ),
        Rule::new(
            "iv_param.select_federated",
            Changed(
                |item, taken| {
                    let all: Vec<bool> = item.one_or_many().iter().filter_map(Item::bool).collect();
                    match all.as_slice() {
                        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
                            taken.set("iv_param.select_federated", *first, item);
                        }
                        _ => item.problem("expected true or false"),
                    }
                },
                "`iv_param.select_federated`",
            ),
        ),
        Rule::new(
            "statistic_param.metrics",
            Words(
                "statistic_param.metrics",
                // No column is selected by its count, which is the first.
                super::data::STATISTICS.split_at(1).1,
            ),
        ),
        Rule::new("statistic_param.filter_type", Words("statistic_param.filter_type", FILTER_TYPES)),
        Rule::new("statistic_param.threshold", Kept("statistic_param.threshold")),
        Rule::new("statistic_param.take_high", Kept("statistic_param.take_high")),
        Rule::new(
            "statistic_param.host_thresholds",
            Only(&["null"], "a host's own columns have the threshold that role.host gives"),
        ),
        Rule::new("statistic_param.select_federated", NoEffect("statistics select a party's own columns")),
        Rule::new("psi_param", NoEffect("psi_filter is not among the methods")),
        Rule::new("sbt_param", NoEffect("hetero_sbt_filter is not among the methods")),
        Rule::new("vif_param", NoEffect("vif_filter is not among the methods")),
        Rule::new("correlation_param", NoEffect("correlation_filter is not among the methods")),
        Rule::new("unique_param", Refused(OLD)),
        Rule::new("iv_value_param", Refused(OLD)),
        Rule::new("iv_percentile_param", Refused(OLD)),
        Rule::new("iv_top_k_param", Refused(OLD)),
        Rule::new("variance_coe_param", Refused(OLD)),
        Rule::new("outlier_param", Refused(OLD)),
        Rule::new("percentage_value_param", Refused(OLD)),
        NEED_RUN,
    ],
};

/// One number for all hosts; FATE has one for each.
fn host_thresholds(item: &Item<'_>, taken: &mut Taken) {
    let values: Vec<Value> = item.one_or_many().iter().filter_map(Item::json).collect();
    match values.as_slice() {
        [] => {}
        [first @ Value::Number(_), rest @ ..] if rest.iter().all(|other| other == first) => {
            taken.set("iv_param.host_threshold", first.clone(), item);
        }
        _ => item.problem("expected one number for all hosts, as threshold has for the guest"),
    }
}
