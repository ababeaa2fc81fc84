//! `table`.

use std::process::ExitCode;
use std::sync::Arc;

use futures::executor::block_on;
use serde_json::json;
use tributary_core::meta::{StorageMeta, TableRecord, Version};
use tributary_core::{Error, ErrorKind, PartyId, Result, TableName};
use tributary_runtime::Home;

use crate::args::{PartyArg, TableArg, TableCommand};
use crate::exit::Failure;
use crate::render;

/// The party meant: the one given, or this site's own.
pub(crate) fn party(home: &Home, arg: &PartyArg) -> Result<PartyId> {
    match &arg.party {
        Some(id) => PartyId::new(id.as_str()),
        None => home.settings()?.party_id(),
    }
}

/// As [`party`], which must have tables or jobs already: looking at a mistyped one must not make it.
pub(crate) fn known_party(home: &Home, arg: &PartyArg) -> Result<PartyId> {
    let id = party(home, arg)?;
    if home.party(&id).is_dir() {
        return Ok(id);
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!("no party {id} in {}; upload a table for it first", home.folder().display()),
    ))
}

pub(crate) fn run(home: &Home, command: &TableCommand) -> Result<ExitCode, Failure> {
    match command {
        TableCommand::List { party: arg, namespace, json } => {
            let (_, meta) = home.tables(&known_party(home, arg)?)?;
            list(&meta, namespace.as_deref(), *json)?;
        }
        TableCommand::Query(arg) => query(home, arg)?,
        TableCommand::Preview { table, rows: count } => {
            let record = record(home, table)?.1;
            match table.json {
                true => render::json(&record.preview.iter().take(*count).collect::<Vec<_>>())?,
                false => rows(&record, *count)?,
            }
        }
        TableCommand::Delete(arg) => {
            let id = known_party(home, &arg.party)?;
            let (storage, meta) = home.tables(&id)?;
            let name = TableName::new(arg.namespace.as_str(), arg.name.as_str())?;
            block_on(tributary_ingest::delete(&storage, &meta, &name))?;
            match arg.json {
                true => render::json(&json!({"deleted": name}))?,
                false => render::line(format!("deleted {name} of party {id}"))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(meta: &Arc<dyn StorageMeta>, namespace: Option<&str>, as_json: bool) -> Result<()> {
    let records: Vec<TableRecord> = block_on(meta.list(namespace))?.into_iter().map(|(_, r)| r).collect();
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

fn record(home: &Home, arg: &TableArg) -> Result<(Version, TableRecord)> {
    let id = known_party(home, &arg.party)?;
    let (_, meta) = home.tables(&id)?;
    let name = TableName::new(arg.namespace.as_str(), arg.name.as_str())?;
    if let Some(found) = block_on(meta.get(&name))? {
        return Ok(found);
    }
    let known = block_on(meta.list(None))?;
    let known: Vec<String> = known.iter().map(|(_, r)| r.table.to_string()).collect();
    let help = match known.is_empty() {
        true => Some("it has none; see `tributary data upload --help`".into()),
        false => tributary_document::suggestion(&name.to_string(), known.iter().map(String::as_str)),
    };
    let help = help.unwrap_or_else(|| "see `tributary table list`".into());
    Err(Error::new(ErrorKind::NotFound, format!("party {id} has no table {name} ({help})")))
}

fn query(home: &Home, arg: &TableArg) -> Result<()> {
    let (_, record) = record(home, arg)?;
    if arg.json {
        return render::json(&record);
    }
    render::line(format!("table      {}", record.table))?;
    render::line(format!("rows       {}", render::count(record.rows)))?;
    render::line(format!("size       {}", render::bytes(record.bytes)))?;
    render::line(format!("layout     {:?}", record.layout))?;
    render::line(format!("engine     {}", record.engine))?;
    render::line(format!("place      {}", record.uri))?;
    for (key, value) in &record.origin {
        render::line(format!("{key:<10} {value}"))?;
    }
    render::line("")?;
    let key =
        record.schema.key().map(|k| vec![k.name.clone(), k.key_type.data_type().to_string(), "key".into()]);
    let fields = record.schema.fields().iter().map(|f| {
        let null = if f.nullable { ", may be missing" } else { "" };
        vec![f.name.clone(), f.data_type.to_string(), format!("{:?}{null}", f.purpose).to_lowercase()]
    });
    render::table(&["column", "type", "purpose"], &key.into_iter().chain(fields).collect::<Vec<_>>())
}

/// The first rows of a table.
pub(crate) fn rows(record: &TableRecord, count: usize) -> Result<()> {
    let key = record.schema.key().map(|k| k.name.as_str());
    let header: Vec<&str> =
        key.into_iter().chain(record.schema.fields().iter().map(|f| f.name.as_str())).collect();
    let row = |row: &Vec<Option<String>>| row.iter().map(|cell| cell.clone().unwrap_or_default()).collect();
    render::table(&header, &record.preview.iter().take(count).map(row).collect::<Vec<_>>())
}
