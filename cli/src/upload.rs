//! `data upload`.

pub(crate) mod progress;

use std::process::ExitCode;

use futures::executor::block_on;
use tributary_core::{Error, Result, ResultExt};
use tributary_document::quoted;
use tributary_ingest::{ColumnSummary, DryRun, Duplicates, Existing, Given, Merged, Pass, Role, Summary};
use tributary_runtime::Home;
use tributary_service::Tables;

use crate::exit::Failure;
use crate::{args, columns, download, reading, render};

/// Rows that a dry run shows.
const SHOWN_ROWS: usize = 10;

pub(crate) fn run(home: &Home, upload: &args::Upload) -> Result<ExitCode, Failure> {
    let party = tributary_service::party(home, upload.party.party.as_deref())?;
    let tables = Tables::of(home, &party)?;
    let mut options = given(upload)?.options(upload.config.as_deref())?;
    let last = if upload.dry_run { Pass::Check } else { Pass::Write };
    let progress = progress::show(!upload.json, last);
    if upload.dry_run {
        options.preview_rows = SHOWN_ROWS;
        let found = block_on(tables.dry_run(options, progress))?;
        match upload.json {
            true => render::json(&found)?,
            false => show_dry_run(&found)?,
        }
    } else {
        let summary = block_on(tables.upload(options, progress))?;
        match upload.json {
            true => render::json(&summary)?,
            false => show(&summary)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn given(upload: &args::Upload) -> Result<Given> {
    let if_exists = |if_exists| match if_exists {
        args::Existing::Fail => Existing::Fail,
        args::Existing::Replace => Existing::Replace,
        args::Existing::Merge => Existing::Merge,
    };
    let duplicates = |duplicates| match duplicates {
        args::Duplicates::Fail => Duplicates::Fail,
        args::Duplicates::First => Duplicates::First,
        args::Duplicates::Last => Duplicates::Last,
    };
    if let Some(path) = &upload.reject_to {
        let named = download::named(path).at(|| "--reject-to")?;
        if named.is_some_and(|named| named != (args::Format::Csv, b',')) {
            let text = format!(
                "--reject-to {:?}: bad rows are listed as CSV; choose a name that ends with .csv",
                path.display().to_string()
            );
            return Err(Error::invalid(text));
        }
    }
    Ok(Given {
        namespace: upload.namespace.clone(),
        name: upload.name.clone(),
        files: upload.file.clone(),
        partitions: upload.partitions,
        if_exists: upload.if_exists.map(if_exists),
        duplicates: upload.duplicates.map(duplicates),
        max_rejects: upload.max_rejects,
        reject_to: upload.reject_to.clone(),
        ..reading::given(&upload.reading)?
    })
}

fn show(summary: &Summary) -> Result<()> {
    let row = |c: &ColumnSummary| {
        let extent = c.extent.as_ref().map_or(("".into(), "".into()), |extent| extent.texts());
        let distinct = c.distinct.map_or(String::new(), render::count);
        [described(c), vec![distinct, render::short(&extent.0), render::short(&extent.1)]].concat()
    };
    let header = ["column", "type", "purpose", "missing", "distinct ±5%", "least", "greatest"];
    render::table(&header, &summary.columns.iter().map(row).collect::<Vec<_>>())?;
    show_roles_and_notes(&summary.columns, &summary.roles, &summary.notes)?;
    show_rows_left_out(&summary.columns, summary.duplicates_dropped, summary.rejected)?;
    show_merging(summary.merged)?;
    render::line(format!(
        "\nstored {}: {}, {}",
        summary.table,
        render::extent(summary.rows, summary.partitions),
        render::bytes(summary.bytes)
    ))
}

fn show_dry_run(found: &DryRun) -> Result<()> {
    let header = ["column", "type", "purpose", "missing"];
    render::table(&header, &found.columns.iter().map(described).collect::<Vec<_>>())?;
    show_roles_and_notes(&found.columns, &found.roles, &found.notes)?;
    render::line("")?;
    let names = std::iter::once(&found.key).chain(found.columns.iter().map(|c| &c.name));
    columns::preview(names.map(String::as_str), &found.preview)?;
    show_rows_left_out(&found.columns, found.duplicates_dropped, found.rejected)?;
    show_merging(found.merged)?;
    render::line(format!(
        "\nwould store {}: {}; nothing is stored",
        found.table,
        render::extent(found.rows, found.partitions)
    ))
}

fn described(column: &ColumnSummary) -> Vec<String> {
    let purpose = format!("{:?}", column.purpose).to_lowercase();
    vec![
        render::short(&column.name),
        column.data_type.to_string(),
        purpose,
        column.nulls.map_or(String::new(), render::count),
    ]
}

/// Which columns are no features, and why; and the notes about the files.
pub(crate) fn show_roles_and_notes(
    columns: &[ColumnSummary],
    roles: &[Role],
    notes: &[String],
) -> Result<()> {
    render::line("")?;
    for Role { role, column, why, .. } in roles {
        render::line(format!("{role}: {} ({why})", quoted(column)))?;
    }
    let of_columns = columns.iter().filter_map(|c| Some((quoted(&c.name), c.note.as_ref()?)));
    of_columns
        .into_iter()
        .try_for_each(|(name, note)| render::line(format!("note: column {name}: {note}")))?;
    notes.iter().try_for_each(|note| render::line(format!("note: {note}")))
}

fn show_rows_left_out(columns: &[ColumnSummary], duplicates: u64, rejected: u64) -> Result<()> {
    if columns.is_empty() {
        render::note(
            "note: the table has ids only; if the file has more columns, set what separates them (--delimiter)",
        );
    }
    for (rows, why) in [(duplicates, "their id occurs twice"), (rejected, "they have errors")] {
        if rows > 0 {
            render::line(format!("\n{} left out: {why}", render::counted(rows, "row")))?;
        }
    }
    Ok(())
}

fn show_merging(merged: Option<Merged>) -> Result<()> {
    let Some(Merged { kept, replaced, added, .. }) = merged else { return Ok(()) };
    let [kept, replaced, added] = [kept, replaced, added].map(render::count);
    render::line(format!(
        "\n{kept} rows of the table kept, {replaced} replaced, {added} rows of the files added"
    ))
}
