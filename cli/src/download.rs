//! `data download`.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use futures::channel::oneshot;
use futures::executor::block_on;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tributary_core::media::scheme_of;
use tributary_core::storage::{Storage, StoredTable};
use tributary_core::{Error, Result, ResultExt};
use tributary_export::{
    CsvOptions, ExportOptions, Filter, Format, Formulas, IfFileExists, Selection, Sink, Stop, Summary,
};
use tributary_runtime::Home;

use crate::args;
use crate::exit::{Failure, STOPPED};
use crate::{job, reading, render, table};

/// More threads gain nothing: one thread reads.
const MOST_THREADS: usize = 8;

pub(crate) fn run(home: &Home, download: &args::Download) -> Result<ExitCode, Failure> {
    let party = tributary_service::known_party(home, download.table.party.party.as_deref())?;
    let (storage, _) = home.tables(&party)?;
    let record = table::record(home, &download.table)?;
    let stored = block_on(storage.open(&record.uri))?;
    let is_standard = download.output == Path::new("-");
    let mut options = options(download, is_standard)?;
    options.selection = Some(selection(&download.selected, download.limit, &stored)?);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().at(|| "start the runtime")?;
    // Before a file exists that a signal could leave behind.
    let stopped = {
        let _context = runtime.enter();
        job::stop_signal().at(|| "listen to signals")?
    };
    let if_exists = if download.overwrite { IfFileExists::Replace } else { IfFileExists::Fail };
    let sink = match (is_standard, scheme_of(&download.output)) {
        (true, _) => Sink::standard(),
        (false, None) => Sink::file(&download.output, if_exists)?,
        (false, Some(_)) => Sink::object(&*home.party_media(&party)?, &download.output, if_exists)?,
    };
    let quiet = download.table.json || (is_standard && std::io::stdout().is_terminal());
    let bar = (!quiet && std::io::stderr().is_terminal()).then(|| bar(stored.rows()));
    let writing = Writing { storage, stored, options, sink, bar, is_standard };
    let summary = runtime.block_on(writing.done(stopped)).at(|| format!("download {}", record.table))?;
    show_summary(download, is_standard, &summary)?;
    Ok(ExitCode::SUCCESS)
}

/// The part of a table that is asked for.
pub(crate) fn selection(
    selected: &args::Selected,
    limit: Option<u64>,
    stored: &StoredTable,
) -> Result<Selection> {
    let mut selection = Selection::all(&stored.schema);
    if !selected.columns.is_empty() {
        selection = selection.columns(&selected.columns, &stored.schema).at(|| "--columns")?;
    }
    if let Some(condition) = &selected.r#where {
        selection = selection.filter(Filter::parse(condition, &stored.schema).at(|| "--where")?);
    }
    Ok(limit.map_or(selection.clone(), |limit| selection.limit(limit)))
}

/// A download that is about to begin.
struct Writing {
    storage: Arc<dyn Storage>,
    stored: StoredTable,
    options: ExportOptions,
    sink: Sink,
    bar: Option<ProgressBar>,
    is_standard: bool,
}

impl Writing {
    /// Writes on a thread of its own until the end, or until it is stopped.
    async fn done(self, stopped: impl Future<Output = ()>) -> Result<Summary> {
        let Self { storage, stored, options, sink, bar, is_standard } = self;
        let (send, mut result) = oneshot::channel();
        let stop = Stop::default();
        let (asked, rows) = (stop.clone(), bar.clone());
        let work = move || {
            let report = |done: u64, bytes: u64| {
                if let Some(bar) = &rows {
                    bar.set_position(done);
                    bar.set_message(render::bytes(bytes));
                }
            };
            // the receiver may be gone
            drop(send.send(tributary_export::export(&storage, &stored, &options, sink, &asked, report)));
        };
        thread::Builder::new().name("download".into()).spawn(work).at(|| "start a thread")?;
        let summary = tokio::select! {
            summary = &mut result => summary,
            () = stopped => {
                // There is nothing to clean up, and the thread may be waiting for a reader that is gone.
                if is_standard {
                    std::process::exit(i32::from(STOPPED));
                }
                stop.stop();
                result.await
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        summary.map_err(|_| Error::bug("its thread ended without a result")).flatten()
    }
}

fn options(download: &args::Download, is_standard: bool) -> Result<ExportOptions> {
    let named = named(&download.output)?;
    let format = match (download.format, named) {
        (Some(given), Some((named, _))) if given != named => {
            return Err(Error::invalid(format!(
                "--format and the extension of {:?} contradict each other; leave --format out, or choose another name",
                download.output.display().to_string()
            )));
        }
        (given, named) => given.or(named.map(|(format, _)| format)).unwrap_or(args::Format::Csv),
    };
    let format = match format {
        args::Format::Csv => {
            let mut csv = CsvOptions::default();
            if let Some((_, delimiter)) = named {
                csv.delimiter = delimiter;
            }
            if let Some(delimiter) = &download.delimiter {
                csv.delimiter = reading::delimiter(delimiter)?;
            }
            if download.escape_formulas {
                csv.formulas = Formulas::Escaped;
            }
            csv.header = !download.no_header;
            csv.null.clone_from(&download.null);
            Format::Csv(csv)
        }
        args::Format::Parquet => Format::Parquet,
        args::Format::Arrow if is_standard => Format::ArrowStream,
        args::Format::Arrow => Format::ArrowFile,
    };
    let mut options = ExportOptions::new(format);
    let cores = || thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    options.threads = download.threads.map_or_else(cores, |threads| threads as usize);
    Ok(options)
}

/// The format that a file's extension names, and the delimiter if that is CSV. `None` without an extension, or if the output
/// is no regular file. `InvalidInput` for an extension of another format, because a file whose name names the wrong format
/// misleads its readers.
pub(crate) fn named(output: &Path) -> Result<Option<(args::Format, u8)>> {
    let is_special = fs::metadata(output).is_ok_and(|about| !about.is_file() && !about.is_dir());
    let ending = output.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let Some(ending) = ending.filter(|_| !is_special && output != Path::new("-")) else { return Ok(None) };
    let refused = |text: String| Err(Error::invalid(format!("{:?}: {text}", output.display().to_string())));
    Ok(Some(match ending.as_str() {
        "csv" | "txt" => (args::Format::Csv, b','),
        "tsv" | "tab" => (args::Format::Csv, b'\t'),
        "parquet" | "parq" | "pq" => (args::Format::Parquet, b','),
        "arrow" | "ipc" | "feather" => (args::Format::Arrow, b','),
        "gz" | "zst" | "bz2" | "xz" | "zip" | "lz4" => {
            return refused(
                "compressed files are not supported; write to - and compress the output, as in `… -o - | gzip > FILE`".into(),
            );
        }
        "xlsx" | "xls" | "ods" => {
            return refused(
                "workbooks are not supported; write .csv, which spreadsheets open (see --escape-formulas)"
                    .into(),
            );
        }
        other => {
            return refused(format!(
                "no format has the extension .{other}; use .csv, .txt, .tsv, .parquet, .pq, .arrow or .feather"
            ));
        }
    }))
}

fn bar(rows: u64) -> ProgressBar {
    let bar = ProgressBar::new(rows);
    let template = "write  {wide_bar} {human_pos}/{human_len} rows {per_sec} {msg} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The summary. If the table goes to standard output, the summary goes to standard error, as JSON too.
fn show_summary(download: &args::Download, is_standard: bool, summary: &Summary) -> Result<()> {
    if summary.closed_early {
        return Ok(());
    }
    let output = download.output.display().to_string();
    if download.table.json {
        let text = json!({"output": output, "rows": summary.rows, "bytes": summary.bytes, "columns": summary.columns});
        return match is_standard {
            true => {
                render::note(text.to_string());
                Ok(())
            }
            false => render::json(&text),
        };
    }
    let missing: Vec<String> = summary
        .columns
        .iter()
        .filter(|column| column.nulls > 0)
        .map(|column| format!("{} {}", render::count(column.nulls), column.name))
        .collect();
    let missing = match &missing[..] {
        [] => String::new(),
        [first @ .., _] if first.len() >= 8 => format!("; missing values in {} columns", missing.len()),
        _ => format!("; missing: {}", missing.join(", ")),
    };
    let (rows, bytes) = (render::count(summary.rows), render::bytes(summary.bytes));
    match is_standard {
        true => render::note(format!("wrote {rows} rows, {bytes}{missing}")),
        false => render::line(format!("wrote {output}: {rows} rows, {bytes}{missing}"))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_a_format_or_refused() {
        let named = |name: &str| named(Path::new(name)).map_err(|error| error.to_string());
        for (name, expected) in [
            ("a.csv", Some((args::Format::Csv, b','))),
            ("a.b.TSV", Some((args::Format::Csv, b'\t'))),
            ("a.PQ", Some((args::Format::Parquet, b','))),
            ("a.parquet", Some((args::Format::Parquet, b','))),
            ("a.feather", Some((args::Format::Arrow, b','))),
            ("folder.x/table", None),
            ("-", None),
            ("/dev/null", None),
        ] {
            assert_eq!(named(name), Ok(expected), "{name}");
        }
        for (name, expected) in [
            ("a.csv.gz", "compressed files are not supported"),
            ("a.parquet.zst", "compressed files are not supported"),
            ("a.xlsx", "workbooks are not supported"),
            ("a.json", "no format has the extension .json"),
            ("a.2024", "no format has the extension .2024"),
        ] {
            assert!(named(name).unwrap_err().contains(expected), "{name}");
        }
    }
}
