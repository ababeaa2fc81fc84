//! The task executor: one attempt at one task of one party, from its resolved description to recorded outputs.
//!
//! Engines are opened for the attempt and closed with it, whatever happens; a failure leaves no table behind and tells the
//! other parties at once, so that they need not wait for their patience to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tributary_components::task::Input;
use tributary_components::{Component, DataOutput, Outputs, Task};
use tributary_core::computing::{Computing, End, SessionSpec};
use tributary_core::federation::{Federation, FederationSpec, Traffic};
use tributary_core::meta::{Expect, TableRecord};
use tributary_core::placement::Placement;
use tributary_core::storage::{StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, JobId, Party, Result, ResultExt, SessionId, Site, Table, TableName};

use crate::clock::now_ms;
use crate::record::{DataRecord, Records};
use crate::spec::{Channel, PartyTask};
use tributary_components::definition::Stage;

/// One attempt at one task of one party, ready to run.
pub(crate) struct Attempt {
    pub job: JobId,
    /// The model name that the job's own models get.
    pub model: (String, String),
    pub name: String,
    pub stage: Stage,
    pub task: PartyTask,
    pub parties: Vec<Party>,
    pub attempt: u32,
    pub component: Arc<dyn Component>,
    pub site: Site,
    pub placement: Placement,
    pub plan_hash: [u8; 32],
    pub timeout: Duration,
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What an attempt gave.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub rows: u64,
    pub traffic: Traffic,
}

impl Attempt {
    /// Runs to the end, within the time-out.
    pub(crate) async fn run(self) -> (Result<()>, Given) {
        let mut given = Given::default();
        let session = match self.session() {
            Ok(session) => session,
            Err(error) => return (Err(error), given),
        };
        let outcome = match self.open(&session).await {
            Ok((computing, federation)) => self.run_open(computing, federation, &mut given).await,
            Err(error) => Err(error),
        };
        (outcome, given)
    }

    async fn run_open(
        &self,
        computing: Arc<dyn Computing>,
        federation: Arc<dyn Federation>,
        given: &mut Given,
    ) -> Result<()> {
        let work = self.work(&computing, &federation, &mut given.rows);
        let outcome = match tokio::time::timeout(self.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = format!("not done after {} s; raise timeout in the job's conf", self.timeout.as_secs());
                Err(Error::new(ErrorKind::Timeout, text))
            }
        };
        let end = if outcome.is_ok() { End::Done } else { End::Failed };
        // The task's own failure counts before one of the clean-up.
        let (left, closed) = futures::join!(federation.close(end), computing.close(end));
        given.traffic = federation.traffic();
        outcome.and(left.at(|| "close the federation session")).and(closed.at(|| "close the computing session"))
    }

    fn session(&self) -> Result<SessionId> {
        SessionId::new(format!("{}_{}_{}", self.job, self.name, self.attempt))
    }

    async fn open(&self, session: &SessionId) -> Result<(Arc<dyn Computing>, Arc<dyn Federation>)> {
        let site = &self.site;
        let spec = SessionSpec {
            id: session.clone(),
            placement: self.placement.clone(),
            memory_bytes: site.memory_bytes,
        };
        let peers = self.parties.iter().filter(|p| **p != self.task.party).cloned().collect();
        let federation = FederationSpec {
            session: session.clone(),
            own: self.task.party.clone(),
            peers,
            plan_hash: self.plan_hash,
            patience: site.patience,
        };
        let computing = site.engine.open(spec).await.at(|| "open a computing session")?;
        match site.network.join(federation).await {
            Ok(federation) => Ok((computing, federation)),
            Err(error) => {
                computing.close(End::Failed).await?;
                Err(error.at("join the other parties"))
            }
        }
    }

    async fn work(
        &self,
        computing: &Arc<dyn Computing>,
        federation: &Arc<dyn Federation>,
        rows: &mut u64,
    ) -> Result<()> {
        let task = Task {
            name: self.name.clone(),
            stage: self.stage,
            own: self.task.party.clone(),
            parties: self.parties.clone(),
            parameters: self.task.parameters.clone(),
            inputs: self.inputs(computing).await?,
            computing: computing.clone(),
            federation: federation.clone(),
            meta: self.site.meta.clone(),
            progress: self.progress.clone(),
        };
        let outputs = self.component.run(&task).await?;
        *rows = self.store(outputs).await?;
        Ok(())
    }

    async fn inputs(&self, computing: &Arc<dyn Computing>) -> Result<BTreeMap<String, Vec<Input>>> {
        let mut inputs = BTreeMap::new();
        for (key, channels) in &self.task.inputs.data {
            let mut tables = Vec::new();
            for channel in channels {
                let table = self.table(channel, computing).await.at(|| format!("input {key}"))?;
                tables.push(Input::Table(table));
            }
            inputs.insert(key.clone(), tables);
        }
        for (key, channels) in &self.task.inputs.model {
            let models = channels.iter().map(|channel| Ok(Input::Model(self.input_model(channel)?)));
            inputs.insert(key.clone(), models.collect::<Result<_>>().at(|| format!("input {key}"))?);
        }
        Ok(inputs)
    }

    async fn table(&self, channel: &Channel, computing: &Arc<dyn Computing>) -> Result<Table> {
        let name = match channel {
            Channel::TaskOutput { producer_task, output_artifact_key } => {
                self.output_of(&self.job, producer_task, output_artifact_key)?
            }
            Channel::JobOutput { job_id, producer_task, output_artifact_key } => {
                self.output_of(job_id, producer_task, output_artifact_key)?
            }
            Channel::Table(name) => name.clone(),
            Channel::ModelWarehouse { .. } => return Err(Error::bug("a model where a table is expected")),
        };
        let (_, record) = self.site.meta.get(&name).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("party {} has no table {name}", self.site.id))
        })?;
        Table::load(computing, &record.uri).await.at(|| format!("load table {name}"))
    }

    fn output_of(&self, job: &JobId, task: &str, output: &str) -> Result<TableName> {
        let data = self.records().data(job, &self.task.party.role, task)?;
        let found = data.into_iter().find(|(key, _)| key == output);
        found.map(|(_, name)| name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("task {task} of job {job} gave no output {output} here"))
        })
    }

    fn input_model(&self, channel: &Channel) -> Result<Value> {
        let role = &self.task.party.role;
        match channel {
            Channel::TaskOutput { producer_task, output_artifact_key } => {
                let model = (self.model.0.as_str(), self.model.1.as_str());
                self.records().model(model, role, producer_task, output_artifact_key)
            }
            Channel::ModelWarehouse { model, producer_task, output_artifact_key } => {
                let model = (model.model_id.as_str(), model.model_version.as_str());
                self.records().model(model, role, producer_task, output_artifact_key)
            }
            _ => Err(Error::bug("a table where a model is expected")),
        }
    }

    fn records(&self) -> Records {
        Records::new(&self.site.home)
    }

    /// Stores tables, models and metrics; on a failure removes the tables stored so far.
    async fn store(&self, outputs: Outputs) -> Result<u64> {
        let (mut data, mut rows, mut stored) = (DataRecord::new(), 0, Vec::new());
        for (key, output) in outputs.data {
            let name = match output {
                DataOutput::Existing(name) => name,
                DataOutput::Table(table) => match self.store_table(&key, &table).await {
                    Ok((name, table)) => {
                        rows += table.rows();
                        stored.push(table.uri);
                        name
                    }
                    Err(error) => {
                        for uri in stored {
                            self.site.storage.delete(&uri).await?;
                        }
                        return Err(error.at(format!("store output {key}")));
                    }
                },
            };
            data.push((key, name));
        }
        let (records, role, task) = (self.records(), &self.task.party.role, &self.name);
        for (key, model) in &outputs.models {
            records.write_model((&self.model.0, &self.model.1), role, task, key, model)?;
        }
        records.write_metrics(&self.job, role, task, &outputs.metrics)?;
        records.write_data(&self.job, role, task, &data)?;
        Ok(rows)
    }

    async fn store_table(&self, key: &str, table: &Table) -> Result<(TableName, StoredTable)> {
        let namespace = format!("{}_{}", self.job, self.name);
        let name = TableName::new(namespace, format!("{}_{key}_{}", self.task.party.role, self.attempt))?;
        let uri = self.site.storage.locate(&name)?;
        let table = table.keep().await?;
        let stored = table.save(&uri, WriteOptions::default()).await?;
        let origin = [
            ("job", self.job.to_string()),
            ("task", self.name.clone()),
            ("component", self.component.definition().name.to_string()),
            ("party", self.task.party.to_string()),
            ("output", key.to_string()),
        ];
        let now = now_ms();
        let record = TableRecord {
            table: name.clone(),
            engine: self.site.storage.info().name.into(),
            uri,
            schema: stored.schema.clone(),
            layout: stored.layout.clone(),
            rows: stored.rows(),
            bytes: stored.bytes(),
            preview: preview(&table).await?,
            origin: origin.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
            created_ms: now,
            updated_ms: now,
        };
        self.site.meta.set(&record, Expect::Absent).await?;
        Ok((name, stored))
    }
}

/// The first rows as text.
async fn preview(table: &Table) -> Result<Vec<Vec<Option<String>>>> {
    TableRecord::preview_of(&table.take(TableRecord::MAX_PREVIEW_ROWS as u64).await?)
}
