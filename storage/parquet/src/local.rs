//! A local file as the decoder reads it: by position, so that the reads of columns are independent, and with a check by the
//! guard at each page header.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::guard::check_page_header;

/// Bytes read at once at the beginning of a page. The header fits, unless it holds long statistics; then more is read.
const HEAD_BYTES: usize = 4 << 10;
/// Pages may decompress to this multiple of the size that the footer states, plus this many bytes.
const UNFOLD_TIMES: u64 = 4;
const UNFOLD_BYTES: u64 = 16 << 20;

/// An open file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
    /// The remaining bytes that all pages together may decompress to.
    unfolds: Arc<AtomicU64>,
}

impl Local {
    /// A file of this many bytes.
    pub(crate) fn new(file: Arc<File>, bytes: u64) -> Self {
        Self { file, bytes, unfolds: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Enforces the footer's sum of page sizes; the slack is for headers that are read more than once, and for writers that
    /// count differently.
    pub(crate) fn hold_to(self, unpacked: u64) -> Self {
        let most = unpacked.saturating_mul(UNFOLD_TIMES).saturating_add(UNFOLD_BYTES);
        Self { unfolds: Arc::new(AtomicU64::new(most)), ..self }
    }
}

impl Length for Local {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Local {
    type T = Head;

    fn get_read(&self, start: u64) -> ParquetResult<Head> {
        let unfolds = self.unfolds.clone();
        Ok(Head { file: self.file.clone(), unfolds, at: start, buffer: Vec::new(), used: 0, checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.bytes);
        if end.is_none() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are outside of the file")));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// The beginning of a page, checked when its first byte is read.
pub(crate) struct Head {
    file: Arc<File>,
    unfolds: Arc<AtomicU64>,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    checked: bool,
}

impl Read for Head {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            self.buffer.resize(HEAD_BYTES, 0);
            let read = self.file.read_at(&mut self.buffer, self.at)?;
            self.buffer.truncate(read);
            (self.at, self.used) = (self.at + read as u64, 0);
            if !std::mem::replace(&mut self.checked, true) {
                let bytes = check_page_header(&self.buffer).map_err(io::Error::other)?;
                let left = |left: u64| left.checked_sub(bytes);
                if self.unfolds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
                    return Err(io::Error::other("its pages decompress to more bytes than its footer says"));
                }
            }
        }
        let count = into.len().min(self.buffer.len() - self.used);
        into[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
