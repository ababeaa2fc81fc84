//! A file's footer: what is in it, and by what the file is known again.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use sha2::{Digest, Sha256};

use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::column::Column;
use crate::guard::{MAX_FOOTER_BYTES, check_footer, guarded};
use crate::local::Local;

/// Length of the footer, and the four letters.
const TAIL_BYTES: u64 = 8;

/// By what a file is known again: a change that keeps the size, the time to the nanosecond and the footer, which has
/// place and statistics of all columns, is none that a program makes by mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    footer: String,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.modified;
        write!(f, "bytes:{} modified:{seconds}.{nanos:09} footer:sha256:{}", self.bytes, self.footer)
    }
}

impl FromStr for Stamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (bytes, rest) = text.strip_prefix("bytes:")?.split_once(" modified:")?;
            let (modified, footer) = rest.split_once(" footer:sha256:")?;
            let (seconds, nanos) = modified.split_once('.')?;
            let is_hex = footer.len() == 64 && footer.bytes().all(|b| b.is_ascii_hexdigit());
            let modified = (seconds.parse().ok()?, nanos.parse().ok()?);
            is_hex.then_some(Self { bytes: bytes.parse().ok()?, modified, footer: footer.to_owned() })
        };
        parse().ok_or_else(|| Error::invalid(format!("{text:?} is not the stamp of a file")))
    }
}

/// An open file whose footer was read and checked.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) local: Local,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) columns: Vec<Column>,
    pub(crate) stamp: Stamp,
}

impl Opened {
    /// Of a path, or of a file that is open already and only called so. `InvalidInput` for anything but a Parquet file that we can read.
    pub(crate) fn open(path: &Path, open: Option<&Arc<File>>) -> Result<Self> {
        let opened = match open {
            Some(file) => Self::read(file.clone()),
            None => File::open(path).map_err(Error::from).and_then(|file| Self::read(Arc::new(file))),
        };
        opened.at(|| format!("read {}", path.display()))
    }

    fn read(file: Arc<File>) -> Result<Self> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(Error::invalid("it is not a regular file"));
        }
        let local = Local { bytes: about.len(), file };
        let footer = footer(&local)?;
        let digest: String = Sha256::digest(&footer).iter().map(|byte| format!("{byte:02x}")).collect();
        let stamp =
            Stamp { bytes: local.bytes, modified: (about.mtime(), about.mtime_nsec()), footer: digest };
        let parquet = guarded(|| {
            check_footer(&footer)?;
            ParquetMetaDataReader::decode_metadata(&footer)
        });
        let parquet = parquet.map_err(damaged)?;
        check_row_groups(&parquet, local.bytes)?;
        let (columns, read_as) = guarded(|| Column::of_file(parquet.file_metadata().schema_descr()))
            .map_err(|e| Error::invalid("its columns have types that cannot be read").because(e))?;
        // Not the Arrow schema that some writers add: it would be one more thing to distrust, for the names of zones.
        let options = ArrowReaderOptions::new().with_schema(read_as);
        let metadata =
            guarded(|| ArrowReaderMetadata::try_new(Arc::new(parquet), options)).map_err(damaged)?;
        Ok(Self { local, metadata, columns, stamp })
    }
}

fn footer(local: &Local) -> Result<Vec<u8>> {
    let refuse = |what: &str| Err(Error::invalid(what));
    if local.bytes == 0 {
        return refuse("it is empty, expected a Parquet file");
    }
    let Some(tail_start) = local.bytes.checked_sub(TAIL_BYTES).filter(|start| *start >= 4) else {
        return refuse("it is not a Parquet file: too short");
    };
    let mut tail = [0; TAIL_BYTES as usize];
    local.file.read_exact_at(&mut tail, tail_start)?;
    let [a, b, c, d, letters @ ..] = tail;
    match &letters {
        b"PAR1" => {}
        b"PARE" => return refuse("it is encrypted; decrypt it first"),
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
    local.file.read_exact_at(&mut footer, start)?;
    Ok(footer)
}

/// Counts are possible, and each column lies within the file.
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
                return wrong(format!("column {name:?} of row group {number} lies outside of the file"));
            }
        }
    }
    Ok(())
}

/// The error of a file that the decoder refuses.
pub(crate) fn damaged(reason: ParquetError) -> Error {
    let io = match &reason {
        ParquetError::External(source) => source.downcast_ref::<std::io::Error>(),
        _ => None,
    };
    match io {
        // A limit of ours comes as an error of reading too, with a text of its own.
        Some(io) if io.kind() != std::io::ErrorKind::Other => {
            Error::new(ErrorKind::Io, "the disk refused").because(reason)
        }
        _ => Error::invalid("it is damaged, or of a kind that cannot be read").because(reason),
    }
}
