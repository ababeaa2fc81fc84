//! A file as the decoder reads it: by position, so that the reads of columns are independent, and with a check by the
//! guard at each page header.
//!
//! The decoder turns every error of a read into a text of its own, so the first one is kept here: what a store said is reported as the store said
//! it, and not as damage of the file.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use tributary_core::media::Source;
use tributary_core::{Error, ErrorKind};

use crate::footer::damaged;
use crate::guard::check_page_header;

/// What a file that changed is.
pub(crate) const CHANGED: &str =
    "the file has changed: its size, modification time or footer differ; bind or upload it again";

/// Bytes read at once at the beginning of a page. The header fits, unless it holds long statistics; then more is read.
const HEAD_BYTES: u64 = 4 << 10;
/// Pages may decompress to this multiple of the size that the footer states, plus this many bytes.
const UNFOLD_TIMES: u64 = 4;
const UNFOLD_BYTES: u64 = 16 << 20;

/// An open file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) source: Arc<dyn Source>,
    /// The remaining bytes that all pages together may decompress to.
    unfolds: Arc<AtomicU64>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl Pages {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        Self { source, unfolds: Arc::new(AtomicU64::new(u64::MAX)), failed: Arc::default() }
    }

    /// Enforces the footer's sum of page sizes; the slack is for headers that are read more than once, and for writers that
    /// count differently.
    pub(crate) fn hold_to(self, unpacked: u64) -> Self {
        let most = unpacked.saturating_mul(UNFOLD_TIMES).saturating_add(UNFOLD_BYTES);
        Self { unfolds: Arc::new(AtomicU64::new(most)), ..self }
    }

    /// What failed: the file's medium, else what it holds.
    pub(crate) fn damaged(&self, reason: ParquetError) -> Error {
        let failed = self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        match failed {
            Some(error) if error.kind() == ErrorKind::Conflict => Error::new(ErrorKind::Corrupt, CHANGED),
            Some(error) => error,
            None => damaged(reason),
        }
    }

    fn read(&self, from: u64, to: &mut [u8]) -> io::Result<()> {
        self.source.read_at(from, to).map_err(|error| {
            let text = error.to_string();
            self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
            io::Error::other(text)
        })
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.source.bytes()
    }
}

impl ChunkReader for Pages {
    type T = Head;

    fn get_read(&self, start: u64) -> ParquetResult<Head> {
        Ok(Head { file: self.clone(), at: start, buffer: Vec::new(), used: 0, checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.source.bytes());
        if end.is_none() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are outside of the file")));
        }
        let mut buffer = vec![0; length];
        self.read(start, &mut buffer)?;
        Ok(buffer.into())
    }
}

/// The beginning of a page, checked when its first byte is read.
pub(crate) struct Head {
    file: Pages,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    checked: bool,
}

impl Read for Head {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            let left = self.file.source.bytes().saturating_sub(self.at);
            let read = left.min(HEAD_BYTES);
            self.buffer.resize(read as usize, 0);
            self.file.read(self.at, &mut self.buffer)?;
            (self.at, self.used) = (self.at + read, 0);
            if !std::mem::replace(&mut self.checked, true) {
                let bytes = check_page_header(&self.buffer).map_err(io::Error::other)?;
                let left = |left: u64| left.checked_sub(bytes);
                if self.file.unfolds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
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
