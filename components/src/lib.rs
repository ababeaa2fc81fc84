//! Name to component: the glue from algorithms to one task of one party.
//!
//! A component is a folder here and one line in [`all`]. It takes immutable inputs and returns outputs; it never writes a
//! status, a table name or a file. It knows contracts and algorithms, and no engine.

pub mod definition;
pub mod assignment;
pub mod catalog;
pub mod task;
pub mod output;

mod hetero_feature_binning;
mod psi;
mod reader;
mod toy_example;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tributary_core::Result;
use tributary_core::kernel::Kernels;

pub use crate::assignment::{Assignment, NamedTable};
pub use crate::catalog::Catalog;
pub use crate::definition::{Definition, ParameterProblem};
pub use crate::output::{DataOutput, Metric, Outputs};
pub use crate::task::{Input, Task};

/// One algorithm, as a job names it.
#[async_trait]
pub trait Component: fmt::Debug + Send + Sync + 'static {
    /// Parameters, inputs, outputs and roles, for validation and for people.
    fn definition(&self) -> &Definition;

    /// The kernels its plans name.
    fn kernels(&self) -> Kernels {
        Kernels::default()
    }

    /// What is wrong with parameters each of which is fine: those that contradict, need or exclude one another, or do not
    /// go with the task's parties. Asked of every party's part of every task when a job is read, so that all mistakes are
    /// told at once and with their places; `run` relies on the answer and does not look again. Not asked of parameters
    /// that the definition refuses already. What depends on rows or columns is for `run` to find. An error is a bug.
    fn check(&self, _: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        Ok(Vec::new())
    }

    /// Tables of the site that the parameters name: all that are missing, at all parties, are told before the job
    /// begins. Asked only of parameters in which [`Component::check`] finds nothing wrong; an error is a bug.
    fn tables(&self, _: &Assignment<'_>) -> Result<Vec<NamedTable>> {
        Ok(Vec::new())
    }

    /// Runs one task of one party. All parties of the task run it at once and meet in `task.federation`.
    async fn run(&self, task: &Task) -> Result<Outputs>;
}

/// Every component of this binary. A new one is a line here.
pub fn all() -> Vec<Arc<dyn Component>> {
    vec![
        Arc::new(reader::Reader::default()),
        Arc::new(psi::Psi::default()),
        Arc::new(hetero_feature_binning::HeteroFeatureBinning::default()),
        Arc::new(toy_example::ToyExample::default()),
    ]
}

/// Every kernel of this binary: those of tables and of all components.
pub fn kernels() -> Kernels {
    all().iter().fold(tributary_core::ops::kernels(), |kernels, component| kernels.and(component.kernels()))
}
