//! A first job on somebody's own files: what is an id and what is to be predicted is found out, the files become tables of one party each, and a
//! job file trains and measures a model on them.
//!
//! Nothing is changed before all is decided. What cannot be decided is said with the columns to choose from; asking is the caller's.

mod ids;
mod job;
mod label;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt, TableName};
use tributary_document::quoted;
use tributary_ingest::{Duplicates, Existing, Look, Progress, SampleId, Summary, UploadOptions, ValueType};
use tributary_runtime::Home;

pub use ids::Ids;
pub use label::{Goal, Label};

use crate::Tables;

/// The guest's id, and the one from which hosts are counted.
const PARTIES: (u64, u64) = (9999, 10_000);

/// The files, as they are.
#[derive(Debug)]
pub struct Files {
    looks: Vec<Look>,
    uploads: Vec<UploadOptions>,
}

/// What is to be made of them.
#[derive(Debug)]
pub struct Plan {
    /// The files' parties, in order of the files.
    pub parties: Vec<PartyId>,
    /// Which file is the guest's.
    pub guest: usize,
    /// What was taken, and why; a line each.
    pub reasons: Vec<String>,
    /// The job file.
    pub job: String,
    uploads: Vec<UploadOptions>,
}

impl Files {
    /// Reads all files. `InvalidInput` with its place for what is wrong in one, and for fewer than two files.
    pub fn look(files: &[PathBuf], namespace: &str, scratch: &Path) -> Result<Self> {
        if files.len() < 2 {
            return Err(Error::invalid("expected two files or more, one of each party"));
        }
        let mut known = BTreeSet::new();
        let (mut looks, mut uploads) = (Vec::new(), Vec::new());
        for file in files {
            let at = || format!("look at {}", file.display());
            let table = TableName::new(namespace, table_name(file, &mut known))?;
            let mut options = UploadOptions::new(table, [file]);
            options.scratch = scratch.into();
            looks.push(tributary_ingest::look(&mut options).at(at)?);
            uploads.push(options);
        }
        Ok(Self { looks, uploads })
    }

    /// What they look like, in order.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The column of each file that has the ids. `given`: for each file, if it was said. Errors: `NotFound` for an unknown column, `InvalidInput`
    /// where no columns have values in common.
    pub fn ids(&self, given: &[Option<String>]) -> Result<Ids> {
        ids::choose(&self.looks, given)
    }

    /// The column that is to be predicted. `NotFound` for an unknown one, `InvalidInput` for one that cannot be, and where none or several could
    /// be.
    pub fn label(&self, ids: &Ids, given: Option<&str>) -> Result<Label> {
        label::choose(&self.looks, ids, given)
    }

    /// All that could be labels: file and column.
    pub fn labels(&self, ids: &Ids) -> Vec<(usize, String)> {
        label::candidates(&self.looks, ids).map(|(file, column)| (file, column.name.clone())).collect()
    }

    /// What is made of these files; without a label, the parties' common rows and their statistics. `parties`: one for each file, or none.
    pub fn plan(self, ids: &Ids, label: Option<&Label>, parties: &[String]) -> Result<Plan> {
        let guest = label.map_or(0, |label| label.file);
        let parties = parties_of(self.looks.len(), guest, parties)?;
        let mut reasons = vec![ids.why.clone()];
        reasons.extend(label.map(|label| label.why.clone()));
        let mut uploads = self.uploads;
        for (file, (upload, look)) in uploads.iter_mut().zip(&self.looks).enumerate() {
            let label = label.filter(|label| label.file == file);
            reasons.extend(prepare(upload, look, ids.columns[file], label));
        }
        let tables: Vec<&TableName> = uploads.iter().map(|upload| &upload.table).collect();
        let job = job::text(&parties, guest, &tables, label.map(|label| &label.goal));
        Ok(Plan { parties, guest, reasons, job, uploads })
    }
}

impl Plan {
    /// The table of each file.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.uploads.iter().map(|upload| &upload.table)
    }

    /// Stores the files as tables, if all of them can be. `AlreadyExists` for a table that is there and is not to be replaced.
    pub fn upload(
        self,
        home: &Home,
        existing: Existing,
        progress: impl Fn(Progress) + Clone + Send + Sync + 'static,
    ) -> Result<Vec<Summary>> {
        let mut all = Vec::new();
        for (party, mut options) in self.parties.iter().zip(self.uploads) {
            options.if_exists = existing;
            let tables = Tables::of(home, party)?;
            if existing == Existing::Fail && block_on(tables.meta().get(&options.table))?.is_some() {
                let text = format!(
                    "party {party} has a table {}; add --overwrite to replace it, or choose another --namespace",
                    options.table
                );
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
            all.push((tables, options));
        }
        let upload = |(tables, options): (Tables, _)| block_on(tables.upload(options, progress.clone()));
        all.into_iter().map(upload).collect()
    }
}

/// A table's name from its file's: letters, digits and a few marks, unlike those before it.
fn table_name(file: &Path, known: &mut BTreeSet<String>) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or("table");
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let stem: String = stem.chars().take(100).map(fits).collect();
    let mut name = stem.clone();
    for number in 2.. {
        if known.insert(name.clone()) {
            break;
        }
        name = format!("{stem}_{number}");
    }
    name
}

fn parties_of(files: usize, guest: usize, given: &[String]) -> Result<Vec<PartyId>> {
    if given.is_empty() {
        let mut host = PARTIES.1..;
        let id = |file| if file == guest { PARTIES.0 } else { host.next().unwrap_or(PARTIES.1) };
        return (0..files).map(id).map(|id| PartyId::new(id.to_string())).collect();
    }
    if given.len() != files || given.iter().collect::<BTreeSet<_>>().len() != files {
        return Err(Error::invalid(format!(
            "--parties: expected {files} ids that differ, one for each file"
        )));
    }
    given.iter().map(PartyId::new).collect()
}

/// Sets what the file's columns mean. Returns what a user would want to know about that.
fn prepare(upload: &mut UploadOptions, look: &Look, id: usize, label: Option<&Label>) -> Vec<String> {
    let (id, file) = (&look.columns[id], look.file.display());
    upload.sample_id = SampleId::Column(id.name.clone());
    upload.label = label.map(|label| look.columns[label.column].name.clone());
    // A first job is about the rows that are good; how many are left out is in the summary.
    upload.duplicates = Duplicates::First;
    upload.max_rejects = id.missing + label.map_or(0, |label| look.columns[label.column].missing);
    let mut reasons = Vec::new();
    for column in look
        .columns
        .iter()
        .filter(|column| column.name != id.name && Some(&column.name) != upload.label.as_ref())
    {
        let name = quoted(&column.name);
        if column.is_numeric && !column.is_empty() {
            continue;
        }
        let why = match &column.values {
            _ if column.is_empty() => "it has no values".to_owned(),
            Some(values)
                if values.iter().all(|value| ["true", "false"].contains(&&*value.to_lowercase())) =>
            {
                continue;
            }
            Some(values) => {
                upload.columns.entry(column.name.clone()).or_default().value_type = Some(ValueType::Category);
                reasons.push(format!("category: {name} of {file} (text, {} different)", values.len()));
                continue;
            }
            None => "text of many kinds; numbers need a decimal point and no thousands separator".to_owned(),
        };
        upload.skip.push(column.name.clone());
        reasons.push(format!("left out: {name} of {file} ({why})"));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_after_files_and_apart() {
        let mut known = BTreeSet::new();
        let mut name = |file: &str| table_name(Path::new(file), &mut known);
        assert_eq!(name("a/my rows (1).csv"), "my_rows__1_");
        assert_eq!(
            (name("x.csv.gz"), name("b/x.csv"), name("x.csv")),
            ("x".into(), "x_2".into(), "x_3".into())
        );
        assert_eq!((name(".hidden.csv"), name("größe.csv")), ("hidden".into(), "gr__e".into()));
    }

    #[test]
    fn the_file_with_the_label_is_the_guests() {
        let ids = |guest, given: &[&str]| -> Vec<String> {
            let given: Vec<String> = given.iter().map(|id| (*id).to_owned()).collect();
            parties_of(3, guest, &given).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(ids(1, &[]), ["10000", "9999", "10001"]);
        assert_eq!(ids(1, &["7", "8", "9"]), ["7", "8", "9"]);
        for wrong in [&["7"][..], &["7", "7", "8"]] {
            let given: Vec<String> = wrong.iter().map(|id| (*id).to_owned()).collect();
            assert!(parties_of(3, 0, &given).is_err());
        }
    }
}
