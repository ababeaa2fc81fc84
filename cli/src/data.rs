//! `data`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Mutex;

use futures::executor::block_on;
use indicatif::{ProgressBar, ProgressStyle};
use tributary_core::storage::IfExists;
use tributary_core::{Error, Result, ResultExt, TableName};
use tributary_ingest::{Duplicates, Header, Progress, Quoting, SampleId, Stage, Summary, UploadOptions};
use tributary_runtime::Home;

use crate::args;
use crate::exit::Failure;
use crate::{render, table};

pub(crate) fn run(home: &Home, command: &args::Data) -> Result<ExitCode, Failure> {
    let args::Data::Upload(upload) = command;
    let party = table::party(home, &upload.party)?;
    let (storage, meta) = home.tables(&party)?;
    let options = options(upload)?;
    let summary = block_on(tributary_ingest::upload(&storage, &meta, options, progress(upload.json)))?;
    match upload.json {
        true => render::json(&summary)?,
        false => show(&summary)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn options(upload: &args::Upload) -> Result<UploadOptions> {
    let mut options = match &upload.config {
        Some(path) => {
            let text = std::fs::read(path).at(|| format!("read {}", path.display()))?;
            tributary_ingest::from_fate(&text, &path.display().to_string())?
        }
        None => {
            let (namespace, name) = (upload.namespace.clone(), upload.name.clone());
            let missing = || Error::invalid("an upload needs --namespace and --name");
            UploadOptions::new(
                TableName::new(namespace.ok_or_else(missing)?, name.ok_or_else(missing)?)?,
                &upload.file,
            )
        }
    };
    override_with(&mut options, upload)?;
    Ok(options)
}

/// What the command line says counts before what a file says.
fn override_with(options: &mut UploadOptions, upload: &args::Upload) -> Result<()> {
    if let Some(namespace) = &upload.namespace {
        options.table = TableName::new(namespace.as_str(), options.table.name.clone())?;
    }
    if let Some(name) = &upload.name {
        options.table = TableName::new(options.table.namespace.clone(), name.as_str())?;
    }
    if !upload.file.is_empty() {
        options.files.clone_from(&upload.file);
    }
    if let Some(delimiter) = &upload.delimiter {
        options.delimiter = self::delimiter(delimiter)?;
    }
    if let Some(names) = &upload.no_header {
        options.header = if names.is_empty() { Header::Numbered } else { Header::Names(names.clone()) };
    }
    if upload.no_quotes {
        options.quoting = Quoting::None;
    }
    if let Some(id) = &upload.id {
        options.sample_id = SampleId::Column(id.clone());
    }
    if upload.extend_sid {
        options.sample_id = SampleId::Made;
    }
    for (to, from) in [
        (&mut options.match_id, &upload.match_id),
        (&mut options.label, &upload.label),
        (&mut options.weight, &upload.weight),
    ] {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    options.skip.extend(upload.skip.iter().cloned());
    for pair in &upload.types {
        let (column, name) = pair
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("--types {pair:?}, expected column=type")))?;
        options.columns.entry(column.into()).or_default().value_type = Some(name.parse()?);
    }
    if let Some(nulls) = &upload.nulls {
        options.nulls.clone_from(nulls);
    }
    if let Some(partitions) = upload.partitions {
        options.partitions = partitions;
    }
    if let Some(if_exists) = upload.if_exists {
        options.if_exists = match if_exists {
            args::IfExists::Fail => IfExists::Fail,
            args::IfExists::Replace => IfExists::Replace,
        };
    }
    if let Some(duplicates) = upload.duplicates {
        options.duplicates = match duplicates {
            args::Duplicates::Fail => Duplicates::Fail,
            args::Duplicates::First => Duplicates::First,
            args::Duplicates::Last => Duplicates::Last,
        };
    }
    Ok(())
}

fn delimiter(text: &str) -> Result<u8> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] => Ok(*byte),
        _ => Err(Error::invalid(format!("--delimiter {text:?}, expected one character or \\t"))),
    }
}

/// A bar on a terminal, nothing otherwise.
fn progress(json: bool) -> impl Fn(Progress) + Send + Sync + 'static {
    let visible = !json && std::io::stderr().is_terminal();
    let bar = visible.then(|| {
        let bar = ProgressBar::new(0);
        let template = "{msg:<6} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar
    });
    let stage = Mutex::new(None);
    move |progress: Progress| {
        let Some(bar) = &bar else { return };
        let Ok(mut stage) = stage.lock() else { return };
        if *stage != Some(progress.stage) {
            *stage = Some(progress.stage);
            bar.reset();
            bar.set_length(progress.total_bytes);
            bar.set_message(match progress.stage {
                Stage::Check => "check",
                Stage::Write => "write",
            });
        }
        bar.set_position(progress.bytes);
        if progress.bytes >= progress.total_bytes && progress.stage == Stage::Write {
            bar.finish_and_clear();
        }
    }
}

fn show(summary: &Summary) -> Result<()> {
    let row = |c: &tributary_ingest::ColumnSummary| {
        let extent = c.extent.map_or(("".into(), "".into()), |e| e.texts());
        let purpose = format!("{:?}", c.purpose).to_lowercase();
        let note = c.note.clone().unwrap_or_default();
        vec![
            c.name.clone(),
            c.data_type.to_string(),
            purpose,
            render::count(c.nulls),
            extent.0,
            extent.1,
            note,
        ]
    };
    let header = ["column", "type", "purpose", "missing", "least", "greatest", "note"];
    render::table(&header, &summary.columns.iter().map(row).collect::<Vec<_>>())?;
    if summary.columns.is_empty() {
        render::note(
            "note: the table has ids only; if the file has more columns, --delimiter says what stands between them",
        );
    }
    if summary.duplicates_dropped > 0 {
        render::line(format!(
            "\n{} rows left out: their id stands twice",
            render::count(summary.duplicates_dropped)
        ))?;
    }
    render::line(format!(
        "\nstored {}: {} rows in {} partitions, {}",
        summary.table,
        render::count(summary.rows),
        summary.partitions,
        render::bytes(summary.bytes)
    ))
}
