//! Components on the rows of tables, whole, in one process: the same at all parties, for any number of partitions.

#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

#[path = "../support/mod.rs"]
mod support;

mod evaluated;
mod parted;
mod sampled;
mod scaled;
mod selected;
mod united;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray};
use arrow_schema::DataType;
use futures::executor::block_on;
use serde_json::Value;
use tributary_component::output::{DataOutput, Model, Outputs};
use tributary_component::release::{NoLedger, Source};
use tributary_component::{Input, Releases, Stage, Task, Unwatched};
use tributary_core::computing::{Computing, End};
use tributary_core::{Field, KeyType, Layout, Limits, Party, Purpose, Result, Table, TableSchema};

use support::{meet, parties, session};

/// Partitions of the first party's tables; others have one more.
const PARTITIONS: [u32; 3] = [1, 2, 7];

/// A table's columns after its id.
type Columns = Vec<(Field, ArrayRef)>;

/// Numbers as a column.
fn column(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> (Field, ArrayRef) {
    (Field::new(name, DataType::Float64).nullable(), Arc::new(values.into_iter().collect::<Float64Array>()))
}

fn label(values: impl IntoIterator<Item = i32>) -> (Field, ArrayRef) {
    let field = Field::new("y", DataType::Int32).purpose(Purpose::Label);
    (field, Arc::new(Int32Array::from_iter_values(values)))
}

fn texts(name: &str, values: impl IntoIterator<Item = &'static str>) -> (Field, ArrayRef) {
    (Field::new(name, DataType::Utf8), Arc::new(StringArray::from_iter_values(values)))
}

/// Rows by number, with ids that say whose they are.
async fn table(session: &Arc<dyn Computing>, own: &Party, columns: Columns, partitions: u32) -> Table {
    let rows = columns[0].1.len();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{own}-{row}"))));
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    let rows = schema.batch([ids].into_iter().chain(arrays).collect()).unwrap();
    let table = Table::parallelize(session, &schema, vec![rows], Layout::Loose(partitions)).await.unwrap();
    table.keep_rows().await.unwrap()
}

/// A component, and what it is given.
struct Run<'a> {
    component: &'static str,
    stage: Stage,
    parameters: Value,
    partitions: u32,
    limits: Limits,
    /// Tables by input key and by the place of the party; the producer of the n-th is `task_n`.
    tables: &'a dyn Fn(usize) -> Vec<(&'static str, Columns)>,
    /// Models by input key and by the place of the party.
    models: &'a dyn Fn(usize) -> Vec<(&'static str, Value)>,
}

fn no_models(_: usize) -> Vec<(&'static str, Value)> {
    Vec::new()
}

impl<'a> Run<'a> {
    fn new(
        component: &'static str,
        parameters: Value,
        tables: &'a dyn Fn(usize) -> Vec<(&'static str, Columns)>,
    ) -> Self {
        Self {
            component,
            stage: Stage::Default,
            parameters,
            partitions: 2,
            limits: Limits::NONE,
            tables,
            models: &no_models,
        }
    }

    /// What each of so many parties ends with.
    fn at(&self, count: usize) -> Vec<Result<Outputs>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let parties = parties(count - 1);
            let sessions = meet(&parties).await;
            let runs = sessions.into_iter().enumerate().map(|(place, federation)| {
                let parties = &parties;
                async move {
                    let task = self.task(place, parties, federation.clone()).await;
                    let component = tributary_components::all().get(self.component).unwrap().clone();
                    let outputs = component.run(&task).await;
                    federation.close(if outputs.is_err() { End::Failed } else { End::Done }).await.unwrap();
                    outputs
                }
            });
            futures::future::join_all(runs).await
        })
    }

    /// Of a single party that succeeds.
    fn alone(&self) -> Outputs {
        self.at(1).remove(0).unwrap()
    }

    async fn task(
        &self,
        place: usize,
        parties: &[Party],
        federation: Arc<dyn tributary_core::federation::Federation>,
    ) -> Task {
        let component = tributary_components::all().get(self.component).unwrap().clone();
        let given = self.parameters.as_object().unwrap();
        let parameters = component.definition().validate_parameters(self.stage, given).unwrap().values;
        let (own, partitions) = (parties[place].clone(), self.partitions + place as u32);
        let computing = session(partitions).await;
        let (mut inputs, mut producers) = (BTreeMap::new(), BTreeMap::new());
        for (number, (key, columns)) in (self.tables)(place).into_iter().enumerate() {
            let table = table(&computing, &own, columns, partitions).await;
            inputs.entry(key.to_string()).or_insert_with(Vec::new).push(Input::Table(table));
            producers.entry(key.to_string()).or_insert_with(Vec::new).push(format!("task_{number}"));
        }
        for (key, model) in (self.models)(place) {
            inputs.entry(key.to_string()).or_insert_with(Vec::new).push(Input::Model(Model::Json(model)));
        }
        let source = Source { table: "t".into(), content: "c".into() };
        let sources = inputs.keys().map(|key| (key.clone(), vec![source.clone()])).collect();
        Task {
            name: "task".into(),
            stage: self.stage,
            own,
            parties: parties.to_vec(),
            parameters,
            inputs,
            producers,
            computing,
            federation,
            releases: Releases {
                limits: self.limits.clone(),
                ledger: Arc::new(NoLedger),
                sources,
                recoded: BTreeMap::new(),
            },
            checkpoint: None,
            progress: Arc::new(Unwatched),
        }
    }
}

/// An output table, if there is one.
fn output<'a>(outputs: &'a Outputs, key: &str) -> Option<&'a Table> {
    let found = outputs.data.iter().find(|(name, _)| name == key);
    found.map(|(_, output)| match output {
        DataOutput::Table(table) => table,
        DataOutput::Existing(name) => panic!("{name} existed"),
    })
}

/// The values of a column of numbers.
fn values(table: &Table, name: &str) -> Vec<Option<f64>> {
    let rows = block_on(table.select([name]).unwrap().collect()).unwrap();
    let column = |rows: &arrow_array::RecordBatch| {
        let column = arrow_cast(rows.column(1));
        column.iter().collect::<Vec<_>>()
    };
    rows.iter().flat_map(column).collect()
}

fn arrow_cast(column: &ArrayRef) -> Float64Array {
    let schema =
        TableSchema::new(None, vec![Field::new("v", column.data_type().clone()).nullable()]).unwrap();
    let rows = schema.batch(vec![column.clone()]).unwrap();
    tributary_core::numbers::numbers(&rows, 0).unwrap()
}

/// Ids, in order.
fn ids(table: &Table) -> Vec<String> {
    let rows = block_on(table.select::<&str>([]).unwrap().collect()).unwrap();
    let ids = |rows: &arrow_array::RecordBatch| {
        rows.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    rows.iter().flat_map(ids).collect()
}

/// The data of a metric.
fn metric<'a>(outputs: &'a Outputs, name: &str) -> &'a Value {
    &outputs.metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}")).data
}

/// The one model, as JSON.
fn model(outputs: &Outputs) -> &Value {
    match &outputs.models[..] {
        [(_, Model::Json(model))] => model,
        other => panic!("{} models", other.len()),
    }
}
