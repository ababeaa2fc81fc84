//! What a component is: how it presents itself, what it is given, and what it gives back.
//!
//! Job control and components meet here. Job control knows this crate and no algorithm; a component knows this crate and no
//! job control. Which components a binary has is decided where it is put together, and handed over as [`Components`].

pub mod definition;
pub mod assignment;
pub mod components;
pub mod release;
pub mod task;
pub mod output;
#[cfg(feature = "testing")]
pub mod testing;

use std::fmt;

use async_trait::async_trait;
use tributary_core::Result;
use tributary_core::kernel::Kernels;

pub use crate::assignment::{Assignment, NamedTable};
pub use crate::components::Components;
pub use crate::definition::{Definition, ParameterProblem, Stage};
pub use crate::output::{DataOutput, Metric, Model, Outputs};
pub use crate::release::{Ask, Asked, Release, Releases};
pub use crate::task::{Input, Level, Progress, Task, Unwatched};

/// One algorithm, as a job names it.
#[async_trait]
pub trait Component: fmt::Debug + Send + Sync + 'static {
    /// Parameters, inputs, outputs and roles, for validation and for people.
    fn definition(&self) -> &Definition;

    /// The kernels its plans name.
    fn kernels(&self) -> Kernels {
        Kernels::default()
    }

    /// What is wrong with parameters each of which is valid alone: those that contradict, need or exclude one another, or do
    /// not go with the task's parties. Asked of every party's part of every task when a job is read, so that all mistakes are
    /// reported at once and with their places; `run` relies on the answer and does not look again. Not asked of parameters
    /// that the definition refuses already. What depends on rows or columns is for `run` to find. An error is a bug.
    fn check(&self, _: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        Ok(Vec::new())
    }

    /// Tables of the site that the parameters name: all that are missing, at all parties, are reported before the job
    /// begins. Asked only of parameters in which [`Component::check`] finds nothing wrong; an error is a bug.
    fn tables(&self, _: &Assignment<'_>) -> Result<Vec<NamedTable>> {
        Ok(Vec::new())
    }

    /// What the parameters ask this party to release to others: what its limits refuse is reported before the job begins, with
    /// its place. What depends on rows, `run` asks of [`Task::release`] before it leaves. Asked only of parameters in which
    /// [`Component::check`] finds nothing wrong; an error is a bug.
    fn asks(&self, _: &Assignment<'_>) -> Result<Vec<Asked>> {
        Ok(Vec::new())
    }

    /// What the component will choose by itself, and by what: for people who ask how a job would run. Asked only of parameters in
    /// which [`Component::check`] finds nothing wrong.
    fn foretells(&self, _: &Assignment<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Runs one task of one party. All parties of the task run it at once and meet in `task.federation`.
    async fn run(&self, task: &Task) -> Result<Outputs>;
}
