//! Binding: files become a table in place, without a copy of their rows.
//!
//! CSV is read once, like the first pass of an upload: for the types of its columns, and for all errors of rows. Parquet has
//! known types, so only footers and the first rows are read; a value that its column cannot hold, and a repeated id, are
//! found by the job that reads them.

use std::sync::Arc;

use futures::executor::block_on;
use tributary_catalog::{Entry, record};
use tributary_core::meta::{StorageMeta, TableRecord};
use tributary_core::storage::{IfExists, Storage, WriteOptions};
use tributary_core::{Error, Layout, Result};

use crate::content::Bound;
use crate::input::{Inputs, Once};
use crate::options::{Duplicates, Existing, SampleId, UploadOptions};
use crate::progress::Progress;
use crate::summary::{ColumnSummary, Role};
use crate::upload::{Prepared, Upload, run};
use crate::{csv, input, parquet};

/// The summary of a bind.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Binding {
    /// The site's record of the table.
    pub record: TableRecord,
    /// Its columns after the key, as far as they were read.
    pub columns: Vec<ColumnSummary>,
    /// The columns with the ids, the label and other roles.
    pub roles: Vec<Role>,
    /// Notes about the files and the options.
    pub notes: Vec<String>,
}

/// Makes a table of files that stay in place, and records it. Every job reads its rows there, in the order of the files
/// (`Loose`), in at most [`UploadOptions::partitions`] parts; row groups of Parquet are not split. A folder of Parquet files
/// means the files in it.
///
/// Options for files and columns mean the same as in an [`upload`](crate::upload()). No row can be left out.
///
/// Errors: those of an upload; `InvalidInput` for input that can be read only once (pipes, compressed files), and for
/// options that would leave rows out; `Unsupported` if the store cannot reach local files. After an error nothing is bound.
/// A file that changes later makes every reading fail with `Corrupt`.
///
/// Cost: CSV files are read once, a little more where parts begin, and again where ids seem to be repeated. Memory as for an
/// upload.
pub async fn bind(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: UploadOptions,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<Binding> {
    run("bind", storage, meta, options, progress, Upload::bind).await
}

impl Upload {
    fn bind(&self) -> Result<Binding> {
        let (partitions, if_exists) = check_options(&self.options)?;
        let uri = self.place()?;
        self.storage.info_of(&uri)?.expect_binding()?;
        if if_exists == IfExists::Fail {
            self.check_absent(&uri)?;
        }
        let Prepared { content, columns, roles, notes, .. } =
            match input::open_all(&self.options, Once::Refused, &self.meter)? {
                Inputs::Csv(inputs, keys) => csv::prepare(&self.options, inputs, keys, None, &self.meter)?,
                Inputs::Parquet(files) => parquet::prepare_columns(&self.options, files)?,
            };
        if content.schema().fields().is_empty() && self.options.sample_id == SampleId::Made {
            return Err(Error::invalid("ids are made, and no other column is left; skip fewer columns"));
        }
        // before any change: this reads the files with these types
        let preview = self.preview(&content)?;
        let Bound { parts, files } = content.bound(partitions, &self.meter)?;
        let write = WriteOptions::default().with_if_exists(if_exists.clone());
        let stored = block_on(self.storage.bind(&uri, content.schema(), parts, write))?;
        let origin = vec![
            ("made_by", "bind".to_owned()),
            ("files", files.len().to_string()),
            ("file", files.first().cloned().unwrap_or_default()),
        ];
        let entry = Entry { preview, origin, if_exists };
        let record = block_on(record(&self.storage, &self.meta, &self.options.table, &stored, entry))?;
        Ok(Binding { record, columns, roles, notes })
    }
}

/// The most partitions, and what happens to an existing table.
fn check_options(options: &UploadOptions) -> Result<(u32, IfExists)> {
    let partitions = options.partitions.unwrap_or(UploadOptions::PARTITIONS);
    Layout::Loose(partitions).check()?;
    if options.duplicates != Duplicates::Fail || options.max_rejects > 0 || options.reject_to.is_some() {
        return Err(Error::invalid(
            "rows of a bound table are those of its files: none can be left out (--duplicates, --max-rejects, --reject-to); \
             upload the files",
        ));
    }
    match options.if_exists {
        Existing::Fail => Ok((partitions, IfExists::Fail)),
        Existing::Replace => Ok((partitions, IfExists::Replace)),
        Existing::Merge => Err(Error::invalid(
            "rows cannot be added to files that are bound (--if-exists merge); upload the files",
        )),
    }
}
