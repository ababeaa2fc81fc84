//! What a task gives: tables stored by its party at once, the rest recorded when all parties have succeeded.

use std::collections::BTreeSet;

use tributary_catalog::Entry;
use tributary_component::{DataOutput, Metric, Model, Outputs};
use tributary_core::federation::Traffic;
use tributary_core::meta::TableRecord;
use tributary_core::storage::{IfExists, StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, Party, Result, ResultExt, Table, TableName};

use super::{PartyAttempt, Shared};
use crate::record::{DataRecord, Records, TaskOutputs};
use crate::sources::{RECODED, SOURCES};
use crate::staged::Staged;

/// What a task's inputs were made of, as the records of its outputs keep it.
#[derive(Clone)]
pub(crate) struct Origin {
    /// [`sources::text`](crate::sources::text).
    pub sources: String,
    /// Columns that no longer have the values of the sources.
    pub recoded: BTreeSet<String>,
}

/// The results of a party's part of an attempt, before they are recorded.
pub(crate) struct PartyOutputs {
    pub outcome: Result<()>,
    pub rows: u64,
    pub actions: u64,
    pub traffic: Traffic,
    pub models: Vec<(String, Model)>,
    /// Tables stored, or begun to be.
    pub stored: Vec<TableName>,
    shared: Shared,
    party: Party,
    data: DataRecord,
    metrics: Vec<Metric>,
}

impl PartyOutputs {
    /// None yet.
    pub(crate) fn new(attempt: &PartyAttempt) -> Self {
        Self {
            outcome: Ok(()),
            rows: 0,
            actions: 0,
            traffic: Traffic::default(),
            shared: attempt.shared.clone(),
            party: attempt.task.party.clone(),
            stored: Vec::new(),
            data: Vec::new(),
            models: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Stages models, metrics and the names of output tables.
    pub(crate) fn stage(&self, records: &Records, staged: &mut Staged) -> Result<()> {
        let outputs = TaskOutputs {
            name: &self.shared.model,
            models: &self.models,
            metrics: &self.metrics,
            data: &self.data,
        };
        let place = (&self.party.role, self.shared.name.as_str());
        records.stage(staged, &self.shared.job, place, &outputs)
    }
}

impl PartyAttempt {
    /// Stores tables; the rest waits until all parties are done.
    pub(super) async fn store(
        &self,
        outputs: Outputs,
        inputs: &Origin,
        end: &mut PartyOutputs,
    ) -> Result<()> {
        for (key, output) in outputs.data {
            let name = match output {
                DataOutput::Existing(name) => {
                    end.rows += self.record_of(&name).await.at(|| format!("output {key}"))?.rows;
                    name
                }
                DataOutput::Table(table) => {
                    let mut origin = inputs.clone();
                    origin.recoded.extend(outputs.recoded.get(&key).into_iter().flatten().cloned());
                    let stored = self.store_table(&key, &table, origin, &mut end.stored).await;
                    let (name, table) = stored.at(|| format!("store output {key}"))?;
                    end.rows += table.rows();
                    name
                }
            };
            end.data.push((key, name));
        }
        end.models = outputs.models;
        end.metrics = self.progress.metrics();
        outputs.metrics.into_iter().for_each(|metric| metric.add_to(&mut end.metrics));
        Ok(())
    }

    async fn store_table(
        &self,
        key: &str,
        table: &Table,
        inputs: Origin,
        stored: &mut Vec<TableName>,
    ) -> Result<(TableName, StoredTable)> {
        let shared = &self.shared;
        let name = TableName::of_output(&shared.session()?, &self.task.party.role, key)?;
        let uri = self.site.storage.locate(&name)?;
        let table = table.keep().await?;
        // Before it exists, so that a stop in between leaves nothing; not ours if it existed already.
        stored.push(name.clone());
        let saved = table.save(&uri, WriteOptions::default()).await.inspect_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                stored.pop();
            }
        })?;
        let preview = tributary_text::preview(&table.take(TableRecord::MAX_PREVIEW_ROWS as u64).await?)?;
        let mut origin = vec![
            ("job", shared.job.to_string()),
            ("task", shared.name.clone()),
            ("component", shared.component.definition().name.to_string()),
            ("party", self.task.party.to_string()),
            ("output", key.to_string()),
            (SOURCES, inputs.sources),
        ];
        if !inputs.recoded.is_empty() {
            let columns = serde_json::to_string(&inputs.recoded);
            origin
                .push((RECODED, columns.map_err(|why| Error::bug("encode names of columns").because(why))?));
        }
        let entry = Entry { preview, origin, if_exists: IfExists::Fail };
        tributary_catalog::record(&self.site.storage, &self.site.meta, &name, &saved, entry).await?;
        Ok((name, saved))
    }
}
