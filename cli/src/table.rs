//! `table`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use serde_json::{Value, json};
use tributary_core::meta::{StorageMeta, TableRecord, Version};
use tributary_core::{Error, ErrorKind, PartyId, Purpose, Result, TableName, TableSchema};
use tributary_flow::record::Records;
use tributary_runtime::Home;

use crate::args::{PartyArg, TableArg, TableCommand};
use crate::exit::Failure;
use crate::render;

/// How often a running job is asked for while somebody waits for its end.
const LOOK: Duration = Duration::from_millis(100);

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
        TableCommand::Schema(arg) => {
            let schema = record(home, arg)?.1.schema;
            match arg.json {
                true => render::json(&columns(&schema))?,
                false => show_columns(&schema)?,
            }
        }
        TableCommand::Bind(bind) => crate::bind::run(home, bind)?,
        TableCommand::Rename { table, to_namespace, to_name, wait } => {
            let (id, name) = named(home, table)?;
            let namespace = to_namespace.as_ref().unwrap_or(&name.namespace);
            let to = TableName::new(namespace.as_str(), to_name.as_ref().unwrap_or(&name.name).as_str())?;
            let (storage, meta) = home.tables(&id)?;
            await_readers(home, &id, &name, *wait)?;
            let renamed = block_on(tributary_catalog::rename(&storage, &meta, &name, &to))?;
            match table.json {
                true => render::json(&renamed)?,
                false => render::line(format!("renamed {name} of party {id} to {to}"))?,
            }
        }
        TableCommand::Verify(arg) => verify(home, arg)?,
        TableCommand::Delete { table, wait } => {
            let (id, name) = named(home, table)?;
            let (storage, meta) = home.tables(&id)?;
            await_readers(home, &id, &name, *wait)?;
            block_on(tributary_catalog::delete(&storage, &meta, &name))?;
            match table.json {
                true => render::json(&json!({"deleted": name}))?,
                false => render::line(format!("deleted {name} of party {id}"))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(home: &Home, arg: &TableArg) -> Result<(PartyId, TableName)> {
    let id = known_party(home, &arg.party)?;
    Ok((id, TableName::new(arg.namespace.as_str(), arg.name.as_str())?))
}

/// Returns once no running job reads the table. `Conflict` names those that still do after `seconds`.
///
/// A look and no lock: a job that begins just after it finds no table when it looks for it, which it does before
/// anything else, or at the latest in the task that reads it. Either way it is told so, and no reader sees half a table.
fn await_readers(home: &Home, party: &PartyId, table: &TableName, seconds: u64) -> Result<()> {
    let records = Records::new(home.party(party));
    let begun = Instant::now();
    let mut told = false;
    loop {
        let readers = records.readers(table)?;
        let Some(first) = readers.first() else { return Ok(()) };
        let more = if readers.len() > 1 { format!(" and {} more", readers.len() - 1) } else { String::new() };
        if begun.elapsed() >= Duration::from_secs(seconds) {
            let text = format!(
                "job {first}{more} of party {party} reads table {table}; wait for its end with --wait SECONDS, or stop it"
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        if !std::mem::replace(&mut told, true) {
            render::note(format!("waiting for job {first}{more}, which reads table {table}"));
        }
        std::thread::sleep(LOOK);
    }
}

fn verify(home: &Home, arg: &TableArg) -> Result<()> {
    let (id, name) = named(home, arg)?;
    let (storage, meta) = home.tables(&id)?;
    let verified = block_on(tributary_catalog::verify(&storage, &meta, &name))?;
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
    render::line(format!("{name} is whole: {extent}, {bytes}"))?;
    match verified.recorded {
        true => Ok(()),
        false => render::line("it has no record: an upload was cut short; replace or delete it"),
    }
}

/// As `table schema --json` shows them.
fn columns(schema: &TableSchema) -> Vec<Value> {
    let key = schema.key().map(|key| {
        json!({"name": key.name, "type": key.key_type.data_type().to_string(), "purpose": "key", "nullable": false})
    });
    let fields = schema.fields().iter().map(|field| {
        let purpose = purpose(&field.purpose);
        json!({"name": field.name, "type": field.data_type.to_string(), "purpose": purpose, "nullable": field.nullable})
    });
    key.into_iter().chain(fields).collect()
}

fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::MatchId => "match_id".into(),
        // under which key is nothing to look at
        Purpose::Ciphertext(_) => "ciphertext".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(crate) fn show_columns(schema: &TableSchema) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |column: &Value| {
        let null = if column["nullable"] == true { "may be" } else { "never" };
        vec![
            render::short(&text(&column["name"])),
            text(&column["type"]),
            text(&column["purpose"]),
            null.to_owned(),
        ]
    };
    render::table(
        &["column", "type", "purpose", "missing"],
        &columns(schema).iter().map(row).collect::<Vec<_>>(),
    )
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

pub(crate) fn record(home: &Home, arg: &TableArg) -> Result<(Version, TableRecord)> {
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
    show_columns(&record.schema)
}

/// The first rows of a table.
pub(crate) fn rows(record: &TableRecord, count: usize) -> Result<()> {
    let key = record.schema.key().map(|k| k.name.as_str());
    let names = key.into_iter().chain(record.schema.fields().iter().map(|f| f.name.as_str()));
    preview(names, record.preview.iter().take(count))
}

/// First rows under the names of their columns, in bounded width.
pub(crate) fn preview<'a>(
    names: impl Iterator<Item = &'a str>,
    rows: impl IntoIterator<Item = &'a Vec<Option<String>>>,
) -> Result<()> {
    let names: Vec<String> = names.map(render::short).collect();
    let row = |row: &Vec<Option<String>>| {
        row.iter().map(|cell| render::short(cell.as_deref().unwrap_or_default())).collect()
    };
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    render::table(&header, &rows.into_iter().map(row).collect::<Vec<_>>())
}
