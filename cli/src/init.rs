//! `init`: from files to a first job. What the site finds out is shown, and what it is not sure of asked about.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_document::quoted;
use tributary_ingest::{Existing, Pass, Summary};
use tributary_runtime::Home;
use tributary_service::Submission;
use tributary_service::init::{Files, Ids, Label, Plan};

use crate::exit::Failure;
use crate::upload::progress;
use crate::{args, render};

pub(crate) fn run(home: &Home, given: &args::Init) -> Result<ExitCode, Failure> {
    if given.output.exists() && !given.overwrite {
        let text =
            format!("{} exists; add --overwrite, or name another with --output", given.output.display());
        return Err(Error::new(ErrorKind::AlreadyExists, text).into());
    }
    let files = Files::look(&given.files, &given.namespace, &home.folder().join("tmp"))?;
    for look in files.looks() {
        let separator = if look.delimiter == b'\t' {
            "tabs".to_owned()
        } else {
            quoted(&char::from(look.delimiter).to_string())
        };
        let (rows, columns) =
            (render::counted(look.rows, "row"), render::counted(look.columns.len() as u64, "column"));
        render::line(format!("{}: {rows}, {columns}, between {separator}", look.file.display()))?;
    }
    let ids = ids(&files, given)?;
    let label = if given.no_label { None } else { Some(label(&files, &ids, given)?) };
    let plan = files.plan(&ids, label.as_ref(), &given.parties)?;
    plan.reasons.iter().try_for_each(render::line)?;
    // A job that is refused is found before anything is stored.
    let (name, job, guest) =
        (given.output.display().to_string(), plan.job.clone(), plan.parties[plan.guest].clone());
    Submission::read(home, &name, job.as_bytes(), None)?;
    let parties = plan.parties.clone();
    for (party, summary) in parties.iter().zip(store(home, plan, given.overwrite)?) {
        show(party.as_str(), &summary)?;
    }
    write(&given.output, &job, given.overwrite).at(|| format!("write {name}"))?;
    next(home, &name, guest.as_str(), label.is_some())?;
    Ok(ExitCode::SUCCESS)
}

fn store(home: &Home, plan: Plan, overwrite: bool) -> Result<Vec<Summary>> {
    let existing = if overwrite { Existing::Replace } else { Existing::Fail };
    let progress = std::sync::Arc::new(progress::show(true, Pass::Write));
    plan.upload(home, existing, move |now| progress(now))
}

fn show(party: &str, summary: &Summary) -> Result<()> {
    let rows = render::counted(summary.rows, "row");
    render::line(format!("party {party}: table {}, {rows}", summary.table))?;
    for (rows, why) in [
        (summary.duplicates_dropped, "an earlier row has their id"),
        (summary.rejected, "they have no id, or no label"),
    ] {
        if rows > 0 {
            render::line(format!("  {} left out: {why}", render::counted(rows, "row")))?;
        }
    }
    let notes = summary.columns.iter().filter_map(|column| Some((&column.name, column.note.as_ref()?)));
    for (column, note) in notes {
        render::line(format!("  note: column {}: {note}", quoted(column)))?;
    }
    summary.notes.iter().try_for_each(|note| render::line(format!("  note: {note}")))
}

fn write(path: &Path, job: &str, overwrite: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match overwrite {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    options.open(path)?.write_all(job.as_bytes())
}

fn next(home: &Home, job: &str, guest: &str, has_model: bool) -> Result<()> {
    let task = if has_model { "eval_0" } else { "statistics_0" };
    let what = if has_model {
        format!("output metric --party {guest} --task-name {task} --table")
    } else {
        format!("output model --party {guest} --task-name {task}")
    };
    let folder = std::env::var_os("TRIBUTARY_HOME").is_none_or(|folder| Path::new(&folder) != home.folder());
    let home = if folder {
        format!("--home {} ", word(&home.folder().display().to_string()))
    } else {
        String::new()
    };
    render::line(format!("\nwrote {job}; next:"))?;
    render::line(format!("  tributary {home}run {}", word(job)))?;
    render::line(format!("  tributary {home}{what}"))?;
    render::line(format!("  tributary {home}job report --party {guest}"))
}

/// A word for a shell.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn ids(files: &Files, given: &args::Init) -> Result<Ids> {
    let mut named = vec![None; files.looks().len()];
    for id in &given.id {
        let known = named.clone();
        for (name, look) in named.iter_mut().zip(files.looks()) {
            let has = |column: &str| look.columns.iter().any(|known| known.name == column);
            match look.of_file(id) {
                Some(column) => *name = Some(column.to_owned()),
                None if has(id) => *name = Some(id.clone()),
                None => {}
            }
        }
        if named == known
            && !given.id.is_empty()
            && files.looks().iter().all(|look| look.of_file(id).is_none())
        {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("--id {}: no file has this column", quoted(id)),
            ));
        }
    }
    let found = files.ids(&named)?;
    if found.is_sure || named.iter().all(Option::is_some) {
        return Ok(found);
    }
    if !io::stdin().is_terminal() {
        render::line(
            "note: other columns fit about as well as ids; if these are not they, name them with --id",
        )?;
        return Ok(found);
    }
    for (file, (look, name)) in files.looks().iter().zip(&mut named).enumerate() {
        if name.is_none() {
            let names: Vec<String> = look.columns.iter().map(|column| column.name.clone()).collect();
            let question = format!("Which column of {} has the ids?", look.file.display());
            *name = Some(names[ask(&question, &names, Some(found.columns[file]))?].clone());
        }
    }
    files.ids(&named)
}

fn label(files: &Files, ids: &Ids, given: &args::Init) -> Result<Label> {
    let found = files.label(ids, given.label.as_deref());
    let unclear = matches!(&found, Err(error) if error.kind() == ErrorKind::InvalidInput);
    if given.label.is_some() || !unclear || !io::stdin().is_terminal() {
        return found;
    }
    let mut choices = files.labels(ids);
    if choices.is_empty() {
        let columns = files.looks().iter().enumerate();
        choices = columns
            .flat_map(|(file, look)| look.columns.iter().map(move |c| (file, c.name.clone())))
            .collect();
        choices.retain(|(file, name)| files.looks()[*file].columns[ids.columns[*file]].name != *name);
    }
    let file = |file: usize| files.looks()[file].file.display().to_string();
    let names: Vec<String> = choices.iter().map(|(at, name)| format!("{name} of {}", file(*at))).collect();
    let (at, name) = &choices[ask("Which column is to be predicted?", &names, None)?];
    files.label(ids, Some(&format!("{}={name}", file(*at))))
}

/// Asks for one of several names, by its number; an empty answer is the default.
fn ask(question: &str, names: &[String], default: Option<usize>) -> Result<usize> {
    render::note(question);
    for (number, name) in (1..).zip(names) {
        render::note(format!("  {number}  {name}"));
    }
    let shown = default.map_or(String::new(), |default| format!(" [{}]", default + 1));
    loop {
        render::note(format!("Its number{shown}:"));
        let mut answer = String::new();
        // Bounded, although a terminal is trusted: its line may come from a pasted file.
        let read = io::stdin().lock().take(1024).read_line(&mut answer).at(|| "read the answer")?;
        let number = answer.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match number.filter(|number| *number < names.len()) {
            Some(number) => return Ok(number),
            None if read == 0 => {
                return Err(Error::new(ErrorKind::Cancelled, "nothing was changed: there was no answer"));
            }
            None if answer.trim().is_empty() && default.is_some() => return Ok(default.unwrap_or_default()),
            None => {}
        }
    }
}
