//! What a user may say about a binning, and what it selects in one table.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use serde::Deserialize;
use tributary_core::{Error, Party, Result, TableSchema};
use tributary_paillier::KeyBits;

use crate::columns::{Naming, anonymous, features, repeated};
use tributary_component::definition::{Artifact, Definition, Kind, Parameter, Stage, above};

/// The published description.
pub(super) fn definition() -> Definition {
    let train = [Stage::Train];
    let both = [Stage::Train, Stage::Predict];
    Definition::new("hetero_feature_binning")
        .describe("Cuts columns into bins and measures how well each predicts the guest's label (WOE, IV)")
        .roles(["guest", "host"])
        .stages(both)
        .parameter(
            Parameter::choice("method", &["quantile", "bucket", "manual"])
                .default("quantile")
                .stages(train)
                .describe("equal numbers of rows, equal widths, or given cut points"),
        )
        .parameter(
            Parameter::int("n_bins", 2..=65_535).default(10).stages(train).describe("bins of each column"),
        )
        .parameter(
            Parameter::new("split_pt_dict", Kind::map(Kind::list(Kind::float(..)))).stages(train).describe(
                "cut points by column, for manual; of all parties' columns each party takes those of its own",
            ),
        )
        .parameter(
            Parameter::list("bin_col", Kind::Text)
                .stages(train)
                .describe("columns to bin; all numeric ones otherwise"),
        )
        .parameter(Parameter::list("bin_idx", Kind::int(0..)).stages(train).describe("the same by position"))
        .parameter(
            Parameter::list("category_col", Kind::Text)
                .stages(train)
                .describe("columns of categories, integers or text: measured by value, not binned"),
        )
        .parameter(
            Parameter::list("category_idx", Kind::int(0..)).stages(train).describe("the same by position"),
        )
        .parameter(
            Parameter::bool("use_anonymous")
                .default(false)
                .stages(train)
                .describe("column names above are anonymous ones, as host_10000_x0"),
        )
        .parameter(
            Parameter::choice("transform_method", &["woe", "bin_idx"])
                .stages(both)
                .describe("what values become; they stay otherwise, and at hosts with woe"),
        )
        .parameter(Parameter::bool("skip_metrics").default(false).stages(both).describe("no WOE and IV"))
        .parameter(
            Parameter::bool("local_only")
                .default(false)
                .stages(train)
                .describe("no metrics of hosts' columns"),
        )
        .parameter(
            Parameter::float(
                "relative_error",
                (std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1.0)),
            )
            .default(1e-6)
            .stages(train)
            .describe("allowed error of quantiles; they are exact here"),
        )
        .parameter(
            Parameter::float("adjustment_factor", above(0.0))
                .default(0.5)
                .stages(train)
                .describe("added to both counts of a bin where one of them is zero"),
        )
        .parameter(
            Parameter::record(
                "he_param",
                [
                    Parameter::choice("kind", &["paillier"]).default("paillier").describe("the scheme"),
                    Parameter::int("key_length", 1024..=3072)
                        .default(2048)
                        .describe("bits of the modulus: 1024 (weak), 2048 or 3072"),
                ],
            )
            .default(serde_json::json!({"kind": "paillier", "key_length": 2048}))
            .stages(train)
            .describe("how labels are encrypted for hosts"),
        )
        .input(Artifact::data("train_data").stages(train).describe("aligned rows, from psi"))
        .input(Artifact::data("test_data").stages([Stage::Predict]).describe("aligned rows, from psi"))
        .input(Artifact::model("input_model").stages([Stage::Predict]).describe("a trained binning"))
        .output(Artifact::data("train_output_data").stages(train).describe("the rows, transformed"))
        .output(Artifact::data("test_output_data").stages([Stage::Predict]).describe("the rows, transformed"))
        .output(Artifact::model("output_model").stages(train).describe("cut points, counts, WOE and IV"))
}

/// How cut points are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Quantile,
    Bucket,
    Manual,
}

/// What values become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Transform {
    Woe,
    BinIdx,
}

/// How labels are encrypted.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HeParam {
    pub key_length: u32,
}

/// Parameters of training.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TrainParameters {
    pub method: Method,
    pub n_bins: u32,
    pub split_pt_dict: Option<BTreeMap<String, Vec<f64>>>,
    pub bin_col: Option<Vec<String>>,
    pub bin_idx: Option<Vec<usize>>,
    pub category_col: Option<Vec<String>>,
    pub category_idx: Option<Vec<usize>>,
    pub use_anonymous: bool,
    pub transform_method: Option<Transform>,
    pub skip_metrics: bool,
    pub local_only: bool,
    pub adjustment_factor: f64,
    pub he_param: HeParam,
}

/// Parameters of prediction; the rest is in the model.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PredictParameters {
    pub transform_method: Option<Transform>,
    pub skip_metrics: bool,
}

/// The columns that a training works on, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub binned: Vec<String>,
    pub categories: Vec<String>,
}

impl HeParam {
    /// The size of the key.
    pub(crate) fn bits(&self) -> Result<KeyBits, tributary_paillier::Error> {
        KeyBits::try_from(self.key_length)
    }
}

impl TrainParameters {
    /// Which columns to bin, and which to measure by value. `InvalidInput` names what the table does not have.
    pub(super) fn columns(&self, own: &Party, schema: &TableSchema) -> Result<Columns> {
        let naming = self.naming(own, schema);
        let categories = naming
            .chosen(("category_col", &self.category_col), ("category_idx", &self.category_idx))?
            .unwrap_or_default();
        let chosen = match self.method {
            Method::Manual => Some(self.manual_columns(own, schema)),
            _ => naming.chosen(("bin_col", &self.bin_col), ("bin_idx", &self.bin_idx))?,
        };
        let of_text = |name: &&String| schema.field(name).is_some_and(|f| f.data_type == DataType::Utf8);
        if let Some(text) = chosen.iter().flatten().find(of_text) {
            return Err(Error::invalid(format!(
                "column {text:?} holds text, which has no order to bin by; measure it by value with category_col"
            )));
        }
        let all = || {
            let numeric = features(schema).filter(|f| f.data_type.is_numeric());
            numeric.map(|f| f.name.clone()).filter(|name| !categories.contains(name)).collect()
        };
        let columns = Columns { binned: chosen.unwrap_or_else(all), categories: categories.clone() };
        // A name and a position of one column: only the table shows that. The same name twice was refused
        // before.
        let names = || columns.binned.iter().chain(&columns.categories);
        match repeated(names()).and_then(|at| names().nth(at)) {
            Some(twice) => Err(Error::invalid(format!("column {twice:?} is named twice"))),
            None => Ok(columns),
        }
    }

    /// How names of columns are to be read.
    pub(super) fn naming<'a>(&self, own: &'a Party, schema: &'a TableSchema) -> Naming<'a> {
        Naming { own, schema, use_anonymous: self.use_anonymous }
    }

    /// Names in `split_pt_dict` that are to be binned.
    fn names_with_points(&self) -> impl Iterator<Item = &String> {
        let wanted = |name: &&String| self.bin_col.as_ref().is_none_or(|names| names.contains(name));
        self.split_pt_dict.iter().flat_map(BTreeMap::keys).filter(wanted)
    }

    /// The same, as the file has them.
    pub(super) fn with_points(&self) -> Vec<String> {
        self.names_with_points().cloned().collect()
    }

    /// The columns here that have cut points.
    fn manual_columns(&self, own: &Party, schema: &TableSchema) -> Vec<String> {
        self.names_with_points().filter_map(|given| self.naming(own, schema).find(given)).collect()
    }

    /// Names with cut points, for method manual, that are of no column here.
    pub(super) fn points_of_others(&self, own: &Party, schema: &TableSchema) -> Vec<&str> {
        let manual = self.method == Method::Manual;
        let others = self.names_with_points().filter(|given| self.naming(own, schema).find(given).is_none());
        others.filter(|_| manual).map(String::as_str).collect()
    }

    /// The points given for a column, under its name or its anonymous one.
    pub(super) fn points(&self, own: &Party, schema: &TableSchema, column: &str) -> Option<&Vec<f64>> {
        let points = self.split_pt_dict.as_ref()?;
        let anonymous_name = || {
            let at = features(schema).position(|f| f.name == column)?;
            points.get(&anonymous(own, at))
        };
        if self.use_anonymous { anonymous_name() } else { points.get(column) }
    }
}
