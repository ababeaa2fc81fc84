//! `output`: the outputs of a task of a finished job, in the forms that FATE's client prints.

use std::process::ExitCode;

use futures::executor::block_on;
use serde_json::{Map, Value, json};
use tributary_component::Metric;
use tributary_core::{Error, ErrorKind, Result};
use tributary_runtime::Home;
use tributary_service::{Results, Tables, jobs};

use crate::args::{Output, TaskArg};
use crate::exit::Failure;
use crate::{columns, history, render};

fn find(home: &Home, arg: &TaskArg) -> Result<Results> {
    let results = history::jobs(home, &arg.party)?.results(&arg.job_id, &arg.role, &arg.task_name)?;
    if let Some(text) = jobs::warning(results.job()) {
        render::note(format!("note: {text}"));
    }
    Ok(results)
}

pub(crate) fn run(home: &Home, command: &Output) -> Result<ExitCode, Failure> {
    match command {
        Output::Metric { task, table } => metric(&find(home, task)?, *table)?,
        Output::Model { task } => render::answer(Value::Object(find(home, task)?.models()?))?,
        Output::Data { task, json } => data(home, task, *json)?,
        Output::DataTable { task } => data_table(&find(home, task)?)?,
        Output::Cost { task } => render::json(&find(home, task)?.cost()?)?,
        Output::Log { task } => render::line(find(home, task)?.log()?.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn metric(results: &Results, as_table: bool) -> Result<()> {
    let metrics = results.metrics()?;
    if !as_table {
        let all = serde_json::to_value(&metrics).map_err(|e| Error::bug("encode metrics").because(e))?;
        return render::answer(all);
    }
    metrics.iter().try_for_each(metric_table)
}

/// A list of records as a table, one record as names and values, anything else as it is.
fn metric_table(metric: &Metric) -> Result<()> {
    render::line(format!("{}:", metric.name))?;
    match &metric.data {
        Value::Object(tasks) if metric.name == "evaluation" => {
            render::table(&["task", "rows", "metric", "value"], &evaluation(tasks))?;
        }
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

/// The single values of an evaluation; curves and tables by threshold are in the JSON, and in the job's report.
fn evaluation(tasks: &Map<String, Value>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (task, sets) in tasks {
        for (set, entries) in sets.as_object().into_iter().flatten() {
            // Some metrics are pairs of entries.
            let entries = entries.as_array().into_iter().flatten();
            let entries = entries.flat_map(|entry| entry.as_array().cloned().unwrap_or(vec![entry.clone()]));
            let single = entries.filter(|entry| !entry["val"].is_object() && !entry["val"].is_array());
            rows.extend(single.map(|entry| {
                vec![task.clone(), set.clone(), render::cell(&entry["metric"]), render::cell(&entry["val"])]
            }));
        }
    }
    rows
}

fn data_table(results: &Results) -> Result<()> {
    let mut tables = Map::new();
    for (key, table) in results.tables()? {
        let names = tables.entry(key).or_insert_with(|| json!([]));
        if let Value::Array(names) = names {
            names.push(json!({"name": table.name, "namespace": table.namespace}));
        }
    }
    render::json(&tables)
}

fn data(home: &Home, arg: &TaskArg, as_json: bool) -> Result<()> {
    let results = find(home, arg)?;
    let tables = Tables::of(home, &tributary_service::party(home, arg.party.party.as_deref())?)?;
    let mut shown = Map::new();
    for (key, name) in results.tables()? {
        let record = block_on(tables.meta().get(&name))?.map(|(_, record)| record);
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
            columns::rows(&record, 10)?;
        }
    }
    if as_json {
        render::json(&shown)?;
    }
    Ok(())
}
