//! `table bind`.

use futures::executor::block_on;
use tributary_core::Result;
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
