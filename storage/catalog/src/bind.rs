//! Binding: files of other programs become a table where they lie.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::DataType;
use tributary_core::meta::{StorageMeta, TableRecord};
use tributary_core::schema::Key;
use tributary_core::storage::{Bound, IfExists, Storage, WriteOptions};
use tributary_core::{Error, ErrorKind, Field, KeyType, Purpose, Result, ResultExt, TableName, TableSchema};
use tributary_document::suggestion;
use tributary_parquet::Files;

use crate::record::{Entry, record};

/// Which files, and what their columns mean. [`BindOptions::new`] has the defaults; change what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BindOptions {
    /// The table to make.
    pub table: TableName,
    /// Parquet files, or folders of them.
    pub files: Vec<PathBuf>,
    /// The column with a row's id: the first. Text as it is, whole numbers as text, so that they are the same ids as those
    /// of a CSV file.
    pub id: Option<String>,
    /// The column on which parties match, if that is not the id.
    pub match_id: Option<String>,
    /// The column to be predicted: `Int32` where it has whole numbers or truth values. Never missing.
    pub label: Option<String>,
    /// The column of row weights, as `Float64`. Never missing.
    pub weight: Option<String>,
    /// Columns to leave out.
    pub skip: Vec<String>,
    /// Into how many partitions the row groups are grouped, at most: 16.
    pub partitions: u32,
    /// What to do when the table exists: fail.
    pub if_exists: IfExists,
    /// Rows kept in the site's record for display, at most and by default 100. They are private data: 0 keeps none.
    pub preview_rows: usize,
}

impl BindOptions {
    /// Binds these files as this table: ids in the first column.
    pub fn new<F: Into<PathBuf>>(table: TableName, files: impl IntoIterator<Item = F>) -> Self {
        Self {
            table,
            files: files.into_iter().map(Into::into).collect(),
            id: None,
            match_id: None,
            label: None,
            weight: None,
            skip: Vec::new(),
            partitions: 16,
            if_exists: IfExists::Fail,
            preview_rows: TableRecord::MAX_PREVIEW_ROWS,
        }
    }
}

/// Makes a table of files that lie elsewhere, without copying, and records it.
///
/// Reads footers and the first rows only. So values are looked at when they are read: one that its column cannot hold, and an
/// id that stands twice, are found by the job that meets them, with file, row and column ([`crate::verify`] reads all).
///
/// Errors: `NotFound` and `InvalidInput` name the file, or the column; `AlreadyExists`. After an error nothing is bound.
pub async fn bind(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: BindOptions,
) -> Result<TableRecord> {
    let what = format!("bind {}", options.table);
    run(storage, meta, &options).await.at(|| what)
}

async fn run(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: &BindOptions,
) -> Result<TableRecord> {
    if options.if_exists == IfExists::Fail && meta.get(&options.table).await?.is_some() {
        let text = "the table exists; replace it, delete it, or take another name";
        return Err(Error::new(ErrorKind::AlreadyExists, text));
    }
    let files = Files::open(&options.files)?;
    let schema = schema(&files, options)?;
    let uri = storage.locate(&options.table)?;
    let bound = Bound::new(options.files.clone(), options.partitions);
    let write = WriteOptions::default().with_if_exists(options.if_exists.clone());
    // Before anything changes: it shows that the files can be read as that.
    let shown = preview(&files, &schema, options.preview_rows)?;
    let stored = storage.bind(&uri, &schema, &bound, write).await?;
    let names: Vec<String> = files.files().iter().map(|file| file.path.display().to_string()).collect();
    let origin = vec![
        ("made_by", "bind".to_owned()),
        ("files", names.len().to_string()),
        ("file", names.first().cloned().unwrap_or_default()),
    ];
    let entry = Entry { preview: shown, origin, if_exists: options.if_exists.clone() };
    record(storage, meta, &options.table, &stored, entry).await
}

fn preview(files: &Files, schema: &TableSchema, count: usize) -> Result<Vec<Vec<Option<String>>>> {
    let mut left = count.min(TableRecord::MAX_PREVIEW_ROWS);
    let mut batches = Vec::new();
    for span in files.spans(0..files.groups()) {
        for batch in span.rows(schema)? {
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            batches.push(batch);
            if left == 0 {
                return TableRecord::preview_of(&batches);
            }
        }
    }
    TableRecord::preview_of(&batches)
}

/// The table's columns: key, match id, label, weight, the rest in the files' order.
fn schema(files: &Files, options: &BindOptions) -> Result<TableSchema> {
    let names: Vec<&str> = files.columns().iter().map(|column| column.name.as_str()).collect();
    let find = |what: &str, name: &str| {
        let known = names.iter().find(|known| **known == name).copied();
        known.ok_or_else(|| {
            let help =
                suggestion(name, names.iter().copied()).map_or(String::new(), |help| format!(" ({help})"));
            Error::invalid(format!("{what} {name:?}: the files have no such column{help}"))
        })
    };
    let skipped = options.skip.iter().map(|name| find("skip", name)).collect::<Result<HashSet<_>>>()?;
    let mut taken = HashSet::new();
    let mut take = |what: &str, name: &str| {
        let name = find(what, name)?;
        if skipped.contains(name) {
            return Err(Error::invalid(format!("column {name:?} is to be left out, but has a role")));
        }
        if !taken.insert(name.to_owned()) {
            let text = format!("column {name:?} is to be two of id, match id, label and weight");
            return Err(Error::invalid(text));
        }
        Ok(name)
    };
    let first = || names.iter().find(|name| !skipped.contains(**name)).copied();
    let id = options.id.as_deref().or_else(first);
    let id = take("id", id.ok_or_else(|| Error::invalid("the files have no column for the id"))?)?;
    let mut fields = Vec::new();
    for (what, name, purpose) in [
        ("match id", &options.match_id, Purpose::MatchId),
        ("label", &options.label, Purpose::Label),
        ("weight", &options.weight, Purpose::Weight),
    ] {
        // the key itself is what parties match on
        let Some(name) = name.as_deref().filter(|name| purpose != Purpose::MatchId || *name != id) else {
            continue;
        };
        let name = take(what, name)?;
        let field = Field { nullable: false, ..files.field(name)? };
        let data_type = match (&purpose, &field.data_type) {
            (Purpose::MatchId, _) => DataType::Utf8,
            (Purpose::Weight, _) => DataType::Float64,
            (_, known) if known.is_integer() || *known == DataType::Boolean => DataType::Int32,
            (_, known) => known.clone(),
        };
        fields.push(Field { data_type, ..field }.purpose(purpose));
    }
    let key_type = match files.column(id)?.data_type()? {
        DataType::Binary => KeyType::Binary,
        _ => KeyType::Utf8,
    };
    for name in names.iter().filter(|name| !taken.contains(**name) && !skipped.contains(**name)) {
        fields.push(files.field(name)?);
    }
    let schema = TableSchema::new(Some(Key { name: id.to_owned(), key_type }), fields)?;
    files.check(&schema).map(|()| schema)
}
