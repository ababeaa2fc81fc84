//! `output`: what a task of a finished job gave, in the shapes that FATE's client prints.

use std::process::ExitCode;

use futures::executor::block_on;
use serde_json::{Map, Value, json};
use tributary_component::Metric;
use tributary_core::{Error, ErrorKind, JobId, ResultExt, Role};
use tributary_flow::record::Records;
use tributary_runtime::Home;

use crate::args::{Output, TaskArg};
use crate::exit::Failure;
use crate::{history, render, table};

/// A task that was looked up.
struct Found {
    records: Records,
    job: JobId,
    role: Role,
    task: String,
    party: tributary_core::PartyId,
}

fn find(home: &Home, arg: &TaskArg) -> Result<Found, Failure> {
    let party = table::party(home, &arg.party)?;
    let records = Records::new(home.party(&party));
    let role = Role::new(arg.role.as_str())?;
    let record = history::find(&records, &party, &arg.job_id)?;
    let (job, spec) = (&record.job, &record.spec);
    let tasks = spec["tasks"].as_object().map(|tasks| tasks.keys().map(String::as_str).collect::<Vec<_>>());
    let tasks = tasks.unwrap_or_default();
    if !tasks.contains(&arg.task_name.as_str()) {
        let help = tributary_document::suggestion(&arg.task_name, tasks)
            .map_or(String::new(), |h| format!(" ({h})"));
        let text = format!("job {job} has no task {:?}{help}", arg.task_name);
        return Err(Error::new(ErrorKind::NotFound, text).into());
    }
    if let Some(text) = history::warning(&record) {
        render::note(format!("note: {text}"));
    }
    Ok(Found { job: record.job, records, role, task: arg.task_name.clone(), party })
}

pub(crate) fn run(home: &Home, command: &Output) -> Result<ExitCode, Failure> {
    match command {
        Output::Metric { task, table } => metric(&find(home, task)?, *table)?,
        Output::Model { task } => model(&find(home, task)?)?,
        Output::Data { task, json } => data(home, &find(home, task)?, *json)?,
        Output::DataTable { task } => data_table(&find(home, task)?)?,
        Output::Cost { task } => {
            let found = find(home, task)?;
            render::json(&found.records.task(&found.job, &found.role, &found.task)?)?;
        }
        Output::Log { task } => {
            let found = find(home, task)?;
            let path = found.records.task_folder(&found.job, &found.role, &found.task)?.join("task.log");
            let log = std::fs::read_to_string(&path).at(|| format!("read {}", path.display()))?;
            render::line(log.trim_end())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn metric(found: &Found, as_table: bool) -> Result<(), Failure> {
    let metrics = found.records.metrics(&found.job, &found.role, &found.task)?;
    if !as_table {
        let all = serde_json::to_value(&metrics).map_err(|e| Error::bug("encode metrics").because(e))?;
        return Ok(render::answer(all)?);
    }
    Ok(metrics.iter().try_for_each(metric_table)?)
}

/// A list of records as a table, one record as names and values, anything else as it is.
fn metric_table(metric: &Metric) -> tributary_core::Result<()> {
    render::line(format!("{}:", metric.name))?;
    match &metric.data {
        Value::Array(records) if records.iter().all(Value::is_object) && !records.is_empty() => {
            let first = records[0].as_object().map(|r| r.keys().map(String::as_str).collect::<Vec<_>>());
            let header = first.unwrap_or_default();
            let row = |record: &Value| header.iter().map(|key| render::cell(&record[*key])).collect();
            render::table(&header, &records.iter().map(row).collect::<Vec<_>>())?;
        }
        Value::Object(record) => {
            let rows: Vec<Vec<String>> =
                record.iter().map(|(k, v)| vec![k.clone(), render::cell(v)]).collect();
            render::table(&["name", "value"], &rows)?;
        }
        other => render::line(render::cell(other))?,
    }
    render::line("")
}

fn model(found: &Found) -> Result<(), Failure> {
    let job = found.records.job(&found.job)?;
    let models = found.records.models((&job.model_id, &job.model_version), &found.role, &found.task)?;
    Ok(render::answer(Value::Object(models.into_iter().collect::<Map<_, _>>()))?)
}

fn data_table(found: &Found) -> Result<(), Failure> {
    let mut tables = Map::new();
    for (key, table) in found.records.data(&found.job, &found.role, &found.task)? {
        let names = tables.entry(key).or_insert_with(|| json!([]));
        if let Value::Array(names) = names {
            names.push(json!({"name": table.name, "namespace": table.namespace}));
        }
    }
    Ok(render::json(&tables)?)
}

fn data(home: &Home, found: &Found, as_json: bool) -> Result<(), Failure> {
    let (_, meta) = home.tables(&found.party)?;
    let mut shown = Map::new();
    for (key, name) in found.records.data(&found.job, &found.role, &found.task)? {
        let record = block_on(meta.get(&name))?.map(|(_, record)| record);
        let gone = || Error::new(ErrorKind::NotFound, format!("table {name} was deleted"));
        let record = record.ok_or_else(gone)?;
        if as_json {
            let entry = json!({"data": record.preview, "metadata": record.schema, "total": record.rows});
            let tables = shown.entry(key).or_insert_with(|| json!([]));
            if let Value::Array(tables) = tables {
                tables.push(entry);
            }
        } else {
            render::line(format!("{key}: {name}, {} rows", render::count(record.rows)))?;
            table::rows(&record, 10)?;
        }
    }
    if as_json {
        render::json(&shown)?;
    }
    Ok(())
}
