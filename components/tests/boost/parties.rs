//! Whole tasks of several parties in one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Map, Value};
use tributary_component::output::{DataOutput, Metric, Model, Outputs};
use tributary_component::release::{Charge, Item, Ledger, Over, Source};
use tributary_component::task::{Level, Progress};
use tributary_component::{Input, Releases, Stage, Task};
use tributary_core::computing::End;
use tributary_core::federation::{Federation, Traffic};
use tributary_core::{Layout, Limits, Party, PartyId, Result, Table};

use super::tables::Rows;
pub use crate::support::{meet, parties, session};

/// Keeps what users see, and all checkpoints.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    kept: Mutex<Vec<Bytes>>,
    metrics: Mutex<Vec<Metric>>,
}

impl Progress for Lines {
    fn line(&self, _: Level, text: &str) {
        self.lines.lock().unwrap().push(text.into());
    }

    fn metric(&self, metric: Metric) {
        metric.add_to(&mut self.metrics.lock().unwrap());
    }

    fn checkpoint(&self, state: &[u8]) -> Result<()> {
        self.kept.lock().unwrap().push(Bytes::copy_from_slice(state));
        Ok(())
    }
}

/// Remembers what was booked.
#[derive(Debug, Default)]
pub struct Booked(pub Mutex<BTreeMap<String, u64>>);

impl Ledger for Booked {
    fn book(&self, tables: &[Source], _: &PartyId, charges: &[Charge]) -> Result<Option<Over>> {
        let mut booked = self.0.lock().unwrap();
        for Charge { item, amount, limit, .. } in charges {
            let Item::Sums(column) = item else { continue };
            let used = booked.entry(column.clone()).or_default();
            if *used + amount > *limit {
                let (table, item) = (tables[0].table.clone(), item.clone());
                return Ok(Some(Over { table, item, used: *used, amount: *amount, limit: *limit }));
            }
            *used += amount;
        }
        Ok(None)
    }

    fn cuts(&self, _: &[Source], _: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        Ok(vec![Vec::new(); columns.len()])
    }
}

/// One party's part.
#[derive(Clone)]
pub struct Part {
    /// By input key.
    pub data: BTreeMap<String, Rows>,
    pub models: BTreeMap<String, Value>,
    pub parameters: Value,
    pub partitions: u32,
    pub kept: Option<Bytes>,
    pub limits: Limits,
}

impl Part {
    pub fn of(input: &str, rows: Rows, parameters: &Value) -> Self {
        let data = BTreeMap::from([(input.to_string(), rows)]);
        let (models, kept, limits) = (BTreeMap::new(), None, Limits::NONE);
        Self { data, models, parameters: parameters.clone(), partitions: 1, kept, limits }
    }
}

/// What one party ends with.
pub struct Ended {
    pub outputs: Result<Outputs>,
    pub lines: Vec<String>,
    pub kept: Vec<Bytes>,
    pub metrics: Vec<Metric>,
    pub traffic: Traffic,
    pub booked: Arc<Booked>,
}

impl Ended {
    pub fn says(&self, start: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(start))
    }

    pub fn model(&self) -> Value {
        match &self.outputs.as_ref().unwrap().models[..] {
            [(_, Model::Json(model))] => model.clone(),
            other => panic!("{} models", other.len()),
        }
    }

    pub fn table(&self) -> &Table {
        match &self.outputs.as_ref().unwrap().data[..] {
            [(_, DataOutput::Table(table))] => table,
            other => panic!("{} tables", other.len()),
        }
    }
}

/// One party's run.
pub async fn run(stage: Stage, federation: Arc<dyn Federation>, parties: &[Party], part: Part) -> Ended {
    let component = tributary_components::all().get("hetero_secureboost").unwrap().clone();
    let (own, computing) = (federation.spec().own.clone(), session(part.partitions).await);
    let given: &Map<String, Value> = part.parameters.as_object().unwrap();
    let parameters = component.definition().validate_parameters(stage, given).unwrap().values;
    let mut inputs = BTreeMap::new();
    let mut sources = BTreeMap::new();
    for (key, rows) in &part.data {
        let table = rows.table(&computing, Layout::Loose(part.partitions)).await;
        inputs.insert(key.clone(), vec![Input::Table(table)]);
        sources.insert(key.clone(), vec![Source { table: format!("n/{key}"), content: rows.content() }]);
    }
    for (key, model) in part.models {
        inputs.insert(key, vec![Input::Model(Model::Json(model))]);
    }
    let (progress, booked) = (Arc::<Lines>::default(), Arc::<Booked>::default());
    let task = Task {
        name: "sbt_0".into(),
        stage,
        own,
        parties: parties.to_vec(),
        parameters,
        inputs,
        producers: BTreeMap::new(),
        computing,
        federation: federation.clone(),
        releases: Releases { limits: part.limits, ledger: booked.clone(), sources, recoded: BTreeMap::new() },
        checkpoint: part.kept,
        progress: progress.clone(),
    };
    let outputs = component.run(&task).await;
    let traffic = federation.traffic();
    federation.close(if outputs.is_err() { End::Failed } else { End::Done }).await.unwrap();
    let (lines, kept) = (progress.lines.lock().unwrap().clone(), progress.kept.lock().unwrap().clone());
    let metrics = progress.metrics.lock().unwrap().clone();
    Ended { outputs, lines, kept, metrics, traffic, booked }
}

/// All parties at once, the guest first.
pub async fn together(stage: Stage, parts: Vec<Part>) -> Vec<Ended> {
    let parties = parties(parts.len() - 1);
    let sessions = meet(&parties).await;
    let runs = sessions.into_iter().zip(parts).map(|(session, part)| run(stage, session, &parties, part));
    futures::future::join_all(runs).await
}

/// As [`together`], where all must succeed.
pub async fn all_well(stage: Stage, parts: Vec<Part>) -> Vec<Ended> {
    let ended = together(stage, parts).await;
    for ended in &ended {
        if let Err(error) = &ended.outputs {
            panic!("{}", error.chain());
        }
    }
    ended
}
