//! What a job takes from outside itself, looked up at a site before anything begins: tables that parameters or inputs name, and
//! tables and models of other jobs. Everything that is missing is reported together, with its place in the file.
//!
//! This is no promise: what is deleted afterwards is missing when a task needs it.

use std::collections::BTreeSet;

use tributary_core::{ErrorKind, JobId, PartyId, Result, Role, Site, TableName};
use tributary_document::{Problem, suggestion};

use crate::agent::Objection;
use crate::record::Records;
use crate::spec::{ArtifactRef, JobSpec, ModelRef};

/// What is missing, and how to fix it.
type Missing = (String, Option<String>);

/// Looks up all that a job needs at a site: an objection for each thing that is missing, with its place and the nearest existing
/// name.
pub(crate) async fn look_up(spec: &JobSpec, site: &Site) -> Result<Vec<Objection>> {
    let (mut looked_up, mut reported, mut objections) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for need in spec.needs.list.iter().filter(|need| need.party.id == site.id) {
        // A thing that several tasks of a party need is missing once, where it is named first.
        if !looked_up.insert((&need.party, format!("{:?}", need.source))) {
            continue;
        }
        if let Some((message, help)) = missing(site, &need.party.role, &need.source).await?
            && reported.insert(message.clone())
        {
            let problem = Problem::new(&spec.needs.file, need.at, &need.path, message, help);
            objections.push(Objection { kind: ErrorKind::NotFound, problem });
        }
    }
    Ok(objections)
}

/// Tables of a site that a job takes from outside itself.
pub fn tables(spec: &JobSpec, site: &PartyId, records: &Records) -> Result<Vec<TableName>> {
    let mut tables = Vec::new();
    for need in spec.needs.list.iter().filter(|need| need.party.id == *site) {
        match &need.source {
            ArtifactRef::Table(table) => tables.push(table.clone()),
            ArtifactRef::JobOutput { job_id, producer_task, output_artifact_key } => {
                // gone with its job: the task that needs it reports that
                let outputs = found(records.data(job_id, &need.party.role, producer_task))?;
                let named = outputs.into_iter().flatten().filter(|(key, _)| key == output_artifact_key);
                tables.extend(named.map(|(_, table)| table));
            }
            ArtifactRef::TaskOutput { .. } | ArtifactRef::ModelWarehouse { .. } => {}
        }
    }
    tables.sort_by_key(TableName::to_string);
    tables.dedup();
    Ok(tables)
}

/// Models of a site that a job takes from outside itself.
pub fn models(spec: &JobSpec, site: &PartyId) -> Vec<ModelRef> {
    let own = spec.needs.list.iter().filter(|need| need.party.id == *site);
    let model = own.filter_map(|need| match &need.source {
        ArtifactRef::ModelWarehouse { model, .. } => Some(model.clone()),
        _ => None,
    });
    model.collect()
}

async fn missing(site: &Site, role: &Role, source: &ArtifactRef) -> Result<Option<Missing>> {
    let records = Records::new(&site.home);
    match source {
        ArtifactRef::Table(table) => missing_table(site, table).await,
        ArtifactRef::ModelWarehouse { model, producer_task, output_artifact_key } => {
            missing_model(site, &records, role, model, (producer_task, output_artifact_key))
        }
        ArtifactRef::JobOutput { job_id, producer_task, output_artifact_key } => {
            missing_output(site, &records, role, job_id, (producer_task, output_artifact_key)).await
        }
        ArtifactRef::TaskOutput { .. } => Ok(None),
    }
}

async fn missing_table(site: &Site, table: &TableName) -> Result<Option<Missing>> {
    if site.meta.get(table).await?.is_some() {
        return Ok(None);
    }
    let known: Vec<String> = site.meta.names(None).await?.iter().map(ToString::to_string).collect();
    let near = match known.is_empty() {
        true => Some("this party has no tables yet".to_string()),
        false => suggestion(&table.to_string(), known.iter().map(String::as_str)),
    };
    let upload = format!(
        "to bring it in: tributary data upload --party {} --namespace {} --name {} --file FILE",
        site.id, table.namespace, table.name
    );
    // A question has its own mark.
    let mark = |near: &str| if near.ends_with('?') { "" } else { ";" };
    let help = near.map_or(upload.clone(), |near| format!("{near}{} {upload}", mark(&near)));
    Ok(Some((format!("party {} has no table {table}", site.id), Some(help))))
}

fn missing_model(
    site: &Site,
    records: &Records,
    role: &Role,
    model: &ModelRef,
    (task, key): (&str, &str),
) -> Result<Option<Missing>> {
    if found(records.model(model, role, task, key))?.is_some() {
        return Ok(None);
    }
    let (name, known) = (model.to_string(), records.model_names()?);
    if known.contains(&name) {
        let message = format!("models {name} of party {} have no {key} of task {task} as {role}", site.id);
        return Ok(Some((message, None)));
    }
    let help = match known.is_empty() {
        true => Some("this party has no models yet; train them first".to_string()),
        false => suggestion(&name, known.iter().map(String::as_str)),
    };
    let message = format!("party {} has no models {name}", site.id);
    Ok(Some((message, help)))
}

async fn missing_output(
    site: &Site,
    records: &Records,
    role: &Role,
    job: &JobId,
    (task, key): (&str, &str),
) -> Result<Option<Missing>> {
    let outputs = found(records.data(job, role, task))?.unwrap_or_default();
    let Some((_, table)) = outputs.iter().find(|(output, _)| output == key) else {
        let message = format!("party {} has no {key} of task {task} of job {job} as {role}", site.id);
        let help = match found(records.job(job))? {
            None => "see `tributary job list`".to_string(),
            Some(_) => format!("see `tributary job show --job-id {job}`"),
        };
        return Ok(Some((message, Some(help))));
    };
    if site.meta.get(table).await?.is_some() {
        return Ok(None);
    }
    let message =
        format!("{key} of task {task} of job {job}, table {table}, was deleted at party {}", site.id);
    Ok(Some((message, Some("run that job again".to_string()))))
}

/// `None` if the error says that it does not exist.
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
