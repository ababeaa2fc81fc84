//! `hetero_secureboost`: trees by gradient boosting on the columns of all parties, without any of them showing a row.
//!
//! The guest has the label. It sends gradients encrypted, hosts add them up by the bins of their columns, and the guest
//! chooses how to divide each node; a host says which rows of its nodes go to the left. See [`tributary_boost`] for what is computed, and
//! [`messages`] for who says what when. Parameters, defaults and names follow FATE's component. SECURITY.md says what each party learns.

mod parameters;
mod columns;
pub(crate) mod messages;
mod model;

mod guest;
mod host;
mod walk;
mod kept;

mod rows;
mod frame;
mod measure;
mod folds;

use async_trait::async_trait;
use serde_json::Value;
use std::fmt::Display;
use tributary_core::federation::{FederationExt, Message, Slot};
use tributary_core::kernel::Kernels;
use tributary_core::{Error, Layout, Party, Result, Table};

use tributary_component::definition::{Definition, Stage};
use tributary_component::output::Outputs;
use tributary_component::task::{Input, Task};
use tributary_component::{Asked, Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct HeteroSecureBoost(Definition);

impl Default for HeteroSecureBoost {
    fn default() -> Self {
        Self(parameters::definition())
    }
}

#[async_trait]
impl Component for HeteroSecureBoost {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_boost::kernels().and(tributary_binning::kernels()).map::<frame::Frame>()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        parameters::problems(assignment)
    }

    fn asks(&self, assignment: &Assignment<'_>) -> Result<Vec<Asked>> {
        parameters::asks(assignment)
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        match (task.stage, task.is_guest()) {
            (Stage::Predict, true) => guest::predict(task).await,
            (Stage::Predict, false) => host::predict(task).await,
            (Stage::CrossValidation, _) => folds::run(task).await,
            (_, true) => guest::train(task).await,
            (_, false) => host::train(task).await,
        }
    }
}

/// One training or prediction of a task: its slots, and the input that it is about.
struct Scope<'a> {
    task: &'a Task,
    /// Key of the input whose rows are released.
    input: &'static str,
    /// Begins the tags of slots: `fold.3.`, or nothing.
    place: String,
    /// Whether an attempt may go on where another ended.
    resumes: bool,
    /// The table that the rows of a training are a part of, if they are.
    whole: Option<&'a Table>,
}

impl<'a> Scope<'a> {
    fn of(task: &'a Task, input: &'static str) -> Self {
        Self { task, input, place: String::new(), resumes: true, whole: None }
    }

    fn slot(&self, name: &str, at: impl Display) -> Slot {
        Slot::new(name).tagged(format!("{}{at}", self.place))
    }

    /// Sends a message to these parties, of which there may be none.
    async fn tell<M: Message + Sync>(&self, name: &str, at: &str, to: &[Party], message: &M) -> Result<()> {
        match to.is_empty() {
            true => Ok(()),
            false => self.task.federation.push_message(&self.slot(name, at), to, message).await,
        }
    }
}

/// The rows of an input. `InvalidInput` unless they are aligned.
fn aligned<'a>(task: &'a Task, input: &str) -> Result<&'a Table> {
    let table = task.table(input)?;
    match table.layout() {
        Layout::Rows(_) => Ok(table),
        _ => Err(Error::invalid(format!(
            "{input}: trees are trained and used on aligned rows; take them from psi"
        ))),
    }
}

/// An input that may be left out.
fn optional<'a>(task: &'a Task, input: &str) -> Option<&'a Input> {
    task.inputs.get(input).and_then(|inputs| inputs.first())
}

fn aligned_if_given<'a>(task: &'a Task, input: &str) -> Result<Option<&'a Table>> {
    optional(task, input).map(|_| aligned(task, input)).transpose()
}

/// The parameters of a training, for its model.
fn hyper(task: &Task) -> Value {
    Value::Object(task.parameters.clone())
}
