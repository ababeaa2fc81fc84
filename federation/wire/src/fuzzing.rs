//! The decoders of what a peer or broker sends, for the fuzz targets. They may refuse; they may not panic.

use arrow_buffer::Buffer;
use bytes::Bytes;
use tributary_core::TableSchema;

use crate::frame::Frame;
use crate::header::Header;
use crate::hello::Hello;
use crate::rows;

/// What is said before keys are agreed on.
pub fn hello(bytes: &[u8]) {
    Hello::decode(bytes);
}

/// What stands inside a sealed frame.
pub fn frame(bytes: &[u8]) {
    Frame::decode(&Bytes::copy_from_slice(bytes));
}

/// What a value begins with.
pub fn header(bytes: &[u8]) {
    drop(Header::decode(bytes));
}

/// Rows; also reads them to their last value.
pub fn rows(bytes: &[u8], schema: &TableSchema) {
    if let Ok(rows) = rows::decode(&Buffer::from(bytes), schema) {
        drop(format!("{rows:?}"));
    }
}
