//! `toy_example`: secure addition, the first job to run between sites. It goes through every contract (tables, kernels with
//! fresh randomness, kept tables pushed and pulled, messages) and checks its own result.
//!
//! Every party has `data_num` ones. Each splits its values into random shares, one for each party, and sends them out;
//! each adds up what it got; the guest adds up those sums and learns the total, data_num × parties, and nothing else.

mod kernels;

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tributary_core::federation::{FederationExt, Message, Slot};
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::layout::RowRanges;
use tributary_core::{Error, ErrorKind, Field, Layout, Party, Result, Role, Table, TableSchema};

use self::kernels::{Split, WrappingSum, share};
use tributary_component::definition::{Artifact, Definition, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct ToyExample(Definition);

impl Default for ToyExample {
    fn default() -> Self {
        Self(
            Definition::new("toy_example")
                .describe("Secure addition of random shares: a test of the connections between all parties")
                .roles(["guest", "host"])
                .parameter(
                    Parameter::int("data_num", 1..=100_000_000).required().describe("values of each party"),
                )
                .parameter(
                    Parameter::int("partition", 1..=4096).required().describe("partitions of the values"),
                )
                .output(
                    Artifact::data("output_data")
                        .describe("the shares of each value that this party got, a column for each party"),
                )
                .output(
                    Artifact::model("json_model_output")
                        .describe("the total and what was expected, at the guest"),
                ),
        )
    }
}

#[derive(Deserialize)]
struct Parameters {
    data_num: u64,
    partition: u32,
}

/// One party's sum of all shares it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShareSum {
    pub(crate) sum: u64,
}

impl Message for ShareSum {
    const NAME: &'static str = "toy.share_sum";
}

#[async_trait]
impl Component for ToyExample {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        Kernels::default().map::<Split>().fold::<WrappingSum>()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        Ok(assignment.expect_one_guest().into_iter().collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let rows = RowRanges::even(parameters.data_num, parameters.partition);
        let gathered = exchange_shares(task, &rows).await?;
        let sums = gathered.map(KernelCall::fold::<WrappingSum>(&WrappingSum)?)?.collect().await?;
        let own = ShareSum { sum: WrappingSum::total(&sums) };
        let outputs = Outputs::default().table("output_data", gathered);
        if !task.is_guest() {
            task.federation.push_message(&Slot::new("share_sum"), &[task.guest()?], &own).await?;
            return Ok(outputs.model("json_model_output", json!({})));
        }
        let mut total = own.sum;
        for host in task.others(&Role::host()) {
            let theirs: ShareSum = task.federation.pull_message(&Slot::new("share_sum"), &host).await?;
            total = total.wrapping_add(theirs.sum);
        }
        let expected = parameters.data_num * task.parties.len() as u64;
        if total != expected {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("the secure sum is {total}, expected {expected}"),
            ));
        }
        let result = json!({"secure_sum": total, "expected": expected, "parties": task.parties.len()});
        Ok(outputs
            .metric(Metric::one_off("summary", None, result.clone()))
            .model("json_model_output", result))
    }
}

/// Splits this party's ones, sends each party its shares, and puts own and received shares side by side.
async fn exchange_shares(task: &Task, rows: &RowRanges) -> Result<Table> {
    let call = KernelCall::map::<Split>(&Split { parties: task.parties.len() as u32 })?;
    let split = ones(task, rows).await?.map(call)?.keep().await?;
    for (i, party) in others(task) {
        let shares = split.select([share(i)])?.keep().await?;
        task.federation.push_table(&Slot::new("shares"), &[party], &shares).await?;
    }
    let mut gathered = None;
    for (i, party) in task.parties.iter().enumerate() {
        let shares = if *party == task.own {
            split.select([share(i)])?
        } else {
            let column = share(own_position(task)?);
            let schema = TableSchema::new(None, vec![Field::new(column, DataType::UInt64)])?;
            let layout = task.exactly(party, rows.clone());
            task.federation.pull_table(&Slot::new("shares"), party, &task.computing, &schema, &layout).await?
        };
        gathered = Some(match gathered {
            None => shares,
            Some(table) => Table::zip(&table, &shares)?,
        });
    }
    gathered.ok_or_else(|| Error::bug("a task without parties"))?.keep().await
}

fn others(task: &Task) -> impl Iterator<Item = (usize, Party)> {
    task.parties.iter().cloned().enumerate().filter(|(_, party)| *party != task.own)
}

fn own_position(task: &Task) -> Result<usize> {
    let position = task.parties.iter().position(|party| *party == task.own);
    position.ok_or_else(|| Error::bug(format!("{task:?} is not among its own parties")))
}

/// A column `value` of ones.
async fn ones(task: &Task, rows: &RowRanges) -> Result<Table> {
    const BATCH_ROWS: u64 = 65_536;
    let schema = TableSchema::new(None, vec![Field::new("value", DataType::UInt64)])?;
    let total = rows.all().end;
    let batches = (0..total).step_by(BATCH_ROWS as usize).map(|start| {
        let count = (total - start).min(BATCH_ROWS) as usize;
        schema.batch(vec![Arc::new(UInt64Array::from(vec![1; count]))])
    });
    let batches: Vec<RecordBatch> = batches.collect::<Result<_>>()?;
    Table::parallelize(&task.computing, &schema, batches, Layout::Rows(rows.clone())).await
}
