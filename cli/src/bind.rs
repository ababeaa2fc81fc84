//! `table bind`.

use futures::executor::block_on;
use tributary_core::bound::ForeignTable;
use tributary_core::storage::IfExists;
use tributary_core::{Error, Purpose, Result, TableName};
use tributary_ingest::{Existing, Given, Pass};
use tributary_runtime::Home;
use tributary_service::Tables;

use crate::upload::{progress, show_roles_and_notes};
use crate::{args, columns, reading, render};

pub(crate) fn run(home: &Home, bind: &args::Bind) -> Result<()> {
    let party = tributary_service::party(home, bind.party.party.as_deref())?;
    let tables = Tables::of(home, &party)?;
    let if_exists = match bind.if_exists {
        args::IfExists::Fail => Existing::Fail,
        args::IfExists::Replace => Existing::Replace,
    };
    if let Some(source) = &bind.table {
        return bind_table(&tables, bind, source);
    }
    let given = Given {
        namespace: Some(bind.namespace.clone()),
        name: Some(bind.name.clone()),
        files: bind.file.clone(),
        partitions: Some(bind.partitions),
        if_exists: Some(if_exists),
        ..reading::given(&bind.reading)?
    };
    let progress = progress::show(!bind.json, Pass::Check);
    let bound = block_on(tables.bind(given.options(None)?, progress))?;
    let record = bound.record;
    if bind.json {
        return render::json(&record);
    }
    columns::show(&record.schema)?;
    show_roles_and_notes(&bound.columns, &bound.roles, &bound.notes)?;
    render::line(format!(
        "\nbound {}: {}, {} of files that stay where they are",
        record.table,
        render::extent(record.rows, record.layout.partitions()),
        render::bytes(record.bytes)
    ))
}

fn bind_table(tables: &Tables, bind: &args::Bind, source: &str) -> Result<()> {
    let reading = &bind.reading;
    let id = reading.id.clone().ok_or_else(|| Error::invalid("--table needs --id"))?;
    let purposes = [
        (&reading.label, Purpose::Label),
        (&reading.weight, Purpose::Weight),
        (&reading.match_id, Purpose::MatchId),
    ];
    let purposes =
        purposes.into_iter().filter_map(|(column, purpose)| Some((column.clone()?, purpose))).collect();
    let foreign = ForeignTable {
        table: source.to_owned(),
        id,
        purposes,
        skip: reading.skip.clone(),
        partitions: bind.partitions,
    };
    let if_exists = match bind.if_exists {
        args::IfExists::Fail => IfExists::Fail,
        args::IfExists::Replace => IfExists::Replace,
    };
    let name = TableName::new(bind.namespace.as_str(), bind.name.as_str())?;
    let record = block_on(tables.bind_table(&name, bind.store.as_deref(), &foreign, if_exists))?;
    if bind.json {
        return render::json(&record);
    }
    columns::show(&record.schema)?;
    let extent = render::extent(record.rows, record.layout.partitions());
    render::line(format!("\nbound {name}: {extent}, of {source}, which stay in the database"))
}
