//! Modules that bring rows in, choose and describe them.

use serde_json::{Map, Value, json};
use tributary_document::Item;

use super::{Becomes, Module, NEED_RUN, Rule, Shape};
use crate::parameters::Taken;
use Becomes::{Changed, Kept, NoEffect, Only};

const UPLOAD: &str = "the upload says it: data upload --label, --types, --delimiter";
const BEFORE: &str = "change the values before the upload";
const ROWS: &[(&str, &str)] = &[("output_data", "")];

pub(crate) const READER: Module = Module {
    name: "Reader",
    component: "reader",
    shape: Shape::Simple { input: None, multi: false, outputs: ROWS, model: None },
    at_guest: false,
    about: "",
    rules: &[
        Rule::new("table.name", Kept("name")),
        Rule::new("table.namespace", Kept("namespace")),
        NEED_RUN,
    ],
};

pub(super) const DATA_TRANSFORM: Module = Module {
    name: "DataTransform",
    component: "",
    shape: Shape::Folded,
    at_guest: false,
    about: "becomes part of the reader: types, label and missing values of a table are said when it is uploaded",
    rules: TRANSFORM,
};

pub(super) const DATA_IO: Module = Module { name: "DataIO", ..DATA_TRANSFORM };

const TRANSFORM: &[Rule] = &[
    Rule::new(
        "input_format",
        Only(&["\"dense\""], "upload the rows as CSV or Parquet with a column for each feature"),
    ),
    Rule::new("output_format", NoEffect("a table keeps its own format")),
    Rule::new("delimitor", NoEffect(UPLOAD)),
    Rule::new("data_type", NoEffect(UPLOAD)),
    Rule::new("exclusive_data_type", NoEffect(UPLOAD)),
    Rule::new("with_label", NoEffect(UPLOAD)),
    Rule::new("label_name", NoEffect(UPLOAD)),
    Rule::new("label_type", NoEffect(UPLOAD)),
    Rule::new("with_match_id", NoEffect("the upload says it: data upload --match-id")),
    Rule::new("match_id_name", NoEffect("the upload says it: data upload --match-id")),
    Rule::new("match_id_index", NoEffect("the upload says it: data upload --match-id")),
    Rule::new("tag_with_value", Only(&["false"], "upload the rows as CSV or Parquet")),
    Rule::new("tag_value_delimitor", NoEffect("rows have a column for each feature")),
    Rule::new("missing_fill", Only(&["false"], BEFORE)),
    Rule::new("missing_fill_method", NoEffect("missing_fill is false")),
    Rule::new(
        "missing_impute",
        Only(&["null", "[]"], "say what is missing when you upload: data upload --null"),
    ),
    Rule::new("default_value", NoEffect("missing_fill is false")),
    Rule::new("outlier_replace", Only(&["false"], BEFORE)),
    Rule::new("outlier_replace_method", NoEffect("outlier_replace is false")),
    Rule::new("outlier_impute", NoEffect("outlier_replace is false")),
    Rule::new("outlier_replace_value", NoEffect("outlier_replace is false")),
    NEED_RUN,
];

pub(super) const INTERSECTION: Module = Module {
    name: "Intersection",
    component: "psi",
    shape: Shape::Simple { input: Some("input_data"), multi: false, outputs: ROWS, model: None },
    at_guest: false,
    about: "every method gives the same rows; ours tells parties less than any of FATE's",
    rules: &[
        Rule::new(
            "intersect_method",
            NoEffect("psi takes its own, which shows neither party the ids of the other"),
        ),
        Rule::new("random_bit", NoEffect(OWN)),
        Rule::new("sync_intersect_ids", Only(&["true"], "every party learns which of its rows are common")),
        Rule::new("join_role", NoEffect(OWN)),
        Rule::new("join_method", Only(&["\"inner_join\""], "only common rows stay")),
        Rule::new("only_output_key", Only(&["false"], "rows keep their columns")),
        Rule::new("with_encode", NoEffect(OWN)),
        Rule::new("encode_params", NoEffect(OWN)),
        Rule::new("raw_params", NoEffect(OWN)),
        Rule::new("rsa_params", NoEffect(OWN)),
        Rule::new("dh_params", NoEffect(OWN)),
        Rule::new("ecdh_params", NoEffect(OWN)),
        Rule::new("intersect_cache_param", NoEffect("nothing is cached")),
        Rule::new("run_cache", Only(&["false"], "nothing is cached")),
        Rule::new("cardinality_only", Only(&["false"], "the number of common rows is in psi's summary")),
        Rule::new("sync_cardinality", NoEffect(OWN)),
        Rule::new("cardinality_method", NoEffect(OWN)),
        Rule::new("intersect_preprocess_params", NoEffect(OWN)),
        Rule::new("repeated_id_process", NoEffect("a guest may always have several rows of one id")),
        Rule::new("repeated_id_owner", Only(&["\"guest\""], "only the guest's ids may repeat")),
        Rule::new("with_sample_id", NoEffect("a table says which of its columns is the id")),
        Rule::new("allow_info_share", Only(&["false"], "leave it out")),
        Rule::new("info_owner", NoEffect("allow_info_share is false")),
        Rule::new("sample_id_generator", NoEffect("the guest's ids are used")),
        Rule::new("new_sample_id", Only(&["false"], "leave it out")),
    ],
};

const OWN: &str = "it is about FATE's methods of intersection";

pub(super) const UNION: Module = Module {
    name: "Union",
    component: "union",
    shape: Shape::Simple { input: Some("input_datas"), multi: true, outputs: ROWS, model: None },
    at_guest: false,
    about: "",
    rules: &[
        NEED_RUN,
        Rule::new("allow_missing", Only(&["false"], "give the tables the same columns")),
        Rule::new("keep_duplicate", Only(&["false"], "give the rows ids of their own")),
    ],
};

pub(super) const HETERO_DATA_SPLIT: Module = Module {
    name: "HeteroDataSplit",
    component: "data_split",
    shape: Shape::Simple {
        input: Some("input_data"),
        multi: false,
        outputs: &[
            ("train_output_data", "train_data"),
            ("validate_output_data", "validate_data"),
            ("test_output_data", "test_data"),
        ],
        model: None,
    },
    at_guest: false,
    about: "other rows than FATE draws for the same random_state",
    rules: &[
        Rule::new("random_state", Kept("random_state")),
        Rule::new("train_size", Kept("train_size")),
        Rule::new("validate_size", Kept("validate_size")),
        Rule::new("test_size", Kept("test_size")),
        Rule::new("stratified", Kept("stratified")),
        Rule::new("shuffle", Only(&["true"], "rows are always drawn")),
        Rule::new("split_points", Only(&["null", "[]"], "only labels that are classes can be stratified")),
        NEED_RUN,
    ],
};

pub(super) const FEDERATED_SAMPLE: Module = Module {
    name: "FederatedSample",
    component: "sample",
    shape: Shape::Simple { input: Some("input_data"), multi: false, outputs: ROWS, model: None },
    at_guest: false,
    about: "other rows than FATE draws for the same random_state",
    rules: &[
        Rule::new(
            "mode",
            Only(&["\"random\"", "\"stratified\""], "give fractions a number, or one for each label"),
        ),
        Rule::new(
            "method",
            Changed(
                |item, taken| {
                    if let Some(replace) = item.choice(&[("downsample", false), ("upsample", true)]) {
                        taken.set("replace", replace, item);
                    }
                },
                "`replace`: true for upsample, false for downsample",
            ),
        ),
        Rule::new("fractions", Changed(fractions, "`frac`; [[0, 0.5], [1, 1.0]] becomes {0: 0.5, 1: 1.0}")),
        Rule::new("random_state", Kept("random_state")),
        Rule::new(
            "task_type",
            Changed(
                |item, taken| {
                    if let Some(sync) = item.choice(&[("hetero", true), ("homo", false)]) {
                        taken.set("hetero_sync", sync, item);
                    }
                },
                "`hetero_sync`: true for hetero, false for homo",
            ),
        ),
        NEED_RUN,
    ],
};

fn fractions(item: &Item<'_>, taken: &mut Taken) {
    let Some(Value::Array(pairs)) = item.json() else {
        return taken.copy("frac", item);
    };
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([label @ (Value::String(_) | Value::Number(_)), share @ Value::Number(_)]) => {
            let label = label.as_str().map_or_else(|| label.to_string(), str::to_owned);
            Some((label, share.clone()))
        }
        _ => None,
    };
    match pairs.iter().map(pair).collect::<Option<Map<_, _>>>() {
        Some(shares) => taken.set("frac", shares, item),
        None => item.problem("expected a number, or pairs of a label and a number: [[0, 0.5], [1, 1.0]]"),
    }
}

pub(super) const DATA_STATISTICS: Module = Module {
    name: "DataStatistics",
    component: "statistics",
    shape: Shape::Simple {
        input: Some("input_data"),
        multi: false,
        outputs: &[],
        model: Some("output_model"),
    },
    at_guest: false,
    about: "",
    rules: &[
        Rule::new(
            "statistics",
            Changed(statistics, "`metrics`; `summary`, and a list, mean FATE's eleven, too"),
        )
        .or("metrics", SUMMARY_JSON),
        Rule::new("column_indexes", Only(&["-1", "null", "[]"], "all numeric columns are described")),
        Rule::new("column_names", Only(&["null", "[]"], "all numeric columns are described")),
        Rule::new(
            "abnormal_list",
            Only(&["null", "[]"], "say what is missing when you upload: data upload --null"),
        ),
        Rule::new("quantile_error", NoEffect("percentiles are exact")),
        Rule::new("bias", Kept("bias")),
        NEED_RUN,
    ],
};

/// What FATE computes in any case.
const SUMMARY_JSON: &str = r#"["sum", "mean", "std", "median", "min", "max", "missing_ratio", "missing_count", "skewness", "kurtosis", "coefficient_of_variation"]"#;

pub(super) const STATISTICS: &[(&str, &str)] = &[
    ("count", "count"),
    ("sum", "sum"),
    ("mean", "mean"),
    ("stddev", "std"),
    ("std", "std"),
    ("median", "median"),
    ("min", "min"),
    ("max", "max"),
    ("variance", "var"),
    ("coefficient_of_variance", "coefficient_of_variation"),
    ("missing_count", "missing_count"),
    ("missing_ratio", "missing_ratio"),
    ("skewness", "skewness"),
    ("kurtosis", "kurtosis"),
];

fn statistics(item: &Item<'_>, taken: &mut Taken) {
    let mut names: Vec<String> = serde_json::from_str(SUMMARY_JSON).unwrap_or_default();
    for item in item.one_or_many() {
        let Some(name) = item.text().filter(|name| *name != "summary") else { continue };
        let ours = STATISTICS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
        match ours.or(Some(name).filter(|name| name.ends_with('%'))) {
            Some(ours) if names.iter().any(|known| known == ours) => {}
            Some(ours) => names.push(ours.to_owned()),
            None => item.unknown("statistic", name, STATISTICS.iter().map(|(theirs, _)| *theirs)),
        }
    }
    taken.set("metrics", json!(names), item);
}

pub(super) const SECURE_ADD_EXAMPLE: Module = Module {
    name: "SecureAddExample",
    component: "toy_example",
    shape: Shape::Simple { input: None, multi: false, outputs: ROWS, model: Some("json_model_output") },
    at_guest: false,
    about: "also by a conf of version 1, as it was published",
    rules: &[
        Rule::new("seed", NoEffect("shares are drawn anew each time")),
        Rule::new("partition", Kept("partition")).or("partition", "1"),
        Rule::new("data_num", Kept("data_num")),
    ],
};
