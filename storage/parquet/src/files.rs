//! Several files with the same columns, as one sequence of row groups.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_core::media::{Media, Source, scheme_of, value_of};
use tributary_core::{Error, Field, Result, ResultExt, TableSchema};
use tributary_system::{LocalMedia, Stamp};

use crate::column::Column;
use crate::footer::{Opened, unpacked};
use crate::keys;
use crate::pandas::Index;
use crate::rows::{File, Span, parts_of};

/// Parquet files with the same columns; see the crate.
#[derive(Debug, Clone)]
pub struct Files {
    columns: Vec<Column>,
    files: Vec<FileAbout>,
    index: Index,
}

/// The metadata of a file.
#[derive(Debug, Clone)]
pub struct FileAbout {
    /// Its address; or the name of an open file without one in messages.
    pub path: PathBuf,
    /// Its stamp.
    pub stamp: Stamp,
    /// Its size.
    pub bytes: u64,
    /// Its row groups.
    pub groups: Vec<Group>,
    file: File,
}

/// Where rows are.
#[derive(Debug, Clone)]
pub enum Location {
    /// In the file at an address.
    At(PathBuf),
    /// In an open file that has none.
    Open(Arc<dyn Source>),
}

/// The metadata of a row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its rows.
    pub rows: u64,
    /// Its bytes in the file.
    pub bytes: u64,
    /// The decompressed bytes of its pages, as the footer states; reading enforces it.
    pub unpacked: u64,
}

impl Files {
    /// Reads the footers of local files, in this order.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        Self::of(
            paths.iter().map(|path| Location::At(path.as_ref().to_owned())),
            &[],
            &(Arc::new(LocalMedia) as _),
        )
    }

    /// Reads the footers of files, in this order. `keys`: names of folders whose values are columns, after those of the files; a file's own column
    /// of such a name comes first.
    ///
    /// Errors: `NotFound`; `InvalidInput` for no files, for a file that is not Parquet, and for a file whose columns differ from the first one's.
    pub fn of(
        sources: impl IntoIterator<Item = Location>,
        keys: &[String],
        media: &Arc<dyn Media>,
    ) -> Result<Self> {
        let mut all: Option<Self> = None;
        for source in sources {
            let (columns, index, about) = survey(source, media)?;
            match &mut all {
                None => all = Some(Self { columns, files: vec![about], index }),
                Some(all) => all.add(columns, about)?,
            }
        }
        let mut all = all
            .ok_or_else(|| Error::invalid("no Parquet file; give one or more files, or a folder of them"))?;
        for key in keys {
            if all.columns.iter().any(|column| column.name == *key) {
                continue;
            }
            let value = |file: &FileAbout| value_of(&file.path, key).flatten();
            let values: Vec<_> = all.files.iter().map(value).collect();
            all.columns.push(keys::described(key, &values));
        }
        Ok(all)
    }

    fn add(&mut self, columns: Vec<Column>, about: FileAbout) -> Result<()> {
        let rows = about.groups.iter().map(|group| group.rows);
        if rows.chain([self.rows()]).try_fold(0u64, u64::checked_add).is_none() {
            return Err(Error::invalid(format!("{}: impossible counts of rows", about.path.display())));
        }
        let (path, first) = (about.path.display(), self.files[0].path.display());
        for position in 0..columns.len().max(self.columns.len()) {
            let shown = |column: Option<&Column>| {
                column.map_or("nothing".to_owned(), |c| format!("{:?} ({})", c.name, c.stored))
            };
            let (found, expected) = (columns.get(position), self.columns.get(position));
            let same =
                |a: &Column, b: &Column| (&a.name, &a.stored, a.is_uuid) == (&b.name, &b.stored, b.is_uuid);
            if !matches!((found, expected), (Some(a), Some(b)) if same(a, b)) {
                let (number, found, expected) = (position + 1, shown(found), shown(expected));
                return Err(Error::invalid(format!(
                    "{path}: column {number} is {found}, expected {expected} as in {first}; all files need the same columns"
                )));
            }
        }
        for (known, new) in self.columns.iter_mut().zip(columns) {
            known.nullable |= new.nullable;
            known.is_category &= new.is_category;
        }
        self.files.push(about);
        Ok(())
    }

    /// The columns, in the order of the files.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The files, in order.
    pub fn files(&self) -> &[FileAbout] {
        &self.files
    }

    /// The columns of pandas' index, as the first file states.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The rows of all files, as their footers state.
    pub fn rows(&self) -> u64 {
        self.all_groups().map(|(_, _, group)| group.rows).sum()
    }

    /// The number of row groups.
    pub fn groups(&self) -> usize {
        self.files.iter().map(|file| file.groups.len()).sum()
    }

    /// All row groups in order: number of the file, number in the file, and metadata.
    pub fn all_groups(&self) -> impl Iterator<Item = (usize, usize, Group)> {
        let of_file = |(number, file): (usize, &FileAbout)| {
            let groups: Vec<_> = file.groups.iter().copied().enumerate().collect();
            groups.into_iter().map(move |(i, group)| (number, i, group))
        };
        self.files.iter().enumerate().flat_map(of_file)
    }

    /// A column by name, as one of a table. `InvalidInput` if there is none, or no table can hold it.
    pub fn field(&self, name: &str) -> Result<Field> {
        self.column(name)?.field()
    }

    /// A column by name. `InvalidInput`, with the nearest name, if there is none.
    pub fn column(&self, name: &str) -> Result<&Column> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| {
            let known = self.columns.iter().map(|c| c.name.as_str());
            let known: Vec<&str> = known.take(20).collect();
            let more = if self.columns.len() > known.len() { ", …" } else { "" };
            Error::invalid(format!("no column {name:?}; the files have {}{more}", known.join(", ")))
        })
    }

    /// `InvalidInput` unless every column of `schema` is in the files, with a type that can become the wanted one.
    pub fn check(&self, schema: &TableSchema) -> Result<()> {
        parts_of(&self.columns, schema, |_| None).map(drop)
    }

    /// The files' parts of a range of row groups, each to be read on its own.
    pub fn spans(&self, groups: Range<usize>) -> Vec<Span> {
        let (mut spans, mut before) = (Vec::new(), 0);
        for file in &self.files {
            let count = file.groups.len();
            let within = |group: usize| group.saturating_sub(before).min(count);
            let range = within(groups.start)..within(groups.end);
            if !range.is_empty() {
                let (path, stamp, file) = (file.path.clone(), file.stamp.clone(), file.file.clone());
                spans.push(Span { path, stamp, groups: range, file });
            }
            before += count;
        }
        spans
    }
}

fn survey(source: Location, media: &Arc<dyn Media>) -> Result<(Vec<Column>, Index, FileAbout)> {
    let (path, source) = match source {
        Location::At(path) if scheme_of(&path).is_some() => (Some(path.clone()), media.open(&path)?),
        Location::At(path) => {
            let path = std::path::absolute(&path).at(|| format!("open {}", path.display()))?;
            (Some(path.clone()), media.open(&path)?)
        }
        Location::Open(source) => (None, source),
    };
    let name = source.name().into();
    let opened = Arc::new(Opened::read(source)?);
    let (mut columns, metadata) = (opened.columns.clone(), &opened.metadata);
    let groups = metadata.metadata().row_groups();
    for (position, column) in columns.iter_mut().enumerate() {
        let leaf = |group: &parquet::file::metadata::RowGroupMetaData| {
            let nulls = group.columns().get(position).and_then(|c| c.statistics()?.null_count_opt());
            nulls == Some(0)
        };
        // Without nested columns, columns and leaves are the same.
        let flat = groups.iter().all(|group| group.columns().len() == metadata.schema().fields().len());
        if flat && groups.iter().all(leaf) {
            column.nullable = false;
        }
    }
    let about = |group: &parquet::file::metadata::RowGroupMetaData| Group {
        rows: group.num_rows().unsigned_abs(),
        bytes: group.compressed_size().unsigned_abs(),
        unpacked: unpacked(group),
    };
    let groups = groups.iter().map(about).collect();
    let index = Index::of(metadata.metadata().file_metadata(), &columns);
    let (stamp, bytes) = (opened.stamp.clone(), opened.pages.source.bytes());
    let file = match &path {
        Some(path) if scheme_of(path).is_some() => File::Known(opened.clone(), media.clone()),
        Some(_) => File::Again(media.clone()),
        None => File::Stays(opened.clone()),
    };
    Ok((columns, index, FileAbout { path: path.unwrap_or(name), stamp, bytes, groups, file }))
}
