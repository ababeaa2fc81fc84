//! `union`: the rows of several tables, one table after the other.
//!
//! The tables have the same columns, in any order; numbers of different types become the wider one. Nothing is exchanged:
//! rows that were aligned at all parties stay so, because every party puts the same tables in the same order.

use async_trait::async_trait;
use serde_json::{Map, json};
use tributary_core::kernel::Kernels;
use tributary_core::{Error, Result, Table};

use tributary_component::Component;
use tributary_component::definition::{Artifact, Definition};
use tributary_component::output::{Metric, Outputs};
use tributary_component::release::different_ids;
use tributary_component::task::Task;

/// The component.
#[derive(Debug)]
pub(crate) struct Union(Definition);

impl Default for Union {
    fn default() -> Self {
        Self(
            Definition::new("union")
                .describe("Puts the rows of several tables with the same columns into one table")
                .roles(["guest", "host"])
                .input(Artifact::data("input_datas").multi().describe("the tables"))
                .output(Artifact::data("output_data").describe("the rows of all of them, in their order")),
        )
    }
}

#[async_trait]
impl Component for Union {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        Kernels::default()
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let inputs = task.tables("input_datas")?;
        let [(first, table), rest @ ..] = &inputs[..] else {
            return Err(Error::invalid("union of no tables"));
        };
        let mut schema = table.schema().clone();
        for (producer, other) in rest {
            let widened = tributary_core::ops::columns::widened(&schema, other.schema());
            schema = widened.map_err(|e| e.at(format!("union of {first} and {producer}")))?;
        }
        let mut counts = Map::new();
        let mut tables: Vec<Table> = Vec::new();
        for (producer, table) in &inputs {
            let rows = table.count().await?;
            let before = counts.get(*producer).and_then(serde_json::Value::as_u64).unwrap_or_default();
            counts.insert((*producer).into(), (before + rows).into());
            tables.push(table.conform(&schema)?);
        }
        let all = Table::concat(&tables)?.repartition(task.partitions())?.keep_rows().await?;
        let (rows, ids) = (all.count().await?, different_ids(&all).await?);
        if ids < rows {
            task.warn(format!("{} rows have an id that another row has", rows - ids));
        }
        let summary = json!({"input_count": counts, "union_count": rows});
        Ok(Outputs::default().table("output_data", all).metric(Metric::one_off("summary", None, summary)))
    }
}
