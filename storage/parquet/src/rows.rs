//! Rows of some row groups of one file, under a table's schema.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use tributary_core::media::{Media, Source, value_of};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableSchema};
use tributary_system::Stamp;

use crate::column::Column;
use crate::convert::{self, can_become, convert};
use crate::footer::{Opened, unpacked as unpacked_bytes};
use crate::guard::guarded;
use crate::int96::Nanos;
use crate::keys;
use crate::pages::{CHANGED, Pages};
use crate::scan::ranges_of;
use crate::unfold::{self, Pieces};

/// Memory of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
const MAX_BATCH_ROWS: u64 = 16 << 10;

/// Some row groups of one file, which must not have changed.
#[derive(Debug, Clone)]
pub struct Span {
    /// The file's address.
    pub path: PathBuf,
    /// Its stamp.
    pub stamp: Stamp,
    /// The row groups of the file.
    pub groups: Range<usize>,
    pub(crate) file: File,
}

/// How a file is opened for its rows.
#[derive(Debug, Clone)]
pub(crate) enum File {
    /// Again, by its address: a local file's footer is read in no time.
    Again(Arc<dyn Media>),
    /// By its address, with the footer that was read: one that lies far away. Each reader has its own, because each expects something else.
    Known(Arc<Opened>, Arc<dyn Media>),
    /// It stays open, without a name.
    Stays(Arc<Opened>),
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.stamp, &self.groups) == (&other.path, &other.stamp, &other.groups)
    }
}

impl Eq for Span {}

impl Span {
    /// These row groups of a file at an address, which is recognised by its stamp.
    pub(crate) fn new(path: PathBuf, stamp: Stamp, groups: Range<usize>, media: Arc<dyn Media>) -> Self {
        Self { path, stamp, groups, file: File::Again(media) }
    }

    /// Its rows, with the columns of `schema` by name.
    ///
    /// Errors: `Corrupt` for a file that changed since its metadata was read; `InvalidInput` for a column that is missing,
    /// or cannot become the wanted type. Errors of single values come with the rows.
    pub fn rows(&self, schema: &TableSchema) -> Result<Rows> {
        let (opened, pages) = match &self.file {
            File::Stays(opened) => (opened.clone(), opened.pages.clone()),
            File::Known(opened, media) => (opened.clone(), Pages::new(self.again(&**media)?)),
            File::Again(media) => {
                let opened = Arc::new(Opened::read(self.again(&**media)?)?);
                (opened.clone(), opened.pages.clone())
            }
        };
        if opened.stamp != self.stamp {
            return Err(self.changed());
        }
        let unpacked = opened.metadata.metadata().row_groups().get(self.groups.clone()).into_iter().flatten();
        let unpacked = unpacked.map(unpacked_bytes).fold(0, u64::saturating_add);
        self.open(&opened, pages.hold_to(unpacked), schema).at(|| self.described())
    }

    /// The same file, opened again. Anything else in its place is a change of it.
    fn again(&self, media: &dyn Media) -> Result<Arc<dyn Source>> {
        let source = media.open(&self.path)?;
        self.stamp.may_be_of(source.state()).then_some(source).ok_or_else(|| self.changed())
    }

    fn changed(&self) -> Error {
        Error::new(ErrorKind::Corrupt, CHANGED).at(self.described())
    }

    fn open(&self, opened: &Opened, pages: Pages, schema: &TableSchema) -> Result<Rows> {
        let parts = parts_of(&opened.columns, schema, |name| value_of(&self.path, name))?;
        let groups = opened.metadata.metadata().row_groups();
        let Some(wanted) = groups.get(self.groups.clone()) else {
            return Err(Error::invalid(format!("it has {} row groups, not {:?}", groups.len(), self.groups)));
        };
        let count = |groups: &[parquet::file::metadata::RowGroupMetaData]| {
            groups.iter().map(|group| group.num_rows().unsigned_abs()).sum::<u64>()
        };
        let (first, left) = (count(&groups[..self.groups.start]), count(wanted));
        let bytes: u64 = wanted.iter().map(|group| group.total_byte_size().max(0).unsigned_abs()).sum();
        let fixed = unfold::fixed_bytes(schema.arrow());
        let row_bytes = (bytes / left.max(1)).max(8 * schema.arrow().fields().len() as u64).max(fixed).max(1);
        let batch = (BATCH_BYTES / row_bytes).clamp(1, MAX_BATCH_ROWS) as usize;
        let mut order: Vec<usize> =
            parts.iter().filter_map(TablePart::in_file).map(|part| part.position).collect();
        // the decoder returns columns in the order of the file
        order.sort_unstable();
        let ranges = || wanted.iter().flat_map(|group| ranges_of(group, Some(&order))).collect::<Vec<_>>();
        let ranges = guarded(|| Ok(ranges())).map_err(|reason| pages.damaged(reason))?;
        pages.source.expect(&ranges, order.len());
        let nanos = guarded(|| Nanos::open(opened, &pages, &parts, &self.groups, batch));
        let reader = guarded(|| {
            let viewed = ArrowReaderOptions::new().with_schema(unfold::with_views(opened.metadata.schema()));
            let metadata = ArrowReaderMetadata::try_new(opened.metadata.metadata().clone(), viewed)?;
            let mask = ProjectionMask::roots(metadata.parquet_schema(), order.iter().copied());
            ParquetRecordBatchReaderBuilder::new_with_metadata(pages.clone(), metadata)
                .with_row_groups(self.groups.clone().collect())
                .with_projection(mask)
                .with_batch_size(batch)
                .build()
        });
        let reader = reader.map_err(|reason| pages.damaged(reason))?;
        let nanos = nanos.map_err(|reason| pages.damaged(reason))?;
        Ok(Rows {
            span: self.clone(),
            pages,
            reader,
            nanos,
            decoded: None,
            parts,
            order,
            schema: schema.clone(),
            next: first,
            left,
            over: false,
        })
    }

    fn described(&self) -> String {
        format!("read {}", self.path.display())
    }
}

/// Where a column of the table comes from.
#[derive(Debug)]
pub(crate) enum TablePart {
    File(InFile),
    /// The name of a folder: the same value for all rows, if it is not missing.
    Folder(Option<String>),
}

/// A column of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFile {
    pub(crate) position: usize,
    is_uuid: bool,
    pub(crate) is_int96: bool,
}

impl TablePart {
    pub(crate) fn in_file(&self) -> Option<&InFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Folder(_) => None,
        }
    }
}

/// Where each column of `schema` comes from, key first. `folder`: the value of a column that is none of the file's.
pub(crate) fn parts_of(
    columns: &[Column],
    schema: &TableSchema,
    folder: impl Fn(&str) -> Option<Option<String>>,
) -> Result<Vec<TablePart>> {
    let find = |field: &Arc<arrow_schema::Field>| {
        let (name, wanted) = (field.name(), field.data_type());
        let found = columns.iter().enumerate().find(|(_, column)| column.name == *name);
        let Some((position, column)) = found else {
            let missing = || Error::invalid(format!("it has no column {name:?}"));
            return folder(name).map(TablePart::Folder).ok_or_else(missing);
        };
        if !can_become(column.data_type()?, wanted) {
            let is_key = schema.key().is_some_and(|key| key.name == *name);
            let help = if is_key { "; ids are text or whole numbers" } else { "" };
            return Err(Error::invalid(format!(
                "column {name:?} is {}, expected {wanted}{help}",
                column.stored
            )));
        }
        Ok(TablePart::File(InFile { position, is_uuid: column.is_uuid, is_int96: column.is_int96 }))
    };
    schema.arrow().fields().iter().map(find).collect()
}

/// The rows of a [`Span`], in order, in batches of about 4 MiB. Ends after an error.
#[derive(Debug)]
pub struct Rows {
    span: Span,
    pages: Pages,
    reader: ParquetRecordBatchReader,
    nanos: Option<Nanos>,
    /// The last batch of the decoder, and its times of 96 bits.
    decoded: Option<(Pieces, Option<RecordBatch>)>,
    parts: Vec<TablePart>,
    order: Vec<usize>,
    schema: TableSchema,
    /// Number of the next row in the file, from 0.
    next: u64,
    left: u64,
    over: bool,
}

/// A batch with checked values.
#[derive(Debug)]
pub struct Checked {
    /// The columns of the schema, key first. A value that does not fit is meaningless, or missing.
    pub columns: Vec<ArrayRef>,
    /// The number of rows.
    pub rows: usize,
    /// The values that do not fit, by column, then row.
    pub misfits: Vec<Misfit>,
}

/// A value that a table cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The column, as a position in [`Checked::columns`].
    pub column: usize,
    /// The row, as a position in the batch.
    pub row: usize,
    /// The reason, for messages; never the value.
    pub reason: String,
    /// Whether the fault is only that a required value is missing.
    pub is_missing: bool,
}

impl Rows {
    /// The next batch, with the values that do not fit; [`Iterator::next`] makes those an error. Ends after an error.
    pub fn next_checked(&mut self) -> Option<Result<Checked>> {
        if self.over {
            return None;
        }
        let checked = self.checked().at(|| self.span.described()).transpose();
        self.over = !matches!(checked, Some(Ok(_)));
        checked
    }

    /// The next rows of the decoder, and their times of 96 bits.
    fn decode(&mut self) -> Result<Option<(RecordBatch, Option<RecordBatch>)>> {
        loop {
            if let Some((pieces, nanos)) = &mut self.decoded
                && let Some((rows, piece)) = pieces.next()
            {
                let nanos = nanos.as_ref().filter(|nanos| nanos.num_rows() >= rows.end);
                return Ok(Some((piece, nanos.map(|nanos| nanos.slice(rows.start, rows.len())))));
            }
            self.decoded = self.decode_batch()?;
            if self.decoded.is_none() {
                return Ok(None);
            }
        }
    }

    fn decode_batch(&mut self) -> Result<Option<(Pieces, Option<RecordBatch>)>> {
        let decoded = guarded(|| {
            self.reader.next().transpose().map_err(|e| match e {
                arrow_schema::ArrowError::ParquetError(text) => parquet::errors::ParquetError::General(text),
                other => other.into(),
            })
        });
        let Some(decoded) = decoded.map_err(|reason| self.pages.damaged(reason))? else {
            return match self.left {
                0 => Ok(None),
                left => Err(Error::invalid(format!("it is damaged: {left} rows fewer than its footer says"))),
            };
        };
        let nanos =
            self.nanos.as_mut().map(Nanos::next).transpose().map_err(|reason| self.pages.damaged(reason))?;
        let more = || Error::invalid("it is damaged: more rows than its footer says");
        self.left = self.left.checked_sub(decoded.num_rows() as u64).ok_or_else(more)?;
        Ok(Some((Pieces::new(decoded), nanos)))
    }

    fn checked(&mut self) -> Result<Option<Checked>> {
        let Some((decoded, nanos)) = self.decode()? else { return Ok(None) };
        let rows = decoded.num_rows();
        let nanos = nanos.map(|nanos| nanos.columns().to_vec()).unwrap_or_default();
        let mut nanos = nanos.into_iter();
        let mut checked =
            Checked { columns: Vec::with_capacity(self.parts.len()), rows, misfits: Vec::new() };
        let mut of_int96 = BTreeMap::new();
        for position in &self.order {
            let mut in_file = self.parts.iter().filter_map(TablePart::in_file);
            if in_file.any(|part| part.is_int96 && part.position == *position) {
                of_int96.insert(*position, nanos.next());
            }
        }
        for (column, (part, field)) in self.parts.iter().zip(self.schema.arrow().fields()).enumerate() {
            let (values, misfits) = match part {
                TablePart::File(part) => self.of_file(&decoded, part, field.data_type(), &of_int96)?,
                TablePart::Folder(value) => {
                    (keys::column(value.as_deref(), field.data_type(), rows)?, Vec::new())
                }
            };
            if !field.is_nullable() && values.null_count() > 0 {
                let reason = "the value is missing, but this column needs one";
                let fits = |row: &usize| misfits.binary_search_by_key(row, |misfit| misfit.row).is_err();
                let missing = (0..rows).filter(|row| values.is_null(*row)).filter(fits);
                let missing =
                    missing.map(|row| Misfit { column, row, reason: reason.into(), is_missing: true });
                checked.misfits.extend(missing);
            }
            let misfits = misfits.into_iter().map(|convert::Misfit { row, reason }| Misfit {
                column,
                row,
                reason,
                is_missing: false,
            });
            checked.misfits.extend(misfits);
            checked.columns.push(values);
        }
        self.next += rows as u64;
        Ok(Some(checked))
    }

    /// The values of a column of the file, and those that do not fit.
    fn of_file(
        &self,
        decoded: &RecordBatch,
        part: &InFile,
        to: &DataType,
        of_int96: &BTreeMap<usize, Option<ArrayRef>>,
    ) -> Result<(ArrayRef, Vec<convert::Misfit>)> {
        let at = self.order.binary_search(&part.position);
        let at = at.map_err(|_| Error::bug("a column was not asked for"))?;
        let stored = unfold::unfolded(decoded.column(at))?;
        let (values, mut misfits) = convert(&stored, part.is_uuid, to)?;
        if let Some(Some(nanos)) = of_int96.get(&part.position) {
            misfits.extend(convert::cut(&stored, nanos));
        }
        Ok((values, misfits))
    }

    /// A batch of the schema; an error for the first row with a fault.
    fn strict(&self, checked: Checked) -> Result<RecordBatch> {
        let Some(first) = checked.misfits.iter().min_by_key(|misfit| (misfit.row, misfit.column)) else {
            return self.schema.batch(checked.columns);
        };
        let (row, column) = (self.next - (checked.rows - first.row) as u64 + 1, first.column);
        let column = self.schema.arrow().field(column).name();
        Err(Error::invalid(format!("row {row}, column {column:?}: {}", first.reason)))
            .at(|| self.span.described())
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_checked()?.and_then(|checked| self.strict(checked));
        self.over |= batch.is_err();
        Some(batch)
    }
}
