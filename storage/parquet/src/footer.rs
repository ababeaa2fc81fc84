//! A file's footer: its content, and the stamp by which the file is recognised.

use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use sha2::{Digest, Sha256};

use tributary_core::media::Source;
use tributary_core::{Error, Result, ResultExt};
use tributary_system::Stamp;

use crate::column::Column;
use crate::guard::{Footer, MAX_FOOTER_BYTES, check_footer, guarded};
use crate::pages::Pages;

/// For a file whose key we do not have.
const ENCRYPTED: &str = "it is encrypted (Parquet modular encryption); decrypt it first";

/// Length of the footer, and the magic number of four bytes.
const TAIL_BYTES: u64 = 8;
/// Bytes at the end that a distant store is asked for at once: nearly every footer fits, and many small files fit completely.
pub(crate) const END_BYTES: u64 = 64 << 10;

/// An open file whose footer was read and checked.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) pages: Pages,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) columns: Vec<Column>,
    pub(crate) stamp: Stamp,
}

impl Opened {
    /// Reads the footer of an open file. `InvalidInput` for anything but a readable Parquet file.
    pub(crate) fn read(source: Arc<dyn Source>) -> Result<Self> {
        let name = source.name().to_owned();
        Self::of(Pages::new(source)).at(|| format!("read {name}"))
    }

    fn of(pages: Pages) -> Result<Self> {
        let footer = footer(&*pages.source)?;
        // it holds the offsets and statistics of all columns
        let stamp = Stamp::of(pages.source.state(), "footer", || Ok(Sha256::digest(&footer).into()))?;
        if check_footer(&footer).map_err(damaged)? == Footer::OfEncryptedColumns {
            return Err(Error::invalid(ENCRYPTED));
        }
        let parquet = guarded(|| ParquetMetaDataReader::decode_metadata(&footer));
        let parquet = parquet.map_err(damaged)?;
        check_row_groups(&parquet, pages.source.bytes())?;
        let (columns, read_as) = guarded(|| Column::of_file(parquet.file_metadata()))
            .map_err(|e| Error::invalid("its columns have types that cannot be read").because(e))?;
        // Without the Arrow schema that some writers add: it would only add names of zones, and must be checked too.
        let options = ArrowReaderOptions::new().with_schema(read_as);
        let metadata =
            guarded(|| ArrowReaderMetadata::try_new(Arc::new(parquet), options)).map_err(damaged)?;
        Ok(Self { pages, metadata, columns, stamp })
    }
}

fn footer(source: &dyn Source) -> Result<Vec<u8>> {
    let refuse = |what: &str| Err(Error::invalid(what));
    let bytes = source.bytes();
    if bytes == 0 {
        return refuse("it is empty, expected a Parquet file");
    }
    let Some(tail_start) = bytes.checked_sub(TAIL_BYTES).filter(|start| *start >= 4) else {
        return refuse("it is not a Parquet file: too short");
    };
    source.expect(std::slice::from_ref(&(bytes.saturating_sub(END_BYTES)..bytes)), 1);
    let mut tail = [0; TAIL_BYTES as usize];
    source.read_at(tail_start, &mut tail)?;
    let [a, b, c, d, letters @ ..] = tail;
    match &letters {
        b"PAR1" => {}
        b"PARE" => return refuse(ENCRYPTED),
        _ => return refuse("it is not a Parquet file, or was not written to its end"),
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let Some(start) = tail_start.checked_sub(length).filter(|start| *start >= 4) else {
        return refuse("it is damaged: its footer is longer than the file");
    };
    if length > MAX_FOOTER_BYTES {
        return refuse("its footer is too long; write it with fewer, larger row groups");
    }
    let mut footer = vec![0; length as usize];
    source.read_at(start, &mut footer)?;
    Ok(footer)
}

/// The decompressed bytes of a row group's pages, as the footer states.
pub(crate) fn unpacked(group: &RowGroupMetaData) -> u64 {
    let columns = group.columns().iter().map(|column| column.uncompressed_size().max(0).unsigned_abs());
    columns.fold(0, u64::saturating_add)
}

/// Checks that counts are possible, and each column is within the file.
fn check_row_groups(parquet: &ParquetMetaData, bytes: u64) -> Result<()> {
    let wrong = |what: String| Err(Error::invalid(format!("it is damaged: {what}")));
    let mut total = 0i64;
    for (number, group) in parquet.row_groups().iter().enumerate() {
        let sum = (group.num_rows() >= 0).then(|| total.checked_add(group.num_rows())).flatten();
        let Some(sum) = sum else {
            return wrong(format!("row group {number} has an impossible count of rows"));
        };
        total = sum;
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let fits = start >= 0
                && column.compressed_size() >= 0
                && column.uncompressed_size() >= 0
                && end.is_some_and(|end| end as u64 <= bytes);
            if !fits {
                let name = column.column_path().string();
                return wrong(format!("column {name:?} of row group {number} is outside of the file"));
            }
        }
    }
    Ok(())
}

/// The error for a file that the decoder refuses.
pub(crate) fn damaged(reason: ParquetError) -> Error {
    Error::invalid("it is damaged, or of an unsupported kind").because(reason)
}
