//! `reader`: names a table of the site as a job's input. Nothing is copied.

use async_trait::async_trait;
use serde::Deserialize;
use tributary_core::{Result, TableName};

use tributary_component::definition::{Artifact, Definition, Parameter};
use tributary_component::output::{DataOutput, Outputs};
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, NamedTable, ParameterProblem};

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

impl Parameters {
    fn table(self) -> Result<TableName> {
        TableName::new(self.namespace, self.name)
    }
}

#[async_trait]
impl Component for Reader {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        let Parameters { namespace, name } = assignment.parameters()?;
        // Each with a sound other half, so that each has its own place.
        let halves = [("namespace", TableName::new(namespace, "t")), ("name", TableName::new("n", name))];
        let problem =
            |(key, half): (&str, Result<TableName>)| Some(ParameterProblem::of(key, half.err()?.to_string()));
        Ok(halves.into_iter().filter_map(problem).collect())
    }

    fn tables(&self, assignment: &Assignment<'_>) -> Result<Vec<NamedTable>> {
        let table = assignment.parameters::<Parameters>()?.table()?;
        Ok(vec![NamedTable { table, parameter: "name" }])
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let table = task.parameters::<Parameters>()?.table()?;
        Ok(Outputs { data: vec![("output_data".into(), DataOutput::Existing(table))], ..Outputs::default() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use tributary_component::definition::Stage;
    use tributary_component::testing::problems;

    #[test]
    fn a_name_that_no_table_can_have_is_reported_where_it_is_written() {
        let given = json!({"namespace": "../etc", "name": "a b"});
        let found = problems(&Reader::default(), Stage::Default, &[("guest", "1")], given);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("namespace: table namespace \"../etc\""), "{found:?}");
        assert!(found[1].starts_with("name: table name \"a b\""), "{found:?}");
    }
}
