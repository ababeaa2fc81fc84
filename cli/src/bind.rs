//! `table bind`.

use futures::executor::block_on;
use tributary_core::{Result, TableName};
use tributary_ingest::{Existing, Pass, UploadOptions};
use tributary_runtime::Home;

use crate::upload::{progress, tell_of_columns};
use crate::{args, columns, reading, render};

pub(crate) fn run(home: &Home, bind: &args::Bind) -> Result<()> {
    let party = tributary_service::party(home, bind.party.party.as_deref())?;
    let (storage, meta) = home.tables(&party)?;
    let mut options =
        UploadOptions::new(TableName::new(bind.namespace.as_str(), bind.name.as_str())?, &bind.file);
    reading::apply(&mut options, &bind.reading)?;
    options.partitions = Some(bind.partitions);
    options.scratch = home.party(&party).join("tmp");
    options.if_exists = match bind.if_exists {
        args::IfExists::Fail => Existing::Fail,
        args::IfExists::Replace => Existing::Replace,
    };
    let progress = progress::show(!bind.json, Pass::Check);
    let bound = block_on(tributary_ingest::bind(&storage, &meta, options, progress))?;
    let record = bound.record;
    if bind.json {
        return render::json(&record);
    }
    columns::show(&record.schema)?;
    tell_of_columns(&bound.columns, &bound.roles, &bound.notes)?;
    render::line(format!(
        "\nbound {}: {}, {} of files that stay where they are",
        record.table,
        render::extent(record.rows, record.layout.partitions()),
        render::bytes(record.bytes)
    ))
}
