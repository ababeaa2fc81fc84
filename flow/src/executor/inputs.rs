//! What a task takes: tables by their names, outputs of earlier tasks, models.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_component::{Input, Model};
use tributary_core::computing::Computing;
use tributary_core::meta::TableRecord;
use tributary_core::{Error, ErrorKind, JobId, Result, ResultExt, Table, TableName};

use super::PartyAttempt;
use crate::record::Records;
use crate::sources::{self, Recoded, Sources};
use crate::spec::ArtifactRef;

impl PartyAttempt {
    pub(super) async fn inputs(
        &self,
        computing: &Arc<dyn Computing>,
    ) -> Result<BTreeMap<String, Vec<Input>>> {
        let mut inputs = BTreeMap::new();
        for (key, refs) in &self.task.inputs.data {
            let mut tables = Vec::new();
            for input_ref in refs {
                let table = self.table(input_ref, computing).await.at(|| format!("input {key}"))?;
                tables.push(Input::Table(table));
            }
            inputs.insert(key.clone(), tables);
        }
        for (key, refs) in &self.task.inputs.model {
            let models = refs.iter().map(|input_ref| Ok(Input::Model(self.input_model(input_ref)?)));
            inputs.insert(key.clone(), models.collect::<Result<_>>().at(|| format!("input {key}"))?);
        }
        Ok(inputs)
    }

    /// What made each input, by key.
    pub(super) fn producers(&self) -> BTreeMap<String, Vec<String>> {
        let inputs = self.task.inputs.data.iter().chain(&self.task.inputs.model);
        inputs.map(|(key, refs)| (key.clone(), refs.iter().map(producer).collect())).collect()
    }

    /// The tables of the site that each input was made of, and its columns that no longer have their values.
    pub(super) async fn sources(&self) -> Result<(Sources, Recoded)> {
        let (mut all, mut recoded) = (Sources::new(), Recoded::new());
        for (key, refs) in &self.task.inputs.data {
            for input_ref in refs {
                let record =
                    self.record_of(&self.table_name(input_ref)?).await.at(|| format!("input {key}"))?;
                all.entry(key.clone()).or_default().extend(sources::of(&self.site, &record).await?);
                recoded.entry(key.clone()).or_default().extend(sources::recoded(&record)?);
            }
        }
        Ok((all, recoded))
    }

    async fn table(&self, input_ref: &ArtifactRef, computing: &Arc<dyn Computing>) -> Result<Table> {
        let name = self.table_name(input_ref)?;
        let record = self.record_of(&name).await?;
        Table::load(computing, &record.uri).await.at(|| format!("load table {name}"))
    }

    fn table_name(&self, input_ref: &ArtifactRef) -> Result<TableName> {
        Ok(match input_ref {
            ArtifactRef::TaskOutput { producer_task, output_artifact_key } => {
                self.output_of(&self.shared.job, producer_task, output_artifact_key)?
            }
            ArtifactRef::JobOutput { job_id, producer_task, output_artifact_key } => {
                self.output_of(job_id, producer_task, output_artifact_key)?
            }
            ArtifactRef::Table(name) => name.clone(),
            ArtifactRef::ModelWarehouse { .. } => {
                return Err(Error::bug("a model where a table is expected"));
            }
        })
    }

    pub(super) async fn record_of(&self, name: &TableName) -> Result<TableRecord> {
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

    fn input_model(&self, input_ref: &ArtifactRef) -> Result<Model> {
        let (records, role) = (Records::new(&self.site.home), &self.task.party.role);
        match input_ref {
            ArtifactRef::TaskOutput { producer_task, output_artifact_key } => {
                records.model(&self.shared.model, role, producer_task, output_artifact_key)
            }
            ArtifactRef::ModelWarehouse { model, producer_task, output_artifact_key } => {
                records.model(model, role, producer_task, output_artifact_key)
            }
            _ => Err(Error::bug("a table where a model is expected")),
        }
    }
}

fn producer(input_ref: &ArtifactRef) -> String {
    match input_ref {
        ArtifactRef::TaskOutput { producer_task, .. }
        | ArtifactRef::JobOutput { producer_task, .. }
        | ArtifactRef::ModelWarehouse { producer_task, .. } => producer_task.clone(),
        ArtifactRef::Table(name) => name.to_string(),
    }
}
