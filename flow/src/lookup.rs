//! What a job takes from outside itself, looked up at every party before anything begins: tables that parameters or inputs name, and
//! tables and models of other jobs. Everything that is missing is reported together, once for each party, with its place in the file.
//!
//! This is no promise: what is deleted afterwards is missing when a task needs it.

use std::collections::{BTreeMap, BTreeSet};

use tributary_core::{Error, ErrorKind, JobId, PartyId, Result, Role, Site, TableName};
use tributary_document::{Collector, suggestion};

use crate::limits;
use crate::place::site;
use crate::record::Records;
use crate::spec::{ArtifactRef, JobSpec, ModelRef};

/// What is missing, and how to fix it.
type Missing = (String, Option<String>);

/// Looks up all that a job needs. `NotFound` because of [`Problems`](tributary_document::Problems) if anything is
/// missing: each with file, line, column, party, and the nearest existing name. Before that, `Denied` in the same way if the job
/// asks a party for more than its limits allow.
pub async fn look_up(spec: &JobSpec, sites: &BTreeMap<PartyId, Site>) -> Result<()> {
    limits::check(spec, sites)?;
    let report = Collector::new(&spec.needs.file);
    let (mut looked_up, mut told) = (BTreeSet::new(), BTreeSet::new());
    for need in &spec.needs.list {
        // A thing that several tasks of a party need is missing once, where it is named first.
        if !looked_up.insert((&need.party, format!("{:?}", need.source))) {
            continue;
        }
        let site = site(sites, &need.party.id)?;
        if let Some((message, help)) = missing(site, &need.party.role, &need.source).await?
            && told.insert(message.clone())
        {
            report.add(need.at, &need.path, message, help);
        }
    }
    report.finish(Some(())).map_err(|problems| {
        let message = match problems.list().len() {
            1 => "the job needs something that is not there".to_string(),
            count => format!("the job needs {count} things that are not there"),
        };
        Error::new(ErrorKind::NotFound, message).because(problems)
    })
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
    let known: Vec<String> = site.meta.list(None).await?.iter().map(|(_, r)| r.table.to_string()).collect();
    let near = match known.is_empty() {
        true => Some("this party has no tables yet".to_string()),
        false => suggestion(&table.to_string(), known.iter().map(String::as_str)),
    };
    let upload = format!(
        "to bring it in: tributary data upload --party {} --namespace {} --name {} --file FILE",
        site.id, table.namespace, table.name
    );
    let help = near.map_or(upload.clone(), |near| format!("{near}; {upload}"));
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
