//! `hetero_feature_binning`: cuts every party's columns into bins and measures, at the guest, how well each predicts the
//! guest's label, without any party showing a row.
//!
//! Each party cuts its own columns. For the hosts' columns the guest encrypts its label, a host adds up ciphertexts bin by
//! bin, and the guest decrypts the sums: it learns rows and events of each bin of each host column, under an anonymous
//! name. A host learns nothing but that there are labels. Parameters, defaults and definitions follow FATE's component,
//! except where its published definitions are right and its code is not: rates of empty bins, and the sum over all bins.

pub(crate) mod parameters;
mod check;
pub(crate) mod categories;
pub(crate) mod cuts;
mod guest;
mod host;
pub(crate) mod release;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_binning::model::{Method as ModelMethod, Model, ModelParts};
use tributary_binning::{AssignBins, AssignParams, AssignWoe, BinColumn, CutColumn, WoeColumn, WoeParams};
use tributary_core::federation::Message;
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::schema::Purpose;
use tributary_core::{Error, ErrorKind, Result, Table};
use tributary_paillier::{KeyBits, ProvenKey};

use self::categories::Coded;
use self::guest::Measured;
#[cfg(feature = "fuzzing")]
pub(crate) use self::guest::check as check_features;
use self::parameters::{Columns, Method, PredictParameters, TrainParameters, Transform};
use crate::columns::{anonymous, features, misspelt};
use tributary_component::definition::{Definition, Stage};
use tributary_component::output::Outputs;
use tributary_component::task::Task;
use tributary_component::{Asked, Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct HeteroFeatureBinning(Definition);

impl Default for HeteroFeatureBinning {
    fn default() -> Self {
        Self(parameters::definition())
    }
}

#[async_trait]
impl Component for HeteroFeatureBinning {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_binning::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        check::problems(assignment)
    }

    fn asks(&self, assignment: &Assignment<'_>) -> Result<Vec<Asked>> {
        check::asks(assignment)
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        match task.stage {
            Stage::Predict => predict(task).await,
            _ => train(task).await,
        }
    }
}

/// Guest to hosts: whether columns are to be measured, and under which key the label comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// The guest's key; nothing if it has no label or wants no metrics.
    pub(crate) key: Option<ProvenKey>,
}

impl Message for Measure {
    const NAME: &'static str = "binning.measure";
    const VERSION: u32 = 2;
}

/// What a model holds besides what was learned: how to use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Meta {
    n_bins: u32,
    local_only: bool,
    key_length: u32,
    /// What others call this party's columns.
    #[serde(default)]
    anonymous: BTreeMap<String, String>,
    /// Rows in each bin of a host's columns at least, where it has any: what its limits said when it was trained.
    #[serde(default)]
    least_rows: u64,
}

/// The columns of one party with their bins, and what to do with them.
struct Binning<'a> {
    /// Key of the input.
    input: &'static str,
    table: &'a Table,
    /// The same rows, with numbers for categories of text.
    coded: Coded,
    /// What cuts were found in and rows are counted in: where bins are shared, one row of each id.
    distinct: Table,
    /// Whether others may get numbers about the bins of these columns.
    is_shared: bool,
    cuts: Vec<CutColumn>,
    /// How many of `cuts` are cut; the rest are categories.
    binned: usize,
    adjustment_factor: f64,
    key: KeyBits,
    measure: Measuring,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measuring {
    Nothing,
    OwnColumns,
    AllColumns,
}

impl Measuring {
    fn of(skip_metrics: bool, local_only: bool) -> Self {
        match (skip_metrics, local_only) {
            (true, _) => Self::Nothing,
            (false, true) => Self::OwnColumns,
            (false, false) => Self::AllColumns,
        }
    }
}

impl Binning<'_> {
    /// Columns of bin numbers as [`AssignBins`] makes them, the bin of missing values included.
    fn bin_columns(&self) -> Vec<BinColumn> {
        let column = |c: &CutColumn| BinColumn { column: c.column.clone(), bins: c.cuts.bins() as u32 + 1 };
        self.cuts.iter().map(column).collect()
    }

    /// The table with bin numbers in place of values.
    fn assigned(&self) -> Result<Table> {
        let params = AssignParams { columns: self.cuts.clone() };
        self.coded.table.map(KernelCall::map::<AssignBins>(&params)?)
    }

    /// The label's name, if the table has one.
    fn label(&self) -> Option<&str> {
        self.table.schema().with_purpose(&Purpose::Label).map(|f| f.name.as_str())
    }

    async fn measured(&self, task: &Task) -> Result<Measured> {
        match (self.measure, task.is_guest()) {
            (Measuring::Nothing, _) | (Measuring::OwnColumns, false) => Ok(Measured::default()),
            (_, true) => guest::measure(task, self).await,
            (Measuring::AllColumns, false) => {
                Ok(Measured { released: host::contribute(task, self).await?, ..Measured::default() })
            }
        }
    }

    /// Columns that [`Binning::transformed`] changes.
    fn recoded(&self, task: &Task, transform: Option<Transform>) -> Vec<String> {
        match transform {
            Some(Transform::Woe) if !task.is_guest() => Vec::new(),
            Some(_) => self.cuts[..self.binned].iter().map(|c| c.column.clone()).collect(),
            None => Vec::new(),
        }
    }

    /// The table with values as the user wants them.
    fn transformed(&self, task: &Task, transform: Option<Transform>, model: &Model) -> Result<Table> {
        let binned = self.cuts[..self.binned].iter();
        match transform {
            Some(Transform::BinIdx) => {
                let params = AssignParams { columns: binned.cloned().collect() };
                self.table.map(KernelCall::map::<AssignBins>(&params)?)
            }
            Some(Transform::Woe) if task.is_guest() => {
                let columns = binned.map(|CutColumn { column, cuts }| {
                    Ok(WoeColumn { column: column.clone(), cuts: cuts.clone(), woe: model.woe(column)? })
                });
                let params = WoeParams { columns: columns.collect::<Result<_>>()? };
                self.table.map(KernelCall::map::<AssignWoe>(&params)?)
            }
            _ => Ok(self.table.clone()),
        }
    }
}

async fn train(task: &Task) -> Result<Outputs> {
    let mut parameters: TrainParameters = task.parameters()?;
    let table = task.table("train_data")?;
    let columns = parameters.columns(&task.own, table.schema())?;
    points_of_others(task, table, &parameters, &columns)?;
    let coded = Coded::of(table, &columns.categories).await?;
    let is_shared = release::is_shared(task, parameters.local_only);
    let distinct = match is_shared {
        true => release::one_row_an_id(&coded.table, &columns).await?,
        false => coded.table.clone(),
    };
    let cuts = match release::cuts_of_job(task, &parameters, &columns)? {
        release::CutsOfJob::Use => cuts::find(task, &distinct, &parameters, &columns).await?,
        release::CutsOfJob::Replace => {
            let cuts = cuts::by_itself(task, &distinct, &parameters, &columns).await?;
            parameters.method = Method::Quantile;
            cuts
        }
    };
    let mut binning = Binning {
        input: "train_data",
        table,
        cuts,
        coded,
        distinct,
        is_shared,
        binned: columns.binned.len(),
        adjustment_factor: parameters.adjustment_factor,
        key: parameters.he_param.bits().map_err(|e| Error::bug("a key that was checked").because(e))?,
        measure: Measuring::of(parameters.skip_metrics, parameters.local_only),
    };
    let mut measured = binning.measured(task).await?;
    // The model has the bins that others know, or may get to know.
    let (cuts, least_rows) = match measured.released.take() {
        Some(cuts) => (cuts, task.release(binning.input, &task.guest()?).limits().min_rows),
        None => release::unmeasured(task, &binning, parameters.method).await?,
    };
    binning.cuts = cuts;
    let model = learned(&binning, &parameters, &measured)?;
    let transformed = binning.transformed(task, parameters.transform_method, &model)?;
    let meta = Meta {
        n_bins: parameters.n_bins,
        local_only: parameters.local_only,
        key_length: parameters.he_param.key_length,
        anonymous: binning
            .cuts
            .iter()
            .map(|c| (anonymous_name(task, table, &c.column), c.column.clone()))
            .collect(),
        least_rows,
    };
    let recoded = binning.recoded(task, parameters.transform_method);
    let outputs =
        Outputs::default().table("train_output_data", transformed).recoded("train_output_data", recoded);
    let outputs = outputs.model("output_model", json!({"data": model, "meta": meta}));
    Ok(measured.metrics.into_iter().fold(outputs, Outputs::metric))
}

/// Cut points may be given once for all parties; each party takes those of its own columns. Notes which are not of this one.
/// A party that is alone has no others: then each name must be one of its columns'.
fn points_of_others(
    task: &Task,
    table: &Table,
    parameters: &TrainParameters,
    columns: &Columns,
) -> Result<()> {
    let others = parameters.points_of_others(&task.own, table.schema());
    let Some(first) = others.first() else { return Ok(()) };
    if task.parties.len() == 1 {
        return parameters.naming(&task.own, table.schema()).column("split_pt_dict", first).map(drop);
    }
    let with_points = parameters.with_points();
    let without = || {
        features(table.schema())
            .map(|field| field.name.as_str())
            .filter(|c| !with_points.iter().any(|p| p == c))
    };
    let named = others.iter().filter(|_| !parameters.use_anonymous);
    if let Some((name, near)) = named.filter_map(|name| Some((name, misspelt(name, without())?))).next() {
        let text = format!(
            "split_pt_dict: no column here is called {name:?} (did you mean {near:?}? If it is another party's, give each party its own \
             split_pt_dict in party_tasks)"
        );
        return Err(Error::invalid(text));
    }
    task.note(format!("no column here is called {}: cut points of other parties", others.join(", ")));
    if columns.binned.is_empty() {
        let known: Vec<&str> = features(table.schema()).map(|field| field.name.as_str()).collect();
        let known = known.join(", ");
        task.warn(format!(
            "split_pt_dict names none of the columns here, so none is binned (they are {known})"
        ));
    }
    Ok(())
}

async fn predict(task: &Task) -> Result<Outputs> {
    let parameters: PredictParameters = task.parameters()?;
    let (model, meta) = read_model(task.json_model("input_model")?)?;
    let table = task.table("test_data")?;
    let cuts = model.cuts().map(|(column, cuts)| CutColumn { column: column.into(), cuts: cuts.clone() });
    let cuts: Vec<CutColumn> = cuts.collect();
    let is_shared = release::is_shared(task, meta.local_only);
    let binned = cuts.iter().map(|c| c.column.clone()).collect();
    let columns = Columns { binned, categories: Vec::new() };
    let distinct = match is_shared && !parameters.skip_metrics {
        true => release::one_row_an_id(table, &columns).await?,
        false => table.clone(),
    };
    let binning = Binning {
        input: "test_data",
        table,
        coded: Coded::as_is(table),
        distinct,
        is_shared,
        binned: cuts.len(),
        cuts,
        adjustment_factor: model.parts().adjustment_factor,
        key: KeyBits::try_from(meta.key_length).map_err(not_a_model)?,
        measure: Measuring::of(parameters.skip_metrics, meta.local_only),
    };
    release::expect_cuts(task, &binning, &model, &meta)?;
    let measured = binning.measured(task).await?;
    let transformed = binning.transformed(task, parameters.transform_method, &model)?;
    let recoded = binning.recoded(task, parameters.transform_method);
    let outputs =
        Outputs::default().table("test_output_data", transformed).recoded("test_output_data", recoded);
    Ok(measured.metrics.into_iter().fold(outputs, Outputs::metric))
}

/// What others call a column of this party.
fn anonymous_name(task: &Task, table: &Table, column: &str) -> String {
    let position = features(table.schema()).position(|f| f.name == column);
    anonymous(&task.own, position.unwrap_or_default())
}

fn learned(binning: &Binning<'_>, parameters: &TrainParameters, measured: &Measured) -> Result<Model> {
    let (binned, categories) = binning.cuts.split_at(binning.binned);
    let own = measured.own.as_ref();
    let woe = |c: &CutColumn| Some((c.column.clone(), own?.woe.get(&c.column)?.clone()));
    Model::new(ModelParts {
        method: match parameters.method {
            Method::Quantile => ModelMethod::Quantile,
            Method::Bucket => ModelMethod::Bucket,
            Method::Manual => ModelMethod::Manual,
        },
        bin_col: binned.iter().map(|c| c.column.clone()).collect(),
        category_col: categories.iter().map(|c| c.column.clone()).collect(),
        adjustment_factor: binning.adjustment_factor,
        split_pt_dict: binned.iter().map(|c| (c.column.clone(), c.cuts.clone())).collect(),
        bin_count_dict: binned.iter().map(|c| (c.column.clone(), c.cuts.bins())).collect(),
        woe_dict: binned.iter().filter_map(woe).collect(),
        metrics_summary: measured.own.clone(),
        host_metrics_summary: measured.hosts.clone(),
    })
}

fn not_a_model(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Corrupt, "input_model is not a binning model").because(why)
}

fn read_model(model: &Value) -> Result<(Model, Meta)> {
    let part = |name: &str| model.get(name).cloned().unwrap_or(Value::Null);
    let data: ModelParts = serde_json::from_value(part("data")).map_err(not_a_model)?;
    Ok((Model::new(data)?, serde_json::from_value(part("meta")).map_err(not_a_model)?))
}
