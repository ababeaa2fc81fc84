//! The task executor: one attempt at one task of one party, from its resolved description to stored outputs.
//!
//! Engines are opened for the attempt and closed with it, whatever happens: done, failed, timed out or stopped. Closing a
//! federation after a failure tells the other parties at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tributary_catalog::Entry;
use tributary_component::definition::Stage;
use tributary_component::task::Input;
use tributary_component::{Component, DataOutput, Metric, Outputs, Task};
use tributary_core::computing::{Computing, End, SessionSpec};
use tributary_core::federation::{Federation, FederationSpec, Traffic};
use tributary_core::meta::TableRecord;
use tributary_core::placement::Placement;
use tributary_core::storage::{IfExists, StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, JobId, Party, Result, ResultExt, SessionId, Site, Table, TableName};

use crate::log::TaskLog;
use crate::metered::Metered;
use crate::record::{DataRecord, Records, TaskOutputs};
use crate::spec::{Channel, PartyTask};
use crate::staged::Staged;

/// Closing sessions after a failure may take this long.
const CLOSING: Duration = Duration::from_secs(10);

/// What all parties of an attempt share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub job: JobId,
    /// The name that the job's own models get.
    pub model: (String, String),
    pub name: String,
    pub stage: Stage,
    pub component: Arc<dyn Component>,
    pub parties: Vec<Party>,
    pub attempt: u32,
    pub plan_hash: [u8; 32],
}

/// One party's part of an attempt, ready to run.
pub(crate) struct PartyAttempt {
    pub shared: Shared,
    pub task: PartyTask,
    pub site: Site,
    pub placement: Placement,
    pub timeout: Duration,
    pub log: TaskLog,
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
    pub stop: watch::Receiver<bool>,
}

/// What a party's part of an attempt came to.
pub(crate) struct PartyEnd {
    pub outcome: Result<()>,
    pub rows: u64,
    pub actions: u64,
    pub traffic: Traffic,
    pub models: Vec<(String, Value)>,
    shared: Shared,
    party: Party,
    site: Site,
    log: TaskLog,
    /// Tables stored, or begun to be.
    stored: Vec<TableName>,
    data: DataRecord,
    metrics: Vec<Metric>,
}

impl PartyEnd {
    /// The same, ended by an error.
    pub(crate) fn failed(self, error: Error) -> Self {
        Self { outcome: Err(error), ..self }
    }

    /// Stages models, metrics and the names of output tables.
    pub(crate) fn stage(&self) -> Result<Staged> {
        let outputs = TaskOutputs {
            model: (&self.shared.model.0, &self.shared.model.1),
            models: &self.models,
            metrics: &self.metrics,
            data: &self.data,
        };
        let mut staged = Staged::default();
        let place = (&self.party.role, self.shared.name.as_str());
        Records::new(&self.site.home).stage(&mut staged, &self.shared.job, place, &outputs).map(|()| staged)
    }

    /// Removes the tables that were stored. What cannot be removed is named in the log: the failure itself counts more.
    pub(crate) async fn discard(&self) {
        for name in &self.stored {
            match tributary_catalog::delete(&self.site.storage, &self.site.meta, name).await {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    self.log.line(&format!("table {name} was not removed: {}", error.chain()));
                }
                _ => {}
            }
        }
    }
}

/// Sessions opened so far.
#[derive(Default)]
struct Sessions {
    computing: Option<Arc<Metered>>,
    federation: Option<Arc<dyn Federation>>,
}

impl Sessions {
    async fn close(&self, end: End) -> Result<()> {
        let federation = async {
            match &self.federation {
                Some(federation) => {
                    federation.close(end).await.at(|| "close the federation session").map(drop)
                }
                None => Ok(()),
            }
        };
        let computing = async {
            match &self.computing {
                Some(computing) => computing.close(end).await.at(|| "close the computing session"),
                None => Ok(()),
            }
        };
        let (left, closed) = futures::join!(federation, computing);
        left.and(closed)
    }
}

impl PartyAttempt {
    /// Who.
    pub(crate) fn party(&self) -> &Party {
        &self.task.party
    }

    /// An end that nothing came to yet.
    pub(crate) fn not_begun(&self) -> PartyEnd {
        PartyEnd {
            outcome: Ok(()),
            rows: 0,
            actions: 0,
            traffic: Traffic::default(),
            shared: self.shared.clone(),
            party: self.task.party.clone(),
            site: self.site.clone(),
            log: self.log.clone(),
            stored: Vec::new(),
            data: Vec::new(),
            models: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Runs to the end, the time-out, or until it is stopped; then closes what it opened.
    pub(crate) async fn run(self) -> PartyEnd {
        let (mut end, mut sessions, mut stop) = (self.not_begun(), Sessions::default(), self.stop.clone());
        let outcome = tokio::select! {
            done = self.work(&mut sessions, &mut end) => done,
            () = tokio::time::sleep(self.timeout) => {
                let seconds = self.timeout.as_secs();
                Err(Error::new(ErrorKind::Timeout, format!("not done after {seconds} s; raise timeout in the job's conf")))
            }
            // An error means that nobody is left who could stop it.
            Ok(_) = stop.wait_for(|stop| *stop) => Err(Error::new(ErrorKind::Cancelled, "stopped")),
        };
        let state = if outcome.is_ok() { End::Done } else { End::Failed };
        let closed = match tokio::time::timeout(CLOSING, sessions.close(state)).await {
            Ok(closed) => closed,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("sessions not closed after {} s", CLOSING.as_secs()),
            )),
        };
        end.actions = sessions.computing.as_ref().map_or(0, |session| session.actions());
        end.traffic = sessions.federation.as_ref().map(|f| f.traffic()).unwrap_or_default();
        // The task's own failure counts before one of the clean-up.
        end.outcome = outcome.and(closed);
        let text =
            end.outcome.as_ref().err().map_or("done".to_string(), |e| format!("failed: {}", e.chain()));
        self.log.line(&text);
        end
    }

    async fn work(&self, sessions: &mut Sessions, end: &mut PartyEnd) -> Result<()> {
        let (computing, federation) = self.open(sessions).await?;
        let task = Task {
            name: self.shared.name.clone(),
            stage: self.shared.stage,
            own: self.task.party.clone(),
            parties: self.shared.parties.clone(),
            parameters: self.task.parameters.clone(),
            inputs: self.inputs(&computing).await?,
            computing,
            federation,
            progress: self.progress.clone(),
        };
        let outputs = self.shared.component.run(&task).await?;
        self.store(outputs, end).await
    }

    async fn open(&self, sessions: &mut Sessions) -> Result<(Arc<dyn Computing>, Arc<dyn Federation>)> {
        let (site, shared) = (&self.site, &self.shared);
        let session = SessionId::new(format!("{}_{}_{}", shared.job, shared.name, shared.attempt))?;
        let spec = SessionSpec {
            id: session.clone(),
            placement: self.placement.clone(),
            memory_bytes: site.memory_bytes,
        };
        let computing = site.engine.open(spec).await.at(|| "open a computing session")?;
        let computing = Metered::new(computing);
        sessions.computing = Some(computing.clone());
        let federation = FederationSpec {
            session,
            own: self.task.party.clone(),
            peers: shared.parties.iter().filter(|p| **p != self.task.party).cloned().collect(),
            plan_hash: shared.plan_hash,
            patience: site.patience,
        };
        let federation = site.network.join(federation).await.at(|| "join the other parties")?;
        sessions.federation = Some(federation.clone());
        Ok((computing, federation))
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
                self.output_of(&self.shared.job, producer_task, output_artifact_key)?
            }
            Channel::JobOutput { job_id, producer_task, output_artifact_key } => {
                self.output_of(job_id, producer_task, output_artifact_key)?
            }
            Channel::Table(name) => name.clone(),
            Channel::ModelWarehouse { .. } => return Err(Error::bug("a model where a table is expected")),
        };
        let record = self.record_of(&name).await?;
        Table::load(computing, &record.uri).await.at(|| format!("load table {name}"))
    }

    async fn record_of(&self, name: &TableName) -> Result<TableRecord> {
        let found = self.site.meta.get(name).await?.map(|(_, record)| record);
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("party {} has no table {name}", self.site.id))
        })
    }

    fn output_of(&self, job: &JobId, task: &str, output: &str) -> Result<TableName> {
        let data = Records::new(&self.site.home).data(job, &self.task.party.role, task)?;
        let found = data.into_iter().find(|(key, _)| key == output);
        found.map(|(_, name)| name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("task {task} of job {job} gave no output {output} here"))
        })
    }

    fn input_model(&self, channel: &Channel) -> Result<Value> {
        let (records, role) = (Records::new(&self.site.home), &self.task.party.role);
        match channel {
            Channel::TaskOutput { producer_task, output_artifact_key } => {
                let model = (self.shared.model.0.as_str(), self.shared.model.1.as_str());
                records.model(model, role, producer_task, output_artifact_key)
            }
            Channel::ModelWarehouse { model, producer_task, output_artifact_key } => {
                let model = (model.model_id.as_str(), model.model_version.as_str());
                records.model(model, role, producer_task, output_artifact_key)
            }
            _ => Err(Error::bug("a table where a model is expected")),
        }
    }

    /// Stores tables; the rest waits until all parties are done.
    async fn store(&self, outputs: Outputs, end: &mut PartyEnd) -> Result<()> {
        for (key, output) in outputs.data {
            let name = match output {
                DataOutput::Existing(name) => {
                    end.rows += self.record_of(&name).await.at(|| format!("output {key}"))?.rows;
                    name
                }
                DataOutput::Table(table) => {
                    let stored = self.store_table(&key, &table, &mut end.stored).await;
                    let (name, table) = stored.at(|| format!("store output {key}"))?;
                    end.rows += table.rows();
                    name
                }
            };
            end.data.push((key, name));
        }
        end.models = outputs.models;
        end.metrics = outputs.metrics;
        Ok(())
    }

    async fn store_table(
        &self,
        key: &str,
        table: &Table,
        stored: &mut Vec<TableName>,
    ) -> Result<(TableName, StoredTable)> {
        let shared = &self.shared;
        let name = format!("{}_{key}_{}", self.task.party.role, shared.attempt);
        let name = TableName::new(format!("{}_{}", shared.job, shared.name), name)?;
        let uri = self.site.storage.locate(&name)?;
        let table = table.keep().await?;
        // Before it exists, so that a stop in between leaves nothing; not ours if it existed already.
        stored.push(name.clone());
        let saved = table.save(&uri, WriteOptions::default()).await.inspect_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                stored.pop();
            }
        })?;
        let preview = TableRecord::preview_of(&table.take(TableRecord::MAX_PREVIEW_ROWS as u64).await?)?;
        let origin = vec![
            ("job", shared.job.to_string()),
            ("task", shared.name.clone()),
            ("component", shared.component.definition().name.to_string()),
            ("party", self.task.party.to_string()),
            ("output", key.to_string()),
        ];
        let entry = Entry { preview, origin, if_exists: IfExists::Fail };
        tributary_catalog::record(&self.site.storage, &self.site.meta, &name, &saved, entry).await?;
        Ok((name, saved))
    }
}
