//! Predictions as every learner gives them: the ids of rows, the label if it is known, and what scores say.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_boost::Objective;
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::schema::Purpose;
use tributary_core::{Error, Field, Result, Table, TableSchema};

use super::model::GuestModel;

/// Parameters of [`Frame`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FrameParams {
    objective: Objective,
    classes: Vec<f64>,
    /// Which rows these are: `train_set`.
    set: String,
}

/// Kernel `secureboost.frame`: columns that are kept, and then scores, become a prediction.
///
/// Shape: the label becomes `label`; after the kept columns come `predict_score` (the chance of the second class or of the likeliest one, or
/// the number), `predict_result`, `predict_detail` (a chance for each class) and `type`.
pub(super) struct Frame {
    params: FrameParams,
    output: TableSchema,
    kept: usize,
}

impl FrameParams {
    fn is_number(&self) -> bool {
        self.objective == Objective::Squares
    }

    fn kept(&self, input: &TableSchema) -> Result<usize> {
        let fields = input.fields().len();
        fields.checked_sub(self.objective.outputs()).ok_or_else(|| Error::bug("a prediction without scores"))
    }

    /// As a label is written.
    fn named(&self, class: usize) -> String {
        self.classes.get(class).map_or_else(|| class.to_string(), |class| format!("{class}"))
    }
}

impl MapKernel for Frame {
    type Params = FrameParams;
    const NAME: &'static str = "secureboost.frame";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &FrameParams, input: &TableSchema) -> Result<TableSchema> {
        let result = if params.is_number() { DataType::Float64 } else { DataType::Int32 };
        let kept = input.fields()[..params.kept(input)?].iter().map(|field| match field.purpose {
            Purpose::Label => {
                let label = Field::new("label", result.clone()).purpose(Purpose::Label);
                if field.nullable { label.nullable() } else { label }
            }
            _ => field.clone(),
        });
        let more = [
            Field::new("predict_score", DataType::Float64),
            Field::new("predict_result", result.clone()),
            Field::new("predict_detail", DataType::Utf8),
            Field::new("type", DataType::Utf8),
        ];
        input.with_fields(kept.chain(more).collect())
    }

    fn open(params: FrameParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        Ok(Self { kept: params.kept(input)? + usize::from(input.key().is_some()), params, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let scores: Vec<&[f64]> = rows.columns()[self.kept..]
            .iter()
            .map(|column| &column.as_primitive::<Float64Type>().values()[..])
            .collect();
        let (mut score, mut result, mut details) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows.num_rows() {
            let at: Vec<f64> = scores.iter().map(|of| of[row]).collect();
            let (one, class, detail) = self.said(&self.params.objective.predicted(&at));
            score.push(one);
            result.push(class);
            details.push(detail);
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (place, column) in rows.columns()[..self.kept].iter().enumerate() {
            columns.push(arrow_cast::cast(column, self.output.arrow().field(place).data_type())?);
        }
        columns.push(Arc::new(Float64Array::from(score)));
        columns.push(match self.params.is_number() {
            true => Arc::new(Float64Array::from(result)),
            false => Arc::new(Int32Array::from_iter_values(result.iter().map(|class| *class as i32))),
        });
        columns.push(Arc::new(StringArray::from(details)));
        let set = std::iter::repeat_n(self.params.set.as_str(), rows.num_rows());
        columns.push(Arc::new(StringArray::from_iter_values(set)));
        self.output.batch(columns)
    }
}

impl Frame {
    /// Score, result and detail of one row.
    fn said(&self, predicted: &[f64]) -> (f64, f64, String) {
        let first = predicted.first().copied().unwrap_or_default();
        let class = |at: usize| self.params.classes.get(at).copied().unwrap_or(at as f64);
        match self.params.objective {
            Objective::Squares => (first, first, detail([("label".to_string(), first)])),
            Objective::Binary => {
                let chances = [(self.params.named(0), 1.0 - first), (self.params.named(1), first)];
                (first, class(usize::from(first > 0.5)), detail(chances))
            }
            Objective::Multi { .. } => {
                // The first of equal ones.
                let likeliest =
                    (0..predicted.len()).rev().max_by(|a, b| predicted[*a].total_cmp(&predicted[*b]));
                let likeliest = likeliest.unwrap_or_default();
                let chances =
                    predicted.iter().enumerate().map(|(at, chance)| (self.params.named(at), *chance));
                (predicted.get(likeliest).copied().unwrap_or_default(), class(likeliest), detail(chances))
            }
        }
    }
}

/// A JSON object with single quotes within double quotes, as clients of FATE read it.
fn detail(chances: impl IntoIterator<Item = (String, f64)>) -> String {
    let mut text = String::from("\"{");
    for (at, (name, chance)) in chances.into_iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}'{name}': {chance}");
    }
    text.push_str("}\"");
    text
}

/// The prediction of a table's rows. `scores`: of the same rows, laid out alike.
pub(super) fn frame(table: &Table, scores: &Table, model: &GuestModel, set: &str) -> Result<Table> {
    let of_ids = [Purpose::MatchId, Purpose::Label];
    let kept = of_ids
        .iter()
        .filter_map(|purpose| table.schema().with_purpose(purpose))
        .map(|field| field.name.clone());
    let params = FrameParams { objective: model.objective, classes: model.classes.clone(), set: set.into() };
    table.select(kept)?.zip(scores)?.map(KernelCall::map::<Frame>(&params)?)
}
