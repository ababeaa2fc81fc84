//! Rows of some row groups of one file, under a table's schema.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use tributary_core::{Error, ErrorKind, Result, ResultExt, TableSchema};
use tributary_system::Stamp;

use crate::column::Column;
use crate::convert::{self, can_become, convert};
use crate::footer::{Opened, damaged, unpacked as unpacked_bytes};
use crate::guard::guarded;
use crate::int96::Nanos;
use crate::unfold::{self, Pieces};

/// Memory of a batch, about.
const BATCH_BYTES: u64 = 4 << 20;
const MAX_BATCH_ROWS: u64 = 16 << 10;

/// Some row groups of one file, which must not have changed.
#[derive(Debug, Clone)]
pub struct Span {
    /// The file.
    pub path: PathBuf,
    /// Its stamp.
    pub stamp: Stamp,
    /// The row groups of the file.
    pub groups: Range<usize>,
    /// The open file, if it has no name.
    pub(crate) open: Option<Arc<File>>,
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.stamp, &self.groups) == (&other.path, &other.stamp, &other.groups)
    }
}

impl Eq for Span {}

impl Span {
    /// These row groups of a file, which is recognised by its stamp.
    pub fn new(path: PathBuf, stamp: Stamp, groups: Range<usize>) -> Self {
        Self { path, stamp, groups, open: None }
    }

    /// Its rows, with the columns of `schema` by name.
    ///
    /// Errors: `Corrupt` for a file that changed since its metadata was read; `InvalidInput` for a column that is missing,
    /// or cannot become the wanted type. Errors of single values come with the rows.
    pub fn rows(&self, schema: &TableSchema) -> Result<Rows> {
        let opened = Opened::open(&self.path, self.open.as_ref())?;
        if opened.stamp != self.stamp {
            let text =
                "the file has changed: its size, modification time or footer differ; bind or upload it again";
            return Err(Error::new(ErrorKind::Corrupt, text).at(self.described()));
        }
        let unpacked = opened.metadata.metadata().row_groups().get(self.groups.clone()).into_iter().flatten();
        let unpacked = unpacked.map(unpacked_bytes).fold(0, u64::saturating_add);
        let opened = Opened { local: opened.local.hold_to(unpacked), ..opened };
        self.open(opened, schema).at(|| self.described())
    }

    fn open(&self, opened: Opened, schema: &TableSchema) -> Result<Rows> {
        let parts = check_schema(&opened.columns, schema)?;
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
        let nanos = guarded(|| Nanos::open(&opened, &parts, &self.groups, batch));
        let reader = guarded(|| {
            let viewed = ArrowReaderOptions::new().with_schema(unfold::with_views(opened.metadata.schema()));
            let metadata = ArrowReaderMetadata::try_new(opened.metadata.metadata().clone(), viewed)?;
            let roots = parts.iter().map(|part| part.position);
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
            ParquetRecordBatchReaderBuilder::new_with_metadata(opened.local, metadata)
                .with_row_groups(self.groups.clone().collect())
                .with_projection(mask)
                .with_batch_size(batch)
                .build()
        });
        let reader = reader.map_err(damaged)?;
        let nanos = nanos.map_err(damaged)?;
        // the decoder returns columns in the order of the file
        let mut order: Vec<usize> = parts.iter().map(|part| part.position).collect();
        order.sort_unstable();
        Ok(Rows {
            span: self.clone(),
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

/// A column of the table, and its position in the file.
#[derive(Debug)]
pub(crate) struct TablePart {
    pub(crate) position: usize,
    is_uuid: bool,
    pub(crate) is_int96: bool,
}

/// The position of each column of `schema`, key first.
pub(crate) fn check_schema(columns: &[Column], schema: &TableSchema) -> Result<Vec<TablePart>> {
    let find = |field: &Arc<arrow_schema::Field>| {
        let (name, wanted) = (field.name(), field.data_type());
        let found = columns.iter().enumerate().find(|(_, column)| column.name == *name);
        let (position, column) = found.ok_or_else(|| Error::invalid(format!("it has no column {name:?}")))?;
        if !can_become(column.data_type()?, wanted) {
            let is_key = schema.key().is_some_and(|key| key.name == *name);
            let help = if is_key { "; ids are text or whole numbers" } else { "" };
            return Err(Error::invalid(format!(
                "column {name:?} is {}, expected {wanted}{help}",
                column.stored
            )));
        }
        Ok(TablePart { position, is_uuid: column.is_uuid, is_int96: column.is_int96 })
    };
    schema.arrow().fields().iter().map(find).collect()
}

/// The rows of a [`Span`], in order, in batches of about 4 MiB. Ends after an error.
#[derive(Debug)]
pub struct Rows {
    span: Span,
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
        let Some(decoded) = decoded.map_err(damaged)? else {
            return match self.left {
                0 => Ok(None),
                left => Err(Error::invalid(format!("it is damaged: {left} rows fewer than its footer says"))),
            };
        };
        let nanos = self.nanos.as_mut().map(Nanos::next).transpose().map_err(damaged)?;
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
            if self.parts.iter().any(|part| part.is_int96 && part.position == *position) {
                of_int96.insert(*position, nanos.next());
            }
        }
        for (column, (part, field)) in self.parts.iter().zip(self.schema.arrow().fields()).enumerate() {
            let at = self
                .order
                .binary_search(&part.position)
                .map_err(|_| Error::bug("a column was not asked for"))?;
            let stored = unfold::unfolded(decoded.column(at))?;
            let (values, mut misfits) = convert(&stored, part.is_uuid, field.data_type())?;
            if let Some(Some(nanos)) = of_int96.get(&part.position) {
                misfits.extend(convert::cut(&stored, nanos));
            }
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
