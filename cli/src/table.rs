//! `table`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use serde_json::json;
use tributary_core::meta::TableRecord;
use tributary_core::{Error, JobId, Layout, Result, ResultExt, TableName};
use tributary_ingest::{Pass, Progress};
use tributary_runtime::Home;
use tributary_service::{Tables, Wait};

use crate::args::{Selected, TableArg, TableCommand};
use crate::exit::Failure;
use crate::{columns, download, render};

pub(crate) fn run(home: &Home, command: &TableCommand) -> Result<ExitCode, Failure> {
    match command {
        TableCommand::List { party: arg, namespace, json } => {
            let party = tributary_service::known_party(home, arg.party.as_deref())?;
            list(&Tables::of(home, &party)?, namespace.as_deref(), *json)?;
        }
        TableCommand::Query(arg) => query(home, arg)?,
        TableCommand::Preview { table, rows, selected } => preview(home, table, *rows, selected)?,
        TableCommand::Schema(arg) => {
            let schema = record(home, arg)?.schema;
            match arg.json {
                true => render::json(&columns::json(&schema))?,
                false => columns::show(&schema)?,
            }
        }
        TableCommand::Bind(bind) => crate::bind::run(home, bind)?,
        TableCommand::Rename { table, to_namespace, to_name, wait } => {
            let (tables, name) = named(home, table)?;
            let namespace = to_namespace.as_ref().unwrap_or(&name.namespace);
            let to = TableName::new(namespace.as_str(), to_name.as_ref().unwrap_or(&name.name).as_str())?;
            let renamed = block_on(tables.rename(&name, &to, waiting(*wait)))?;
            match table.json {
                true => render::json(&renamed)?,
                false => render::line(format!("renamed {name} of party {} to {to}", tables.party()))?,
            }
        }
        TableCommand::Copy { party, from, to, to_party, store, quiet, json } => {
            let parties = (party.party.as_deref(), to_party.as_deref().or(party.party.as_deref()));
            let record = copy(home, parties, (from, to), store.as_deref(), *quiet || *json)?;
            match json {
                true => render::json(&record)?,
                false => render::line(format!(
                    "copied {from} to {}: {}, {} at {}",
                    record.table,
                    render::extent(record.rows, record.layout.partitions()),
                    render::bytes(record.bytes),
                    record.uri
                ))?,
            }
        }
        TableCommand::Verify(arg) => verify(home, arg)?,
        TableCommand::Delete { table, wait } => {
            let (tables, name) = named(home, table)?;
            block_on(tables.delete(&name, waiting(*wait)))?;
            match table.json {
                true => render::json(&json!({"deleted": name}))?,
                false => render::line(format!("deleted {name} of party {}", tables.party()))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows of the record, unless others are asked for.
fn preview(home: &Home, arg: &TableArg, count: usize, selected: &Selected) -> Result<()> {
    let record = record(home, arg)?;
    let is_recorded =
        selected.columns.is_empty() && selected.r#where.is_none() && count <= TableRecord::MAX_PREVIEW_ROWS;
    if is_recorded {
        return match arg.json {
            true => render::json(&record.preview.iter().take(count).collect::<Vec<_>>()),
            false => columns::rows(&record, count),
        };
    }
    let (tables, name) = named(home, arg)?;
    let stored = block_on(tables.storage().open(&record.uri))?;
    let selection = download::selection(selected, Some(count as u64), &stored)?;
    let rows =
        tributary_export::preview(tables.storage(), &stored, &selection).at(|| format!("preview {name}"))?;
    if arg.json {
        return render::json(&rows);
    }
    let names = selection.schema().arrow().fields().iter().map(|field| field.name().as_str());
    columns::preview(names, &rows)
}

fn named(home: &Home, arg: &TableArg) -> Result<(Tables, TableName)> {
    let id = tributary_service::known_party(home, arg.party.party.as_deref())?;
    Ok((Tables::of(home, &id)?, TableName::new(arg.namespace.as_str(), arg.name.as_str())?))
}

fn copy(
    home: &Home,
    (source, destination): (Option<&str>, Option<&str>),
    (from, to): (&str, &str),
    store: Option<&str>,
    quiet: bool,
) -> Result<TableRecord> {
    let tables = |party| Tables::of(home, &tributary_service::known_party(home, party)?);
    let (source, destination) = (tables(source)?, tables(destination)?);
    let (from, to) = (full_name(from)?, full_name(to)?);
    let (_, record) = block_on(source.find(&from))?;
    let (show, rows) = (crate::upload::progress::show(!quiet, Pass::Copy), AtomicU64::new(0));
    let on_rows = move |more| {
        let rows = rows.fetch_add(more, Ordering::Relaxed) + more;
        let part = rows as f64 / record.rows.max(1) as f64;
        show(Progress::new(Pass::Copy, rows, (record.bytes as f64 * part) as u64, record.bytes));
    };
    block_on(source.copy(&from, &destination, &to, store, Arc::new(on_rows)))
}

/// A table as `NAMESPACE/NAME`.
pub(crate) fn full_name(text: &str) -> Result<TableName> {
    let expected = || Error::invalid(format!("{text:?}, expected NAMESPACE/NAME"));
    let (namespace, name) = text.split_once('/').ok_or_else(expected)?;
    TableName::new(namespace, name)
}

fn waiting(seconds: u64) -> Wait<'static> {
    let waiting = &|readers: &[JobId]| {
        let jobs: Vec<String> = readers.iter().map(JobId::to_string).collect();
        render::note(format!("waiting for the end of jobs that read the table: {}", jobs.join(", ")));
    };
    Wait { at_most: Duration::from_secs(seconds), waiting }
}

fn verify(home: &Home, arg: &TableArg) -> Result<()> {
    let (tables, name) = named(home, arg)?;
    let verified = block_on(tables.verify(&name))?;
    let table = &verified.table;
    if arg.json {
        let (rows, bytes, partitions) = (table.rows(), table.bytes(), table.layout.partitions());
        let (uri, recorded) = (&table.uri, verified.recorded);
        return render::json(&json!({
            "table": name, "uri": uri, "rows": rows, "bytes": bytes, "partitions": partitions, "recorded": recorded
        }));
    }
    let (extent, bytes) =
        (render::extent(table.rows(), table.layout.partitions()), render::bytes(table.bytes()));
    render::line(format!("{name} is complete: {extent}, {bytes}"))?;
    match verified.recorded {
        true => Ok(()),
        false => render::line("it has no record, because an upload was interrupted; replace or delete it"),
    }
}

fn list(tables: &Tables, namespace: Option<&str>, as_json: bool) -> Result<()> {
    let records = block_on(tables.list(namespace))?;
    if as_json {
        return render::json(&records);
    }
    let row = |r: &TableRecord| {
        let TableName { namespace, name } = r.table.clone();
        let columns = r.schema.fields().len().to_string();
        let parts = r.layout.partitions().to_string();
        vec![namespace, name, render::count(r.rows), columns, parts, render::bytes(r.bytes), r.engine.clone()]
    };
    let header = ["namespace", "name", "rows", "columns", "partitions", "size", "engine"];
    render::table(&header, &records.iter().map(row).collect::<Vec<_>>())
}

pub(crate) fn record(home: &Home, arg: &TableArg) -> Result<TableRecord> {
    let (tables, name) = named(home, arg)?;
    block_on(tables.find(&name)).map(|(_, record)| record)
}

/// A layout in words.
fn layout(layout: &Layout) -> String {
    let partitions = render::counted(u64::from(layout.partitions()), "partition");
    match layout {
        Layout::Loose(_) => format!("as written, in {partitions}"),
        Layout::Keyed(_) => format!("by the hash of the key, in {partitions}"),
        Layout::Rows(_) => format!("by row number, in {partitions}"),
    }
}

fn query(home: &Home, arg: &TableArg) -> Result<()> {
    let record = record(home, arg)?;
    if arg.json {
        return render::json(&record);
    }
    render::line(format!("table      {}", record.table))?;
    render::line(format!("rows       {}", render::count(record.rows)))?;
    render::line(format!("size       {}", render::bytes(record.bytes)))?;
    render::line(format!("layout     {}", layout(&record.layout)))?;
    render::line(format!("engine     {}", record.engine))?;
    render::line(format!("place      {}", record.uri))?;
    for (key, value) in &record.origin {
        render::line(format!("{key:<10} {value}"))?;
    }
    render::line("")?;
    columns::show(&record.schema)
}
