//! A local file as the decoder reads it: by position, so that columns do not move each other's place, and through the
//! guard where a page begins.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::guard::check_page_header;

/// Read at once where a page begins. Its header fits, unless it holds long statistics, which are read further.
const HEAD_BYTES: usize = 4 << 10;

/// An open file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
}

impl Length for Local {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Local {
    type T = Head;

    fn get_read(&self, start: u64) -> ParquetResult<Head> {
        Ok(Head { file: self.file.clone(), at: start, buffer: Vec::new(), used: 0, checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.bytes);
        if end.is_none() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} lie outside of the file")));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// The beginning of a page, checked when its first byte is read.
pub(crate) struct Head {
    file: Arc<File>,
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
                check_page_header(&self.buffer).map_err(io::Error::other)?;
            }
        }
        let count = into.len().min(self.buffer.len() - self.used);
        into[..count].copy_from_slice(&self.buffer[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}
