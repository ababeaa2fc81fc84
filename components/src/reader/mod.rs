//! `reader`: names a table of the site as a job's input. Nothing is copied.

use async_trait::async_trait;
use serde::Deserialize;
use tributary_core::{Result, TableName};

use crate::Component;
use crate::definition::{Artifact, Definition, Parameter};
use crate::output::{DataOutput, Outputs};
use crate::task::Task;

/// The component.
#[derive(Debug)]
pub(crate) struct Reader(Definition);

impl Default for Reader {
    fn default() -> Self {
        Self(
            Definition::new("reader")
                .describe("Names a table of the site as an input of the job")
                .roles(["guest", "host", "arbiter"])
                .parameter(Parameter::text("namespace").required().describe("namespace of the table"))
                .parameter(Parameter::text("name").required().describe("name of the table"))
                .output(Artifact::data("output_data").describe("the table")),
        )
    }
}

#[derive(Deserialize)]
struct Parameters {
    namespace: String,
    name: String,
}

#[async_trait]
impl Component for Reader {
    fn definition(&self) -> &Definition {
        &self.0
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let table = TableName::new(parameters.namespace, parameters.name)?;
        task.existing(&table).await?;
        Ok(Outputs { data: vec![("output_data".into(), DataOutput::Existing(table))], ..Outputs::default() })
    }
}
